"""Many runs in one setting, in one call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from labelnext.experiment._experiment import Experiment
from labelnext.experiment._records import Budget

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from numpy.typing import ArrayLike

    from labelnext.experiment._records import Curves


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
    choices differ. Runs are spread over processes of one thread each: a seed gives the same
    numbers whatever their number.

    Parameters
    ----------
    strategies : dict of str to str or query strategy
        The strategies, or their names as in `Experiment`, by the names that the results give them.
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
        Called at the start and after each round as ``progress(done, total)``, in rounds.

    Returns
    -------
    Curves
        The learning curves.

    Raises
    ------
    ValueError
        If there is no strategy or no seed, or the pool is smaller than what is to be labelled.
    RuntimeError
        If a strategy or the model fails.

    See Also
    --------
    Experiment : Several settings, kept in a file, going on after failures and breaks.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.linear_model import LogisticRegression
    >>> from labelnext.experiment import compare
    >>> X, y = load_digits(return_X_y=True)
    >>> results = compare(
    ...     {"badge": "badge", "random": "random"},
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
    experiment = Experiment(
        data={"data": (X, y)},
        models={"model": clf},
        strategies=strategies,
        budgets=Budget(n_start, batch_size, n_batches),
        seeds=tuple(seeds),
        test_size=test_size,
    )
    results = experiment.run(n_jobs=n_jobs, progress=progress)
    for failure in results.failures:
        raise RuntimeError(
            f"{failure.strategy!r} failed in round {failure.round} at seed {failure.seed}: "
            f"{failure.error}\n\n{failure.details}"
        )
    (curves,) = results.curves().values()
    return curves
