"""Where a stretch of rows comes from, whichever pass is made over it: here arrays in memory."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from labelnext.engine._factors import StoredRows
from labelnext.engine.threads import SPAN, for_each_span

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    # Given cuts of a stretch, which of the rows between them have to be looked at.
    Changing = Callable[[NDArray[np.int64]], NDArray[np.bool_]]

# Bytes that the temporaries of a tile of rows may take: about a core's second-level cache.
TILE_BYTES = 1 << 20
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
        """Cut the rows into tiles whose temporaries fit a cache.

        Parameters
        ----------
        columns : int
            How many float64 a row the work on a tile needs beside the factors.
        """
        dense = 0 if sp.issparse(self.features) else self.features.shape[1]
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

    first_row: int = 0
    """What messages call the first row: that of the pool of which this is a part."""

    def __len__(self) -> int:
        return len(self.proba)

    @abstractmethod
    def for_each_stretch(self, work: Callable[[int, slice], None]) -> None:
        """Call ``work(number, rows)`` once for each stretch of the pool, side by side."""

    @abstractmethod
    def stretches(self, rows: slice, changing: Changing | None = None) -> Iterator[Stretch]:
        """Go through the rows of one stretch.

        Parameters
        ----------
        rows : slice
            The rows.
        changing : callable, optional
            Which of them have to be looked at. The others may be left out, where that saves
            anything.
        """

    def take(self, rows: slice | NDArray[np.int64]) -> StoredRows:
        """Return some rows as they are stored."""
        return StoredRows(self.proba[rows], self.features[rows])

    def sample(self) -> Any:
        """Return the features of some rows, evenly spread."""
        n = len(self)
        return self.features[np.linspace(0, n - 1, min(n, SAMPLE)).astype(np.int64)]

    def where(self, row: int) -> str:
        """Say which row this is, for messages."""
        return str(self.first_row + row)

    def counters(self, bytes_read: int) -> dict[str, int]:
        """Return the counters of a pass that has read so much."""
        del bytes_read
        return {}


class ArrayRows(Rows):
    """Rows that are arrays of this process, in memory or memory-mapped, never copied whole.

    Parameters
    ----------
    proba : ndarray of shape (n_rows, n_columns)
        Probabilities.
    features : ndarray or csr_array of shape (n_rows, n_features)
        Features.
    stored_as : str, default=None
        The dtype that the probabilities were rounded to, if not theirs.
    first_row : int, default=0
        What messages call the first row.
    """

    place = "on cpu"

    def __init__(
        self,
        proba: NDArray[Any],
        features: Any,
        *,
        stored_as: str | None = None,
        first_row: int = 0,
    ) -> None:
        self.proba, self.features = proba, features
        self.stored_as, self.first_row = stored_as or str(proba.dtype), first_row

    def for_each_stretch(self, work: Callable[[int, slice], None]) -> None:
        n = len(self)
        for_each_span(lambda span: work(span, slice(span * SPAN, min(n, (span + 1) * SPAN))), n)

    def stretches(self, rows: slice, changing: Changing | None = None) -> Iterator[Stretch]:
        yield Stretch(self.proba, self.features, 0, rows)
