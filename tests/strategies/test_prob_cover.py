"""ProbCover against its definition, all pairs at once, and scikit-activeml's."""

import numpy as np
import pytest
import scipy.sparse as sp
import skactiveml.pool
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from sklearn.preprocessing import normalize as to_unit_length

from labelnext.pool import ProbCover
from labelnext.strategies import _points
from labelnext.strategies._cover import largest_pure_radius
from labelnext.strategies._points import lay_out

NAN = np.nan


def pool(seed, n=90, d=4, n_labeled=6, dtype=np.float64):
    """Points around three middles, some of them twice."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)) + 3 * rng.normal(size=(3, d))[rng.integers(3, size=n)]
    X[n // 2 : n // 2 + 5] = X[:5]
    y = np.full(n, NAN)
    y[rng.choice(n, n_labeled, replace=False)] = rng.integers(3, size=n_labeled)
    return X.astype(dtype), y


def unit(X):
    return X / np.linalg.norm(X.astype(np.float64), axis=1, keepdims=True)


def newly_covered(X, y, picks, delta):
    """How many each sample would newly cover before each pick; all samples are candidates."""
    near = cdist(X, X) < delta
    is_open = ~near[~np.isnan(y)].any(axis=0)
    rows = []
    for pick in picks:
        rows.append(near[:, is_open].sum(axis=1))
        is_open &= ~near[pick]
    return np.array(rows)


def assert_greedy(X, y, delta, picks, utilities):
    expected = newly_covered(X, y, picks, delta)
    for t, pick in enumerate(picks):
        there = ~np.isnan(utilities[t])
        assert there.sum() == np.isnan(y).sum() - t
        np.testing.assert_array_equal(utilities[t, there], expected[t, there])
        assert utilities[t, pick] == expected[t, there].max()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_each_pick_covers_most(seed, normalize, dtype):
    X, y = pool(seed, dtype=dtype)
    delta = 0.313 if normalize else 1.234
    strategy = ProbCover(delta=delta, normalize=normalize, random_state=seed)
    answer = strategy.query(X, y, batch_size=25, return_utilities=True)
    assert_greedy(unit(X) if normalize else X, y, delta, *answer)


def test_more_points_than_tiles_hold():
    X, y = pool(0, n=2500, n_labeled=350)
    answer = ProbCover(delta=0.0717, random_state=0).query(
        X, y, batch_size=40, return_utilities=True
    )
    assert_greedy(unit(X), y, 0.0717, *answer)
    # Sparse ones, whose products have another order, too.
    again = ProbCover(delta=0.0717, random_state=0).query(sp.csr_array(X), y, batch_size=40)
    assert again.tolist() == answer[0].tolist()


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_on_any_pool(data):
    n, d = data.draw(st.integers(1, 30)), data.draw(st.integers(1, 3))
    # Whole numbers: many duplicates, zeros, and pairs exactly at the radius.
    cells = st.lists(st.integers(-2, 2), min_size=n * d, max_size=n * d)
    X = np.array(data.draw(cells), dtype=data.draw(st.sampled_from([np.float32, np.float64])))
    X = X.reshape(n, d)
    y = np.where(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)), NAN, 1.0)
    y[0] = NAN
    k = data.draw(st.integers(1, int(np.isnan(y).sum())))
    delta = data.draw(st.sampled_from([1e-9, 1e-3, 1.0, 2.0, 5.0]))
    strategy = ProbCover(delta=delta, normalize=False, random_state=0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_points, "PAIRS_OF_EACH", data.draw(st.sampled_from([0, 200])))
        picks, utilities = strategy.query(X, y, batch_size=k, return_utilities=True)
    assert len(set(picks.tolist())) == k
    # Whole distances are exactly so in the oracle; in tiles they are so up to rounding.
    assert_greedy(X.astype(np.float64), y, delta * (1 - 1e-3), picks, utilities)


@pytest.mark.parametrize("alpha", [0.2, 0.9, 0.95, 1.0])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("n", [100, 2500])
@pytest.mark.parametrize("pairs", [0, 200])
def test_the_radius_is_the_largest_pure_enough(pairs, n, seed, alpha, monkeypatch):
    monkeypatch.setattr(_points, "PAIRS_OF_EACH", pairs)
    X, _ = pool(seed, n=n)
    clusters = np.random.default_rng(seed).choice(3, size=n, p=[0.5, 0.3, 0.2])
    clusters[n // 2 : n // 2 + 5] = clusters[:5]
    found, near = largest_pure_radius(lay_out(X), clusters, alpha)
    assert (near is None) == (pairs == 0)
    distances = cdist(X, X)
    other = clusters[:, None] != clusters

    def purity(delta):
        return 1 - ((distances < delta) & other).any(axis=1).mean()

    assert purity(found * (1 - 1e-9)) >= alpha - 1e-12
    assert purity(found * (1 + 1e-9)) < alpha


def test_the_radius_is_of_clusters():
    # Two far groups of two near ones: with two classes a ball may hold a group, with four not.
    rng = np.random.default_rng(0)
    middles = np.array([[0.0, 0.0], [0.0, 2.0], [20.0, 0.0], [20.0, 2.0]])
    X = np.repeat(middles, 25, axis=0) + 0.1 * rng.normal(size=(100, 2))
    for n_classes, first in ((2, 50), (4, 25)):
        strategy = ProbCover(n_classes=n_classes, alpha=1.0, normalize=False, random_state=0)
        utilities = strategy.query(X, np.full(100, NAN), batch_size=1, return_utilities=True)[1]
        assert utilities.max() == first
    # As many classes as there are labels of.
    y = np.full(100, NAN)
    y[[0, 25, 50, 75]] = [0, 1, 2, 3]
    utilities = ProbCover(alpha=1.0, normalize=False).query(X, y, return_utilities=True)[1]
    assert np.nanmax(utilities) == 0  # the four labelled cover their groups


def test_a_small_radius_is_estimated_in_float64():
    # Two clusters a thousandth apart, beside norms of 1.
    rng = np.random.default_rng(0)
    X = np.array([0.6, 0.8]) + 1e-5 * rng.normal(size=(200, 2))
    X[:100] += [0.8e-3, -0.6e-3]
    X = X.astype(np.float32)
    utilities = ProbCover(alpha=1.0).query(X, np.full(200, NAN), return_utilities=True)[1]
    np.testing.assert_array_equal(utilities, np.full((1, 200), 100.0))


def test_a_bound_of_the_radius_that_is_too_small(monkeypatch):
    # Of every fourth point all are near another cluster, and of the others none.
    X = np.arange(400.0)[:, None] * 100
    X[4::8] = X[::8] + 1
    clusters = np.arange(400) // 4 % 2
    exact = np.sqrt(np.partition(lay_out(X).nearest_of_another(clusters), 200)[200])
    assert largest_pure_radius(lay_out(X), clusters, 0.5) == (exact, None)


def test_when_all_are_covered_lots_decide():
    X, y = np.ones((30, 2)), np.full(30, NAN)
    batches = {
        tuple(ProbCover(delta=0.5, random_state=seed).query(X, y, batch_size=3))
        for seed in range(5)
    }
    assert len(batches) > 1


@pytest.mark.parametrize("seed", range(3))
def test_a_small_radius_in_float32_is_as_in_float64(seed):
    # Distances of a thousandth beside norms of 1: single precision could not tell.
    rng = np.random.default_rng(seed)
    X = (np.array([[0.6, 0.8, 0.0]]) + 1e-3 * rng.normal(size=(200, 3))).astype(np.float32)
    y = np.full(200, NAN)
    answer = ProbCover(delta=4.321e-4, random_state=0).query(
        X, y, batch_size=9, return_utilities=True
    )
    assert_greedy(to_unit_length(X).astype(np.float64), y, 4.321e-4, *answer)
    assert answer[1][0].max() > 3


@pytest.mark.filterwarnings("ignore:The maximum purity was -1")
@pytest.mark.parametrize("seed", range(3))
def test_utilities_are_scikit_activemls(seed):
    """One pick at a time: of equal ones both draw, each from randomness of its own.

    With one radius to try they cluster nothing, and warn of it. Their balls are closed, which is
    the same at a radius that is no distance of two points.
    """
    X, y = pool(seed)
    X = unit(X)
    for _ in range(8):
        ours, utilities = ProbCover(delta=0.313).query(X, y, return_utilities=True)
        _, theirs = skactiveml.pool.ProbCover(deltas=[0.313]).query(X, y, return_utilities=True)
        np.testing.assert_array_equal(utilities, theirs)
        y[ours] = 0.0


@pytest.mark.parametrize(
    ("parameters", "error"),
    [
        ({"delta": 0}, ValueError),
        ({"delta": "1"}, TypeError),
        ({"alpha": 0}, ValueError),
        ({"alpha": 1.5}, ValueError),
        ({"n_classes": 1}, ValueError),
        ({"n_classes": 2.0}, TypeError),
        ({"normalize": 1}, TypeError),
    ],
    ids=str,
)
def test_bad_parameters(parameters, error):
    with pytest.raises(error, match=f"{next(iter(parameters))} must be"):
        ProbCover(**parameters).query(*pool(0))
