"""Clusters of features: the candidates nearest to their centres, or the least sure of each."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform
from sklearn.metrics.pairwise import euclidean_distances

from labelnext.strategies._base import QueryStrategy, check_count, checked, parameters
from labelnext.strategies._points import lay_out
from labelnext.strategies._query import Choice, Free, Query
from labelnext.strategies._uncertainty import check_method, uncertainty
from labelnext.utils.given import check_number
from labelnext.utils.libraries import without_tensor

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from labelnext.strategies._points import Floats, Points
    from labelnext.strategies._query import Mask

# Centres whose distances to all candidates are held at a time.
AT_ONCE = 16
# Of k seeds of k-means each is the best of 1 + TRIALS · (1 + log k). So many are drawn at a time,
# unless one takes away more than this part of the potential.
TRIALS, TOGETHER, CHANGED = 1, 3, 0.1
# An iteration of k-means that lowers the sum of squares by a smaller part is the last.
TOLERANCE = 1e-4
# The clusters need all distances among the candidates in question: 300 MB for so many.
MOST_CLUSTERED = 5000


def k_means(
    points: Points,
    n_clusters: int,
    rng: np.random.Generator,
    max_iter: int,
    weights: Floats | None = None,
) -> tuple[Floats, NDArray[np.int64]]:
    """Return the centres that Lloyd's iterations end with, and the cluster of each point.

    They end when the sum of squares falls by no more than a small part of it. A cluster that loses
    all its points stays where it was.
    """
    weights = np.ones(points.n) if weights is None else weights
    centres, before = points.places(seeds(points, n_clusters, rng, weights)), np.inf
    for _ in range(max_iter):
        sums = points.sums_by(points.clusters(points.at(centres)), n_clusters, weights)
        of_cluster = np.maximum(sums[:, -1:], np.finfo(float).tiny)
        centres = np.where(sums[:, -1:] > 0, sums[:, :-2] / of_cluster, centres)
        now = sums[:, -2].sum() - (sums[:, -1] * (centres**2).sum(axis=1)).sum()
        if now >= before * (1 - TOLERANCE):
            break
        before = max(now, 0.0)
    return centres, points.clusters(points.at(centres), fetch=True)


def seeds(points: Points, k: int, rng: np.random.Generator, weights: Floats) -> NDArray[np.int64]:
    """Draw k points by D² sampling (k-means++), the best of several that are drawn for each.

    As many as are for a few cost no more to hold against all points; these few are taken, while
    the law that they are drawn from changes little.
    """
    drawn: list[int] = []
    d2, of_each = np.ones(points.n), 1 + int(TRIALS * (1 + np.log(k)))
    while len(drawn) < k:
        levels = np.cumsum(weights * d2)
        more = min(TOGETHER, k - len(drawn)) if drawn else 1
        tickets = rng.random(more * of_each) * levels[-1]
        tried = np.minimum(np.searchsorted(levels, tickets, side="right"), points.n - 1)
        found = points.squared(points.take(tried))
        for _ in range(more):
            if drawn:
                np.minimum(found, d2, out=found)
            potentials = found @ weights
            best = int(potentials.argmin())
            d2 = found[best].copy()
            drawn.append(int(tried[best]))
            if potentials[best] < (1 - CHANGED) * levels[-1]:
                break
    return np.array(drawn)


def nearest_to_centres(
    query: Query, features: Any, free: Free, max_iter: int, weights: Floats | None = None
) -> Choice:
    """Cluster features, and pick for each centre in turn the nearest that has not been picked.

    Utilities are minus the distances to the centre. The two members of a cluster of two are
    equally near; so that not rounding decides, the first of those is picked that differ by no
    more.
    """
    points = lay_out(features, normalize=False)
    centres, _ = k_means(points, query.k, query.rng, max_iter, weights)
    rounding = 64 * np.finfo(np.float32 if points.in_float32 else np.float64).eps
    turns = (
        pair
        for lo in range(0, query.k, AT_ONCE)
        for pair in zip(
            centres[lo : lo + AT_ONCE],
            points.squared(points.at(centres[lo : lo + AT_ONCE])),
            strict=True,
        )
    )

    def step(is_free: Mask) -> tuple[int, float, Floats]:
        centre, d2 = next(turns)
        left = np.where(is_free, d2, np.inf)
        least = left.min()
        # Rounding is in proportion to ‖μ‖² + ‖h‖² ≤ 3 (‖μ‖² + d²).
        limit = least + rounding * ((centre**2).sum() + least)
        pick = int((left <= limit).argmax())
        return pick, -np.sqrt(d2[pick]), -np.sqrt(d2)

    return query.one_by_one(step, free)


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
    start of a larger one. An iteration costs the product of candidates, features and batch size,
    and so do the centres to start from together, the best of a few that are drawn by D² each
    (k-means++). Iterations end when one lowers the sum by less than a ten-thousandth. Tensors on a
    device stay there; the same seed then starts from the same centres, up to rounding.

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

    max_iter: int = checked(check_count, default=50)
    clf_embedding_flag_name: Any = None

    def _choose(self, query: Query) -> Choice:
        features = query.features(on_device=True)
        return nearest_to_centres(query, features, query.free(), self.max_iter)


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
    of another seed; from the same start both pick the same. If the classifier is certain of all
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
    10
    """

    needs = ("proba", "features")
    paper = "Prabhu et al., ICCV 2021"
    batches_are_prefixes = False

    method: str = checked(check_method, default="entropy", kw_only=False)
    max_iter: int = checked(check_count, default=50)
    clf_embedding_flag_name: Any = None

    def _choose(self, query: Query) -> Choice:
        proba, features = query.proba_and_features(on_device=True)
        # Rounding may leave a certain sample a little below 0.
        weights = np.maximum(uncertainty(np.asarray(proba, dtype=np.float64), self.method), 0.0)
        if not weights.any():
            weights = np.ones(len(weights))
        return nearest_to_centres(query, features, query.free(), self.max_iter, weights)


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

    multiplier: float = checked(partial(check_number, least=1), default=10)
    cluster_size: int = checked(check_count, default=10)
    clf_embedding_flag_name: Any = None

    def _choose(self, query: Query) -> Choice:
        proba, features = query.proba_and_features(on_device=True)
        scores = uncertainty(np.asarray(proba, dtype=np.float64), "margin_sampling")
        n = max(min(int(self.multiplier * query.k), MOST_CLUSTERED), query.k)
        # Ties in random order.
        order = np.lexsort((query.rng.random(len(scores)), -scores))
        rows = np.sort(query.first(order, n))
        clusters = np.zeros(len(rows), dtype=np.int64)
        # If all of them are picked it does not matter from which clusters.
        if len(rows) > query.k:
            # Of tensors on a device, only these are fetched.
            clusters = _clusters(without_tensor(features[rows]), -(-len(rows) // self.cluster_size))
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
