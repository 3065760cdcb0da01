"""Arrays in .npy files, of which any rows can be read alone, and in .npz files, read whole."""

from __future__ import annotations

import io
import math
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from labelnext.pools.arrays import ArraySource
from labelnext.pools.check import check_arrays
from labelnext.pools.files import FileError, broken, cut_short, reading, some_bytes
from labelnext.pools.known import decoded
from labelnext.pools.source import PARTS, Known, Part, Source, by_block, digest_of
from labelnext.utils.memory import refuse_too_large
from labelnext.utils.text import counted

if TYPE_CHECKING:
    import zipfile
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from labelnext.pools.files import Files

# A header is 128 bytes long, or a few more.
HEADER_BYTES = 1 << 16
# Bytes read at once for rows here and there, which bounds what is read only to be left out.
WINDOW = 1 << 20
# Bytes that are read for rows here and there before these are picked out.
BATCH = 1 << 24


@dataclass(frozen=True)
class NpyFile:
    """What a .npy file holds, and where in it; one dimension is read as one column."""

    path: str
    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]  # as stored, maybe in a foreign byte order
    columns_first: bool = False  # Fortran order

    @property
    def n_rows(self) -> int:
        """How many rows there are."""
        return self.shape[0]

    @property
    def width(self) -> int:
        """How many numbers a row has."""
        return math.prod(self.shape[1:])

    @property
    def row_bytes(self) -> int:
        """How many bytes a row has."""
        return self.width * self.dtype.itemsize

    @property
    def native(self) -> np.dtype[Any]:
        """The dtype that is read, in this machine's byte order."""
        return self.dtype.newbyteorder("=")

    @property
    def said(self) -> tuple[tuple[int, ...], np.dtype[Any], str]:
        """What it says it holds, and where it is."""
        return self.shape, self.dtype, self.path

    @property
    def n_bytes(self) -> int:
        """How many bytes the file must have."""
        return self.offset + math.prod(self.shape) * self.dtype.itemsize

    def array(self, content: NDArray[np.uint8]) -> NDArray[Any]:
        """Return the array, of all bytes of the file."""
        order: Any = "F" if self.columns_first else "C"
        return content[self.offset :].view(self.dtype).reshape(self.shape, order=order)

    def read(self, files: Files, lo: int, out: NDArray[Any]) -> None:
        files.read_into(self.path, self.offset + lo * self.row_bytes, _bytes_of(out))
        if not self.dtype.isnative:
            out.byteswap(inplace=True)

    def take(
        self, files: Files, rows: NDArray[np.int64], out: NDArray[Any], places: NDArray[np.int64]
    ) -> None:
        order = np.argsort(rows, kind="stable")
        rows, places = rows[order], places[order]
        far = np.diff(rows) > 1 + files.gap // self.row_bytes
        window = np.diff(rows * self.row_bytes // WINDOW) > 0
        # Of each run of rows that are read together: its place among the rows, where it begins and
        # ends in the file, and where it is put in a buffer of all that is read.
        first = np.flatnonzero(np.concatenate([[True], far | window]))
        last = np.append(first[1:], len(rows)) - 1
        starts, lengths = rows[first], rows[last] + 1 - rows[first]
        ends = np.cumsum(lengths)
        per_batch = max(1, BATCH // self.row_bytes)
        lo = 0
        while lo < len(first):
            begun = int(ends[lo] - lengths[lo])
            hi = max(lo + 1, int(np.searchsorted(ends, begun + per_batch, "right")))
            at = ends[lo:hi] - lengths[lo:hi] - begun
            buffer = np.empty((int(ends[hi - 1]) - begun, self.width), self.native)
            offsets = self.offset + starts[lo:hi] * self.row_bytes
            spots = np.stack([at, at + lengths[lo:hi]], axis=1) * self.row_bytes
            files.read_many(self.path, offsets.tolist(), spots.tolist(), _bytes_of(buffer))
            if not self.dtype.isnative:
                buffer.byteswap(inplace=True)
            mine = slice(int(first[lo]), int(last[hi - 1]) + 1)
            inside = rows[mine] + np.repeat(at - starts[lo:hi], (last - first)[lo:hi] + 1)
            out[places[mine]] = buffer[inside]
            lo = hi


def read_header(start: bytes, path: str, size: int) -> NpyFile:
    """Read the header at the start of an array of `size` bytes, and check all that it says."""
    header = io.BytesIO(start)
    with reading(path):
        version = np.lib.format.read_magic(header)
        if version > (2, 0):  # for names of fields that are not Latin-1, and we read no fields
            raise ValueError(f"version {version[0]}.{version[1]} of the format .npy is not read")
        read = np.lib.format.read_array_header_1_0
        read = read if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, columns_first, dtype = read(header)
    if dtype.hasobject:
        raise FileError(
            f"{path} holds an array of Python objects, which are not read from files; save it as "
            "numbers or texts: numpy.save(path, array.astype(str)) for ids."
        )
    if any(type(n) is not int or n < 0 for n in shape) or not dtype.itemsize:
        raise broken(path, f"it says that it holds an array of shape {shape} in {dtype}")
    found = NpyFile(path, header.tell(), shape, dtype, columns_first and len(shape) > 1)
    if size != found.n_bytes:
        raise FileError(
            f"{path} has {counted(size, 'byte')}, but {found.n_bytes:,} are those of an array of "
            "shape "
            f"{shape} in {dtype}: it was cut short or is still being written; write or copy it "
            "again."
        )
    return found


def open_npy(files: Files, path: str) -> NpyFile:
    """Read the header of a .npy file, and see that the file is as long as it says."""
    found = read_header(files.read_some(path, HEADER_BYTES), path, files.size(path))
    if not found.shape:
        raise FileError(f"{path} holds a single number; it needs a row for each sample.")
    return found


class RowsSource(Source):
    """Shards of .npy files, one for each part that is there, that were found to fit together."""

    def __init__(self, name: str, files: Files, arrays: Mapping[str, Sequence[NpyFile]]) -> None:
        self.name = name
        self._files, self._arrays = files, arrays
        first: dict[Part, NpyFile] = {part: arrays[part][0] for part in PARTS if part in arrays}
        self._main = arrays[next(iter(first), next(iter(arrays)))]
        self._starts = np.cumsum([0, *(file.n_rows for file in self._main)])
        self.n_rows = int(self._starts[-1])
        self.n_columns, self.n_features = (
            first[part].width if part in first else 0 for part in PARTS
        )
        self.dtypes = {part: file.native for part, file in first.items()}
        self.one_dimensional = "proba" in first and len(first["proba"].shape) == 1
        self.cuts = np.array([0, self.n_rows])

    def read(self, part: Part, lo: int, hi: int) -> NDArray[Any]:
        out = np.empty((hi - lo, self.width(part)), self.dtypes[part])
        for shard, start, stop in self._stretches(lo, hi):
            first = int(self._starts[shard])
            rows = out[start - lo : stop - lo]
            self._arrays[part][shard].read(self._files, start - first, rows)
            self._was_read(part, shard, start - first, rows)
        return out

    def take(self, part: Part, rows: NDArray[np.int64]) -> NDArray[Any]:
        return self._take(part, rows, self.dtypes[part])

    def known(self, what: Known, rows: NDArray[np.int64] | None = None) -> Any:
        if what not in self._arrays:
            return None
        rows = np.arange(self.n_rows) if rows is None else rows
        # Strings may be stored in another width in each shard.
        dtype = max((file.native for file in self._arrays[what]), key=lambda dtype: dtype.itemsize)
        values = self._take(what, rows, dtype)
        values = values[:, 0] if len(self._arrays[what][0].shape) == 1 else values
        return decoded(what, values, self._arrays[what][0].path)

    def has(self, what: Known) -> bool:
        return what in self._arrays

    def where(self, row: int, part: Part | None = None) -> str:
        shard = int(np.searchsorted(self._starts, row, "right")) - 1
        file = self._arrays.get(part or "", self._main)[shard]
        return f"row {row - self._starts[shard]} of {file.path}"

    def fingerprint(self) -> str:
        """Return a digest of shapes, dtypes and some of the files' bytes."""
        files = [file for shards in self._arrays.values() for file in shards]
        known = [(f.shape, f.dtype.str, some_bytes(self._files, f.path)) for f in files]
        return digest_of(*known)

    def _take(self, part: str, rows: NDArray[np.int64], dtype: np.dtype[Any]) -> NDArray[Any]:
        shards = self._arrays[part]
        out = np.empty((len(rows), shards[0].width), dtype)
        for shard, places, inside in by_block(self._starts, rows):
            shards[shard].take(self._files, inside, out, places)
        return out

    def _stretches(self, lo: int, hi: int) -> Iterator[tuple[int, int, int]]:
        """Cut rows lo to hi where shards begin: the shard, and its rows of the pool."""
        shard = int(np.searchsorted(self._starts, lo, "right")) - 1
        while lo < hi:
            stop = min(hi, int(self._starts[shard + 1]))
            yield shard, lo, stop
            lo, shard = stop, shard + 1

    def _was_read(self, part: Part, shard: int, first: int, rows: NDArray[Any]) -> None:
        """Look at rows that were read in order; of plain files nothing is known of them."""


class MappedSource(ArraySource):
    """A part in a .npy file whose rows are not one after the other, mapped into memory."""

    def __init__(self, part: Part, file: NpyFile, files: Files, name: str) -> None:
        order: Any = "F" if file.columns_first else "C"
        check_arrays({part: file.said})
        mapped = np.memmap(file.path, file.dtype, "r", file.offset, file.shape, order)
        super().__init__(**{part: mapped}, name=name)
        self._files, self._path = files, file.path

    def array(self, part: Part) -> Any:
        """Return the part as it is."""
        self._files.see(self._path)
        return super().array(part)


def open_npy_files(name: str, files: Files, paths: Mapping[str, str]) -> RowsSource:
    """Open a .npy file for each part, and for ids, groups and labels."""
    found = {what: open_npy(files, path) for what, path in paths.items()}
    for file in found.values():
        if file.columns_first:
            raise FileError(
                f"{file.path} has its columns one after the other (Fortran order), so that no row "
                "can be read by itself; save it again: numpy.save(path, "
                "numpy.ascontiguousarray(array))."
            )
    check_arrays({what: file.said for what, file in found.items()}, members=False)
    return RowsSource(name, files, {what: [file] for what, file in found.items()})


def _bytes_of(array: NDArray[Any]) -> NDArray[np.uint8]:
    return array.reshape(-1).view(np.uint8)


# What SciPy saves of a sparse matrix of each format, beside its shape.
SPARSE = {
    "csr": ("data", "indices", "indptr"),
    "csc": ("data", "indices", "indptr"),
    "bsr": ("data", "indices", "indptr"),
    "dia": ("data", "offsets"),
    "coo": ("data", "row", "col"),
}
# Bytes that are decoded at once.
CHUNK = 1 << 20


class Archive:
    """An .npz file, whose arrays are read into memory, once it is known how large they are."""

    stems: tuple[str, ...] = ()

    def __init__(self, name: str, files: Files, place: str) -> None:
        self.name, self.files, self.place = name, files, place
        with self._opened() as archive:
            members = [member for member in archive.namelist() if member.endswith(".npy")]
        self.names = [member.removesuffix(".npy") for member in members]

    def source(self, names: Mapping[str, str]) -> Source:
        found = self._read(list(names.values()), {name: what for what, name in names.items()})
        arrays: dict[Any, Any] = {what: found[name] for what, name in names.items()}
        parts = {part: arrays.pop(part) for part in PARTS if part in arrays}
        if not parts:
            ((what, values),) = arrays.items()
            return ArraySource.of_known(what, values, f"{self.name}:{names[what]}")
        source = ArraySource(**parts, name=self.name).with_known(arrays)
        if "proba" in parts and "classes" in self.names:
            classes, proba = self._read(["classes"])["classes"], parts["proba"]
            n_classes = 2 if proba.ndim == 1 else proba.shape[-1]
            if classes.shape == (n_classes,):  # else it is of the samples
                source.classes = classes
        return source

    def sparse_matrix(self) -> Any:
        """Return the sparse matrix that SciPy saved."""
        import scipy.sparse as sp

        wanted = {"format", "shape", *(name for each in SPARSE.values() for name in each)}
        found = self._read([name for name in self.names if name in wanted])
        with reading(self.name):
            form = found["format"].item()
            form = form.decode() if isinstance(form, bytes) else form
            shape = tuple(map(int, found["shape"]))
            data, *places = (found[name] for name in SPARSE[form])
            if any(array.dtype.kind not in "iu" for array in places):
                raise ValueError(f"{', '.join(SPARSE[form][1:])} must be integers")
            content = (data, tuple(places)) if form == "coo" else (data, *places)
            return getattr(sp, f"{form}_matrix")(content, shape=shape)

    def _read(self, names: Sequence[str], parts: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Read arrays, after their headers, which say what they are and take."""
        headers, arrays = {}, {}
        with self._opened() as archive:
            for name in names:
                where, member = f"{self.name}:{name}", archive.getinfo(f"{name}.npy")
                with archive.open(member) as file:
                    headers[name] = read_header(file.read(HEADER_BYTES), where, member.file_size)
        if parts:
            check_arrays({parts[n]: h.said for n, h in headers.items()})
        refuse_too_large(
            self.name,
            sum(header.n_bytes for header in headers.values()),
            "save the arrays as .npy files, which are read piece by piece.",
        )
        with self._opened() as archive:
            for name, header in headers.items():
                content, done = np.empty(header.n_bytes, np.uint8), 0
                with archive.open(f"{name}.npy") as file:
                    while chunk := file.read(CHUNK):  # to the end, where the checksum is compared
                        content[done : done + len(chunk)] = np.frombuffer(chunk, np.uint8)
                        done += len(chunk)
                if done != header.n_bytes:
                    raise cut_short(header.path, done, header.n_bytes)
                arrays[name] = header.array(content)
        return arrays

    @contextmanager
    def _opened(self) -> Iterator[zipfile.ZipFile]:
        import zipfile

        with (
            reading(self.name),
            self.files.opened(self.place) as file,
            zipfile.ZipFile(file) as archive,
        ):
            yield archive
