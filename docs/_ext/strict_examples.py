"""A warning in an example ends the build: as strict as a test of the example would be."""

import warnings
from contextlib import ExitStack
from typing import Any

_while_it_runs = ExitStack()


def reset(gallery_conf: dict[str, Any], fname: str | None, when: str) -> None:
    """Before an example make errors of warnings, and after it no longer."""
    _while_it_runs.close()
    if fname and when == "before":
        _while_it_runs.enter_context(warnings.catch_warnings())
        warnings.simplefilter("error")
