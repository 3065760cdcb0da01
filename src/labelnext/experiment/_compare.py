"""Many runs: every strategy at every seed, on all cores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from threadpoolctl import threadpool_limits

from labelnext.experiment._curves import Curves
from labelnext.experiment._simulate import simulate
from labelnext.experiment._split import split

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from numpy.typing import ArrayLike, NDArray


def compare(
    strategies: Mapping[str, Any],
    clf: Any,
    X: ArrayLike,
    y: ArrayLike,
    *,
    n_start: int,
    batch_size: int,
    n_batches: int,
    seeds: Iterable[int] = range(20),
    test_size: float = 1 / 3,
    n_jobs: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Curves:
    """Compare query strategies over the same seeds.

    At a seed all strategies have the same pool, test set, start and model, so that only their
    choices differ. Runs are spread over processes of one BLAS thread each: a seed gives the
    same numbers whatever their number.

    Parameters
    ----------
    strategies : dict of str to query strategy
        The strategies by the names that the results give them.
    clf : scikit-learn classifier
        The model that is trained and asked.
    X : array-like of shape (n_samples, n_features)
        Samples, of which each seed makes another pool and test set.
    y : array-like of shape (n_samples,)
        Their labels.
    n_start : int
        How many labels there are at the start.
    batch_size : int
        How many labels a batch buys.
    n_batches : int
        How many batches.
    seeds : iterable of int, default=range(20)
        The seeds.
    test_size : float, default=1/3
        The share of the test set.
    n_jobs : int, default=None
        How many processes; by default one for each core that may be used. With 1 all is run in
        this one.
    progress : callable, default=None
        Called after each run as ``progress(done, total)``.

    Returns
    -------
    Curves
        The learning curves.

    Raises
    ------
    ValueError
        If there is no strategy or no seed, or the pool is smaller than what is to be labelled.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.linear_model import LogisticRegression
    >>> from labelnext.experiment import compare
    >>> from labelnext.pool import Badge, RandomSampling
    >>> X, y = load_digits(return_X_y=True)
    >>> results = compare(
    ...     {"badge": Badge(), "random": RandomSampling()},
    ...     LogisticRegression(),
    ...     X / 16,
    ...     y,
    ...     n_start=20,
    ...     batch_size=20,
    ...     n_batches=2,
    ...     seeds=range(2),
    ...     n_jobs=1,
    ... )
    >>> results.labels
    array([20, 40, 60])
    >>> results.accuracy["badge"].shape
    (2, 3)
    """
    from joblib import Parallel, cpu_count, delayed

    seeds = tuple(seeds)
    if not strategies or not seeds:
        raise ValueError("compare needs at least one strategy and one seed.")
    y = np.asarray(y)
    options = {
        "clf": clf,
        "X": X,
        "y": y,
        "n_start": n_start,
        "batch_size": batch_size,
        "n_batches": n_batches,
        "test_size": test_size,
    }
    tasks = [(name, place) for place in range(len(seeds)) for name in strategies]
    parallel = Parallel(
        n_jobs=min(n_jobs or cpu_count(), len(tasks)), return_as="generator_unordered"
    )
    accuracy: dict[str, NDArray[np.float64]] = {
        name: np.empty((len(seeds), n_batches + 1)) for name in strategies
    }
    runs = parallel(
        delayed(_run)(name, place, strategy=strategies[name], seed=seeds[place], **options)
        for name, place in tasks
    )
    labels = n_start + batch_size * np.arange(n_batches + 1)
    for done, (name, place, curve) in enumerate(runs, start=1):
        accuracy[name][place] = curve
        if progress is not None:
            progress(done, len(tasks))
    return Curves(labels, accuracy, seeds)


def _run(
    name: str,
    place: int,
    *,
    strategy: Any,
    clf: Any,
    X: NDArray[Any],
    y: NDArray[Any],
    seed: int,
    n_start: int,
    batch_size: int,
    n_batches: int,
    test_size: float,
) -> tuple[str, int, NDArray[np.float64]]:
    with threadpool_limits(limits=1):
        parts = split(X, y, seed=seed, n_start=n_start, test_size=test_size)
        run = simulate(strategy, clf, parts, batch_size=batch_size, n_batches=n_batches)
    return name, place, run.accuracy
