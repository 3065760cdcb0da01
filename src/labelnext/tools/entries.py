"""Entries of what tools write: whether they have the form that is read, and whose sample each is.

An entry that was pushed says more than once which sample it is of. People sort some columns of a
table and leave others as they were: then it says two samples, and its label may be of either.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from labelnext.loop.receive import identity, sample_of
from labelnext.utils.text import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from labelnext.loop.loop import Loop

IN_FILES = ("image", "audio")


class Entries:
    """The samples of a loop, by what a tool's entries call them."""

    def __init__(self, loop: Loop) -> None:
        samples = loop.samples()
        self.identity, self.kind = identity(loop), loop.kind
        self._contents = {
            name: self._plain(content)
            for name, content in zip(samples.ids, samples.contents, strict=True)
        }
        self._of = {content: name for name, content in self._contents.items()}

    def sample_of(self, entry: Mapping[str, Any], where: str) -> str | None:
        """Return the id of the sample that a pushed entry is of, None if it is of another loop."""
        sample = sample_of(entry.get("labelnext"), self.identity)
        if sample is not None:
            given = entry.get("id")
            if given not in (None, "") and not same_id(str(given), sample):
                raise ValueError(_two(where, "labelnext", sample, "id", str(given)))
            self.check_content(sample, entry, where, "labelnext")
        return sample

    def check_content(self, sample: str, entry: Mapping[str, Any], where: str, by: str) -> None:
        """Refuse an entry that shows another sample than it names; what was mended is the same."""
        own, given = self._contents.get(sample), entry.get(self.kind)
        if given in (None, "") or own is None or str(given).startswith("data:"):
            return
        plain = self._plain(given)
        ends = [plain]
        if self.kind in IN_FILES:  # with a folder or an address before the path
            parts = plain.split("/")
            ends = ["/".join(parts[at:]) for at in range(len(parts))]
        if own in ends:
            return
        other = next((self._of[end] for end in ends if end in self._of), None)
        if other is not None:
            raise ValueError(_two(where, by, sample, self.kind, f"{other}"))

    def _plain(self, content: Any) -> str:
        """Return a content without what programs change in it."""
        if self.kind == "row":
            try:
                content = json.loads(content) if isinstance(content, str) else content
            except ValueError:
                return str(content)
            return json.dumps(content, sort_keys=True, default=str)
        text = " ".join(str(content).split()).removeprefix("'")
        return unquote(text.replace("\\", "/")) if self.kind in IN_FILES else text


def same_id(given: str, own: str) -> bool:
    """Tell whether an id is what programs make of another: as a number, with other spaces.

    >>> same_id(" 7 ", "007"), same_id("1.23457E+11", "123456789012"), same_id("8", "007")
    (True, True, False)
    """
    given, own = (" ".join(text.split()) for text in (given, own))
    if given in (own, f"'{own}"):
        return True
    try:
        number, wanted = float(given.replace(",", ".")), float(own)
    except ValueError:
        return False
    if "_" in given + own or not (math.isfinite(number) and math.isfinite(wanted)):
        return False
    mantissa, short, _ = given.lower().replace(",", ".").partition("e")
    if short:
        digits = len(mantissa.partition(".")[2])
        return f"{number:.{digits}e}" == f"{wanted:.{digits}e}"
    return math.isclose(number, wanted, rel_tol=1e-14)  # spreadsheets keep 15 digits


def _two(where: str, by: str, sample: str, other: str, given: str) -> str:
    """Say that an entry names two samples, and what to do."""
    return (
        f"{where} is of two samples, {sample!r} by its {by} and {given!r} by its {other}. If some "
        "columns were sorted without the others, undo that, or push to another file and fill that "
        f"in; if {other} alone was changed, remove {other} from the file"
    )


def listed(value: Any, what: str) -> list[Any]:
    """Return a list of what a tool writes, empty where there is none."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise ValueError(f"{what} must be a list, and is {_shown(value)}")
    return value


def objects(value: Any, what: str) -> list[dict[str, Any]]:
    """Return a list of objects."""
    for each in (found := listed(value, what)):
        if not isinstance(each, dict):
            raise ValueError(f"{what} must be a list of objects, and one is {_shown(each)}")
    return found


def number_of(value: Any) -> float:
    """Return a number, with a comma or a point."""
    try:
        return float(value.replace(",", ".") if isinstance(value, str) else value)
    except (TypeError, ValueError):
        raise ValueError(f"a label must be a number, and one is {_shown(value)}") from None


def _shown(value: Any) -> str:
    text = one_line(json.dumps(value, ensure_ascii=False, default=str))
    return text if len(text) <= 60 else f"{text[:59]}…"
