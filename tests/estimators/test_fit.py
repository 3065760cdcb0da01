"""Fitting a copy to labels of which some are missing."""

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from skactiveml.classifier import ParzenWindowClassifier as TheirParzenWindowClassifier
from skactiveml.classifier import SklearnClassifier as TheirSklearnClassifier
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.feature_selection import SelectKBest
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from labelnext.classifier import ParzenWindowClassifier, SklearnClassifier
from labelnext.estimators import ColdStart, fit_on_labeled, proba_and_features

RNG = np.random.default_rng(1)
X = RNG.normal(size=(40, 3))
TRUE = (X[:, 0] > 0).astype(float)
Y = np.where(np.arange(40) < 20, TRUE, np.nan)


class Recorder(ClassifierMixin, BaseEstimator):
    """Keeps what it is fitted to."""

    def fit(self, X, y, sample_weight=None):
        self.X_, self.y_, self.sample_weight_ = X, y, sample_weight
        return self

    def predict_proba(self, X):
        return np.full((len(X), 2), 0.5)


class PartRecorder(Recorder):
    """Knows what a missing label is."""

    def __init__(self, missing_label=np.nan):
        self.missing_label = missing_label


def test_a_plain_classifier_gets_the_labelled_rows():
    weights = np.arange(40.0)
    fitted = fit_on_labeled(Recorder(), X, Y, weights)
    np.testing.assert_array_equal(fitted.X_, X[:20])
    np.testing.assert_array_equal(fitted.y_, TRUE[:20])
    np.testing.assert_array_equal(fitted.sample_weight_, weights[:20])


@pytest.mark.parametrize("in_a_pipeline", [False, True])
def test_one_that_knows_of_missing_labels_gets_all_rows(in_a_pipeline):
    clf = PartRecorder()
    weights = np.arange(40.0)
    if in_a_pipeline:
        fitted = fit_on_labeled(make_pipeline(StandardScaler(), clf), X, Y, weights)[-1]
    else:
        fitted = fit_on_labeled(clf, X, Y, weights)
    assert len(fitted.X_) == 40
    np.testing.assert_array_equal(fitted.y_, Y)
    np.testing.assert_array_equal(fitted.sample_weight_, weights)


@pytest.mark.parametrize(
    "clf",
    [
        LogisticRegression(),
        make_pipeline(StandardScaler(), LogisticRegression()),
        make_pipeline(StandardScaler(), make_pipeline(StandardScaler(), GaussianNB())),
        GridSearchCV(make_pipeline(StandardScaler(), GaussianNB()), {}, cv=2),
        make_pipeline(StandardScaler(), GridSearchCV(GaussianNB(), {}, cv=2)),
        SklearnClassifier(LogisticRegression()),
        ParzenWindowClassifier(),
        TheirParzenWindowClassifier(),
        TheirSklearnClassifier(LogisticRegression()),
        make_pipeline(StandardScaler(), TheirSklearnClassifier(LogisticRegression())),
    ],
    ids=lambda clf: repr(clf)[:60].replace("\n", ""),
)
def test_weights_reach_the_classifier(clf):
    # Weights that make up for the rows: each row of class 1 counts nothing but one.
    weights = np.where(TRUE == 1, 1e-6, 1.0)
    before = pickle.dumps(clf)
    even = fit_on_labeled(clf, X, Y, np.ones(40)).predict_proba(X)
    uneven = fit_on_labeled(clf, X, Y, weights).predict_proba(X)
    assert uneven[:, 1].mean() < even[:, 1].mean() - 0.2
    assert pickle.dumps(clf) == before


@pytest.mark.parametrize(
    "clf", [KNeighborsClassifier(), make_pipeline(StandardScaler(), KNeighborsClassifier())]
)
def test_weights_that_a_classifier_does_not_take(clf):
    with pytest.raises(ValueError, match=r"KNeighborsClassifier.fit takes no sample_weight"):
        fit_on_labeled(clf, X, Y, np.ones(40))


@pytest.mark.parametrize("known", [[], [3], [3, 5]])
@pytest.mark.parametrize(
    "clf", [LogisticRegression(), GaussianNB(), GridSearchCV(GaussianNB(), {}, cv=2), Recorder()]
)
def test_fewer_than_two_classes_are_a_cold_start(clf, known):
    y = np.full(40, np.nan)
    y[known] = 7.0
    fitted = fit_on_labeled(clf, X, y)
    assert isinstance(fitted, ColdStart)
    np.testing.assert_array_equal(fitted.predict_proba(X), np.full((40, 2), 0.5))


def test_a_cold_start_does_not_remember_an_earlier_fit():
    clf = make_pipeline(StandardScaler(), LogisticRegression()).fit(X + 100, TRUE)
    features = proba_and_features(fit_on_labeled(clf, X, np.full(40, np.nan)), X)[1]
    np.testing.assert_allclose(features.mean(axis=0), 0, atol=1e-12)


