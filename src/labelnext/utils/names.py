"""Names that people type, and texts of theirs that a terminal shows."""

from __future__ import annotations

import unicodedata
from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Offer the nearest of some names, if one is near: the end of a sentence, or nothing.

    >>> did_you_mean("emebdding", ["id", "embedding"])
    "; did you mean 'embedding'?"
    """
    names, form = list(names), unicodedata.normalize("NFC", name)
    for other in names:
        if other != name and unicodedata.normalize("NFC", other) == form:
            return (
                f"; '{other}' looks alike, but an accent is a character of its own in one of "
                "them: copy the name from there"
            )
    near = get_close_matches(name, names, n=1)
    return f"; did you mean '{near[0]}'?" if near else ""


def printable(text: object) -> str:
    """Return a text of which nothing steers a terminal or turns the order of letters.

    Parameters
    ----------
    text : object
        What is to be shown, maybe from a file that somebody was sent.

    Returns
    -------
    str
        The text, with such characters as Python writes them.

    Examples
    --------
    >>> print(printable("Zoë\\x1b[2J\\r"))
    Zoë\\x1b[2J\\r
    """
    text = str(text)
    return text if text.isprintable() else "".join(map(_shown, text))


def _shown(letter: str) -> str:
    # Joiners shape words and emoji, and there are spaces of many widths.
    harmless = letter in "\u200c\u200d" or unicodedata.category(letter) in ("Zs", "Co")
    if letter.isprintable() or harmless:
        return letter
    return letter.encode("unicode_escape").decode()
