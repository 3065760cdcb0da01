"""The picks so far: those that passes have seen, and the block that waits for the next."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from labelnext.pools.check import TOO_SMALL, refuse_too_small
from labelnext.sampling._batch import COUNTERS, Batch

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from labelnext.engine import D2, Drawn, Factors, Gradients

# Rows that are looked at where all D² are 0.
SAMPLED = 1024
Progress = Callable[[Mapping[str, int]], None]


@dataclass(frozen=True)
class Groups:
    """Which rows belong together, and how many of each group may be picked.

    Parameters
    ----------
    of_row : numpy.ndarray of shape (n_rows,), int64
        The number of each row's group, from 0.
    limit : int
        How many rows of one group a batch may hold, at least 1.

    Examples
    --------
    >>> import numpy as np
    >>> from labelnext.sampling import Groups
    >>> Groups(np.array([0, 0, 0, 1]), limit=2).most()
    3
    """

    of_row: NDArray[np.int64]
    limit: int

    def most(self, exclude: NDArray[np.int64] | None = None) -> int:
        """Return how many rows can be picked at all, without some that are no candidates."""
        of_row = self.of_row if exclude is None else np.delete(self.of_row, exclude)
        return int(np.minimum(np.bincount(of_row), self.limit).sum())


class Room:
    """How much room the groups of one selection have left; without groups there is no end."""

    def __init__(self, groups: Groups | None = None) -> None:
        self.groups = groups
        self._picked: dict[int, int] = {}
        self._full: list[int] = []

    def admit(self, row: int) -> bool:
        """Pick a row if its group has room, and say whether it had."""
        if self.groups is None:
            return True
        group = int(self.groups.of_row[row])
        picked = self._picked.get(group, 0)
        if picked == self.groups.limit:
            return False
        self._picked[group] = picked + 1
        if picked + 1 == self.groups.limit:
            self._full.append(group)
        return True

    def filled(self) -> NDArray[np.int64]:
        """Return the rows of groups that have become full since the last call."""
        if self.groups is None or not self._full:
            return np.empty(0, dtype=np.int64)
        rows = np.flatnonzero(np.isin(self.groups.of_row, self._full))
        self._full.clear()
        return rows.astype(np.int64)


@dataclass
class Picks:
    """A batch in the making."""

    gradients: Gradients
    d2: D2
    k: int
    progress: Progress | None = None
    room: Room = field(default_factory=Room)
    rows: list[int] = field(default_factory=list)
    pseudo_labels: list[NDArray[Any]] = field(default_factory=list)
    squared_norms: list[float] = field(default_factory=list)
    d2_at_pick: list[float] = field(default_factory=list)
    potentials: list[float] = field(default_factory=list)
    waiting: list[Factors] = field(default_factory=list)
    n_waiting: int = 0
    stats: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTERS, 0))

    def __len__(self) -> int:
        return len(self.rows)

    def add_drawn(self, drawn: Drawn) -> int:
        """Add what was accepted of drawn rows, and say how many these are."""
        n = len(drawn.rows)
        self.stats["proposals"] += drawn.n_seen
        self.stats["accepted"] += n
        if n:
            self.add(drawn.factors, drawn.rows, drawn.d2)
        return n

    def add(self, factors: Factors, rows: list[int], d2: list[float]) -> None:
        """Add picks, with their D² at the moment of the pick; they wait for a pass."""
        self.rows += rows
        self.pseudo_labels.append(factors.pseudo_labels)
        self.squared_norms += factors.squared_norms.tolist()
        self.d2_at_pick += d2
        self.waiting.append(factors)
        self.n_waiting += len(factors)
        self.stats["picks"] = len(self)
        self._report()

    def add_rest(self, rows: list[int]) -> None:
        """Add the last picks, all of them at a centre: nothing is left that a pass could lower."""
        array = np.array(rows, dtype=np.int64)
        self.add(self.gradients.gather(array), rows, [0.0] * len(rows))
        self.forget_waiting()
        self.potentials += [0.0] * len(rows)

    def make_pass(self) -> None:
        """Make one pass over the pool with all picks that wait for it."""
        rows = np.array(self.rows[-self.n_waiting :], dtype=np.int64)
        block = type(self.waiting[0]).concatenate(self.waiting)
        # Before the pass, so that they are in memory once while it runs.
        self.forget_waiting()
        self.potentials += self._pass(block, rows)
        self.withdraw_filled()

    def withdraw_filled(self) -> None:
        """Make the rows of full groups unavailable; until now draws of them were refused."""
        filled = self.room.filled()
        if len(filled):
            self.d2.withdraw(filled)

    def condition_on(self, centres: NDArray[np.int64], at_once: int) -> None:
        """Make passes with rows that are centres from the start, and are not picked."""
        left = np.inf
        for lo in range(0, len(centres), at_once):
            rows = centres[lo : lo + at_once]
            *_, left = self._pass(self.gradients.gather(rows), rows)
        self.refuse_too_small(left / self.gradients.n_rows)

    def _pass(self, block: Factors, rows: NDArray[np.int64]) -> list[float]:
        report = self.d2.min_update(block, rows)
        self.stats["passes"] += 1
        for name, count in report.counters.items():
            self.stats[name] += count
        self._report()
        potentials: list[float] = report.potentials.tolist()
        return potentials

    def refuse_too_small(self, largest: float) -> None:
        """Before anything is chosen: find out whether D² are no larger because squares are 0."""
        if largest < TOO_SMALL**2 and not self.gradients.bias:
            n = self.gradients.n_rows
            rows = np.unique(np.linspace(0, n - 1, min(n, SAMPLED)).astype(np.int64))
            refuse_too_small(self.gradients.stored(rows).features)

    def forget_waiting(self) -> None:
        """No pick waits for a pass any more."""
        self.waiting.clear()
        self.n_waiting = 0

    def _report(self) -> None:
        if self.progress is not None:
            self.progress(dict(self.stats))

    def batch(self) -> Batch:
        """The picks as a batch."""
        return Batch(
            indices=np.array(self.rows, dtype=np.int64),
            pseudo_labels=np.concatenate(self.pseudo_labels)
            if self.gradients.has_pseudo_labels
            else None,
            gradient_norms=np.sqrt(np.array(self.squared_norms, dtype=np.float64)),
            d2=np.array(self.d2_at_pick, dtype=np.float64),
            potentials=np.array(self.potentials, dtype=np.float64),
            stats=self.stats,
        )
