"""The contract of a strategy, as a function that users can call in their tests."""

from __future__ import annotations

import importlib
import inspect
import pickle
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

N, D = 40, 3


@dataclass(frozen=True)
class Asker:
    """Asks a strategy, with a classifier if it takes one."""

    strategy: Any
    clf: Any

    def make(self, missing_label: Any = np.nan, random_state: Any = 0) -> Any:
        """Return a copy of the strategy, seeded."""
        return clone(self.strategy).set_params(
            missing_label=missing_label, random_state=random_state
        )

    def takes(self, argument: str) -> bool:
        """Tell whether the strategy's `query` has an argument."""
        return argument in inspect.signature(self.strategy.query).parameters

    def ask(self, X: Any, y: Any, strategy: Any = None, **arguments: Any) -> Any:
        """Ask a copy of the strategy, or the one that is given."""
        if self.takes("clf"):
            arguments = {"clf": self.clf, **arguments}
        return (self.make() if strategy is None else strategy).query(X, y, **arguments)


def scattered(seed: int = 0) -> tuple[Any, Any]:
    """Samples without any two alike, a quarter of them labelled, of three classes."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(N, D))
    classes = (X[:, 0] > 0).astype(float) + (X[:, 1] > 0.5)
    y = np.where(np.arange(N) % 4 == 0, classes, np.nan)
    y[[0, 4, 8]] = [0.0, 1.0, 2.0]
    return X, y


def few_points(n_points: int) -> tuple[Any, Any]:
    """The same number of samples, at a few points only."""
    X, y = scattered()
    return X[:n_points].repeat(-(-N // n_points), axis=0)[:N], y


def pools() -> dict[str, tuple[Any, Any]]:
    """Return pools of all kinds by name."""
    X, y = scattered()
    one_class = np.where(np.isnan(y), np.nan, 1.0)
    return {
        "distinct samples": (X, y),
        "samples at six points": few_points(6),
        "samples at one point": few_points(1),
        "samples that are all 0": (np.zeros((N, D)), y),
        "no labels": (X, np.full(N, np.nan)),
        "labels of one class": (X, one_class),
        "no labels, at six points": (few_points(6)[0], np.full(N, np.nan)),
        "one candidate": (X, np.where(np.arange(N) == 7, np.nan, np.arange(N) % 3)),
        "two samples": (X[:2], np.full(2, np.nan)),
        "large numbers": (100 * X, y),
        "float32": (X.astype(np.float32), y),
        "integers": (np.round(3 * X).astype(np.int64), y),
    }


def missing_of(y: Any) -> Any:
    """Return the rows without a label."""
    return np.flatnonzero(np.isnan(y))


def _queries() -> Iterator[tuple[str, Any, Any, Any, Any]]:
    """Yield pools with candidates and what may be picked of their columns."""
    for name, (X, y) in pools().items():
        yield name, X, y, None, missing_of(y)
    X, y = scattered()
    yield "candidates by row", X, y, [21, 0, 5, 4, 9, 2], np.array([0, 2, 4, 5, 9, 21])
    yield "labelled candidates alone", X, y, [0, 4, 8, 12, 16], np.array([0, 4, 8, 12, 16])
    yield "samples as candidates", X, y, X[:7] + 0.1, np.arange(7)


def distinct_candidates(asker: Asker) -> None:
    """A batch holds distinct candidates."""
    for name, X, y, candidates, allowed in _queries():
        for k in {1, min(5, len(allowed)), len(allowed)}:
            picks = asker.ask(X, y, candidates=candidates, batch_size=k)
            assert isinstance(picks, np.ndarray), f"{name}: got a {type(picks).__name__}"
            assert picks.shape == (k,), f"{name}: of {k} picks, got shape {picks.shape}"
            assert picks.dtype == np.int64, f"{name}: indices are int64, got {picks.dtype}"
            assert len(set(picks.tolist())) == k, f"{name}: picks are repeated, {picks}"
            assert np.isin(picks, allowed).all(), f"{name}: picks that are no candidates, {picks}"


def utilities_fit(asker: Asker) -> None:
    """Utilities have a row a pick, NaN where nothing could be picked, and change no batch."""
    for name, X, y, candidates, allowed in _queries():
        k = min(5, len(allowed))
        arguments = {"candidates": candidates, "batch_size": k}
        picks, utilities = asker.ask(X, y, **arguments, return_utilities=True)
        n_columns = len(candidates) if np.ndim(candidates) == 2 else len(X)
        assert utilities.shape == (k, n_columns), (
            f"{name}: of shape {(k, n_columns)}, got {utilities.shape}"
        )
        assert utilities.dtype == np.float64, f"{name}: float64, got {utilities.dtype}"
        for t in range(k):
            there = np.flatnonzero(~np.isnan(utilities[t]))
            expected = np.setdiff1d(allowed, picks[:t])
            assert np.array_equal(there, expected), f"{name}: row {t} has values in columns {there}"
        without = asker.ask(X, y, **arguments)
        assert np.array_equal(without, picks), f"{name}: {picks} with utilities, else {without}"


def repeatable(asker: Asker) -> None:
    """The same seed gives the same batch, and a generator is not advanced."""
    X, y = scattered()
    for seed in (3, np.random.RandomState(3), np.random.default_rng(3)):
        strategy = asker.make(random_state=seed)
        first = asker.ask(X, y, strategy, batch_size=8)
        again = asker.ask(X, y, strategy, batch_size=8)
        assert np.array_equal(first, again), f"{seed!r}: {first}, then {again}"
    asker.ask(X, y, asker.make(random_state=None), batch_size=3)


def prefixes(asker: Asker) -> None:
    """The batch for a smaller size is the start of that for a larger one."""
    if not getattr(asker.strategy, "batches_are_prefixes", True):
        return
    for name, X, y, candidates, allowed in _queries():
        largest = asker.ask(X, y, candidates=candidates, batch_size=len(allowed))
        for k in {1, len(allowed) // 3, len(allowed) - 1} - {0}:
            batch = asker.ask(X, y, candidates=candidates, batch_size=k)
            assert np.array_equal(batch, largest[:k]), f"{name}: {batch}, but {largest[:k]}"


def only_the_set_of_rows_counts(asker: Asker) -> None:
    """Rows given as candidates count once, in any order, and as the samples that they hold."""
    X, y = scattered()
    rows = np.array([3, 7, 9, 11, 22, 23])
    expected = asker.ask(X, y, candidates=rows, batch_size=4)
    shuffled = asker.ask(X, y, candidates=[22, 9, 3, 11, 23, 7, 9, 3], batch_size=4)
    assert np.array_equal(shuffled, expected), f"in another order {shuffled}, else {expected}"
    by_sample = rows[asker.ask(X, y, candidates=X[rows], batch_size=4)]
    assert np.array_equal(by_sample, expected), f"as samples {by_sample}, as rows {expected}"


def larger_batches_are_cut(asker: Asker) -> None:
    """A batch larger than the candidates is cut to them, with a UserWarning."""
    X, y = scattered()
    for candidates, allowed in ((None, missing_of(y)), ([2, 5, 9], [2, 5, 9])):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            picks = asker.ask(X, y, candidates=candidates, batch_size=99)
        assert sorted(picks) == list(allowed), f"all {len(allowed)} are to be picked, got {picks}"
        kinds = [warning.category for warning in caught]
        assert UserWarning in kinds, f"no UserWarning was given, only {kinds}"


def check_query_strategy(strategy: Any, clf: Any = None) -> None:
    """
    Check that a query strategy keeps the contract that all strategies of `labelnext.pool` keep.

    It is an estimator like any other, and keeps no state. A query returns distinct candidates,
    the same ones for the same seed; its utilities are NaN where nothing could be picked, and
    asking for them does not change the batch. It takes samples, labels and candidates in all
    their forms (frames where pandas or polars is there), repeated points and no labels at all
    among them, changes none of its arguments, and refuses what is wrong. If it says
    ``batches_are_prefixes``, as it does unless its class says otherwise, the batch for a smaller
    size is the start of that for a larger one.

    Parameters
    ----------
    strategy : QueryStrategy
        The strategy, with any parameters. It is cloned, and its `missing_label` and
        `random_state` are set.
    clf : classifier, default=None
        What it is to ask, if its `query` has an argument `clf`; one that takes few samples,
        sparse ones and labels of any kind. None stands for a `LogisticRegression`.

    Raises
    ------
    AssertionError
        If the contract is broken. The message says which part of it.

    Examples
    --------
    >>> from labelnext.pool import RandomSampling
    >>> from labelnext.strategies import check_query_strategy
    >>> check_query_strategy(RandomSampling())

    One that picks the same sample twice is found out:

    >>> class Twice(RandomSampling):
    ...     def _choose(self, query):
    ...         picks, utilities = super()._choose(query)
    ...         return picks // 2, utilities
    >>> check_query_strategy(Twice())
    Traceback (most recent call last):
        ...
    AssertionError: Twice breaks the contract, a batch holds distinct candidates: ...
    """
    asker = Asker(strategy, LogisticRegression(max_iter=10_000) if clf is None else clf)
    for check in CHECKS:
        try:
            check(asker)
        except Exception as error:
            part = (check.__doc__ or "").strip().rstrip(".")
            part = part[:1].lower() + part[1:]
            raise AssertionError(
                f"{type(strategy).__name__} breaks the contract, {part}: "
                f"{type(error).__name__}: {error}"
            ) from error


def cloned(asker: Asker) -> None:
    """It can be cloned and printed, with the same parameters and the same batch."""
    X, y = scattered()
    strategy = asker.make(random_state=3)
    expected = asker.ask(X, y, strategy, batch_size=5).tolist()
    copy = clone(strategy)
    assert repr(copy) == repr(strategy), f"the clone is {copy!r}, not {strategy!r}"
    batch = asker.ask(X, y, copy, batch_size=5).tolist()
    assert batch == expected, f"the clone gives {batch}, the strategy itself {expected}"
    assert "random_state=3" in repr(strategy), f"the seed is not in {strategy!r}"


def stateless(asker: Asker) -> None:
    """A query leaves the strategy as it was."""
    X, y = scattered()
    strategy = asker.make()
    # Attributes alone: a class made in a session or a function cannot be pickled.
    before = pickle.dumps(vars(strategy))
    asker.ask(X, y, strategy, batch_size=5, return_utilities=True)
    assert pickle.dumps(vars(strategy)) == before, "its attributes have changed"


def _framed(frame: Any, X: Any) -> Any:
    return frame({f"x{column}": values for column, values in enumerate(X.T)})


def containers() -> dict[str, Callable[[Any], Any]]:
    """Return what may hold samples; frames where their library is there."""
    found: dict[str, Callable[[Any], Any]] = {
        "a list": np.ndarray.tolist,
        "an array by columns": np.asfortranarray,
        "an array with gaps": lambda X: np.repeat(X, 2, axis=1)[:, ::2],
    }
    for library in ("pandas", "polars"):
        with suppress(ImportError):
            frame = importlib.import_module(library).DataFrame
            found[f"a frame of {library}"] = partial(_framed, frame)
    return found


def samples_in_any_container(asker: Asker) -> None:
    """Samples may be lists, arrays of any layout or frames."""
    X, y = scattered()
    expected = asker.ask(X, y, batch_size=5)
    for name, container in containers().items():
        picks = asker.ask(container(X), y, batch_size=5)
        assert np.array_equal(picks, expected), f"{name} gives {picks}, an array {expected}"
        own = asker.ask(container(X), y, candidates=container(X[:6]), batch_size=6)
        assert sorted(own) == list(range(6)), f"{name} as candidates gives {own}"


def sparse_samples(asker: Asker) -> None:
    """Samples may be sparse."""
    X, y = scattered()
    X = np.where(X > 0, X, 0.0)
    for container in (sp.csr_array, sp.csr_matrix, sp.coo_array):
        picks = asker.ask(container(X), y, batch_size=5)
        assert len(set(picks)) == 5, f"{container.__name__} gives {picks}"
        assert np.isnan(y[picks]).all(), f"{container.__name__} gives labelled samples, {picks}"


def labels_of_any_kind(asker: Asker) -> None:
    """Labels may be numbers or words, missing ones NaN, None, a number or a word."""
    X, y = scattered()
    expected = asker.ask(X, y, batch_size=5)
    words = np.array(["a", "b", "c"])[np.nan_to_num(y).astype(int)]
    kinds = [
        (list(y), np.nan),
        (np.where(np.isnan(y), None, y), None),
        (np.where(np.isnan(y), -1, y).astype(int), -1),
        (np.where(np.isnan(y), None, words), None),
        (np.where(np.isnan(y), "?", words), "?"),
    ]
    for labels, missing_label in kinds:
        picks = asker.ask(X, labels, asker.make(missing_label=missing_label), batch_size=5)
        assert np.array_equal(picks, expected), (
            f"with missing_label={missing_label!r} {picks}, with NaN {expected}"
        )


def a_pipeline_that_is_not_fitted_yet(asker: Asker) -> None:
    """A classifier may be a pipeline, with labels or without."""
    if not asker.takes("clf"):
        return
    X, y = scattered()
    clf = make_pipeline(StandardScaler(), asker.clf)
    for labels in (y, np.full(len(y), np.nan), np.where(np.arange(len(y)) == 3, 1.0, np.nan)):
        picks = asker.ask(X, labels, clf=clf, batch_size=5)
        assert np.isnan(labels[picks]).all(), f"labelled samples were picked, {picks}"


def arguments_are_never_changed(asker: Asker) -> None:
    """Arguments are never changed, and may be read-only."""
    X, y = scattered()
    weights, candidates = np.ones(len(X)), missing_of(y)
    arrays = {"X": X, "y": y, "sample_weight": weights, "candidates": candidates}
    for array in arrays.values():
        array.flags.writeable = False
    given = {name: value for name, value in arrays.items() if asker.takes(name)}
    before = pickle.dumps((arrays, asker.clf))
    asker.ask(**given, batch_size=5, return_utilities=True)
    assert pickle.dumps((arrays, asker.clf)) == before, "an argument has changed"


def bad_input(asker: Asker) -> None:
    """Bad input is refused with a TypeError or a ValueError."""
    X, y = scattered()
    cases: list[dict[str, Any]] = [
        {"y": y[:-1]},
        {"y": np.c_[y, y]},
        {"y": np.zeros(len(y))},
        {"y": ["a", 1.0] * (len(y) // 2)},
        {"X": X[:, 0]},
        {"X": X[:0], "y": y[:0]},
        *({"batch_size": size} for size in (0, -1, 2.0, True, "3", None)),
        {"return_utilities": 1},
        *({"candidates": rows} for rows in ([], [len(X)], [-1], [1.0], [True] * len(X), 3)),
        {"candidates": X[:0]},
        {"candidates": X[:, :2]},
    ]
    for case in cases:
        _refuses(asker, {"X": X, "y": y, **case}, case)
    _refuses(asker, {"X": X, "y": y, "strategy": asker.make(random_state="x")}, "random_state='x'")
    _refuses(asker, {"X": X, "y": y, "strategy": asker.make(missing_label=[1])}, "missing_label")


def bad_classifiers(asker: Asker) -> None:
    """What is no classifier, or not fitted where it must be, is refused."""
    if not asker.takes("clf"):
        return
    X, y = scattered()
    cases: list[dict[str, Any]] = [
        {"clf": RidgeClassifier()},
        {"clf": type(asker.clf)},
        {"clf": clone(asker.clf), "fit_clf": False},
        {"fit_clf": "yes"},
        {"sample_weight": np.ones(len(X) - 1)},
    ]
    for case in cases:
        _refuses(asker, {"X": X, "y": y, **case}, case)


def _refuses(asker: Asker, arguments: dict[str, Any], what: Any) -> None:
    try:
        asker.ask(**arguments)
    except (TypeError, ValueError):
        return
    raise AssertionError(f"no error for {what}")


CHECKS: tuple[Callable[[Asker], None], ...] = (
    distinct_candidates,
    cloned,
    stateless,
    utilities_fit,
    repeatable,
    prefixes,
    only_the_set_of_rows_counts,
    larger_batches_are_cut,
    samples_in_any_container,
    sparse_samples,
    labels_of_any_kind,
    a_pipeline_that_is_not_fitted_yet,
    arguments_are_never_changed,
    bad_input,
    bad_classifiers,
)
