"""Where the rows of a pool come from, arrays or files, whichever pass is made over them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from labelnext.engine._factors import StoredRows
from labelnext.engine.memory_limit import lay_out
from labelnext.engine.threads import SPAN, InTurn, for_each_ahead, for_each_span, reading
from labelnext.pools.check import refuse_proba
from labelnext.pools.source import PARTS
from labelnext.utils.given import CLASSIFICATION
from labelnext.utils.libraries import is_sparse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from labelnext.engine._factors import Ints
    from labelnext.pools.source import Part, Source
    from labelnext.utils.given import Task

    # Given cuts of a stretch, which of the rows between them have to be looked at.
    Changing = Callable[[Ints], NDArray[np.bool_]]

# Bytes that the temporaries of a tile of rows may take: about a core's second-level cache.
TILE_BYTES = 1 << 20
# Stretches that a sample is taken from where no row can be read alone.
SAMPLED_STRETCHES = 8
# Rows that the direction of a pool's features is made of.
SAMPLE = 1024


class Stretch(NamedTuple):
    """Consecutive rows of a pool as arrays, whose first row is row `start` of the pool."""

    proba: NDArray[Any]
    features: Any
    start: int
    rows: slice
    """The rows of the pool that are meant: those of the arrays, or some of them."""

    bytes_read: int = 0
    """What was read from files for it."""

    @property
    def all(self) -> slice:
        """The rows of the pool that the arrays have."""
        return slice(self.start, self.start + len(self.proba))

    @property
    def own(self) -> slice:
        """The rows that are meant, in the arrays."""
        return slice(self.rows.start - self.start, self.rows.stop - self.start)

    def stored(self, rows: slice) -> StoredRows:
        """Return rows of the pool as they are stored."""
        own = slice(rows.start - self.start, rows.stop - self.start)
        return StoredRows(self.proba[own], self.features[own])

    def tiles(self, columns: int) -> list[slice]:
        """Cut the rows into tiles that fit a cache, with so many more columns of float64."""
        dense = 0 if is_sparse(self.features) else self.features.shape[1]
        width = self.proba.shape[1] + dense + columns
        size = min(SPAN, max(16, TILE_BYTES // (8 * width)))
        lo, hi = self.rows.start, self.rows.stop
        return [slice(at, min(at + size, hi)) for at in range(lo, hi, size)]


class Rows(ABC):
    """The probabilities and features of a pool, stretch by stretch."""

    proba: Any
    """The probabilities: an array, or what is read where it is indexed. Shape (n_rows, n)."""

    features: Any
    """The features, likewise; or a CSR matrix."""

    stored_as: str
    """The dtype that the probabilities were rounded to."""

    place: str
    """Where they are, for messages."""

    def __len__(self) -> int:
        return len(self.proba)

    @abstractmethod
    def for_each_stretch(self, work: Callable[[int, slice], None]) -> None:
        """Call ``work(number, rows)`` once for each stretch of the pool, side by side."""

    @abstractmethod
    def stretches(self, rows: slice, changing: Changing | None = None) -> Iterator[Stretch]:
        """Go through the rows of one stretch; those not `changing` may be left out."""

    def take(self, rows: slice | Ints) -> StoredRows:
        """Return some rows as they are stored."""
        return StoredRows(self.proba[rows], self.features[rows])

    def having(self, rows: Ints) -> tuple[StoredRows, Ints]:
        """Return arrays that have some rows, and the places where."""
        return self.take(rows), np.arange(len(rows))

    def sample(self) -> Any:
        """Return the features of some rows, evenly spread."""
        n = len(self)
        if n <= SAMPLE:
            return self.features[:]
        return self.features[np.linspace(0, n - 1, SAMPLE).astype(np.int64)]

    @abstractmethod
    def where(self, row: int, part: Part = "proba") -> str:
        """Say which row this is, for messages."""

    def counters(self, bytes_read: int) -> dict[str, int]:
        """Return the counters of a pass that has read so much."""
        del bytes_read
        return {}


class ArrayRows(Rows):
    """Rows that are arrays of this process, in memory or memory-mapped, never copied whole.

    The probabilities were rounded to the dtype `stored_as`, if not to theirs; `where` says where
    a row is, in the pool of which this is a shard.
    """

    place = "on cpu"

    def __init__(
        self,
        proba: NDArray[Any],
        features: Any,
        *,
        stored_as: str | None = None,
        where: Callable[[int], str] | None = None,
    ) -> None:
        self.proba, self.features = proba, features
        self.stored_as, self._where = stored_as or str(proba.dtype), where

    def having(self, rows: Ints) -> tuple[StoredRows, Ints]:
        return StoredRows(self.proba, self.features), rows

    def where(self, row: int, part: Part = "proba") -> str:
        return place_of(row, self._where)

    def for_each_stretch(self, work: Callable[[int, slice], None]) -> None:
        n = len(self)
        for_each_span(lambda span: work(span, slice(span * SPAN, min(n, (span + 1) * SPAN))), n)

    def stretches(self, rows: slice, changing: Changing | None = None) -> Iterator[Stretch]:
        yield Stretch(self.proba, self.features, 0, rows)


def place_of(row: int, where: Callable[[int], str] | None) -> str:
    """Say which row of the caller's arrays or tensors this is: "7" of "row 7 of arrays"."""
    return str(row) if where is None else where(row).split()[1]


