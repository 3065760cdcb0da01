"""A pool of consecutive parts, each any pool with its own D², wherever they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from labelnext.engine._base import D2, Gradients, PassReport, Scale
from labelnext.engine._factors import Factors, PlainForm, StoredRows
from labelnext.engine._parts import Journal, LocalParts, Parts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from labelnext.engine._parts import About, State


@dataclass(frozen=True)
class Elsewhere:
    """What an array is like that is in parts, in other places."""

    shape: tuple[int, int]
    dtype: np.dtype[Any] | str


class ShardedGradients(Gradients):
    """A pool cut into consecutive parts, each with its own D².

    Whoever chooses the batch holds the centres, sums and rows that were drawn, never an array as
    long as the pool. The batch is that of the pool as a whole, for the same seed.

    Parameters
    ----------
    parts : sequence of Gradients, or Parts
        The parts in order: pools of this process, or how to call them where they are.

    Raises
    ------
    ValueError
        If the parts are not of one pool: other columns, dtypes, task or bias.

    Examples
    --------
    >>> import numpy as np
    >>> from labelnext.engine import ShardedGradients, as_gradients
    >>> from labelnext.sampling import d2_sample
    >>> proba, features = np.full((4, 2), 0.5), np.array([[1.0], [2.0], [4.0], [3.0]])
    >>> pool = ShardedGradients(
    ...     [as_gradients(proba[:1], features[:1]), as_gradients(proba[1:], features[1:])]
    ... )
    >>> pool
    ShardedGradients of 4 rows: multiclass, 2 classes, 1 features in float64, on 2 parts on cpu
    >>> d2_sample(pool, 2, random_state=0).indices
    array([2, 0])
    """

    def __init__(self, parts: Sequence[Gradients] | Parts) -> None:
        self.parts = parts if isinstance(parts, Parts) else LocalParts(parts)
        every = range(self.parts.n_parts)
        answers = self.parts.call("about", dict.fromkeys(every, ()))
        abouts: list[About] = [answers[i] for i in every]
        check_alike(abouts)
        first = abouts[0]
        sizes = [about.n_rows for about in abouts]
        self.starts: NDArray[np.int64] = np.cumsum([0, *sizes])
        self.n_rows = int(self.starts[-1])
        self.n_classes, self.bias, self.task = first.n_classes, first.bias, first.task
        self.proba, self.features = (
            Elsewhere((self.n_rows, width), dtype)
            for width, dtype in zip(first.widths, first.dtypes, strict=True)
        )
        devices = ", ".join(dict.fromkeys(about.device for about in abouts))
        self.device = f"{len(abouts)} part{'s' * (len(abouts) > 1)} on {devices}"
        self._form = _joined([about.form for about in abouts], sizes)
        # The rows of the latest draw come with their numbers, and are asked for next.
        self.drawn: tuple[NDArray[np.int64], StoredRows] | None = None

    @property
    def form(self) -> PlainForm:
        return self._form

    def stored(self, rows: NDArray[np.int64]) -> StoredRows:
        if self.drawn is not None and np.array_equal(rows, self.drawn[0]):
            return self.drawn[1]
        part_of = np.searchsorted(self.starts, rows, side="right") - 1
        # Of no rows the first part tells what they look like.
        wanted = by_part(part_of, rows) or {0: rows}
        answers = self.parts.call("stored", {i: (some,) for i, some in wanted.items()})
        stored: StoredRows = in_order(answers, part_of)
        return stored

    def factors_of(self, stored: StoredRows) -> Factors:
        return SentFactors.of(self.form.factors_of(stored), stored)

    def gather(self, rows: NDArray[np.int64]) -> Factors:
        return self.factors_of(self.stored(rows))

    def start(self, exclude: NDArray[np.int64]) -> D2:
        return ShardedD2(self, exclude)


def check_alike(abouts: list[About]) -> None:
    """Refuse parts that cannot be of one pool."""
    names = {
        "widths": "numbers of columns (probabilities, features)",
        "dtypes": "dtypes (probabilities, features)",
        "sparse": "kinds of features (sparse or not)",
        "task": "tasks",
        "bias": "biases",
    }
    first = abouts[0]
    for field, name in names.items():
        for i, about in enumerate(abouts):
            expected, got = getattr(first, field), getattr(about, field)
            if got != expected:
                raise ValueError(
                    f"All parts of a pool must be alike, but part 0 and part {i} have different "
                    f"{name}: {expected} and {got}; store both in the same way."
                )


def _joined(forms: list[PlainForm], sizes: list[int]) -> PlainForm:
    """Return one form for the rows of all parts: pruned, if any is, as the largest has it."""
    pruned = [i for i, form in enumerate(forms) if type(form) is not PlainForm]
    return forms[max(pruned or range(len(forms)), key=sizes.__getitem__)].joined(forms)


def by_part(part_of: NDArray[np.int64], values: NDArray[Any]) -> dict[int, NDArray[Any]]:
    """Sort values by the part that each is for, in the order of the parts."""
    return {int(i): values[part_of == i] for i in np.unique(part_of)}


def in_order(answers: dict[int, Any], part_of: NDArray[np.int64]) -> Any:
    """Put what `by_part` has taken apart together again."""
    blocks = [answers[i] for i in sorted(answers)]
    places = np.argsort(np.argsort(part_of, kind="stable"))
    if isinstance(blocks[0], StoredRows):
        whole = StoredRows.concatenate(blocks)
        return whole if len(blocks) == 1 else whole.take(places)
    return np.concatenate(blocks)[places]


@dataclass(frozen=True)
class SentFactors(Factors):
    """Factors that keep their rows as these are stored, to be sent to all parts."""

    inner: Any
    stored: StoredRows

    @classmethod
    def of(cls, inner: Factors, stored: StoredRows) -> SentFactors:
        """Keep stored rows with their factors."""
        return cls(inner.residuals, inner.features, inner.pseudo_labels, inner.bias, inner, stored)

    def __getitem__(self, rows: slice | NDArray[Any]) -> SentFactors:
        return SentFactors.of(self.inner[rows], self.stored.take(rows))

    @classmethod
    def concatenate(cls, blocks: list[Any]) -> SentFactors:
        inner = type(blocks[0].inner).concatenate([block.inner for block in blocks])
        return cls.of(inner, StoredRows.concatenate([block.stored for block in blocks]))

    def lower(self, d2: NDArray[np.float64], centres: Any) -> None:
        self.inner.lower(d2, centres.inner)

    def lower_to_all(self, d2: NDArray[np.float64], blocks: list[Any]) -> None:
        self.inner.lower_to_all(d2, [block.inner for block in blocks])

    def distances_within(self, below: NDArray[np.float64]) -> NDArray[np.float64]:
        distances: NDArray[np.float64] = self.inner.distances_within(below)
        return distances


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
