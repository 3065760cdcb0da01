"""Rows that lie in files: read stretch by stretch, ahead of use, and kept where there is room."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from labelnext.engine._rows import SAMPLE, FactorsInFiles, Rows, Stretch
from labelnext.engine.memory_limit import lay_out
from labelnext.engine.threads import InTurn, for_each_ahead, reading
from labelnext.pools.source import PARTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from labelnext.engine._rows import Changing
    from labelnext.pools.source import Part

# Stretches that a sample is taken from where no row can be read alone.
SAMPLED_STRETCHES = 8


class FileRows(Rows):
    """Rows that lie in files.

    They are read as they are needed, by threads that are ahead of those that compute. What the
    limit leaves room for stays in memory once it has been read.

    Parameters
    ----------
    source : FactorsInFiles
        The probabilities and features.
    limit : int
        Bytes that a selection may take.
    state_bytes : float
        Bytes of each row that a pass keeps in memory.

    Raises
    ------
    ValueError
        If the limit is too small.
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
        with reading():
            if self._in_turn is None:
                values = {part: self.source.read(part, rows.start, rows.stop) for part in PARTS}
            else:
                # Checksums of files are made as they are read from their start to their end.
                with self._in_turn.turn(rows):
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
    """The first rows of a pool, which stay in memory once they have been read.

    Parameters
    ----------
    source : FactorsInFiles
        The pool's factors.
    stretches : list of slice
        The stretches that are kept, from the first row on.
    """

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

    def take(self, part: Part, rows: NDArray[np.int64], source: FactorsInFiles) -> NDArray[Any]:
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
    """Probabilities or features that lie in files: an array as far as pools need one.

    Parameters
    ----------
    source : FactorsInFiles
        Where they lie.
    part : {"proba", "features"}
        Which they are.
    kept : Kept
        The rows that are in memory.

    Examples
    --------
    >>> import numpy as np
    >>> from labelnext.engine._file_rows import Kept, RowsInFiles
    >>> from labelnext.engine._rows import FactorsInFiles
    >>> from labelnext.pools import ArraySource
    >>> source = FactorsInFiles(ArraySource(np.full((3, 2), 0.5), np.arange(3.0)[:, None]))
    >>> rows = RowsInFiles(source, "features", Kept(source, []))
    >>> rows.shape, rows[np.array([2, 0])].ravel()
    ((3, 1), array([2., 0.]))
    """

    ndim = 2

    def __init__(self, source: FactorsInFiles, part: Part, kept: Kept) -> None:
        self.source, self.part, self.kept = source, part, kept
        self.shape = (source.n_rows, source.width(part))
        self.dtype = source.dtypes[part]
        self.size = self.shape[0] * self.shape[1]

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice | NDArray[np.int64]) -> NDArray[Any]:
        if isinstance(rows, slice):
            lo, hi, step = rows.indices(len(self))
            return self.source.read(self.part, lo, hi)[::step]
        return self.kept.take(self.part, np.asarray(rows), self.source)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        values = self.source.read(self.part, 0, len(self))
        return values if dtype is None else values.astype(dtype)
