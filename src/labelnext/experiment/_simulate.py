"""One run of the active-learning cycle, as one learning curve."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from labelnext.experiment._rounds import rounds

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from labelnext.experiment._rounds import Watch
    from labelnext.experiment._split import Split


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
    check_size(len(parts.y), len(parts.start), batch_size, n_batches)
    history = list(
        rounds(strategy, clf, parts, batch_size=batch_size, n_batches=n_batches, watch=watch)
    )
    return Run(
        np.array([step.labels for step in history]),
        np.array([step.accuracy for step in history]),
        np.concatenate([parts.start, *(step.picks for step in history)]),
    )


def check_size(n_pool: int, start: int, batch_size: int, n_batches: int) -> None:
    """Refuse to label more than there is."""
    wanted = start + batch_size * n_batches
    if wanted > n_pool:
        raise ValueError(
            f"The pool has {n_pool} samples, fewer than the {wanted} to be labelled "
            f"({start} at the start and {n_batches} batches of {batch_size}); make the batches "
            f"smaller or fewer: {max(0, (n_pool - start) // batch_size)} of this size would do."
        )
