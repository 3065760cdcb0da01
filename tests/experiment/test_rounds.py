"""The cycle: what a round depends on, odd starts, and what is measured beside accuracy."""

import gc
import random

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import cohen_kappa_score
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from labelnext.experiment import Split, simulate, split
from labelnext.experiment._simulate import rounds, with_seed
from labelnext.experiment._stopping import STOP_SET, Watched, kappa
from labelnext.pool import Badge, RandomSampling
from labelnext.utils.random import seeded
from oracle import gradients

X, y = load_digits(return_X_y=True)
X = X / 16
CLF = LogisticRegression()


@pytest.fixture(scope="module")
def parts():
    return split(X, y, seed=0, n_start=12)


def go(parts, strategy=None, clf=CLF, **options):
    return list(
        rounds(strategy or Badge(), clf, parts, **{"batch_size": 10, "n_batches": 3} | options)
    )


class Looks(BaseEstimator):
    """Follows all references from what it is given, and keeps the arrays."""

    found = ()

    def query(self, X, y, clf, fit_clf, batch_size):
        seen, queue = set(), [X, y, clf, fit_clf, batch_size, self.__dict__]
        while queue:
            thing = queue.pop()
            if id(thing) in seen or isinstance(thing, type) or callable(thing):
                continue
            seen.add(id(thing))
            if isinstance(thing, np.ndarray):
                Looks.found += (thing,)
                queue.append(thing.base)
            queue.extend(gc.get_referents(thing))
        return np.flatnonzero(np.isnan(y))[:batch_size]


@pytest.mark.parametrize("clf", [CLF, GaussianNB()])
def test_no_reference_leads_to_the_labels(parts, clf):
    Looks.found = ()
    go(parts, Looks(), clf)
    assert any(array.shape == X[: len(parts.y)].shape for array in Looks.found)  # it did look
    for array in Looks.found:
        # No array knows the label of a sample that has none, nor any label of the test set.
        assert array.shape not in {parts.X_test.shape, parts.y_test.shape}
        if array.shape == parts.y.shape:
            known = np.isfinite(array.astype(float))
            assert known.sum() <= 12 + 2 * 10


def test_labels_of_the_pool_change_no_batch_before_they_are_bought(parts):
    """Other labels for what is unlabelled: the first batch of each strategy is the same."""
    others = parts.y.copy()
    hidden = np.setdiff1d(np.arange(len(others)), parts.start)
    others[hidden] = np.random.default_rng(0).permutation(others[hidden])
    forged = Split(parts.X, others, parts.X_test, parts.y_test, parts.start, parts.seed)
    for strategy in (Badge(), RandomSampling(), Looks()):
        one, other = (go(given, strategy, n_batches=1)[0].picks for given in (parts, forged))
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("cut", [1, 2, 3])
@pytest.mark.parametrize("clf", [CLF, MLPClassifier((8,), max_iter=20)])
def test_a_run_goes_on_as_if_it_had_not_been_cut_off(parts, cut, clf):
    whole = go(parts, clf=clf)
    rest = go(parts, clf=clf, done=[step.picks for step in whole[:cut]])
    assert len(rest) == 4 - cut
    for one, other in zip(whole[cut:], rest, strict=True):
        np.testing.assert_array_equal(one.picks, other.picks)
        assert one.accuracy == other.accuracy
        assert one.agreement == other.agreement
        np.testing.assert_equal(one.potential, other.potential)


class Remembers(BaseEstimator):
    """A strategy with a state of its own, and a model that draws from the global generator."""

    calls = 0

    def query(self, X, y, batch_size):
        self.calls += 1
        return np.flatnonzero(np.isnan(y))[self.calls :: 7][:batch_size]


class Global(ClassifierMixin, BaseEstimator):
    def fit(self, X, y):
        self.classes_ = np.unique(y)
        self.draw_ = np.random.rand() + random.random()  # noqa: NPY002
        return self

    def predict(self, X):
        return self.classes_[(X.sum(axis=1) * self.draw_).astype(int) % len(self.classes_)]


def test_rounds_share_no_state_and_no_generator(parts):
    np.random.seed(5)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    first, second = (go(parts, Remembers(), Global()) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one.picks, other.picks)
        assert one.accuracy == other.accuracy
    rest = go(parts, Remembers(), Global(), done=[step.picks for step in first[:2]])
    np.testing.assert_array_equal(rest[0].picks, first[2].picks)
    assert rest[0].accuracy == first[2].accuracy
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


def test_seeds_reach_the_parts_of_a_pipeline():
    clf = make_pipeline(StandardScaler(), MLPClassifier())
    assert with_seed(clf, 4).get_params()["mlpclassifier__random_state"] == 4
    assert clf.get_params()["mlpclassifier__random_state"] is None


