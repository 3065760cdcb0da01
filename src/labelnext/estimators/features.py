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

from labelnext.estimators.models import (
    ask,
    features_of_untrained,
    final_step,
    is_fitted,
    is_network,
    is_skorch_net,
    look_through_unfitted,
    parts_of,
    reach,
    transformers,
)
from labelnext.estimators.rows import as_numbers

_ACTIVATIONS = {
    "identity": lambda z: z,
    "logistic": expit,
    "tanh": np.tanh,
    "relu": lambda z: np.maximum(z, 0),
}


def features_of(clf: Any, X: Any) -> Any:
    """Return the features of samples; docs/guide/classifiers.rst has the table of them all.

    Without labels, copies of a pipeline's transformers are fitted to X.
    """
    inner, seen = reach(clf, X)
    if not is_fitted(inner):
        return _without_labels(clf, X)
    if is_network(inner):
        return as_numbers(ask(inner, seen)[1])
    if isinstance(inner, MLPClassifier):
        return _last_hidden_layer(inner, as_numbers(seen))
    return _columns(inner, seen)


def is_of_trees(clf: Any) -> bool:
    """Tell whether a classifier splits one column at a time, so that no scale means anything."""
    from sklearn.ensemble import BaggingClassifier, HistGradientBoostingClassifier

    clf = final_step(look_through_unfitted(clf))
    parts = parts_of(clf)
    if parts:
        return all(map(is_of_trees, parts))
    # So do scikit-learn's other trees, XGBoost, LightGBM and CatBoost name it.
    return isinstance(clf, BaggingClassifier | HistGradientBoostingClassifier) or hasattr(
        type(clf), "feature_importances_"
    )


def _hidden(clf: Any) -> Any:
    """Return what changes X within an ensemble or wrapper that has no one last step."""
    for part in parts_of(clf):
        if (isinstance(part, Pipeline) and transformers(part)) or (
            isinstance(part, MLPClassifier) or is_network(part)
        ):
            return part
        found = _hidden(final_step(part))
        if found is not None:
            return found
    return None


def column_scaler(X: Any) -> Any:
    """Fit what gives columns one scale, of zeros in sparse ones without touching them."""
    return (MaxAbsScaler() if sp.issparse(X) else StandardScaler()).fit(X)


def _columns(clf: Any, X: Any) -> Any:
    """Return X itself, scaled for trees, with a warning where other features may be meant."""
    name, hidden = type(clf).__name__, _hidden(clf)
    way_out = "Pass features=..., an array of numbers with a row for each sample"
    if isinstance(hidden, Pipeline):
        way_out += f", or put {name} into the pipeline, in the place of its last step."
    elif hidden is not None:
        way_out += f", or take {type(hidden).__name__} without {name}."
    else:
        way_out += (
            ", or put what makes numbers of X into a sklearn.pipeline.Pipeline with the classifier "
            "as its last step."
        )
    X = as_numbers(X, f"Those of {name} are X itself. {way_out}")
    values = X.data if sp.issparse(X) else X
    if is_of_trees(clf):
        how = (
            "scaled by its largest absolute value"
            if sp.issparse(X)
            else "scaled to mean 0 and variance 1, with the mean where a value is missing"
        )
        warnings.warn(
            f"{name} is made of trees, which have no last linear layer and see no scales: its "
            f"features are the columns of X, each {how}. Pass features=..., an array with a row "
            f"for each sample, where you know better ones.",
            stacklevel=2,
        )
        scaled = column_scaler(X).transform(X)
        if sp.issparse(X):
            return scaled
        return np.nan_to_num(scaled, copy=False, nan=0.0, posinf=np.inf, neginf=-np.inf)
    if values.size and values.dtype.kind == "f" and np.isnan(values.min()):
        raise ValueError(
            f"X holds NaN, which {name} may bear, but features may not, and those of {name} are X "
            f"itself. {way_out}"
        )
    if hidden is not None:
        warnings.warn(
            f"{name} may hold several of {type(hidden).__name__} and has no one last step: its "
            f"features are the columns of X, not what {type(hidden).__name__} makes of them. "
            f"{way_out}",
            stacklevel=2,
        )
    return X


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
