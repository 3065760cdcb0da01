"""What is to be compared: data sets × models × strategies × seeds × budgets."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from labelnext.experiment._catalog import find_data, find_model, find_strategy

if TYPE_CHECKING:
    from pathlib import Path

    from labelnext.experiment._results import Results


class Budget(NamedTuple):
    """How many labels are bought, and in what steps.

    Parameters
    ----------
    start : int
        How many labels there are at the start.
    batch : int
        How many labels a batch buys.
    rounds : int
        How many batches.

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


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """A comparison of query strategies: every strategy in every setting at every seed.

    At a seed, all strategies have the same pool, test set, start and model, so that only their
    choices differ. They get the labels that were bought and no others.

    Parameters
    ----------
    data : str, sequence of str, or dict
        Names ("digits", "letter", "satellite", "shuttle", "fashion-mnist", "newsgroups"), or
        samples and labels ``(X, y)``, a `labelnext.datasets.Dataset` or a function that returns
        samples and labels, by names of your own.
    models : str, sequence of str, or dict
        Names ("logistic", "mlp", "forest", "naive-bayes", "neighbours"), or classifiers by names
        of your own.
    strategies : str, sequence of str, or dict
        Names (any strategy of `labelnext.pool`, "random", "margin", "entropy",
        "least-confident"), or strategies by names of your own. The one to look at comes first.
    budgets : Budget or sequence of Budget
        How many labels, in what steps.
    seeds : int or sequence of int, default=10
        The seeds, or how many.
    test_size : float, default=1/3
        The share of the test set.
    levels : sequence of float, default=()
        Accuracies for which the report counts the labels needed.
    reference : str, default=None
        The strategy whose errors others are measured by; "random" if there is one, else the last.

    Raises
    ------
    ValueError
        If a name is not known (the error offers one that is near), or a number makes no sense.

    See Also
    --------
    labelnext.experiment.read_experiment : The same from a TOML file.
    compare : One setting, in one call.

    Examples
    --------
    >>> from labelnext.experiment import Budget, Experiment
    >>> experiment = Experiment(
    ...     data="digits",
    ...     models="naive-bayes",
    ...     strategies=["badge", "random"],
    ...     budgets=Budget(start=50, batch=20, rounds=2),
    ...     seeds=2,
    ... )
    >>> results = experiment.run(n_jobs=1)
    >>> (curves,) = results.curves().values()
    >>> curves.labels
    array([50, 70, 90])
    """

    data: Any
    models: Any
    strategies: Any
    budgets: Any
    seeds: Any = 10
    test_size: float = 1 / 3
    levels: Sequence[float] = ()
    reference: str | None = None

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "data", _by_name("data", self.data, find_data))
        put(self, "models", _by_name("models", self.models, find_model))
        put(self, "strategies", _by_name("strategies", self.strategies, find_strategy))
        budgets = (self.budgets,) if isinstance(self.budgets, Budget) else tuple(self.budgets)
        if not budgets:
            raise ValueError("budgets must hold at least one Budget, got none.")
        put(self, "budgets", tuple(_check_budget(budget) for budget in budgets))
        seeds = range(self.seeds) if isinstance(self.seeds, numbers.Integral) else self.seeds
        put(self, "seeds", _check_seeds(tuple(seeds)))
        if not 0 < self.test_size < 1:
            raise ValueError(f"test_size must be a share between 0 and 1, got {self.test_size}.")
        for level in self.levels:
            if not 0 < level <= 1:
                raise ValueError(f"levels must be accuracies from 0 to 1, got {level}.")
        put(self, "levels", tuple(self.levels))
        for name, strategy in self.strategies.items():
            if not hasattr(strategy, "query"):
                raise ValueError(f"strategy {name!r} has no method query, got {strategy!r}.")
        for name, model in self.models.items():
            if not (hasattr(model, "fit") and hasattr(model, "predict")):
                raise ValueError(f"model {name!r} must have fit and predict, got {model!r}.")
        if self.reference not in (None, *self.strategies):
            raise ValueError(
                f"reference must be one of {', '.join(self.strategies)}, got {self.reference!r}."
            )

    @property
    def measure(self) -> str:
        """The strategy whose errors others are measured by."""
        names = tuple(self.strategies)
        return self.reference or ("random" if "random" in names else names[-1])

    def run(
        self,
        path: str | Path | None = None,
        *,
        n_jobs: int | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Results:
        """Run all that has not been run yet, and return everything.

        Every finished round is written to `path` at once. Stopped at any moment, even by force,
        the next call goes on from there, and the results are those of a run without a break.
        A run is known by its settings: data, model and strategy with all parameters, seed,
        start, batch size, test set and the versions of the libraries. Other settings are other
        runs; more rounds, seeds or strategies are added to what is there. Runs that failed are
        tried again.

        Parameters
        ----------
        path : str or Path, default=None
            The results file (SQLite), made if there is none; None keeps results in memory.
        n_jobs : int, default=None
            How many processes, one thread each; by default one for each core that may be used.
            With 1 all is run in this one. Their number does not change the numbers.
        progress : callable, default=None
            Called at the start and after each round as ``progress(done, total)``, in rounds.

        Returns
        -------
        Results
            Every round of every run, and what failed.

        Raises
        ------
        ResultsFileError
            If the file is damaged, not one of ours, or in use by another process.
        ValueError
            If a pool is smaller than what is to be labelled.
        """
        from labelnext.experiment._run import run

        return run(self, path, n_jobs=n_jobs, progress=progress)

    def settings(self) -> list[Setting]:
        """List what the strategies are compared in, in the order of the results."""
        return [
            Setting(data, model, budget.start, budget.batch)
            for data in self.data
            for model in self.models
            for budget in self.budgets
        ]


def _by_name(what: str, given: Any, find: Callable[[str], Any]) -> dict[str, Any]:
    """Turn a name, several names or a dict into a dict of what they stand for."""
    if isinstance(given, str):
        given = [given]
    if not isinstance(given, Mapping):
        names = list(given)
        if not all(isinstance(name, str) for name in names):
            raise ValueError(
                f"{what} must be names, or a dict by names of your own, got {given!r}."
            )
        if len(set(names)) < len(names):
            raise ValueError(f"{what} must differ in name, got {', '.join(names)}.")
        given = dict(zip(names, names, strict=True))
    if not given:
        raise ValueError(f"{what} must hold at least one name, got none.")
    return {name: find(item) if isinstance(item, str) else item for name, item in given.items()}


def _check_budget(budget: Any) -> Budget:
    checked = Budget(*budget)
    for name, value in checked._asdict().items():
        if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < 1:
            raise ValueError(f"{name} must be a whole number from 1, got {value!r}.")
    return checked


def _check_seeds(seeds: tuple[Any, ...]) -> tuple[int, ...]:
    for seed in seeds:
        if (
            isinstance(seed, bool)
            or not isinstance(seed, int | np.integer)
            or not 0 <= seed < 2**32
        ):
            raise ValueError(f"seeds must be whole numbers from 0 to 2³² - 1, got {seed!r}.")
    if not seeds or len(set(seeds)) < len(seeds):
        raise ValueError(f"seeds must be one or more, each once, got {list(seeds)}.")
    return tuple(int(seed) for seed in seeds)
