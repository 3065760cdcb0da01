"""BAIT against its equation: dense information matrices, inverted anew for each candidate."""

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal
from scipy.linalg import helmert
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier

from labelnext.estimators import proba_and_features
from labelnext.pool import Bait
from labelnext.strategies import _bait
from labelnext.strategies._bait import Design, fisher, seen, spreads_of

NAN = np.nan


def information(p, h):
    """The expected outer product of the gradients, over the classes that may be right."""
    total = np.zeros((p.size * h.size,) * 2)
    for c, probability in enumerate(p):
        gradient = np.kron(p - np.eye(p.size)[c], h)
        total += probability * np.outer(gradient, gradient)
    return total


def naive(proba, features, proba_labeled, features_labeled, k, regularization):
    """Picks, and the trace's fall with each candidate when each of the picks was added."""
    of = [information(p, h) for p, h in zip(proba, features, strict=True)]
    pool = np.mean(of, axis=0)
    gathered = regularization * np.eye(len(pool))
    if len(proba_labeled):
        known = zip(proba_labeled, features_labeled, strict=True)
        gathered = gathered + np.mean([information(p, h) for p, h in known], axis=0)

    def trace(matrix):
        return np.trace(np.linalg.inv(matrix) @ pool)

    added, falls = [], []
    for _ in range(min(2 * k, len(of))):
        falls.append(np.array([trace(gathered) - trace(gathered + info) for info in of]))
        best = max((i for i in range(len(of)) if i not in added), key=lambda i: falls[-1][i])
        added.append(best)
        gathered = gathered + of[best]
    kept = list(range(len(added)))
    while len(kept) > k:
        worst = min(kept, key=lambda t: trace(gathered - of[added[t]]))
        gathered = gathered - of[added[worst]]
        kept.remove(worst)
    return [added[t] for t in kept], [falls[t] for t in kept], kept


def pool(n_classes, n=30, d=3, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)) * rng.exponential(size=(n, 1))
    y = np.where(np.arange(n) < 9, np.arange(n) % n_classes, NAN)
    return X, y


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("regularization", [1.0, 0.01])
@pytest.mark.parametrize("k", [1, 4, 20])
@pytest.mark.parametrize("seed", range(2))
def test_the_equation(n_classes, regularization, k, seed):
    X, y = pool(n_classes, seed=seed)
    clf = LogisticRegression().fit(X[:9], y[:9])
    proba = clf.predict_proba(X)
    expected, falls, _ = naive(proba[9:], X[9:], proba[:9], X[:9], k, regularization)
    picks, utilities = Bait(regularization=regularization).query(
        X, y, LogisticRegression(), batch_size=k, return_utilities=True
    )
    assert (picks - 9).tolist() == expected
    for t, fall in enumerate(falls):
        free = np.setdiff1d(np.arange(21), expected[:t])
        assert_allclose(utilities[t, 9:][free], fall[free], rtol=1e-7, atol=1e-10)
    assert_array_equal(
        Bait(regularization=regularization).query(X, y, LogisticRegression(), batch_size=k), picks
    )


def test_a_sample_that_was_added_early_may_be_taken_away():
    # In these pools the first picks of the forward steps are not what stays.
    n_taken_away = 0
    for seed in range(12):
        X, y = pool(3, seed=seed)
        proba = LogisticRegression().fit(X[:9], y[:9]).predict_proba(X)
        expected, _, kept = naive(proba[9:], X[9:], proba[:9], X[:9], 5, 0.01)
        picks = Bait(regularization=0.01).query(X, y, LogisticRegression(), batch_size=5)
        assert (picks - 9).tolist() == expected
        n_taken_away += kept != list(range(5))
    assert n_taken_away >= 2


def test_the_last_layer_of_a_network():
    X, y = pool(3)
    clf = MLPClassifier((4,), max_iter=2000, random_state=0).fit(X[:9], y[:9])
    proba, features = proba_and_features(clf, X)
    expected = naive(proba[9:], features[9:], proba[:9], features[:9], 3, 1.0)[0]
    assert (Bait().query(X, y, clf, fit_clf=False, batch_size=3) - 9).tolist() == expected


