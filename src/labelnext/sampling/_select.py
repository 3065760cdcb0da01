"""The public edge of selection: arrays in, a batch out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from labelnext.gradients import as_gradients
from labelnext.sampling._d2 import NO_ROWS, d2_sample

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from labelnext.sampling._batch import Batch
    from labelnext.sampling._picks import Progress
    from labelnext.sampling._random import RandomState


def select(
    proba: ArrayLike,
    features: Any,
    k: int,
    *,
    bias: bool = False,
    exclude: ArrayLike | None = None,
    random_state: RandomState = None,
    progress: Progress | None = None,
) -> Batch:
    """Choose the k samples that people should label next, by BADGE.

    BADGE [1]_ is D² sampling (k-means++) over the gradients of the cross-entropy at the
    pseudo-label with respect to the model's last linear layer: a batch is uncertain, because
    uncertain samples have long gradients, and diverse, because near ones are rarely both drawn.
    It is exact here, and no gradient is ever built.

    Parameters
    ----------
    proba : array-like of shape (n_rows, n_classes) or (n_rows,)
        Class probabilities of the pool. Rows sum to 1. One dimension is P(y = 1) of a binary
        classifier.
    features : array-like or SciPy sparse matrix of shape (n_rows, n_features)
        The input of the model's last linear layer, row by row as in `proba`. Any real dtype;
        float16, float32, float64, memory-mapped arrays and CSR are used without a copy.
    k : int
        How many samples to choose, from 1 to the number of candidates.
    bias : bool, default=False
        Whether the gradient with respect to the last layer's bias counts too.
    exclude : array-like of int or of bool, default=None
        Rows that must not be chosen, those labelled already, say: row numbers, or a mask of
        length n_rows.
    random_state : int, numpy.random.Generator, numpy.random.RandomState or None, default=None
        The seed. The same seed gives the same batch, and that for a smaller k is its start.
    progress : callable, default=None
        Called now and then with the counters so far, a dict as in `Batch.stats`: `picks` of k,
        `passes`, `proposals` and so on.

    Returns
    -------
    Batch
        The picks in order, with what is worth knowing of each.

    Raises
    ------
    ValueError
        If a value is NaN or infinite, a row of `proba` does not sum to 1, lengths differ, the
        pool is empty, `k` is below 1 or above the number of candidates, or `exclude` holds what
        is not a row.
    TypeError
        If `k` is not an integer or an array does not hold numbers.

    See Also
    --------
    labelnext.pool.Badge : The same as a query strategy that asks a classifier.

    References
    ----------
    .. [1] J. T. Ash, C. Zhang, A. Krishnamurthy, J. Langford and A. Agarwal, "Deep batch active
       learning by diverse, uncertain gradient lower bounds", ICLR 2020.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.linear_model import LogisticRegression
    >>> import labelnext
    >>> X, y = load_digits(return_X_y=True)
    >>> X = X / 16
    >>> clf = LogisticRegression(max_iter=1000).fit(X[:100], y[:100])
    >>> batch = labelnext.select(clf.predict_proba(X), X, k=5, exclude=range(100), random_state=0)
    >>> batch.indices
    array([ 898, 1177, 1650, 1120,  907])
    """
    pool = as_gradients(proba, features, bias=bias)
    excluded = _check_exclude(exclude, pool.n_rows)
    n_candidates = pool.n_rows - len(excluded)
    return d2_sample(
        pool,
        _check_k(k, n_candidates),
        exclude=excluded,
        random_state=random_state,
        progress=progress,
    )


def _check_k(k: Any, n_candidates: int) -> int:
    if not isinstance(k, int | np.integer) or isinstance(k, bool):
        raise TypeError(f"k must be an integer, got {k!r} of type {type(k).__name__}.")
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}.")
    if k > n_candidates:
        raise ValueError(
            f"k must be at most the number of candidates, {n_candidates}, got {k}; choose a "
            f"smaller k or exclude fewer rows."
        )
    return int(k)


def _check_exclude(exclude: ArrayLike | None, n_rows: int) -> NDArray[np.int64]:
    """Return the excluded rows, each once, ascending."""
    if exclude is None:
        return NO_ROWS
    rows = np.asarray(exclude)
    if rows.dtype == np.bool_:
        if rows.shape != (n_rows,):
            raise ValueError(
                f"exclude as a mask must have shape ({n_rows},), one value for each row of the "
                f"pool, got {rows.shape}."
            )
        return np.flatnonzero(rows).astype(np.int64)
    if rows.size == 0:
        return NO_ROWS
    if rows.dtype.kind not in "iu" or rows.ndim != 1:
        raise TypeError(
            f"exclude must be a list of row numbers or a boolean mask, got an array of shape "
            f"{rows.shape} and dtype {rows.dtype}."
        )
    unknown = rows[(rows < 0) | (rows >= n_rows)]
    if len(unknown):
        raise ValueError(
            f"exclude must hold rows from 0 to {n_rows - 1}, got {int(unknown[0])}"
            + (f" and {len(unknown) - 1} more out of range." if len(unknown) > 1 else ".")
        )
    return np.unique(rows).astype(np.int64)
