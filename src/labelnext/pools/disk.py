"""The one writer: files and folders that are whole, and on the disk, before they have their names.

A draft beside a path is written and synced, and only then given the name. A symbolic link is
followed, never replaced: what is written is the file or folder that it leads to. What a killed
process has left of its draft is deleted by the next that writes to the same path; drafts of
processes that live are locked, and nothing else is ever deleted.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
import secrets
import shutil
import stat
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelnext.utils.text import one_line

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


# Bytes that are summed and written at a time, while they are in the processor's cache.
CHUNK = 1 << 20
DRAFT = re.compile(r"\.(.+)\.[0-9a-f]{12}\.tmp", re.DOTALL)
# Bytes of a name that are kept in a draft's: file systems take 255.
MOST_OF_NAME = 200
AT_FDCWD, RENAME_EXCHANGE = -100, 2
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
# What may be wrong with a place, and what to do about it.
REASONS = {
    errno.EACCES: ("permission denied", "check who may write there, or choose another place."),
    errno.EROFS: ("nothing may be written to this disk or folder", "choose another place."),
    errno.EISDIR: ("this is a folder", "name a file in it."),
    errno.ELOOP: ("its symbolic links lead in a circle", "choose another name."),
    errno.ENAMETOOLONG: ("the name is too long", "choose a shorter one."),
    errno.ENXIO: ("this is no ordinary file", "choose another name."),
}
REASONS[errno.EPERM] = REASONS[errno.EACCES]


def target_of(path: str | os.PathLike[str]) -> Path:
    """Return the file that a path leads to, whether it is there or not; links are followed."""
    final = Path(os.path.realpath(path))
    with suppress(FileNotFoundError):
        mode = final.lstat().st_mode
        if not stat.S_ISREG(mode):
            kinds = {stat.S_IFLNK: errno.ELOOP, stat.S_IFDIR: errno.EISDIR}
            number = kinds.get(stat.S_IFMT(mode), errno.ENXIO)
            raise OSError(number, os.strerror(number), os.fspath(path))
    return final


def as_here(root: Path, path: str) -> str:
    """Return a path with slashes if it is there with these alone: Windows writes others.

    >>> as_here(Path("/nowhere"), "photos\\\\a.png")
    'photos\\\\a.png'
    """
    if "\\" not in path or os.path.exists(root / path):
        return path
    other = path.replace("\\", "/")
    return other if os.path.exists(root / other) else path


def check_place(path: str | os.PathLike[str]) -> None:
    """Find out whether a file could be written, without touching one that is there."""
    with draft(target_of(path)):
        pass


def write_whole(path: str | os.PathLike[str], content: bytes, *, overwrite: bool) -> None:
    """Write a file that appears whole or not at all; one that is replaced keeps its permissions."""
    final = target_of(path)
    with draft(final) as new:
        write_through(new, content)
        if overwrite:
            with suppress(FileNotFoundError):
                new.chmod(stat.S_IMODE(final.stat().st_mode))
            new.replace(final)
        else:
            publish(new, final)
    sync_folder(final.parent)


def write_once(path: Path, content: bytes) -> None:
    """Write a file that appears whole or not at all; one that is there already stays."""
    with suppress(FileExistsError):
        write_whole(path, content, overwrite=False)


@contextmanager
def draft(final: Path, *, folder: bool = False) -> Iterator[Path]:
    """Have an empty file or folder beside a path; what is left of it in the end is deleted."""
    clear_drafts_of(final)
    while True:
        path = final.with_name(f".{_shortened(final.name)}.{secrets.token_hex(6)}.tmp")
        if folder:
            path.mkdir()
        else:
            path.open("xb").close()
        try:
            lock = _lock(path)
        except OSError:  # a file system without locks, where drafts of the killed stay
            lock = os.open(os.devnull, os.O_RDONLY)
        # Otherwise another process, which was just clearing up, was faster.
        if lock is not None and os.path.lexists(path):
            break
    try:
        yield path
    finally:
        remove(path)
        os.close(lock)


def clear_drafts_of(final: Path) -> None:
    """Delete what killed processes have left of drafts for a file or folder."""
    clear_drafts(final.parent, lambda name: name == _shortened(final.name))


def clear_drafts(folder: Path, belongs: Callable[[str], object]) -> None:
    """Delete what killed processes have left in a folder of drafts for some names."""
    with suppress(OSError):  # it will be tried again
        for name in os.listdir(folder):
            match = DRAFT.fullmatch(name)
            if match and belongs(match[1]) and (lock := _lock(folder / name)) is not None:
                remove(folder / name)
                os.close(lock)


def remove(path: Path) -> None:
    """Delete a folder with what is in it, or a file."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def put_in_place(new: Path, folder: Path) -> None:
    """Let two folders change places, at one moment where the file system can do that."""
    sync_folder(new)
    if not _exchange(new, folder):
        # Killed between the two, both are there under names that say what they are.
        aside = folder.with_name(f"{folder.name}.replaced-{secrets.token_hex(3)}")
        folder.rename(aside)
        try:
            new.rename(folder)
        except BaseException:
            aside.rename(folder)
            raise
        aside.rename(new)
    sync_folder(folder.parent)


