"""All that came out of an experiment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from labelnext.experiment import _pairwise
from labelnext.experiment._curves import Curves
from labelnext.experiment._stopping import StoppingAdvice, advise

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from labelnext.experiment._curves import Needed
    from labelnext.experiment._experiment import Budget, Setting
    from labelnext.experiment._pairwise import PairedTest, Penalties
    from labelnext.experiment._rounds import Round

COLUMNS = ("labels", "classes", "accuracy", "agreement", "potential", "fit_seconds")


class Failure(NamedTuple):
    """A run that did not get to its end.

    Parameters
    ----------
    setting : Setting
        What it was run in.
    strategy : str
        The strategy.
    seed : int
        The seed.
    round : int
        The round in which it failed, the first being 0.
    error : str
        What went wrong, in a line.
    details : str
        The traceback.
    """

    setting: Setting
    strategy: str
    seed: int
    round: int
    error: str
    details: str


@dataclass(frozen=True)
class Results:
    """Every round of every run of an experiment, and what can be read from them.

    `Experiment.run` returns it.

    Parameters
    ----------
    rounds : dict of (Setting, str, int) to tuple of Round
        The rounds by setting, strategy and seed.
    failures : tuple of Failure
        The runs that failed. Their rounds up to there are kept, but no mean or test uses them.
    budgets : dict of Setting to Budget
        How many labels were bought in each setting.
    strategies : tuple of str
        The names of the strategies.
    seeds : tuple of int
        The seeds.
    reference : str
        The strategy whose errors others are measured by.
    levels : tuple of float, default=()
        Accuracies of interest.

    Examples
    --------
    >>> from labelnext.experiment import Budget, Experiment
    >>> results = Experiment(
    ...     data="digits",
    ...     models="logistic",
    ...     strategies=["margin", "random"],
    ...     budgets=Budget(start=50, batch=50, rounds=1),
    ...     seeds=2,
    ... ).run(n_jobs=1)
    >>> frame = results.to_frame()
    >>> frame.groupby(["strategy", "labels"])["accuracy"].mean().round(3)
    strategy  labels
    margin    50        0.830
              100       0.912
    random    50        0.830
              100       0.886
    Name: accuracy, dtype: float64
    """

    rounds: Mapping[tuple[Setting, str, int], tuple[Round, ...]]
    failures: tuple[Failure, ...]
    budgets: Mapping[Setting, Budget]
    strategies: tuple[str, ...]
    seeds: tuple[int, ...]
    reference: str
    levels: tuple[float, ...] = ()

    def to_dict(self) -> dict[str, list[Any]]:
        """Return all rounds as columns, one entry for each round.

        Returns
        -------
        dict of str to list
            The columns data, model, start, batch, strategy, seed, round, labels, classes,
            accuracy, agreement, potential, fit_seconds and select_seconds; see `Round`.
        """
        rows = [
            (
                *setting,
                strategy,
                seed,
                place,
                *(getattr(step, name) for name in COLUMNS),
                # No batch is chosen in the last round: that is no choice in no time.
                step.select_seconds if len(step.picks) else float("nan"),
            )
            for (setting, strategy, seed), steps in self.rounds.items()
            for place, step in enumerate(steps)
        ]
        names = ("data", "model", "start", "batch", "strategy", "seed", "round", *COLUMNS)
        return {
            name: [row[column] for row in rows]
            for column, name in enumerate((*names, "select_seconds"))
        }

    def to_frame(self) -> Any:
        """Return all rounds as a tidy frame, one row for each round.

        Returns
        -------
        pandas.DataFrame
            The columns of `to_dict`.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        from labelnext.utils.extras import require

        pandas = require("pandas", extra="pandas", what="to_frame")
        return pandas.DataFrame(self.to_dict())

    def curves(self) -> dict[Setting, Curves]:
        """Return the learning curves of each setting.

        Returns
        -------
        dict of Setting to Curves
            The curves by setting; NaN where a run failed.
        """
        return {setting: self._curves_of(setting) for setting in self.budgets}

    def _curves_of(self, setting: Setting) -> Curves:
        budget = self.budgets[setting]
        n_points = budget.rounds + 1
        accuracy = {name: np.full((len(self.seeds), n_points), np.nan) for name in self.strategies}
        for row, seed in enumerate(self.seeds):
            for name in self.strategies:
                steps = self.rounds[setting, name, seed]
                accuracy[name][row, : len(steps)] = [step.accuracy for step in steps]
        labels = budget.start + budget.batch * np.arange(n_points)
        return Curves(labels, accuracy, self.seeds)

    def labels_needed(self, level: float) -> dict[Setting, dict[str, Needed]]:
        """Count the labels at which each strategy first measured at least an accuracy.

        Parameters
        ----------
        level : float
            The accuracy, from 0 to 1.

        Returns
        -------
        dict of Setting to dict of str to Needed
            Mean and interval by setting and strategy; see `Curves.labels_needed`.
        """
        return {setting: curve.labels_needed(level) for setting, curve in self.curves().items()}

    def paired_tests(self) -> list[PairedTest]:
        """Compare all pairs of strategies in all settings, seed by seed.

        Returns
        -------
        list of PairedTest
            Two-sided paired t-tests on the accuracy averaged over the curve, with p-values
            corrected for their number by Holm's method.
        """
        return _pairwise.paired_tests(self.curves())

    def penalties(self) -> Penalties:
        """Count how often one strategy beats another, as the BADGE paper does [1]_.

        In each setting, label counts that double (1, 2, 4, ... batches after the start) are
        compared, up to where the reference strategy is at 99 % of its final accuracy. At each, a
        strategy beats another if a two-sided paired t-test over the seeds says so with p < 0.05,
        which adds one over their number to the matrix: each setting counts alike.

        Returns
        -------
        Penalties
            The matrix, and the sums of its columns. The paper divides those by the number of
            strategies, which leaves their order as it is.

        References
        ----------
        .. [1] J. T. Ash et al., "Deep batch active learning by diverse, uncertain gradient lower
           bounds", ICLR 2020, section 4.
        """
        return _pairwise.penalties(self.curves(), self.strategies, self.reference)

    def normalized_errors(self) -> dict[str, NDArray[np.float64]]:
        """Divide mean errors by those of the reference strategy, as the BADGE paper does.

        Returns
        -------
        dict of str to ndarray
            For each strategy the sorted quotients, one for each label count that `penalties`
            compares: below 1 it did better than the reference.
        """
        return _pairwise.normalized_errors(self.curves(), self.strategies, self.reference)

    def stopping(self) -> list[StoppingAdvice]:
        """Say when each strategy could have stopped.

        Returns
        -------
        list of StoppingAdvice
            Two rules by setting and strategy. No run was stopped by them.
        """
        return [
            advice
            for setting in self.budgets
            for strategy in self.strategies
            for advice in advise(setting, strategy, self.complete(setting, strategy))
        ]

    def complete(self, setting: Setting, strategy: str) -> list[tuple[Round, ...]]:
        """Return the runs of a strategy that came to their end.

        Parameters
        ----------
        setting : Setting
            What they were run in.
        strategy : str
            The strategy.

        Returns
        -------
        list of tuple of Round
            The rounds of each, in the order of the seeds.
        """
        runs = (self.rounds[setting, strategy, seed] for seed in self.seeds)
        return [steps for steps in runs if len(steps) > self.budgets[setting].rounds]

    def select_seconds(self) -> dict[Setting, dict[str, float]]:
        """Return how long choosing a batch took.

        Returns
        -------
        dict of Setting to dict of str to float
            The median over all batches, in seconds on one core; NaN where none was chosen.
        """
        found = {}
        for setting in self.budgets:
            found[setting] = {
                strategy: _median(
                    step.select_seconds
                    for seed in self.seeds
                    for step in self.rounds[setting, strategy, seed]
                    if len(step.picks)
                )
                for strategy in self.strategies
            }
        return found

    def write_report(self, folder: str | Path) -> list[Path]:
        """Write the report: one HTML file that needs no network, tables and pictures.

        Parameters
        ----------
        folder : str or Path
            Where to; made if there is none. Files of an earlier report are replaced.

        Returns
        -------
        list of Path
            The files, ``report.html`` first.
        """
        from labelnext.experiment._report import write_report

        return write_report(self, folder)


def _median(values: Iterable[float]) -> float:
    found = list(values)
    return float(np.median(found)) if found else float("nan")
