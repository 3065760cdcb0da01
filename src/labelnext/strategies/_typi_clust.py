"""TypiClust: the most typical sample of each cluster that has no label."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from labelnext.strategies._base import QueryStrategy, check_count, checked, parameters
from labelnext.strategies._clusters import k_means
from labelnext.strategies._points import lay_out

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from labelnext.strategies._points import Points
    from labelnext.strategies._query import Choice, Mask, Query

# Above so many clusters they are found among so many samples each.
MANY, OF_EACH = 50, 50
# Added to a sum of distances, so that the typicality of a duplicate is a number.
SMALLEST = 1e-7


@parameters
class TypiClust(QueryStrategy):
    """
    Choose the most typical sample of each cluster that has no label yet.

    With few labels, typical samples teach more than uncertain ones [1]_. The candidates and the
    labelled samples are clustered by k-means, as many clusters as there would be labels. Each
    pick is from the cluster with the fewest labelled samples and picks, and of these the largest:
    its candidate of the largest typicality

        (1/K  Σ_{j ∈ NN_K(i)} ‖h_i − h_j‖)⁻¹,

    NN_K(i) being the K nearest neighbours of i by their features h within the cluster.

    Parameters
    ----------
    n_neighbors : int, default=20
        K; in a smaller cluster all others are neighbours.
    max_clusters : int, default=500
        At most so many clusters.
    max_iter : int, default=50
        At most so many iterations of k-means.
    clf_embedding_flag_name, missing_label, random_state : optional
        As in `Badge`.

    Notes
    -----
    Above 50 clusters k-means sees 50 samples for each at most, drawn at random, and all go to the
    nearest of its centres; the authors' code takes mini-batches there.

    Utilities are the typicality within the cluster of the pick, 0 in all others. A smaller batch
    has other clusters: it is not the start of a larger one. From the same clusters the picks are
    those of scikit-activeml while there are clusters without a label; then it draws at random,
    and there are a few differences more: it has K = 5 and as many clusters as it takes, and it
    clusters samples of X, too, that are neither labelled nor candidates. If one cluster holds
    most of a large pool, as in a first batch of one or two, its neighbours cost the square of
    its size in time, not in memory.

    References
    ----------
    .. [1] G. Hacohen, A. Dekel and D. Weinshall, "Active learning on a budget: opposite
       strategies suit high and low budgets", ICML 2022.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_digits
    >>> from labelnext.pool import TypiClust
    >>> X, y = load_digits(return_X_y=True)
    >>> picks = TypiClust(random_state=0).query(X, np.full(len(X), np.nan), batch_size=10)
    >>> len(set(y[picks]))
    8
    """

    needs = ("features",)
    looks_at_labeled = True
    paper = "Hacohen et al., ICML 2022"
    batches_are_prefixes = False

    n_neighbors: int = checked(check_count, default=20)
    max_clusters: int = checked(check_count, default=500)
    max_iter: int = checked(check_count, default=50)
    clf_embedding_flag_name: Any = None

    def _choose(self, query: Query) -> Choice:
        features, n = query.features(with_labeled=True, on_device=True), query.n_candidates
        points = lay_out(features, normalize=False)
        n_clusters = min(points.n - n + query.k, self.max_clusters, points.n)
        clusters = self._clusters(points, n_clusters, query.rng)
        of_candidate = clusters[:n]
        sizes = np.bincount(clusters, minlength=n_clusters)
        n_covered = np.bincount(clusters[n:], minlength=n_clusters)
        typicality = np.zeros(n)
        is_known = np.zeros(n_clusters, dtype=bool)

        def step(is_free: Mask) -> tuple[int, float, NDArray[np.float64]]:
            # Only clusters that have a candidate left; the fewest labels, then the largest.
            n_left = np.bincount(of_candidate[is_free], minlength=n_clusters)
            cluster = int(np.lexsort((-sizes, n_covered, n_left == 0))[0])
            members = np.flatnonzero(clusters == cluster)
            if not is_known[cluster]:
                own = members < n
                typicality[members[own]] = self._typicality(points, members)[own]
                is_known[cluster] = True
            n_covered[cluster] += 1
            # The first of those that differ by rounding only, as the two of a pair do.
            free = members[members < n]
            free = free[is_free[free]]
            pick = int(free[typicality[free] >= typicality[free].max() * (1 - 1e-6)][0])
            return pick, typicality[pick], np.where(of_candidate == cluster, typicality, 0.0)

        return query.one_by_one(step)

    def _clusters(
        self, points: Points, n_clusters: int, rng: np.random.Generator
    ) -> NDArray[np.int64]:
        if n_clusters <= MANY or points.n <= OF_EACH * n_clusters:
            return k_means(points, n_clusters, rng, self.max_iter)[1]
        some = points.take(np.sort(rng.choice(points.n, OF_EACH * n_clusters, replace=False)))
        centres, _ = k_means(some, n_clusters, rng, self.max_iter)
        found: NDArray[np.int64] = points.clusters(points.at(centres), fetch=True)
        return found

    def _typicality(self, points: Points, members: NDArray[np.intp]) -> NDArray[np.float64]:
        k = min(self.n_neighbors, len(members) - 1)
        if k == 0:
            return np.ones(1)
        # Each is its own nearest, and adds 0.
        nearest = np.sqrt(points.take(members).in_float64().smallest(k + 1))
        return np.asarray(k / (nearest.sum(axis=1) + SMALLEST))
