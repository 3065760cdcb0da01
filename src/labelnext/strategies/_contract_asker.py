"""A strategy to be checked, and pools to ask it about."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import clone

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
