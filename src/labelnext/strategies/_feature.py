"""What the query strategies share that look at features, and at no probabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from labelnext.strategies._classifier import ClassifierQueryStrategy

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from labelnext.strategies._base import Picks, Utilities


class FeatureQueryStrategy(ClassifierQueryStrategy):
    """
    Base of the query strategies that look at features alone.

    With a classifier they are the input of its last linear step, as `Badge` has them; without
    one, the samples themselves.

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
        clf: Any = None,
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
            All samples, labelled or not; numbers, if there is no classifier.
        y : array-like of shape (n_samples,)
            Their labels, some or all of them missing.
        clf : classifier, default=None
            Whose features count: any that `Badge.query` takes. None stands for X itself.
        fit_clf : bool, default=True
            Whether to fit a copy of `clf`, as in `Badge.query`.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the samples for fitting.
        candidates : array-like, default=None
            What to choose from, as in `Badge.query`.
        batch_size : int, default=1
            How many samples to choose; at most all candidates, with a warning.
        return_utilities : bool, default=False
            Whether to return the utilities too. They do not change the batch.

        Returns
        -------
        query_indices : numpy.ndarray of shape (batch_size,), int64
            The chosen samples, as in `Badge.query`.
        utilities : numpy.ndarray of shape (batch_size, n_samples) or (batch_size, n_candidates)
            Only if asked for, as in `Badge.query`.

        Raises
        ------
        TypeError
            If an argument is of the wrong type, or the features are not numbers.
        ValueError
            If an argument does not fit another, an index is no row of X, there is no candidate,
            or a feature is NaN or infinite.
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
            fit=None if clf is None else self._fitter(clf, fit_clf, sample_weight),
        )
