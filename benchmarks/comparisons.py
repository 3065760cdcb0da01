"""Selections held against competitors and the floor, with what is to be reached."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import labelnext
from benchmarks.competitors import factored, skactiveml
from benchmarks.competitors.bmdal import Worker
from benchmarks.floor import read_once
from benchmarks.pools import load_pool, make_pool
from benchmarks.timing import TooBusyError, alternate, extrapolated, seconds
from labelnext.datasets import DatasetNotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.pools import Pool

    Timer = Callable[[int, int], float]

FACTORED = "factored, a pass a pick"
SKACTIVEML = "scikit-activeml 1.0.1"
BMDAL = "bmdal-reg"
FLOOR = "reading both factors once"


@dataclass(frozen=True)
class Comparison:
    """A batch of k from a pool against something, and the ratio that is required, if any.

    `few` and `more` are the picks to extrapolate from; None runs the other in full. Against the
    floor `required` is how many times its time we may take; else how many times faster we must
    be.
    """

    pool: str
    k: int
    against: str
    required: float | None = None
    repeats: int = 5
    extrapolate: tuple[int, int] | None = None

    @property
    def is_floor(self) -> bool:
        """Whether less is asked, not more."""
        return self.against == FLOOR


IMAGENET = [
    Comparison("imagenet-shape", 10_000, FACTORED, 500, 3, (5, 45)),
    Comparison("imagenet-shape", 10_000, FLOOR, 12, 3),
]

SECTIONS: dict[str, list[Comparison]] = {
    "fashion": [
        Comparison("fashion-2000", 1_000, FACTORED, 60),
        Comparison("fashion-2000", 5_000, FACTORED, 100, 3),
        Comparison("fashion-2000", 1_000, SKACTIVEML, 5_000, 3, (2, 42)),
        Comparison("fashion-2000", 100, FACTORED, 20),
        Comparison("fashion-2000", 1_000, BMDAL, None, 3),
        Comparison("fashion-2000", 1_000, FLOOR),
        Comparison("fashion-200", 1_000, FACTORED),
        Comparison("fashion-20000", 1_000, FACTORED),
    ],
    "newsgroups": [
        Comparison("newsgroups-signed", 1_000, FACTORED, 20),
        Comparison("newsgroups-tfidf", 1_000, FACTORED, None, 3, (5, 55)),
    ],
    "letter": [Comparison("letter", 1_000, FACTORED)],
    "classes": [
        Comparison(f"synthetic-50000x512x{n_classes}", 1_000, FACTORED, None, 3, (5, 55))
        for n_classes in (2, 10, 100, 1_000)
    ],
    "tiny": [Comparison("tiny", 4, FACTORED, 1, 15)],
    "imagenet": IMAGENET,
}


def quick(comparison: Comparison) -> Comparison:
    """Return the same comparison, run twice and extrapolated from few picks."""
    few = comparison.extrapolate or (5, 55) if comparison.k > 100 else None
    if comparison.is_floor:
        few = None
    return replace(comparison, repeats=min(2, comparison.repeats), extrapolate=few)


def run(comparisons: list[Comparison], threads: int, log: Callable[[str], None]) -> list[dict]:
    """Run comparisons, those of one pool one after the other; a pool is in memory for them only."""
    rows, pool = [], None
    for comparison in comparisons:
        if pool is None or pool.name != comparison.pool:
            pool = None
            try:
                pool = load_pool(comparison.pool)
            except (DatasetNotFoundError, ImportError) as error:
                rows.append({**_row(comparison), "not_run": str(error)})
                continue
            # What is loaded at first use is measured elsewhere.
            _select(pool, comparison.k, 0)
        log(f"{comparison.pool}, k = {comparison.k:,}, against {comparison.against}")
        try:
            rows.append(_run_one(comparison, pool, threads))
        except TooBusyError as error:
            rows.append({**_row(comparison), "not_run": str(error)})
    return rows


def _row(comparison: Comparison) -> dict[str, Any]:
    return {
        "pool": comparison.pool,
        "n": None,
        "k": comparison.k,
        "against": comparison.against,
        "required": comparison.required,
        "extrapolated_from": comparison.extrapolate,
    }


def _run_one(comparison: Comparison, pool: Pool, threads: int) -> dict[str, Any]:
    k = comparison.k
    row = {**_row(comparison), "n": len(pool)}

    stats: dict[str, int] = {}

    def select(seed: int) -> None:
        stats.update(_select(pool, k, seed).stats)

    def ours(seed: int) -> float:
        return seconds(select, seed)

    try:
        with _timer(comparison, pool, threads) as timer:
            theirs = (
                extrapolated(timer, k, *comparison.extrapolate)
                if comparison.extrapolate
                else lambda seed: timer(k, seed)
            )
            pairs = alternate(ours, theirs, comparison.repeats)
    except ImportError as error:
        return {**row, "not_run": str(error)}
    row |= pairs.as_dict()
    measured = 1 / pairs.ratio if comparison.is_floor else pairs.ratio
    row |= {"measured": measured, "stats": stats}
    if comparison.required is not None:
        row["reached"] = (
            measured <= comparison.required
            if comparison.is_floor
            else measured >= comparison.required
        )
    return row


@contextmanager
def _timer(comparison: Comparison, pool: Pool, threads: int) -> Iterator[Timer]:
    """Give a timer of (k, seed) for what a comparison is against; ImportError if it is missing."""
    if comparison.is_floor:
        yield lambda k, seed: read_once(pool, threads)
    elif comparison.against == BMDAL:
        with Worker(make_pool(pool.name)) as worker:
            # Torch warms up as well.
            worker.seconds(10, 0)
            yield worker.seconds
    else:
        sample = skactiveml if comparison.against == SKACTIVEML else factored
        yield lambda k, seed: seconds(lambda seed: sample(pool.proba, pool.features, k, seed), seed)


def _select(pool: Pool, k: int, seed: int) -> labelnext.Batch:
    return labelnext.select(pool.proba, pool.features, k, random_state=seed)
