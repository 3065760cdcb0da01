"""Libraries that labelnext does without until they are asked for."""

from __future__ import annotations

import importlib
import importlib.util
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType


def require(module: str, *, extra: str, what: str) -> ModuleType:
    """Import an optional library, or say which extra of labelnext brings it to `what` needs it.

    One that is installed and fails to load says itself why.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        raise ImportError(
            f"{what} needs {module}, which is not installed: "
            f'pip install "labelnext[{extra}]" brings it.',
            name=module,
        ) from error
