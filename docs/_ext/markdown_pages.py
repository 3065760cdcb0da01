"""Let reStructuredText include the repository's Markdown pages, by the little Markdown they use."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

UNDERLINES = "=-~^"


def to_rst(text: str) -> str:
    """Convert headings, code fences, tables, links, emphasis and code; the rest is the same."""
    return "\n".join(_blocks(text.split("\n"))) + "\n"


def _blocks(lines: list[str]) -> Iterator[str]:
    waiting = iter([*lines, ""])
    in_table = False
    for line in waiting:
        if in_table and not line.startswith("|"):
            in_table = False
            yield ""
        if line.startswith("```"):
            yield from ("", f".. code-block:: {line[3:] or 'text'}", "")
            for code in waiting:
                if code.startswith("```"):
                    break
                yield f"   {code}"
            yield ""
        elif heading := re.match(r"(#+) (.*)", line):
            title = _inline(heading[2])
            yield from (title, UNDERLINES[len(heading[1]) - 1] * (len(title) + 2))
        elif line.startswith("|"):
            if re.fullmatch(r"[|:\- ]+", line):
                continue
            if not in_table:
                in_table = True
                yield from ("", ".. list-table::", "   :header-rows: 1", "")
            for column, cell in enumerate(line.strip("| ").split("|")):
                yield f"   {'- ' if column else '* - '}{_inline(cell.strip())}".replace(
                    "   - ", "     - ", 1
                )
        else:
            yield _inline(line)


def _inline(text: str) -> str:
    # Code first, by itself: what is inside stays as it is.
    parts = re.split(r"(`[^`]+`)", text)
    return "".join(
        f"`{part}`"
        if part.startswith("`")
        else re.sub(r"\[([^]]+)\]\(([^)]+)\)", r"`\1 <\2>`__", part)
        for part in parts
    )


def _convert(app: Sphinx, path: Path, docname: str, content: list[str]) -> None:
    if Path(path).suffix == ".md":
        content[0] = to_rst(content[0])


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.connect("include-read", _convert)
    return {"parallel_read_safe": True}
