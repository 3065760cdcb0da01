"""The door of the engine: what is chosen from, wherever it is, becomes a pool of gradients."""

from __future__ import annotations

import sys
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

from labelnext.engine._file_rows import FileRows, Kept, RowsInFiles, TwoColumns
from labelnext.engine._plain import PlainGradients
from labelnext.engine._rows import ArrayRows
from labelnext.engine.memory_limit import parse_limit
from labelnext.engine.task import check_shapes, check_task
from labelnext.pools import Source, open_source
from labelnext.pools.source import PARTS

if TYPE_CHECKING:
    import os

    from numpy.typing import ArrayLike, NDArray

    from labelnext.engine._base import Gradients
    from labelnext.engine.task import Task
    from labelnext.pools import Pool

# Numbers in a pool from which on numba is imported. A smaller pool is done before it has loaded.
COMPILE_FROM = 1 << 20


def as_gradients(
    proba: Any, features: Any, *, bias: bool = False, task: Task = "multiclass"
) -> Gradients:
    """Make a pool of gradients from probabilities and features.

    They are read once, checked, and kept as they are: neither copied nor changed, so they must
    not be changed while the pool is in use. Torch tensors on the CPU count as the arrays whose
    memory they share; those on another device stay there, and so does the work.

    Parameters
    ----------
    proba : array-like or torch.Tensor of shape (n_rows, n_classes) or (n_rows,)
        Probabilities; see `task`.
    features : array-like, torch.Tensor or SciPy sparse of shape (n_rows, n_features)
        The input of the model's last linear layer, of any real dtype. CSR is used as it is;
        other sparse formats are converted to CSR. Norms may lie between 1e-140 and 1e140.
    bias : bool, default=False
        Whether the last layer has a bias whose gradient counts too: h = [h, 1].
    task : {"multiclass", "multilabel", "binary"}, default="multiclass"
        What the model's last layer ends in:

        - "multiclass", a softmax: each row sums to 1 (within 1e-3, float16 within 5e-3, bfloat16
          within 2e-2), and the gradient is that of the cross-entropy at the class of highest
          probability. One dimension is the probability of the second of two classes.
        - "multilabel", a sigmoid for each of the labels: each probability is in [0, 1] by itself,
          and the gradient is that of the binary cross-entropy at the rounded labels.
        - "binary", one sigmoid: the same for one logit, with one column or one dimension.

    Returns
    -------
    Gradients
        The pool.

    Raises
    ------
    ValueError
        If a value is NaN or infinite, a probability is negative, a row does not sum to 1 or a
        probability is above 1, the lengths differ, the pool is empty, a dimension is wrong, or
        tensors are on different devices.
    TypeError
        If an array does not hold real numbers, or a tensor is sparse.

    Warns
    -----
    UserWarning
        If there is one class only: all gradients are then 0, and a batch is a uniform draw.

    Examples
    --------
    >>> import numpy as np
    >>> from labelnext.engine import as_gradients
    >>> pool = as_gradients(np.array([[0.5, 0.5], [0.75, 0.25]]), np.array([[2.0], [4.0]]))
    >>> pool
    PlainGradients of 2 rows: multiclass, 2 classes, 1 features in float64, on cpu
    >>> pool.squared_norms
    array([2., 2.])
    """
    task = check_task(task)
    if _is_tensor(proba) or _is_tensor(features):
        from labelnext.engine import _tensors

        if _tensors.common_device(proba, features).type != "cpu":
            return warned(_tensors.as_torch_gradients(proba, features, bias=bool(bias), task=task))
    proba, features, stored_as = as_stored(proba, features, task)
    return warned(
        stored_gradients(proba, features, bias=bool(bias), task=task, stored_as=stored_as)
    )


def as_stored(proba: Any, features: Any, task: Task) -> tuple[NDArray[Any], Any, str | None]:
    """Return arrays that fit together, of two dimensions, without a copy where there need be none.

    Parameters
    ----------
    proba, features : array-like
        As those of `as_gradients`, in this process's memory.
    task : str
        What the columns of `proba` are.

    Returns
    -------
    proba : ndarray of shape (n_rows, n_columns)
        Probabilities.
    features : ndarray or csr_array of shape (n_rows, n_features)
        Features.
    stored_as : str or None
        The dtype that the probabilities were rounded to, if they were tensors.
    """
    stored_as = None
    if _is_tensor(proba) or _is_tensor(features):
        from labelnext.engine import _tensors

        device = _tensors.common_device(proba, features)
        if device.type != "cpu":
            raise TypeError(f"The tensors must be on the CPU, got {device}; fetch them by .cpu().")
        proba, stored_as = _tensors.as_array("proba", proba)
        features, _ = _tensors.as_array("features", features)
    proba = _real_array("proba", proba)
    # Shares the caller's arrays if they are CSR already.
    features = (
        _real_sparse(features) if sp.issparse(features) else _real_array("features", features)
    )
    check_shapes(proba, features, task)
    if proba.ndim == 1 and task == "binary":
        proba = proba[:, None]
    elif proba.ndim == 1:
        # Two numbers a row, not a copy of anything long; float64, lest 1 − p be 1 for a small p.
        proba = proba.astype(np.float64)
        proba = np.stack([1 - proba, proba], axis=1)
    return proba, features, stored_as


