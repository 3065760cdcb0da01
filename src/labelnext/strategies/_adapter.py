"""From (X, y, clf) to a pool: what a strategy needs, asked of a classifier."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.exceptions import NotFittedError

from labelnext.estimators import ColdStart, fit_on_labeled, proba_and_features, proba_of
from labelnext.estimators.models import final_step, is_fitted, is_module
from labelnext.estimators.predict import has_members, last_step, refuse_without_proba
from labelnext.estimators.rows import as_numbers, as_samples, check_weights, stack_rows, take_rows
from labelnext.pools import Pool
from labelnext.sampling import Groups
from labelnext.strategies._query import Query
from labelnext.utils.given import (
    check_flag,
    refuse_masked,
    refuse_masked_rows,
    refuse_other_order,
    shown,
)
from labelnext.utils.labels import split_labels

Fit = Callable[[Any, Any], Any]


@dataclass(frozen=True)
class Asked:
    """The arguments of a query that do not depend on the candidates, checked.

    `missing` says which labels are missing, `fit` returns a fitted copy of the classifier (or the
    one that is to be used as it is), and `features` are the caller's own.
    """

    X: Any
    labels: NDArray[Any]
    missing: NDArray[np.bool_]
    missing_label: Any
    fit: Fit | None
    features: Any

    @classmethod
    def of(
        cls, X: Any, y: ArrayLike, *, missing_label: Any, fit: Fit | None, features: Any
    ) -> Asked:
        """Check samples and labels."""
        refuse_other_order(X=X, y=y, features=features)
        X = as_samples(X)
        labels, missing = split_labels(y, missing_label)
        if missing.ndim != 1:
            raise ValueError(
                f"y must have one label for each sample, got shape {missing.shape}; "
                f"labelnext.utils.majority_vote makes one label of those of several people, and "
                f"np.ravel one dimension of a single column."
            )
        if len(missing) != X.shape[0]:
            raise ValueError(
                f"X and y must have the same length, got {X.shape[0]} samples and {len(missing)} "
                f"labels; mark labels that are missing with missing_label={missing_label!r}."
            )
        if features is not None:
            features = as_numbers(as_samples(features, "features"))
            if features.shape[0] != X.shape[0]:
                raise ValueError(
                    f"features must have one row for each sample of X, {X.shape[0]}, got "
                    f"{features.shape[0]}."
                )
        return cls(X, labels, missing, missing_label, fit, features)

    @property
    def unlabelled(self) -> NDArray[np.int64]:
        """The rows without a label."""
        return np.flatnonzero(self.missing).astype(np.int64)

    @property
    def labeled(self) -> NDArray[np.int64]:
        """The rows with one."""
        return np.flatnonzero(~self.missing).astype(np.int64)

    def without(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Return the labels, as if those of some rows were missing."""
        if self.missing.any():
            y, missing = self.labels.copy(), self.labels[np.argmax(self.missing)]
        else:  # an array of labels alone might not hold what stands for none
            y, missing = self.labels.astype(object), self.missing_label
        y[rows] = missing
        return y


@dataclass(frozen=True)
class FittedModel:
    """The classifier behind a pool; see `labelnext.strategies._query.Model`."""

    strategy: Any
    asked: Asked
    clf: Any
    found: Candidates

    @property
    def is_cold(self) -> bool:
        return isinstance(self.clf, ColdStart)

    def members(self, rng: np.random.Generator) -> Iterable[NDArray[np.float64]]:
        opinions: Iterable[NDArray[np.float64]] = self.strategy._opinions(
            self.clf, self.found.samples, rng
        )
        return opinions

    def last_step(self) -> Callable[[Any], NDArray[Any]]:
        if self.asked.features is not None:
            raise TypeError(
                f"What {type(self.clf).__name__} makes of features of your own can't be asked "
                f"for; leave features out, or pass them as X."
            )
        return last_step(self.clf, self.found.samples)

    def right_without(
        self, held: NDArray[np.int64]
    ) -> tuple[NDArray[Any], NDArray[np.bool_]] | None:
        rows = self.asked.labeled[held]
        with warnings.catch_warnings():
            # Said of the fit that counts, if there is anything to say.
            warnings.simplefilter("ignore")
            try:
                clf = self.asked.fit(self.asked.X, self.asked.without(rows))  # type: ignore[misc]
            except ValueError:
                # All the labels are enough for it, as for a cross-validation, and most not.
                return None
        classes = getattr(clf, "classes_", None)
        if clf is self.clf or classes is None:
            return None
        proba = proba_of(clf, take_rows(self.asked.X, rows))
        predicted = np.asarray(classes, dtype=object)[proba.argmax(axis=1)]
        return proba, predicted == self.asked.labels[rows].astype(object)


