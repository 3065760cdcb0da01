"""Cluster-Margin: the least sure samples, from as many clusters as there are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform
from sklearn.metrics.pairwise import euclidean_distances

from labelnext.strategies._arguments import check_integer, check_number
from labelnext.strategies._base import QueryStrategy, parameters
from labelnext.strategies._query import Choice, Query
from labelnext.strategies._uncertainty import uncertainty

if TYPE_CHECKING:
    from numpy.typing import NDArray

# The clusters need all distances among the candidates in question: 300 MB for so many.
MOST_CLUSTERED = 5000


@parameters
class ClusterMargin(QueryStrategy):
    """
    Take samples of small margin from all clusters in turn, the smallest first.

    Of a batch of k, the candidates in question are the ``multiplier * k`` of the smallest margin
    p⁽¹⁾ − p⁽²⁾ between their two largest probabilities. Their features are clustered from the
    bottom up with average linkage. Then each cluster in turn, from the smallest to the largest
    and from the start again, gives one of its samples at random, until there are k [1]_.

    Parameters
    ----------
    multiplier : float, default=10
        How many candidates are in question for each pick; at most 5,000 in all, or as many as
        the batch has.
    cluster_size : int, default=10
        How many samples a cluster has on average.
    clf_embedding_flag_name, missing_label, random_state : optional
        As in `Badge`.

    Notes
    -----
    The paper clusters the whole pool, once before all rounds, and cuts the tree at a distance
    that leaves ten samples a cluster on average. Here only the candidates in question are
    clustered, each time again; of a group no more are in question than may be picked. Utilities
    are the law of each pick: equal within its cluster, and 0 in all others; the scores of a batch
    are 1 − margin. A smaller batch is not the start of a larger one.

    References
    ----------
    .. [1] G. Citovsky, G. DeSalvo, C. Gentile, L. Karydas, A. Rajagopalan, A. Rostamizadeh and
       S. Kumar, "Batch active learning at scale", NeurIPS 2021.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.linear_model import LogisticRegression
    >>> from labelnext.pool import ClusterMargin
    >>> X, y_true = load_digits(return_X_y=True)
    >>> X, y = X / 16, np.where(np.arange(len(X)) < 50, y_true, np.nan)
    >>> ClusterMargin(random_state=0).query(X, y, LogisticRegression(), batch_size=3)
    array([1522,  777,  922])
    """

    needs = ("proba", "features")
    paper = "Citovsky et al., NeurIPS 2021"
    batches_are_prefixes = False

    multiplier: float = 10
    cluster_size: int = 10
    clf_embedding_flag_name: Any = None

    def _check_parameters(self) -> None:
        check_number("multiplier", self.multiplier, least=1)
        check_integer("cluster_size", self.cluster_size, least=1)

    def _choose(self, query: Query) -> Choice:
        proba, features = query.proba_and_features()
        scores = uncertainty(np.asarray(proba, dtype=np.float64), "margin_sampling")
        n = max(min(int(self.multiplier * query.k), MOST_CLUSTERED), query.k)
        # Ties in random order.
        order = np.lexsort((query.rng.random(len(scores)), -scores))
        rows = np.sort(query.first(order, n))
        clusters = np.zeros(len(rows), dtype=np.int64)
        # If all of them are picked it does not matter from which clusters.
        if len(rows) > query.k:
            clusters = _clusters(features[rows], -(-len(rows) // self.cluster_size))
        turns = _in_turn(clusters, query.k, query.rng)
        picks = np.array([rows[members[0]] for members in turns])
        if not query.return_utilities:
            return Choice(picks, scores=scores[picks])
        laws = np.zeros((query.k, query.n_candidates))
        for law, members in zip(laws, turns, strict=True):
            law[rows[members]] = 1 / len(members)
        return Choice(picks, query.without_taken(laws, picks), scores[picks])


def _clusters(features: Any, n_clusters: int) -> NDArray[np.int64]:
    """Cluster from the bottom up, with average linkage."""
    tree = linkage(squareform(euclidean_distances(features), checks=False), method="average")
    return np.asarray(fcluster(tree, n_clusters, criterion="maxclust"), dtype=np.int64)


def _in_turn(
    clusters: NDArray[np.int64], k: int, rng: np.random.Generator
) -> list[NDArray[np.int64]]:
    """Return what is left of the cluster that each pick is from; the pick is the first of it."""
    names, sizes = np.unique(clusters, return_counts=True)
    order = names[np.argsort(sizes, kind="stable")]
    members = [rng.permutation(np.flatnonzero(clusters == name)) for name in order]
    turns: list[NDArray[np.int64]] = []
    for turn in range(max(sizes)):
        turns += [own[turn:] for own in members if len(own) > turn]
        if len(turns) >= k:
            break
    return turns[:k]
