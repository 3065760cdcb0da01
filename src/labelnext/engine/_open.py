"""The public edge of pools in files: what to read, and how much memory that may take."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labelnext.engine._check import pays_to_compile, warned
from labelnext.engine._disk import DiskGradients
from labelnext.engine._disk_rows import Kept, RowsInFiles, TwoColumns
from labelnext.engine.disk_limit import parse_limit
from labelnext.engine.task import check_shapes, check_task
from labelnext.pools import Source, open_source
from labelnext.pools.source import PARTS

if TYPE_CHECKING:
    import os

    from labelnext.engine._base import Gradients
    from labelnext.engine.task import Task


def open_pool(
    source: str | os.PathLike[str] | Source | None = None,
    *,
    memory_limit: int | str | None = None,
    bias: bool | None = None,
    task: Task | None = None,
    proba: str | os.PathLike[str] | None = None,
    features: str | os.PathLike[str] | None = None,
    ids: str | os.PathLike[str] | None = None,
) -> Gradients:
    """Open a pool of gradients whose probabilities and features lie in files.

    The pool may be larger than memory, and the batch is the one that its arrays would give. The
    files are read once here and checked; each pass of a selection reads them again, as far as
    what is known of each row does not tell that nothing can change. They must not be changed
    while the pool is in use, and nothing is written beside them.

    Pool folders and ``.npy`` files are read fastest. Formats of which whole row groups or chunks
    have to be read, Parquet and Zarr, read many of them for each handful of drawn rows, unless
    they fit the limit: `labelnext.write_pool` or ``labelnext convert`` copies them once.

    Parameters
    ----------
    source : str or path-like or Source
        A file or folder in any format that `labelnext.pools.open_source` knows, or what it
        has opened; None if `proba` and `features` are files.
    memory_limit : int or str, default=half of what is free
        Bytes, or a text such as ``"1GB"`` or ``"500MiB"``: what the pool and a selection from it
        may take, beyond Python and its libraries. At most 64 bytes of it are for each row;
        what is left over keeps rows in memory, once they have been read.
    bias : bool, default=None
        Whether the gradient with respect to the last layer's bias counts too. None is what the
        files say, False if they say nothing.
    task : {"multiclass", "multilabel", "binary"}, default=None
        What the model's last layer ends in; see `labelnext.engine.as_gradients`. None is what
        the files say, "multiclass" if they say nothing.
    proba, features, ids : str or path-like, default=None
        Which columns, arrays or files hold them; see `labelnext.pools.open_source`.

    Returns
    -------
    Gradients
        The pool, for ``labelnext.select(pool, k)``.

    Raises
    ------
    ValueError
        If a value is NaN or infinite, a probability is negative or a row does not sum to 1, which
        names the file, the row and the column; if the limit is too small, which says how much is
        needed, or is no amount of memory.
    OSError
        If files are missing, or may not be read.
    TypeError
        If `memory_limit` is neither an integer nor a text, or a file does not hold numbers.

    Warns
    -----
    UserWarning
        If there is one class only: all gradients are then 0, and a batch is a uniform draw.

    See Also
    --------
    labelnext.engine.as_gradients : The same for arrays in memory.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> import labelnext
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "pool")
    ...     labelnext.write_pool(path, np.full((3, 2), 0.5), np.array([[1.0], [2.0], [4.0]]))
    ...     pool = labelnext.open_pool(path, memory_limit="100MB")
    ...     labelnext.select(pool, 2, random_state=0).indices
    array([2, 0])
    """
    limit = parse_limit(memory_limit)
    if not isinstance(source, Source):
        source = open_source(source, proba=proba, features=features, ids=ids)
    elif not (proba is None and features is None and ids is None):
        raise TypeError("A source has its own parts; leave out proba, features and ids.")
    if task is None:
        task = source.task or "multiclass"  # type: ignore[assignment]
    task = check_task(task)
    if bias is None:
        bias = bool(source.bias)
    if source.one_dimensional and task == "multiclass":
        source = TwoColumns(source)
    p, h = (RowsInFiles(source, part, Kept(source, [])) for part in PARTS)
    check_shapes(p, h, task)
    kind: type[DiskGradients] = DiskGradients
    if pays_to_compile(p, h, task):
        from labelnext.engine._disk_pruned import PrunedDiskGradients

        kind = PrunedDiskGradients
    return warned(kind(source, limit, bias=bool(bias), task=task))