def pool_of_model(
    strategy: Any, asked: Asked, found: Candidates, groups: Groups | None, **query: Any
) -> Query:
    """Fit the classifier, ask it what a strategy needs, and make a pool of the answer.

    The candidates come first, and after them the labelled samples, if the strategy looks at
    those: they are asked about in one call, so that what is fitted without labels in a cold start
    has one scale for both.
    """
    clf = None if asked.fit is None else asked.fit(asked.X, asked.labels)
    n = len(found)
    labeled = asked.labeled if strategy.looks_at_labeled else asked.labeled[:0]
    X = found.samples
    if len(labeled):
        X = stack_rows(X, take_rows(asked.X, labeled))
    own = None
    if asked.features is not None:
        if "features" not in strategy.needs:
            raise TypeError(f"{type(strategy).__name__} looks at no features; leave them out.")
        if found.from_outside:
            raise ValueError(
                "features are those of X, so candidates must be rows of X; pass row numbers."
            )
        own = take_rows(asked.features, np.concatenate([found.rows, labeled]))
    proba, features = _ask(strategy, clf, X, own)
    if groups is not None:
        # Labelled samples are no candidates; which group is theirs does not matter.
        rest = np.zeros(len(labeled), dtype=np.int64)
        groups = Groups(np.concatenate([groups.of_row, rest]), groups.limit)
    rows = np.arange(n, n + len(labeled))
    model = None if clf is None else FittedModel(strategy, asked, clf, found)
    return Query(
        pool=Pool(proba, features),
        excluded=rows,
        labeled=rows,
        # Not of the pool: a classifier may know other classes.
        labels=asked.labels[labeled],
        groups=groups,
        model=model,
        asker=type(strategy).__name__,
        **query,
    )


def _ask(strategy: Any, clf: Any, X: Any, own: Any = None) -> tuple[NDArray[Any] | None, Any]:
    needs = strategy.needs
    if not {"proba", "features"} & {*needs}:
        # Nothing is to be known of the samples but how many there are.
        return np.broadcast_to(0.5, (X.shape[0], 2)), None
    if clf is None:
        return None, as_numbers(X) if own is None else own
    if "features" in needs:
        flag = getattr(strategy, "clf_embedding_flag_name", None)
        proba, features = proba_and_features(clf, X, flag, own)
        return _two_classes(proba) if "proba" in needs else None, features
    return _two_classes(proba_of(clf, X)) if "proba" in needs else None, None


def _two_classes(proba: NDArray[Any]) -> NDArray[Any]:
    # To a classifier that knows one class all samples are equally uncertain.
    return proba if proba.shape[1] > 1 else np.full((len(proba), 2), 0.5)


def fitter(clf: Any, fit_clf: bool, sample_weight: ArrayLike | None, missing_label: Any) -> Fit:
    """Check a classifier and return what fits a copy of it."""
    if isinstance(clf, type):
        raise TypeError(f"clf must be a classifier, got the class {clf.__name__}; call it first.")
    # Of some, a StackingClassifier say, only the fitted one knows whether it has predict_proba.
    if not (is_module(final_step(clf)) or hasattr(type(clf), "predict_proba")):
        refuse_without_proba(clf)
    check_flag("fit_clf", fit_clf)
    if not fit_clf and not is_fitted(clf):
        raise NotFittedError(
            f"With fit_clf=False the classifier is used as it is, but this "
            f"{type(clf).__name__} has not been fitted; fit it, or pass fit_clf=True."
        )

    def fit(X: Any, y: ArrayLike) -> Any:
        refuse_other_order(X=X, sample_weight=sample_weight)
        weights = None if sample_weight is None else check_weights(sample_weight, X.shape[0])
        fitted = fit_on_labeled(clf, X, y, weights, missing_label) if fit_clf else clf
        # A fitted ensemble may be asked for its members alone.
        if not hasattr(fitted, "predict_proba") and (fit_clf or not has_members(fitted)):
            refuse_without_proba(fitted)
        return fitted

    return fit


