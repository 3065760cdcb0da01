"""BADGE: batch active learning by diverse gradient embeddings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from labelnext.gradients import as_gradients
from labelnext.models import ColdStart, proba_and_features
from labelnext.pool._classifier import ClassifierQueryStrategy
from labelnext.sampling import d2_sample, d2_utilities
from labelnext.utils import MISSING_LABEL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from labelnext.pool._base import Picks, Utilities
    from labelnext.pool._query import Query


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

    See Also
    --------
    labelnext.select : The same from arrays of probabilities and features.

    Notes
    -----
    Utilities are the law that each pick was drawn from: rows sum to 1, and the first is 1 at the
    longest gradient. If all D² are 0 the rest of the batch is drawn uniformly.

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
    """

    def __init__(
        self,
        clf_embedding_flag_name: str | Mapping[str, Any] | None = None,
        missing_label: Any = MISSING_LABEL,
        random_state: Any = None,
    ) -> None:
        super().__init__(missing_label=missing_label, random_state=random_state)
        self.clf_embedding_flag_name = clf_embedding_flag_name

    def _choose(self, query: Query) -> tuple[Picks, Utilities | None]:
        proba, features = proba_and_features(query.clf, query.X, self.clf_embedding_flag_name)
        if proba.shape[1] == 1:
            proba = ColdStart(query.clf).predict_proba(proba)
        try:
            pool = as_gradients(proba, features)
        except ValueError as error:
            raise ValueError(f"{error} (Rows are counted among the candidates.)") from error
        picks = d2_sample(pool, query.batch_size, random_state=query.rng).indices
        return picks, d2_utilities(pool, picks) if query.return_utilities else None
