"""A page of a batch: the map of its pool, what each pick looks like, what is left, the table."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from labelnext.sampling._shown import shown
from labelnext.sampling.projection import (
    DENSE,
    halvings,
    known_potentials,
    project,
    rows_to_draw,
)
from labelnext.utils import page
from labelnext.utils.chart import chart
from labelnext.utils.libraries import without_tensor
from labelnext.utils.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    from labelnext.pools import Pool

    Floats = NDArray[np.float64]
    Rows = NDArray[np.int64]

# The map: units across and of its margin, cells across where it is dense, picks with numbers.
WIDTH, MARGIN, ACROSS, NUMBERED = 1000, 34, 130, 20
STYLE = """
body { max-width: 112rem; }
.map { display: flex; flex-wrap: wrap; gap: 1.5rem; align-items: flex-start; }
.map figure { flex: 2 1 38rem; min-width: min(100%, 22rem); max-width: max(38rem, 110vh);
  margin: 0; }
.map aside { flex: 1 1 17rem; max-width: 40rem; position: sticky; top: 1rem; max-height: 94vh;
  overflow-y: auto; border: 1px solid var(--line); border-radius: 8px; padding: 0 1rem 0.8rem; }
.plane { position: relative; border: 1px solid var(--line); border-radius: 8px; }
.plane canvas { display: block; width: 100%; } .plane svg { position: absolute; inset: 0;
  width: 100%; height: 100%; overflow: visible; }
circle.pick { stroke: var(--paper); stroke-width: 1.5; cursor: pointer; outline: none; }
circle.pick.shown { stroke: var(--ink); stroke-width: 2.5; }
#ring { fill: none; stroke: var(--ink); stroke-width: 2; pointer-events: none; }
circle.pick:focus-visible { stroke: var(--ink); stroke-width: 3; }
.plane text { font: bold 17px system-ui, sans-serif; fill: var(--ink); text-anchor: middle;
  stroke: var(--paper); stroke-width: 4; paint-order: stroke; pointer-events: none; }
fieldset { border: 0; padding: 0; margin: 0 0 0.6rem; display: flex; flex-wrap: wrap;
  gap: 0 1.1rem; }
fieldset label { padding: 0.2rem 0; cursor: pointer; } legend { float: left; padding: 0.2rem 0;
  margin-right: 1rem; }
button { font: inherit; color: inherit; background: none; border: 1px solid transparent;
  border-radius: 6px; padding: 0.1rem 0.5rem; min-height: 1.7rem; min-width: 1.7rem;
  cursor: pointer; }
button:hover { background: var(--soft); } .step button { border-color: var(--line); }
button[aria-pressed=true] { border-color: var(--ink); }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 1px; }
#legend p, figcaption { font-size: 0.88rem; margin: 0.5rem 0; } figcaption { color: var(--quiet); }
.names { display: flex; flex-wrap: wrap; gap: 0.1rem 0.2rem; font-size: 0.92rem;
  max-height: 9rem; overflow-y: auto; }
.names i { display: inline-block; width: 0.8em; height: 0.8em; border-radius: 50%;
  margin-right: 0.4em; }
.bar { display: flex; gap: 0.6rem; align-items: center; font-size: 0.88rem; }
.bar i { flex: 0 1 14rem; height: 0.7rem; border-radius: 4px; }
#pick h2 { font-size: 1.15rem; margin: 0.9rem 0 0.5rem; overflow-wrap: anywhere; }
#pick img { display: block; width: 100%; max-height: 20rem; object-fit: contain;
  border-radius: 4px; } img.small { image-rendering: pixelated; }
#pick .text { white-space: pre-wrap; overflow-wrap: anywhere; max-height: 17rem; overflow-y: auto;
  margin: 0.3rem 0 0.6rem; } .field { font-size: 0.82rem; }
dl { display: grid; grid-template-columns: auto 1fr; gap: 0.1rem 0.8rem; margin: 0.8rem 0;
  font-variant-numeric: tabular-nums; } dt { color: var(--quiet); }
