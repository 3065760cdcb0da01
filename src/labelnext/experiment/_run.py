"""Run what has not been run, store each round at once, and read everything back."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.model_selection import train_test_split
from threadpoolctl import threadpool_limits

from labelnext.experiment._describe import describe, fingerprint, key_of, versions
from labelnext.experiment._results import Failure, Results
from labelnext.experiment._rounds import Round
from labelnext.experiment._simulate import check_size
from labelnext.experiment._store import Store
from labelnext.experiment._task import Task, play
from labelnext.experiment._workers import play_in_processes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from labelnext.experiment._experiment import Experiment, Setting
    from labelnext.experiment._workers import Event


def run(
    experiment: Experiment,
    path: str | Path | None,
    *,
    n_jobs: int | None,
    progress: Callable[[int, int], None] | None,
) -> Results:
    """Run an experiment; see `Experiment.run`."""
    from joblib import cpu_count

    data = {name: _load(name, source) for name, source in experiment.data.items()}
    _check_sizes(experiment, data)
    runs = _list_runs(experiment, data)
    with Store(path) as store:
        tasks: list[Task] = []
        places: dict[int, int] = {}
        begun: set[int] = set()
        for number, (_, _, key, _, task) in enumerate(runs):
            # What a last round lacks is a batch: if more rounds are wanted, it is gone through
            # again.
            done = [step.picks for step in store.rounds(key)]
            finished = len(done) > task.rounds
            if finished and store.failure(key) is None:
                places[number] = task.rounds + 1
                continue
            kept = tuple(picks for picks in done if len(picks))[: task.rounds]
            places[number] = len(kept)
            tasks.append(replace(task, number=number, done=kept))
        total = sum(task.rounds + 1 for *_, task in runs)
        report = progress or (lambda *_: None)
        report(sum(places.values()), total)
        n_jobs = max(1, min(n_jobs or cpu_count(), len(tasks)))
        for task, message in _play(tasks, data, n_jobs):
            key, settings = runs[task.number][2:4]
            if task.number not in begun:
                begun.add(task.number)
                store.begin(key, settings)
            if isinstance(message, Round):
                store.add(key, places[task.number], message)
                places[task.number] += 1
            elif message.error:
                store.fail(key, places[task.number], message.error, message.details)
                places[task.number] = task.rounds + 1  # as far as it will get
            else:
                continue
            report(sum(places.values()), total)
        return _collect(experiment, runs, store)


Run = tuple["tuple[Setting, str, int]", int, str, Any, Task]


def _list_runs(experiment: Experiment, data: Mapping[str, tuple[Any, Any]]) -> list[Run]:
    """List all runs with their keys: one data set after the other, all strategies at a seed."""
    from labelnext.experiment._experiment import Setting

    prints = {name: fingerprint(*samples) for name, samples in data.items()}
    strategies = {name: describe(item) for name, item in experiment.strategies.items()}
    models = {name: describe(item) for name, item in experiment.models.items()}
    used = versions()
    return [
        (
            (Setting(name, model, budget.start, budget.batch), strategy, seed),
            budget.rounds,
            key_of(settings),
            settings,
            Task(
                0,
                name,
                experiment.strategies[strategy],
                experiment.models[model],
                seed,
                budget.start,
                budget.batch,
                budget.rounds,
                experiment.test_size,
            ),
        )
        for name in data
        for model in models
        for budget in experiment.budgets
        for seed in experiment.seeds
        for strategy in strategies
        for settings in (
            {
                "data": prints[name],
                "model": models[model],
                "strategy": strategies[strategy],
                "seed": seed,
                "start": budget.start,
                "batch": budget.batch,
                "test_size": experiment.test_size,
                "versions": used,
            },
        )
    ]


def _play(tasks: list[Task], data: Mapping[str, tuple[Any, Any]], n_jobs: int) -> Iterator[Event]:
    if n_jobs > 1:
        yield from play_in_processes(tasks, data, n_jobs)
        return
    for task in tasks:
        with threadpool_limits(1):
            for message in play(task, *data[task.data]):
                yield task, message


def _collect(experiment: Experiment, runs: list[Run], store: Store) -> Results:
    """Read the results of all runs back."""
    history, failures = {}, []
    for place, n_rounds, key, _, _ in runs:
        steps = store.rounds(key)[: n_rounds + 1]
        if len(steps) > n_rounds:
            # Of a run with more rounds, this one has a batch, which here is none.
            steps[-1] = replace(
                steps[-1], picks=np.empty(0, np.int64), potential=float("nan"), select_seconds=0.0
            )
        history[place] = tuple(steps)
        failure = store.failure(key)
        if failure is not None:
            failures.append(Failure(*place, *failure))
    return Results(
        rounds=history,
        failures=tuple(failures),
        budgets=dict(
            zip(
                experiment.settings(),
                list(experiment.budgets) * (len(experiment.data) * len(experiment.models)),
                strict=True,
            )
        ),
        strategies=tuple(experiment.strategies),
        seeds=experiment.seeds,
        reference=experiment.measure,
        levels=tuple(experiment.levels),
    )


def _load(name: str, source: Any) -> tuple[Any, Any]:
    if callable(source):
        source = source()
    X, y = (source.X, source.y) if hasattr(source, "X") else source
    from labelnext.estimators.rows import as_samples

    X, y = as_samples(X), np.asarray(y)
    if y.shape != (X.shape[0],):
        raise ValueError(
            f"data set {name!r} must have one label for each sample, got {X.shape[0]} samples and "
            f"labels of shape {y.shape}."
        )
    return X, y


def _check_sizes(experiment: Experiment, data: Mapping[str, tuple[Any, Any]]) -> None:
    """Find out before the work what would fail in it."""
    for name, (_, y) in data.items():
        try:
            pool, _ = train_test_split(
                np.arange(len(y)), test_size=experiment.test_size, random_state=0, stratify=y
            )
            for budget in experiment.budgets:
                check_size(len(pool), *budget)
        except ValueError as error:
            raise ValueError(f"data set {name!r}: {error}") from error
