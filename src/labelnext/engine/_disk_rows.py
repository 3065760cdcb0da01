"""One part of a pool on disk in the guise of an array: it is read where it is indexed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from labelnext.pools import Source
from labelnext.pools.source import TwoColumns as TwoColumns

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from labelnext.pools.source import Part


class Kept:
    """The first rows of a pool, which stay in memory once they have been read.

    Parameters
    ----------
    source : Source
        The pool's factors.
    stretches : list of slice
        The stretches that are kept, from the first row on.
    """

    def __init__(self, source: Source, stretches: list[slice]) -> None:
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

    def take(self, part: Part, rows: NDArray[np.int64], source: Source) -> NDArray[Any]:
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
    source : Source
        Where they lie.
    part : {"proba", "features"}
        Which they are.
    kept : Kept
        The rows that are in memory.

    Examples
    --------
    >>> import numpy as np
    >>> from labelnext.engine._disk_rows import Kept, RowsInFiles
    >>> from labelnext.pools import ArraySource
    >>> source = ArraySource(np.full((3, 2), 0.5), np.arange(3.0)[:, None])
    >>> rows = RowsInFiles(source, "features", Kept(source, []))
    >>> rows.shape, rows[np.array([2, 0])].ravel()
    ((3, 1), array([2., 0.]))
    """

    ndim = 2

    def __init__(self, source: Source, part: Part, kept: Kept) -> None:
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
