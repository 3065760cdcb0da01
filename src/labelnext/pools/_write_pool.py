"""The public edge of writing: arrays, or a pool in any format, into a pool folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from labelnext.pools._writer import PoolWriter, refuse_other_files
from labelnext.pools.arrays import ArraySource
from labelnext.pools.disk import draft_of, remove, sync_folder
from labelnext.pools.place import local_folder
from labelnext.pools.source import PARTS, Source

if TYPE_CHECKING:
    from os import PathLike

    from numpy.typing import ArrayLike

# Bytes of both parts in a shard: large enough to be read at full speed, small enough to be sent
# or written again.
SHARD_BYTES = 1 << 28


def write_pool(
    path: str | PathLike[str],
    proba: ArrayLike | Source,
    features: ArrayLike | None = None,
    *,
    ids: ArrayLike | None = None,
    bias: bool | None = None,
    task: str | None = None,
    rows_per_shard: int | None = None,
    overwrite: bool = False,
) -> None:
    """
    Write a pool to a folder, from where it is read piece by piece, however large it is.

    The folder has shards of ``.npy`` files and a manifest with shapes, dtypes and checksums.
    Values are written as they are, in their dtype; float16 features take half the room and time.

    Parameters
    ----------
    path : str or path-like
        The folder to write, which should be empty or not be there.
    proba : array-like of shape (n_rows, n_columns) or (n_rows,), or Source
        Probabilities, of any real dtype; memory-mapped arrays are read piece by piece. Or a pool
        in another format, from `labelnext.pools.open_source`, with its features and ids.
    features : array-like of shape (n_rows, n_features), default=None
        Features, unless `proba` is a source.
    ids : array-like of shape (n_rows,), default=None
        The samples' ids, integers or strings, each another.
    bias : bool, default=None
        Whether the last layer has a bias whose gradient counts too. None for what the source
        says of itself, else False.
    task : {"multiclass", "multilabel", "binary"}, default=None
        What the probabilities are; see `labelnext.engine.as_gradients`. None for what the
        source says of itself, else "multiclass".
    rows_per_shard : int, default=None
        Rows in a shard; None for about 256 MB.
    overwrite : bool, default=False
        Whether to replace a pool that is in the folder, once the new one is whole.

    Raises
    ------
    FileExistsError
        If the folder holds a pool and `overwrite` is not asked for, or holds other files.
    ValueError
        If a shape is wrong, the lengths differ, or an id is there twice.
    TypeError
        If an array does not hold real numbers, or ids are neither integers nor strings.
    OSError
        If the disk is full, or may not be written to.

    See Also
    --------
    labelnext.pools.PoolWriter : Shard by shard, as they are computed.

    Examples
    --------
    >>> import numpy as np, tempfile
    >>> import labelnext
    >>> from labelnext.pools import open_source
    >>> proba = np.array([[0.5, 0.5], [0.75, 0.25], [1.0, 0.0]])
    >>> folder = tempfile.TemporaryDirectory()
    >>> labelnext.write_pool(folder.name, proba, np.ones((3, 4), np.float16), ids=["a", "b", "c"])
    >>> source = open_source(folder.name)
    >>> source.n_rows, source.dtypes["features"]
    (3, dtype('float16'))
    >>> source.take("proba", np.array([1]))
    array([[0.75, 0.25]])
    >>> folder.cleanup()
    """
    source = _as_source(proba, features, ids)
    if rows_per_shard is None:
        rows_per_shard = max(1, SHARD_BYTES // source.row_bytes)
    elif rows_per_shard < 1:
        raise ValueError(f"rows_per_shard must be at least 1, got {rows_per_shard}.")
    task = task or source.task or "multiclass"
    bias = bool(source.bias if bias is None else bias)
    folder = local_folder(path)
    if not (overwrite and folder.exists()):
        _write(PoolWriter(folder, task=task, bias=bias), source, rows_per_shard)
        return
    refuse_other_files(folder)
    # The old pool stays until the new one is whole; it may even be what is read.
    new, old = draft_of(folder), draft_of(folder)
    _write(PoolWriter(new, task=task, bias=bias), source, rows_per_shard)
    folder.rename(old)
    new.rename(folder)
    sync_folder(folder.parent)
    remove(old)


def _as_source(proba: Any, features: Any, ids: Any) -> Source:
    if isinstance(proba, Source):
        if features is not None or ids is not None:
            raise TypeError(
                "write_pool takes either a source, which has its features and ids, or arrays; "
                "leave features and ids out, or pass proba as an array."
            )
        return proba
    if features is None:
        raise TypeError("write_pool needs features too: write_pool(path, proba, features).")
    return ArraySource(proba, features, ids)


def _write(writer: PoolWriter, source: Source, rows_per_shard: int) -> None:
    try:
        for shard, lo in enumerate(range(0, source.n_rows, rows_per_shard)):
            hi = min(lo + rows_per_shard, source.n_rows)
            proba, features = (source.read(part, lo, hi) for part in PARTS)
            if source.one_dimensional:
                proba = proba[:, 0]
            writer.write(shard, proba, features, source.ids(np.arange(lo, hi)))
        writer.finish()
    except BaseException:
        writer.delete()
        raise
