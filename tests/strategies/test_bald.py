"""BALD and BatchBALD against their equations, and all that may be a committee."""

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    ExtraTreesClassifier,
    RandomForestClassifier,
    VotingClassifier,
)
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from skorch import NeuralNetClassifier
from torch import nn

from labelnext.classifier import ParzenWindowClassifier, SklearnClassifier, SkorchClassifier
from labelnext.pool import Bald
from small_nets import Mlp, same, weights

NAN = np.nan
RNG = np.random.default_rng(0)
N = 40
TRUE = np.arange(N) % 3
X = (2 * np.eye(4)[TRUE] + RNG.normal(size=(N, 4))).astype(np.float32)
Y = np.where(np.arange(N) < 20, TRUE + 3, NAN)  # classes that are not their numbers
POOL = X[20:]


def naive_bald(opinions):
    """The equation, sample by sample."""
    scores = []
    for x in range(opinions.shape[1]):
        mean, within = np.zeros(opinions.shape[2]), 0.0
        for member in opinions[:, x]:
            mean += member / len(opinions)
            within -= sum(p * np.log(p) for p in member if p > 0) / len(opinions)
        scores.append(-sum(p * np.log(p) for p in mean if p > 0) - within)
    return np.array(scores)


def scores_of(clf, y=Y, *, X=X, **arguments):
    parameters = {
        name: arguments.pop(name) for name in ("committee", "n_members") & arguments.keys()
    }
    _, utilities = Bald(random_state=0, **parameters).query(
        X, y, clf, return_utilities=True, **arguments
    )
    return utilities[0, np.isnan(y)]


def opinions(seed=0, n_members=5, n_samples=20, n_classes=3):
    logits = 2 * np.random.default_rng(seed).normal(size=(n_members, n_samples, n_classes))
    return np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)


def test_the_equation():
    asked = []

    def committee(clf, X):
        asked.append((type(clf), len(X)))
        return opinions()

    scores = scores_of(GaussianNB(), committee=committee)
    assert asked == [(GaussianNB, 20)]
    assert_allclose(scores, naive_bald(opinions()), atol=1e-12)
    picks = Bald(committee=committee).query(X, Y, GaussianNB(), batch_size=4)
    assert_array_equal(picks - 20, np.argsort(-scores)[:4])


def test_members_that_are_sure_and_disagree_score_most():
    sure, unsure = np.eye(2)[:, None, :], np.full((2, 1, 2), 0.5)
    scores = scores_of(
        GaussianNB(),
        committee=lambda clf, X: np.concatenate([sure, unsure, np.repeat(sure[:1], 2, 0)], axis=1),
        candidates=[20, 21, 22],
    )
    assert_allclose(scores[:3], [np.log(2), 0, 0], atol=1e-12)


def test_a_list_of_classifiers():
    members = [LogisticRegression(C=C) for C in (0.01, 1.0, 100.0)]
    fitted = [clone(clf).fit(X[:20], Y[:20]) for clf in members]
    expected = naive_bald(np.array([clf.predict_proba(POOL) for clf in fitted]))
    assert_allclose(scores_of(members), expected, atol=1e-6)
    assert_allclose(scores_of(tuple(fitted), fit_clf=False), expected, atol=1e-6)
    assert not hasattr(members[0], "classes_")


ENSEMBLES = [
    RandomForestClassifier(7, min_samples_leaf=3, random_state=0),
    ExtraTreesClassifier(7, min_samples_leaf=3, random_state=0),
    BaggingClassifier(GaussianNB(), 6, max_features=2, random_state=0),
    VotingClassifier([("a", GaussianNB()), ("b", LogisticRegression())], voting="soft"),
]


