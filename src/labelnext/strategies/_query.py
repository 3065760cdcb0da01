"""What a query strategy gets to choose from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

from labelnext.estimators import ColdStart, proba_and_features, proba_of
from labelnext.estimators.rows import as_numbers, stack_rows, take_rows
from labelnext.utils import MISSING_LABEL

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from labelnext.sampling import Groups


def _no_rows() -> NDArray[np.int64]:
    return np.empty(0, dtype=np.int64)


@dataclass(frozen=True)
class Query:
    """
    A query, checked: what a strategy gets to choose from.

    Parameters
    ----------
    X : array, sparse matrix or frame of n_candidates rows
        The candidates, as the classifier takes them.
    n_candidates : int
        How many candidates there are, at least 1.
    batch_size : int
        How many of them to choose, from 1 to `n_candidates`.
    clf : classifier or None
        The fitted classifier, if the strategy asks for one.
    rng : numpy.random.Generator
        Where all randomness is to come from.
    return_utilities : bool
        Whether the utilities are wanted. The choice must not depend on it.
    pool : array, sparse matrix or frame of n_samples rows, default=None
        All samples, of which `labeled` are rows.
    labeled : numpy.ndarray of shape (n_labeled,), int64, default=none
        The samples that have a label, ascending.
    labels : numpy.ndarray of shape (n_labeled,), default=none
        Their labels.
    groups : Groups or None, default=None
        The group of each candidate, and how many picks each may have.
    flag_name : str, dict or None, default=None
        What makes the classifier return features; see `labelnext.estimators.proba_and_features`.
    fit : callable of (X, y), default=None
        Fits another copy of the classifier, or returns the one that is to be used as it is.
    y : numpy.ndarray of shape (n_samples,), default=None
        The labels of all samples, some or all of them missing.
    missing_label : scalar, str or None, default=numpy.nan
        What stands for a missing label.

    See Also
    --------
    QueryStrategy : What is done before and after the choice.

    Examples
    --------
    >>> import numpy as np
    >>> from labelnext.pool import Query
    >>> query = Query(np.eye(3), 3, 2, None, np.random.default_rng(0), True)
    >>> query.utilities_of_scores(np.array([0.1, 0.9, 0.5]), np.array([1, 2]))
    array([[0.1, 0.9, 0.5],
           [0.1, nan, 0.5]])
    """

    X: Any
    n_candidates: int
    batch_size: int
    clf: Any
    rng: np.random.Generator
    return_utilities: bool
    pool: Any = None
    labeled: NDArray[np.int64] = field(default_factory=_no_rows)
    labels: NDArray[Any] = field(default_factory=_no_rows)
    groups: Groups | None = None
    flag_name: str | Mapping[str, Any] | None = None
    fit: Callable[[Any, Any], Any] | None = None
    y: NDArray[Any] | None = None
    missing_label: Any = MISSING_LABEL

    def proba(self) -> NDArray[np.float64]:
        """
        Ask the classifier for the probabilities of the candidates.

        Returns
        -------
        numpy.ndarray of shape (n_candidates, n_classes), float64
            Rows sum to 1. There are two classes at least: where the classifier knows fewer, all
            candidates are equally uncertain.
        """
        return _two_classes(proba_of(self.clf, self.X))

    def proba_and_features(self, with_labeled: bool = False) -> tuple[NDArray[Any], Any]:
        """
        Ask the classifier for probabilities and features, at once.

        Parameters
        ----------
        with_labeled : bool, default=False
            Whether the labelled samples are asked about too, in the same call: what is fitted
            without labels in a cold start has then one scale for both.

        Returns
        -------
        proba : numpy.ndarray of shape (n_rows, n_classes)
            As in `proba`, in the classifier's dtype. The candidates come first, the labelled
            samples after them.
        features : numpy.ndarray or CSR matrix of shape (n_rows, n_features)
            What the last linear step sees, as it comes: not checked to be finite.
        """
        X = self._rows(with_labeled)
        proba, features = proba_and_features(self.clf, X, self.flag_name)
        return _two_classes(proba), features

    def features(self, with_labeled: bool = False) -> Any:
        """
        Return the features alone; without a classifier, they are the samples themselves.

        Parameters
        ----------
        with_labeled : bool, default=False
            Whether those of the labelled samples follow.

        Returns
        -------
        numpy.ndarray or CSR matrix of shape (n_rows, n_features), float32 or float64
            The features, all finite.

        Raises
        ------
        TypeError
            If they are not numbers.
        ValueError
            If some are NaN or infinite.
        """
        if self.clf is None:
            return finite(as_numbers(self._rows(with_labeled)))
        return finite(self.proba_and_features(with_labeled)[1])

    def fit_without(self, rows: NDArray[np.int64]) -> Any:
        """
        Fit another copy of the classifier, as if some labels were missing.

        Parameters
        ----------
        rows : numpy.ndarray of int64
            Rows of `pool` whose labels it is not given.

        Returns
        -------
        classifier or None
            The fitted copy; None if the classifier is to be used as it is.
        """
        if self.fit is None or self.y is None:
            return None
        hidden = np.setdiff1d(np.arange(len(self.y)), self.labeled)
        if len(hidden):
            y, missing = self.y.copy(), self.y[hidden[0]]
        else:  # An array of labels alone might not hold what stands for none.
            y, missing = self.y.astype(object), self.missing_label
        y[rows] = missing
        copy = self.fit(self.pool, y)
        return None if copy is self.clf else copy

    def _rows(self, with_labeled: bool) -> Any:
        if not with_labeled or len(self.labeled) == 0:
            return self.X
        return stack_rows(self.X, take_rows(self.pool, self.labeled))

    def utilities_of_scores(
        self, scores: NDArray[np.float64], picks: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """
        Repeat scores that no pick changes, without the candidates already picked.

        Parameters
        ----------
        scores : numpy.ndarray of shape (n_candidates,)
            A score for each candidate.
        picks : numpy.ndarray of shape (batch_size,)
            The picks, in their order.

        Returns
        -------
        numpy.ndarray of shape (batch_size, n_candidates)
            In row t the scores, NaN at the first t picks.
        """
        utilities = np.tile(scores, (len(picks), 1))
        for t, pick in enumerate(picks):
            utilities[t + 1 :, pick] = np.nan
        return utilities


def finite(features: Any) -> Any:
    """Return features in float32 or float64, or say which row is not finite."""
    if features.dtype not in (np.float32, np.float64):
        features = features.astype(np.float32 if features.dtype == np.float16 else np.float64)
    values = features.data if sp.issparse(features) else features
    # A sum is finite only if all it adds is; a whole mask would be as long as the features.
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(values.sum(dtype=np.float64)):
            return features
    rows = np.asarray(abs(features).max(axis=1).todense() if sp.issparse(features) else features)
    wrong = ~np.isfinite(rows.reshape(features.shape[0], -1)).all(axis=1)
    if wrong.any():
        raise ValueError(
            f"The features must be finite, got NaN or an infinity in row "
            f"{int(np.flatnonzero(wrong)[0])}, counted among the candidates. Fill what is missing "
            f"in a sklearn.pipeline.Pipeline whose last step is the classifier."
        )
    return features


def _two_classes(proba: NDArray[Any]) -> NDArray[Any]:
    return proba if proba.shape[1] > 1 else ColdStart(None).predict_proba(proba)