def stored_gradients(
    proba: NDArray[Any],
    features: Any,
    *,
    bias: bool,
    task: Task,
    stored_as: str | None,
    first_row: int = 0,
) -> PlainGradients:
    """Make a pool of what `as_stored` returns: plain, or compiled and pruned.

    Parameters
    ----------
    proba, features, stored_as
        What it returned.
    bias : bool
        Whether h is followed by a 1.
    task : str
        What the columns of `proba` are.
    first_row : int, default=0
        What messages call the first row.
    """
    rows = ArrayRows(proba, features, stored_as=stored_as, first_row=first_row)
    return pass_over(proba, features, task)(rows, bias=bias, task=task)


def _is_tensor(values: Any) -> bool:
    # Without torch imported nothing is a tensor. That labelnext.utils tells it too is no help:
    # it brings scikit-learn, which a selection does without.
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(values, torch.Tensor)


def warned(pool: Gradients) -> Gradients:
    """Return a pool; warn of one that has a single class."""
    if pool.n_classes == 1 and pool.task == "multiclass":
        warnings.warn(
            "proba has one class only, so all gradients are 0 and the batch is a uniform draw. "
            "If it holds P(y = 1) of a binary classifier, pass it with one dimension; if the "
            "model has a single logit, say task='binary'.",
            UserWarning,
            stacklevel=3,
        )
    return pool


def pass_over(proba: Any, features: Any, task: Task) -> type[PlainGradients]:
    """Choose the compiled, pruned pass where the pool is large enough to pay for a compiler."""
    if not pays_to_compile(proba, features, task):
        return PlainGradients
    from labelnext.engine._pruned import PrunedGradients

    return PrunedGradients


def pays_to_compile(proba: Any, features: Any, task: Task) -> bool:
    """Tell whether a pool is large enough for the compiled pass, and of its kind."""
    # The size of a sparse array is the number of its entries.
    if proba.size + features.size < COMPILE_FROM:
        return False
    # The bounds take a residual apart into one pseudo-label's entry and a rest that is nowhere
    # negative. Rounded labels are none, one or many, and leave entries of both signs.
    if task != "multiclass":
        return False
    return _can_be_compiled(proba.dtype) and _can_be_compiled(features.dtype)


def _can_be_compiled(dtype: np.dtype[Any]) -> bool:
    """Whether compiled code knows the numbers: not extended precision, nor swapped bytes."""
    return dtype.kind in "fiu" and dtype.itemsize <= 8 and dtype.isnative


def _real_array(name: str, values: ArrayLike) -> NDArray[Any]:
    array = np.asarray(values)
    if array.dtype.kind not in "fiub":
        raise TypeError(
            f"{name} must hold real numbers, got dtype {array.dtype}; convert it with "
            f"np.asarray({name}, dtype=np.float32)."
        )
    return array


def _real_sparse(features: Any) -> Any:
    csr = sp.csr_array(features)
    if csr.ndim != 2 or csr.dtype.kind not in "fiub":
        raise TypeError(
            f"Sparse features must be a matrix of real numbers, got shape {csr.shape} and dtype "
            f"{csr.dtype}."
        )
    return csr


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
    kind = pass_over(p, h, task)
    rows = FileRows(source, limit, kind.state_bytes(source.n_columns, task))
    return warned(kind(rows, bias=bool(bias), task=task))


def open_gradients(pool: Pool, *, memory_limit: int | str | None = None) -> Gradients:
    """Return the gradients of a pool."""
    if not pool.source.in_memory:
        return open_pool(pool.source, memory_limit=memory_limit, bias=pool.bias, task=pool.task)
    proba = np.full((pool.n_rows, 2), 0.5) if pool.proba is None else pool.proba
    proba = proba.mean(axis=0) if proba.ndim == 3 else proba
    return as_gradients(proba, pool.features, bias=pool.bias, task=pool.task)
