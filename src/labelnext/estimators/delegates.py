"""Classifiers that leave `predict_proba` to another one inside them: wrappers and pipelines."""

from __future__ import annotations

import sys
from typing import Any

from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

# Named by module and class, so that none of them has to be imported: where the module was not,
# there is no instance either. Each with its attributes of the fitted and the unfitted classifier.
_WRAPPERS = {
    ("labelnext.estimators", "ColdStart"): ("clf", "clf"),
    ("labelnext.classifier", "SklearnClassifier"): ("estimator_", "estimator"),
    ("skactiveml.classifier", "SklearnClassifier"): ("estimator_", "estimator"),
    ("sklearn.frozen", "FrozenEstimator"): ("estimator", "estimator"),
    ("sklearn.model_selection", "FixedThresholdClassifier"): ("estimator_", "estimator"),
    ("sklearn.model_selection", "TunedThresholdClassifierCV"): ("estimator_", "estimator"),
}


def look_through(clf: Any) -> Any:
    """Return the fitted classifier that `clf` asks for its probabilities, or `clf` itself.

    A wrapper may live with an inner classifier that could not be fitted, for want of labels;
    `is_fitted` tells.
    """
    # Of GridSearchCV and all that are made like it, in other libraries too.
    if hasattr(clf, "best_estimator_"):
        return look_through(clf.best_estimator_)
    attributes = _wrapper_attributes(clf)
    return clf if attributes is None else look_through(getattr(clf, attributes[0]))


def look_through_unfitted(clf: Any) -> Any:
    """Return the classifier that `clf` would fit, or `clf` itself."""
    attributes = _wrapper_attributes(clf)
    if attributes is not None:
        return look_through_unfitted(getattr(clf, attributes[1]))
    if hasattr(clf, "estimator") and hasattr(clf, "refit"):  # a search over hyperparameters
        return look_through_unfitted(clf.estimator)
    return clf


def final_step(clf: Any) -> Any:
    """Return the last step of a pipeline, of pipelines in it too, or `clf` itself."""
    return final_step(clf.steps[-1][1]) if isinstance(clf, Pipeline) else clf


def transformers(pipeline: Pipeline) -> list[Any]:
    """Return the steps that make features of samples."""
    # What has no transform acts on the training data alone, as imbalanced-learn's samplers do.
    return [step for _, step in pipeline.steps[:-1] if hasattr(step, "transform")]


def transform(pipeline: Pipeline, X: Any) -> Any:
    """Send samples through all fitted steps of a pipeline but the last."""
    for step in transformers(pipeline):
        X = step.transform(X)
    return X


def is_fitted(clf: Any) -> bool:
    """Tell whether an estimator has been fitted; one that can't be asked counts as fitted."""
    clf = final_step(clf)  # as scikit-learn has it, which would stumble over a network there
    if not isinstance(clf, BaseEstimator):
        return True
    try:
        check_is_fitted(clf)
    except NotFittedError:
        return False
    return True


def _wrapper_attributes(clf: Any) -> tuple[str, str] | None:
    for (module, name), attributes in _WRAPPERS.items():
        cls = getattr(sys.modules.get(module), name, None)
        if cls is not None and isinstance(clf, cls):
            return attributes
    return None
