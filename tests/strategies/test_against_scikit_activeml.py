"""Faults of scikit-activeml 1.0.1's Badge that ours has not, and what both must agree on.

Each check is a function of the Badge class. It passes on ours and, so that the check itself is
checked, fails on theirs.
"""

import tracemalloc

import numpy as np
import pytest
import skactiveml.classifier
import skactiveml.pool
from skactiveml.pool._uncertainty_sampling import uncertainty_scores
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB

import labelnext.classifier
import oracle
from labelnext.pool import Badge, RandomSampling, UncertaintySampling

NAN = np.nan

# 30 samples at six places; the first two are labelled.
REPEATED = np.repeat([[0.0, 0.0], [1.0, 1.0], [3.0, 3.0], [7.0, 7.0], [1.0, 5.0], [2.0, 0.5]], 5, 0)
FEW_LABELS = np.array([0, NAN, NAN, NAN, NAN, 1] + [NAN] * 24)


def two_classes():
    # Theirs, which both accept.
    return skactiveml.classifier.SklearnClassifier(LogisticRegression(), classes=[0, 1])


def scattered(n=60, seed=0):
    X = np.random.default_rng(seed).normal(size=(n, 3))
    y = np.full(n, NAN)
    y[:10] = X[:10, 0] > 0
    return X, y


def law_of_the_gradients(X, y, clf, picks):
    """What the utilities have to be, from the gradients as vectors."""
    unlabelled = np.flatnonzero(np.isnan(y))
    vectors = oracle.gradients(clf.fit(X, y).predict_proba(X[unlabelled]), X[unlabelled])
    places = np.searchsorted(unlabelled, picks)
    d2 = oracle.squared_distances(vectors)
    law = np.full((len(picks), len(X)), NAN)
    for t in range(len(picks)):
        law[t, unlabelled] = oracle.next_law((vectors**2).sum(axis=1), d2, list(places[:t]))
        law[t, picks[:t]] = NAN
    return law


def check_the_origin_is_no_centre(badge):
    """Their #588: the squared norm, a distance to the origin, stays a bound on D²."""
    X, y = scattered()
    picks, utilities = badge(random_state=0).query(
        X, y, two_classes(), batch_size=5, return_utilities=True
    )
    law = law_of_the_gradients(X, y, two_classes(), np.asarray(picks))
    np.testing.assert_allclose(utilities[1:], law[1:], atol=1e-9)


def check_no_index_twice(badge):
    """Their #586."""
    picks = badge(random_state=0).query(REPEATED, FEW_LABELS, two_classes(), batch_size=20)
    assert len(set(picks)) == 20


def check_utilities_sum_to_1(badge):
    """Their #587."""
    _, utilities = badge(random_state=0).query(
        REPEATED, FEW_LABELS, two_classes(), batch_size=20, return_utilities=True
    )
    np.testing.assert_allclose(np.nansum(utilities, axis=1), 1)


def check_memory(badge):
    """Their #589: n·C·d floats at once, here 32 MB for inputs of 1.6 MB."""
    rng = np.random.default_rng(0)
    n, n_classes, d = 2000, 20, 100
    X, y = rng.normal(size=(n, d)), np.full(n, NAN)
    clf = skactiveml.classifier.SklearnClassifier(GaussianNB(), classes=list(range(n_classes)))
    clf.fit(X, np.arange(n) % n_classes)
    tracemalloc.start()
    try:
        badge(random_state=0).query(X, y, clf, fit_clf=False, batch_size=3)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < n * n_classes * d * 8 / 2


def check_labelled_candidates(badge):
    """Their #591: indices among which some samples have labels."""
    X, y = scattered()
    picks, utilities = badge(random_state=0).query(
        X, y, two_classes(), candidates=[0, 1, 2, 40], batch_size=4, return_utilities=True
    )
    assert sorted(picks) == [0, 1, 2, 40]
    assert np.flatnonzero(~np.isnan(utilities[0])).tolist() == [0, 1, 2, 40]


def check_only_labelled_candidates(badge):
    """Their #591: indices among which all samples have labels."""
    X, y = scattered()
    assert badge(random_state=0).query(X, y, two_classes(), candidates=[3])[0] == 3


def check_an_array_comes_back(badge):
    X, y = scattered()
    picks = badge(random_state=0).query(X, y, two_classes(), batch_size=2)
    assert isinstance(picks, np.ndarray)
    assert picks.dtype == np.int64
    assert picks.shape == (2,)


FAULTS = [
    (check_the_origin_is_no_centre, AssertionError, "Not equal to tolerance"),
    (check_no_index_twice, AssertionError, r"== 20"),
    (check_utilities_sum_to_1, AssertionError, "Not equal to tolerance"),
    (check_memory, AssertionError, "<"),
    (check_labelled_candidates, ValueError, "probabilities contain NaN"),
    (check_only_labelled_candidates, ValueError, r"Found array with 0 sample"),
    (check_an_array_comes_back, AssertionError, "isinstance"),
]