@dataclass(frozen=True)
class Candidates:
    """The candidates of a query, and what the caller knows them by.

    `rows` are rows of X, or the candidates' own numbers if they come `from_outside`: samples that
    the caller gave, which need not be in X. The caller may be told of `n_rows` rows.
    """

    X: Any
    rows: NDArray[np.int64]
    n_rows: int
    from_outside: bool = False

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def samples(self) -> Any:
        """The candidates; a copy, not held, unless they are all rows of X."""
        return self.X if len(self) == self.n_rows else take_rows(self.X, self.rows)

    def spread(self, utilities: NDArray[np.float64]) -> NDArray[np.float64]:
        """Put the utilities in the caller's columns, NaN where there is no candidate."""
        out = np.full((len(utilities), self.n_rows), np.nan)
        out[:, self.rows] = utilities
        return out


def find_candidates(
    X: Any, unlabelled: NDArray[np.int64], candidates: Any, asker: str
) -> Candidates:
    """Turn the argument `candidates` of a query into samples and their rows."""
    n_samples = X.shape[0]
    if getattr(candidates, "ndim", None) == 1 or (
        isinstance(candidates, list) and candidates and np.ndim(candidates[0]) == 0
    ):
        refuse_masked_rows(candidates, "candidates")
    refuse_masked(candidates, "candidates")
    if hasattr(candidates, "fit") or is_module(candidates):
        raise TypeError(
            f"candidates must be row numbers of X, or samples, got {shown(candidates)}; a "
            f"classifier is passed as clf=..., and to {asker} only if its query has that argument."
        )
    if candidates is None:
        if len(unlabelled) == 0:
            raise ValueError(
                "There are no candidates: no label in y is missing. Stop asking, check "
                "missing_label, or pass the rows to choose from as candidates."
            )
        return Candidates(X, unlabelled, n_samples)
    if _are_indices(candidates, X):
        return Candidates(X, _check_indices(np.asarray(candidates), n_samples), n_samples)
    samples = as_samples(candidates, "candidates")
    if samples.shape[0] == 0:
        raise ValueError("There are no candidates: candidates has no rows.")
    if tuple(samples.shape[1:]) != tuple(X.shape[1:]):
        raise ValueError(
            f"candidates must be row numbers, or samples of the same shape as those of X, "
            f"{tuple(X.shape[1:])}, got {tuple(samples.shape[1:])}."
        )
    n_candidates = samples.shape[0]
    return Candidates(samples, np.arange(n_candidates, dtype=np.int64), n_candidates, True)


def _are_indices(candidates: Any, X: Any) -> bool:
    """One dimension is indices; but where samples are texts, texts are samples."""
    try:
        shape = candidates.shape if hasattr(candidates, "shape") else np.shape(candidates)
    except ValueError:  # rows of different lengths; `as_samples` says so
        return False
    if len(shape) != 1:
        return False
    return len(X.shape) > 1 or shape[0] == 0 or np.asarray(candidates).dtype.kind not in "OUT"


def _check_indices(indices: NDArray[Any], n_samples: int) -> NDArray[np.int64]:
    """Return the rows, each once and ascending: their order says nothing about the samples."""
    if len(indices) == 0:
        raise ValueError("There are no candidates: candidates is empty.")
    if indices.dtype.kind not in "iu":
        hint = "np.flatnonzero(mask) makes indices of a mask" if indices.dtype == bool else ""
        raise TypeError(
            f"candidates of one dimension must be row numbers of X, integers, got dtype "
            f"{indices.dtype}{'; ' if hint else ''}{hint}."
        )
    outside = indices[(indices < 0) | (indices >= n_samples)]
    if len(outside):
        raise ValueError(
            f"candidates must be rows of X, from 0 to {n_samples - 1}, got {int(outside[0])}"
            + (f" and {len(outside) - 1} more out of range." if len(outside) > 1 else ".")
        )
    return np.unique(indices).astype(np.int64)
