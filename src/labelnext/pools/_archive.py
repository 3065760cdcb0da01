"""Arrays in .npz files, which are read into memory once it is known what they are and take."""

from __future__ import annotations

import zipfile
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from labelnext.pools._npy import HEADER_BYTES, read_header
from labelnext.pools.arrays import ArraySource
from labelnext.pools.check import check_arrays
from labelnext.pools.files import cut_short, reading
from labelnext.pools.source import PARTS
from labelnext.utils.memory import refuse_too_large

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from labelnext.pools.files import Files
    from labelnext.pools.source import Source

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
        return ArraySource(**parts, name=self.name).with_known(arrays)

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
        with (
            reading(self.name),
            self.files.opened(self.place) as file,
            zipfile.ZipFile(file) as archive,
        ):
            yield archive