def test_without_labels():
    X, _ = pool(2)
    half = np.full((30, 2), 0.5)
    expected = naive(half, X, half[:0], X[:0], 3, 1.0)[0]
    assert (
        Bait().query(X, np.full(30, NAN), LogisticRegression(), batch_size=3).tolist() == expected
    )


def test_changes_made_together_change_nothing(monkeypatch):
    X, y = pool(3)
    arguments = {"batch_size": 4, "return_utilities": True}
    picks, utilities = Bait().query(X, y, LogisticRegression(), **arguments)
    monkeypatch.setattr(_bait, "LATE", 3)
    in_blocks, same_utilities = Bait().query(X, y, LogisticRegression(), **arguments)
    assert_array_equal(in_blocks, picks)
    assert_allclose(same_utilities, utilities, atol=1e-12)
    sparse = Bait().query(sp.csr_array(X), y, LogisticRegression(), batch_size=4)
    assert_array_equal(sparse, picks)


def test_what_is_added_and_taken_away_leaves_no_trace():
    rng = np.random.default_rng(0)
    features, proba = rng.normal(size=(12, 3)), rng.dirichlet(np.ones(4), size=12)
    design = Design.start(proba, features, 10, 0.5)
    start = [part.copy() for part in (design.inverse, design.weighted, design.seen_weighted)]
    across = np.kron(helmert(4), np.eye(3))
    gathered = (
        0.5 * np.eye(12) + sum(information(proba[row], features[row]) for row in (10, 11)) / 2
    )
    for row in (2, 7, 2):
        rises = design.changes(1)[row]
        design.change(row, 1)
        gathered += information(proba[row], features[row])
        assert_allclose(design.changes(-1)[row], rises, atol=1e-12)
    design.catch_up()
    assert_allclose(design.inverse, across @ np.linalg.inv(gathered) @ across.T, atol=1e-12)
    for row in (7, 2, 2):
        design.change(row, -1)
    design.catch_up()
    end = (design.inverse, design.weighted, design.seen_weighted)
    for before, after in zip(start, end, strict=True):
        assert_allclose(after, before, atol=1e-10)


def test_bad_input():
    X, y = pool(2)
    for wrong, error in ((0.0, ValueError), (-1, ValueError), (NAN, ValueError), ("1", TypeError)):
        with pytest.raises(error, match="regularization must be"):
            Bait(regularization=wrong).query(X, y, LogisticRegression())
    X[20, 1] = np.inf
    with pytest.raises(ValueError, match=r"infinity|Input X"):
        Bait().query(X, y, LogisticRegression())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("n", "d", "n_classes", "strip"), [(7, 5, 3, 1), (40, 6, 2, 8), (4100, 4, 4, 9)]
)
def test_strips_of_fisher_are_the_whole(n, d, n_classes, strip, dtype, monkeypatch):
    monkeypatch.setattr(_bait, "STRIP", strip)
    rng = np.random.default_rng(n)
    proba, h = rng.dirichlet(np.ones(n_classes), size=n), rng.normal(size=(n, d)).astype(dtype)
    wide, across, size = h.astype(np.float64), helmert(n_classes), n_classes - 1
    spreads = np.einsum("ni,ij->nij", proba, np.eye(n_classes)) - proba[:, :, None] * proba[:, None]
    spreads = across @ spreads @ across.T
    assert_allclose(spreads_of(proba), spreads, atol=1e-12)
    expected = np.einsum("nij,na,nb->iajb", spreads, wide, wide, optimize=True) / n
    assert_allclose(fisher(spreads, h), expected.reshape(size * d, -1), atol=1e-12)
    matrices = rng.normal(size=(2, size * d, size * d))
    matrices += matrices.transpose(0, 2, 1)
    for matrix, found in zip(matrices, seen(matrices, h), strict=True):
        blocks = matrix.reshape(size, d, size, d)
        expected = np.einsum("na,iajb,nb->nij", wide, blocks, wide, optimize=True)
        assert_allclose(found, expected, atol=1e-10)
