"""Strategies that cluster, against what is written of them."""

import numpy as np
import pytest
import scipy.sparse as sp
import skactiveml.classifier
import skactiveml.pool
from scipy.spatial.distance import cdist
from scipy.stats import chisquare, entropy
from sklearn.cluster import KMeans
from sklearn.naive_bayes import GaussianNB

from labelnext.pool import Clue, KMeansSampling
from labelnext.strategies import _clusters
from labelnext.strategies._points import lay_out

NAN = np.nan
RNG = np.random.default_rng(0)
CENTRES = 20 * RNG.normal(size=(6, 4))
X = np.repeat(CENTRES, 10, axis=0) + RNG.normal(size=(60, 4))
Y = np.where(np.arange(60) % 10 == 0, np.arange(60) // 10 % 2, NAN)
UNLABELLED = np.flatnonzero(np.isnan(Y))


def naive(features, weights, seeds):
    """K-means as scikit-learn has it, and the nearest to each centre in turn."""
    model = KMeans(len(seeds), init=features[seeds], n_init=1, max_iter=100, tol=0)
    centres = model.fit(features, sample_weight=weights).cluster_centers_
    picks = []
    for distances in cdist(centres, features):
        distances[picks] = np.inf
        # Among equal ones, those of a cluster of two say, the first.
        picks.append(int(np.flatnonzero(distances < distances.min() + 1e-9)[0]))
    return picks, centres


@pytest.fixture(autouse=True, params=[64, 1])
def _at_once(request, monkeypatch):
    monkeypatch.setattr(_clusters, "AT_ONCE", request.param)


@pytest.mark.parametrize("k", [1, 4, 11])
def test_the_nearest_to_each_centre(k, seeds):
    clf = GaussianNB().fit(X[~np.isnan(Y)], Y[~np.isnan(Y)])
    weights = entropy(clf.predict_proba(X[UNLABELLED]), axis=1)
    for strategy, given, of in ((KMeansSampling(), None, None), (Clue(), weights, GaussianNB())):
        picks, utilities = strategy.query(X, Y, of, batch_size=k, return_utilities=True)
        expected, centres = naive(X[UNLABELLED], given, seeds[-1])
        np.testing.assert_array_equal(picks, UNLABELLED[expected])
        distances = -cdist(centres, X[UNLABELLED])
        for t in range(k):
            distances[t, expected[:t]] = NAN
        np.testing.assert_allclose(utilities[:, UNLABELLED], distances, atol=1e-6)


def test_seeds_are_spread_as_k_means_plus_plus_spreads_them(seeds):
    # Without a choice among several, the second is drawn by D² and the weights; 0 is never drawn.
    line, weights = lay_out(np.array([[0.0], [1.0], [3.0], [9.0]])), np.array([1.0, 2.0, 1.0, 0.0])
    d2 = np.array([[0, 1, 9], [1, 0, 4], [9, 4, 0]]) * weights[:3]
    law = (weights[:3, None] / 4 * d2 / d2.sum(axis=1, keepdims=True)).ravel()
    rng, counts = np.random.default_rng(0), np.zeros((4, 4))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_clusters, "TRIALS", 0)
        for _ in range(3000):
            first, second = _clusters.seeds(line, 2, rng, weights)
            counts[first, second] += 1
    assert counts[3].sum() == counts[:, 3].sum() == 0
    there = law > 0
    assert chisquare(counts[:3, :3].ravel()[there], 3000 * law[there]).pvalue > 1e-3


@pytest.mark.one_of(2)
def test_centres_are_as_good_as_scikit_learns():
    rng = np.random.default_rng(0)
    for spread, k in ((0.3, 20), (3.0, 20), (1.0, 70)):
        middles = 5 * rng.normal(size=(20, 8))
        points = np.repeat(middles, 120, axis=0) + spread * rng.normal(size=(2400, 8))
        ours = theirs = 0.0
        for seed in range(20):
            laid_out = lay_out(points, normalize=False)
            centres, clusters = _clusters.k_means(laid_out, k, np.random.default_rng(seed), 50)
            ours += laid_out.nearest(laid_out.at(centres)).sum()
            nearest = cdist(laid_out.rows[:, :-2], centres).argmin(axis=1)
            np.testing.assert_array_equal(clusters, nearest)
            theirs += KMeans(k, n_init=1, max_iter=50, random_state=seed).fit(points).inertia_
        assert ours < 1.02 * theirs


def test_one_of_each_cluster():
    picks = KMeansSampling(random_state=0).query(X, Y, batch_size=6)
    assert sorted(picks // 10) == [0, 1, 2, 3, 4, 5]


def test_uncertain_samples_draw_the_centre():
    class Net:
        def predict_proba(self, X):
            # Unsure of those on the right alone.
            return np.where(X[:, :1] > 0, [0.5, 0.5], [1.0, 0.0])

    line = np.linspace(-1, 2, 31)[:, None]
    none = np.full(31, NAN)
    assert line[Clue().query(line, none, Net())[0], 0] == pytest.approx(1.05, abs=0.06)
    assert line[KMeansSampling().query(line, none)[0], 0] == pytest.approx(0.5)


def test_certain_of_all():
    class Sure:
        def predict_proba(self, X):
            return np.tile([1.0, 0.0], (len(X), 1))

    np.testing.assert_array_equal(
        Clue(random_state=0).query(X, Y, Sure(), batch_size=5),
        KMeansSampling(random_state=0).query(X, Y, batch_size=5),
    )


@pytest.mark.parametrize("method", ["entropy", "margin_sampling", "least_confident"])
def test_from_the_same_seeds_clue_is_scikit_activemls(method, seeds):
    clf = skactiveml.classifier.SklearnClassifier(GaussianNB(), classes=[0, 1])
    arguments = {"batch_size": 7, "return_utilities": True}
    picks, utilities = Clue(method).query(X, Y, clf, **arguments)
    start = {"init": X[UNLABELLED][seeds[0]], "n_init": 1, "max_iter": 100, "tol": 0}
    their = skactiveml.pool.Clue(method=method, cluster_algo_dict=start)
    their_picks, their_utilities = their.query(X, Y, clf, **arguments)
    np.testing.assert_array_equal(picks, their_picks)
    np.testing.assert_allclose(utilities, their_utilities, atol=1e-6)


def test_sparse_features_are_clustered_alike():
    dense = np.where(np.abs(X) > 10, X, 0)
    picks = KMeansSampling(random_state=0).query(sp.csr_array(dense), Y, batch_size=6)
    np.testing.assert_array_equal(
        picks, KMeansSampling(random_state=0).query(dense, Y, batch_size=6)
    )


@pytest.mark.parametrize("strategy", [KMeansSampling, Clue])
@pytest.mark.parametrize(("value", "error"), [(0, ValueError), (1.5, TypeError), (True, TypeError)])
def test_bad_iterations(strategy, value, error):
    with pytest.raises(error, match="max_iter must be"):
        strategy(max_iter=value).query(X, Y, GaussianNB())
