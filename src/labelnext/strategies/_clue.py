"""CLUE: clusters of features in which uncertain samples weigh more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from labelnext.strategies._base import QueryStrategy
from labelnext.strategies._checks import check_integer
from labelnext.strategies._clusters import k_means, nearest_to_each
from labelnext.strategies._measures import check_method, uncertainty
from labelnext.strategies._query import Choice, finite
from labelnext.utils import MISSING_LABEL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from labelnext.strategies._query import Query


class Clue(QueryStrategy):
    """
    Cluster the candidates by their features, uncertain ones weighing more.

    With the entropy H_i of the class probabilities and the features h_i of candidate i,
    weighted k-means with one cluster for each pick finds the centres μ that minimise [1]_

        Σ_i  H_i min_t ‖h_i − μ_t‖²,

    and pick t is the candidate nearest to μ_t that has not been picked.

    Parameters
    ----------
    method : {"entropy", "margin_sampling", "least_confident"}, default="entropy"
        The measure of uncertainty, as in `UncertaintySampling`.
    max_iter : int, default=50
        At most so many iterations of k-means.
    clf_embedding_flag_name : str, dict or None, default=None
        What makes the classifier's `predict_proba` return features, as in `Badge`.
    missing_label : scalar, str or None, default=numpy.nan
        What stands for a missing label.
    random_state : int, RandomState, Generator or None, default=None
        The seed; see `QueryStrategy`.

    See Also
    --------
    KMeansSampling : The same without weights.

    Notes
    -----
    Utilities are minus the distances to μ_t, as in scikit-activeml. Its clusters are those of
    another seed; from the same centres both pick the same. If the classifier is certain of all
    candidates they weigh the same. A smaller batch has other clusters: it is not the start of a
    larger one. The paper divides logits by a temperature first, which a calibrated classifier
    does for itself.

    References
    ----------
    .. [1] V. Prabhu, A. Chandrasekaran, K. Saenko and J. Hoffman, "Active domain adaptation via
       clustering uncertainty-weighted embeddings", ICCV 2021.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.linear_model import LogisticRegression
    >>> from labelnext.pool import Clue
    >>> X, y_true = load_digits(return_X_y=True)
    >>> X = X / 16
    >>> y = np.full(len(X), np.nan)
    >>> y[:50] = y_true[:50]
    >>> picks = Clue(random_state=0).query(X, y, LogisticRegression(), batch_size=10)
    >>> len(set(y_true[picks]))
    9
    """

    needs = ("proba", "features")
    paper = "Prabhu et al., ICCV 2021"
    batches_are_prefixes = False

    def __init__(
        self,
        method: str = "entropy",
        max_iter: int = 50,
        clf_embedding_flag_name: str | Mapping[str, Any] | None = None,
        missing_label: Any = MISSING_LABEL,
        random_state: Any = None,
    ) -> None:
        super().__init__(missing_label=missing_label, random_state=random_state)
        self.method = method
        self.max_iter = max_iter
        self.clf_embedding_flag_name = clf_embedding_flag_name

    def _check_parameters(self) -> None:
        check_method(self.method)
        check_integer("max_iter", self.max_iter, least=1)

    def _choose(self, query: Query) -> Choice:
        proba, features = query.proba_and_features()
        features = finite(features)
        # Rounding may leave a certain sample a little below 0.
        weights = np.maximum(uncertainty(np.asarray(proba, dtype=np.float64), self.method), 0.0)
        if not weights.any():
            weights = np.ones(len(weights))
        model = k_means(features, query.k, query.rng, self.max_iter, weights)
        return nearest_to_each(
            features, model.cluster_centers_, query.free(), query.return_utilities
        )
