"""Texts of people: names that they mistype, on terminals, and in CSV files."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Offer the nearest of some names, if one is near: the end of a sentence, or nothing.

    It has a mark of its own; where there is nothing, the caller's `or` puts one.

    >>> did_you_mean("emebdding", ["id", "embedding"])
    "; did you mean 'embedding'?"
    """
    names, form = list(names), unicodedata.normalize("NFC", name)
    for other in names:
        if other != name and unicodedata.normalize("NFC", other) == form:
            return (
                f"; '{other}' looks alike, but an accent is a character of its own in one of "
                "them: copy the name from there."
            )
    near = get_close_matches(name, names, n=1)
    return f"; did you mean '{near[0]}'?" if near else ""


def one_line(error: object) -> str:
    """Put the text of an error on one line, without a full stop at the end.

    >>> one_line(ValueError("It is bad."))
    'It is bad'
    """
    return " ".join(str(error).split()).removesuffix(".")


def no_such(what: str, name: str, known: Iterable[str], more: str = "") -> str:
    """Say that something has no such name, which names there are, and offer the nearest.

    >>> no_such("model", "forset", ["forest", "mlp"])
    "unknown model 'forset'; did you mean 'forest'? there are forest, mlp."
    """
    known = list(known)
    near = did_you_mean(name.lower(), known) or ";"
    return f"unknown {what} {name!r}{near} there are {', '.join(known)}{more}."


def counted(count: int, one: str, many: str = "") -> str:
    """Say how many of something there are, in the right number."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def counted_of(count: int, whole: int, one: str) -> str:
    """Say how many of how many are something, in the right numbers.

    >>> counted_of(1, 2, "id"), counted_of(2, 2, "id")
    ('1 of 2 ids is', '2 of 2 ids are')
    """
    return f"{count:,} of {counted(whole, one)} {'is' if count == 1 else 'are'}"


def printable(text: object) -> str:
    """Return a text of which nothing steers a terminal or turns the order of letters.

    Such characters are as Python writes them.

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


def as_csv(columns: Mapping[str, Sequence[Any]]) -> bytes:
    """Lay columns of one length out as CSV in UTF-8, with numbers that read back exactly.

    >>> as_csv({"name": ["a", "b"], "value": [0.5, 2]})
    b'name,value\\na,0.5\\nb,2\\n'
    """
    rows = (columns, *zip(*columns.values(), strict=True))
    # An empty line would be no row.
    lines = (",".join(map(_cell, row)) or '""' for row in rows)
    return "".join(f"{line}\n" for line in lines).encode()


def _cell(value: Any) -> str:
    # Python's csv does not quote a carriage return by itself, and then reads two lines.
    text = "" if value is None else str(value)
    return '"' + text.replace('"', '""') + '"' if re.search('[,"\r\n]', text) else text
