"""Labels that may be missing, and randomness that can be repeated.

All is imported when it is used first: what the command alone takes from here needs no NumPy.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labelnext.utils.encoding import check_classes, encode_labels, majority_vote
    from labelnext.utils.labels import (
        MISSING_LABEL,
        is_labeled,
        is_unlabeled,
        labeled_indices,
        unlabeled_indices,
    )
    from labelnext.utils.random import check_random_state, rand_argmax

__all__ = [
    "MISSING_LABEL",
    "check_classes",
    "check_random_state",
    "encode_labels",
    "is_labeled",
    "is_unlabeled",
    "labeled_indices",
    "majority_vote",
    "rand_argmax",
    "unlabeled_indices",
]

_MODULES = {
    "encoding": ("check_classes", "encode_labels", "majority_vote"),
    "random": ("check_random_state", "rand_argmax"),
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'labelnext.utils' has no attribute {name!r}")
    module = next((each for each, names in _MODULES.items() if name in names), "labels")
    found = getattr(importlib.import_module(f"labelnext.utils.{module}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
