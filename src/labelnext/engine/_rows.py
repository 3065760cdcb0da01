"""Where the rows of a pool come from, whichever pass is made over them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from labelnext.engine._factors import StoredRows
from labelnext.engine.threads import SPAN, for_each_span
from labelnext.pools.check import refuse_proba
from labelnext.pools.source import PARTS
from labelnext.utils.tasks import CLASSIFICATION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from labelnext.pools.source import Part, Source
    from labelnext.utils.tasks import Task

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

    @abstractmethod
    def where(self, row: int, part: Part = "proba") -> str:
        """Say which row this is, for messages."""

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
    where : callable, default=None
        Says where a row is, in the pool of which this is a part.
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

    Parameters
    ----------
    source : Source
        The probabilities and features.
    task : str, default="multiclass"
        What the columns of the probabilities are.
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

    def take(self, part: Part, rows: NDArray[np.int64]) -> NDArray[Any]:
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
