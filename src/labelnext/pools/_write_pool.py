"""The public edge of writing: a pool, or arrays, into a pool folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from labelnext.pools._own import folder_of, in_place_of
from labelnext.pools._writer import PoolWriter
from labelnext.pools.pool import Pool
from labelnext.pools.source import Source, TwoColumns
from labelnext.utils.labels import MISSING_LABEL, split_labels

if TYPE_CHECKING:
    from os import PathLike

    from numpy.typing import ArrayLike

    from labelnext.utils.tasks import Task

# Bytes of both parts in a shard: large enough to be read at full speed, small enough to be sent
# or written again.
SHARD_BYTES = 1 << 28


def write_pool(
    path: str | PathLike[str],
    proba: Pool | Source | ArrayLike | None = None,
    features: ArrayLike | None = None,
    *,
    ids: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    labels: ArrayLike | None = None,
    classes: ArrayLike | None = None,
    bias: bool | None = None,
    task: Task | None = None,
    last_layer: Any = None,
    missing_label: Any = MISSING_LABEL,
    rows_per_shard: int | None = None,
    overwrite: bool = False,
) -> None:
    """
    Write a pool to a folder, from where it is read piece by piece, however large it is.

    The folder has shards of ``.npy`` files and a manifest with shapes, dtypes and checksums.
    Values are written as they are, in their dtype; float16 features take half the room and time.
    What is known of the samples and of the pool is kept too.

    Parameters
    ----------
    path : str or path-like
        The folder to write, which should be empty or not be there.
    proba : Pool, or array-like of shape (n_rows, n_columns) or (n_rows,), default=None
        The pool, in memory or in files of another format. Or its probabilities, of any real
        dtype; memory-mapped arrays are read piece by piece.
    features : array-like of shape (n_rows, n_features), default=None
        Features, unless a pool is written.
    ids, groups, labels, classes, bias, task, last_layer, missing_label : optional
        As those of `labelnext.Pool`; None for what the pool says.
    rows_per_shard : int, default=None
        Rows in a shard; None for about 256 MB.
    overwrite : bool, default=False
        Whether to replace a pool that is in the folder, once the new one is whole.

    Raises
    ------
    FileExistsError
        If the folder holds a pool and `overwrite` is not asked for, or holds other files.
    ValueError
        If a shape is wrong, the lengths differ, an id is there twice, or the probabilities are
        those of a committee.
    TypeError
        If an array does not hold real numbers or is sparse, ids or groups are neither integers
        nor strings.
    OSError
        If the disk is full, or may not be written to.

    See Also
    --------
    labelnext.open_pool : Open it again.
    labelnext.pools.PoolWriter : Shard by shard, as they are computed.

    Examples
    --------
    >>> import numpy as np, tempfile
    >>> import labelnext
    >>> proba = np.array([[0.5, 0.5], [0.75, 0.25], [1.0, 0.0]])
    >>> folder = tempfile.TemporaryDirectory()
    >>> labelnext.write_pool(folder.name, proba, np.ones((3, 4), np.float16), ids=["a", "b", "c"])
    >>> pool = labelnext.open_pool(folder.name)
    >>> pool.n_rows, pool.features.dtype
    (3, dtype('float16'))
    >>> pool.read("proba", [1])
    array([[0.75, 0.25]])
    >>> folder.cleanup()
    """
    said: dict[str, Any] = {
        "ids": ids,
        "groups": groups,
        "labels": labels,
        "classes": classes,
        "bias": bias,
        "task": task,
        "last_layer": last_layer,
        "missing_label": missing_label,
    }
    if isinstance(proba, Pool | Source):
        if features is not None:
            raise TypeError(
                "write_pool takes either a pool, which has its features, or arrays; leave "
                "features out, or pass proba as an array."
            )
        pool = Pool.of(proba, **said)
    else:
        pool = Pool(proba, features, **said)
    _check(pool)
    if rows_per_shard is None:
        rows_per_shard = max(1, SHARD_BYTES // pool.source.row_bytes)
    elif rows_per_shard < 1:
        raise ValueError(f"rows_per_shard must be at least 1, got {rows_per_shard}.")
    folder = folder_of(path)
    if not (overwrite and folder.exists()):
        _write(_writer(folder, pool), pool, rows_per_shard)
        return
    # The old pool stays until the new one is whole; it may even be what is read.
    with in_place_of(folder) as new:
        _write(_writer(new, pool), pool, rows_per_shard)


def write_shard(writer: PoolWriter, shard: int, pool: Pool, lo: int, hi: int) -> None:
    """Write rows lo to hi of a pool as a shard, with all that is known of them."""
    source = pool.source
    # A single column is written as the one that it was.
    source = source.source if isinstance(source, TwoColumns) else source
    parts: dict[str, Any] = {part: source.read(part, lo, hi) for part in source.parts}
    if source.one_dimensional:
        parts["proba"] = parts["proba"][:, 0]
    rows = np.arange(lo, hi)
    labels, missing_label = pool.labels, pool.missing_label
    if labels is not None and labels.dtype.kind == "O":
        # Whole numbers beside None, of which some shards may have none.
        _, missing = split_labels(labels, missing_label)
        if not any(isinstance(label, str) for label in labels[~missing].tolist()):
            labels = np.where(missing, np.nan, labels).astype(np.float64)
            missing_label = np.nan
    writer.write(
        shard,
        **parts,
        ids=pool.ids_of(rows) if "ids" in pool.known else None,
        groups=None if pool.groups is None else pool.groups[lo:hi],
        labels=None if labels is None else labels[lo:hi],
        missing_label=missing_label,
        stored_as=source.stored_as if source.stored_as == "bfloat16" else None,
    )


def _check(pool: Pool) -> None:
    """Refuse what a folder does not hold, before anything is written."""
    if pool.source.sparse:
        raise TypeError(
            "A pool folder holds dense arrays, and these features are sparse; convert them with "
            ".toarray(), or keep the pool in memory."
        )
    if pool.n_members is not None:
        raise ValueError(
            f"A pool folder holds the probabilities of one model, and these are of "
            f"{pool.n_members} members; write a folder for each."
        )


def _writer(folder: Any, pool: Pool) -> PoolWriter:
    return PoolWriter(
        folder,
        task=pool.task,
        bias=pool.bias,
        classes=pool.classes,
        last_layer=pool.last_layer,
    )


def _write(writer: PoolWriter, pool: Pool, rows_per_shard: int) -> None:
    try:
        for shard, lo in enumerate(range(0, pool.n_rows, rows_per_shard)):
            write_shard(writer, shard, pool, lo, min(lo + rows_per_shard, pool.n_rows))
        writer.finish()
    except BaseException:
        writer.delete()
        raise
