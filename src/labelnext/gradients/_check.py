"""The public edge of the pools: take probabilities and features as they come, or say why not."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

from labelnext.gradients._memory import MemoryGradients

# Numbers in a pool from which on numba is imported. A smaller pool is done before it has loaded.
COMPILE_FROM = 1 << 20

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from labelnext.gradients._base import Gradients


def as_gradients(proba: ArrayLike, features: Any, *, bias: bool = False) -> Gradients:
    """Make a pool of gradients from probabilities and features.

    The arrays are read once, checked, and kept as they are: neither copied nor changed, so they
    must not be changed while the pool is in use.

    Parameters
    ----------
    proba : array-like of shape (n_rows, n_classes) or (n_rows,)
        Class probabilities, each row summing to 1 (within 1e-3, float16 within 5e-3). One
        dimension is the probability of the second of two classes.
    features : array-like or SciPy sparse of shape (n_rows, n_features)
        The input of the model's last linear layer, of any real dtype. CSR is used as it is;
        other sparse formats are converted to CSR. Norms may lie between 1e-140 and 1e140.
    bias : bool, default=False
        Whether the last layer has a bias whose gradient counts too: h = [h, 1].

    Returns
    -------
    Gradients
        The pool.

    Raises
    ------
    ValueError
        If a value is NaN or infinite, a probability is negative, a row does not sum to 1, the
        lengths differ, the pool is empty, or a dimension is wrong.
    TypeError
        If an array does not hold real numbers.

    Warns
    -----
    UserWarning
        If there is one class only: all gradients are then 0, and a batch is a uniform draw.

    Examples
    --------
    >>> import numpy as np
    >>> from labelnext.gradients import as_gradients
    >>> pool = as_gradients(np.array([[0.5, 0.5], [0.75, 0.25]]), np.array([[2.0], [4.0]]))
    >>> pool.n_rows, pool.n_classes
    (2, 2)
    >>> pool.squared_norms
    array([2., 2.])
    """
    proba = _check_dimensions("proba", _real_array("proba", proba), allow_1d=True)
    if proba.ndim == 1:
        # Two numbers a row, not a copy of anything long; float64, lest 1 − p be 1 for a small p.
        proba = proba.astype(np.float64)
        proba = np.stack([1 - proba, proba], axis=1)
    if sp.issparse(features):
        # Shares the caller's arrays if they are CSR already.
        features = _real_sparse(features)
    else:
        features = _check_dimensions("features", _real_array("features", features))
    if len(proba) != features.shape[0]:
        raise ValueError(
            f"proba and features must have one row for each sample of the pool, got "
            f"{len(proba)} rows of proba and {features.shape[0]} of features; check that both "
            f"were computed from the same samples in the same order."
        )
    if len(proba) == 0:
        raise ValueError("The pool is empty: proba and features have no rows.")
    if proba.shape[1] == 0 or features.shape[1] == 0:
        raise ValueError(
            f"proba and features need at least one column, got shapes {proba.shape} and "
            f"{features.shape}."
        )
    pool = _pool_type(proba, features)(proba, features, bias=bool(bias))
    if proba.shape[1] == 1:
        warnings.warn(
            "proba has one class only, so all gradients are 0 and the batch is a uniform draw. "
            "If it holds P(y = 1) of a binary classifier, pass it with one dimension.",
            UserWarning,
            stacklevel=2,
        )
    return pool


def _pool_type(proba: NDArray[Any], features: Any) -> type[MemoryGradients]:
    """Choose the compiled, pruned pass where the pool is large enough to pay for a compiler."""
    # The size of a sparse array is the number of its entries.
    small = proba.size + features.size < COMPILE_FROM
    if small or not (_can_be_compiled(proba.dtype) and _can_be_compiled(features.dtype)):
        return MemoryGradients
    from labelnext.gradients._pruned import PrunedGradients

    return PrunedGradients


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


def _check_dimensions(name: str, array: NDArray[Any], *, allow_1d: bool = False) -> NDArray[Any]:
    if array.ndim == 2 or (allow_1d and array.ndim == 1):
        return array
    hint = (
        "reshape it with features.reshape(-1, 1) if it is one feature"
        if array.ndim == 1
        else f"flatten each sample with {name}.reshape(len({name}), -1)"
    )
    if array.ndim == 0:
        hint = "pass one row for each sample"
    raise ValueError(f"{name} must have two dimensions, got shape {array.shape}; {hint}.")
