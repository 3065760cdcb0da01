"""An experiment: what is compared, run by run, each round stored at once and read back."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from joblib import cpu_count
from numpy.typing import ArrayLike

from labelnext.datasets import DatasetNotFoundError
from labelnext.estimators.rows import as_samples
from labelnext.experiment._catalog import cut, find_data, find_model, find_strategy
from labelnext.experiment._records import Budget, Curves, Failure, Round, Setting
from labelnext.experiment._report import Results
from labelnext.experiment._simulate import check_size
from labelnext.experiment._store import Store, describe, fingerprint, key_of, versions
from labelnext.experiment._workers import Task, play, play_in_processes

Samples = Mapping[str, tuple[Any, Any]]


# What a setting takes: numbers of a kind, in words, and from where to where.
COUNT = (numbers.Integral, "a whole number from 1", 1, 2**62)
NUMBERS: dict[str, tuple[Any, str, float, float]] = {
    **dict.fromkeys(Budget._fields, COUNT),
    "number of seeds": (numbers.Integral, "from 1 to 100,000", 0, 100_000),
    "seeds": (numbers.Integral, "whole numbers from 0 to 2³² - 1", 0, 2**32 - 1),
    "test_size": (numbers.Real, "a share between 0 and 1", 1e-9, 1 - 1e-9),
    "levels": (numbers.Real, "accuracies from 0 to 1", 1e-9, 1),
}
TAKEN = ("setting", "accuracy", "beat")  # other columns of tables with one for each strategy


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
        Names, as `labelnext.select` takes them, or strategies by names of your own. The one to
        look at comes first.
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
    labelnext.experiment.read_experiment, compare : A TOML file; one setting, in one call.

    Examples
    --------
    >>> from labelnext.experiment import Budget, Experiment
    >>> budget = Budget(start=50, batch=20, rounds=2)
    >>> experiment = Experiment(
    ...     data="digits", models="naive-bayes", strategies="badge", budgets=budget, seeds=2
    ... )
    >>> (curves,) = experiment.run(n_jobs=1).curves().values()
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
        put(self, "budgets", tuple(Budget(*budget) for budget in budgets))
        for budget in self.budgets:
            for name, value in budget._asdict().items():
                _numbers(name, value)
        if len({budget[:2] for budget in self.budgets}) < len(self.budgets):
            raise ValueError(
                "budgets must differ in start or batch; of two that do not, one is enough."
            )
        seeds = self.seeds
        if isinstance(seeds, numbers.Integral):
            seeds = range(*_numbers("number of seeds", seeds))
        put(self, "seeds", tuple(map(int, _numbers("seeds", seeds))))
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds must be one or more, each once, got {list(self.seeds)[:9]}.")
        _numbers("test_size", self.test_size)
        put(self, "levels", _numbers("levels", self.levels))
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
        data = {name: _load(name, source, self) for name, source in self.data.items()}
        runs = self._plan(data)
        with Store(path) as store:
            _work(runs, data, store, n_jobs, progress or (lambda *_: None))
            return self._collect(runs, store)

    def settings(self) -> list[Setting]:
        """List what the strategies are compared in, in the order of the results."""
        return [
            Setting(data, model, budget.start, budget.batch)
            for data, model, budget in product(self.data, self.models, self.budgets)
        ]

    def _plan(self, data: Samples) -> list[_Planned]:
        """List all runs with their keys: one data set after the other, all strategies at a seed."""
        prints = {name: fingerprint(*samples) for name, samples in data.items()}
        strategies = {name: describe(item) for name, item in self.strategies.items()}
        models = {name: describe(item) for name, item in self.models.items()}
        used = versions()
        runs: list[_Planned] = []
        for name, model, budget, seed, strategy in product(
            data, models, self.budgets, self.seeds, strategies
        ):
            settings = {
                "data": prints[name],
                "model": models[model],
                "strategy": strategies[strategy],
                "seed": seed,
                "start": budget.start,
                "batch": budget.batch,
                "test_size": self.test_size,
                "versions": used,
            }
            task = Task(
                len(runs),
                name,
                self.strategies[strategy],
                self.models[model],
                seed,
                budget,
                self.test_size,
            )
            place = (Setting(name, model, budget.start, budget.batch), strategy, seed)
            runs.append(_Planned(place, key_of(settings), settings, task))
        return runs

    def _collect(self, runs: list[_Planned], store: Store) -> Results:
        """Read the results of all runs back."""
        history, failures = {}, []
        for place, key, _, task in runs:
            steps = store.rounds(key)[: task.budget.rounds + 1]
            if len(steps) > task.budget.rounds:
                # Of a run with more rounds, this one has a batch, which here is none.
                none = np.empty(0, np.int64)
                steps[-1] = replace(
                    steps[-1], picks=none, potential=float("nan"), select_seconds=0.0
                )
            history[place] = tuple(steps)
            failure = store.failure(key)
            if failure:
                failures.append(Failure(*place, *failure))
        budgets = list(self.budgets) * (len(self.data) * len(self.models))
        return Results(
            rounds=history,
            failures=tuple(failures),
            budgets=dict(zip(self.settings(), budgets, strict=True)),
            strategies=tuple(self.strategies),
            seeds=self.seeds,
            reference=self.measure,
            levels=tuple(self.levels),
        )


class _Planned(NamedTuple):
    """A run, by what its results are found under."""

    place: tuple[Setting, str, int]
    key: str
    settings: Any
    task: Task


def _work(
    runs: list[_Planned],
    data: Samples,
    store: Store,
    n_jobs: int | None,
    report: Callable[[int, int], None],
) -> None:
    """Run what has not been run, and store each round at once."""
    tasks: list[Task] = []
    places: list[int] = []
    for run in runs:
        # What a last round lacks is a batch: if more rounds are wanted, it is gone through again.
        done = [step.picks for step in store.rounds(run.key)]
        if len(done) > run.task.budget.rounds and not store.failure(run.key):
            places.append(run.task.budget.rounds + 1)
            continue
        kept = tuple(picks for picks in done if len(picks))[: run.task.budget.rounds]
        places.append(len(kept))
        tasks.append(replace(run.task, done=kept))
    total = sum(run.task.budget.rounds + 1 for run in runs)
    report(sum(places), total)
    begun: set[int] = set()
    n_jobs = min(n_jobs or cpu_count(), len(tasks))
    events: Iterator[tuple[Task, Any]] = (
        play_in_processes(tasks, data, n_jobs)
        if n_jobs > 1
        else ((task, message) for task in tasks for message in play(task, *data[task.data]))
    )
    for task, message in events:
        run, number = runs[task.number], task.number
        if number not in begun:
            begun.add(number)
            store.begin(run.key, run.settings)
        if isinstance(message, Round):
            store.add(run.key, places[number], message)
            places[number] += 1
        elif message.error:
            store.fail(run.key, places[number], message.error, message.details)
            places[number] = task.budget.rounds + 1  # as far as it will get
        else:
            continue
        report(sum(places), total)


def _load(name: str, source: Any, experiment: Experiment) -> tuple[Any, Any]:
    """Get samples and labels, and find out before the work what would fail in it."""
    try:
        if callable(source):
            source = source()
        X, y = (source.X, source.y) if hasattr(source, "X") else source
        X, y = as_samples(X), np.asarray(y)
        if y.shape != (X.shape[0],):
            raise ValueError(
                f"there must be one label for each sample, got {X.shape[0]} samples and labels of "
                f"shape {y.shape}"
            )
        _, pool, _ = cut(y, seed=0, test_size=experiment.test_size)
        for budget in experiment.budgets:
            check_size(len(pool), *budget)
    except DatasetNotFoundError:
        raise
    except Exception as error:  # whatever a function of the user's raises
        what = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
        raise ValueError(f"data set {name!r}: {what}{error}") from error
    return X, y


def _by_name(what: str, given: Any, find: Callable[[str], Any]) -> dict[str, Any]:
    """Turn a name, several names or a dict into a dict of what they stand for."""
    if not isinstance(given, Mapping):
        names = [given] if isinstance(given, str) else list(given)
        if not all(isinstance(name, str) for name in names):
            raise ValueError(
                f"{what} must be names, or a dict by names of your own, got {given!r}."
            )
        if len(set(names)) < len(names):
            raise ValueError(f"{what} must differ in name, got {', '.join(names)}.")
        given = dict(zip(names, names, strict=True))
    if not given:
        raise ValueError(f"{what} must hold at least one name, got none.")
    for name in given:
        if not (isinstance(name, str) and name.strip() and name.isprintable()):
            raise ValueError(f"{what} must have names that can be printed, got {name!r}.")
        if what == "strategies" and name in TAKEN:
            raise ValueError(
                f"{what} must not be called {name!r}: a table has that column already."
            )
    return {name: find(item) if isinstance(item, str) else item for name, item in given.items()}


def _numbers(name: str, given: Any) -> tuple[Any, ...]:
    """Return one or several numbers as a tuple, if each is what that setting takes."""
    kind, wanted, low, high = NUMBERS[name]
    several = isinstance(given, Iterable) and not isinstance(given, str | bytes | Mapping)
    values = tuple(given) if several else (given,)
    for value in values:
        if isinstance(value, bool) or not isinstance(value, kind) or not low <= value <= high:
            raise ValueError(f"{name} must be {wanted}, got {value!r}.")
    return values


def compare(
    strategies: Any,
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
    """Compare query strategies over the same seeds, in one setting of an `Experiment`.

    Parameters
    ----------
    strategies : str, sequence of str, or dict
        The strategies, as in `Experiment`.
    clf : scikit-learn classifier
        The model that is trained and asked.
    X, y : array-like
        Samples and labels, of which each seed makes another pool and test set.
    n_start, batch_size, n_batches : int
        How many labels there are at the start, how many a batch buys, and how many batches.
    seeds : iterable of int, default=range(20)
        The seeds.
    test_size : float, default=1/3
        The share of the test set.
    n_jobs, progress : int, callable
        As in `Experiment.run`.

    Returns
    -------
    Curves
        The learning curves.

    Raises
    ------
    RuntimeError
        If a strategy or the model fails.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.linear_model import LogisticRegression
    >>> from labelnext.experiment import compare
    >>> X, y = load_digits(return_X_y=True)
    >>> options = {"n_start": 20, "batch_size": 20, "n_batches": 2, "seeds": [0, 1], "n_jobs": 1}
    >>> curves = compare(["badge", "random"], LogisticRegression(), X / 16, y, **options)
    >>> curves.accuracy["badge"].shape
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
