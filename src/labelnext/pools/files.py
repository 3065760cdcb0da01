"""Bytes of files by position, read where they are wanted, never mapped; and paths as given.

Mapped pages count as resident memory and leave it when the system likes. What is read into a
buffer of ours is as much as we asked for.
"""

from __future__ import annotations

import errno
import os
import platform
import re
import stat
import threading
import zlib
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelnext.utils.text import counted

# Files that one source holds open: far below what a process may, by default.
HANDLES = 128
# Files below a folder that are looked at to find out what it is.
MOST = 100_000
# Where a file is looked at to tell it from another, and how many bytes are read there.
SAMPLES, SAMPLE = 16, 4096


class Files(ABC):
    """A place with files: this machine's, or an object store's. It can be pickled.

    A file that is no longer what it was when it was first looked at is refused.
    """

    gap: int  # bytes that are sooner read than left out between two that are wanted
    threads: int  # how many reads are worth having under way at once

    def __init__(self) -> None:
        # Of each file: its size first, and what else tells it from another on this machine.
        self._stamps: dict[str, tuple[Any, ...]] = {}
        self._machine = platform.node()
        self._open()

    def _open(self) -> None:
        self._lock = threading.Lock()
        self._handles: OrderedDict[str, Any] = OrderedDict()

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k not in ("_lock", "_handles")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if self._machine != platform.node():  # a copy of a file is another one
            self._stamps = {path: stamp[:1] for path, stamp in self._stamps.items()}
        self._open()

    @abstractmethod
    def read_many(
        self, path: str, offsets: list[int], spots: list[list[int]], buffer: NDArray[Any]
    ) -> None:
        """Fill parts of an array of bytes, each from its offset in a file, or raise."""

    @abstractmethod
    def is_folder(self, path: str) -> bool:
        """Tell whether a path is a folder, or stands for what is under it."""

    @abstractmethod
    def listing(self, folder: str, unless: Collection[str] = ()) -> dict[str, int]:
        """Return the paths of files below a folder, and their bytes; −1 of links to nothing.

        Very many are refused, `unless` there is one of these among them.
        """

    @abstractmethod
    def arrow(self, path: str) -> Any:
        """Open a file for pyarrow, which closes it with the block that it is opened for."""

    def opened(self, path: str) -> Any:
        """Open a file to be read from its start on; close it with the block."""
        return self.arrow(path)

    @abstractmethod
    def _stamp(self, path: str) -> tuple[Any, ...]:
        """Return a file's size, and what differs once it is replaced or changed."""

    @abstractmethod
    def _opened_handle(self, path: str) -> Any:
        """Open a file for `read_many`."""

    def read_into(self, path: str, offset: int, buffer: NDArray[Any]) -> None:
        """Fill an array of bytes from a file, from an offset on, or raise."""
        self.read_many(path, [offset], [[0, len(buffer)]], buffer)

    def read_some(self, path: str, most: int) -> bytes:
        """Return a file's first bytes, all if it has no more than `most`."""
        content = np.empty(min(most, self.size(path)), np.uint8)
        self.read_into(path, 0, content)
        return content.tobytes()

    def size(self, path: str) -> int:
        """Return how many bytes a file has."""
        return int(self.see(path)[0])

    def see(self, path: str, now: tuple[Any, ...] | None = None) -> tuple[Any, ...]:
        """Look at a file; refuse one that has changed, or is none."""
        now = self._stamp(path) if now is None else now
        if (first := self._stamps.setdefault(path, now)) != now[: len(first)]:
            raise FileError(
                f"{self._said(path)} has changed since the pool was opened; open it again, and "
                "leave its files as they are while it is in use."
            )
        return now

    def _said(self, path: str) -> str:
        """Return what messages call a file."""
        return path

    def _handle(self, path: str) -> Any:
        with self._lock:
            handle = self._handles.pop(path, None)
        if handle is None:
            self.see(path)
            handle = self._opened_handle(path)
        with self._lock:
            self._handles[path] = handle
            if len(self._handles) > HANDLES:
                self._handles.popitem(last=False)
        return handle


class LocalFiles(Files):
    """Files of this machine's file systems, some of them held open."""

    gap = 1024  # copied in the time that a call takes
    threads = 1

    def _open(self) -> None:
        super()._open()
        self._process = os.getpid()

    def read_many(
        self, path: str, offsets: list[int], spots: list[list[int]], buffer: NDArray[Any]
    ) -> None:
        handle, view = self._handle(path), buffer.data
        for offset, (lo, hi) in zip(offsets, spots, strict=True):
            done = lo
            while done < hi:  # a call returns 2 GiB at most
                got = os.preadv(handle.number, [view[done:hi]], offset + done - lo)
                if not got:
                    raise cut_short(path, offset + done - lo, offset + hi - lo)
                done += got
        self.see(path, _stamp_of(os.fstat(handle.number)))

    def is_folder(self, path: str) -> bool:
        return os.path.isdir(path)

    def listing(self, folder: str, unless: Collection[str] = ()) -> dict[str, int]:
        found: dict[str, int] = {}

        def refuse(error: OSError) -> None:
            if error.filename == folder:
                with told(folder):
                    raise error
            if not isinstance(error, FileNotFoundError):  # else it was there a moment ago
                reason = (error.strerror or str(error)).lower()
                raise type(error)(
                    f"{error.filename} may not be read: {reason}; check who may read it, or give "
                    "a folder with the files of the pool alone."
                ) from None

        for root, below, names in os.walk(folder, onerror=refuse, followlinks=True):
            below[:] = [name for name in below if not _leads_back(root, name)]
            for name in names:
                path = os.path.join(root, name)
                with suppress(FileNotFoundError):
                    size = self.size(path) if os.path.isfile(path) else -1
                    found[os.path.relpath(path, folder)] = size
            if len(found) > MOST and found.keys().isdisjoint(unless):
                raise FileError(
                    f"{folder} has more than {MOST:,} files below it; give the folder with those "
                    "of the pool alone."
                )
        return found

    def arrow(self, path: str) -> Any:
        import pyarrow as pa

        self.see(path)
        return pa.OSFile(path)

    def opened(self, path: str) -> Any:
        self.see(path)
        return open(path, "rb")

    def _stamp(self, path: str) -> tuple[Any, ...]:
        with told(path):
            found = os.stat(path)
        if not stat.S_ISREG(found.st_mode):
            kind = next((word for is_kind, word in KINDS if is_kind(found.st_mode)), "no file")
            raise FileError(f"{path} is {kind}; expected a file, with all that is to be read.")
        return _stamp_of(found)

    def _opened_handle(self, path: str) -> _Handle:
        return _Handle(path)

    def _handle(self, path: str) -> Any:
        # A lock that was held when the process forked would never be free again in the child.
        if self._process != os.getpid():
            self._open()
        return super()._handle(path)


