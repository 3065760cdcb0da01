"""The samples in the middle of clusters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from labelnext.strategies._base import QueryStrategy
from labelnext.strategies._checks import check_integer
from labelnext.strategies._clusters import k_means, nearest_to_each
from labelnext.utils import MISSING_LABEL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from labelnext.strategies._query import Choice, Query


class KMeansSampling(QueryStrategy):
    """
    Cluster the candidates, and choose the one nearest to each centre.

    K-means with one cluster for each pick finds the centres μ that minimise

        Σ_i  min_t ‖h_i − μ_t‖²

    over the features h of the candidates; pick t is the candidate nearest to μ_t that has not
    been picked. A batch then stands for the pool as it is, not for what is uncertain of it [1]_.

    Parameters
    ----------
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
    Clue : The same with uncertain candidates weighing more.

    Notes
    -----
    Utilities are minus the distances to μ_t. A smaller batch has other clusters: it is not the
    start of a larger one. An iteration costs the product of candidates, features and batch size.

    References
    ----------
    .. [1] F. Zhdanov, "Diverse mini-batch active learning", arXiv:1901.05954, 2019; without its
       weights and its choice of uncertain candidates beforehand.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_digits
    >>> from labelnext.pool import KMeansSampling
    >>> X, y = load_digits(return_X_y=True)
    >>> picks = KMeansSampling(random_state=0).query(X, np.full(len(X), np.nan), batch_size=10)
    >>> len(set(y[picks]))
    9
    """

    needs = ("features",)
    paper = "Zhdanov, 2019"
    batches_are_prefixes = False

    def __init__(
        self,
        max_iter: int = 50,
        clf_embedding_flag_name: str | Mapping[str, Any] | None = None,
        missing_label: Any = MISSING_LABEL,
        random_state: Any = None,
    ) -> None:
        super().__init__(missing_label=missing_label, random_state=random_state)
        self.max_iter = max_iter
        self.clf_embedding_flag_name = clf_embedding_flag_name

    def _check_parameters(self) -> None:
        check_integer("max_iter", self.max_iter, least=1)

    def _choose(self, query: Query) -> Choice:
        features = query.features()
        model = k_means(features, query.k, query.rng, self.max_iter)
        return nearest_to_each(
            features, model.cluster_centers_, query.free(), query.return_utilities
        )
