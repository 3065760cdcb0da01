"""The stand-in for a classifier that there are too few labels to fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


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
            What the classifier would understand; there is nothing to do with it yet.

        Returns
        -------
        numpy.ndarray of shape (n_samples, 2)
            One half everywhere.
        """
        return np.full((X.shape[0] if hasattr(X, "shape") else len(X), 2), 0.5)
