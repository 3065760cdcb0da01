"""Cluster-Margin against what is written of it."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.cluster import AgglomerativeClustering
from sklearn.naive_bayes import GaussianNB

from labelnext.pool import ClusterMargin, UncertaintySampling
from labelnext.strategies import _clusters

NAN = np.nan
RNG = np.random.default_rng(0)
X = RNG.normal(size=(90, 3)) + 6 * RNG.integers(3, size=(90, 1))
Y = np.where(np.arange(90) % 6 == 0, (X[:, 1] > 4).astype(float), NAN)
CANDIDATES = np.flatnonzero(np.isnan(Y))
# Whose margins are all different.
MODEL = GaussianNB(var_smoothing=1.0)
CLF = clone(MODEL).fit(X[~np.isnan(Y)], Y[~np.isnan(Y)])


def question(n):
    """The rows of the smallest margins, ascending."""
    top = np.sort(CLF.predict_proba(X[CANDIDATES]), axis=1)
    return np.sort(CANDIDATES[np.argsort(top[:, -1] - top[:, -2], kind="stable")[:n]])


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("k", "multiplier", "cluster_size"), [(5, 10, 10), (6, 3, 4), (12, 2, 3)])
def test_clusters_take_turns_the_smallest_first(k, multiplier, cluster_size, seed):
    strategy = ClusterMargin(multiplier=multiplier, cluster_size=cluster_size, random_state=seed)
    picks, utilities = strategy.query(X, Y, MODEL, batch_size=k, return_utilities=True)
    rows = question(k * multiplier)
    assert np.isin(picks, rows).all()
    model = AgglomerativeClustering(-(-len(rows) // cluster_size), linkage="average")
    clusters = model.fit_predict(X[rows])
    sizes = np.bincount(clusters)
    left = {c: set(rows[clusters == c]) for c in range(len(sizes))}
    # Whose turn it is, by size; which of several of one size comes first is not said.
    turns = sorted((turn, sizes[c]) for c in range(len(sizes)) for turn in range(sizes[c]))
    of = dict(zip(rows, clusters, strict=True))
    counts = np.zeros(len(sizes), dtype=int)
    for t, pick in enumerate(picks):
        cluster = of[pick]
        assert (counts[cluster], sizes[cluster]) == turns[t]
        expected = np.zeros(90)
        expected[list(left[cluster])] = 1 / len(left[cluster])
        free = np.setdiff1d(CANDIDATES, picks[:t])
        np.testing.assert_allclose(utilities[t, free], expected[free])
        left[cluster].remove(pick)
        counts[cluster] += 1


def test_each_sample_of_a_cluster_is_as_likely():
    rows = question(20)
    first = [
        ClusterMargin(multiplier=4, cluster_size=20, random_state=seed).query(
            X, Y, MODEL, batch_size=5
        )[0]
        for seed in range(200)
    ]
    counts = np.bincount(first, minlength=90)
    assert counts[np.setdiff1d(np.arange(90), rows)].sum() == 0
    assert ((counts[rows] - 10) ** 2 / 10).sum() < 43.8  # chi-square, 19 degrees, 0.1 %


def test_with_nothing_to_choose_it_is_margin_sampling():
    picks = ClusterMargin(multiplier=1).query(X, Y, MODEL, batch_size=8)
    margin = UncertaintySampling("margin_sampling").query(X, Y, MODEL, batch_size=8)
    assert set(picks) == set(margin)


def test_no_more_are_clustered_than_fit(monkeypatch):
    monkeypatch.setattr(_clusters, "MOST_CLUSTERED", 12)
    picks = ClusterMargin(random_state=0).query(X, Y, MODEL, batch_size=8)
    assert np.isin(picks, question(12)).all()
    # A larger batch is not clustered at all.
    picks = ClusterMargin(random_state=0).query(X, Y, MODEL, batch_size=20)
    assert set(picks) == set(question(20))


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"multiplier": 0.5}, ValueError, r"multiplier must be finite and at least 1, got 0\.5"),
        ({"multiplier": "2"}, TypeError, "multiplier must be a number, got '2'"),
        ({"cluster_size": 0}, ValueError, "cluster_size must be at least 1, got 0"),
    ],
)
def test_bad_parameters(parameters, error, message):
    with pytest.raises(error, match=message):
        ClusterMargin(**parameters).query(X, Y, MODEL)