@pytest.mark.parametrize("ensemble", ENSEMBLES, ids=lambda clf: type(clf).__name__)
def test_the_members_of_an_ensemble(ensemble):
    fitted = clone(ensemble).fit(X[:20], Y[:20])
    columns = getattr(fitted, "estimators_features_", [np.arange(4)] * len(fitted.estimators_))
    expected = naive_bald(
        np.array(
            [
                member.predict_proba(POOL[:, of_member])
                for member, of_member in zip(fitted.estimators_, columns, strict=True)
            ]
        )
    )
    assert expected.max() > 0.01
    assert_allclose(scores_of(ensemble), expected, atol=1e-6)
    assert_allclose(scores_of(fitted, fit_clf=False), expected, atol=1e-6)
    wrapped = SklearnClassifier(ensemble, classes=[3, 4, 5], random_state=0)
    assert scores_of(wrapped).shape == (20,)
    scaled = StandardScaler().fit(X[:20])
    piped = make_pipeline(StandardScaler(), ensemble)
    inside = clone(ensemble).fit(scaled.transform(X[:20]), Y[:20])
    assert_allclose(
        scores_of(piped), scores_of(inside, X=scaled.transform(X), fit_clf=False), atol=1e-6
    )
    frame = pd.DataFrame(X, columns=list("abcd"))
    assert_allclose(scores_of(ensemble, X=frame), expected, atol=1e-6)


def test_members_that_miss_a_class():
    y = Y.copy()
    y[:20] = np.where(np.arange(20) == 3, 5, np.where(np.arange(20) % 2, 3, 4))
    ensemble = BaggingClassifier(KNeighborsClassifier(3), 5, random_state=0)
    fitted = clone(ensemble).fit(X[:20], y[:20])
    assert {len(member.classes_) for member in fitted.estimators_} == {2, 3}
    asked = []
    for member in fitted.estimators_:
        proba = np.zeros((20, 3))
        for column, number in enumerate(member.classes_):
            proba[:, number] = member.predict_proba(POOL)[:, column]
        asked.append(proba)
    assert_allclose(scores_of(ensemble, y), naive_bald(np.array(asked)), atol=1e-6)


def test_copies_of_any_other_classifier():
    # Of a class with one label each copy gets that one; so all copies agree.
    y = np.where(np.arange(N) < 3, Y, NAN)
    assert_allclose(scores_of(GaussianNB(var_smoothing=0.1), y), 0, atol=1e-12)
    for clf in (
        LogisticRegression(),
        AdaBoostClassifier(n_estimators=3),
        make_pipeline(GaussianNB()),
    ):
        few, many = (scores_of(clf, n_members=n) for n in (2, 30))
        assert (many > 0).all()
        assert few.mean() < many.mean()
    named = np.array([None if np.isnan(c) else f"class {c}" for c in Y], dtype=object)
    _, utilities = Bald(missing_label=None, random_state=0).query(
        X, named, LogisticRegression(), return_utilities=True
    )
    assert_allclose(utilities[0, 20:], scores_of(LogisticRegression()), atol=1e-6)
    assert (scores_of(ParzenWindowClassifier(classes=[3, 4, 5])) > 0).all()


def test_copies_are_weighted():
    weights = np.where(np.arange(N) % 2, 1.0, 1e-9)
    half = np.where(np.arange(N) % 2, Y, NAN)
    weighted = scores_of(GaussianNB(), sample_weight=weights)
    assert not np.allclose(weighted, scores_of(GaussianNB()))
    assert scores_of(GaussianNB(), half).shape == (30,)


def net(dropout, **parameters):
    return SkorchClassifier(
        Mlp, module__dropout=dropout, classes=[3, 4, 5], max_epochs=3, random_state=0, **parameters
    )


def test_a_network_with_dropout():
    clf = net(0.5).fit(X, Y)
    module = clf.net_.module_
    before, state, training = weights(module), torch.get_rng_state(), module.dropout.training
    scores = scores_of(clf, n_members=400, fit_clf=False)
    assert same(weights(module), before)
    assert torch.equal(torch.get_rng_state(), state)
    assert module.dropout.training == training
    # The same law, by hand.
    module.dropout.train()
    with torch.no_grad():
        asked = [module(torch.from_numpy(POOL)).softmax(1).numpy() for _ in range(400)]
    module.eval()
    assert_allclose(scores, naive_bald(np.array(asked, dtype=np.float64)), atol=0.02)
    assert scores.max() > 0.03
    # Alone, in a net of skorch, in a pipeline: the same module, the same passes.
    expected = scores_of(clf, fit_clf=False)
    assert_allclose(scores_of(module, fit_clf=False), expected, atol=1e-6)
    plain = NeuralNetClassifier(module, train_split=None, verbose=0).initialize()
    assert_allclose(scores_of(plain, fit_clf=False), expected, atol=1e-6)
    assert_allclose(scores_of(make_pipeline(clf), fit_clf=False), expected, atol=1e-6)
    assert_allclose(scores_of(net(0.5)), expected, atol=1e-6)


