"""Names that people type: the nearest of those that there are."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Offer the nearest of some names, if one is near: the end of a sentence, or nothing.

    >>> did_you_mean("emebdding", ["id", "embedding"])
    "; did you mean 'embedding'?"
    """
    near = get_close_matches(name, list(names), n=1)
    return f"; did you mean '{near[0]}'?" if near else ""
