"""A pool of consecutive shards, each any pool with its own D², wherever they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from labelnext.engine._base import D2, Gradients, PassReport, Scale
from labelnext.engine._factors import Factors, PlainForm, StoredRows
from labelnext.engine._shards import Journal, LocalShards, Shards

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from labelnext.engine._factors import Floats, Ints
    from labelnext.engine._shards import About, State


@dataclass(frozen=True)
class Elsewhere:
    """What an array is like that is in shards, in other places."""

    shape: tuple[int, int]
    dtype: np.dtype[Any] | str


class ShardedGradients(Gradients):
    """A pool cut into consecutive shards, each with its own D².

    Whoever chooses the batch holds the centres, sums and rows that were drawn, never an array as
    long as the pool. The batch is that of the pool as a whole, for the same seed.

    Parameters
    ----------
    shards : sequence of Gradients, or Shards
        The shards in order: pools of this process, or how to call them where they are.

    Raises
    ------
    ValueError
        If the shards are not of one pool: other columns, dtypes, task or bias.

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
    ShardedGradients of 4 rows: multiclass, 2 classes, 1 features in float64, on 2 shards on cpu
    >>> d2_sample(pool, 2, random_state=0).indices
    array([2, 0])
    """

    def __init__(self, shards: Sequence[Gradients] | Shards) -> None:
        self.shards = shards if isinstance(shards, Shards) else LocalShards(shards)
        abouts: list[About] = self.shards.call_all("about")
        check_alike(abouts)
        first = abouts[0]
        sizes = [about.n_rows for about in abouts]
        self.starts: Ints = np.cumsum([0, *sizes])
        self.n_rows = int(self.starts[-1])
        self.n_classes, self.bias, self.task = first.n_classes, first.bias, first.task
        self.proba, self.features = (
            Elsewhere((self.n_rows, width), dtype)
            for width, dtype in zip(first.widths, first.dtypes, strict=True)
        )
        devices = ", ".join(dict.fromkeys(about.device for about in abouts))
        self.device = f"{len(abouts)} shard{'s' * (len(abouts) > 1)} on {devices}"
        self._form = _joined([about.form for about in abouts], sizes)
        # The rows of the latest draw come with their numbers, and are asked for next.
        self.drawn: tuple[Ints, StoredRows] | None = None

    @property
    def form(self) -> PlainForm:
        return self._form

    def stored(self, rows: Ints) -> StoredRows:
        if self.drawn is not None and np.array_equal(rows, self.drawn[0]):
            return self.drawn[1]
        shard_of = np.searchsorted(self.starts, rows, side="right") - 1
        # Of no rows the first shard tells what they look like.
        wanted = by_shard(shard_of, rows) or {0: rows}
        answers = self.shards.call("stored", {i: (some,) for i, some in wanted.items()})
        stored: StoredRows = in_order(answers, shard_of)
        return stored

    def factors_of(self, stored: StoredRows) -> Factors:
        return SentFactors.of(self.form.factors_of(stored), stored)

    def gather(self, rows: Ints) -> Factors:
        return self.factors_of(self.stored(rows))

    def start(self, exclude: Ints) -> D2:
        return ShardedD2(self, exclude)


def check_alike(abouts: list[About]) -> None:
    """Refuse shards that cannot be of one pool."""
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
                    f"All shards of a pool must be alike, but shard 0 and shard {i} have different "
                    f"{name}: {expected} and {got}; store both in the same way."
                )


def _joined(forms: list[PlainForm], sizes: list[int]) -> PlainForm:
    """Return one form for the rows of all shards: pruned, if any is, as the largest has it."""
    pruned = [i for i, form in enumerate(forms) if type(form) is not PlainForm]
    return forms[max(pruned or range(len(forms)), key=sizes.__getitem__)].joined(forms)


def by_shard(shard_of: Ints, values: NDArray[Any]) -> dict[int, NDArray[Any]]:
    """Sort values by the shard that each is for, in the order of the shards."""
    return {int(i): values[shard_of == i] for i in np.unique(shard_of)}


def in_order(answers: dict[int, Any], shard_of: Ints) -> Any:
    """Put what `by_shard` has taken apart together again."""
    blocks = [answers[i] for i in sorted(answers)]
    places = np.argsort(np.argsort(shard_of, kind="stable"))
    if isinstance(blocks[0], StoredRows):
        whole = StoredRows.concatenate(blocks)
        return whole if len(blocks) == 1 else whole.take(places)
    return np.concatenate(blocks)[places]


@dataclass(frozen=True)
class SentFactors(Factors):
    """Factors that keep their rows as these are stored, to be sent to all shards."""

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

    def lower(self, d2: Floats, centres: Any) -> None:
        self.inner.lower(d2, centres.inner)

    def accept(
        self, rows: Ints, bars: Floats, d2: Floats, waiting: list[Any], *most: Any
    ) -> tuple[list[int], int]:
        found: tuple[list[int], int] = self.inner.accept(
            rows, bars, d2, [block.inner for block in waiting], *most
        )
        return found


class ShardedD2(D2):
    """D² of a `ShardedGradients`: each shard keeps its own, and all agree on the scale of weights.

    A change of D² is one call of each shard, whose answer is a few numbers; where the scale of the
    whole turns out to be another than a shard's, that shard is called once more.
    """

    def __init__(self, pool: ShardedGradients, exclude: Ints) -> None:
        self.pool = pool
        self.total, self.exponent, self.scale = 0, 0, Scale(pool.n_rows)
        self.journal = Journal(pool.n_rows, [exclude])
        self.shards = pool.shards.begin(self.journal)
        rows = np.sort(exclude)
        cuts = np.searchsorted(rows, pool.starts)
        arguments = {i: (pool.n_rows, rows[cuts[i] : cuts[i + 1]]) for i in range(len(cuts) - 1)}
        self._states: dict[int, State] = self.shards.call("start", arguments)
        self.n_available = sum(state.n_available for state in self._states.values())

    @property
    def values(self) -> Floats:
        """D² of every row, fetched."""
        return np.concatenate(self.shards.call_all("values"))

    def _settle(self, states: dict[int, State]) -> None:
        """Take note of new sums, and let all shards weigh with the same s."""
        self._states.update(states)
        # A shard with no weight at all would choose anything.
        owns = [state.own for state in self._states.values() if state.total]
        self.exponent = min(owns, default=self.exponent)
        off = {
            i: (self.exponent,)
            for i, state in self._states.items()
            if state.total and state.exponent != self.exponent
        }
        if off:
            self._states.update(self.shards.call("weigh", off))
        self.journal.exponent = self.exponent
        self.total = sum(state.total for state in self._states.values())
        self.n_available = sum(state.n_available for state in self._states.values())

    def bound(self, norm: float) -> None:
        states = self.shards.call_all("bound", norm, self._limit())
        known = self.journal.norm
        self.journal.norm = norm if known is None else min(norm, known)
        self._settle(dict(enumerate(states)))

    def _limit(self) -> int | None:
        """The s that most probably stays; a shard that has it need not be called again."""
        return self.exponent if self.total else None

    def withdraw(self, rows: Ints) -> None:
        shard_of = np.searchsorted(self.pool.starts, rows, side="right") - 1
        arguments = {i: (some, self._limit()) for i, some in by_shard(shard_of, rows).items()}
        states = self.shards.call("withdraw", arguments)
        self.journal.taken.append(rows)
        self._settle(states)

    def weigh(self, exponent: int) -> None:
        self._states = dict(enumerate(self.shards.call_all("weigh", exponent)))
        self.journal.exponent = self.exponent = exponent
        self.total = sum(state.total for state in self._states.values())

    def min_update(self, centres: Factors, rows: Ints, trace: Floats | None = None) -> PassReport:
        assert isinstance(centres, SentFactors)
        traced = trace is not None
        answers = self.shards.call_all(
            "min_update", rows, self._limit(), traced, shared=centres.stored
        )
        self.journal.blocks.append((centres.stored, rows))
        potentials = np.zeros(len(rows))
        counters: dict[str, int] = {}
        for i, (_, own, counts, own_trace) in enumerate(answers):
            potentials += own
            for name, count in counts.items():
                counters[name] = counters.get(name, 0) + count
            if trace is not None:
                trace[:, self.pool.starts[i] : self.pool.starts[i + 1]] = own_trace
        self._settle({i: answer[0] for i, answer in enumerate(answers)})
        return PassReport(potentials, counters)

    def find(self, tickets: Ints) -> tuple[Ints, Floats, Ints]:
        shard_of, answers = self._ask("find", tickets, "total")
        rows, d2, weights, stored = (
            in_order({i: answer[item] for i, answer in answers.items()}, shard_of)
            for item in range(4)
        )
        self.pool.drawn = rows, stored
        return rows, d2, weights

    def available(self, places: Ints) -> Ints:
        if len(places) == 0:
            return np.empty(0, dtype=np.int64)
        shard_of, answers = self._ask("available", places, "n_available")
        rows: Ints = in_order(answers, shard_of)
        return rows

    def _ask(self, method: str, numbers: Ints, what: str) -> tuple[Ints, dict[int, Any]]:
        """Ask each shard for those of some numbers that are its own, when all are counted up."""
        counts = [getattr(state, what) for _, state in sorted(self._states.items())]
        ends = np.cumsum(counts, dtype=np.int64)
        shard_of = np.searchsorted(ends, numbers, side="right")
        own = by_shard(shard_of, numbers - (ends - counts)[shard_of])
        return shard_of, self.shards.call(method, {i: (some,) for i, some in own.items()})

    def largest(self, m: int) -> tuple[Ints, Floats, float]:
        some = sorted(i for i, state in self._states.items() if state.n_available)
        answers = self.shards.call("largest", dict.fromkeys(some, (m,)))
        rows, d2 = (np.concatenate([answers[i][item] for i in some]) for item in range(2))
        rest = max(answers[i][2] for i in some)
        # By D², and of equal ones by row: they are in the order of rows.
        order = np.argsort(-d2, kind="stable")
        chosen = np.sort(order[:m])
        if len(order) > m:
            rest = max(rest, float(d2[order[m]]))
        return rows[chosen], d2[chosen], rest

    def largest_norm(self) -> int | None:
        found = [row for row in self.shards.call_all("largest_norm") if row is not None]
        if not found:
            return None
        rows = np.array(found, dtype=np.int64)
        # Evaluated here for all of them, so that equal ones are equal to the last bit.
        return int(rows[self.pool.gather(rows).squared_norms.argmax()])
