"""What a classifier's last linear step sees."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import expit
from sklearn.base import clone
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline
from sklearn.utils.extmath import safe_sparse_dot

from labelnext.estimators.delegates import (
    is_fitted,
    look_through,
    look_through_unfitted,
    transform,
    transformers,
)
from labelnext.estimators.networks import ask, features_of_untrained, is_network, is_skorch_net
from labelnext.estimators.rows import as_numbers

_ACTIVATIONS = {
    "identity": lambda z: z,
    "logistic": expit,
    "tanh": np.tanh,
    "relu": lambda z: np.maximum(z, 0),
}


def features_of(clf: Any, X: Any) -> Any:
    """Return the features that a fitted classifier's last linear step sees.

    For a Pipeline these are the output of its transformers, for an MLPClassifier its last hidden
    layer, for a network the input of its last linear layer, for a pipeline that ends with one of
    them that of the last step, else X.
    """
    inner = look_through(clf)
    if not is_fitted(inner):
        return _without_labels(clf, X)
    if isinstance(inner, Pipeline):
        return features_of(inner.steps[-1][1], transform(inner, X))
    if is_network(inner):
        return as_numbers(ask(inner, X)[1])
    if isinstance(inner, MLPClassifier):
        return _last_hidden_layer(inner, as_numbers(X))
    return as_numbers(X)


def _without_labels(clf: Any, X: Any) -> Any:
    """Return the features of a classifier that could not be fitted, for want of labels.

    Copies of a pipeline's transformers are fitted to X, without labels.
    """
    inner = look_through_unfitted(clf)
    if is_skorch_net(inner):
        return features_of_untrained(inner, X)
    if not isinstance(inner, Pipeline):
        return as_numbers(X)
    for step in transformers(inner):
        try:
            X = _fit_transform(clone(step), X)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"The labels are of fewer than two classes, so the pipeline can't be fitted, nor "
                f"can its step {type(step).__name__} without labels ({error}). Label samples of "
                f"two classes first, ones that labelnext.pool.RandomSampling picks, say."
            ) from error
    return _without_labels(inner.steps[-1][1], X)


def _last_hidden_layer(mlp: MLPClassifier, X: Any) -> Any:
    """Return the activations of the last hidden layer, the input of the output layer."""
    activate = _ACTIVATIONS[mlp.activation]
    for weights, intercepts in zip(mlp.coefs_[:-1], mlp.intercepts_[:-1], strict=True):
        X = activate(safe_sparse_dot(X, weights) + intercepts)
    return as_numbers(X)


def _fit_transform(step: Any, X: Any) -> Any:
    # A FrozenEstimator has no fit_transform.
    if hasattr(step, "fit_transform"):
        return step.fit_transform(X)
    return step.fit(X, None).transform(X)