# What may be in place of a file, and is never opened: reading it might wait for ever.
KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def _stamp_of(found: os.stat_result) -> tuple[Any, ...]:
    # Not the inode: on a drive that is mounted through FUSE it may change by itself.
    return found.st_size, found.st_mtime_ns


def _leads_back(root: str, name: str) -> bool:
    """Tell whether a folder is a link to one that it is in, without end."""
    path = os.path.join(root, name)
    if not os.path.islink(path):
        return False
    real, here = os.path.realpath(path), os.path.realpath(root)
    return os.path.commonpath([real, here]) == real


class _Handle:
    """An open file, closed when nobody has it any more: evicted, it may still be read."""

    def __init__(self, path: str) -> None:
        with told(path):
            self.number = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def __del__(self) -> None:
        if hasattr(self, "number"):  # it was opened
            os.close(self.number)


class StoreError(OSError):
    """A store that cannot be reached, or refuses."""


class FileError(ValueError):
    """What is wrong with a file, said by us: whoever reads it has nothing to add."""


class told:  # noqa: N801 — reads as a statement
    """Say of a file that is missing or may not be read what to do about it."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> None:
        if isinstance(error, FileNotFoundError | NotADirectoryError):
            raise FileNotFoundError(
                f"There is no {self.path}; check the path, or restore the file from a copy."
            ) from None
        if isinstance(error, PermissionError):
            raise PermissionError(
                f"{self.path} may not be read: permission denied; check who may read it, and the "
                "folders that it is in."
            ) from None
        if isinstance(error, OSError) and error.errno in (errno.ELOOP, errno.ENAMETOOLONG):
            raise FileError(
                f"{self.path[:200]} cannot be opened: {error.strerror}; give the path of a file."
            ) from None


class reading(told):  # noqa: N801 — reads as a statement
    """Say of a file what to do where a decoder raises, which on damaged bytes raises anything."""

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> None:
        super().__exit__(kind, error, traceback)
        if isinstance(error, Exception) and not isinstance(error, StoreError | FileError):
            raise broken(self.path, error) from None


def broken(path: str, error: object) -> FileError:
    """Return the error of a file that is no file of its kind."""
    reason = " ".join(str(error).split())[:300].rstrip(".")
    reason = reason or (f"{type(error).__name__}" if isinstance(error, Exception) else "no reason")
    return FileError(
        f"Cannot read {path}: {reason}; the file may be cut short or of another format: write or "
        "copy it again."
    )


def some_bytes(files: Files, path: str) -> tuple[int, int]:
    """Return a file's size, and a checksum of its start, its end and places between."""
    size = files.size(path)
    crc, length = 0, min(SAMPLE, size)
    for place in np.linspace(0, size - length, SAMPLES).astype(np.int64).tolist():
        buffer = np.empty(length, np.uint8)
        files.read_into(path, place, buffer)
        crc = zlib.crc32(buffer.data, crc)
    return size, crc


def cut_short(path: str, n_bytes: int, expected: int) -> FileError:
    """Return the error of a file that is too short."""
    return FileError(
        f"{path} ends after {counted(n_bytes, 'byte')}, expected {expected:,} or more: it was cut "
        "short; "
        "write or copy it again."
    )


def scheme_of(path: str | os.PathLike[str]) -> str | None:
    """Return the scheme of a URI, such as s3; None of a path."""
    # One letter before the colon is a drive.
    match = re.match(r"([A-Za-z][A-Za-z0-9+.-]+)://", os.fspath(path))
    return match[1].lower() if match else None


def local_path(path: str) -> str:
    """Return a path of this machine, or a file:// URI, as an absolute path."""
    if scheme_of(path) == "file":
        from urllib.parse import urlsplit
        from urllib.request import url2pathname  # which imports what speaks HTTP

        path = url2pathname(urlsplit(path).path)
    return os.path.abspath(os.path.expanduser(path))


def local_folder(path: str | os.PathLike[str]) -> Path:
    """Return where a pool is to be written, which must be on this machine's file systems."""
    if (scheme := scheme_of(path)) not in (None, "file"):
        raise ValueError(
            f"Pools are written to folders of this machine, not to {scheme}://; write {path} to a "
            "folder and copy it there: pools are read from object stores as they are."
        )
    return Path(local_path(os.fspath(path)))
