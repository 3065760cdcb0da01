"""What may be asked of the two factors of a pool, wherever they are stored."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

Part = Literal["proba", "features"]
PARTS: tuple[Part, Part] = ("proba", "features")


class Source(ABC):
    """Probabilities and features that are read stretch by stretch. It never changes.

    A source can be pickled, and opens its files where it is read; it may be read from several
    threads at once.
    """

    name: str
    """What messages call it: the path, as it was given."""

    n_rows: int
    n_columns: int
    """Columns of the probabilities."""

    n_features: int
    dtypes: dict[Part, np.dtype[Any]]
    """The dtype of either part, as stored, in this machine's byte order."""

    cuts: NDArray[np.int64]
    """Where stretches that are read whole begin (shards, row groups, chunks), from 0 to `n_rows`.

    Where any row can be read by itself: just the two ends.
    """

    task: str | None = None
    """What the probabilities are, if the files say it: see `labelnext.engine.as_gradients`."""

    bias: bool | None = None
    """Whether the last layer has a bias whose gradient counts too, if the files say it."""

    one_dimensional: bool = False
    """Whether probabilities were stored with one dimension: P(y = 1), read here as one column."""

    @abstractmethod
    def read(self, part: Part, lo: int, hi: int) -> NDArray[Any]:
        """Read rows lo to hi of one part, shape (hi − lo, its width), in C order, its dtype."""

    @abstractmethod
    def take(self, part: Part, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Read some rows of one part, in the order asked for."""

    @abstractmethod
    def ids(self, rows: NDArray[np.int64] | None = None) -> Any:
        """Return the ids of some rows, or of all; None if the source has none.

        They are an array of int64, or of Python strings in an array of objects.
        """

    @abstractmethod
    def where(self, row: int) -> str:
        """Say in which file a row is, and which row of the file it is, for messages."""

    @abstractmethod
    def fingerprint(self) -> str:
        """Return what differs between pools: a digest of what is known without reading them."""

    def verify(self) -> None:
        """Read everything once, so that files that are damaged are found before they matter.

        Where files have checksums they are compared.
        """
        for part in PARTS:
            for lo, hi in self.stretches():
                self.read(part, lo, hi)
        self.ids()

    def stretches(self, n_bytes: int = 1 << 23) -> Iterator[tuple[int, int]]:
        """Cut all rows into stretches of about so many bytes, none across a cut."""
        step = max(1, n_bytes // self.row_bytes)
        for start, stop in pairwise(self.cuts.tolist()):
            for lo in range(start, stop, step):
                yield lo, min(lo + step, stop)

    def part(self, lo: int, hi: int) -> Source:
        """Return rows lo to hi as a source of its own."""
        return PartOfSource(self, lo, hi)

    def width(self, part: Part) -> int:
        """Return how many numbers a row of a part has."""
        return self.n_columns if part == "proba" else self.n_features

    @property
    def row_bytes(self) -> int:
        """How many bytes a row of both parts has."""
        return sum(self.width(part) * self.dtypes[part].itemsize for part in PARTS)

    def __repr__(self) -> str:
        proba, features = (f"{self.width(p)} in {self.dtypes[p]}" for p in PARTS)
        return (
            f"{type(self).__name__} {self.name}: {self.n_rows:,} rows, "
            f"probabilities: {proba}, features: {features}"
        )


class PartOfSource(Source):
    """Some rows of a source that follow one another, as a source.

    Parameters
    ----------
    source : Source
        The whole.
    lo, hi : int
        The first row, and the one after the last.

    Raises
    ------
    ValueError
        If these are no rows of the source.

    Examples
    --------
    >>> import numpy as np
    >>> from labelnext.pools import ArraySource, PartOfSource
    >>> whole = ArraySource(np.full((4, 2), 0.5), np.arange(8.0).reshape(4, 2))
    >>> PartOfSource(whole, 1, 3).read("features", 0, 2)
    array([[2., 3.],
           [4., 5.]])
    """

    def __init__(self, source: Source, lo: int, hi: int) -> None:
        check_range(source, lo, hi)
        self.source: Source = source
        self.lo, self.hi = int(lo), int(hi)
        self.name = f"{source.name}[{lo}:{hi}]"
        self.n_rows = hi - lo
        self.n_columns, self.n_features = source.n_columns, source.n_features
        self.dtypes = source.dtypes
        self.cuts = np.unique(np.clip(source.cuts, lo, hi)) - lo
        self.task, self.bias = source.task, source.bias
        self.one_dimensional = source.one_dimensional

    def read(self, part: Part, lo: int, hi: int) -> NDArray[Any]:
        """Read rows lo to hi of the part."""
        return self.source.read(part, self.lo + lo, self.lo + hi)

    def take(self, part: Part, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Read some rows of the part, in the order asked for."""
        return self.source.take(part, rows + self.lo)

    def ids(self, rows: NDArray[np.int64] | None = None) -> Any:
        """Return the ids of some rows, or of all; None if the source has none."""
        wanted = np.arange(self.n_rows) if rows is None else rows
        return self.source.ids(wanted + self.lo)

    def where(self, row: int) -> str:
        """Say where a row is in the whole."""
        return self.source.where(self.lo + row)

    def fingerprint(self) -> str:
        """Return a digest of the whole and of which rows these are."""
        return digest_of(self.source.fingerprint(), self.lo, self.hi)

    def part(self, lo: int, hi: int) -> Source:
        """Return rows lo to hi of the part, as a part of the whole."""
        check_range(self, lo, hi)
        return PartOfSource(self.source, self.lo + lo, self.lo + hi)


def check_range(source: Source, lo: int, hi: int) -> None:
    """Refuse rows that a source does not have."""
    if not 0 <= lo < hi <= source.n_rows:
        raise ValueError(
            f"Rows {lo} to {hi} are no part of {source.name}: expected 0 <= lo < hi <= "
            f"{source.n_rows:,}, the number of its rows."
        )


def digest_of(*known: object) -> str:
    """Return a short digest of some values, by what they print as."""
    return hashlib.blake2b(repr(known).encode(), digest_size=16).hexdigest()