def test_the_global_seed_is_lifted_after_an_error():
    random.seed(1)
    expected = random.random()
    random.seed(1)
    with pytest.raises(ZeroDivisionError), seeded(0):
        random.random() / 0
    assert random.random() == expected


def start_of_one_class(label):
    whole = split(X, y, seed=0, n_start=5)
    start = np.flatnonzero(whole.y == label)[:5]
    return Split(whole.X, whole.y, whole.X_test, whole.y_test, start, 0)


def test_a_start_of_one_class_which_the_model_cannot_learn_from():
    parts = start_of_one_class(3)
    with pytest.raises(ValueError, match="at least 2 classes"):
        CLF.fit(parts.X[parts.start], parts.y[parts.start])
    history = go(parts)
    assert history[0].classes == 1
    assert history[0].accuracy == np.mean(parts.y_test == 3)
    assert history[-1].accuracy > 0.5


class OnlyThree(BaseEstimator):
    """Goes on choosing what is of the class that it knows: the model never gets a second one."""

    def query(self, X, y, batch_size):
        rows = np.flatnonzero(np.isnan(y))
        return rows[split(*load_digits(return_X_y=True), seed=0, n_start=1).y[rows] == 3][
            :batch_size
        ]


def test_a_run_that_never_gets_a_second_class():
    history = go(start_of_one_class(3), OnlyThree())
    assert [step.classes for step in history] == [1] * 4
    assert [step.agreement for step in history[1:]] == [1.0] * 3


def test_classes_absent_from_the_start_are_learned_when_they_are_bought(parts):
    start = np.flatnonzero(parts.y < 2)[:12]
    lacking = Split(parts.X, parts.y, parts.X_test, parts.y_test, start, 0)
    history = go(lacking, n_batches=4)
    assert history[0].classes == 2
    assert history[0].accuracy <= np.mean(parts.y_test < 2)
    assert history[-1].classes == 10
    assert history[-1].accuracy > 0.6


def test_a_model_without_probabilities(parts):
    history = go(parts, RandomSampling(), LinearSVC())
    assert np.isnan([step.potential for step in history]).all()
    assert np.isfinite([step.agreement for step in history[1:]]).all()


def test_sparse_samples_and_frames(parts):
    dense = go(parts, n_batches=1)
    frame = split(pd.DataFrame(X, columns=[f"p{i}" for i in range(64)]), y, seed=0, n_start=12)
    for given in (split(sp.csr_matrix(X), y, seed=0, n_start=12), frame):
        history = go(given, n_batches=1)
        assert [step.accuracy for step in history] == pytest.approx(
            [step.accuracy for step in dense], abs=0.02
        )


def test_kappa_is_cohens():
    rng = np.random.default_rng(0)
    for n_classes in (2, 5):
        one, other = rng.integers(0, n_classes, (2, 100))
        assert kappa(one, other) == pytest.approx(cohen_kappa_score(one, other))
    assert kappa(np.array([1, 1]), np.array([2, 2])) == 0.0


def test_the_potential_is_the_mean_d2_left_by_the_batch(parts):
    model = CLF.__class__().fit(parts.X[:100], parts.y[:100])
    labelled, picks = np.arange(100), np.array([150, 101, 700])
    got = Watched(parts.X, parts.seed).potential(model, labelled, picks)
    assert len(parts.y) <= STOP_SET  # all of the pool is watched
    G = gradients(model.predict_proba(parts.X), parts.X)
    d2 = ((G[:, None] - G[picks]) ** 2).sum(axis=2).min(axis=1)
    assert got == pytest.approx(d2[100:].mean(), rel=1e-5)


def test_the_stop_set_is_bounded_and_drawn_by_the_seed():
    n = STOP_SET + 500
    big = Split(
        np.zeros((n, 1)), np.zeros(n, int), np.zeros((1, 1)), np.zeros(1, int), np.arange(2), 3
    )
    rows = [Watched(big.X, big.seed).rows for _ in range(2)]
    np.testing.assert_array_equal(*rows)
    assert len(np.unique(rows[0])) == STOP_SET
    assert not np.array_equal(rows[0], np.arange(STOP_SET))


@pytest.mark.parametrize("picks", [[0.0, 1.0], [-1, 5], [5, 10**6], [[5, 6]]])
def test_picks_that_are_no_rows(parts, picks):
    class Wrong(BaseEstimator):
        def query(self, X, y, batch_size):
            return np.array(picks)

    with pytest.raises(RuntimeError, match="Wrong must choose 2 distinct"):
        simulate(Wrong(), CLF, parts, batch_size=2, n_batches=1)
