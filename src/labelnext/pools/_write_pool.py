"""The public edge of writing: a pool, or arrays, into a pool folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from labelnext.pools._writer import PoolWriter, check_known
from labelnext.pools.check import check_all_proba
from labelnext.pools.disk import clear_drafts_of
from labelnext.pools.own import folder_of, in_place_of
from labelnext.pools.pool import Pool
from labelnext.pools.source import Source, TwoColumns
from labelnext.utils.given import Task, check_integer
from labelnext.utils.labels import MISSING_LABEL, split_labels
from labelnext.utils.text import counted

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
    proba : Pool or array-like, default=None
        The pool, in memory or in files of another format; or its probabilities. Memory-mapped
        arrays are read piece by piece.
    features, ids, groups, labels, classes, bias, task, last_layer, missing_label : optional
        As those of `labelnext.Pool`; None for what the pool says.
    rows_per_shard : int, default=None
        Rows in a shard; None for about 256 MB.
    overwrite : bool, default=False
        Whether to replace a pool that is in the folder, once the new one is whole.

    Raises
    ------
    FileExistsError
        If the folder holds a pool and `overwrite` is not asked for, or holds other files.
    ValueError, TypeError
        As `labelnext.Pool`, and if the probabilities are those of a committee, an array is sparse,
        or ids or groups are neither integers nor strings.
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
    said: dict[str, Any] = {"ids": ids, "groups": groups, "labels": labels, "classes": classes}
    said |= {"bias": bias, "task": task, "last_layer": last_layer, "missing_label": missing_label}
    given: Any = path
    if not isinstance(given, str | PathLike):
        what = "a pool" if isinstance(given, Pool | Source) else f"a {type(given).__name__}"
        raise TypeError(
            f"path must be the folder to write, got {what}; write_pool(path, pool), or "
            "write_pool(path, proba, features)."
        )
    if isinstance(proba, Pool | Source):
        if features is not None:
            raise TypeError(
                "write_pool takes either a pool, which has its features, or arrays; leave "
                "features out, or pass proba as an array."
            )
        pool = Pool.of(proba, **said)
    else:
        pool = Pool(proba, features, **said)
    if rows_per_shard is not None:
        check_integer("rows_per_shard", rows_per_shard, least=1)
    write_in_shards(path, pool, rows_per_shard, overwrite=overwrite)


def write_in_shards(
    path: str | PathLike[str],
    pool: Pool,
    rows_per_shard: int | None = None,
    *,
    settings: Mapping[str, Any] | None = None,
    checked: bool = False,
    keep: bool = False,
    resume: bool = False,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write a pool shard by shard, after it is known that a folder can hold it.

    With `keep` finished shards stay if it is interrupted, unless the pool proves to be wrong. What
    is to be `checked` must have probabilities of its task in all rows; else any numbers are kept.
    """
    rows = rows_per_shard or max(1, SHARD_BYTES // pool.source.row_bytes)
    cuts = range(0, pool.n_rows, rows)
    known = _known(pool)
    _check(pool, cuts, known)
    folder = folder_of(path)
    about = {name: getattr(pool, name) for name in ("task", "bias", "classes", "last_layer")}

    def fill(writer: PoolWriter) -> None:
        if checked:
            check_all_proba(pool.source, pool.task)
        finished = writer.finished
        for shard, lo in enumerate(cuts):
            hi = min(lo + rows, pool.n_rows)
            if shard not in finished:
                writer.write(shard, **_parts(pool, lo, hi), **known(lo, hi))
            if progress is not None:
                progress(hi, pool.n_rows)
        writer.finish(len(cuts))

    if overwrite:
        # The old pool stays until the new one is whole; it may even be what is read.
        with in_place_of(folder) as new:
            fill(PoolWriter(new, **about, settings=settings))
        return
    clear_drafts_of(folder)  # of one that was to take the place of another
    kind = PoolWriter if keep else _AllOrNothing
    writer = kind(folder, **about, settings=settings, resume=resume)
    begun = writer.finished
    try:
        fill(writer)
    except BaseException as error:
        wrong = isinstance(error, TypeError | ValueError) and not begun
        if wrong or not keep or not writer.finished:
            writer.delete()
        raise


class _AllOrNothing(PoolWriter):
    """What nobody goes on with if it is cut off."""

    _can_go_on = False


def _parts(pool: Pool, lo: int, hi: int) -> dict[str, Any]:
    """Read probabilities and features of rows lo to hi, as `PoolWriter.write` takes them."""
    source = pool.source
    # A single column is written as the one that it was.
    source = source.source if isinstance(source, TwoColumns) else source
    parts: dict[str, Any] = {part: source.read(part, lo, hi) for part in source.parts}
    if source.one_dimensional:
        parts["proba"] = parts["proba"][:, 0]
    return {**parts, "stored_as": "bfloat16" if source.stored_as == "bfloat16" else None}


def _known(pool: Pool) -> Callable[[int, int], dict[str, Any]]:
    """Return what gives what is known of rows lo to hi, as `PoolWriter.write` takes it."""
    labels, groups, missing_label = pool.labels, pool.groups, pool.missing_label
    if labels is not None and labels.dtype.kind == "O":
        # Whole numbers beside None, of which some shards may have none.
        _, missing = split_labels(labels, missing_label)
        if not any(isinstance(label, str) for label in labels[~missing].tolist()):
            labels = np.where(missing, np.nan, labels).astype(np.float64)
            missing_label = np.nan

    def known(lo: int, hi: int) -> dict[str, Any]:
        return {
            "ids": pool.ids_of(np.arange(lo, hi)) if "ids" in pool.known else None,
            "groups": None if groups is None else groups[lo:hi],
            "labels": None if labels is None else labels[lo:hi],
            "missing_label": missing_label,
        }

    return known


def _check(pool: Pool, cuts: range, known: Callable[[int, int], dict[str, Any]]) -> None:
    """Refuse what a folder does not hold, before anything is written."""
    if pool.source.sparse:
        raise TypeError(
            "A pool folder holds dense arrays, and these features are sparse; convert them with "
            ".toarray(), or keep the pool in memory."
        )
    if pool.n_members is not None:
        raise ValueError(
            f"A pool folder holds the probabilities of one model, and these are of "
            f"{counted(pool.n_members, 'member')}; write a folder for each."
        )
    for lo in cuts if pool.known else ():
        hi = min(lo + cuts.step, pool.n_rows)
        check_known(hi - lo, **known(lo, hi))
