"""A Zarr group as a source: an array for each part, chunk by chunk."""

from __future__ import annotations

import asyncio
import math
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr
from zarr.abc.store import OffsetByteRequest, RangeByteRequest, Store, SuffixByteRequest

from labelnext.pools._blocks import BlockSource
from labelnext.pools.check import check_arrays
from labelnext.pools.files import FileError, StoreError, reading, told
from labelnext.pools.known import decoded
from labelnext.pools.source import PARTS, Part, digest_of
from labelnext.utils.memory import refuse_too_large

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping

    from numpy.typing import NDArray
    from zarr.abc.store import ByteRequest
    from zarr.core.buffer import Buffer, BufferPrototype

    from labelnext.pools.files import Files

# Bytes of the chunks that are decoded together, if one chunk has fewer.
TOGETHER = 1 << 22
# Blocks of either part that are looked at to tell one pool from another.
SAMPLED = 3


class ZarrGroup:
    """A group, and the names of its arrays."""

    stems: tuple[str, ...] = ()

    def __init__(self, name: str, files: Files, place: str) -> None:
        self.name, self.files, self.place = name, files, place
        _open_group(files, place)
        # Not what zarr lists: where one array is damaged it prints the traces of all.
        kept = ("zarr.json", ".zarray")
        found = (path.split("/") for path in sorted(files.listing(place)))
        self.names = list(
            dict.fromkeys(name for name, *more in found if more[-1:] and more[0] in kept)
        )

    def source(self, names: Mapping[str, str]) -> ZarrSource:
        """Make a source of some arrays: those of each part, and of ids, groups and labels."""
        return ZarrSource(self.name, self.files, self.place, names)


class ZarrSource(BlockSource):
    """Arrays of a group."""

    def __init__(self, name: str, files: Files, place: str, names: Mapping[str, str]) -> None:
        self.name = name
        self._files, self._place, self._names = files, place, dict(names)
        self._arrays = self._open()
        self._there: list[Part] = [part for part in PARTS if part in names]
        where = {what: f"{place}/{name}" for what, name in names.items()}
        check_arrays(
            {what: (a.shape, a.dtype, where[what]) for what, a in self._arrays.items()},
            members=False,
        )
        for what, array in self._arrays.items():
            chunk = math.prod(array.chunks) * array.dtype.itemsize
            refuse_too_large(f"A chunk of {where[what]}", chunk, "write it in smaller chunks.")
        super().__init__({part: _edges(array) for part, array in self._arrays.items()})
        self.dtypes = {part: self._arrays[part].dtype.newbyteorder("=") for part in self._there}
        shapes = {part: self._arrays[part].shape for part in self._there}
        self.one_dimensional = len(shapes.get("proba", (0, 0))) == 1
        self.n_columns = 1 if self.one_dimensional else shapes.get("proba", (0, 0))[1]
        self.n_features = shapes.get("features", (0, 0))[1]

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in super().__getstate__().items() if k != "_arrays"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._arrays = self._open()

    def where(self, row: int, part: Part | None = None) -> str:
        name = self._names.get(part or "", next(iter(self._names.values())))
        return f"row {row} of {self._place}/{name}"

    def fingerprint(self) -> str:
        """Return a digest of shapes and dtypes, and of some of the chunks."""
        known = []
        for part in self._there:
            edges = self._edges[part]
            blocks = np.unique(np.linspace(0, len(edges) - 2, SAMPLED).astype(np.int64)).tolist()
            sums = [zlib.crc32(self._decode(part, block).data) for block in blocks]
            known.append((self._arrays[part].shape, self.dtypes[part].str, sums))
        return digest_of(*known)

    def _open(self) -> dict[str, Any]:
        group = _open_group(self._files, self._place)
        with reading(self._place):
            found = {part: group[name] for part, name in self._names.items()}
            for array in found.values():
                array.ndim, array.chunks  # noqa: B018 — a group has neither
        return found

    def _decode(self, part: str, block: int) -> NDArray[Any]:
        lo, hi = self._edges[part][block : block + 2].tolist()
        where = f"{self._place}/{self._names[part]}"
        with reading(f"rows {lo} to {hi} of {where}"):
            rows = np.asarray(self._arrays[part][lo:hi])
        if part not in self._there:
            return decoded(part, rows, where)  # type: ignore[arg-type]
        return np.ascontiguousarray(rows.reshape(hi - lo, -1), rows.dtype.newbyteorder("="))


