"""What may be asked of the two parts of a pool, wherever they are stored, and views of them."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from labelnext.utils.given import shown
from labelnext.utils.libraries import is_tensor
from labelnext.utils.text import counted

Part = Literal["proba", "features"]
PARTS: tuple[Part, Part] = ("proba", "features")
# What a sample may have beside its numbers.
Known = Literal["ids", "groups", "labels"]
KNOWN: tuple[Known, Known, Known] = ("ids", "groups", "labels")


class Source(ABC):
    """Probabilities and features, or one of them, read stretch by stretch. It never changes.

    A source can be pickled, and opens its files where it is read; it may be read from several
    threads at once.
    """

    name: str  # what messages call it: the path, as it was given
    n_rows: int
    n_columns: int  # of the probabilities; 0 if there are none
    n_features: int  # 0 if there are none
    n_members: int | None = None  # of a committee, if the probabilities are those of several models
    dtypes: dict[Part, np.dtype[Any]]  # of each part, as stored, in this machine's byte order
    # Where stretches that are read whole begin (shards, row groups, chunks), from 0 to `n_rows`;
    # where any row can be read alone, just the two ends.
    cuts: NDArray[np.int64]
    # What the files say of the model, None if they do not.
    task: str | None = None
    bias: bool | None = None
    classes: NDArray[Any] | None = None
    stored_as: str | None = None  # what the probabilities were rounded to, if not their dtype
    one_dimensional: bool = False  # whether they were stored so: P(y = 1), read as one column
    in_memory: bool = False  # whether the parts are arrays or tensors: `array` returns them
    device: Any = "cpu"  # or a torch.device
    sparse: bool = False  # whether the features are CSR
    unused: tuple[str, ...] = ()  # columns or arrays that are no part of the pool, for messages
    taken: str = ""  # which files of a folder with others are the pool's, if nobody named them

    @abstractmethod
    def read(self, part: Part, lo: int, hi: int) -> NDArray[Any]:
        """Read rows lo to hi of one part, shape (hi − lo, its width), in C order, its dtype.

        Of a committee's probabilities, shape (members, hi − lo, width). Of arrays in memory, sparse
        features come as CSR, tensors as they are.
        """

    @abstractmethod
    def take(self, part: Part, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Read some rows of one part, in the order asked for."""

    @abstractmethod
    def known(self, what: Known, rows: NDArray[np.int64] | None = None) -> Any:
        """Return ids, groups or labels of some rows, or of all; None if the source has none."""

    def ids(self, rows: NDArray[np.int64] | None = None) -> Any:
        """Return the ids of some rows, or of all; None if the source has none."""
        return self.known("ids", rows)

    def has(self, what: Known) -> bool:
        """Tell whether ids, groups or labels are there."""
        return self.known(what, np.arange(1)) is not None

    @abstractmethod
    def where(self, row: int, part: Part | None = None) -> str:
        """Say in which file a row (of a part) is, and which row of the file, for messages."""

    @abstractmethod
    def fingerprint(self) -> str:
        """Return what differs between pools: a digest of what is known without reading them."""

    def verify(self) -> None:
        """Read everything once, and compare checksums, so that what is damaged is found."""
        for part in self.parts:
            for lo, hi in self.stretches():
                self.read(part, lo, hi)
        for what in KNOWN:
            self.known(what)

    def array(self, part: Part) -> Any:
        """Return a whole part: as it is where it is in memory, else read."""
        return self.read(part, 0, self.n_rows)

    def stretches(self, n_bytes: int = 1 << 23) -> Iterator[tuple[int, int]]:
        """Cut all rows into stretches of about so many bytes, none across a cut."""
        step = max(1, n_bytes // self.row_bytes)
        for start, stop in pairwise(self.cuts.tolist()):
            for lo in range(start, stop, step):
                yield lo, min(lo + step, stop)

    def part(self, lo: int, hi: int) -> Source:
        """Return rows lo to hi as a source of their own."""
        return PartOfSource(self, lo, hi)

    def chosen(self, rows: slice | NDArray[np.int64]) -> Source:
        """Return some rows, or every so many of them, as a source of their own."""
        return RowsOfSource(self, np.arange(self.n_rows)[rows])

    @property
    def last_layer(self) -> Any:
        """The weights of the last layer and its bias or None, if the files have them, else None."""
        return None

    @property
    def parts(self) -> tuple[Part, ...]:
        """Which parts are there."""
        return tuple(part for part in PARTS if part in self.dtypes)

    def width(self, part: Part) -> int:
        """Return how many numbers a row of a part has."""
        return self.n_columns if part == "proba" else self.n_features

    @property
    def row_bytes(self) -> int:
        """How many bytes a row of all parts has; for sparse features, as if they were dense."""
        members = {"proba": self.n_members or 1, "features": 1}
        return sum(self.width(p) * members[p] * self.dtypes[p].itemsize for p in self.parts)

    def __repr__(self) -> str:
        names = {"proba": "probabilities", "features": "features"}
        parts = (
            f", {names[p]}: {self.width(p)} in {str(self.dtypes[p]).removeprefix('torch.')}"
            for p in self.parts
        )
        return f"{type(self).__name__} {self.name}: {counted(self.n_rows, 'row')}{''.join(parts)}"


# What a view has of its source unless it says otherwise.
_SEEN = (
    *("name", "n_rows", "cuts", "n_columns", "n_features", "n_members", "dtypes", "task", "bias"),
    *("classes", "stored_as", "one_dimensional", "device", "sparse"),
)


class _View(Source):
    """Another source, told otherwise; what is not overridden is the other's."""

    def __init__(self, source: Source) -> None:
        self.source: Source = source
        self.__dict__.update({name: getattr(source, name) for name in _SEEN})

    def take(self, part: Part, rows: NDArray[np.int64]) -> NDArray[Any]:
        return self.source.take(part, self._rows(rows))

    @property
    def last_layer(self) -> Any:
        return self.source.last_layer

    def known(self, what: Known, rows: NDArray[np.int64] | None = None) -> Any:
        return self.source.known(what, self._rows(np.arange(self.n_rows) if rows is None else rows))

    def where(self, row: int, part: Part | None = None) -> str:
        return self.source.where(int(self._rows(np.array([row]))[0]), part)

    def _rows(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return which rows of the other source these are."""
        return rows


class PartOfSource(_View):
    """Some rows of a source that follow one another, as a source."""

    def __init__(self, source: Source, lo: int, hi: int) -> None:
        check_range(source, lo, hi)
        super().__init__(source)
        self.lo, self.hi = int(lo), int(hi)
        self.name = f"{source.name}[{lo}:{hi}]"
        self.n_rows = hi - lo
        self.cuts = np.unique(np.clip(source.cuts, lo, hi)) - lo

    def read(self, part: Part, lo: int, hi: int) -> NDArray[Any]:
        return self.source.read(part, self.lo + lo, self.lo + hi)

    def fingerprint(self) -> str:
        """Return a digest of the whole and of which rows these are."""
        return digest_of(self.source.fingerprint(), self.lo, self.hi)

    def part(self, lo: int, hi: int) -> Source:
        """Return rows lo to hi of the part, as a part of the whole."""
        check_range(self, lo, hi)
        return PartOfSource(self.source, self.lo + lo, self.lo + hi)

    def _rows(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        return rows + self.lo


class RowsOfSource(_View):
    """Some rows of a source in any order, as a source: read where they are asked for."""

    def __init__(self, source: Source, rows: NDArray[np.int64]) -> None:
        super().__init__(source)
        self.rows, self.n_rows = rows, len(rows)
        self.name = f"{counted(self.n_rows, 'row')} of {source.name}"
        self.cuts = np.array([0, self.n_rows])

    def read(self, part: Part, lo: int, hi: int) -> NDArray[Any]:
        return self.source.take(part, self.rows[lo:hi])

    def fingerprint(self) -> str:
        """Return a digest of the whole and of which rows these are."""
        content = np.ascontiguousarray(self.rows, dtype="<i8").data
        return digest_of(self.source.fingerprint(), digest_of_bytes(content))

    def part(self, lo: int, hi: int) -> Source:
        """Return rows lo to hi of these."""
        check_range(self, lo, hi)
        return RowsOfSource(self.source, self.rows[lo:hi])

    def chosen(self, rows: slice | NDArray[np.int64]) -> Source:
        """Return some of these rows."""
        return RowsOfSource(self.source, self.rows[rows])

    def _rows(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        return self.rows[rows]


class TwoColumns(_View):
    """A source of P(y = 1) as one of the probabilities of both classes, in float64."""

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self.n_columns, self.one_dimensional = 2, False
        self.in_memory = source.in_memory
        # float64, lest 1 − p be 1 for a small p; an Apple GPU has none.
        dtype: Any = np.dtype(np.float64)
        if source.device != "cpu":
            import torch

            dtype = torch.float32 if source.device.type == "mps" else torch.float64
        self.dtypes = {**source.dtypes, "proba": dtype}

    def read(self, part: Part, lo: int, hi: int) -> Any:
        return self._both(part, self.source.read(part, lo, hi))

    def take(self, part: Part, rows: NDArray[np.int64]) -> Any:
        return self._both(part, self.source.take(part, rows))

    def array(self, part: Part) -> Any:
        """Return a whole part; the features as they are."""
        return self._both(part, self.source.array(part))

    def fingerprint(self) -> str:
        """Return a digest of the source's."""
        return digest_of(self.source.fingerprint(), 2)

    def part(self, lo: int, hi: int) -> Source:
        """Return rows lo to hi as a source of their own."""
        return TwoColumns(self.source.part(lo, hi))

    def chosen(self, rows: slice | NDArray[np.int64]) -> Source:
        """Return some rows as a source of their own."""
        return TwoColumns(self.source.chosen(rows))

    def moved(self, device: Any) -> Source:
        """Return the same on a device."""
        return TwoColumns(self.source.moved(device))  # type: ignore[attr-defined]

    def _both(self, part: Part, values: Any) -> Any:
        if part == "features":
            return values
        if is_tensor(values):
            import torch

            positive = values[..., 0].to(self.dtypes["proba"])
            return torch.stack([1 - positive, positive], dim=-1)
        positive = values[..., 0].astype(np.float64)
        return np.stack([1 - positive, positive], axis=-1)


class StoredPart:
    """Probabilities or features that lie in files, as an array: read where it is indexed."""

    ndim = 2

    def __init__(self, source: Source, part: Part) -> None:
        self.source, self.part = source, part
        self.shape = (source.n_rows, source.width(part))
        self.dtype = source.dtypes[part]
        self.size = self.shape[0] * self.shape[1]

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> NDArray[Any]:
        if isinstance(rows, slice):
            lo, hi, step = rows.indices(len(self))
            if step == 1:
                return self.source.read(self.part, lo, max(lo, hi))
            return self.source.take(self.part, np.arange(lo, hi, step))
        # As NumPy: a mask, a single row, rows counted from the end; columns are cut afterwards.
        n, places = len(self), np.asarray(rows)
        if places.dtype == bool and places.shape == (n,):
            places = np.flatnonzero(places)
        if not places.size and isinstance(rows, list | tuple):
            places = np.empty(0, np.int64)
        if isinstance(rows, tuple) or places.dtype.kind not in "iu" or places.ndim > 1:
            raise IndexError(
                f"The {self.part} in files are read by rows: expected a row number, a slice, a "
                f"list or array of row numbers or a mask of {n:,}, got {shown(rows)}; choose "
                f"columns of what was read, as in pool.{self.part}[:10][:, 0]."
            )
        if (outside := places[(places < -n) | (places >= n)]).size:
            raise IndexError(
                f"Row {outside.flat[0]:,} is none of the {counted(n, 'row')} of the pool."
            )
        places = np.where(places < 0, places + n, places).astype(np.int64)
        values = self.source.take(self.part, np.atleast_1d(places))
        return values if places.ndim else values[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        values = self.source.read(self.part, 0, len(self))
        return values if dtype is None else values.astype(dtype)

    def __repr__(self) -> str:
        return f"{self.part} of shape {self.shape} in {self.dtype}, in {self.source.name}"


def by_block(
    edges: NDArray[np.int64], rows: NDArray[np.int64]
) -> Iterator[tuple[int, NDArray[np.int64], NDArray[np.int64]]]:
    """Go through the blocks that rows are in: which, the places of its rows, and these within."""
    of = np.searchsorted(edges, rows, "right") - 1
    order = np.argsort(of, kind="stable")
    for places in np.split(order, np.flatnonzero(np.diff(of[order])) + 1):
        if len(places):
            block = int(of[places[0]])
            yield block, places, rows[places] - edges[block]


def check_range(source: Source, lo: int, hi: int) -> None:
    """Refuse rows that a source does not have."""
    if not 0 <= lo < hi <= source.n_rows:
        raise ValueError(
            f"Rows {lo} to {hi} are no part of {source.name}: expected 0 <= lo < hi <= "
            f"{source.n_rows:,}, the number of its rows."
        )


def digest_of(*known: object) -> str:
    """Return a short digest of some values, by what they print as."""
    return digest_of_bytes(repr(known).encode())


def digest_of_bytes(content: bytes | memoryview) -> str:
    """Return a short digest of bytes."""
    return hashlib.blake2b(content, digest_size=16).hexdigest()
