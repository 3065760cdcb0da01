"""Arrays in memory as a source: small pools, tests, and parts that were sent to a process."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from labelnext.pools.check import as_ids, as_part, check_ids_length, check_lengths
from labelnext.pools.source import PARTS, Part, Source, check_range, digest_of

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

# Rows that are looked at to tell one pool from another.
SAMPLED = 64


class ArraySource(Source):
    """Probabilities and features that are arrays of this process, or memory-mapped.

    The arrays are kept as they are, and must not be changed while the source is in use.

    Parameters
    ----------
    proba : array-like of shape (n_rows, n_columns) or (n_rows,)
        Probabilities, of any real dtype; one dimension is P(y = 1) of a binary classifier.
    features : array-like of shape (n_rows, n_features)
        Features, of any real dtype.
    ids : array-like of shape (n_rows,), default=None
        The samples' ids, integers or strings.
    name : str, default="arrays"
        What messages call it.

    Raises
    ------
    ValueError
        If a shape is wrong, or the lengths differ.
    TypeError
        If an array does not hold real numbers, or ids are neither integers nor strings.

    Examples
    --------
    >>> import numpy as np
    >>> from labelnext.pools import ArraySource
    >>> source = ArraySource(np.full((3, 2), 0.5), np.arange(3.0)[:, None], ids=["a", "b", "c"])
    >>> source
    ArraySource arrays: 3 rows, probabilities: 2 in float64, features: 1 in float64
    >>> source.take("features", np.array([2, 0]))
    array([[2.],
           [0.]])
    """

    def __init__(
        self, proba: ArrayLike, features: ArrayLike, ids: Any = None, name: str = "arrays"
    ) -> None:
        p = as_part("proba", proba)
        self.one_dimensional = p.ndim == 1
        self._parts: dict[Part, NDArray[Any]] = {
            "proba": p[:, None] if p.ndim == 1 else p,
            "features": as_part("features", features),
        }
        check_lengths(p, self._parts["features"])
        self.name = name
        self.n_rows = len(p)
        self.n_columns, self.n_features = (self._parts[part].shape[1] for part in PARTS)
        self.dtypes = {part: self._parts[part].dtype.newbyteorder("=") for part in PARTS}
        self.cuts = np.array([0, self.n_rows])
        self._ids = None if ids is None else as_ids(ids)
        check_ids_length(self._ids, self.n_rows)
        self._first = 0

    def read(self, part: Part, lo: int, hi: int) -> NDArray[Any]:
        """Return rows lo to hi of one part, without a copy where the array allows."""
        return np.ascontiguousarray(self._parts[part][lo:hi], dtype=self.dtypes[part])

    def take(self, part: Part, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Return some rows of one part, in the order asked for."""
        return np.ascontiguousarray(self._parts[part][rows], dtype=self.dtypes[part])

    def ids(self, rows: NDArray[np.int64] | None = None) -> Any:
        """Return the ids of some rows, or of all; None if there are none."""
        return self._ids if self._ids is None or rows is None else self._ids[rows]

    def where(self, row: int) -> str:
        """Say which row of the arrays a row is."""
        return f"row {self._first + row} of {self.name}"

    def fingerprint(self) -> str:
        """Return a digest of shapes, dtypes and some of the rows."""
        rows = np.linspace(0, self.n_rows - 1, min(self.n_rows, SAMPLED)).astype(np.int64)
        sums = [zlib.crc32(self.take(part, rows).data) for part in PARTS]
        return digest_of(self.n_rows, *(self._parts[p].shape for p in PARTS), self.dtypes, sums)

    def part(self, lo: int, hi: int) -> ArraySource:
        """Return rows lo to hi as a source of its own, which alone are sent where it is sent."""
        check_range(self, lo, hi)
        proba, features = (self._parts[part][lo:hi] for part in PARTS)
        ids = None if self._ids is None else self._ids[lo:hi]
        part = ArraySource(proba, features, ids, self.name)
        part.one_dimensional, part.task, part.bias = self.one_dimensional, self.task, self.bias
        part._first = self._first + lo
        return part
