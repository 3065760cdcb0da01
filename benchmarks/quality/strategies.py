"""The strategies: all that labelnext.pool has, by the names of their classes."""

from __future__ import annotations

import inspect
import warnings
from typing import TYPE_CHECKING, Any

from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from labelnext import pool
from labelnext.estimators import ColdStart
from labelnext.estimators.predict import has_members
from labelnext.pool import Badge, RandomSampling, UncertaintySampling
from labelnext.strategies._bald import CommitteeQueryStrategy

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

MEMBERS = 5


class WithCommittee(BaseEstimator):  # type: ignore[misc]
    """A strategy that asks a committee, of a classifier that has none.

    A runner hands on the classifier that it has fitted. Here an MLP's committee are copies with
    other first weights; of other classifiers, copies that are fitted to labels drawn with
    replacement, as the strategy does by itself when it may fit.
    """

    def __init__(self, strategy: Any) -> None:
        self.strategy = strategy

    def query(
        self, X: Any, y: ArrayLike, clf: Any, fit_clf: bool = True, batch_size: int = 1
    ) -> Any:
        """Choose a batch."""
        fit = fit_clf or not (isinstance(clf, ColdStart) or has_members(clf))
        if fit and isinstance(clf, MLPClassifier):
            # As far apart as no two seeds of the runner.
            seeds = range(clf.random_state or 0, 2**32, 10**6)
            clf = [clone(clf).set_params(random_state=seed) for seed in seeds[:MEMBERS]]
        with warnings.catch_warnings():
            # As the runner does for the model itself: that a fit stopped early is no news.
            warnings.simplefilter("ignore", ConvergenceWarning)
            return self.strategy.query(X, y, clf, fit_clf=fit, batch_size=batch_size)


class Calibrated(BaseEstimator):  # type: ignore[misc]
    """A strategy that fits the classifier once more to calibrate it, which it must be told to."""

    def __init__(self, strategy: Any) -> None:
        self.strategy = strategy

    def query(
        self, X: Any, y: ArrayLike, clf: Any, fit_clf: bool = True, batch_size: int = 1
    ) -> Any:
        """Choose a batch."""
        fit = fit_clf or not isinstance(clf, ColdStart)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            return self.strategy.query(X, y, clf, fit_clf=fit, batch_size=batch_size)


def all_strategies() -> dict[str, Any]:
    """Return a strategy of each kind, BADGE first and the simple ones last."""
    kinds = {
        name: kind
        for name, kind in inspect.getmembers(pool, inspect.isclass)
        if issubclass(kind, pool.QueryStrategy)
        and not inspect.isabstract(kind)
        and kind not in (Badge, RandomSampling, UncertaintySampling)
    }
    found: dict[str, Any] = {
        "Badge": Badge(),
        "Badge (labelled as centres)": Badge(condition_on_labeled=True),
    }
    for name in sorted(kinds):
        kind = kinds[name]
        asks = issubclass(kind, CommitteeQueryStrategy)
        found[name] = WithCommittee(kind(n_members=MEMBERS)) if asks else kind()
    found["UncertaintyHerding"] = Calibrated(found["UncertaintyHerding"])
    return found | {
        "margin": UncertaintySampling(method="margin_sampling"),
        "entropy": UncertaintySampling(method="entropy"),
        "random": RandomSampling(),
    }
