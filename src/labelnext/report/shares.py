"""How many labels each class has, and how common it is: of samples that were not chosen."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

from labelnext.utils.text import counted

if TYPE_CHECKING:
    from labelnext.report.read import Read

KINDS = ("test", "random", "strategy", "other")
WARNING = (
    "Labels of samples that a strategy has chosen do not tell how common a class is: it looks for "
    "what is rare and doubtful. The share is estimated from the test set and the random picks alone"
)


class ClassCounts(NamedTuple):
    """
    Labels of each class, and an estimate of how common it is.

    Parameters
    ----------
    rows : list of dict
        Of each `class` how many labels it has in the `test` set, among `random` picks, among those
        that a `strategy` chose, and `other` ones, which no round had asked for; and its `share` of
        all samples, with the ends of a 95 % interval, `low` and `high`; None where nothing tells.
    warning : str
        What not to conclude from the counts.

    Examples
    --------
    >>> from labelnext.loop import ClassCounts
    >>> ClassCounts._fields
    ('rows', 'warning')
    """

    rows: list[dict[str, Any]]
    warning: str


def class_counts(of: Read) -> ClassCounts:
    """Count the labels of each class by why their samples were asked for."""
    classes: list[str] = of.loop.classes
    pool, test = of.labels, of.test
    said: dict[str, list[str]] = {
        labels.ids[row]: [labels.y[row]] if of.task == "multiclass" else labels.y[row]
        for labels in (pool, test)
        for row in labels.labeled
    }
    # Of a sample that was picked again, because nobody had answered, the last time counts.
    asked = {
        pick["id"]: (pick["kind"], number) for number, picks in of.picks.items() for pick in picks
    }
    counts: dict[str, Counter[str]] = {name: Counter() for name in classes}
    drawn: defaultdict[int, list[list[str]]] = defaultdict(list)  # by round, 0 for the test set
    for key, names in said.items():
        kind, number = asked.get(key, ("other", -1))
        for name in names:
            counts[name][kind] += 1
        if kind in ("test", "random"):
            drawn[number].append(names)
    n_pool = of.at["samples"] - of.at["test"]
    # What was labelled before a random slice was drawn is no part of what it stands for: it is
    # known, and counts as it is. The test set, drawn first, stands for all.
    known = {
        number: [
            names
            for key, names in said.items()
            if number and key in of.labeled and asked.get(key, ("", -1))[1] < number
        ]
        for number in drawn
    }
    rows = []
    for name in classes:
        row: dict[str, Any] = {"class": name} | {kind: counts[name][kind] for kind in KINDS}
        parts = []
        for number, labels in drawn.items():
            n, hits = len(labels), sum(name in names for names in labels)
            before = sum(name in names for names in known[number])
            rest = (n_pool - len(known[number])) / n_pool
            parts.append((n, hits, before / n_pool, rest))
        rows.append(row | _estimate(parts))
    n_drawn = sum(map(len, drawn.values()))
    return ClassCounts(rows, f"{WARNING} ({n_drawn:,} of {counted(len(said), 'label')}).")


def _estimate(parts: list[tuple[int, int, float, float]]) -> dict[str, float | None]:
    """Join what each random slice says: n, hits, the share known before, the rest's weight."""
    total = sum(n for n, *_ in parts)
    if not total:
        return {"share": None, "low": None, "high": None}
    share = sum(n / total * (before + rest * hits / n) for n, hits, before, rest in parts)
    # With Agresti and Coull's two hits and two misses, none of n is no proof of none at all; it is
    # two in all, however many the slices.
    centre = variance = 0.0
    for n, hits, before, rest in parts:
        weight = n / total
        p = (hits + 2 * weight) / (n + 4 * weight)
        centre += weight * (before + rest * p)
        variance += (weight * rest) ** 2 * p * (1 - p) / (n + 4 * weight)
    half = 1.96 * math.sqrt(variance)
    return {"share": share, "low": max(0.0, centre - half), "high": min(1.0, centre + half)}
