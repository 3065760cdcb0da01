"""MaxHerding and uncertainty herding against their equations, all pairs at once."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist, pdist
from sklearn.base import BaseEstimator
from sklearn.calibration import CalibratedClassifierCV
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB

from labelnext.pool import MaxHerding, UncertaintyHerding
from labelnext.strategies import _herding, _points
from labelnext.strategies._herding import Herding, best_temperature, calibration_error, temper
from labelnext.strategies._points import lay_out
from labelnext.strategies._query import Free

NAN = np.nan


def pool(seed, n=120, d=4, n_labeled=10, dtype=np.float64):
    """Points around three middles, one a class, some of them twice."""
    rng = np.random.default_rng(seed)
    true = rng.integers(3, size=n)
    X = rng.normal(size=(n, d)) + 2 * rng.normal(size=(3, d))[true]
    X[n // 2 : n // 2 + 5], true[n // 2 : n // 2 + 5] = X[:5], true[:5]
    y = np.full(n, NAN)
    labeled = rng.choice(n, n_labeled, replace=False)
    y[labeled] = true[labeled]
    return X.astype(dtype), y


def unit(X):
    return X / np.linalg.norm(X.astype(np.float64), axis=1, keepdims=True)


def kernel(X, radius):
    return np.exp(-cdist(X, X, "sqeuclidean") / radius**2)


def gains(X, y, picks, radius, weights):
    """By how much each candidate raises the mean coverage of all, before each pick."""
    k, candidates = kernel(X, radius), np.isnan(y)
    centres = np.flatnonzero(~candidates).tolist()
    rows = []
    for pick in picks:
        floor = k[:, centres].max(axis=1) if centres else np.zeros(len(X))
        more = np.maximum(k - floor[:, None], 0)[candidates]
        rows.append((weights[candidates, None] * more).mean(axis=0))
        centres.append(pick)
    return np.array(rows)


def assert_greedy(X, y, picks, utilities, radius, weights, rtol=1e-9):
    expected = gains(X, y, picks, radius, weights)
    scale = np.abs(expected[0]).max()
    for t, pick in enumerate(picks):
        there = ~np.isnan(utilities[t])
        assert there.sum() == np.isnan(y).sum() - t
        np.testing.assert_allclose(
            utilities[t, there], expected[t, there], rtol=rtol, atol=rtol * scale
        )
        assert expected[t, pick] >= expected[t, there].max() - 2 * rtol * scale


@pytest.mark.parametrize(("dtype", "rtol"), [(np.float64, 1e-9), (np.float32, 2e-5)])
@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("radius", [0.2, 1.0, 3.0])
@pytest.mark.parametrize("n_labeled", [0, 10])
@pytest.mark.parametrize("pairs", [1, 200])
def test_max_herding_is_greedy(pairs, n_labeled, radius, normalize, dtype, rtol, monkeypatch):
    monkeypatch.setattr(_points, "PAIRS_OF_EACH", pairs)
    X, y = pool(1, n_labeled=n_labeled, dtype=dtype)
    strategy = MaxHerding(radius=radius, normalize=normalize, random_state=0)
    picks, utilities = strategy.query(X, y, batch_size=30, return_utilities=True)
    points = unit(X) if normalize else X.astype(np.float64)
    assert_greedy(points, y, picks, utilities, radius, np.ones(len(X)), rtol)


def test_more_points_than_tiles_hold():
    X, y = pool(0, n=2500, n_labeled=350)
    answer = MaxHerding(radius=0.3, random_state=0).query(
        X, y, batch_size=12, return_utilities=True
    )
    assert_greedy(unit(X), y, *answer, 0.3, np.ones(2500))
    again = MaxHerding(radius=0.3, random_state=0).query(sp.csr_array(X), y, batch_size=12)
    assert again.tolist() == answer[0].tolist()


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_lazy_picks_are_the_plain_ones(data):
    n, d = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 3))
    # Quarters: duplicates and points in one line.
    cells = st.lists(st.integers(-4, 4), min_size=n * d, max_size=n * d)
    X = np.array(data.draw(cells), dtype=np.float64).reshape(n, d) / 4
    n_centres = data.draw(st.integers(0, min(3, n - 1)))
    weights = st.lists(st.sampled_from([0.0, 0.3, 1.0, 2.0]), min_size=n, max_size=n)
    weights = np.array(data.draw(weights))[: n - n_centres]
    radius = data.draw(st.sampled_from([0.05, 0.5, 1.0, 4.0]))
    k = data.draw(st.integers(1, n - n_centres))
    lots = np.random.default_rng(n).permutation(n - n_centres)
    free = Free(np.arange(n - n_centres), None)
    with pytest.MonkeyPatch.context() as patch:
        # All pairs kept, none, or so many that they are from some pick on.
        patch.setattr(_points, "PAIRS_OF_EACH", data.draw(st.sampled_from([0, 3, 200])))
        picks, at_pick = Herding(lay_out(X), weights, radius).pick(k, lots, free)
        patch.setattr(_points, "PAIRS_OF_EACH", 0)
        herding = Herding(lay_out(X), weights, radius)
    taken = np.zeros(n - n_centres, dtype=bool)
    assert np.flatnonzero(~free.mask).tolist() == sorted(picks)
    for pick, gain in zip(picks, at_pick, strict=True):
        # All gains anew, and the first by lot of those that are equal up to rounding.
        now = np.where(taken, -np.inf, herding.gains())
        best = np.flatnonzero(now >= now.max() - 1e-9 * abs(now.max()))
        assert pick == best[lots[best].argmin()]
        assert gain == pytest.approx(now[pick], abs=1e-9)
        taken[pick] = True
        herding.add(pick)


def test_lazy_picks_look_at_few(monkeypatch):
    X, y = pool(3, n=4000, n_labeled=100)
    looked_at, plain = [], Herding.gains

    def gains(self, rows=slice(None)):
        looked_at.append(self.points.n if isinstance(rows, slice) else len(rows))
        return plain(self, rows)

    monkeypatch.setattr(Herding, "gains", gains)
    MaxHerding(radius=0.2, random_state=0).query(X, y, batch_size=50)
    assert sum(looked_at) < 3 * 4000


@pytest.mark.parametrize("n_labeled", [0, 100])
def test_pairs_are_kept_once_they_are_few(n_labeled, monkeypatch):
    X, y = pool(3, n=1500, n_labeled=n_labeled)
    with_pairs, plain = [], Herding.gains

    def gains(self, rows=slice(None)):
        with_pairs.append(self.within is not None)
        return plain(self, rows)

    monkeypatch.setattr(Herding, "gains", gains)
    picks = MaxHerding(radius=0.4, random_state=0).query(X, y, batch_size=60)
    assert with_pairs == sorted(with_pairs)
    assert with_pairs[0] == (n_labeled > 0)
    assert with_pairs[-1]
    monkeypatch.setattr(_points, "PAIRS_OF_EACH", 0)
    assert MaxHerding(radius=0.4, random_state=0).query(X, y, batch_size=60).tolist() == [*picks]


def test_gains_equal_up_to_rounding_are_made_anew():
    gains = np.array([1.0, 1.0 - 1e-10, 1.0 - 1e-8, -np.inf])
    is_new = np.array([True, False, False, False])
    assert Herding._might_be_largest(gains, is_new, 9, 1e-9).tolist() == [1]


def test_uncertainty_herding_is_greedy():
    for seed in range(3):
        X, y = pool(seed)
        clf = GaussianNB().fit(X[~np.isnan(y)], y[~np.isnan(y)])
        proba = clf.predict_proba(X) ** (1 / 2.5)
        proba = np.sort(proba / proba.sum(axis=1, keepdims=True), axis=1)
        weights = 1 - (proba[:, -1] - proba[:, -2])
        picks, utilities = UncertaintyHerding(temperature=2.5, random_state=0).query(
            X, y, GaussianNB(), batch_size=20, return_utilities=True
        )
        radius = pdist(unit(X[~np.isnan(y)])).min()
        assert_greedy(unit(X), y, picks, utilities, radius, weights)


@pytest.mark.parametrize("method", ["entropy", "least_confident"])
def test_other_measures(method):
    X, y = pool(0)
    proba = GaussianNB().fit(X[~np.isnan(y)], y[~np.isnan(y)]).predict_proba(X)
    if method == "entropy":
        weights = -(proba * np.log(np.maximum(proba, 1e-300))).sum(axis=1)
    else:
        weights = 1 - proba.max(axis=1)
    picks, utilities = UncertaintyHerding(
        method, radius=0.7, temperature=1.0, random_state=0
    ).query(X, y, GaussianNB(), batch_size=9, return_utilities=True)
    assert_greedy(unit(X), y, picks, utilities, 0.7, weights)


def test_duplicates_of_labelled_samples_leave_the_radius():
    X, y = pool(4)
    labeled = np.flatnonzero(~np.isnan(y))
    expected = UncertaintyHerding(temperature=1).query(X, y, GaussianNB(), return_utilities=True)
    X, y = np.vstack([X, 3 * X[labeled[:2]]]), np.append(y, y[labeled[:2]])
    # Three times as long, but in the same direction.
    clf = GaussianNB().fit(X[labeled], y[labeled])
    arguments = {"fit_clf": False, "return_utilities": True}
    utilities = UncertaintyHerding(temperature=1).query(X, y, clf, **arguments)[1]
    np.testing.assert_allclose(utilities[:, :-2], expected[1], rtol=1e-6, equal_nan=True)


@pytest.mark.parametrize("n_labeled", [0, 1])
def test_without_two_labels_it_is_max_herding(n_labeled):
    X, y = pool(0, n_labeled=n_labeled)
    arguments = {"batch_size": 12, "return_utilities": True}
    expected = MaxHerding(random_state=0).query(X, y, **arguments)
    picks, utilities = UncertaintyHerding(random_state=0).query(X, y, GaussianNB(), **arguments)
    # All margins are 0, and all uncertainties 1.
    assert picks.tolist() == expected[0].tolist()
    np.testing.assert_allclose(utilities, expected[1])


def test_with_a_small_radius_it_is_uncertainty_sampling():
    X, y = pool(5)
    X[60:65] += 1.0  # no duplicates
    strategy = UncertaintyHerding(radius=1e-4, temperature=1)
    picks = strategy.query(X, y, GaussianNB(), batch_size=8)
    proba = np.sort(GaussianNB().fit(X[~np.isnan(y)], y[~np.isnan(y)]).predict_proba(X), axis=1)
    margin = np.where(np.isnan(y), proba[:, -1] - proba[:, -2], np.inf)
    assert picks.tolist() == np.argsort(margin)[:8].tolist()


# The temperature.


@pytest.mark.parametrize("true", [1.0, 2.0, 6.0])
def test_a_temperature_is_found(true):
    rng = np.random.default_rng(0)
    calibrated = rng.dirichlet([0.7, 0.7, 0.7], size=20_000)
    labels = (calibrated.cumsum(axis=1) < rng.random((20_000, 1))).sum(axis=1)
    said = temper(calibrated, 1 / true)
    is_right = said.argmax(axis=1) == labels
    assert best_temperature(said, is_right) == pytest.approx(true, rel=0.1)


def test_calibration_error_is_that_of_bins():
    rng = np.random.default_rng(1)
    proba = rng.dirichlet(np.ones(5), size=400)
    proba[0] = [1, 0, 0, 0, 0]
    is_right = rng.random(400) < 0.6
    confidence, expected = proba.max(axis=1), 0.0
    for b in range(5):
        there = (confidence > b / 5) & (confidence <= (b + 1) / 5)
        if there.any():
            gap = abs(confidence[there].mean() - is_right[there].mean())
            expected += gap * there.mean()
    assert calibration_error(proba, is_right) == pytest.approx(expected)


class Overconfident(BaseEstimator):
    """Sure of one class of two by the first feature, which tells less than it says."""

    def __init__(self, seen=None):
        self.seen = seen

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        self.seen.append(len(y))
        return self

    def predict_proba(self, X):
        p = 1 / (1 + np.exp(-8 * X[:, 0]))
        return np.stack([1 - p, p], axis=1)


def labels_of(y, kind):
    words = np.where(y > 0, "yes", "no")
    return {
        "floats": (y, NAN),
        "integers": (np.where(np.isnan(y), -1, y).astype(int), -1),
        "words": (np.where(np.isnan(y), "", words), ""),
        "objects": (np.where(np.isnan(y), None, words), None),
    }[kind]


@pytest.mark.parametrize("kind", ["floats", "integers", "words", "objects"])
def test_labels_are_held_out_for_the_temperature(kind, monkeypatch):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 2))
    y = (rng.random(400) < 1 / (1 + np.exp(-2 * X[:, 0]))).astype(float)
    y[300:] = NAN
    labels, missing = labels_of(y, kind)
    seen, found, held_out = [], [], _herding.held_out_temperature

    def held_out_temperature(query):
        found.append(held_out(query))
        return found[-1]

    monkeypatch.setattr(_herding, "held_out_temperature", held_out_temperature)
    arguments = {"batch_size": 5, "return_utilities": True}
    strategy = UncertaintyHerding(missing_label=missing, random_state=0)
    utilities = strategy.query(X, labels, Recorder(seen), **arguments)[1]
    assert seen == [300, 210]  # all, and without 90
    assert 2 < found[0] < 8  # 4, were there no chance in it
    strategy.set_params(temperature=found[0])
    np.testing.assert_array_equal(
        strategy.query(X, labels, Recorder(seen), **arguments)[1][0], utilities[0]
    )
    assert len(found) == 1


class Recorder(Overconfident):
    def __sklearn_clone__(self):
        return Recorder(self.seen)


def test_a_fitted_classifier_is_used_as_it_is():
    X, y = pool(0, n_labeled=40)
    clf = Recorder([]).fit(X, y > 0)
    arguments = {"fit_clf": False, "return_utilities": True, "batch_size": 4}
    expected = UncertaintyHerding(temperature=1).query(X, y, clf, **arguments)
    got = UncertaintyHerding().query(X, y, clf, **arguments)
    np.testing.assert_array_equal(got[1], expected[1])
    assert len(clf.seen) == 1


def test_too_few_to_fit_without_some_leaves_the_probabilities():
    X, y = pool(0, n_labeled=0)
    y[:6] = [0, 0, 0, 1, 1, 1]
    clf = CalibratedClassifierCV(GaussianNB(), cv=3)
    arguments = {"batch_size": 3, "return_utilities": True}
    expected = UncertaintyHerding(temperature=1, random_state=0).query(X, y, clf, **arguments)
    got = UncertaintyHerding(random_state=0).query(X, y, clf, **arguments)
    np.testing.assert_array_equal(got[1], expected[1])


def test_all_labelled_samples_may_be_asked_about_again():
    X, y = pool(0, n_labeled=120)
    picks = UncertaintyHerding(random_state=0).query(
        X, y.astype(int), LogisticRegression(), candidates=[3, 5, 8], batch_size=2
    )
    assert set(picks) < {3, 5, 8}


@pytest.mark.parametrize(
    ("strategy", "parameters", "error"),
    [
        (MaxHerding, {"radius": 0}, ValueError),
        (MaxHerding, {"radius": None}, TypeError),
        (MaxHerding, {"normalize": "yes"}, TypeError),
        (UncertaintyHerding, {"radius": -1.0}, ValueError),
        (UncertaintyHerding, {"temperature": 0.0}, ValueError),
        (UncertaintyHerding, {"method": "margin"}, ValueError),
        (UncertaintyHerding, {"normalize": 0}, TypeError),
    ],
    ids=str,
)
def test_bad_parameters(strategy, parameters, error):
    with pytest.raises(error, match=f"{next(iter(parameters))} must be"):
        strategy(**parameters).query(*pool(0), GaussianNB())
