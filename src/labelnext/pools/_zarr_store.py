"""What Zarr reads a group in an object store from: the same ranged reads as all else."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import numpy as np
from zarr.abc.store import (
    OffsetByteRequest,
    RangeByteRequest,
    Store,
    SuffixByteRequest,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from zarr.abc.store import ByteRequest
    from zarr.core.buffer import Buffer, BufferPrototype

    from labelnext.pools._files import Files


class FilesStore(Store):
    """A group that is read and never written.

    Parameters
    ----------
    files : Files
        Where it is.
    place : str
        Its path there.
    """

    supports_writes = False
    supports_deletes = False
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

    async def set(self, key: str, value: Buffer) -> None:
        """Refuse to write."""
        self._check_writable()

    async def delete(self, key: str) -> None:
        """Refuse to delete."""
        self._check_writable()


def _range(wanted: Any, size: int) -> tuple[int, int]:
    if isinstance(wanted, RangeByteRequest):
        return wanted.start, min(wanted.end, size)
    if isinstance(wanted, OffsetByteRequest):
        return wanted.offset, size
    if isinstance(wanted, SuffixByteRequest):
        return max(0, size - wanted.suffix), size
    return 0, size
