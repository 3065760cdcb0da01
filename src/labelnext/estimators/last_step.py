"""A classifier's last step by itself: from features to scores of classes."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline
from sklearn.utils.extmath import safe_sparse_dot

from labelnext.estimators._features import transform
from labelnext.estimators.delegates import is_fitted, look_through
from labelnext.estimators.networks import is_network, last_layer, predict_proba
from labelnext.estimators.predict import proba_of
from labelnext.estimators.rows import take_rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray


def last_step(clf: Any, X: Any) -> Callable[[Any], NDArray[Any]]:
    """Return what a fitted classifier makes of features that `proba_and_features` returns.

    Parameters
    ----------
    clf : classifier
        As it is after fitting.
    X : samples
        What `clf.predict_proba` takes; a few of them are looked at.

    Returns
    -------
    callable
        Takes features, shape (n, n_features), and returns a score for each class, the largest
        for the one predicted, shape (n, n_classes).

    Raises
    ------
    TypeError
        If the features come out of `predict_proba`, so that none knows what follows them.
    """
    inner = look_through(clf)
    if not is_fitted(inner):
        return lambda features: np.zeros((features.shape[0], 2))
    few = take_rows(X, np.arange(min(2, X.shape[0])))
    if isinstance(inner, Pipeline):
        return last_step(inner.steps[-1][1], transform(inner, few))
    if is_network(inner):
        return _linear(*last_layer(inner, few))
    if isinstance(inner, MLPClassifier):
        return _linear(inner.coefs_[-1], inner.intercepts_[-1])
    if isinstance(predict_proba(inner, few, {}), tuple):
        raise TypeError(
            f"What {type(inner).__name__} makes of its features can't be asked for, as they come "
            f"out of its predict_proba; make what turns samples into features a step of a "
            f"sklearn.pipeline.Pipeline before the classifier, or pass the features as X."
        )

    def scores(features: Any) -> NDArray[Any]:
        with warnings.catch_warnings():
            # Features are an array also where the classifier was fitted to a frame.
            warnings.filterwarnings("ignore", "X does not have valid feature names")
            return proba_of(inner, features)

    return scores


def _linear(weights: NDArray[Any], bias: NDArray[Any]) -> Callable[[Any], NDArray[Any]]:
    def scores(features: Any) -> NDArray[Any]:
        logits = np.asarray(safe_sparse_dot(features, weights)) + bias
        # A single one speaks for the second class.
        return np.hstack([-logits, logits]) if logits.shape[1] == 1 else logits

    return scores
