"""Strategies that draw by a law of the probabilities, against the law as it is written."""

from collections import Counter

import numpy as np
import pytest
import skactiveml.classifier
import skactiveml.pool
from sklearn.naive_bayes import GaussianNB

import oracle
from labelnext.pool import Falcun, PowerMargin, UncertaintySampling

NAN = np.nan
PLAUSIBLE, REJECTED = 1e-3, 1e-4
PROBA = np.array([[4, 4, 2], [8, 1, 1], [10, 0, 0], [5, 3, 2], [6, 4, 0], [7, 2, 1]]) / 10


class Known:
    """Whose probabilities are the samples."""

    def predict_proba(self, X):
        return X


def ask(strategy, proba=PROBA, **arguments):
    return strategy.query(proba, np.full(len(proba), NAN), Known(), fit_clf=False, **arguments)


def margin(proba):
    top = np.sort(proba, axis=1)
    return 1 - (top[:, -1] - top[:, -2])


def power_law(weights, picked):
    law = weights.copy()
    law[list(picked)] = 0
    if not law.any():
        law[np.setdiff1d(np.arange(len(law)), picked)] = 1
    return law / law.sum()


def falcun_law(proba, gamma, picked):
    """The definition, from the start."""
    unsure = margin(proba)
    distances = unsure.copy()
    for pick in picked:
        distances = np.minimum(distances, np.abs(proba - proba[pick]).sum(axis=1))
        distances -= distances.min()
        if distances.max() > 0:
            distances /= distances.max()
    law = (unsure + distances) ** gamma
    law[list(picked)] = 0
    if not law.any():
        law[np.setdiff1d(np.arange(len(law)), picked)] = 1
    return law / law.sum()


LAWS = [
    (PowerMargin(), lambda picked: power_law(margin(PROBA), picked)),
    (PowerMargin(beta=3), lambda picked: power_law(margin(PROBA) ** 3, picked)),
    (
        PowerMargin("least_confident", beta=0.5),
        lambda picked: power_law((1 - PROBA.max(axis=1)) ** 0.5, picked),
    ),
    (Falcun(), lambda picked: falcun_law(PROBA, 10, picked)),
    (Falcun(gamma=1), lambda picked: falcun_law(PROBA, 1, picked)),
]


@pytest.mark.parametrize(
    ("strategy", "law"),
    [
        # One of each in the quick suite.
        pytest.param(*case, marks=[pytest.mark.slow] * (i not in (1, 3)), id=str(case[0]))
        for i, case in enumerate(LAWS)
    ],
)
def test_batches_have_the_enumerated_probabilities(strategy, law):
    expected = {(): 1.0}
    for _ in range(3):
        expected = {
            (*picked, row): probability * law(picked)[row]
            for picked, probability in expected.items()
            for row in np.flatnonzero(law(picked))
        }
    counts = Counter(
        tuple(ask(strategy.set_params(random_state=seed), batch_size=3).tolist())
        for seed in range(600)
    )
    assert oracle.chi_square(counts, expected) > PLAUSIBLE
    even = dict.fromkeys(expected, 1 / len(expected))
    assert oracle.chi_square(counts, even) < REJECTED


@pytest.mark.parametrize(("strategy", "law"), LAWS, ids=[str(strategy) for strategy, _ in LAWS])
def test_utilities_are_the_law(strategy, law):
    picks, utilities = ask(strategy.set_params(random_state=1), batch_size=6, return_utilities=True)
    for t in range(6):
        expected = law(picks[:t].tolist())
        expected[picks[:t]] = NAN
        np.testing.assert_allclose(utilities[t], expected, atol=1e-12)


@pytest.mark.parametrize("method", ["least_confident", "margin_sampling", "entropy"])
def test_much_power_is_uncertainty_sampling(method):
    proba = np.random.default_rng(0).dirichlet(np.ones(4), size=50)
    picks = ask(PowerMargin(method, beta=1e6), proba, batch_size=20)
    np.testing.assert_array_equal(picks, ask(UncertaintySampling(method), proba, batch_size=20))


def test_without_power_all_are_equally_likely():
    for strategy in (PowerMargin(beta=0), Falcun(gamma=0)):
        proba = PROBA[[0, 1, 3, 4]]
        utilities = ask(strategy, proba, batch_size=2, return_utilities=True)[1]
        np.testing.assert_allclose(utilities[0], 0.25)
        np.testing.assert_allclose(np.nan_to_num(utilities[1], nan=1 / 3), 1 / 3)


def test_certain_samples_come_last_at_random():
    proba = np.eye(3)[[0, 1, 2, 0, 1]]
    proba[3] = [0.5, 0.5, 0]
    orders = set()
    for seed in range(30):
        picks, utilities = ask(
            PowerMargin(random_state=seed), proba, batch_size=5, return_utilities=True
        )
        assert picks[0] == 3
        assert utilities[0].tolist() == [0, 0, 0, 1, 0]
        np.testing.assert_allclose(np.nansum(utilities, axis=1), 1)
        orders.add(tuple(picks))
    assert len(orders) > 10


@pytest.mark.parametrize("seed", range(4))
def test_falcun_is_scikit_activemls(seed):
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(50, 2)), np.full(50, NAN)
    y[:12] = np.arange(12) % 3
    clf = skactiveml.classifier.ParzenWindowClassifier(classes=[0, 1, 2])
    # So steep that nothing is left to chance.
    for gamma, k in ((500, 4), (10, 1)):
        arguments = {"batch_size": k, "return_utilities": True}
        picks, utilities = Falcun(gamma=gamma, random_state=0).query(X, y, clf, **arguments)
        theirs = skactiveml.pool.Falcun(gamma, random_state=0).query(X, y, clf, **arguments)
        np.testing.assert_allclose(utilities[0], theirs[1][0], atol=1e-12)
        if gamma == 500 and np.nanmax(utilities, axis=1).min() > 0.999:
            np.testing.assert_array_equal(picks, theirs[0])
            np.testing.assert_allclose(utilities, theirs[1], atol=1e-9)


@pytest.mark.parametrize(
    ("strategy", "error", "message"),
    [
        (PowerMargin("margin"), ValueError, "one of least_confident, margin_sampling, entropy"),
        (PowerMargin(beta=-1), ValueError, "beta must be finite and at least 0, got -1"),
        (PowerMargin(beta=np.inf), ValueError, "beta must be finite"),
        (PowerMargin(beta="1"), TypeError, "beta must be a number, got '1'"),
        (Falcun(gamma=NAN), ValueError, "gamma must be finite"),
        (Falcun(gamma=True), TypeError, "gamma must be a number, got True"),
    ],
)
def test_bad_parameters(strategy, error, message):
    with pytest.raises(error, match=message):
        strategy.query(np.eye(4), [0, 1, NAN, NAN], GaussianNB())
