"""A matrix in a .npy file, of which any rows can be read by themselves."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from labelnext.pools._files import Files

# A header is 128 bytes long, or a few more.
HEADER_BYTES = 1 << 16
# Bytes read at once for rows here and there, which bounds what is read only to be left out.
WINDOW = 1 << 20
# Bytes that are read for rows here and there before these are picked out.
BATCH = 1 << 24


@dataclass(frozen=True)
class NpyFile:
    """What a .npy file holds, and where in it.

    Parameters
    ----------
    path : str
        The file.
    offset : int
        Where the first number is.
    shape : tuple of int
        Of the array; one dimension is read as one column.
    dtype : numpy.dtype
        As stored, maybe in a foreign byte order.
    """

    path: str
    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

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
    def n_bytes(self) -> int:
        """How many bytes the file must have."""
        return self.offset + self.n_rows * self.row_bytes

    def read(self, files: Files, lo: int, out: NDArray[Any]) -> None:
        """Fill an array of rows, in this machine's byte order, from row lo on."""
        files.read_into(self.path, self.offset + lo * self.row_bytes, _bytes_of(out))
        if not self.dtype.isnative:
            out.byteswap(inplace=True)

    def take(
        self, files: Files, rows: NDArray[np.int64], out: NDArray[Any], places: NDArray[np.int64]
    ) -> None:
        """Read some rows into places of an array; rows that are near come with one read."""
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


def open_npy(files: Files, path: str) -> NpyFile:
    """Read the header of a .npy file, and see that the file is as long as it says.

    Raises
    ------
    ValueError
        If it is no .npy file, is cut short, or has its columns one after the other.
    """
    size = files.size(path)
    header = io.BytesIO(files.read_some(path, HEADER_BYTES))
    try:
        version = np.lib.format.read_magic(header)
        read = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        shape, columns_first, dtype = read(header)
    except (ValueError, KeyError, SyntaxError, TypeError) as error:
        raise ValueError(
            f"{path} is no .npy file with an array of numbers ({' '.join(str(error).split())}); "
            "write it with numpy.save."
        ) from None
    found = NpyFile(path, header.tell(), shape, dtype)
    if dtype.hasobject:
        raise ValueError(
            f"{path} holds Python objects, which are not read from files; convert them to "
            "numbers, ids to integers or strings, and save them again."
        )
    if columns_first and len(shape) > 1:
        raise ValueError(
            f"{path} has its columns one after the other (Fortran order), so that no row can be "
            "read by itself; save it again: numpy.save(path, numpy.ascontiguousarray(array))."
        )
    if size != found.n_bytes:
        raise ValueError(
            f"{path} has {size:,} bytes, but {found.n_bytes:,} are those of an array of shape "
            f"{shape} in {dtype}: it was cut short or is still being written; write or copy it "
            "again."
        )
    return found


def _bytes_of(array: NDArray[Any]) -> NDArray[np.uint8]:
    return array.reshape(-1).view(np.uint8)