@pytest.mark.parametrize("check", [fault[0] for fault in FAULTS])
def test_ours_is_free_of_the_fault(check):
    check(Badge)


@pytest.mark.parametrize(("check", "error", "message"), FAULTS)
# Theirs divides by a potential of 0 on the way.
@pytest.mark.filterwarnings("ignore:invalid value encountered in divide:RuntimeWarning")
def test_theirs_has_the_fault(check, error, message):
    with pytest.raises(error, match=message):
        check(skactiveml.pool.Badge)


@pytest.mark.parametrize(
    "clf",
    [
        skactiveml.classifier.ParzenWindowClassifier(classes=[0, 1]),
        skactiveml.classifier.MixtureModelClassifier(classes=[0, 1], random_state=0),
        two_classes(),
    ],
    ids=lambda clf: type(clf).__name__,
)
def test_their_classifiers_in_our_strategies(clf):
    X, y = scattered()
    for strategy in (Badge(random_state=0), UncertaintySampling(random_state=0)):
        picks, utilities = strategy.query(X, y, clf, batch_size=5, return_utilities=True)
        assert len(set(picks)) == 5
        assert np.isnan(y[picks]).all()
        assert np.isnan(utilities[:, :10]).all()
    law = law_of_the_gradients(X, y, clf, Badge(random_state=0).query(X, y, clf, batch_size=5))
    given = Badge(random_state=0).query(X, y, clf, batch_size=5, return_utilities=True)[1]
    np.testing.assert_allclose(given, law, atol=1e-9)


@pytest.mark.filterwarnings("ignore:The 'base_estimator' could not be fitted:UserWarning")
@pytest.mark.filterwarnings("ignore:Since the 'base_estimator' could not be fitted:UserWarning")
def test_their_wrapper_without_any_label():
    X, y = scattered()[0], np.full(60, NAN)
    plain = Badge(random_state=0).query(X, y, LogisticRegression(), batch_size=5)
    wrapped = Badge(random_state=0).query(X, y, two_classes(), batch_size=5)
    assert wrapped.tolist() == plain.tolist()


@pytest.mark.parametrize(
    "clf",
    [
        labelnext.classifier.ParzenWindowClassifier(classes=[0, 1]),
        labelnext.classifier.SklearnClassifier(LogisticRegression(), classes=[0, 1]),
    ],
    ids=lambda clf: type(clf).__name__,
)
@pytest.mark.parametrize("name", ["Badge", "UncertaintySampling", "DiscriminativeAL"])
def test_our_classifiers_in_their_strategies(clf, name):
    X, y = scattered()
    strategy = getattr(skactiveml.pool, name)(random_state=0)
    argument = "discriminator" if name == "DiscriminativeAL" else "clf"
    picks = strategy.query(X, y, **{argument: clf}, batch_size=3)
    assert np.isnan(y[picks]).all()


def test_the_first_pick_is_theirs():
    for seed in range(5):
        X, y = scattered(seed=seed)
        assert (
            Badge().query(X, y, two_classes())[0]
            == skactiveml.pool.Badge().query(X, y, two_classes())[0]
        )


@pytest.mark.parametrize("method", ["least_confident", "margin_sampling", "entropy"])
@pytest.mark.parametrize("n_classes", [2, 3, 10])
def test_uncertainty_is_the_same(method, n_classes):
    rng = np.random.default_rng(n_classes)
    X = rng.normal(size=(50, 2))
    y = np.full(50, NAN)
    y[:20] = np.arange(20) % n_classes
    clf = skactiveml.classifier.ParzenWindowClassifier(classes=list(range(n_classes)))
    costs = rng.random((n_classes, n_classes)) * (1 - np.eye(n_classes))
    for cost_matrix in [None] if method == "entropy" else [None, costs]:
        ours = UncertaintySampling(method, cost_matrix=cost_matrix, random_state=0)
        theirs = skactiveml.pool.UncertaintySampling(method, cost_matrix, random_state=0)
        for candidates in (None, [0, 5, 30], rng.normal(size=(7, 2))):
            arguments = {"candidates": candidates, "batch_size": 3, "return_utilities": True}
            picks, utilities = ours.query(X, y, clf, **arguments)
            their_picks, their_utilities = theirs.query(X, y, clf, **arguments)
            np.testing.assert_allclose(utilities, their_utilities, atol=1e-12)
            assert picks.tolist() == their_picks.tolist()


def test_uncertainty_of_probabilities_of_0():
    proba = np.array([[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.2, 0.3, 0.5]])
    for method in ("least_confident", "margin_sampling", "entropy"):
        np.testing.assert_allclose(
            UncertaintySampling(method)._scores(proba), uncertainty_scores(proba, method=method)
        )


def test_random_utilities_are_theirs_as_probabilities():
    X, y = scattered()
    ours = RandomSampling(random_state=0).query(X, y, batch_size=1, return_utilities=True)[1]
    theirs = skactiveml.pool.RandomSampling(random_state=0).query(
        X, y, batch_size=1, return_utilities=True
    )[1]
    np.testing.assert_allclose(ours, theirs / np.nansum(theirs), equal_nan=True)
