"""TypiClust against what is written of it, and scikit-activeml's."""

import numpy as np
import pytest
import skactiveml.pool
from scipy.spatial.distance import cdist
from sklearn.cluster import KMeans

from labelnext.pool import TypiClust

NAN = np.nan
RNG = np.random.default_rng(0)
# The labelled samples last, as the strategy clusters them: k-means depends on the order.
X = RNG.normal(size=(70, 3)) + 4 * RNG.integers(3, size=(70, 1))
Y = np.where(np.arange(70) < 62, NAN, 1.0)


pytestmark = pytest.mark.usefixtures("seeds")


def naive(k, n_neighbors, seeds):
    """All from the start for each pick."""
    n_clusters = len(seeds)
    model = KMeans(n_clusters, init=X[seeds], n_init=1, max_iter=100, tol=0)
    clusters = model.fit_predict(X)
    taken = list(range(62, 70))
    picks = []
    for _ in range(k):
        best = None
        for cluster in range(n_clusters):
            members = np.flatnonzero(clusters == cluster)
            free = [row for row in members if row not in taken]
            key = (sum(row in taken for row in members), -len(members))
            if free and (best is None or key < best[0]):
                best = key, members, free
        _, members, free = best
        distances = np.sort(cdist(X[members], X[members]), axis=1)[:, 1 : n_neighbors + 1]
        mean = dict(zip(members, distances.mean(axis=1), strict=True)) if len(members) > 1 else {}
        # Of a pair, both are at the same distance: the first.
        picks.append(int(min(free, key=lambda row: (round(mean.get(row, 0.0), 9), row))))
        taken.append(picks[-1])
    return picks


@pytest.mark.parametrize(("n_neighbors", "max_clusters"), [(20, 500), (2, 500), (3, 10), (5, 1)])
@pytest.mark.parametrize("k", [1, 6, 15, 50])
def test_picks_are_the_most_typical(k, n_neighbors, max_clusters, seeds):
    strategy = TypiClust(n_neighbors=n_neighbors, max_clusters=max_clusters)
    picks = strategy.query(X, Y, batch_size=k).tolist()
    assert len(seeds[0]) == min(8 + k, max_clusters)
    assert picks == naive(k, n_neighbors, seeds[0])


@pytest.mark.parametrize("k", [4, 8])
def test_from_the_same_clusters_it_is_scikit_activemls(k, seeds):
    # Clusters of different sizes: of equal ones they draw, and so they do of a pair's two.
    sizes = np.arange(3, 3 + k)
    rng = np.random.default_rng(k)
    blobs = np.repeat(40 * rng.normal(size=(k, 3)), sizes, axis=0)
    points = np.vstack([blobs + rng.normal(size=blobs.shape), 500 + 40 * rng.normal(size=(8, 3))])
    y = np.where(np.arange(len(points)) < len(blobs), NAN, 1.0)
    arguments = {"batch_size": k, "return_utilities": True}
    picks, utilities = TypiClust(n_neighbors=5, random_state=0).query(points, y, **arguments)
    start = {"init": points[seeds[0]], "n_init": 1, "max_iter": 100, "tol": 0}
    theirs, their_utilities = skactiveml.pool.TypiClust(k=5, cluster_algo_dict=start).query(
        points, y, **arguments
    )
    sizes = (utilities > 0).sum(axis=1)
    n_same = int(np.argmax(np.append(np.diff(sizes) == 0, True)))  # up to clusters of one size
    assert n_same >= k // 2
    np.testing.assert_array_equal(picks[:n_same], theirs[:n_same])
    for t in range(n_same):
        there = np.isfinite(their_utilities[t])
        # They add a sample's distance to itself, which is the root of the rounding of its square.
        own = np.sqrt(np.finfo(float).eps * (points[:-8] ** 2).sum(axis=1).max())
        rtol = 4 * own * their_utilities[t, there].max()
        assert rtol < 1e-5
        np.testing.assert_allclose(utilities[t, there], their_utilities[t, there], rtol=rtol)


def test_many_clusters_are_found_among_some_samples(seeds):
    rng = np.random.default_rng(0)
    middles = 30 * rng.normal(size=(60, 3))
    points = np.repeat(middles, 100, axis=0) + rng.normal(size=(6000, 3))
    picks = TypiClust(random_state=0).query(points, np.full(6000, NAN), batch_size=60)
    assert len(seeds[0]) == 60
    assert seeds[0].max() < 3000  # among half of them
    assert len(set(picks // 100)) > 50


def test_no_pick_from_a_cluster_that_has_a_label():
    points = np.repeat([[0.0], [10.0], [20.0]], 5, axis=0) + np.arange(15)[:, None] % 5 * 0.1
    y = np.where(np.arange(15) == 14, 1.0, NAN)
    picks = TypiClust(random_state=0).query(points, y, batch_size=2)
    assert sorted(picks) == [2, 7]  # the middle of the two others


@pytest.mark.parametrize("name", ["n_neighbors", "max_clusters", "max_iter"])
@pytest.mark.parametrize(("value", "error"), [(0, ValueError), (2.0, TypeError)])
def test_bad_parameters(name, value, error):
    with pytest.raises(error, match=f"{name} must be"):
        TypiClust(**{name: value}).query(X, Y)
