"""Clusters of features: the candidates nearest to their centres, or the least sure of each."""

from __future__ import annotations

import warnings
from dataclasses import field
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics.pairwise import euclidean_distances
from sklearn.utils.extmath import row_norms
from threadpoolctl import threadpool_limits

from labelnext.strategies._arguments import check_integer, check_number
from labelnext.strategies._base import QueryStrategy, parameters
from labelnext.strategies._query import Choice, Free, Query
from labelnext.strategies._uncertainty import check_method, uncertainty

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Centres whose distances to all candidates are held at a time.
AT_ONCE = 64


# The clusters need all distances among the candidates in question: 300 MB for so many.
MOST_CLUSTERED = 5000


def k_means(
    features: Any,
    n_clusters: int,
    rng: np.random.Generator,
    max_iter: int,
    weights: NDArray[np.float64] | None = None,
    mini_batch: int | None = None,
) -> KMeans | MiniBatchKMeans:
    """Fit scikit-learn's k-means, the same for the same generator, or that of mini-batches.

    Its threads add up in the order in which they end, so it gets one: else two runs would differ
    in their last digits, and with them in the picks among samples that are equally near.
    """
    seed = int(rng.integers(2**31))
    settings = {"n_init": 1, "max_iter": max_iter, "random_state": seed}
    if mini_batch is None:
        model = KMeans(n_clusters, **settings)
    else:
        model = MiniBatchKMeans(n_clusters, batch_size=mini_batch, **settings)
    with warnings.catch_warnings(), threadpool_limits(1, user_api="openmp"):
        # Fewer distinct points than clusters is nothing to warn of: centres then repeat.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(features, sample_weight=weights)


def nearest_to_each(
    features: Any, centres: NDArray[np.floating[Any]], free: Free, return_utilities: bool
) -> Choice:
    """Pick for each centre in turn the nearest candidate that has not been picked.

    Utilities are minus the distances to the centre. The two members of a cluster of two are
    equally near; so that not rounding decides, the first of those is picked that differ by no
    more.
    """
    n, k = features.shape[0], len(centres)
    rounding = 64 * np.finfo(centres.dtype).eps
    squared_norms = row_norms(centres, squared=True)
    picks, scores = np.empty(k, dtype=np.int64), np.empty(k)
    utilities = np.empty((k, n)) if return_utilities else None
    for lo in range(0, k, AT_ONCE):
        distances = euclidean_distances(centres[lo : lo + AT_ONCE], features, squared=True)
        for t, d2 in enumerate(distances, start=lo):
            left = np.where(free.mask, d2, np.inf)
            least = left.min()
            # Rounding is in proportion to ‖μ‖² + ‖h‖² ≤ 3 (‖μ‖² + d²).
            limit = least + rounding * (squared_norms[t] + least)
            picks[t] = (left <= limit).argmax()
            scores[t] = -np.sqrt(d2[picks[t]])
            if utilities is not None:
                utilities[t] = np.where(free.mask, -np.sqrt(d2), np.nan)
            free.take(int(picks[t]))
    return Choice(picks, utilities, scores)


@parameters
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
    clf_embedding_flag_name, missing_label, random_state : optional
        As in `Badge`.

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

    max_iter: int = 50
    clf_embedding_flag_name: Any = None

    def _check_parameters(self) -> None:
        check_integer("max_iter", self.max_iter, least=1)

    def _choose(self, query: Query) -> Choice:
        features = query.features()
        model = k_means(features, query.k, query.rng, self.max_iter)
        return nearest_to_each(
            features, model.cluster_centers_, query.free(), query.return_utilities
        )


@parameters
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
    max_iter, clf_embedding_flag_name, missing_label, random_state : optional
        As in `KMeansSampling`.

    Notes
    -----
    Utilities and prefixes are as in `KMeansSampling`. The clusters of scikit-activeml are those
    of another seed; from the same centres both pick the same. If the classifier is certain of all
    candidates they weigh the same. The paper divides logits by a temperature first, which a
    calibrated classifier does for itself.

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
    >>> X, y = X / 16, np.where(np.arange(len(X)) < 50, y_true, np.nan)
    >>> picks = Clue(random_state=0).query(X, y, LogisticRegression(), batch_size=10)
    >>> len(set(y_true[picks]))
    9
    """

    needs = ("proba", "features")
    paper = "Prabhu et al., ICCV 2021"
    batches_are_prefixes = False

    method: str = field(default="entropy", kw_only=False)
    max_iter: int = 50
    clf_embedding_flag_name: Any = None

    def _check_parameters(self) -> None:
        check_method(self.method)
        check_integer("max_iter", self.max_iter, least=1)

    def _choose(self, query: Query) -> Choice:
        proba, features = query.proba_and_features()
        # Rounding may leave a certain sample a little below 0.
        weights = np.maximum(uncertainty(np.asarray(proba, dtype=np.float64), self.method), 0.0)
        if not weights.any():
            weights = np.ones(len(weights))
        model = k_means(features, query.k, query.rng, self.max_iter, weights)
        return nearest_to_each(
            features, model.cluster_centers_, query.free(), query.return_utilities
        )


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
