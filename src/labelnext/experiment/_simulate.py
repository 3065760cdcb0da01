"""The active-learning cycle, with a pool whose labels are kept back: cut, go round by round."""

from __future__ import annotations

import inspect
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from labelnext.estimators import ColdStart, fit_on_labeled
from labelnext.estimators.rows import as_samples, take_rows
from labelnext.experiment._catalog import cut, find_strategy
from labelnext.experiment._records import Round
from labelnext.experiment._stopping import Watched
from labelnext.utils import MISSING_LABEL
from labelnext.utils.random import seeded
from labelnext.utils.text import counted

Watch = Callable[[Any, NDArray[np.float64], NDArray[np.int64]], None]
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Split:
    """What all strategies share at one seed.

    Parameters
    ----------
    X, y : array, sparse matrix or frame, and ndarray of int64
        The pool, and its labels, known to the simulation alone: the class numbers from 0.
    X_test, y_test : array, sparse matrix or frame, and ndarray of int64
        What accuracy is measured on. No strategy sees it.
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
    y: Rows
    X_test: Any
    y_test: Rows
    start: Rows
    seed: int


def split(X: Any, y: ArrayLike, *, seed: int, n_start: int, test_size: float = 1 / 3) -> Split:
    """Cut samples into pool and test set, and draw what is labelled at the start.

    Parameters
    ----------
    X, y : array-like, sparse matrix or frame
        Samples, and their labels of any type.
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
        If `n_start` is not between 1 and the size of the pool, a label is missing, or most classes
        have one sample alone. (A single such class goes to the pool.)

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from labelnext.experiment import split
    >>> split(*load_digits(return_X_y=True), seed=0, n_start=3).start
    array([ 762,  612, 1017])
    """
    X = as_samples(X)
    classes, pool, test = cut(y, seed=seed, test_size=test_size)
    if not 1 <= n_start <= len(pool):
        raise ValueError(
            f"n_start must be between 1 and the pool's size {len(pool)}, got {n_start}."
        )
    start = np.random.default_rng(seed).choice(len(pool), n_start, replace=False)
    return Split(take_rows(X, pool), classes[pool], take_rows(X, test), classes[test], start, seed)


def check_size(n_pool: int, start: int, batch_size: int, n_batches: int) -> None:
    """Refuse to label more than there is."""
    wanted = start + batch_size * n_batches
    if wanted > n_pool:
        raise ValueError(
            f"The pool has {counted(n_pool, 'sample')}, fewer than the {wanted:,} to be labelled "
            f"({start} at the start and {counted(n_batches, 'batch', 'batches')} of {batch_size}); "
            "make the batches smaller or fewer: "
            f"{max(0, (n_pool - start) // batch_size)} of this size would do."
        )


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

    labels: Rows
    accuracy: NDArray[np.float64]
    picks: Rows


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
    strategy : str or query strategy
        A name, as in `labelnext.strategies.names`, or an object with `query` as in
        `labelnext.pool`, with or without a classifier.
    clf : scikit-learn classifier
        The model. A copy is fitted from scratch each time.
    parts : Split
        Pool, test set and start. Its seed is given to strategy and model, if they take one.
    batch_size, n_batches : int
        How many labels a batch buys, and how many batches.
    watch : callable, default=None
        Called before each batch is labelled, as ``watch(fitted_clf, y_partial, picks)``.

    Returns
    -------
    Run
        The learning curve, of ``n_batches + 1`` points.

    Raises
    ------
    ValueError
        If the pool is smaller than what is to be labelled, or no strategy has that name.
    RuntimeError
        If the strategy picks a sample twice, or one that is labelled.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.linear_model import LogisticRegression
    >>> from labelnext.experiment import simulate, split
    >>> X, y = load_digits(return_X_y=True)
    >>> parts = split(X / 16, y, seed=0, n_start=20)
    >>> run = simulate("random", LogisticRegression(), parts, batch_size=20, n_batches=3)
    >>> run.labels
    array([20, 40, 60, 80])
    >>> bool(run.accuracy[-1] > run.accuracy[0])
    True
    """
    if isinstance(strategy, str):
        strategy = find_strategy(strategy)
    check_size(len(parts.y), len(parts.start), batch_size, n_batches)
    history = list(
        rounds(strategy, clf, parts, batch_size=batch_size, n_batches=n_batches, watch=watch)
    )
    return Run(
        np.array([step.labels for step in history]),
        np.array([step.accuracy for step in history]),
        np.concatenate([parts.start, *(step.picks for step in history)]),
    )


