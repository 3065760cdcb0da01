"""What a classifier's last linear step sees."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.special import expit
from sklearn.base import clone
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import MaxAbsScaler, StandardScaler
from sklearn.utils.extmath import safe_sparse_dot

from labelnext.estimators.delegates import (
    final_step,
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

    | classifier                                   | features                                  |
    |----------------------------------------------|-------------------------------------------|
    | network: module, skorch net, SkorchClassifier| the input of its last linear layer        |
    | MLPClassifier                                | its last hidden layer                     |
    | Pipeline                                     | for the output of its transformers, those |
    |                                              | of its last step                          |
    | search, frozen, thresholded, wrapped         | those of the classifier inside            |
    | trees and ensembles of trees                 | X, its columns scaled, with a warning     |
    | any other                                    | X                                         |

    A classifier that could not be fitted, for want of labels, is taken as unfitted: copies of a
    pipeline's transformers are then fitted to X.
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
    return _columns(inner, X)


def is_of_trees(clf: Any) -> bool:
    """Tell whether a classifier splits one column at a time, so that no scale means anything."""
    from sklearn.ensemble import BaggingClassifier, HistGradientBoostingClassifier

    clf = final_step(look_through_unfitted(clf))
    members = getattr(clf, "estimators", None)
    if isinstance(members, list) and members:  # of a vote or a stack
        return all(is_of_trees(member) for _, member in members if not isinstance(member, str))
    if getattr(clf, "estimator", None) is not None:
        return is_of_trees(clf.estimator)
    if isinstance(clf, BaggingClassifier | HistGradientBoostingClassifier):
        return True
    # So do scikit-learn's other trees, XGBoost, LightGBM and CatBoost name it.
    return hasattr(type(clf), "feature_importances_")


def column_scaler(X: Any) -> Any:
    """Fit what gives columns one scale, of zeros in sparse ones without touching them."""
    return (MaxAbsScaler() if sp.issparse(X) else StandardScaler()).fit(X)


def _columns(clf: Any, X: Any) -> Any:
    X = as_numbers(X)
    if not is_of_trees(clf):
        return X
    how = (
        "scaled by its largest absolute value"
        if sp.issparse(X)
        else "scaled to mean 0 and variance 1, with the mean where a value is missing"
    )
    warnings.warn(
        f"{type(clf).__name__} is made of trees, which have no last linear layer and see no "
        f"scales: its features are the columns of X, each {how}. Pass features=..., an array "
        f"with a row for each sample, where you know better ones.",
        stacklevel=2,
    )
    scaled = column_scaler(X).transform(X)
    if sp.issparse(X):
        return scaled
    return np.nan_to_num(scaled, copy=False, nan=0.0, posinf=np.inf, neginf=-np.inf)


def _without_labels(clf: Any, X: Any) -> Any:
    inner = look_through_unfitted(clf)
    if is_skorch_net(inner):
        return features_of_untrained(inner, X)
    if not isinstance(inner, Pipeline):
        return _columns(inner, X)
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
