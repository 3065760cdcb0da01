"""Columns as CSV."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


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