dd { margin: 0; text-align: right; overflow-wrap: anywhere; }
#table { max-height: 42rem; overflow: auto; } #table tr.shown td { background: var(--soft); }
#table thead th { position: sticky; top: 0; background: var(--paper); white-space: nowrap;
  z-index: 1; } #table thead th:first-child { z-index: 2; }
#table td button { color: var(--accent); text-decoration: underline; }
#table th button::after { content: " ↕"; color: var(--dot); }
#table th[aria-sort=ascending] button::after { content: " ↑"; }
#table th[aria-sort=descending] button::after { content: " ↓"; }
td.sample { text-align: left; max-width: 22rem; overflow: hidden; text-overflow: ellipsis;
  white-space: nowrap; } td.sample img { height: 44px; width: auto; display: block; }
@media (max-width: 40rem) { .map aside { position: static; max-height: none; } }
"""
MEANING = {
    "gradient_norm": "how much its label could change the model",
    "d2": "how unlike all earlier picks it is",
    "potential": "what is left to cover after it",
}
SCRIPT = Path(__file__).with_name("_map.js")


@dataclass
class Shade:
    """One way to colour a map: what it says of the rows drawn and of the picks, NaN for nothing."""

    key: str
    title: str
    told: str
    rows: Floats
    picks: Floats
    names: Sequence[str] | None = None
    ends: tuple[str, str] = ("", "")
    range: tuple[float, float] = (0.0, 1.0)
    of_cell: str = "mean"  # or "most" for names, "any" for the highest


@dataclass
class Described:
    """What a page says of the picks: a heading each, columns, and what samples look like."""

    titles: Sequence[str]
    columns: Mapping[str, Sequence[Any]]
    samples: Sequence[dict[str, Any]] | None = None
    norms: Floats | None = None
    numbered: bool = True
    titled: Sequence[str] = ("rank",)  # columns that the heading says


def batch_page(
    columns: Mapping[str, list[Any]],
    titles: Mapping[str, str],
    pool: Pool,
    *,
    samples: Any = None,
    exclude: ArrayLike | None = None,
    max_background: int = 20_000,
) -> bytes:
    """Return the page of a batch, given as its columns, and their titles."""
    rows = np.asarray(columns["row"], dtype=np.int64)
    n, k = pool.n_rows, len(rows)
    visible = None if samples is None else seen(pool, samples, rows)
    read = {**columns}
    if "pseudo_label" in columns:
        titles = {**titles, "pseudo_label": "model's guess"}
        read["pseudo_label"] = _classes(columns["pseudo_label"])
    facts = {titles.get(name, name): values for name, values in read.items()}
    norms = np.asarray(columns["gradient_norm"]) if "gradient_norm" in columns else None
    described = Described([f"Pick {one + 1}" for one in range(k)], facts, visible, norms)
    drawn, points, told = drawn_map(pool, rows, max_background)
    taken = np.union1d(pool.labeled, np.asarray([] if exclude is None else exclude, np.int64))
    shades = [
        Shade(
            *("order", "Order", "Picks from the first to the last; the pool is grey."),
            *(np.full(len(drawn), np.nan), np.arange(k, dtype=np.float64)),
            ends=("first", "last"),
            range=(0.0, float(max(k - 1, 1))),
        ),
        *shades_of_model(pool, drawn, rows),
        Shade(
            *("labelled", "What is labelled", "Grey is what is neither labelled nor picked."),
            *(np.where(np.isin(drawn, taken), 0.0, -1.0), np.ones(k)),
            names=["labelled already, or excluded", "picked"],
            of_cell="any",
        ),
    ]
    potentials = known_potentials(columns.get("potential"))
    how = (
        "Go from one to the next with the buttons, or choose one in the table."
        if points is None
        else "Point at a pick on the map to see it; with the keyboard, Tab to the map and use the "
        "arrows."
    )
    means = [
        f"The {titles[name]} says {what}." for name, what in MEANING.items() if name in columns
    ]
    table_says = "A heading sorts; a number shows the pick on the map."
    body = [
        f'<p class="quiet">What people should label next: {k:,} of {counted(n, "sample")}, in '
        f"order; label from the top. {how}</p>",
        map_part(described, drawn, points, told, shades),
        "" if potentials is None else _left_to_cover(potentials),
        page.section("The table", " ".join([table_says, *means]), table_of(described)),
    ]
    title = f"{k:,} pick{'s' * (k != 1)} in a pool of {n:,}"
    script = SCRIPT.read_text("utf-8")
    return page.page(title, "\n".join(body), style=STYLE, script=script)


def check_samples(pool: Pool, samples: Any) -> None:
    """Find out before the work whether samples can be read and fit a pool."""
    seen(pool, samples, np.zeros(1, np.int64))


def seen(pool: Pool, samples: Any, rows: Rows, *, root: Path | None = None) -> list[dict[str, Any]]:
    """Return what there is to see of some rows of a pool; paths are relative to `root`."""
    ids, has_ids = pool.ids_of(rows), "ids" in pool.known
    return shown(samples, rows, ids, n_rows=pool.n_rows, has_ids=has_ids, root=root)


def drawn_map(pool: Pool, picks: Rows, most: int) -> tuple[Rows, Floats | None, str]:
    """Return the rows to draw beside the picks, the points of both, and what they show."""
    if pool.n_features is None:
        return np.empty(0, np.int64), None, "The pool has no features, so there is no map."
    drawn = rows_to_draw(pool, picks, most)
    points, told = project(pool, np.concatenate([drawn, picks]))
    near = (
        "Each dot is a sample, and alike ones are near each other; but some that are near here "
        "differ in directions that no map of two shows."
    )
    told = told[0].upper() + told[1:].replace("\n", "; ")
    return drawn, points, f"{near} {told}."


def shades_of_model(pool: Pool, drawn: Rows, picks: Rows) -> list[Shade]:
    """Colour by what a model says, where the pool knows it: class and probability."""
    if "proba" not in pool.source.parts or pool.task not in ("multiclass", "binary"):
        return []
    rows = np.concatenate([drawn, picks])
    order = np.argsort(rows)
    read = without_tensor(pool.read("proba", rows[order])).astype(np.float64)
    read = read.mean(axis=0) if read.ndim == 3 else read
    proba = np.empty_like(read)
    proba[order] = read
    if proba.shape[1] == 1:
        proba = np.hstack([1 - proba, proba])
    guess, highest = proba.argmax(axis=1).astype(np.float64), proba.max(axis=1)
    n, n_classes = len(drawn), proba.shape[1]
    names = _classes(range(n_classes) if pool.classes is None else pool.classes.tolist())
    return [
        Shade(
            *("class", "Class", "The class that the model thinks most probable."),
            *(guess[:n], guess[n:]),
            names=names,
            of_cell="most",
        ),
        Shade(
            *("probability", "Probability", "How probable the model thinks that class."),
            *(highest[:n], highest[n:]),
            ends=(f"{1 / n_classes:.2g}, a guess", "1, sure"),
            range=(1 / n_classes, 1.0),
        ),
    ]


def map_part(
    of: Described, drawn: Rows, points: Floats | None, told: str, shades: Sequence[Shade]
) -> str:
    """Return the map, its switches, and the place where a pick is shown."""
    n, k = len(drawn), len(of.titles)
    dense = n > DENSE
    height, at = (100, np.zeros((n + k, 2))) if points is None else _on_paper(points)
    size = WIDTH / ACROSS if dense else float(np.clip(300 / np.sqrt(max(n, 1)), 5, 12))
    cell = (
        np.unique(at[:n] // size, axis=0, return_inverse=True) if dense else (at[:n], np.arange(n))
    )
    where = (cell[0] + 0.5) * size if dense else cell[0]
    place = np.asarray(cell[1]).ravel()
    counts = np.bincount(place, minlength=len(where))
    radii = _radii(k, of.norms)
    facts = [
        [[name, _said(values[i])] for name, values in of.columns.items() if name not in of.titled]
        for i in range(k)
    ]
    content = {
        "width": WIDTH,
        "height": height,
        "dense": dense,
        "cells": round(size, 2),
        "pool": {
            "x": where[:, 0].round(1).tolist(),
            "y": where[:, 1].round(1).tolist(),
            "n": counts.tolist(),
            "values": {shade.key: _of_cells(shade, place, counts) for shade in shades},
        },
        "picks": [
            {
                "x": round(float(at[n + i, 0]), 1),
                "y": round(float(at[n + i, 1]), 1),
                "r": round(float(radii[i]), 1),
                "number": str(i + 1) if of.numbered and i < NUMBERED else "",
                "title": _clean(of.titles[i]),
                "label": _clean("; ".join([of.titles[i], *(f"{a} {b}" for a, b in facts[i])])),
                "facts": facts[i],
                "sample": None if of.samples is None else of.samples[i],
                "values": {shade.key: _or_none(shade.picks[i]) for shade in shades},
            }
            for i in range(k)
        ],
        "modes": [
            {
                "key": shade.key,
                "title": shade.title,
                "told": shade.told,
                "names": None if shade.names is None else [_clean(name) for name in shade.names],
                "low": shade.range[0],
                "high": shade.range[1],
                "lowest": shade.ends[0],
                "highest": shade.ends[1],
            }
            for shade in shades
        ],
    }
    density = " Darker where more samples lie." if dense else ""
    hidden = " hidden" if points is None else ""
    return (
        f'<div class="map" id="map"><figure><div{hidden}>'
        '<fieldset id="modes"><legend>Colour by</legend></fieldset>'
        f'<div class="plane"><canvas id="pool" role="img" aria-label="Map of the pool"></canvas>'
        f'<svg id="picks" viewBox="0 0 {WIDTH} {height}" role="group" aria-label="The picks on the '
        'map; arrows go from one to the next"></svg></div>'
        f'<div id="legend"></div></div><figcaption>{escape(told)}{density}</figcaption></figure>'
        '<aside aria-label="The pick"><div id="pick" aria-live="polite"></div>'
        '<div class="step"><button type="button" id="before">← Before</button> '
        '<button type="button" id="after">Next →</button></div></aside></div>'
        "<noscript><p>The map needs JavaScript, the table does not.</p></noscript>"
        f"{page.data('map-data', content)}"
    )


def _on_paper(points: Floats) -> tuple[int, Floats]:
    """Fit points into the map, one scale for both directions, y upwards."""
    low, high = points.min(axis=0), points.max(axis=0)
    span = np.maximum(high - low, 1e-9 * (float(np.abs(points).max()) or 1.0))
    inner = WIDTH - 2 * MARGIN
    height = int(np.clip(inner * span[1] / span[0], 400, 720)) + 2 * MARGIN
    scale = min(inner / span[0], (height - 2 * MARGIN) / span[1])
    middle = (low + high) / 2
    return height, np.array([WIDTH, height]) / 2 + (points - middle) * scale * [1, -1]


def _radii(k: int, norms: Floats | None) -> Floats:
    """Give each pick a radius: its area is by its norm, and none is too small to point at."""
    full = float(np.clip(180 / np.sqrt(k), 7, 16))
    if norms is None or not np.nanmax(norms, initial=0) > 0:
        return np.full(k, full)
    norms = np.nan_to_num(norms, nan=float(np.nanmedian(norms)))  # of picks drawn at random
    radii: Floats = np.maximum(full * np.sqrt(norms / norms.max()), 5.0)
    return radii


def _classes(values: Iterable[Any]) -> list[Any]:
    """Return classes as people read them: a bare number says nothing of what it is."""

    def named(value: Any) -> Any:
        if isinstance(value, list | tuple):
            return [named(one) for one in value]
        return f"class {value}" if isinstance(value, int) else value

    return [named(value) for value in values]


def _of_cells(shade: Shade, place: Rows, counts: Rows) -> list[float | None] | None:
    """Return one value for each cell, None for all if there are none."""
    values = shade.rows
    if not np.isfinite(values).any():
        return None
    found = np.full(len(counts), np.nan)
    if shade.of_cell == "mean":
        found = np.bincount(place, values, len(counts)) / counts
    elif shade.of_cell == "any":
        found[:] = -1
        np.maximum.at(found, place, values)
    else:
        pairs, often = np.unique(np.column_stack([place, values]), axis=0, return_counts=True)
        order = np.argsort(often, kind="stable")  # the most frequent is written last
        found[pairs[order, 0].astype(np.int64)] = pairs[order, 1]
    return [_or_none(value) for value in found]


def _or_none(value: float) -> float | None:
    return round(float(value), 4) if np.isfinite(value) else None


def _clean(text: object) -> str:
    return str(text).encode("utf-8", "replace").decode()


def _said(value: Any) -> str:
    if isinstance(value, list | tuple):
        return _clean(", ".join(map(str, value))) or "none"
    if value is None or value != value:  # noqa: PLR0124 — NaN
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else _clean(value)


def _order(value: float) -> str:
    return repr(value) if value == value else "-Infinity"  # noqa: PLR0124 — NaN


def table_of(of: Described) -> str:
    """Return the table of the picks, with a button on each heading and each rank."""
    columns: dict[str, Sequence[Any]] = dict(of.columns)
    texts = {}
    if of.samples is not None:
        texts["sample"] = [" · ".join(text for _, text in each["fields"]) for each in of.samples]
    numbers = {
        name for name, values in columns.items() if all(isinstance(v, int | float) for v in values)
    }
    word = 'class="word"'
    head = "".join(
        f'<th scope="col" {"data-number" if name in numbers else word}><button type="button">'
        f"{escape(name)}</button></th>"
        for name in [*columns, *texts]
    )
    lines = []
    for i in range(len(of.titles)):
        cells = [
            f'<td data-v="{_order(values[i])}">{escape(_said(values[i]))}</td>'
            if name in numbers
            else f'<td class="word">{escape(_said(values[i]))}</td>'
            for name, values in columns.items()
        ]
        label = escape(f"Show {_clean(of.titles[i])}")
        first = escape(_said(next(iter(columns.values()))[i]))
        cells[0] = (
            f'<td data-v="{i + 1}"><button type="button" aria-label="{label}">{first}</button></td>'
        )
        cells += [f'<td class="sample">{escape(values[i][:160])}</td>' for values in texts.values()]
        lines.append(f'<tr data-at="{i}">{"".join(cells)}</tr>')
    content = f"<thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody>"
    return page.scrolled("The picks", content, ' id="table"')


def _left_to_cover(potentials: Floats) -> str:
    """Say in plain words what a batch leaves."""
    k, first, last = len(potentials), float(potentials[0]), float(potentials[-1])
    title = "What is left to cover"
    what = (
        "The potential says how much of the pool the picks leave out: for each sample, how "
        "different it is from the nearest pick in what its label would change in the model "
        "(the squared distance of the two gradients), summed up. It is large while there are "
        "samples unlike all picks, and 0 once each has a pick that would teach the same."
    )
    if not first > 0:
        return page.section(title, f"{what} Here one pick covers the pool.")
    if k == 1:
        return page.section(title, f"{what} After this pick it is {first:.4g}.")
    share = potentials / first
    said = (
        f"After all {counted(k, 'pick')}, {_percent(share[-1])} is left of what was left after "
        "the first."
    )
    gone = {1: "half", 2: "three quarters", 3: "seven eighths"}
    marks = {level: at for at, level in halvings(share, 3).items()}
    if marks:
        parts = [
            f"{gone[level]} or more after {counted(marks[level], 'pick')}"
            for level in sorted(marks)
        ]
        said += f" It had fallen by {', by '.join(parts)}."
    tail = max(k // 10, 1)
    before = float(potentials[-1 - tail])
    advice = ""
    if k >= 10:
        falls = 1 - (last / before) if before > 0 else 0.0
        which = f"{tail:,} picks" if tail > 1 else "pick"
        advice = f" The last {which} took away {_percent(falls)} of what was left before: " + (
            "more picks of this kind would still bring much."
            if falls > 0.1
            else "more picks would bring something new, but slowly."
            if falls > 0.02
            else "more picks would bring little that is new to this model."
        )
    points = [(rank, float(value), np.nan, np.nan) for rank, value in enumerate(share, 1)]
    curve = chart({"left": points}, x="picks", y="share that is left", shares=True, log=True)
    return page.section(title, "", page.beside(f"<p>{what}</p><p>{said}{advice}</p>", curve))


def _percent(share: float) -> str:
    return f"{100 * share:.2g}\u00a0%" if share < 0.995 else "almost all"
