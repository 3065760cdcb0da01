"""Our classifiers in scikit-activeml's strategies, and side by side with its classifiers."""

import abc
import pickle
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from skactiveml import classifier as their_classifiers
from skactiveml import pool as theirs
from skactiveml.base import SkactivemlClassifier
from sklearn.base import clone
from sklearn.datasets import make_blobs
from sklearn.linear_model import LogisticRegression

from labelnext.classifier import ParzenWindowClassifier, SklearnClassifier

PARZEN = (
    ParzenWindowClassifier(classes=[0, 1], random_state=0),
    their_classifiers.ParzenWindowClassifier(classes=[0, 1], random_state=0),
)
LOGISTIC = (
    SklearnClassifier(LogisticRegression(), classes=[0, 1], random_state=0),
    their_classifiers.SklearnClassifier(LogisticRegression(), classes=[0, 1], random_state=0),
)
UNCERTAINTY = theirs.UncertaintySampling(method="entropy", random_state=0)
BADGE = theirs.Badge(random_state=0)
CLUE = theirs.Clue(cluster_algo_dict={"random_state": 0}, random_state=0)
COMMITTEE = theirs.QueryByCommittee(random_state=0)


@pytest.fixture
def blobs():
    X, y = make_blobs(n_samples=40, centers=2, cluster_std=2.0, random_state=0)
    partly = np.full(40, np.nan)
    partly[:6] = y[:6]
    return X, partly


def query(strategy, X, y, clf):
    """Ask a strategy for three samples, naming the classifier as it wants."""
    match strategy:
        case theirs.Clue():
            arguments = {"estimator": clf}
        case theirs.QueryByCommittee():
            arguments = {"ensemble": [clf, clone(clf).set_params(random_state=1)]}
        case _:
            arguments = {"clf": clf}
    return clone(strategy).query(X, y, batch_size=3, return_utilities=True, **arguments)


@pytest.mark.parametrize(
    ("strategy", "classifiers"),
    [
        *((strategy, PARZEN) for strategy in (UNCERTAINTY, BADGE, CLUE, COMMITTEE)),
        *((strategy, LOGISTIC) for strategy in (UNCERTAINTY, BADGE, CLUE, COMMITTEE)),
        (theirs.ProbabilisticAL(random_state=0), PARZEN),  # wants frequencies
        (theirs.MonteCarloEER(random_state=0), PARZEN),  # refits for each candidate
    ],
    ids=lambda value: type(value[0] if isinstance(value, tuple) else value).__name__,
)
def test_their_strategies_pick_by_ours_as_by_their_own(strategy, classifiers, blobs):
    X, y = blobs
    picks, utilities = query(strategy, X, y, classifiers[0])
    expected_picks, expected_utilities = query(strategy, X, y, classifiers[1])
    np.testing.assert_array_equal(picks, expected_picks)
    np.testing.assert_allclose(utilities, expected_utilities, rtol=1e-6, atol=1e-9)


def test_the_one_strategy_that_asks_for_a_class_of_theirs(blobs):
    X, y = blobs
    with pytest.raises(TypeError, match="ParzenWindowClassifier"):
        theirs.EpistemicUncertaintySampling(random_state=0).query(X, y, PARZEN[0])


@pytest.mark.parametrize("clf", [PARZEN[0], LOGISTIC[0]], ids=lambda clf: type(clf).__name__)
def test_ours_pass_as_theirs_without_being_made_of_them(clf):
    assert isinstance(clf, SkactivemlClassifier)
    assert SkactivemlClassifier not in type(clf).__mro__


@pytest.mark.parametrize("then", [lambda c: c.fit([[0], [1]], [0, 1]), pickle.dumps])
@pytest.mark.parametrize("clf", [PARZEN[0], LOGISTIC[0]], ids=lambda clf: type(clf).__name__)
def test_ours_pass_when_theirs_is_imported_after_they_were_made(clf, then, monkeypatch):
    made = clone(clf)
    # Theirs as a second import would make it: nothing has been registered with it.
    late = SimpleNamespace(SkactivemlClassifier=abc.ABCMeta("Late", (), {}))
    monkeypatch.setitem(sys.modules, "skactiveml.base", late)
    assert not isinstance(made, late.SkactivemlClassifier)
    after = then(made)
    after = pickle.loads(after) if isinstance(after, bytes) else after
    assert isinstance(after, late.SkactivemlClassifier)


def test_their_classifiers_and_ours_predict_alike_from_the_first_round_on(blobs):
    X, y = blobs
    for labels in (np.full(40, np.nan), y):
        ours = ParzenWindowClassifier(classes=[0, 1], random_state=3).fit(X, labels)
        their_own = their_classifiers.ParzenWindowClassifier(classes=[0, 1], random_state=3)
        their_own.fit(X, labels)
        np.testing.assert_array_equal(ours.predict(X), their_own.predict(X))


def test_a_classifier_of_theirs_inside_our_wrapper(blobs):
    X, y = blobs
    inner = their_classifiers.ParzenWindowClassifier(classes=[0, 1, 2], random_state=0)
    clf = SklearnClassifier(inner, classes=[0, 1, 2]).fit(X, y)
    np.testing.assert_allclose(
        clf.predict_proba(X),
        ParzenWindowClassifier(classes=[0, 1, 2]).fit(X, y).predict_proba(X),
    )
