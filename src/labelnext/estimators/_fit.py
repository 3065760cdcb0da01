"""Fit a copy of a classifier to the samples that have labels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, is_classifier
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import has_fit_parameter

from labelnext.estimators._wrapper import SklearnClassifier, is_from_elsewhere
from labelnext.estimators.models import (
    copy_of,
    final_step,
    fit_net,
    is_fitted,
    is_module,
    is_skorch_net,
)
from labelnext.estimators.rows import as_samples, take_rows
from labelnext.utils import MISSING_LABEL
from labelnext.utils.encoding import narrow
from labelnext.utils.given import refuse_masked, refuse_other_order, shown
from labelnext.utils.labels import is_null, split_labels


class ColdStart:
    """
    Hold every class for equally likely, knowing nothing yet.

    Two classes are as good as any number: with equal probabilities all residuals are the same,
    gradients differ by their features alone, and D² sampling does not depend on the scale.

    Parameters
    ----------
    clf : classifier
        The classifier that would have been fitted; it decides what the features are.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from labelnext.estimators import ColdStart
    >>> ColdStart(LogisticRegression()).predict_proba([[1.0], [2.0]])
    array([[0.5, 0.5],
           [0.5, 0.5]])
    """

    def __init__(self, clf: Any) -> None:
        self.clf = clf

    def predict_proba(self, X: Any, **kwargs: Any) -> NDArray[np.float64]:
        """
        Return the same probability for each of two classes.

        Parameters
        ----------
        X : array-like, sparse matrix or frame of shape (n_samples, ...)
            Samples, of which only the number counts.
        **kwargs : dict
            What the classifier would understand, and is of no use yet.

        Returns
        -------
        numpy.ndarray of shape (n_samples, 2)
            One half everywhere.
        """
        return np.full((X.shape[0] if hasattr(X, "shape") else len(X), 2), 0.5)


def fit_on_labeled(
    clf: Any,
    X: Any,
    y: ArrayLike,
    sample_weight: ArrayLike | None = None,
    missing_label: Any = MISSING_LABEL,
) -> Any:
    """
    Fit a copy of a classifier to labels of which some or all are missing.

    A classifier with a parameter `missing_label` gets all samples. Any other gets the labelled
    ones, if they are of two classes or more; if not, a `ColdStart` takes its place. One that
    stays fitted when it is cloned, as a `FrozenEstimator` does, is not fitted again. One of
    another library that refuses the labels, as XGBoost does with strings, is fitted within a
    `SklearnClassifier`, which gives it numbers and takes them back.

    Parameters
    ----------
    clf : classifier
        A classifier, fitted or not. It is not changed.
    X : array-like, sparse matrix or frame of shape (n_samples, ...)
        Samples.
    y : array-like of shape (n_samples,)
        Their labels.
    sample_weight : array-like of shape (n_samples,), default=None
        Their weights.
    missing_label : scalar, str or None, default=numpy.nan
        What stands for a missing label.

    Returns
    -------
    classifier
        The fitted copy, alone or in a `SklearnClassifier`, or a `ColdStart`.

    Raises
    ------
    ValueError
        If the classifier has another `missing_label`, or takes no weights and some are given.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from labelnext.estimators import fit_on_labeled
    >>> nan = float("nan")
    >>> fit_on_labeled(LogisticRegression(), [[0.0], [1.0], [2.0]], [0, nan, 1]).classes_
    array([0., 1.])
    >>> type(fit_on_labeled(LogisticRegression(), [[0.0], [1.0]], [0, nan])).__name__
    'ColdStart'
    """
    refuse_other_order(X=X, y=y, sample_weight=sample_weight)
    refuse_masked(sample_weight, "sample_weight")
    X = as_samples(X)
    if is_module(final_step(clf)):
        raise TypeError(
            f"A torch.nn.Module does not say how to train it: pass fit_clf=False to have this "
            f"{type(final_step(clf)).__name__} used as it is, or "
            f"labelnext.classifier.SkorchClassifier(module, classes=[...]) to have it trained."
        )
    labels, missing = split_labels(y, missing_label)
    copy = copy_of(clf)
    weights = None if sample_weight is None else np.asarray(sample_weight)
    final = final_step(copy)
    if hasattr(final, "missing_label"):
        _check_missing_label(final, missing_label)
        return copy.fit(X, labels, **_weight_argument(copy, weights))
    # A pipeline passes for fitted if its last step is, and may yet have steps to fit.
    one_step = isinstance(copy, BaseEstimator) and not isinstance(copy, Pipeline)
    if not hasattr(copy, "fit") or (one_step and is_fitted(copy)):
        return copy
    # Numbers that lay beside a None are objects; scikit-learn takes numbers for targets.
    known = narrow(labels[~missing])
    if len(np.unique(known)) < 2:
        return ColdStart(copy)
    rows = np.flatnonzero(~missing).astype(np.int64)
    if weights is not None:
        weights = weights[rows]
    arguments = _weight_argument(copy, weights)
    if is_skorch_net(final):
        return fit_net(copy, take_rows(X, rows), known)
    samples = take_rows(X, rows)
    try:
        return copy.fit(samples, known, **arguments)
    except (TypeError, ValueError):
        if not (isinstance(clf, BaseEstimator) and is_classifier(clf) and is_from_elsewhere(clf)):
            raise
        # It tries again, and then with numbers from 0 in place of the labels.
        return SklearnClassifier(clf, missing_label=missing_label).fit(samples, known, **arguments)


def _weight_argument(clf: Any, weights: NDArray[Any] | None) -> dict[str, NDArray[Any]]:
    if weights is None:
        return {}
    prefix = ""
    inner = clf
    while True:
        if isinstance(inner, Pipeline):
            step, inner = inner.steps[-1]
            # A pipeline calls an argument of its last step by the name of the step and its own.
            prefix += f"{step}__"
        elif hasattr(inner, "refit") and hasattr(inner, "estimator"):
            # A search hands the arguments of fit on to what it searches over.
            inner = inner.estimator
        else:
            break
    if not has_fit_parameter(inner, "sample_weight"):
        raise ValueError(
            f"{type(inner).__name__}.fit takes no sample_weight; leave sample_weight out, or "
            f"choose a classifier that takes weights."
        )
    return {f"{prefix}sample_weight": weights}


def _check_missing_label(clf: Any, missing_label: Any) -> None:
    theirs = clf.missing_label
    same_null = is_null(theirs) and is_null(missing_label)
    if not same_null and (is_null(theirs) or is_null(missing_label) or theirs != missing_label):
        raise ValueError(
            f"The query strategy and the classifier must agree on what a missing label is, got "
            f"missing_label={shown(missing_label)} for the strategy and {shown(theirs)} for "
            f"{type(clf).__name__}; set both alike."
        )