class FactorsInFiles:
    """What a pass reads of a source: probabilities, of a committee the mean, and features.

    Where the features are the gradients themselves probabilities are 0.
    """

    def __init__(self, source: Source, task: Task = "multiclass") -> None:
        self.source, self.task = source, task
        self.name, self.n_rows, self.cuts = source.name, source.n_rows, source.cuts
        self.has_proba = task in CLASSIFICATION
        h_dtype = source.dtypes["features"]
        if not self.has_proba:
            p_dtype = zeros_dtype(h_dtype)
        elif source.n_members is not None:
            p_dtype = np.result_type(source.dtypes["proba"], np.float32)
        else:
            p_dtype = source.dtypes["proba"]
        self.dtypes: dict[Part, np.dtype[Any]] = {"proba": p_dtype, "features": h_dtype}
        self.n_columns = source.n_columns if self.has_proba else 1
        self.n_features = source.n_features
        self.stored_as = source.stored_as or str(source.dtypes.get("proba", p_dtype))
        # What is read, so of all members, and as they are kept: the larger of the two.
        widths = [self.width(part) * self.dtypes[part].itemsize for part in PARTS]
        self.row_bytes = sum(widths)
        if source.n_members is not None and self.has_proba:
            self.row_bytes = max(self.row_bytes, source.row_bytes)
        self.numbers = self.n_rows * sum(map(self.width, PARTS))
        """How many numbers there are in all."""

    def width(self, part: Part) -> int:
        """Return how many numbers a row of a part has."""
        return self.n_columns if part == "proba" else self.n_features

    def read(self, part: Part, lo: int, hi: int) -> NDArray[Any]:
        """Read rows lo to hi of one part."""
        if part == "proba" and not self.has_proba:
            return np.zeros((hi - lo, 1), dtype=self.dtypes[part])
        values = self.source.read(part, lo, hi)
        return mean_of_members(values, lo, self.task, self.source) if values.ndim == 3 else values

    def take(self, part: Part, rows: Ints) -> NDArray[Any]:
        """Read some rows of one part, in the order asked for."""
        if part == "proba" and not self.has_proba:
            return np.zeros((len(rows), 1), dtype=self.dtypes[part])
        values = self.source.take(part, rows)
        return values.mean(axis=0, dtype=self.dtypes[part]) if values.ndim == 3 else values


def zeros_dtype(features: np.dtype[Any]) -> np.dtype[Any]:
    """Return a dtype for probabilities of 0, one that a pool with such features has anyway."""
    return features if features.kind == "f" else np.dtype(np.float32)


def mean_of_members(members: NDArray[Any], lo: int, task: Task, source: Source) -> NDArray[Any]:
    """Check the probabilities of the members of a committee, from row lo on; return their mean."""
    dtype = source.stored_as or str(members.dtype)
    for number, proba in enumerate(members):
        if not proba.min() >= 0:  # what cancels in the mean; the rest is found there
            try:
                refuse_proba(proba, lo, task, np.inf, dtype, source.where)
            except ValueError as error:
                error.add_note(f"In the probabilities of member {number}.")
                raise
    mean: NDArray[Any] = members.mean(axis=0, dtype=np.result_type(members.dtype, np.float32))
    return mean


