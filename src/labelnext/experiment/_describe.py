"""Settings as plain values: what two runs must have in common to be the same run."""

from __future__ import annotations

import hashlib
import inspect
import json
import types
from importlib.metadata import version
from typing import Any

import joblib
import numpy as np

# Another version of these may give other numbers.
LIBRARIES = ("numpy", "scipy", "scikit-learn")


def describe(value: Any) -> Any:
    """Describe a setting in what JSON can hold: estimators by class, source and parameters.

    Examples
    --------
    >>> describe({"alpha": 0.5, "sizes": (8, 8)})
    {'alpha': 0.5, 'sizes': [8, 8]}
    """
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return [describe(item) for item in value]
    if isinstance(value, dict):
        return {str(key): describe(item) for key, item in sorted(value.items(), key=str)}
    if isinstance(value, type | types.FunctionType):
        return {"name": _name(value), "source": _source(value)}
    if hasattr(value, "get_params"):
        params = value.get_params(deep=False)
        return describe(type(value)) | {"parameters": describe(params)}
    return {"name": _name(type(value)), "hash": fingerprint(value)}


def fingerprint(*values: Any) -> str:
    """Hash the content of arrays and other values."""
    try:
        return str(joblib.hash(values))
    except Exception as error:
        # What cannot be pickled cannot be sent to another process either.
        raise ValueError(
            f"The settings of an experiment must be values that can be pickled, got "
            f"{values[0]!r}: {error}."
        ) from error


def key_of(settings: Any) -> str:
    """Hash described settings."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:32]


def versions() -> dict[str, str]:
    """Return the versions that numbers depend on."""
    from labelnext._version import __version__

    return {"labelnext": __version__} | {name: version(name) for name in LIBRARIES}


def _name(item: Any) -> str:
    # A class of a script has another module's name when the script is imported.
    return f"{item.__module__}.{item.__qualname__}".removeprefix("__main__.")


def _source(item: Any) -> str | None:
    """Hash the code: that of one's own strategies and models changes without a new version."""
    try:
        text = inspect.getsource(item)
    except (OSError, TypeError):  # typed at a prompt, or compiled
        return None
    return hashlib.sha256(text.encode()).hexdigest()[:16]
