"""What the query strategies share that ask a classifier."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import BaseEstimator, is_classifier, is_regressor
from sklearn.exceptions import NotFittedError

from labelnext.estimators import fit_on_labeled
from labelnext.estimators.delegates import final_step, is_fitted
from labelnext.estimators.networks import is_module
from labelnext.strategies._base import QueryStrategy

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray

    from labelnext.strategies._base import Picks, Utilities


class ClassifierQueryStrategy(QueryStrategy):
    """
    Base of the query strategies that ask a classifier.

    Parameters
    ----------
    missing_label : scalar, str or None, default=numpy.nan
        What stands for a missing label.
    random_state : int, RandomState, Generator or None, default=None
        The seed; see `QueryStrategy`.

    See Also
    --------
    QueryStrategy : The steps of a query, and what to override.
    """

    def query(
        self,
        X: Any,
        y: ArrayLike,
        clf: Any,
        fit_clf: bool = True,
        sample_weight: ArrayLike | None = None,
        candidates: Any = None,
        batch_size: int = 1,
        return_utilities: bool = False,
    ) -> Picks | tuple[Picks, Utilities]:
        """
        Choose the samples to be labelled next.

        Parameters
        ----------
        X : array-like, sparse matrix or frame of shape (n_samples, ...)
            All samples, labelled or not. The classifier gets them as they are, pandas and polars
            frames too; a list of texts will do for a pipeline that takes texts. Images, tokens
            and tensors are samples for a network.
        y : array-like of shape (n_samples,)
            Their labels, numbers or strings, some or all of them missing.
        clf : classifier
            Any classifier with `predict_proba`: of labelnext, of scikit-activeml, of
            scikit-learn, of skorch or made like those; or, with ``fit_clf=False``, a trained
            `torch.nn.Module` whose outputs are logits. It is not changed.
        fit_clf : bool, default=True
            Whether to fit a copy of `clf`. One with a parameter `missing_label` gets all
            samples, any other the labelled ones. While the labels are of fewer than two classes,
            such a classifier can't learn anything: all samples then count as equally uncertain,
            and the transformers of a pipeline are fitted without labels, to the candidates and
            to the labelled samples where a strategy looks at those. If False, `clf` has been
            fitted and is used as it is.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the samples for fitting.
        candidates : array-like, default=None
            What to choose from. None stands for the samples without a label; one dimension of
            integers for these rows of X, labelled or not, repeated ones counting once; and two
            or more dimensions for samples themselves, which need not be in X.
        batch_size : int, default=1
            How many samples to choose; at most all candidates, with a warning.
        return_utilities : bool, default=False
            Whether to return the utilities too. They do not change the batch.

        Returns
        -------
        query_indices : numpy.ndarray of shape (batch_size,), int64
            The chosen samples, in the order of the picks: rows of `candidates` if it holds
            samples, else rows of X.
        utilities : numpy.ndarray of shape (batch_size, n_samples) or (batch_size, n_candidates)
            Only if asked for. Row t is what decided on pick t, in columns that
            `query_indices` refers to; NaN at what could not be picked.

        Raises
        ------
        TypeError
            If `clf` has no `predict_proba`, or an argument is of the wrong type.
        ValueError
            If an argument does not fit another, an index is no row of X, there is no candidate,
            or `clf` and the strategy differ in `missing_label`.
        sklearn.exceptions.NotFittedError
            If `clf` must be fitted already and is not.

        Warns
        -----
        UserWarning
            If there are fewer candidates than `batch_size`.
        """
        return self._query(
            X,
            y,
            candidates=candidates,
            batch_size=batch_size,
            return_utilities=return_utilities,
            fit=self._fitter(clf, fit_clf, sample_weight),
        )

    def _fitter(
        self, clf: Any, fit_clf: bool, sample_weight: ArrayLike | None
    ) -> Callable[[Any, ArrayLike], Any]:
        """Check the classifier and return what fits a copy of it, for `_query`."""
        _check_classifier(clf)
        if not isinstance(fit_clf, bool | np.bool_):
            raise TypeError(f"fit_clf must be True or False, got {fit_clf!r}.")
        if not fit_clf and not is_fitted(clf):
            raise NotFittedError(
                f"With fit_clf=False the classifier is used as it is, but this "
                f"{type(clf).__name__} has not been fitted; fit it, or pass fit_clf=True."
            )

        def fit(X: Any, y: ArrayLike) -> Any:
            weights = _check_weights(sample_weight, X.shape[0])
            fitted = clf
            if fit_clf:
                fitted = fit_on_labeled(clf, X, y, weights, self.missing_label)
            if not is_module(final_step(fitted)):
                _refuse_without_proba(fitted, clf)
            return fitted

        return fit


def _check_classifier(clf: Any) -> None:
    if isinstance(clf, type):
        raise TypeError(f"clf must be a classifier, got the class {clf.__name__}; call it first.")
    if is_module(final_step(clf)):
        return
    # Of some, a StackingClassifier say, only the fitted one knows whether it has predict_proba.
    if not hasattr(type(clf), "predict_proba"):
        _refuse_without_proba(clf, clf)


def _refuse_without_proba(fitted: Any, clf: Any) -> None:
    if hasattr(fitted, "predict_proba"):
        return
    final = final_step(clf)
    name = type(final).__name__
    known = isinstance(final, BaseEstimator)
    fault = ", a regressor" if known and is_regressor(final) else ""
    if final is not clf:
        fault = f", whose last step {name} {'is a regressor' if fault else 'has none'}"
    advice = ""
    if known and is_classifier(final):
        advice = (
            f" Take LogisticRegression, say, or put "
            f"sklearn.calibration.CalibratedClassifierCV({name}(), cv=2) in the place of {name}, "
            f"once there are two labels of each class."
        )
    raise TypeError(
        f"clf must be a classifier with predict_proba, got {type(clf).__name__}{fault}.{advice}"
    )


def _check_weights(sample_weight: ArrayLike | None, n_samples: int) -> NDArray[Any] | None:
    if sample_weight is None:
        return None
    weights = np.asarray(sample_weight)
    if weights.dtype.kind not in "fiub" or not np.isfinite(weights).all():
        raise ValueError("sample_weight must hold finite numbers.")
    if weights.shape != (n_samples,):
        raise ValueError(
            f"sample_weight must have one weight for each sample of X, shape ({n_samples},), got "
            f"{weights.shape}."
        )
    return weights
