"""What a loop with people costs: at 100,000 samples and 10,000 picks, and how that grows."""

from __future__ import annotations

import statistics
import tempfile
import time
from typing import TYPE_CHECKING, Any

import numpy as np

import labelnext
from labelnext.loop import Loop

if TYPE_CHECKING:
    from collections.abc import Callable

AT_MOST = 0.050  # seconds from an answer to the next item


def measure(n: int, k: int, repeats: int) -> dict[str, Any]:
    """Time a new loop, a round, and what a person waits for at its start and in its middle."""
    with tempfile.TemporaryDirectory() as folder:
        texts = [f"A text of some length with the number {row}. " * 10 for row in range(n)]
        create, loop = _timed(
            lambda: Loop.create(
                folder, texts, classes=["a", "b"], test=200, overlap=0.2, random_state=0
            )
        )
        proba = np.random.default_rng(0).dirichlet([1, 1], n)
        pool = labelnext.Pool(proba, ids=[str(row) for row in range(n)], classes=["a", "b"])
        choose, _ = _timed(lambda: loop.next(pool, k, strategy="uncertainty", random_state=0))
        first = _answers(loop, "ann", repeats)
        half = [pick["id"] for pick in loop.picks(1)[: k // 2]]
        loop.add_labels(half, ["a"] * len(half), annotator="ann", source="benchmark")
        # Of the picks that two people are asked for she has answered hers: they are passed over.
        middle = _answers(loop, "ann", repeats)
        rest = {
            name: _timed(getattr(loop, name))[0] for name in ("labels", "progress", "class_counts")
        }
    slowest = max(first["both"], middle["both"])
    times = {"create": create, "next": choose, "first": first, "middle": middle, "rest": rest}
    return {"n": n, "k": k, **times, "at_most": AT_MOST, "reached": slowest <= AT_MOST}


def _answers(loop: Loop, annotator: str, repeats: int) -> dict[str, float]:
    """Return the medians of `take` and `record`, and what 19 of 20 take together at most."""
    takes, records = [], []
    for _ in range(repeats):
        seconds, items = _timed(lambda: loop.take(annotator, 5))
        takes.append(seconds)
        seconds, _ = _timed(lambda: loop.record(items[0], "label", "a", annotator=annotator))  # noqa: B023
        records.append(seconds)
    both = np.add(takes, records)
    return {
        "take": statistics.median(takes),
        "record": statistics.median(records),
        "both": float(np.quantile(both, 0.95)),
    }


def _timed(call: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = call()
    return time.perf_counter() - start, result
