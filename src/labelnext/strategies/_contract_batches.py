"""The contract of a strategy: who asks it, about which pools, and what a batch must be."""

from __future__ import annotations

import inspect
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import clone

if TYPE_CHECKING:
    from collections.abc import Iterator

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


BATCH_CHECKS = (
    distinct_candidates,
    utilities_fit,
    repeatable,
    prefixes,
    only_the_set_of_rows_counts,
    larger_batches_are_cut,
)
