"""Pages: HTML files that need no network, with one style, in which no text of others can act."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

Columns = Mapping[str, Sequence[Any]]

STYLE = """
:root { color-scheme: light dark; --ink: #1f2937; --quiet: #5b6472; --paper: #ffffff;
  --line: #e5e7eb; --soft: #f3f4f6; --dot: #97a2b2; --accent: #0072B2; --warn: #fff4ed;
  --shade: #1f293759; }
@media (prefers-color-scheme: dark) { :root { --ink: #e5e7eb; --quiet: #a3acba; --paper: #14181f;
  --line: #333b47; --soft: #1f2630; --dot: #4d5766; --accent: #56B4E9; --warn: #3a2415;
  --shade: #000000d9; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 68rem; margin: 2rem auto; padding: 0 1.2rem; overflow-wrap: break-word; }
.beside { display: grid; gap: 0 2.5rem; align-items: start;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 32rem), 1fr)); }
.beside > * { min-width: 0; } .beside > * > :first-child { margin-top: 0.6rem; }
h1 { margin-bottom: 0.2rem; } h2 { margin-top: 2.6rem; }
p, li { max-width: 46rem; } .quiet { color: var(--quiet); }
.wide { overflow-x: auto; max-width: max-content; background:
  linear-gradient(90deg, var(--paper) 40%, transparent) 0 0 / 3rem 100% no-repeat local,
  linear-gradient(-90deg, var(--paper) 40%, transparent) 100% 0 / 3rem 100% no-repeat local,
  linear-gradient(90deg, var(--shade), transparent) 0 0 / 1rem 100% no-repeat,
  linear-gradient(-90deg, var(--shade), transparent) 100% 0 / 1rem 100% no-repeat; }
.wide:focus-visible { outline: 3px solid var(--accent); outline-offset: 1px; }
img { max-width: 100%; height: auto; background: #fff; }
table { border-collapse: collapse; font-size: 0.92rem; font-variant-numeric: tabular-nums; }
th, td { padding: 0.25rem 0.7rem; text-align: right; border-bottom: 1px solid var(--line); }
th { vertical-align: bottom; min-width: 3.6rem; } td { white-space: nowrap; }
td.word, th.word { text-align: left; }
th:first-child, td:first-child { text-align: left; position: sticky; left: 0; max-width: 16rem;
  background: var(--paper); white-space: normal; }
code { font-size: 0.92em; background: var(--soft); border-radius: 4px; padding: 0.1em 0.25em; }
code span { white-space: nowrap; }
.summary { padding-left: 1.2rem; } .summary li { margin: 0.25rem 0; }
.failed { border-left: 4px solid #D55E00; background: var(--warn); padding: 0.6rem 1rem; }
pre { overflow-x: auto; font-size: 0.8rem; }
.chart { margin: 1rem 0; max-width: 42rem; } .chart svg { width: 100%; height: auto; }
.chart text { font: 12px system-ui, sans-serif; fill: var(--quiet); }
.chart figcaption { display: flex; flex-wrap: wrap; gap: 0.2rem 1.4rem; font-size: 0.88rem;
  color: var(--quiet); } .chart figcaption span { min-width: 0; }
.chart figcaption svg { width: 26px; vertical-align: middle; }
.chart svg { overflow: visible; } @media (max-width: 40rem) { .chart text { font-size: 19px; }
  body { padding: 0 1rem; } th, td { padding: 0.25rem 0.45rem; } ul { padding-left: 1.2rem; }
  th:first-child, td:first-child { max-width: 8rem; } }
.note { box-sizing: border-box; border-left: 4px solid #E69F00; padding: 0.4rem 1rem;
  background: var(--soft); }
"""


def page(title: str, body: str, *, style: str = "", script: str = "") -> bytes:
    """Return a whole page, which may load nothing and run nothing but our own script.

    >>> b"default-src 'none'" in page("A & B", "<p>text</p>")
    True
    """
    style = STYLE + style
    allowed = [f"style-src {_hash(style)}", "img-src data:"]
    if script:
        allowed.append(f"script-src {_hash(script)}")
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        f'{"; ".join(allowed)}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{style}</style></head><body><main>\n"
        f"<h1>{escape(title)}</h1>\n{body}\n</main>\n"
        + (f"<script>{script}</script>\n" if script else "")
        + "</body></html>\n"
    ).encode()


def _hash(content: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


def data(name: str, value: Any) -> str:
    """Return what a script is to read as JSON, in which nothing ends the element.

    >>> print(data("a", ["</script>"]))
    <script type="application/json" id="a">["\\u003c/script>"]</script>
    """
    content = json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    content = content.replace("<", "\\u003c")
    return f'<script type="application/json" id="{name}">{content}</script>'


def section(title: str, text: str, *parts: str) -> str:
    """Return a heading, a paragraph of HTML and what follows."""
    return f"<h2>{title}</h2>\n" + (f"<p>{text}</p>\n" if text else "") + "\n".join(parts)


def details(title: str, content: str) -> str:
    """Return what is shown on demand."""
    return f"<details><summary>{title}</summary>{content}</details>"


def image(content: bytes, alt: str) -> str:
    """Return a .png picture as a part of the page."""
    code = base64.b64encode(content).decode()
    return f'<img alt="{escape(alt)}" src="data:image/png;base64,{code}">'


def beside(*parts: str) -> str:
    """Return parts that stand beside each other where there is room, else below."""
    return f'<div class="beside">{"".join(f"<div>{part}</div>" for part in parts if part)}</div>'


def scrolled(name: str, content: str, attributes: str = "") -> str:
    """Return a table that may be wider than a window: reached by keyboard, and named for it."""
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="{escape(name)}"{attributes}>'
        f"<table>{content}</table></div>"
    )


def table(name: str, columns: Columns, percent: Iterable[str] = ()) -> str:
    """Return columns of one length as a table of that name; some of them as percentages."""
    head = "".join(f'<th scope="col">{escape(column)}</th>' for column in columns)
    shares = set(percent)
    rows = (
        "".join(_cell(value, name in shares) for name, value in zip(columns, row, strict=True))
        for row in zip(*columns.values(), strict=True)
    )
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return scrolled(name, f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody>")


def _cell(value: Any, share: bool) -> str:
    if not isinstance(value, float):
        return f"<td>{escape(str(value))}</td>"
    if np.isnan(value):
        return "<td>–</td>"
    return f"<td>{100 * value:.1f}\u00a0%</td>" if share else f"<td>{value:.3g}</td>"
