"""Bytes of files in an object store, by ranged reads through pyarrow's file systems."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import fs

from labelnext.pools.files import Files, StoreError, cut_short, told

# Bytes of one request: enough to be read at full speed, few enough to have several under way.
REQUEST = 1 << 23


class RemoteFiles(Files):
    """Files that a URI leads to: s3, gs, abfs, hdfs, and what fsspec knows if it is installed."""

    gap = 1 << 18  # a request takes as long as so many bytes
    threads = 16

    def __init__(self, filesystem: Any, scheme: str) -> None:
        self._fs, self._scheme = filesystem, scheme
        super().__init__()

    def read_into(self, path: str, offset: int, buffer: NDArray[Any]) -> None:
        spots = [[lo, min(lo + REQUEST, len(buffer))] for lo in range(0, len(buffer), REQUEST)]
        self.read_many(path, [offset + lo for lo, _ in spots], spots, buffer)

    def read_many(
        self, path: str, offsets: list[int], spots: list[list[int]], buffer: NDArray[Any]
    ) -> None:
        handle = self._handle(path)

        def request(offset: int, spot: list[int]) -> None:
            lo, hi = spot
            with self._reaching(path):
                got = handle.read_at(hi - lo, offset)
            if len(got) != hi - lo:
                raise cut_short(self._said(path), offset + len(got), offset + hi - lo)
            buffer[lo:hi] = np.frombuffer(got, np.uint8)

        with ThreadPoolExecutor(min(self.threads, max(1, len(spots)))) as threads:
            for _ in threads.map(request, offsets, spots):
                pass

    def is_folder(self, path: str) -> bool:
        info = self._info(path)
        if info.type == fs.FileType.NotFound:
            with told(self._said(path)):
                raise FileNotFoundError
        return bool(info.type == fs.FileType.Directory)

    def listing(self, folder: str, unless: Collection[str] = ()) -> dict[str, int]:
        with self._reaching(folder):
            infos = self._fs.get_file_info(fs.FileSelector(folder, recursive=True))
        start = len(folder.rstrip("/")) + 1
        found = [info for info in infos if info.type == fs.FileType.File]
        return {info.path[start:]: self.see(info.path, _stamp_of(info))[0] for info in found}

    def arrow(self, path: str) -> Any:
        self.see(path)
        return self._opened_handle(path)

    def _opened_handle(self, path: str) -> Any:
        with self._reaching(path):
            return self._fs.open_input_file(path)

    def _stamp(self, path: str) -> tuple[Any, ...]:
        info = self._info(path)
        if info.type != fs.FileType.File:
            with told(self._said(path)):
                raise FileNotFoundError
        return _stamp_of(info)

    def _info(self, path: str) -> Any:
        with self._reaching(path):
            return self._fs.get_file_info(path)

    def _said(self, path: str) -> str:
        return f"{self._scheme}://{path}"

    @contextmanager
    def _reaching(self, path: str) -> Iterator[None]:
        """Say of a store that cannot be reached what to do about it."""
        where = self._said(path)
        try:
            with told(where):
                yield
        except (FileNotFoundError, PermissionError):
            raise
        except (OSError, pa.ArrowException) as error:
            reason = " ".join(str(error).split()).rstrip(".")
            if "ACCESS_DENIED" in reason:
                raise PermissionError(f"{where} may not be read: {reason}.") from None
            raise StoreError(
                f"Cannot read {where}: {reason}; check the address, the credentials and the "
                "network."
            ) from None


def _stamp_of(info: Any) -> tuple[Any, ...]:
    return int(info.size), info.mtime_ns


def find_remote(uri: str, scheme: str) -> tuple[RemoteFiles, str]:
    """Return the store that a URI leads to, and the place there."""
    try:
        filesystem, place = fs.FileSystem.from_uri(uri)
    except pa.ArrowInvalid as error:
        if "nrecognized filesystem" not in str(error):
            raise ValueError(f"{uri}: {' '.join(str(error).split())}.") from None
        filesystem, place = _of_fsspec(uri, scheme)
    return RemoteFiles(filesystem, scheme), place.rstrip("/")


def _of_fsspec(uri: str, scheme: str) -> tuple[Any, str]:
    try:
        import fsspec

        files, place = fsspec.core.url_to_fs(uri)
    except (ImportError, ValueError) as error:
        raise ValueError(
            f"{uri}: pyarrow knows no {scheme}://, and fsspec does not help "
            f"({' '.join(str(error).split()).rstrip('.')}); install fsspec and what it needs for "
            "such paths, or copy the files to this machine."
        ) from None
    return fs.PyFileSystem(fs.FSSpecHandler(files)), place
