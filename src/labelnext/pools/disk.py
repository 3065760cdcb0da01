"""Files that are whole and on the disk before anybody sees them under their names."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import zlib
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

# Bytes that are summed and written at a time, while they are in the processor's cache.
CHUNK = 1 << 20
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def draft_of(path: Path) -> Path:
    """Return a name beside a path for what is not whole yet, which no other writer has."""
    return path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")


def is_draft(path: Path) -> bool:
    """Tell whether a name is one that `draft_of` gives."""
    return path.name.startswith(".") and path.name.endswith(".tmp")


def remove(path: Path) -> None:
    """Delete a folder with what is in it, or a file."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_once(path: Path, content: bytes) -> None:
    """Write a file that appears whole or not at all; one that is there already stays."""
    with suppress(FileExistsError):
        write_whole(path, content, overwrite=False)


def write_whole(path: Path, content: bytes, *, overwrite: bool) -> None:
    """Write a file that appears whole or not at all; a link is followed, not replaced.

    FileExistsError is raised if the file exists and is not to be replaced, also if it came to be
    there meanwhile.
    """
    final = path.resolve()
    draft = draft_of(final)
    try:
        write_through(draft, content)
        if overwrite:
            draft.replace(final)
        else:
            _publish(draft, final)
    finally:
        draft.unlink(missing_ok=True)
    sync_folder(final.parent)


def _publish(draft: Path, path: Path) -> None:
    """Rename, but never over a file that has come to be there in the meantime."""
    try:
        path.hardlink_to(draft)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        if path.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from None
        draft.replace(path)


def write_through(path: Path, content: bytes) -> None:
    """Write a new file, and wait until the disk has it."""
    with path.open("xb") as file:
        file.write(content)
        _sync(file)


def write_npy(path: Path, array: NDArray[Any]) -> tuple[int, int]:
    """Write a new .npy file; return where its numbers begin, and their checksum.

    CRC-32 finds what breaks by itself, and of the checksums of the standard library it is the
    fastest: 2.2 GB/s on one core, where blake2b makes 0.9.
    """
    crc = 0
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


@contextmanager
def writing(what: str, advice: str) -> Iterator[None]:
    """Say of a full disk, or of a folder that may not be written to, what to do about it."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            reason = "the disk is full, or a quota or the largest size of a file is reached"
            raise OSError(error.errno, f"Cannot write {what}: {reason}; {advice}") from None
        if isinstance(error, PermissionError) or error.errno == errno.EROFS:
            raise PermissionError(
                f"Cannot write {what}: permission denied; check who may write there, or choose "
                "another place."
            ) from None
        raise


def _sync(file: Any) -> None:
    file.flush()
    os.fsync(file.fileno())