def test_a_cold_start_with_a_step_that_needs_labels():
    clf = make_pipeline(SelectKBest(k=2), LogisticRegression())
    fitted = fit_on_labeled(clf, X, np.full(40, np.nan))
    with pytest.raises(ValueError, match=r"fewer than two classes.*SelectKBest.*RandomSampling"):
        proba_and_features(fitted, X)


def test_a_frozen_classifier_stays_as_it_is():
    frozen = FrozenEstimator(LogisticRegression().fit(X, TRUE))
    fitted = fit_on_labeled(frozen, X, np.full(40, np.nan))
    np.testing.assert_array_equal(fitted.predict_proba(X), frozen.predict_proba(X))


def test_a_pipeline_that_ends_frozen_is_fitted():
    frozen = FrozenEstimator(LogisticRegression().fit(X, TRUE))
    fitted = fit_on_labeled(make_pipeline(StandardScaler(), frozen), X, Y)
    np.testing.assert_allclose(fitted[0].mean_, X[:20].mean(axis=0))


def test_a_classifier_not_made_by_scikit_learns_rules():
    class Plain:
        def fit(self, X, y):
            self.n = len(y)

            return self

        def predict_proba(self, X):
            return np.full((len(X), 2), 0.5)

    class Constant:
        def predict_proba(self, X):
            return np.full((len(X), 2), 0.5)

    plain = Plain()
    assert fit_on_labeled(plain, X, Y).n == 20
    assert not hasattr(plain, "n")
    assert isinstance(fit_on_labeled(Constant(), X, Y), Constant)


@pytest.mark.parametrize(
    ("y", "missing_label", "classes"),
    [
        ([0, 1, None, 1], None, [0, 1]),
        ([True, False, None, True], None, [False, True]),
        (["b", "a", None, "b"], None, ["a", "b"]),
        (["b", "a", "", "b"], "", ["a", "b"]),
        (["b", "a", np.nan, "b"], np.nan, ["a", "b"]),
        ([5, 3, -1, 5], -1, [3, 5]),
        (np.array([5, 3, 999, 5], dtype=np.int16), 999, [3, 5]),
        (pd.Series(["b", "a", pd.NA, "b"], dtype="string"), np.nan, ["a", "b"]),
        (pd.Series([4, 2, pd.NA, 4], dtype="Int64"), None, [2, 4]),
        (pd.Categorical(["b", "a", None, "b"]), None, ["a", "b"]),
    ],
)
def test_labels_of_every_kind(y, missing_label, classes):
    fitted = fit_on_labeled(GaussianNB(), X[:4], y, missing_label=missing_label)
    assert fitted.classes_.tolist() == classes
    assert fitted.class_count_.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("strategy", "classifier"), [(np.nan, -1), (-1, np.nan), (None, ""), ("", "x"), (-1, 0)]
)
def test_two_minds_about_what_is_missing(strategy, classifier):
    y = [0, 1, strategy] if not isinstance(strategy, str) else ["a", "b", strategy]
    with pytest.raises(ValueError, match=r"must agree on what a missing label is.*set both alike"):
        fit_on_labeled(ParzenWindowClassifier(missing_label=classifier), X[:3], y, None, strategy)


@pytest.mark.parametrize(("strategy", "classifier"), [(np.nan, None), (None, np.nan)])
def test_all_nulls_are_alike(strategy, classifier):
    clf = ParzenWindowClassifier(missing_label=classifier)
    fitted = fit_on_labeled(clf, X[:3], [0, 1, None], None, strategy)
    assert fitted.classes_.tolist() == [0, 1]


@pytest.mark.parametrize(
    "container", [sp.csr_array, sp.coo_array, sp.csc_matrix, np.ndarray.tolist]
)
def test_containers_of_samples(container):
    expected = fit_on_labeled(LogisticRegression(), X, Y).predict_proba(X)
    given = container(X)
    before = copy.deepcopy(given)
    fitted = fit_on_labeled(LogisticRegression(), given, Y)
    np.testing.assert_allclose(fitted.predict_proba(X), expected, atol=1e-4)
    assert (given != before).nnz == 0 if sp.issparse(given) else given == before


@pytest.mark.parametrize("container", [list, np.array, pd.Series])
def test_texts(container):
    texts = container([f"w{i % 3} w{i % 7}" for i in range(40)])
    clf = make_pipeline(TfidfVectorizer(), LogisticRegression())
    fitted = fit_on_labeled(clf, texts, Y)
    assert fitted.predict_proba(texts).shape == (40, 2)


def test_errors_of_a_classifier_not_made_by_scikit_learns_rules():
    class Failing:
        def fit(self, X, y):
            raise ValueError("out of order")

    with pytest.raises(ValueError, match="out of order"):
        fit_on_labeled(Failing(), X, Y)
