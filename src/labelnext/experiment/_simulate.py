"""One run of the active-learning cycle, with a pool whose labels are known but kept back."""

from __future__ import annotations

import inspect
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split

from labelnext.utils import MISSING_LABEL

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray

    Watch = Callable[[Any, NDArray[np.float64], NDArray[np.int64]], None]


@dataclass(frozen=True)
class Split:
    """What all strategies share at one seed.

    Parameters
    ----------
    X : ndarray of shape (n_pool, n_features)
        The pool.
    y : ndarray of shape (n_pool,), int64
        Its labels, known to the simulation alone: the class numbers from 0.
    X_test : ndarray of shape (n_test, n_features)
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

    X: NDArray[Any]
    y: NDArray[np.int64]
    X_test: NDArray[Any]
    y_test: NDArray[np.int64]
    start: NDArray[np.int64]
    seed: int


@dataclass(frozen=True)
class Run:
    """One learning curve.

    Parameters
    ----------
    labels : ndarray of shape (n_points,), int64
        How many labels the model had.
    accuracy : ndarray of shape (n_points,), float64
        Its accuracy on the test set.
    picks : ndarray of shape (n_labelled,), int64
        The rows of the pool that were labelled, in order, those of the start first.

    Examples
    --------
    >>> import numpy as np
    >>> from labelnext.experiment import Run
    >>> run = Run(np.array([10, 20]), np.array([0.5, 0.75]), np.arange(20))
    >>> run.accuracy[-1]
    np.float64(0.75)
    """

    labels: NDArray[np.int64]
    accuracy: NDArray[np.float64]
    picks: NDArray[np.int64]


def split(
    X: ArrayLike, y: ArrayLike, *, seed: int, n_start: int, test_size: float = 1 / 3
) -> Split:
    """Cut samples into pool and test set, and draw what is labelled at the start.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Samples.
    y : array-like of shape (n_samples,)
        Their labels, of any type.
    seed : int
        The seed of the cut and of the start.
    n_start : int
        How many samples of the pool are labelled at the start, drawn uniformly.
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
    classes = np.unique(np.asarray(y), return_inverse=True)[1].astype(np.int64)
    X_pool, X_test, y_pool, y_test = train_test_split(
        np.asarray(X), classes, test_size=test_size, random_state=seed, stratify=classes
    )
    if not 1 <= n_start <= len(X_pool):
        raise ValueError(
            f"n_start must be between 1 and the pool's size {len(X_pool)}, got {n_start}."
        )
    start = np.random.default_rng(seed).choice(len(X_pool), n_start, replace=False)
    return Split(X_pool, y_pool, X_test, y_test, start, seed)


def simulate(
    strategy: Any,
    clf: Any,
    parts: Split,
    *,
    batch_size: int,
    n_batches: int,
    watch: Watch | None = None,
) -> Run:
    """Let a strategy choose batch after batch, and measure the model after each.

    The strategy gets the labels of what is labelled and NaN for all else, and a classifier
    fitted on the labelled part alone. Neither `strategy` nor `clf` is changed.

    Parameters
    ----------
    strategy : query strategy
        With `query` as in `labelnext.pool`, with or without a classifier.
    clf : scikit-learn classifier
        The model. A copy is fitted from scratch each time.
    parts : Split
        Pool, test set and start. Its seed is given to strategy and model, if they take one.
    batch_size : int
        How many labels a batch buys.
    n_batches : int
        How many batches.
    watch : callable, default=None
        Called before each batch is labelled, as ``watch(fitted_clf, y_partial, picks)``.

    Returns
    -------
    Run
        The learning curve, of ``n_batches + 1`` points.

    Raises
    ------
    ValueError
        If the pool is smaller than what is to be labelled.
    RuntimeError
        If the strategy picks a sample twice, or one that is labelled.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.linear_model import LogisticRegression
    >>> from labelnext.experiment import simulate, split
    >>> from labelnext.pool import RandomSampling
    >>> X, y = load_digits(return_X_y=True)
    >>> parts = split(X / 16, y, seed=0, n_start=20)
    >>> run = simulate(RandomSampling(), LogisticRegression(), parts, batch_size=20, n_batches=3)
    >>> run.labels
    array([20, 40, 60, 80])
    >>> bool(run.accuracy[-1] > run.accuracy[0])
    True
    """
    wanted = len(parts.start) + batch_size * n_batches
    if wanted > len(parts.X):
        raise ValueError(
            f"The pool has {len(parts.X)} samples, fewer than the {wanted} to be labelled "
            f"({len(parts.start)} at the start and {n_batches} batches of {batch_size})."
        )
    strategy = _with_seed(strategy, parts.seed)
    needs_clf = "clf" in inspect.signature(strategy.query).parameters
    y_partial = np.full(len(parts.X), MISSING_LABEL)
    labelled = np.array(parts.start, dtype=np.int64)
    y_partial[labelled] = parts.y[labelled]
    accuracy = []
    for batch in range(n_batches + 1):
        model = _fit(_with_seed(clf, parts.seed), parts.X[labelled], parts.y[labelled])
        accuracy.append(float(np.mean(model.predict(parts.X_test) == parts.y_test)))
        if batch == n_batches:
            break
        asked = {"clf": model, "fit_clf": False} if needs_clf else {}
        # Copies, so that no strategy can reach what it is not given, nor change what is ours.
        picks = np.asarray(
            strategy.query(parts.X.copy(), y_partial.copy(), batch_size=batch_size, **asked)
        )
        if len(np.unique(picks)) != batch_size or not np.isnan(y_partial[picks]).all():
            raise RuntimeError(
                f"{type(strategy).__name__} must choose {batch_size} distinct unlabelled samples, "
                f"got {picks}."
            )
        if watch is not None:
            watch(model, y_partial.copy(), picks)
        labelled = np.concatenate([labelled, picks])
        y_partial[picks] = parts.y[picks]
    sizes = len(parts.start) + batch_size * np.arange(n_batches + 1)
    return Run(sizes, np.array(accuracy), labelled)


def _fit(model: Any, X: NDArray[Any], y: NDArray[np.int64]) -> Any:
    with warnings.catch_warnings():
        # That one of a thousand models stopped early is no news: its accuracy is measured.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(X, y)


def _with_seed(estimator: Any, seed: int) -> Any:
    """Copy a strategy or model, with the seed of the run if it takes one."""
    estimator = clone(estimator)
    if "random_state" in estimator.get_params():
        estimator.set_params(random_state=seed)
    return estimator
