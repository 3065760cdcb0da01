"""What small pools cost: a query beside others' and beside what the classifier itself takes."""

from __future__ import annotations

import time
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.linear_model import LogisticRegression

import labelnext
from benchmarks.competitors import factored
from benchmarks.pools import load_pool
from labelnext.classifier import ParzenWindowClassifier, SklearnClassifier
from labelnext.pool import Badge

if TYPE_CHECKING:
    from collections.abc import Callable

    Calls = dict[str, Callable[[int], Any]]

K = 4


def measure(rounds: int) -> dict[str, float]:
    """Return the least CPU seconds of each call; they alternate, so that all meet the same load."""
    calls = _calls()
    best = dict.fromkeys(calls, np.inf)
    for seed in range(rounds):
        for name, call in calls.items():
            for _ in range(20):
                start = time.process_time()
                call(seed)
                best[name] = min(best[name], time.process_time() - start)
    return best


def _calls() -> Calls:
    pool = load_pool("tiny")
    opened = labelnext.Pool(pool.proba, pool.features)
    X = np.asarray(pool.features[:300], dtype=np.float64)
    y_true = np.asarray(pool.proba[:300]).argmax(axis=1)
    y = np.where(np.arange(300) % 15 == 0, y_true, np.nan)
    known = ~np.isnan(y)
    bare = LogisticRegression().fit(X[known], y[known])
    parzen = ParzenWindowClassifier(classes=[0, 1]).fit(X, y)
    wrapped = SklearnClassifier(LogisticRegression(), classes=[0, 1]).fit(X, y)

    def query(clf: Any) -> Callable[[int], Any]:
        return lambda seed: Badge(random_state=seed).query(X, y, clf, fit_clf=False, batch_size=K)

    return {
        "select(proba, features, 4) of 400": lambda seed: labelnext.select(
            pool.proba, pool.features, K, random_state=seed
        ),
        "select(pool, 4), read before": lambda seed: labelnext.select(opened, K, random_state=seed),
        "a plain loop in NumPy": lambda seed: factored(pool.proba, pool.features, K, seed),
        "Badge.query, LogisticRegression": query(bare),
        "its predict_proba alone": lambda seed: bare.predict_proba(X),
        "Badge.query, ParzenWindowClassifier": query(parzen),
        "predict_proba of it": lambda seed: parzen.predict_proba(X),
        "SklearnClassifier.fit": lambda seed: wrapped.fit(X, y),
        "LogisticRegression.fit": lambda seed: bare.fit(X[known], y[known]),
        "SklearnClassifier.predict_proba": lambda seed: wrapped.predict_proba(X),
        **_theirs(X, y),
    }


def _theirs(X: np.ndarray, y: np.ndarray) -> Calls:
    """Return the same of scikit-activeml, where it is installed."""
    try:
        from skactiveml import classifier
        from skactiveml import pool as strategies
    except ImportError:
        return {}

    def query(clf: Any) -> Callable[[int], Any]:
        def call(seed: int) -> Any:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                strategy = strategies.Badge(random_state=seed)
                return strategy.query(X=X, y=y, clf=clf, fit_clf=False, batch_size=K)

        return call

    wrapped = classifier.SklearnClassifier(LogisticRegression(), classes=[0, 1]).fit(X, y)
    parzen = classifier.ParzenWindowClassifier(classes=[0, 1]).fit(X, y)
    return {
        "scikit-activeml's query, LogisticRegression": query(wrapped),
        "scikit-activeml's query, ParzenWindowClassifier": query(parzen),
    }
