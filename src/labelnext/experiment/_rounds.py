"""The active-learning cycle, round by round, with a pool whose labels are kept back."""

from __future__ import annotations

import inspect
import time
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from labelnext.estimators import ColdStart, fit_on_labeled
from labelnext.experiment._seeds import global_seed, with_seed
from labelnext.experiment._stability import Watched
from labelnext.utils import MISSING_LABEL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from labelnext.experiment._split import Split

    Watch = Callable[[Any, NDArray[np.float64], NDArray[np.int64]], None]


@dataclass(frozen=True)
class Round:
    """What came out of one round: a model measured, and a batch chosen with it.

    Parameters
    ----------
    labels : int
        How many labels the model had.
    classes : int
        Of how many classes they were.
    accuracy : float
        The model's accuracy on the test set.
    agreement : float
        Cohen's kappa of its predictions and those of the round before, on the stop set; NaN in
        the first round.
    potential : float
        The mean D² that the batch leaves on the stop set; NaN in the last round and for models
        without probabilities.
    fit_seconds, select_seconds : float
        How long fitting and choosing took.
    picks : ndarray of shape (batch_size,), int64
        The rows of the pool that were chosen; none in the last round.

    Examples
    --------
    >>> import numpy as np
    >>> from labelnext.experiment import Round
    >>> Round(20, 10, 0.75, 0.9, 0.1, 0.02, 0.01, np.array([3, 5])).accuracy
    0.75
    """

    labels: int
    classes: int
    accuracy: float
    agreement: float
    potential: float
    fit_seconds: float
    select_seconds: float
    picks: NDArray[np.int64]


def rounds(
    strategy: Any,
    clf: Any,
    parts: Split,
    *,
    batch_size: int,
    n_batches: int,
    done: Sequence[NDArray[np.int64]] = (),
    watch: Watch | None = None,
) -> Iterator[Round]:
    """Go through the rounds of a run, one at a time.

    A round depends on the seed and on what is labelled, and on nothing else: strategy and model
    are copied anew for each. So a run that was cut off goes on as if it had not been.

    Parameters
    ----------
    strategy, clf, parts, batch_size, n_batches, watch
        As in `simulate`.
    done : sequence of ndarray, default=()
        The picks of rounds that are there already; those are not gone through again.

    Yields
    ------
    Round
        The rounds after those, ``n_batches + 1 - len(done)`` of them.
    """
    needs_clf = "clf" in inspect.signature(strategy.query).parameters
    watched = Watched(parts)
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
            with global_seed(parts.seed):
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


def _partial(parts: Split, labelled: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the labels of what is labelled, and NaN for all else."""
    y_partial = np.full(len(parts.y), MISSING_LABEL)
    y_partial[labelled] = parts.y[labelled]
    return y_partial


def _fit(clf: Any, parts: Split, labelled: NDArray[np.int64]) -> Any:
    """Fit a copy; where there is but one class, a `ColdStart` takes its place."""
    with warnings.catch_warnings(), global_seed(parts.seed):
        # That one of a thousand models stopped early is no news: its accuracy is measured.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return fit_on_labeled(with_seed(clf, parts.seed), parts.X, _partial(parts, labelled))


def _predict(
    model: Any, parts: Split, labelled: NDArray[np.int64], rows: NDArray[np.int64] | None
) -> NDArray[Any]:
    """Predict rows of the pool, or the test set."""
    from labelnext.estimators.rows import take_rows

    X = parts.X_test if rows is None else take_rows(parts.X, rows)
    if isinstance(model, ColdStart):
        # All labels are of one class: nothing else can be said of any sample.
        return np.full(X.shape[0], parts.y[labelled[0]])
    return np.asarray(model.predict(X))


def _check_picks(
    picks: NDArray[Any], labelled: NDArray[np.int64], n_pool: int, batch_size: int, strategy: Any
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