class FileRows(Rows):
    """Rows that lie in files.

    They are read as they are needed, by threads that are ahead of those that compute. A selection
    may take `limit` bytes, `state_bytes` of each row among them; what is left over keeps rows in
    memory once they have been read. A ValueError says that it is too small.
    """

    def __init__(self, source: FactorsInFiles, limit: int, state_bytes: float) -> None:
        self.source = source
        self.place = f"in {source.name}"
        self.layout = lay_out(source, limit, state_bytes)
        stretches = map(self.layout.stretch, range(self.layout.n_kept))
        self.kept = Kept(source, list(stretches))
        self.proba, self.features = (RowsInFiles(source, part, self.kept) for part in PARTS)
        self.stored_as = source.stored_as
        self._in_turn: InTurn | None = InTurn()

    def where(self, row: int, part: Part = "proba") -> str:
        return f"{row} ({self.source.source.where(row, part)})"

    def for_each_stretch(self, work: Callable[[int, slice], None]) -> None:
        for_each_ahead(lambda number: work(number, self.layout.stretch(number)), len(self.layout))
        # The files have been read from their start to their end once.
        self._in_turn = None

    def stretches(self, rows: slice, changing: Changing | None = None) -> Iterator[Stretch]:
        for some in self._wanted(rows, changing):
            yield self._read(some)

    def _wanted(self, rows: slice, changing: Changing | None) -> list[slice]:
        """Find the stretches that have to be read."""
        if changing is None or rows.stop <= self.kept.n_rows:
            return [rows]
        cuts = self.layout.cuts(rows)
        wanted = np.concatenate([[False], changing(cuts), [False]])
        edges = np.flatnonzero(wanted[1:] != wanted[:-1])
        return [slice(int(cuts[a]), int(cuts[b])) for a, b in edges.reshape(-1, 2)]

    def _read(self, rows: slice) -> Stretch:
        if self.kept.has(rows):
            proba, features = (self.kept.arrays[part][rows] for part in PARTS)
            return Stretch(proba, features, rows.start, rows)
        # Checksums of files are made as they are read from their start to their end.
        turn = nullcontext() if self._in_turn is None else self._in_turn.turn(rows)
        with reading(), turn:
            values = {part: self.source.read(part, rows.start, rows.stop) for part in PARTS}
        if self.kept.lacks(rows):
            self.kept.fill(rows, values)
        n_bytes = (rows.stop - rows.start) * self.source.row_bytes
        return Stretch(values["proba"], values["features"], rows.start, rows, n_bytes)

    def sample(self) -> Any:
        if isinstance(self.layout.read_whole, int):
            return super().sample()
        # To take rows here and there would be to read everything.
        numbers = np.unique(np.linspace(0, len(self.layout) - 1, SAMPLED_STRETCHES).astype(int))
        starts = [self.layout.stretch(number).start for number in numbers]
        ends = [min(start + SAMPLE // len(starts), len(self)) for start in starts]
        read = [self.source.read("features", *ends) for ends in zip(starts, ends, strict=True)]
        return np.concatenate(read)

    def counters(self, bytes_read: int) -> dict[str, int]:
        return {"bytes_read": bytes_read, "bytes_total": len(self) * self.source.row_bytes}


class Kept:
    """The first stretches of a pool, which stay in memory once they have been read."""

    def __init__(self, source: FactorsInFiles, stretches: list[slice]) -> None:
        self.n_rows = stretches[-1].stop if stretches else 0
        self.arrays: dict[Part, NDArray[Any]] = {
            part: np.empty((self.n_rows, source.width(part)), dtype=dtype)
            for part, dtype in source.dtypes.items()
        }
        self._missing = {rows.start for rows in stretches}

    def fill(self, rows: slice, values: dict[Part, NDArray[Any]]) -> None:
        """Keep a stretch."""
        for part, array in values.items():
            self.arrays[part][rows] = array
        self._missing.discard(rows.start)

    def has(self, rows: slice) -> bool:
        """Tell whether a stretch is there."""
        return rows.stop <= self.n_rows and rows.start not in self._missing

    def lacks(self, rows: slice) -> bool:
        """Tell whether a stretch is one that is kept, and not there yet."""
        return rows.start in self._missing

    def take(self, part: Part, rows: Ints, source: FactorsInFiles) -> NDArray[Any]:
        """Return some rows, those that are not there from their source."""
        here = rows < (0 if self._missing else self.n_rows)
        if not here.any():
            return source.take(part, rows)
        out = np.empty((len(rows), source.width(part)), dtype=source.dtypes[part])
        out[here] = self.arrays[part][rows[here]]
        if not here.all():
            out[~here] = source.take(part, rows[~here])
        return out


class RowsInFiles:
    """Probabilities or features that lie in files: an array as far as pools need one."""

    ndim = 2

    def __init__(self, source: FactorsInFiles, part: Part, kept: Kept) -> None:
        self.source, self.part, self.kept = source, part, kept
        self.shape = (source.n_rows, source.width(part))
        self.dtype = source.dtypes[part]
        self.size = self.shape[0] * self.shape[1]

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice | Ints) -> NDArray[Any]:
        if isinstance(rows, slice):
            lo, hi, step = rows.indices(len(self))
            return self.source.read(self.part, lo, hi)[::step]
        return self.kept.take(self.part, np.asarray(rows), self.source)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        values = self.source.read(self.part, 0, len(self))
        return values if dtype is None else values.astype(dtype)
