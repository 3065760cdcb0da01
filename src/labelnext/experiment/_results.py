"""All that came out of an experiment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from labelnext.experiment._curves import Curves

if TYPE_CHECKING:
    from collections.abc import Mapping

    from labelnext.experiment._experiment import Budget, Setting
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
    ...     models="naive-bayes",
    ...     strategies=["margin", "random"],
    ...     budgets=Budget(start=50, batch=50, rounds=1),
    ...     seeds=2,
    ... ).run(n_jobs=1)
    >>> frame = results.to_frame()
    >>> frame.groupby(["strategy", "labels"])["accuracy"].mean().round(3)
    strategy  labels
    margin    50        0.702
              100       0.721
    random    50        0.702
              100       0.774
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
            data, model, start, batch, strategy, seed, round, labels, classes, accuracy,
            agreement, potential, fit_seconds and select_seconds; see `Round`.
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
        from labelnext.utils._extras import require

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
