"""Shards of a pool: each spoken to in arrays and numbers alone, all at once, and told again."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from labelnext.engine._base import Scale
from labelnext.engine._factors import StoredRows
from labelnext.utils.libraries import is_sparse

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from labelnext.engine._base import D2, Gradients
    from labelnext.engine._factors import Floats, Ints, PlainForm
    from labelnext.utils.given import Task

# Centres of one pass, when passes are repeated.
AT_ONCE = 4096


class About(NamedTuple):
    """What there is to know of a shard."""

    n_rows: int
    n_classes: int
    widths: tuple[int, int]
    dtypes: tuple[str, str]
    sparse: bool
    bias: bool
    task: Task
    device: str
    form: PlainForm


class State(NamedTuple):
    """The sums of a shard's D²."""

    total: int
    """The sum of its weights."""

    exponent: int
    """Their s."""

    own: int
    """The s that it would choose alone."""

    n_available: int


class Shard:
    """Consecutive rows of a pool and their D², in arrays and numbers that can be sent anywhere.

    `pool` is a pool of its own, whose rows are numbered from 0; all rows here are those of the
    whole pool, in which it starts at `first_row`.
    """

    d2: D2

    def __init__(self, pool: Gradients, first_row: int) -> None:
        self.pool, self.first_row = pool, first_row

    def about(self) -> About:
        """Return what there is to know of the shard."""
        pool = self.pool
        dtypes = [str(x.dtype).removeprefix("torch.") for x in (pool.proba, pool.features)]
        return About(
            pool.n_rows,
            pool.n_classes,
            (pool.proba.shape[1], pool.features.shape[1]),
            (dtypes[0], dtypes[1]),
            is_sparse(pool.features),
            pool.bias,
            pool.task,
            str(pool.device),
            pool.form,
        )

    def stored(self, rows: Ints) -> StoredRows:
        """Return rows as they are stored."""
        return self.pool.stored(rows - self.first_row)

    def start(self, n_rows: int, exclude: Ints) -> State:
        """Begin a selection from a pool of so many rows in all, without some that are here."""
        self.d2 = self.pool.start(exclude - self.first_row)
        self.d2.scale = Scale(n_rows)
        return self._state()

    def _state(self) -> State:
        d2 = self.d2
        return State(d2.total, d2.exponent, d2.scale.own, d2.n_available)

    def values(self) -> Floats:
        """Return D² of every row."""
        return np.array(self.d2.values)

    def bound(self, norm: float, limit: int | None) -> State:
        """As `D2.bound`; weights have at most the s of `limit`."""
        self.d2.scale.limit = limit
        self.d2.bound(norm)
        return self._state()

    def withdraw(self, rows: Ints, limit: int | None) -> State:
        """As `D2.withdraw`; rows may be other shards'."""
        self.d2.scale.limit = limit
        self.d2.withdraw(rows - self.first_row)
        return self._state()

    def weigh(self, exponent: int) -> State:
        """As `D2.weigh`."""
        self.d2.weigh(exponent)
        return self._state()

    def min_update(
        self, centres: StoredRows, rows: Ints, limit: int | None, traced: bool
    ) -> tuple[State, Floats, dict[str, int], Floats | None]:
        """As `D2.min_update`; centres may be other shards'. With the trace, if asked for."""
        self.d2.scale.limit = limit
        trace = np.empty((len(rows), self.pool.n_rows)) if traced else None
        factors = self.pool.factors_of(centres)
        report = self.d2.min_update(factors, rows - self.first_row, trace)
        return self._state(), report.potentials, report.counters, trace

    def find(self, tickets: Ints) -> tuple[Any, Any, Any, StoredRows]:
        """As `D2.find`, with the rows that were found."""
        # A shard that was built again may have come out smaller by a rounding.
        rows, d2, weights = self.d2.find(np.minimum(tickets, self.d2.total - 1))
        return rows + self.first_row, d2, weights, self.pool.stored(rows)

    def available(self, places: Ints) -> Ints:
        """As `D2.available`."""
        return self.d2.available(places) + self.first_row

    def largest(self, m: int) -> tuple[Ints, Floats, float]:
        """As `D2.largest`."""
        rows, d2, rest = self.d2.largest(m)
        return rows + self.first_row, d2, rest

    def largest_norm(self) -> int | None:
        """As `D2.largest_norm`."""
        row = self.d2.largest_norm() if self.d2.n_available else None
        return None if row is None else row + self.first_row


