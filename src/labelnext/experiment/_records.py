"""What an experiment is made of and what comes out of it, as plain records."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from labelnext.utils.interval import first_reached, mean_interval

Columns = dict[str, list[Any]]


class Budget(NamedTuple):
    """How many labels are bought, and in what steps.

    Parameters
    ----------
    start, batch, rounds : int
        How many labels there are at the start, how many a batch buys, and how many batches.

    Examples
    --------
    >>> from labelnext.experiment import Budget
    >>> Budget(start=25, batch=25, rounds=19).total
    500
    """

    start: int
    batch: int
    rounds: int

    @property
    def total(self) -> int:
        """How many labels there are in the end."""
        return self.start + self.batch * self.rounds

    @property
    def labels(self) -> NDArray[np.int64]:
        """How many labels there are in each round."""
        return self.start + self.batch * np.arange(self.rounds + 1, dtype=np.int64)


class Setting(NamedTuple):
    """What the strategies are compared in: all but strategy and seed.

    Parameters
    ----------
    data, model : str
        The names of the data set and of the model.
    start, batch : int
        How many labels there are at the start, and how many a batch buys.

    Examples
    --------
    >>> from labelnext.experiment import Setting
    >>> print(Setting("digits", "mlp", 25, 25))
    digits, mlp, batches of 25 from 25
    """

    data: str
    model: str
    start: int
    batch: int

    def __str__(self) -> str:
        return f"{self.data}, {self.model}, batches of {self.batch} from {self.start}"


@dataclass(frozen=True)
class Round:
    """What came out of one round: a model measured, and a batch chosen with it.

    Parameters
    ----------
    labels, classes : int
        How many labels the model had, and of how many classes.
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


class Failure(NamedTuple):
    """A run that did not get to its end.

    Parameters
    ----------
    setting, strategy, seed : Setting, str, int
        What was run.
    round : int
        The round in which it failed, the first being 0.
    error, details : str
        What went wrong, in a line, and the traceback.
    """

    setting: Setting
    strategy: str
    seed: int
    round: int
    error: str
    details: str


class Needed(NamedTuple):
    """How many labels a strategy needed to reach an accuracy.

    Parameters
    ----------
    mean : float
        The mean over the seeds. A seed that never reached it counts with the labels it had in
        the end, so that the mean is then a lower bound; leaving it out would flatter.
    half : float
        Half the width of the 95 % interval of the mean; NaN if `mean` is a lower bound.
    reached, n_seeds : int
        How many seeds reached it, of how many.

    Examples
    --------
    >>> from labelnext.experiment import Needed
    >>> print(Needed(152.5, 8.25, 20, 20))
    152 ± 8
    >>> print(Needed(361.25, float("nan"), 17, 20))
    over 361 (17 of 20 reached it)
    """

    mean: float
    half: float
    reached: int
    n_seeds: int

    def __str__(self) -> str:
        if self.n_seeds == 0:
            return "none came to its end"
        if self.reached < self.n_seeds:
            return f"over {self.mean:.0f} ({self.reached} of {self.n_seeds} reached it)"
        if self.n_seeds == 1:
            return f"{self.mean:.0f}"
        return f"{self.mean:.0f} ± {self.half:.0f}"


@dataclass(frozen=True)
class Curves:
    """Learning curves by strategy and seed.

    Parameters
    ----------
    labels : ndarray of shape (n_points,), int64
        How many labels the model had at each point of the curves.
    accuracy : dict of str to ndarray of shape (n_seeds, n_points), float64
        The accuracies by strategy; NaN from where a run failed. Such a run is left out of what
        is counted.
    seeds : tuple of int
        The seeds, in the order of the rows.

    Examples
    --------
    >>> import numpy as np
    >>> from labelnext.experiment import Curves
    >>> accuracy = np.array([[0.8, 0.9, 0.95], [0.7, 0.8, 0.9]])
    >>> curves = Curves(np.array([10, 20, 30]), {"badge": accuracy}, seeds=(0, 1))
    >>> curves.labels_needed(0.9)["badge"].mean
    25.0
    """

    labels: NDArray[np.int64]
    accuracy: Mapping[str, NDArray[np.float64]]
    seeds: tuple[int, ...]

    def labels_needed(self, level: float) -> dict[str, Needed]:
        """Count the labels at which each strategy first measured at least an accuracy.

        Parameters
        ----------
        level : float
            The accuracy, from 0 to 1.

        Returns
        -------
        dict of str to Needed
            Mean and interval by strategy. Counts are those of measured points, nothing is
            interpolated, so they are multiples of the batch size.
        """
        needed = {}
        for strategy, curves in self.accuracy.items():
            counts, reached = first_reached(self.labels, curves, level)
            if not len(counts):
                needed[strategy] = Needed(float("nan"), float("nan"), 0, 0)
                continue
            mean, half = map(float, mean_interval(counts))
            half = half if reached.all() else float("nan")
            needed[strategy] = Needed(mean, half, int(reached.sum()), len(counts))
        return needed

    def to_dict(self) -> Columns:
        """Return the points of all curves as columns: strategy, seed, labels, accuracy."""
        rows = (
            (strategy, seed, int(count), float(value))
            for strategy, accuracy in self.accuracy.items()
            for seed, curve in zip(self.seeds, accuracy, strict=True)
            for count, value in zip(self.labels, curve, strict=True)
        )
        return as_columns(("strategy", "seed", "labels", "accuracy"), rows)


class PairedTest(NamedTuple):
    """Two strategies in one setting, compared seed by seed.

    Parameters
    ----------
    setting : Setting
        What they were run in.
    first, second : str
        The strategies.
    difference, half : float
        The mean over the seeds by which the accuracy of the first, averaged over its curve, is
        above that of the second, and half the width of its 95 % interval.
    p, p_holm : float
        The p-value of a two-sided paired t-test, and the same corrected for all tests of the
        experiment by Holm's method.
    n_seeds : int
        At how many seeds both came to the end.
    """

    setting: Setting
    first: str
    second: str
    difference: float
    half: float
    p: float
    p_holm: float
    n_seeds: int


class Penalties(NamedTuple):
    """The pairwise penalty matrix of the BADGE paper.

    Parameters
    ----------
    strategies : tuple of str
        What rows and columns stand for.
    matrix : ndarray of shape (n_strategies, n_strategies), float64
        In row i and column j, how often strategy i beat strategy j: the share of the compared
        label counts of a setting, summed over the settings.
    n_settings : int
        How many settings there were: the most that an entry can be.
    totals : ndarray of shape (n_strategies,), float64
        The sums of the columns, how often a strategy was beaten: the smaller the better.
    """

    strategies: tuple[str, ...]
    matrix: NDArray[np.float64]
    n_settings: int
    totals: NDArray[np.float64]


def whole(curves: Curves, strategy: str) -> NDArray[np.float64]:
    """Return the curves of a strategy that came to their end, in the order of the seeds."""
    values = curves.accuracy[strategy]
    return values[np.isfinite(values).all(axis=1)]


def as_columns(names: Iterable[str], rows: Iterable[Iterable[Any]]) -> Columns:
    """Turn rows into columns by name."""
    lists = [list(row) for row in rows]
    return {name: [row[place] for row in lists] for place, name in enumerate(names)}