def write_through(path: Path, content: bytes) -> None:
    """Write a file that nobody sees yet, and wait until the disk has it."""
    with path.open("wb") as file:
        file.write(content)
        _sync(file)


def write_npy(path: Path, array: NDArray[Any]) -> tuple[int, int]:
    """Write a new .npy file; return where its numbers begin, and their checksum."""
    crc = 0  # the fastest of the standard library's: 2.2 GB/s on one core, blake2b 0.9
    step = max(1, CHUNK // max(1, array[:1].nbytes))
    with path.open("xb") as file:
        header = np.lib.format.header_data_from_array_1_0(array[:0])
        header |= {"shape": array.shape, "fortran_order": False}
        np.lib.format.write_array_header_1_0(file, header)
        offset = file.tell()
        for lo in range(0, len(array), step):
            rows = np.ascontiguousarray(array[lo : lo + step]).reshape(-1).view(np.uint8).data
            crc = zlib.crc32(rows, crc)
            file.write(rows)
        _sync(file)
    return offset, crc


def sync_folder(folder: Path) -> None:
    """Wait until the disk has the names in a folder, too."""
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def nearest(folder: Path) -> Path:
    """Return a folder, or the nearest above it that is there."""
    return next(filter(os.path.lexists, (folder, *folder.parents)), folder)


@contextmanager
def writing(what: str, advice: str) -> Iterator[None]:
    """Say why something cannot be written; the advice is for a full disk."""
    try:
        yield
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno is None:  # said by us
            raise
        reason, instead = _why(error, Path(os.fsdecode(error.filename or what)).parent)
        message = f"Cannot write {what}: {reason}; {instead or advice}"
        raise (OSError(error.errno, message) if not instead else type(error)(message)) from None


def _why(error: OSError, folder: Path) -> tuple[str, str]:
    """Say what is wrong, and what to do about it; nothing of a full disk."""
    if error.errno in FULL:
        return "the disk is full, or a quota or the largest size of a file is reached", ""
    if error.errno == errno.ENOENT and error.filename is None:
        return "the current folder is gone", "change to another."
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        there = nearest(folder)
        if not there.is_dir():
            return f"{there} is no folder", "choose another place."
        if there != folder:
            return f"there is no folder {folder}", "create it first."
        return f"no file can be made in {folder}", "choose another place."
    other = one_line(error.strerror or error).lower(), "choose another place."
    return REASONS.get(error.errno or 0, other)


def _shortened(name: str) -> str:
    return os.fsdecode(os.fsencode(name)[:MOST_OF_NAME])


def _lock(path: Path) -> int | None:
    """Open a draft and lock it, as long as it is open; None if it is another's, or gone."""
    if fcntl is None:
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))
    try:
        number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(number)
        if isinstance(error, BlockingIOError):
            return None
        raise
    return number


def publish(new: Path, path: Path) -> None:
    """Give a file its name, but never over a file that has come to be there in the meantime."""
    try:
        path.hardlink_to(new)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        if path.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from None
        new.replace(path)


def _exchange(one: Path, other: Path) -> bool:
    """Let two paths change their names at one moment; False where that cannot be had."""
    rename = getattr(ctypes.CDLL(None), "renameat2", None)
    ends = (AT_FDCWD, os.fsencode(one), AT_FDCWD, os.fsencode(other))
    return rename is not None and rename(*ends, RENAME_EXCHANGE) == 0


def _sync(file: Any) -> None:
    file.flush()
    os.fsync(file.fileno())