def test_one_logit_with_dropout():
    module = nn.Sequential(nn.Dropout(0.5), nn.Linear(4, 1))
    scores = scores_of(module, fit_clf=False)
    assert (scores > 0).any()
    assert (scores < np.log(2)).all()


def test_a_network_without_dropout_is_copied():
    assert scores_of(net(0.0, lr=0.1), n_members=2).max() > 0
    with pytest.raises(TypeError, match="is of one opinion"):
        scores_of(net(0.0).fit(X, Y), fit_clf=False)


@pytest.mark.parametrize(
    "clf",
    [net(0.5), SklearnClassifier(GaussianNB(), classes=[3, 4]), ENSEMBLES[0], [GaussianNB()] * 2],
)
def test_before_there_are_labels(clf):
    assert_array_equal(scores_of(clf, np.full(N, NAN)), 0)


def test_members_that_know_different_classes():
    seen = [np.flatnonzero(i != TRUE) for i in range(3)]
    members = [GaussianNB().fit(X[rows], TRUE[rows] + 3) for rows in seen]
    of_all = np.zeros((3, 20, 3))
    for i, member in enumerate(members):
        of_all[i][:, np.arange(3) != i] = member.predict_proba(POOL)
    expected = naive_bald(of_all)
    assert_allclose(scores_of(members, fit_clf=False), expected, atol=1e-12)
    wide = SklearnClassifier(members[1], classes=[3, 4, 5]).fit(X[seen[1]], TRUE[seen[1]] + 3)
    mixed = [members[0], wide, members[2]]
    assert_allclose(scores_of(mixed, fit_clf=False), expected, atol=1e-12)


def test_a_member_that_has_learned_nothing_holds_all_classes_for_equal():
    y = np.where(np.arange(N) < 4, 3, NAN)
    committee = [ParzenWindowClassifier(classes=[3, 4, 5]), GaussianNB()]
    parzen = committee[0].fit(X, y).predict_proba(X[4:])
    expected = naive_bald(np.stack([parzen, np.full((36, 3), 1 / 3)]))
    assert_allclose(scores_of(committee, y), expected, atol=1e-12)


def test_bad_input():
    def bald(committee=None, clf=None, n_members=5, **arguments):
        clf = GaussianNB() if clf is None else clf
        return Bald(committee=committee, n_members=n_members).query(X, Y, clf, **arguments)

    for n_members, error in ((1, ValueError), (2.0, TypeError), (True, TypeError)):
        with pytest.raises(error, match="n_members must be"):
            bald(n_members=n_members)
    with pytest.raises(TypeError, match="go to query, in a list"):
        bald(committee=[GaussianNB()])
    with pytest.raises(ValueError, match="two classifiers at least, got 1"):
        bald(clf=[GaussianNB()])
    with pytest.raises(TypeError, match="GaussianNB is of one opinion"):
        bald(clf=GaussianNB().fit(X, TRUE), fit_clf=False)
    with pytest.raises(ValueError, match="classes of one kind, got numbers and texts"):
        bald(clf=[GaussianNB().fit(X, TRUE), GaussianNB().fit(X, TRUE.astype(str))], fit_clf=False)
    unnamed = nn.Sequential(nn.Linear(4, 2))
    with pytest.raises(ValueError, match=r"3 classes \[0, 1, 2\], but Sequential gives 2 prob"):
        bald(clf=[GaussianNB().fit(X, TRUE), unnamed], fit_clf=False)
    with pytest.raises(TypeError, match="members of VotingClassifier must have predict_proba"):
        bald(clf=VotingClassifier([("a", SVC())]).fit(X, TRUE), fit_clf=False)
    for wrong in (opinions()[0], opinions(n_samples=21), opinions()[:0]):
        with pytest.raises(ValueError, match=r"shape \(n_members, 20, n_classes\)"):
            bald(lambda clf, X, wrong=wrong: wrong)
    for wrong in (2 * opinions(), -opinions(), opinions() * NAN):
        with pytest.raises(ValueError, match="sum to 1 over the last axis"):
            bald(lambda clf, X, wrong=wrong: wrong)
