"""Pool, test set and start: what all strategies share at one seed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.model_selection import train_test_split

from labelnext.estimators.rows import as_samples, take_rows

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Split:
    """What all strategies share at one seed.

    Parameters
    ----------
    X : array, sparse matrix or frame of n_pool rows
        The pool.
    y : ndarray of shape (n_pool,), int64
        Its labels, known to the simulation alone: the class numbers from 0.
    X_test : array, sparse matrix or frame of n_test rows
        The samples on which accuracy is measured. No strategy sees them.
    y_test : ndarray of shape (n_test,), int64
        Their labels.
    start : ndarray of int64
        The rows of the pool that are labelled at the start.
    seed : int
        The seed it was made with.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from labelnext.experiment import split
    >>> parts = split(*load_digits(return_X_y=True), seed=0, n_start=10)
    >>> parts.X.shape, parts.X_test.shape, parts.start.shape
    ((1198, 64), (599, 64), (10,))
    """

    X: Any
    y: NDArray[np.int64]
    X_test: Any
    y_test: NDArray[np.int64]
    start: NDArray[np.int64]
    seed: int


def split(X: Any, y: ArrayLike, *, seed: int, n_start: int, test_size: float = 1 / 3) -> Split:
    """Cut samples into pool and test set, and draw what is labelled at the start.

    Parameters
    ----------
    X : array-like, sparse matrix or frame of shape (n_samples, ...)
        Samples.
    y : array-like of shape (n_samples,)
        Their labels, of any type.
    seed : int
        The seed of the cut and of the start.
    n_start : int
        How many samples of the pool are labelled at the start, drawn uniformly: a class may be
        absent from them.
    test_size : float, default=1/3
        The share of the test set, which has each class in the same proportion as the pool.

    Returns
    -------
    Split
        The parts.

    Raises
    ------
    ValueError
        If `n_start` is not between 1 and the size of the pool.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from labelnext.experiment import split
    >>> split(*load_digits(return_X_y=True), seed=0, n_start=3).start
    array([ 762,  612, 1017])
    """
    X = as_samples(X)
    classes = np.unique(np.asarray(y), return_inverse=True)[1].astype(np.int64)
    pool, test = train_test_split(
        np.arange(len(classes)), test_size=test_size, random_state=seed, stratify=classes
    )
    if not 1 <= n_start <= len(pool):
        raise ValueError(
            f"n_start must be between 1 and the pool's size {len(pool)}, got {n_start}."
        )
    start = np.random.default_rng(seed).choice(len(pool), n_start, replace=False)
    return Split(take_rows(X, pool), classes[pool], take_rows(X, test), classes[test], start, seed)
