"""One shard of a pool folder: its arrays, laid out, written at once and found whole again."""

from __future__ import annotations

import errno
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

from labelnext.pools._files import LocalFiles
from labelnext.pools._unique import check_unique
from labelnext.pools.arrays import ArraySource
from labelnext.pools.check import as_part, check_lengths, check_shape
from labelnext.pools.disk import draft_of, sync_folder, write_npy, write_through
from labelnext.pools.known import as_ids, check_ids_length
from labelnext.pools.manifest import SHARD, FileRecord, ShardRecord, read_shard, shard_text
from labelnext.utils.tensors import is_tensor

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from labelnext.pools.source import Part

# The longest id, in bytes of UTF-8: each of a shard takes as much room as its longest.
LONGEST_ID = 1024


def shard_arrays(proba: Any, features: Any, ids: Any) -> dict[str, NDArray[Any]]:
    """Check what is to be a shard, and lay it out as it is stored."""
    arrays = {"proba": _array("proba", proba), "features": _array("features", features)}
    check_lengths(arrays["proba"], arrays["features"])
    if ids is not None:
        names = as_ids(ids)
        check_ids_length(names, len(arrays["proba"]))
        check_unique(ArraySource(arrays["proba"], arrays["features"], names, "ids of the shard"))
        arrays["ids"] = names if names.dtype == np.int64 else _encoded(names)
    return {name: a.astype(a.dtype.newbyteorder("="), copy=False) for name, a in arrays.items()}


def describe(arrays: dict[str, NDArray[Any]]) -> ShardRecord:
    """Return what is known of a shard before it is written."""
    return ShardRecord(len(arrays["proba"]), {name: _record(a) for name, a in arrays.items()})


def write_shard(folder: Path, arrays: dict[str, NDArray[Any]]) -> ShardRecord:
    """Write a shard under another name, and give it its own when the disk has all of it."""
    draft = draft_of(folder)
    files = {}
    try:
        draft.mkdir()
        for name, array in arrays.items():
            files[name] = _record(array, *write_npy(draft / f"{name}.npy", array))
        record = ShardRecord(len(arrays["proba"]), files)
        write_through(draft / SHARD, shard_text(record))
        sync_folder(draft)
        _publish(draft, folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return record


def find_shard(folder: Path) -> ShardRecord:
    """Read what is known of a shard, and see that its files are as long as that says."""
    try:
        record = read_shard((folder / SHARD).read_bytes(), str(folder / SHARD))
        for name in record.files:
            file = record.npy(str(folder), name)
            if LocalFiles().size(file.path) != file.n_bytes:
                raise ValueError(f"{file.path} does not have {file.n_bytes:,} bytes")
    except (FileNotFoundError, ValueError) as error:
        raise ValueError(
            f"{folder} is damaged: {str(error).split(';')[0]}. Delete it and write the shard again "
            "with resume=True."
        ) from None
    return record


def written_already(folder: Path) -> FileExistsError:
    """Return the error of a shard that is to be written a second time."""
    return FileExistsError(f"{folder} is written already; PoolWriter.finished lists such shards.")


def _publish(draft: Path, folder: Path) -> None:
    """Give a shard its name, unless another process was faster."""
    try:
        draft.rename(folder)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            raise written_already(folder) from None
        raise
    sync_folder(folder.parent)


def _array(part: Part, values: Any) -> NDArray[Any]:
    if sp.issparse(values):
        raise TypeError(
            f"Pool folders hold dense arrays, got sparse {part}; convert it with .toarray()."
        )
    array, _ = as_part(part, values)
    if is_tensor(array):
        array, _ = as_part(part, array.cpu())
    check_shape(array.shape, part)
    return array  # type: ignore[no-any-return]


def _encoded(names: NDArray[Any]) -> NDArray[np.bytes_]:
    encoded = [name.encode() for name in names]
    for row, name in enumerate(encoded):
        if len(name) > LONGEST_ID or name.endswith(b"\0"):
            raise ValueError(
                f"The id at row {row} of the shard has {len(name):,} bytes or ends in a zero byte; "
                f"ids must have at most {LONGEST_ID:,} bytes and end in something else."
            )
    return np.array(encoded, dtype=np.bytes_)


def _record(array: NDArray[Any], offset: int = 0, crc32: int = 0) -> FileRecord:
    return FileRecord(list(array.shape), array.dtype.str, offset, crc32)