def rounds(
    strategy: Any,
    clf: Any,
    parts: Split,
    *,
    batch_size: int,
    n_batches: int,
    done: Sequence[Rows] = (),
    watch: Watch | None = None,
) -> Iterator[Round]:
    """Go through the rounds of a run, one at a time, after those whose picks are `done` already.

    A round depends on the seed and on what is labelled, and on nothing else: strategy and model
    are copied for each. So a run that was cut off goes on as if it had not been.
    """
    needs_clf = "clf" in inspect.signature(strategy.query).parameters
    watched = Watched(parts.X, parts.seed)
    labelled = np.concatenate([parts.start, *done]).astype(np.int64)
    if done:
        before = labelled[: len(labelled) - len(done[-1])]
        watched.agreement(lambda rows: _predict(_fit(clf, parts, before), parts, before, rows))
    for batch in range(len(done), n_batches + 1):
        begin = time.perf_counter()
        model = _fit(clf, parts, labelled)
        fit_seconds = time.perf_counter() - begin
        correct = _predict(model, parts, labelled, None) == parts.y_test
        agreement = watched.agreement(lambda rows: _predict(model, parts, labelled, rows))  # noqa: B023
        picks, select_seconds, potential = np.empty(0, np.int64), 0.0, float("nan")
        if batch < n_batches:
            asked = {"clf": model, "fit_clf": False} if needs_clf else {}
            own = with_seed(strategy, parts.seed)
            # Copies, so that no strategy can reach what it is not given, nor change what is ours.
            X, y_partial = parts.X.copy(), _partial(parts, labelled)
            begin = time.perf_counter()
            with seeded(parts.seed):
                picks = np.asarray(own.query(X, y_partial, batch_size=batch_size, **asked))
            select_seconds = time.perf_counter() - begin
            _check_picks(picks, labelled, len(parts.y), batch_size, strategy)
            potential = watched.potential(model, labelled, picks)
            if watch is not None:
                watch(model, _partial(parts, labelled), picks)
        yield Round(
            len(labelled),
            len(np.unique(parts.y[labelled])),
            float(np.mean(correct)),
            agreement,
            potential,
            fit_seconds,
            select_seconds,
            picks,
        )
        labelled = np.concatenate([labelled, picks])


def _partial(parts: Split, labelled: Rows) -> NDArray[np.float64]:
    """Return the labels of what is labelled, and NaN for all else."""
    y_partial = np.full(len(parts.y), MISSING_LABEL)
    y_partial[labelled] = parts.y[labelled]
    return y_partial


def _fit(clf: Any, parts: Split, labelled: Rows) -> Any:
    """Fit a copy; where there is but one class, a `ColdStart` takes its place."""
    # Seeded, since some models draw from the global generators and take no seed.
    with warnings.catch_warnings(), seeded(parts.seed):
        # That one of a thousand models stopped early is no news: its accuracy is measured.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return fit_on_labeled(with_seed(clf, parts.seed), parts.X, _partial(parts, labelled))


def _predict(model: Any, parts: Split, labelled: Rows, rows: Rows | None) -> NDArray[Any]:
    """Predict rows of the pool, or the test set."""
    X = parts.X_test if rows is None else take_rows(parts.X, rows)
    if isinstance(model, ColdStart):
        # All labels are of one class: nothing else can be said of any sample.
        return np.full(X.shape[0], parts.y[labelled[0]])
    return np.asarray(model.predict(X))


def _check_picks(
    picks: NDArray[Any], labelled: Rows, n_pool: int, batch_size: int, strategy: Any
) -> None:
    right = (
        picks.shape == (batch_size,)
        and picks.dtype.kind in "iu"
        and len(np.unique(picks)) == batch_size
        and picks.min() >= 0
        and picks.max() < n_pool
        and not np.isin(picks, labelled).any()
    )
    if not right:
        raise RuntimeError(
            f"{type(strategy).__name__} must choose {batch_size} distinct unlabelled samples, "
            f"got {picks}."
        )


def with_seed(estimator: Any, seed: int) -> Any:
    """Copy a strategy or model, with the seed in each `random_state`, those of parts too."""
    estimator = clone(estimator, safe=False)
    if hasattr(estimator, "get_params"):
        names = [
            name for name in estimator.get_params() if name.rpartition("__")[2] == "random_state"
        ]
        estimator.set_params(**dict.fromkeys(names, seed))
    return estimator
