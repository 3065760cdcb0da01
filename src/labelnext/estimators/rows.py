"""Rows of whatever holds samples: arrays, sparse matrices, frames, lists of texts."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from labelnext.utils.given import refuse_masked
from labelnext.utils.libraries import without_tensor


def as_samples(X: Any, name: str = "X") -> Any:
    """Return samples as something to index; frames stay frames, lists and tensors become arrays.

    One dimension is allowed for objects alone, texts say: of numbers it is a mistake.
    """
    refuse_masked(X, name)
    X = without_tensor(X)
    if sp.issparse(X):
        # COO and DIA cannot be indexed by rows; CSR is returned as it is.
        return X.tocsr()
    if not hasattr(X, "shape"):
        try:
            array = np.asarray(X)
        except ValueError as error:
            raise ValueError(
                f"{name} must have one row for each sample, all of the same length: {error}"
            ) from error
        X = array if array.dtype.kind in "fiubc" else np.asarray(X, dtype=object)
    if len(X.shape) == 0 or (len(X.shape) == 1 and np.asarray(X).dtype.kind in "fiubc"):
        raise ValueError(
            f"{name} must have at least two dimensions, one row for each sample, got shape "
            f"{tuple(X.shape)}; reshape it with np.reshape({name}, (-1, 1)) if each sample is one "
            f"number."
        )
    return X


def as_numbers(X: Any, advice: str = "Pass numbers, a row for each sample.") -> Any:
    """Return samples as a matrix of numbers, sparse or dense, without a copy where it is one."""
    if sp.issparse(X):
        return X
    array = np.asarray(X)
    if array.dtype.kind not in "fiub":
        # A frame of integer and boolean columns arrives as objects, but holds numbers.
        try:
            array = array.astype(np.float64)
        except (TypeError, ValueError) as error:
            raise TypeError(
                f"The features must be numbers, got dtype {array.dtype}. {advice}"
            ) from error
    return array.reshape(len(array), -1) if array.ndim != 2 else array


def check_weights(sample_weight: Any, n_samples: int) -> NDArray[np.float64]:
    """Return the weights of samples, or say what they are not."""
    refuse_masked(sample_weight, "sample_weight")
    try:
        weights = np.asarray(sample_weight, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError("sample_weight must hold finite numbers.") from None
    if weights.shape != (n_samples,):
        raise ValueError(
            f"sample_weight must have one weight for each sample of X, shape ({n_samples},), got "
            f"{weights.shape}."
        )
    if not (np.isfinite(weights).all() and (weights >= 0).all()):
        raise ValueError("sample_weight must hold finite numbers, not negative ones.")
    if not weights.any():
        raise ValueError("sample_weight is zero for all samples; nothing would be left to fit.")
    return weights


def take_rows(X: Any, rows: NDArray[np.int64]) -> Any:
    """Return some rows, in the order given, as the same kind of container."""
    return X.iloc[rows] if hasattr(X, "iloc") else X[rows]


def stack_rows(X: Any, Y: Any) -> Any:
    """Return the rows of one container and then those of another of the same kind."""
    if sp.issparse(X) or sp.issparse(Y):
        return sp.vstack([X, Y], format="csr")
    if hasattr(X, "iloc") and hasattr(Y, "iloc"):
        import pandas as pd

        return pd.concat([X, Y])
    if hasattr(X, "vstack") and hasattr(Y, "vstack"):  # polars
        return X.vstack(Y)
    # One of them may be a frame, samples given as candidates say.
    return np.concatenate([np.asarray(X), np.asarray(Y)])