@dataclass
class Traffic:
    """What the calls so far took: what a network carries to and from whoever makes them."""

    messages: int = 0
    """Calls of a shard; each has an answer."""

    bytes_sent: int = 0
    """In arrays and numbers; what is sent to all shards alike counts once for each."""

    bytes_received: int = 0


@dataclass
class Journal:
    """The centres, the rows taken and the bound so far: D² is a pure function of them.

    Rows in `taken` were excluded or withdrawn, `norm` is the least that D² was bounded by, and
    `blocks` are the centres of each pass with their rows.
    """

    n_rows: int
    taken: list[Ints] = field(default_factory=list)
    norm: float | None = None
    exponent: int | None = None
    blocks: list[tuple[StoredRows, Ints]] = field(default_factory=list)

    def calls(self, first_row: int, last_row: int) -> Iterator[tuple[str, tuple[Any, ...]]]:
        """Yield the calls that bring the shard from one row up to another to where it was.

        Passes are made with all centres so far, not with those of each pass alone.
        """
        taken = np.concatenate([np.empty(0, dtype=np.int64), *self.taken])
        yield "start", (self.n_rows, taken[(taken >= first_row) & (taken < last_row)])
        if self.blocks:
            centres = StoredRows.concatenate([stored for stored, _ in self.blocks])
            rows = np.concatenate([rows for _, rows in self.blocks])
            for lo in range(0, len(rows), AT_ONCE):
                some = slice(lo, lo + AT_ONCE)
                yield "min_update", (centres.take(some), rows[some], None, False)
        elif self.norm is not None:
            yield "bound", (self.norm, None)
        if self.exponent is not None:
            yield "weigh", (self.exponent,)


class Shards(ABC):
    """The shards of one pool, wherever they are, and how to call them."""

    n_shards: int

    def __init__(self) -> None:
        self.traffic = Traffic()

    def call(
        self, method: str, arguments: Mapping[int, tuple[Any, ...]], *, shared: Any = None
    ) -> dict[int, Any]:
        """Call one method of some shards, side by side, and return what each has answered.

        `arguments` has those of each shard that is called; `shared` is a first argument that is
        the same for all, and large.
        """
        answers = self._call(method, arguments, shared)
        sent = sum(map(n_bytes, arguments.values())) + len(arguments) * n_bytes(shared)
        self.traffic.messages += len(arguments)
        self.traffic.bytes_sent += sent
        self.traffic.bytes_received += sum(map(n_bytes, answers.values()))
        return answers

    def call_all(self, method: str, *arguments: Any, shared: Any = None) -> list[Any]:
        """Call one method of all shards alike, and return their answers in their order."""
        every = range(self.n_shards)
        answers = self.call(method, dict.fromkeys(every, arguments), shared=shared)
        return [answers[i] for i in every]

    @abstractmethod
    def _call(
        self, method: str, arguments: Mapping[int, tuple[Any, ...]], shared: Any
    ) -> dict[int, Any]:
        """Do what `call` says."""

    @abstractmethod
    def begin(self, journal: Journal) -> Shards:
        """Return the shards for a new selection, whose journal tells how to repeat it so far."""


class LocalShards(Shards):
    """Shards in this process, pools in their order, called one after the other."""

    def __init__(self, pools: Sequence[Gradients]) -> None:
        super().__init__()
        self.pools, self.n_shards = list(pools), len(pools)
        starts = np.cumsum([0, *(pool.n_rows for pool in pools)])
        self.shards = [Shard(pool, int(at)) for pool, at in zip(pools, starts, strict=False)]

    def begin(self, journal: Journal) -> LocalShards:
        del journal  # nothing is lost here
        shards = LocalShards(self.pools)
        shards.traffic = self.traffic
        return shards

    def _call(
        self, method: str, arguments: Mapping[int, tuple[Any, ...]], shared: Any
    ) -> dict[int, Any]:
        first = () if shared is None else (shared,)
        return {i: getattr(self.shards[i], method)(*first, *rest) for i, rest in arguments.items()}


def n_bytes(value: Any) -> int:
    """Return about how many bytes arrays and numbers take that are sent."""
    if isinstance(value, tuple | list):
        return sum(map(n_bytes, value))
    if isinstance(value, dict):
        return sum(map(n_bytes, value.values()))
    if is_sparse(value):
        return int(value.data.nbytes + value.indices.nbytes + value.indptr.nbytes)
    return int(getattr(value, "nbytes", 8))
