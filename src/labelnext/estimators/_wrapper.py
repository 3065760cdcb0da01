"""Any scikit-learn classifier, with missing labels."""

from __future__ import annotations

import inspect
import re
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import MetaEstimatorMixin, is_classifier
from sklearn.utils import _safe_indexing, get_tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import _num_samples, check_is_fitted, has_fit_parameter

from labelnext.estimators._classifier import PartlyLabelledClassifier
from labelnext.estimators.models import copy_of
from labelnext.utils import MISSING_LABEL, encode_labels
from labelnext.utils.encoding import label_dtype
from labelnext.utils.given import refuse_masked, shown


def is_from_elsewhere(estimator: Any) -> bool:
    """Tell whether an estimator, or a part of it, comes from a library that may want numbers."""
    parts = estimator.get_params().values() if hasattr(estimator, "get_params") else ()
    return any(
        hasattr(part, "fit")
        and type(part).__module__.partition(".")[0] not in ("sklearn", "skactiveml", "labelnext")
        for part in (estimator, *parts)
    )


def _estimator_has(method: str) -> Callable[[SklearnClassifier], bool]:
    return lambda self: hasattr(self.estimator, method)


class SklearnClassifier(MetaEstimatorMixin, PartlyLabelledClassifier):  # type: ignore[misc]
    """
    Let any scikit-learn classifier bear missing labels.

    A clone of the classifier is fitted to the labelled samples. Probabilities have a column for
    each given class, also for those that nobody has labelled yet. Without any labels all classes
    are equally likely. While all labels are of one class, a classifier that needs two stays
    unfitted, and that class is predicted. One of another library that refuses the labels as they
    are, as XGBoost does with strings and with a class missing among numbers, is given numbers
    from 0 in their place. What the estimator raises is handed on.

    Further arguments of `fit`, `predict` and `predict_proba` go to the estimator. If it returns a
    tuple of probabilities or labels and more, such as embeddings, so does this classifier.
    Without `cost_matrix` `predict` returns what the estimator predicts. One that takes no
    `sample_weight` is fitted without, with a warning.

    Parameters
    ----------
    estimator : classifier
        A scikit-learn classifier, a pipeline that ends in one, or anything that acts as one. It
        is cloned, never changed.
    include_unlabeled_samples : bool, default=False
        Fit to all samples, those without a label marked by `missing_label`. For semi-supervised
        classifiers, which in scikit-learn expect `missing_label=-1`.
    classes : array-like of shape (n_classes,), default=None
        All classes there are, in any order. None takes those that occur among the labels.
    missing_label : scalar, str or None, default=numpy.nan
        What stands for a missing label.
    cost_matrix : array-like of shape (n_classes, n_classes), default=None
        What it costs to predict `classes[j]` for a sample of `classes[i]`. Needs `classes`, and
        an estimator with `predict_proba`. None leaves `predict` to the estimator.
    random_state : int, RandomState, Generator or None, default=None
        Decides between equally good classes in `predict`, each time in the same way. A
        generator is copied by `fit`, not advanced. The estimator has its own random state.

    Attributes
    ----------
    estimator_ : classifier
        The clone. Its fitted attributes are attributes of this classifier too: `clf.coef_` is
        `clf.estimator_.coef_`.
    classes_ : numpy.ndarray of shape (n_classes,)
        The classes, sorted: the columns of probabilities.
    cost_matrix_ : numpy.ndarray of shape (n_classes, n_classes)
        The costs in the order of `classes_`.

    See Also
    --------
    ParzenWindowClassifier : A classifier for few labels.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from labelnext.classifier import SklearnClassifier
    >>> animals = ["cat", "dog", "eel"]
    >>> clf = SklearnClassifier(LogisticRegression(), classes=animals, missing_label="")
    >>> clf = clf.fit([[0.0], [1.0], [2.0], [3.0]], ["cat", "", "", "dog"])
    >>> clf.predict_proba([[1.0]]).round(2)
    array([[0.59, 0.41, 0.  ]])
    >>> clf.predict([[1.0], [2.5]])
    array(['cat', 'dog'], dtype=object)
    """

    _checks: ClassVar = {"skip_check_array": True}
    # The probabilities of every sample while the estimator is not fitted.
    _stand_in: npt.NDArray[np.float64] | None
    # The places in `classes_` of the numbers from 0 that it was given for labels, if it was.
    _of_numbers: npt.NDArray[np.int64] | None

    def __init__(
        self,
        estimator: Any,
        include_unlabeled_samples: bool = False,
        classes: npt.ArrayLike | None = None,
        missing_label: Any = MISSING_LABEL,
        cost_matrix: npt.ArrayLike | None = None,
        random_state: Any = None,
    ) -> None:
        self._keep(locals())

    def fit(
        self,
        X: Any,
        y: npt.ArrayLike,
        sample_weight: npt.ArrayLike | None = None,
        **fit_kwargs: Any,
    ) -> Self:
        self._check_estimator()
        self._samples(X, reset=True)
        codes, weights = self._labels(X, y, sample_weight)
        self._forget()
        labelled = np.unique(codes[codes >= 0])
        try:
            self._pass_on("fit", X, codes, weights, fit_kwargs)
        except ValueError as error:
            # By scikit-learn's convention, who cannot do with one class says so with this word.
            if len(labelled) != 1 or not re.search(r"\bclass(es)?\b", str(error)):
                raise
            self.estimator_ = copy_of(self.estimator)
            self._stand_in = np.eye(len(self.classes_))[labelled[0]]
        return self

    @available_if(_estimator_has("partial_fit"))  # type: ignore[untyped-decorator]
    def partial_fit(
        self,
        X: Any,
        y: npt.ArrayLike,
        sample_weight: npt.ArrayLike | None = None,
        *,
        classes: npt.ArrayLike | None = None,
        **fit_kwargs: Any,
    ) -> Self:
        """
        Fit further to more samples, where the estimator can.

        Parameters
        ----------
        X, y, sample_weight : array-like
            More samples, as in `fit`, which says what raises.
        classes : array-like of shape (n_classes,), default=None
            All classes there are, for the first call, if the classifier was not given any.
            Without either they are those that occur in the first call.
        **fit_kwargs : dict
            Further arguments of the estimator's `partial_fit`.

        Returns
        -------
        SklearnClassifier
            The fitted classifier itself.

        Raises
        ------
        ValueError
            As in `fit`; or if a label or one of `classes` was not among the classes of the
            first call, or `fit` gave numbers to an estimator that refused the labels.
        """
        self._check_estimator()
        first = not hasattr(self, "estimator_")
        self._samples(X, reset=first)
        codes, weights = self._labels(X, y, sample_weight, classes, goes_on=not first)
        if first:
            self._forget()
        if self._of_numbers is not None:
            raise ValueError(
                f"{type(self.estimator).__name__} refused the labels in fit and was given numbers "
                f"in their place, so it can't be fitted further; call fit with all samples."
            )
        if "classes" in inspect.signature(self.estimator_.partial_fit).parameters:
            fit_kwargs["classes"] = self.classes_
        self._pass_on("partial_fit", X, codes, weights, fit_kwargs)
        return self

    @available_if(_estimator_has("predict_proba"))  # type: ignore[untyped-decorator]
    def predict_proba(self, X: Any, **kwargs: Any) -> Any:
        check_is_fitted(self)
        refuse_masked(X, "X")
        if self._stand_in is not None:
            return self._for_all(X, self._stand_in)
        result = self.estimator_.predict_proba(X, **kwargs)
        if isinstance(result, tuple):
            return (self._columns_of_all_classes(result[0]), *result[1:])
        return self._columns_of_all_classes(result)

    def predict(self, X: Any, **kwargs: Any) -> Any:
        check_is_fitted(self)
        refuse_masked(X, "X")
        if self._stand_in is not None:
            return self._cheapest(self._for_all(X, self._stand_in))
        to_labels: Callable[[Any], npt.NDArray[Any]]
        if self.cost_matrix is None:
            result, to_labels = self.estimator_.predict(X, **kwargs), self._as_labels
        else:
            result, to_labels = self.predict_proba(X, **kwargs), self._cheapest
        if isinstance(result, tuple):
            return (to_labels(result[0]), *result[1:])
        return to_labels(result)

    def __getattr__(self, name: str) -> Any:
        # Only fitted attributes: to have a method of the estimator's is to promise that it bears
        # missing labels and knows all classes.
        if name.endswith("_") and not name.startswith("_") and "estimator_" in self.__dict__:
            return getattr(self.estimator_, name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        inner = get_tags(self.estimator)
        tags.input_tags = inner.input_tags
        tags.classifier_tags = inner.classifier_tags or tags.classifier_tags
        return tags

    def _check_estimator(self) -> None:
        if not is_classifier(self.estimator):
            raise TypeError(
                f"estimator must be a scikit-learn classifier, not {shown(self.estimator)}"
            )
        if self.cost_matrix is not None and not hasattr(self.estimator, "predict_proba"):
            raise ValueError(
                f"cost_matrix needs probabilities, but {shown(self.estimator)} has no predict_proba"
            )

    def _forget(self) -> None:
        """Start with an unfitted estimator: until it has seen labels, others answer for it."""
        n_classes = len(self.classes_)
        self.estimator_ = copy_of(self.estimator)
        self._stand_in = np.full(n_classes, 1.0 / n_classes)
        self._of_numbers = None

    def _pass_on(
        self,
        method: str,
        X: Any,
        codes: npt.NDArray[np.int64],
        weights: npt.NDArray[np.float64] | None,
        kwargs: dict[str, Any],
    ) -> None:
        """Hand the labelled samples to the estimator, if there are any."""
        labelled = codes >= 0
        if not labelled.any():
            return
        labels = np.full(
            len(codes), self.missing_label, dtype=label_dtype(self.classes_, self.missing_label)
        )
        labels[labelled] = self.classes_[codes[labelled]]
        rows = np.arange(len(codes))
        if not self.include_unlabeled_samples:
            rows = np.flatnonzero(labelled)
            labels = self.classes_[codes[rows]]
        if weights is not None:
            if has_fit_parameter(self.estimator_, "sample_weight"):
                kwargs = {**kwargs, "sample_weight": weights[rows]}
            else:
                warnings.warn(
                    f"{type(self.estimator).__name__} takes no sample_weight and is fitted without",
                    stacklevel=3,
                )
        samples = X if len(rows) == len(codes) else _safe_indexing(X, rows)
        self._teach(method, samples, labels, codes[rows], kwargs)
        self._stand_in = None

    def _teach(
        self,
        method: str,
        samples: Any,
        labels: npt.NDArray[Any],
        codes: npt.NDArray[np.int64],
        kwargs: dict[str, Any],
    ) -> None:
        """Hand on labels, or if another library refuses them numbers in their place."""
        try:
            getattr(self.estimator_, method)(samples, labels, **kwargs)
        except (TypeError, ValueError):
            known, numbers = np.unique(codes, return_inverse=True)
            if (
                method != "fit"
                or self.include_unlabeled_samples
                or len(known) < 2
                or np.array_equal(labels, numbers)
                or not is_from_elsewhere(self.estimator)
            ):
                raise
            estimator = copy_of(self.estimator)
            with suppress(TypeError, ValueError):
                self.estimator_ = estimator.fit(samples, numbers, **kwargs)
                self._of_numbers = known
                return
            raise

    def _for_all(self, X: Any, proba: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        self._samples(X)
        return np.tile(proba, (_num_samples(X), 1))

    def _as_labels(self, predicted: Any) -> npt.NDArray[Any]:
        labels: npt.NDArray[Any] = np.asarray(predicted)
        if labels.shape[1:] == (1,):  # CatBoost's
            labels = labels[:, 0]
        if self._of_numbers is not None:
            labels = self.classes_[self._of_numbers[labels.astype(np.int64)]]
        return labels.astype(self.classes_.dtype, copy=False)

    def _columns_of_all_classes(self, output: Any) -> npt.NDArray[Any]:
        """Put the estimator's columns where their classes are in `classes_`."""
        proba: npt.NDArray[Any] = np.asarray(output)
        n_classes = len(self.classes_)
        places = self._of_numbers
        known = getattr(self.estimator_, "classes_", None)
        if places is None and known is not None:
            places, _ = encode_labels(known, self.classes_)
        n_known = n_classes if places is None else len(places)
        if n_known == 2 and proba.shape[1:] in ((), (1,)):  # P(y = 1) alone
            proba = np.column_stack([1 - proba, proba])
        if proba.ndim == 2 and places is not None and proba.shape[1] == n_known:
            pass
        elif proba.ndim == 2 and proba.shape[1] == n_classes and self._of_numbers is None:
            places = np.arange(n_classes)  # a network with an output for each class, seen or not
        else:
            raise ValueError(
                f"the estimator's predict_proba returned an array of shape {proba.shape}, but "
                f"there are {n_classes} classes; it must have a column for each class in the "
                "estimator's classes_, or for each class there is"
            )
        if np.array_equal(places, np.arange(n_classes)):
            return proba
        columns = np.zeros((len(proba), n_classes), dtype=proba.dtype)
        columns[:, places] = proba
        return columns
