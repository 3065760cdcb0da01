"""D² of a pool in parts: sums here, rows there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from labelnext.engine._base import D2, PassReport
from labelnext.engine._journal import Journal
from labelnext.engine._sharded import SentFactors, by_part, in_order
from labelnext.engine._weights import Scale

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from labelnext.engine._factors import Factors
    from labelnext.engine._parts import State
    from labelnext.engine._sharded import ShardedGradients


class ShardedD2(D2):
    """D² of a `ShardedGradients`: each part keeps its own, and all agree on the scale of weights.

    A change of D² is one call of each part, whose answer is a few numbers; where the scale of the
    whole turns out to be another than a part's, that part is called once more.
    """

    def __init__(self, pool: ShardedGradients, exclude: NDArray[np.int64]) -> None:
        self.pool = pool
        self.total, self.exponent, self.scale = 0, 0, Scale(pool.n_rows)
        self.journal = Journal(pool.n_rows, [exclude])
        self.parts = pool.parts.begin(self.journal)
        self._every = range(self.parts.n_parts)
        rows = np.sort(exclude)
        cuts = np.searchsorted(rows, pool.starts)
        arguments = {i: (pool.n_rows, rows[cuts[i] : cuts[i + 1]]) for i in self._every}
        self._states: dict[int, State] = self.parts.call("start", arguments)
        self.n_available = sum(state.n_available for state in self._states.values())

    @property
    def values(self) -> NDArray[np.float64]:
        """D² of every row, fetched."""
        answers = self.parts.call("values", dict.fromkeys(self._every, ()))
        return np.concatenate([answers[i] for i in self._every])

    def _settle(self, states: dict[int, State]) -> None:
        """Take note of new sums, and let all parts weigh with the same s."""
        self._states.update(states)
        # A part with no weight at all would choose anything.
        owns = [state.own for state in self._states.values() if state.total]
        self.exponent = min(owns, default=self.exponent)
        off = {
            i: (self.exponent,)
            for i, state in self._states.items()
            if state.total and state.exponent != self.exponent
        }
        if off:
            self._states.update(self.parts.call("weigh", off))
        self.journal.exponent = self.exponent
        self.total = sum(state.total for state in self._states.values())
        self.n_available = sum(state.n_available for state in self._states.values())

    def bound(self, norm: float) -> None:
        states = self.parts.call("bound", dict.fromkeys(self._every, (norm, self._limit())))
        known = self.journal.norm
        self.journal.norm = norm if known is None else min(norm, known)
        self._settle(states)

    def _limit(self) -> int | None:
        """The s that most probably stays; a part that has it need not be called again."""
        return self.exponent if self.total else None

    def withdraw(self, rows: NDArray[np.int64]) -> None:
        part_of = np.searchsorted(self.pool.starts, rows, side="right") - 1
        arguments = {i: (some, self._limit()) for i, some in by_part(part_of, rows).items()}
        states = self.parts.call("withdraw", arguments)
        self.journal.taken.append(rows)
        self._settle(states)

    def weigh(self, exponent: int) -> None:
        self._states.update(self.parts.call("weigh", dict.fromkeys(self._every, (exponent,))))
        self.journal.exponent = self.exponent = exponent
        self.total = sum(state.total for state in self._states.values())

    def min_update(
        self,
        centres: Factors,
        rows: NDArray[np.int64],
        trace: NDArray[np.float64] | None = None,
    ) -> PassReport:
        assert isinstance(centres, SentFactors)
        arguments = (rows, self._limit(), trace is not None)
        answers = self.parts.call(
            "min_update", dict.fromkeys(self._every, arguments), shared=centres.stored
        )
        self.journal.blocks.append((centres.stored, rows))
        potentials = np.zeros(len(rows))
        counters: dict[str, int] = {}
        for i in self._every:
            _, part, counts, traced = answers[i]
            potentials += part
            for name, count in counts.items():
                counters[name] = counters.get(name, 0) + count
            if trace is not None:
                trace[:, self.pool.starts[i] : self.pool.starts[i + 1]] = traced
        self._settle({i: answer[0] for i, answer in answers.items()})
        return PassReport(potentials, counters)

    def find(
        self, tickets: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
        totals = np.array([self._states[i].total for i in self._every], dtype=np.int64)
        ends = np.cumsum(totals)
        part_of = np.searchsorted(ends, tickets, side="right")
        within = tickets - (ends - totals)[part_of]
        answers = self.parts.call("find", {i: (x,) for i, x in by_part(part_of, within).items()})
        rows, d2, weights, stored = (
            in_order({i: answer[item] for i, answer in answers.items()}, part_of)
            for item in range(4)
        )
        self.pool.drawn = rows, stored
        return rows, d2, weights

    def available(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        sizes = np.array([self._states[i].n_available for i in self._every], dtype=np.int64)
        ends = np.cumsum(sizes)
        part_of = np.searchsorted(ends, places, side="right")
        within = by_part(part_of, places - (ends - sizes)[part_of])
        if not within:
            return np.empty(0, dtype=np.int64)
        rows: NDArray[np.int64] = in_order(
            self.parts.call("available", {i: (x,) for i, x in within.items()}), part_of
        )
        return rows

    def largest(self, m: int) -> tuple[NDArray[np.int64], NDArray[np.float64], float]:
        some = [i for i in self._every if self._states[i].n_available]
        answers = self.parts.call("largest", dict.fromkeys(some, (m,)))
        rows, d2 = (np.concatenate([answers[i][item] for i in some]) for item in range(2))
        rest = max(answers[i][2] for i in some)
        # By D², and of equal ones by row: they are in the order of rows.
        order = np.argsort(-d2, kind="stable")
        chosen = np.sort(order[:m])
        if len(order) > m:
            rest = max(rest, float(d2[order[m]]))
        return rows[chosen], d2[chosen], rest

    def largest_norm(self) -> int | None:
        answers: dict[int, Any] = self.parts.call("largest_norm", dict.fromkeys(self._every, ()))
        found = [answers[i] for i in self._every if answers[i] is not None]
        if not found:
            return None
        rows = np.array(found, dtype=np.int64)
        # Evaluated here for all of them, so that equal ones are equal to the last bit.
        return int(rows[self.pool.gather(rows).squared_norms.argmax()])
