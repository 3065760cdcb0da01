"""From a network and a data set to class probabilities and the last layer's input.

The network runs once over the data, in evaluation mode, and is left as it was. Nothing here
imports torch before it is called.
"""

from typing import TYPE_CHECKING, Any

from labelnext.networks._extract import extract, find_head, proba_and_features

if TYPE_CHECKING:
    from labelnext.networks._head import Head

__all__ = ["Head", "extract", "find_head", "proba_and_features"]


def __getattr__(name: str) -> Any:
    if name == "Head":  # whose module imports torch
        from labelnext.networks._head import Head

        return Head
    raise AttributeError(f"module 'labelnext.networks' has no attribute {name!r}")
