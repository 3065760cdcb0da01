"""What all classifiers that bear missing labels share."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.metrics import accuracy_score
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _num_samples, column_or_1d, validate_data

from labelnext.estimators.rows import check_weights
from labelnext.utils import (
    check_classes,
    check_random_state,
    encode_labels,
    rand_argmax,
)
from labelnext.utils.encoding import narrow
from labelnext.utils.given import refuse_masked, refuse_other_order
from labelnext.utils.labels import split_labels


class PartlyLabelledClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A scikit-learn classifier whose labels may be missing."""

    _checks: ClassVar[dict[str, Any]]  # of samples, by scikit-learn's `validate_data`

    def _keep(self, given: dict[str, Any], **others: Any) -> None:
        """Keep what a constructor is given, as scikit-learn asks: under its names, unchecked."""
        for name, value in {**given, **others}.items():
            if name not in ("self", "net_params"):
                setattr(self, name, value)
        _be_accepted_by_skactiveml(type(self))

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...

    def __setstate__(self, state: Any) -> None:
        super().__setstate__(state)
        _be_accepted_by_skactiveml(type(self))  # unpickled in a worker: __init__ did not run

    def fit(self, X: Any, y: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None) -> Self:
        """
        Learn from the samples that have labels.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Training samples: what the classifier takes, in rows.
        y : array-like of shape (n_samples,)
            Their labels, some or all of them missing.
        sample_weight : array-like of shape (n_samples,), default=None
            What each label counts, finite and not negative; 0 is as good as no label.

        Returns
        -------
        classifier
            The fitted classifier itself.

        Raises
        ------
        TypeError
            If a parameter is of a wrong type, or numbers and strings are mixed among labels,
            classes and missing label.
        ValueError
            If `X`, `y`, `sample_weight` or a parameter does not fit the others, or no class is
            known: no label, and no `classes`.
        """
        raise NotImplementedError

    def predict_proba(self, X: Any) -> Any:
        """
        Estimate the probability of each class.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Samples, as in `fit`.

        Returns
        -------
        numpy.ndarray of shape (n_samples, n_classes)
            The probabilities in the order of `classes_`. Each row sums to one.

        Raises
        ------
        ValueError
            If `X` is not as it was in `fit`, or no probabilities can be made of what is known.
        """
        raise NotImplementedError

    def predict(self, X: Any) -> Any:
        """
        Predict the class of least expected cost.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Samples, as in `predict_proba`, which says what raises.

        Returns
        -------
        numpy.ndarray of shape (n_samples,)
            Labels. Among equally good ones a random one, the same in each call.
        """
        return self._cheapest(self.predict_proba(X))

    def score(self, X: Any, y: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None) -> float:
        """
        Measure the accuracy of the predictions.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Samples.
        y : array-like of shape (n_samples,)
            Their true labels, none missing.
        sample_weight : array-like of shape (n_samples,), default=None
            What each sample counts.

        Returns
        -------
        float
            The share of `predict(X)` that equals `y`.

        Raises
        ------
        ValueError
            If a label in `y` is missing.
        """
        labels, missing = split_labels(y, self.missing_label)
        if missing.any():
            raise ValueError(
                f"{missing.sum()} of the labels to score against are missing; leave those samples "
                f"out"
            )
        return float(accuracy_score(narrow(labels), self.predict(X), sample_weight=sample_weight))

    def _samples(self, X: Any, *, reset: bool = False) -> Any:
        """Check samples, as those of the fit that counts unless they are to be those."""
        refuse_masked(X, "X")
        return validate_data(self, X, reset=reset, **self._checks)

    def _labels(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        classes: npt.ArrayLike | None = None,
        *,
        goes_on: bool = False,
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64] | None]:
        """Check what `fit` gets beside X; return labels as codes, missing: -1, and weights.

        What counts nothing is as good as missing: some estimators choke on it.
        """
        refuse_other_order(X=X, y=y, sample_weight=sample_weight)
        classes = self.classes if classes is None else classes
        codes = self._go_on(y, classes) if goes_on else self._start(y, classes)
        if _num_samples(X) != len(codes):
            raise ValueError(f"X has {_num_samples(X)} samples, but y has {len(codes)} labels")
        if sample_weight is None:
            return codes, None
        weights = check_weights(sample_weight, len(codes))
        codes[weights == 0] = -1
        return codes, weights

    def _start(self, y: Any, classes: npt.ArrayLike | None) -> npt.NDArray[np.int64]:
        """Check the labels and the parameters that all classifiers share; return codes."""
        _be_accepted_by_skactiveml(type(self))
        if y is None:  # in words that scikit-learn's checks look for
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is None; "
                "mark labels that are missing with missing_label"
            )
        labels, _ = split_labels(y, self.missing_label)
        if labels.ndim == 2:
            labels = column_or_1d(labels, warn=True)
        codes, self.classes_ = encode_labels(labels, classes, self.missing_label)
        if classes is None:  # are they classes at all, or a quantity to regress on?
            check_classification_targets(self.classes_[codes[codes >= 0]])
        self.cost_matrix_ = self._check_cost_matrix()
        self.random_state_ = check_random_state(self.random_state)
        return codes

    def _go_on(self, y: Any, classes: npt.ArrayLike | None) -> npt.NDArray[np.int64]:
        """Return the labels of a further fit as codes; all classes must be known already."""
        if classes is not None:
            encode_labels(check_classes(classes, self.missing_label), self.classes_)
        codes, _ = encode_labels(y, self.classes_, self.missing_label)
        return codes

    def _check_cost_matrix(self) -> npt.NDArray[np.float64]:
        """Return the costs in the order of `classes_`; unless given, every error costs 1."""
        n_classes = len(self.classes_)
        if self.cost_matrix is None:
            return np.ones((n_classes, n_classes)) - np.eye(n_classes)
        if self.classes is None:
            raise ValueError(
                "cost_matrix needs classes=[...], which say what its rows and columns stand for"
            )
        costs = np.asarray(self.cost_matrix, dtype=np.float64)
        if costs.shape != (n_classes, n_classes):
            raise ValueError(
                f"cost_matrix must have the shape ({n_classes}, {n_classes}), a row and a column "
                f"for each class, but it has the shape {costs.shape}"
            )
        if not np.isfinite(costs).all():
            raise ValueError("cost_matrix must be finite")
        order = np.argsort(check_classes(self.classes, self.missing_label))
        return costs[np.ix_(order, order)]

    def _cheapest(self, proba: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Predict the class of least expected cost, by lot among equals."""
        if self.cost_matrix is None:
            # The same as below, but equal probabilities stay equal to the last bit.
            gain = proba
        else:
            gain = -(proba @ self.cost_matrix_)
        labels: npt.NDArray[Any] = self.classes_[rand_argmax(gain, self.random_state_, axis=1)]
        return labels


def _be_accepted_by_skactiveml(cls: type) -> None:
    """Let scikit-activeml's strategies take our classifiers: registered, where it is imported.

    They ask for an instance of its base class, whose promises ours keep without its code.
    """
    base = getattr(sys.modules.get("skactiveml.base"), "SkactivemlClassifier", None)
    if base is not None:
        base.register(cls)
