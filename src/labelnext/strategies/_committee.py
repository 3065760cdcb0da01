"""What the query strategies share that ask a committee."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from labelnext.estimators import ColdStart, fit_on_labeled
from labelnext.estimators.predict import ask_committee, ask_members, has_members, proba_of
from labelnext.estimators.rows import take_rows
from labelnext.strategies._arguments import check_integer
from labelnext.strategies._base import QueryStrategy
from labelnext.utils import MISSING_LABEL
from labelnext.utils.labels import split_labels

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import ArrayLike, NDArray

    from labelnext.strategies._adapter import Fit


class CommitteeQueryStrategy(QueryStrategy):
    """Base of the query strategies that ask several members of a committee.

    Parameters
    ----------
    committee, n_members, missing_label, random_state
        As in `Bald`.
    """

    needs = ("members",)

    def __init__(
        self,
        committee: Callable[[Any, Any], ArrayLike] | None = None,
        n_members: int = 10,
        missing_label: Any = MISSING_LABEL,
        random_state: Any = None,
    ) -> None:
        super().__init__(missing_label=missing_label, random_state=random_state)
        self.committee = committee
        self.n_members = n_members

    def _check_parameters(self) -> None:
        if self.committee is not None and not callable(self.committee):
            raise TypeError(
                f"committee must be None or a function of (clf, X) that returns probabilities of "
                f"shape (n_members, n_samples, n_classes), got {self.committee!r}; classifiers "
                f"go to query, in a list, as clf."
            )
        check_integer("n_members", self.n_members, least=2)

    def _fitter(self, clf: Any, fit_clf: bool, sample_weight: ArrayLike | None) -> Fit | None:
        fitter = super()._fitter
        if isinstance(clf, list | tuple):
            if len(clf) < 2:
                raise ValueError(f"A committee needs two classifiers at least, got {len(clf)}.")
            fits: Any = [fitter(member, fit_clf, sample_weight) for member in clf]
            return lambda X, y: [fit(X, y) for fit in fits]
        fit_one = fitter(clf, fit_clf, sample_weight)
        if fit_one is None:
            return None

        def fit(X: Any, y: ArrayLike) -> Any:
            fitted = fit_one(X, y)
            if self.committee is not None or has_members(fitted):
                return fitted
            if not fit_clf:
                raise TypeError(
                    f"A fitted {type(clf).__name__} is of one opinion, and with fit_clf=False no "
                    f"others can be fitted: pass a list of fitted classifiers, an ensemble, a "
                    f"network with layers of dropout, or set committee to a function."
                )
            weights = None if sample_weight is None else np.asarray(sample_weight)
            return Bootstrap(clf, X, y, weights, self.missing_label)

        return fit

    def _opinions(
        self, clf: Any, X: Any, rng: np.random.Generator
    ) -> Iterator[NDArray[np.float64]]:
        """Yield the probabilities that each member gives to samples, shape (n, n_classes)."""
        shape = None
        for answer in self._ask(clf, X, rng):
            # To a member that knows one class, any other has probability 0.
            proba = np.pad(answer, ((0, 0), (0, 1))) if answer.shape[1] == 1 else answer
            if shape not in (None, proba.shape):
                raise ValueError(
                    f"All members of a committee must know the same classes, but one gives "
                    f"{shape[1] if shape else 0} probabilities and another {proba.shape[1]}."
                )
            shape = proba.shape
            yield proba

    def _ask(self, clf: Any, X: Any, rng: np.random.Generator) -> Iterator[NDArray[np.float64]]:
        if self.committee is not None and not isinstance(clf, ColdStart | list):
            yield from _check(self.committee(clf, X), X.shape[0])
        elif isinstance(clf, list):
            yield from ask_committee(clf, X)
        elif isinstance(clf, Bootstrap):
            yield from clf.ask(X, self.n_members, rng)
        else:
            yield from ask_members(clf, X, self.n_members, rng)


@dataclass(frozen=True)
class Bootstrap:
    """Copies of a classifier, each to be fitted to labels drawn with replacement."""

    clf: Any
    X: Any
    y: ArrayLike
    sample_weight: NDArray[Any] | None
    missing_label: Any

    def ask(
        self, X: Any, n_members: int, rng: np.random.Generator
    ) -> Iterator[NDArray[np.float64]]:
        """Yield the probabilities that each copy gives to samples."""
        labels, missing = split_labels(self.y, self.missing_label)
        known = np.flatnonzero(~missing).astype(np.int64)
        _, codes = np.unique(labels[known].astype(str), return_inverse=True)
        for _ in range(n_members):
            # Within each class, so that all copies know the same ones.
            rows = np.concatenate(
                [
                    known[:0],
                    *(rng.choice(known[codes == c], (codes == c).sum()) for c in set(codes)),
                ]
            )
            weights = None if self.sample_weight is None else self.sample_weight[rows]
            fitted = fit_on_labeled(
                self.clf, take_rows(self.X, rows), labels[rows], weights, self.missing_label
            )
            yield proba_of(fitted, X)


def _check(answer: ArrayLike, n_candidates: int) -> NDArray[np.float64]:
    samples = np.asarray(answer, dtype=np.float64)
    if samples.ndim != 3 or samples.shape[1] != n_candidates or len(samples) == 0:
        raise ValueError(
            f"committee must return probabilities of shape (n_members, {n_candidates}, "
            f"n_classes), got shape {samples.shape}."
        )
    # A NaN fails both.
    if not ((samples >= 0).all() and (np.abs(samples.sum(axis=2) - 1) < 5e-3).all()):
        raise ValueError("committee must return probabilities that sum to 1 over the last axis.")
    return samples
