"""BADGE: batch active learning by diverse gradient embeddings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from labelnext.engine import as_gradients
from labelnext.sampling import d2_sample, d2_utilities
from labelnext.strategies._classifier import ClassifierQueryStrategy
from labelnext.utils import MISSING_LABEL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike

    from labelnext.strategies._base import Picks, Utilities
    from labelnext.strategies._query import Query


class Badge(ClassifierQueryStrategy):
    """
    Batch active learning by diverse gradient embeddings.

    Each candidate stands for the gradient that it would send to the classifier's last linear
    layer, were its most probable class its label [1]_. Long gradients mean uncertain samples.
    The first pick is the longest; each further one is drawn with a probability proportional to
    D², its squared distance to the nearest pick so far, which spreads the batch. The draws
    follow this law exactly, and no gradient is ever built.

    The features, the last layer's input, are those that `predict_proba` returns beside the
    probabilities. If it returns none, they are the output of the transformers for a `Pipeline`,
    the last hidden layer for an `MLPClassifier`, for a network of torch what its last linear
    layer is given, and else X itself. For a classifier that knows fewer than two classes yet,
    the features alone decide.

    Parameters
    ----------
    clf_embedding_flag_name : str, dict or None, default=None
        What makes the classifier's `predict_proba` return `(proba, features)`: the name of an
        argument, which is set to True, or a dict of arguments. Not needed if it does so anyway.
    missing_label : scalar, str or None, default=numpy.nan
        What stands for a missing label.
    random_state : int, RandomState, Generator or None, default=None
        The seed; see `QueryStrategy`. With the same seed, the batch for a smaller `batch_size`
        is the start of that for a larger one.

    condition_on_labeled : bool, default=False
        Whether the labelled samples are centres from the start, so that the batch keeps away
        from them too. They stand for their gradients at their pseudo-labels, as the candidates
        do: at their true labels, a sample that the classifier still gets wrong would not cover
        its own duplicates. The first pick is then drawn by D² as the others are.
    max_per_group : int or None, default=None
        How many picks at most come from one video, patient or document, that is from samples of
        one group by the argument `groups` of `query`. When a group is full its samples are
        candidates no more.

    See Also
    --------
    labelnext.select : The same from arrays of probabilities and features.

    Notes
    -----
    Utilities are the law that each pick was drawn from: rows sum to 1, and the first is 1 at the
    longest gradient. If all D² are 0 the rest of the batch is drawn uniformly. Samples of a
    full group cannot be picked: their utilities are NaN.

    References
    ----------
    .. [1] J. T. Ash, C. Zhang, A. Krishnamurthy, J. Langford and A. Agarwal, "Deep batch active
       learning by diverse, uncertain gradient lower bounds", ICLR 2020.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.linear_model import LogisticRegression
    >>> from labelnext.pool import Badge
    >>> X, y_true = load_digits(return_X_y=True)
    >>> X = X / 16
    >>> y = np.full(len(X), np.nan)
    >>> y[:50] = y_true[:50]
    >>> Badge(random_state=0).query(X, y, LogisticRegression(), batch_size=5)
    array([1747,  536,  429, 1479,   99])

    No more than one sample from each six hundred:

    >>> Badge(max_per_group=1, random_state=0).query(
    ...     X, y, LogisticRegression(), batch_size=3, groups=np.arange(len(X)) // 600
    ... )
    array([1747,  536,  782])
    """

    def __init__(
        self,
        clf_embedding_flag_name: str | Mapping[str, Any] | None = None,
        missing_label: Any = MISSING_LABEL,
        random_state: Any = None,
        condition_on_labeled: bool = False,
        max_per_group: int | None = None,
    ) -> None:
        super().__init__(missing_label=missing_label, random_state=random_state)
        self.clf_embedding_flag_name = clf_embedding_flag_name
        self.condition_on_labeled = condition_on_labeled
        self.max_per_group = max_per_group

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
        groups: ArrayLike | None = None,
    ) -> Picks | tuple[Picks, Utilities]:
        """
        Choose the samples to be labelled next.

        Parameters
        ----------
        X : array-like, sparse matrix or frame of shape (n_samples, ...)
            All samples, labelled or not, as in `ClassifierQueryStrategy.query`, which says more
            of all but `groups`.
        y : array-like of shape (n_samples,)
            Their labels, numbers or strings, some or all of them missing.
        clf : classifier
            Any classifier with `predict_proba`, or a trained `torch.nn.Module`. Not changed.
        fit_clf : bool, default=True
            Whether to fit a copy of `clf`.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the samples for fitting.
        candidates : array-like, default=None
            What to choose from: None for the samples without a label, rows of X, or samples.
        batch_size : int, default=1
            How many samples to choose; at most what there is, with a warning.
        return_utilities : bool, default=False
            Whether to return the utilities too. They do not change the batch.
        groups : array-like of shape (n_samples,) or (n_candidates,), default=None
            With `max_per_group`, the group of each sample of X, or of each candidate if
            `candidates` holds samples: numbers or strings, none of them missing.

        Returns
        -------
        query_indices : numpy.ndarray of shape (batch_size,), int64
            The chosen samples, in the order of the picks: rows of `candidates` if it holds
            samples, else rows of X.
        utilities : numpy.ndarray of shape (batch_size, n_samples) or (batch_size, n_candidates)
            Only if asked for. Row t is the law that pick t was drawn from; NaN at what could
            not be picked.

        Raises
        ------
        TypeError
            If an argument is of the wrong type.
        ValueError
            If an argument does not fit another, an index is no row of X, there is no candidate,
            or `groups` and `max_per_group` are not given together.

        Warns
        -----
        UserWarning
            If there are fewer candidates than `batch_size`, or groups leave fewer.
        """
        return self._query(
            X,
            y,
            candidates=candidates,
            batch_size=batch_size,
            return_utilities=return_utilities,
            fit=self._fitter(clf, fit_clf, sample_weight),
            groups=groups,
            max_per_group=self.max_per_group,
        )

    def _check_parameters(self) -> None:
        if not isinstance(self.condition_on_labeled, bool | np.bool_):
            raise TypeError(
                f"condition_on_labeled must be True or False, got {self.condition_on_labeled!r}."
            )

    def _choose(self, query: Query) -> tuple[Picks, Utilities | None]:
        proba, features = query.proba_and_features(with_labeled=self.condition_on_labeled)
        try:
            pool = as_gradients(proba, features)
        except ValueError as error:
            raise ValueError(f"{error} (Rows are counted among the candidates.)") from error
        # Labelled samples come after the candidates. The groups are of the candidates alone,
        # and so is all that can be picked.
        given: dict[str, Any] = {
            "centres": np.arange(query.n_candidates, pool.n_rows),
            "groups": query.groups,
        }
        picks = d2_sample(pool, query.batch_size, random_state=query.rng, **given).indices
        if not query.return_utilities:
            return picks, None
        return picks, d2_utilities(pool, picks, **given)[:, : query.n_candidates]
