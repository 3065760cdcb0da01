"""Checks that what is wrong is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import clone
from sklearn.linear_model import RidgeClassifier

from labelnext.strategies._contract_asker import scattered

if TYPE_CHECKING:
    from labelnext.strategies._contract_asker import Asker


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


CHECKS = (bad_input, bad_classifiers)
