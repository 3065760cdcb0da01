"""Seconds, and competitors that alternate: A B A B, a ratio for each pair."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

# Calls shorter than this are repeated until they took as long, and divided.
AT_LEAST = 0.05


def seconds(call: Callable[[int], Any], seed: int) -> float:
    """Time one call by the wall clock."""
    start = time.perf_counter()
    call(seed)
    taken = time.perf_counter() - start
    if taken >= AT_LEAST:
        return taken
    times = min(1_000, int(AT_LEAST / taken) + 1)
    start = time.perf_counter()
    for _ in range(times):
        call(seed)
    return (time.perf_counter() - start) / times


class TooBusyError(RuntimeError):
    """The clock says nonsense."""


def extrapolated(
    timer: Callable[[int, int], float], k: int, few: int, more: int
) -> Callable[[int], float]:
    """Make a timer that answers for a batch of k by what two short batches took.

    Parameters
    ----------
    timer : callable of (k, seed)
        Returns the seconds of a batch, in which each pick must cost the same.
    k : int
        The batch that the answer is for.
    few, more : int
        The two short batches.
    """

    def estimate(seed: int) -> float:
        # On a busy machine the shorter may take longer, which says nothing: once more.
        for _ in range(5):
            short, long = timer(few, seed), timer(more, seed)
            if long > short:
                return long + (k - more) * (long - short) / (more - few)
        raise TooBusyError("the machine is too busy to time a pick; let it rest and run again")

    return estimate


@dataclass
class Pairs:
    """What alternating runs took."""

    ours: list[float] = field(default_factory=list)
    theirs: list[float] = field(default_factory=list)

    @property
    def ratio(self) -> float:
        """The median over pairs of theirs / ours."""
        return statistics.median(b / a for a, b in zip(self.ours, self.theirs, strict=True))

    def as_dict(self) -> dict[str, Any]:
        """Every figure and the medians."""
        return {
            "ours": self.ours,
            "theirs": self.theirs,
            "median_ours": statistics.median(self.ours),
            "median_theirs": statistics.median(self.theirs),
            "ratio": self.ratio,
        }


def alternate(ours: Callable[[int], float], theirs: Callable[[int], float], repeats: int) -> Pairs:
    """Run two timers in turn, with the same seed for both of a pair."""
    pairs = Pairs()
    for seed in range(repeats):
        pairs.ours.append(ours(seed))
        pairs.theirs.append(theirs(seed))
    return pairs
