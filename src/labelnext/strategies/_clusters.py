"""K-means clusters of features, and the candidates nearest to their centres."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics.pairwise import euclidean_distances
from sklearn.utils.extmath import row_norms
from threadpoolctl import threadpool_limits

from labelnext.strategies._query import Choice

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from labelnext.strategies._query import Free

# Centres whose distances to all candidates are held at a time.
AT_ONCE = 64


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
    picks = np.empty(k, dtype=np.int64)
    utilities = np.empty((k, n)) if return_utilities else None
    is_free, scores = free.mask, np.empty(k)
    for lo in range(0, k, AT_ONCE):
        distances = euclidean_distances(centres[lo : lo + AT_ONCE], features, squared=True)
        for t, d2 in enumerate(distances, start=lo):
            left = np.where(is_free, d2, np.inf)
            least = left.min()
            # Rounding is in proportion to ‖μ‖² + ‖h‖² ≤ 3 (‖μ‖² + d²).
            limit = least + rounding * (squared_norms[t] + least)
            picks[t] = (left <= limit).argmax()
            if utilities is not None:
                utilities[t] = np.where(is_free, -np.sqrt(d2), np.nan)
            scores[t] = -np.sqrt(d2[picks[t]])
            free.take(int(picks[t]))
    return Choice(picks, utilities, scores)
