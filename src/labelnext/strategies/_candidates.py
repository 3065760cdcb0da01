"""Candidates in any of their three forms, and the way back to the caller's rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from labelnext.estimators.rows import as_samples, take_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Candidates:
    """The candidates of a query.

    Parameters
    ----------
    X : array, sparse matrix or frame of n_candidates rows
        The candidates themselves.
    rows : ndarray of shape (n_candidates,), int64
        What the caller knows them by: rows of X, or their own numbers.
    n_rows : int
        The number of rows that the caller may be told of.
    from_outside : bool, default=False
        Whether they are samples that the caller gave, which need not be in X.
    """

    X: Any
    rows: NDArray[np.int64]
    n_rows: int
    from_outside: bool = False

    def __len__(self) -> int:
        return len(self.rows)

    def spread(self, utilities: NDArray[np.float64]) -> NDArray[np.float64]:
        """Put the utilities in the caller's columns, NaN where there is no candidate."""
        out = np.full((len(utilities), self.n_rows), np.nan)
        out[:, self.rows] = utilities
        return out


def find_candidates(X: Any, unlabelled: NDArray[np.int64], candidates: Any) -> Candidates:
    """Turn the argument `candidates` of a query into samples and their rows.

    Raises
    ------
    TypeError
        If `candidates` is one-dimensional and not of integers.
    ValueError
        If there are none, an index is no row of X, or the samples differ in shape from X's.
    """
    n_samples = X.shape[0]
    if candidates is None:
        if len(unlabelled) == 0:
            raise ValueError(
                "There are no candidates: no label in y is missing. Stop asking, check "
                "missing_label, or pass the rows to choose from as candidates."
            )
        return _rows_of(X, unlabelled)
    if _are_indices(candidates, X):
        return _rows_of(X, _check_indices(np.asarray(candidates), n_samples))
    samples = as_samples(candidates, "candidates")
    if samples.shape[0] == 0:
        raise ValueError("There are no candidates: candidates has no rows.")
    if tuple(samples.shape[1:]) != tuple(X.shape[1:]):
        raise ValueError(
            f"candidates must be row numbers, or samples of the same shape as those of X, "
            f"{tuple(X.shape[1:])}, got {tuple(samples.shape[1:])}."
        )
    n_candidates = samples.shape[0]
    return Candidates(samples, np.arange(n_candidates, dtype=np.int64), n_candidates, True)


def _rows_of(X: Any, rows: NDArray[np.int64]) -> Candidates:
    n_samples = X.shape[0]
    return Candidates(X if len(rows) == n_samples else take_rows(X, rows), rows, n_samples)


def _are_indices(candidates: Any, X: Any) -> bool:
    """One dimension is indices; but where samples are texts, texts are samples."""
    try:
        shape = candidates.shape if hasattr(candidates, "shape") else np.shape(candidates)
    except ValueError:  # rows of different lengths; `as_samples` says so
        return False
    if len(shape) != 1:
        return False
    return len(X.shape) > 1 or shape[0] == 0 or np.asarray(candidates).dtype.kind not in "OUT"


def _check_indices(indices: NDArray[Any], n_samples: int) -> NDArray[np.int64]:
    """Return the rows, each once and ascending: their order says nothing about the samples."""
    if len(indices) == 0:
        raise ValueError("There are no candidates: candidates is empty.")
    if indices.dtype.kind not in "iu":
        hint = "np.flatnonzero(mask) makes indices of a mask" if indices.dtype == bool else ""
        raise TypeError(
            f"candidates of one dimension must be row numbers of X, integers, got dtype "
            f"{indices.dtype}{'; ' if hint else ''}{hint}."
        )
    outside = indices[(indices < 0) | (indices >= n_samples)]
    if len(outside):
        raise ValueError(
            f"candidates must be rows of X, from 0 to {n_samples - 1}, got {int(outside[0])}"
            + (f" and {len(outside) - 1} more out of range." if len(outside) > 1 else ".")
        )
    return np.unique(indices).astype(np.int64)