def _open_group(files: Files, place: str) -> Any:
    """Open a group for reading only, or say why it is none."""
    try:
        with told(place):
            return zarr.open_group(FilesStore(files, place), mode="r")
    except (FileNotFoundError, PermissionError, FileError, StoreError):
        raise
    except Exception as error:
        raise FileError(
            f"{place} is no Zarr group that can be read ({' '.join(str(error).split())[:300]}); "
            "expected one with an array for the probabilities and one for the features."
        ) from None


def _edges(array: Any) -> NDArray[np.int64]:
    row_bytes = max(1, array.dtype.itemsize * int(np.prod(array.shape[1:])))
    chunk = array.chunks[0]
    step = chunk * max(1, TOGETHER // (chunk * row_bytes))
    return np.append(np.arange(0, array.shape[0], step), array.shape[0])


class FilesStore(Store):
    """What Zarr reads a group from: the same reads, and the same eye for changes, as all else."""

    supports_writes = False
    supports_deletes = False
    supports_partial_writes = False  # which zarr 3.0 asks for, as it does for set_partial_values
    supports_listing = True

    def __init__(self, files: Files, place: str) -> None:
        super().__init__(read_only=True)
        self.files, self.place = files, place
        self._sizes = files.listing(place)

    def __eq__(self, other: object) -> bool:
        """Whether it is the same group."""
        return isinstance(other, FilesStore) and other.place == self.place

    def __hash__(self) -> int:
        return hash(self.place)

    async def get(
        self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """Return the bytes of a key, or some of them; None if there is no such key."""
        if key not in self._sizes:
            return None
        lo, hi = _range(byte_range, self._sizes[key])
        content = np.empty(max(0, hi - lo), np.uint8)
        await asyncio.to_thread(self.files.read_into, f"{self.place}/{key}", lo, content)
        return prototype.buffer.from_bytes(content.tobytes())

    async def get_partial_values(
        self,
        prototype: BufferPrototype,
        key_ranges: Iterable[tuple[str, ByteRequest | None]],
    ) -> list[Buffer | None]:
        """Return the bytes of several keys, or some of them."""
        wanted = [self.get(key, prototype, byte_range) for key, byte_range in key_ranges]
        return list(await asyncio.gather(*wanted))

    async def exists(self, key: str) -> bool:
        """Tell whether there is a key."""
        return key in self._sizes

    async def list(self) -> AsyncIterator[str]:
        """Name all keys."""
        for key in self._sizes:
            yield key

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        """Name the keys that begin with a prefix."""
        for key in self._sizes:
            if key.startswith(prefix):
                yield key

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """Name what is directly in a folder."""
        start = prefix.rstrip("/") + "/" if prefix else ""
        inside = (key[len(start) :] for key in self._sizes if key.startswith(start))
        for name in dict.fromkeys(key.split("/")[0] for key in inside):
            yield name

    async def delete(self, *_: Any, **__: Any) -> None:
        """Refuse to write."""
        self._check_writable()

    set = set_partial_values = delete


def _range(wanted: Any, size: int) -> tuple[int, int]:
    if isinstance(wanted, RangeByteRequest):
        return wanted.start, min(wanted.end, size)
    if isinstance(wanted, OffsetByteRequest):
        return wanted.offset, size
    if isinstance(wanted, SuffixByteRequest):
        return max(0, size - wanted.suffix), size
    return 0, size
