"""Any scikit-learn classifier, with missing labels."""

import pickle
import sys
import warnings
from importlib import import_module
from importlib.util import find_spec

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.compose import make_column_transformer
from sklearn.datasets import make_blobs
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression, LogisticRegression, Perceptron, SGDClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.semi_supervised import LabelSpreading
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier

from labelnext.classifier import SklearnClassifier
from labelnext.estimators import fit_on_labeled, proba_and_features, proba_of

NAN = float("nan")


@pytest.fixture
def blobs():
    X, y = make_blobs(n_samples=60, centers=3, cluster_std=2.0, random_state=0)
    partly = y.astype(float)
    partly[::3] = np.nan
    return X, partly


class Network(ClassifierMixin, BaseEstimator):
    """Stands for a network: an output for each class, seen or not, and its embeddings."""

    def __init__(self, n_outputs=3, by_default=False):
        self.n_outputs = n_outputs
        self.by_default = by_default

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        self.offset_ = float(np.mean(y))
        return self

    def predict_proba(self, X, return_embeddings=False):
        scores = np.abs(
            np.asarray(X, dtype=np.float32)[:, :1] - np.arange(self.n_outputs, dtype=np.float32)
        )
        proba = scores / scores.sum(axis=1, keepdims=True)
        embeddings = np.asarray(X) * 2
        return (proba, embeddings, "more") if self.by_default or return_embeddings else proba

    def predict(self, X, return_embeddings=False):
        result = self.predict_proba(X, return_embeddings)
        if isinstance(result, tuple):
            return (self.classes_[result[0].argmax(axis=1) % len(self.classes_)], *result[1:])
        return self.classes_[result.argmax(axis=1) % len(self.classes_)]


@pytest.mark.parametrize(
    "estimator",
    [
        LogisticRegression(),
        GaussianNB(),
        make_pipeline(StandardScaler(), LogisticRegression()),
        GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, cv=2),
        DecisionTreeClassifier(random_state=0),
        MLPClassifier((5,), max_iter=20, random_state=0, solver="lbfgs", tol=1.0),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_it_is_fitted_to_the_labelled_samples_alone(blobs, estimator):
    X, y = blobs
    known = ~np.isnan(y)
    expected = clone(estimator).fit(X[known], y[known])
    clf = SklearnClassifier(estimator).fit(X, y)
    assert_array_equal(clf.predict_proba(X), expected.predict_proba(X))
    assert_array_equal(clf.predict(X), expected.predict(X))
    assert clf.score(X[known], y[known]) == expected.score(X[known], y[known])
    assert not hasattr(estimator, "classes_")


@pytest.mark.parametrize("missing_label", [NAN, None, -1])
def test_classes_that_nobody_has_labelled_yet(blobs, missing_label):
    X, y = blobs
    y = np.where(y == 2, np.nan, y + 3)  # of the classes 1 to 5 only 3 and 4 occur
    known = ~np.isnan(y)
    labels = np.array([missing_label if np.isnan(label) else label for label in y], dtype=object)
    clf = SklearnClassifier(GaussianNB(), classes=[5, 4, 3, 2, 1], missing_label=missing_label)
    proba = clf.fit(X, labels).predict_proba(X)
    assert clf.classes_.tolist() == [1, 2, 3, 4, 5]
    assert_array_equal(proba[:, 2:4], GaussianNB().fit(X[known], y[known]).predict_proba(X))
    assert_array_equal(proba[:, [0, 1, 4]], 0.0)
    assert clf.predict(X).dtype.kind == "i"


def test_strings(blobs):
    X, y = blobs
    names = np.array(["ant", "bee", "cat", ""])[np.where(np.isnan(y), 3, y).astype(int)]
    clf = SklearnClassifier(GaussianNB(), classes=["cat", "ant", "bee", "dog"], missing_label="")
    clf.fit(X, names)
    numbers = SklearnClassifier(GaussianNB()).fit(X, y)
    assert_array_equal(clf.predict_proba(X)[:, :3], numbers.predict_proba(X))
    assert_array_equal(
        clf.predict(X), np.array(["ant", "bee", "cat"])[numbers.predict(X).astype(int)]
    )


@pytest.mark.parametrize("estimator", [LogisticRegression(), LinearSVC(), GaussianNB()])
def test_without_labels_all_classes_are_equally_likely(estimator):
    X, y = np.zeros((300, 2)), np.full(300, np.nan)
    clf = SklearnClassifier(estimator, classes=[0, 1, 2], random_state=4).fit(X, y)
    if not isinstance(estimator, LinearSVC):
        assert_array_equal(clf.predict_proba(X), np.full((300, 3), 1 / 3))
    predicted = clf.predict(X)
    assert set(predicted) == {0, 1, 2}
    assert_array_equal(clf.predict(X), predicted)
    with pytest.raises(ValueError, match="5 features"):
        clf.predict(np.zeros((2, 5)))


@pytest.mark.parametrize("estimator", [LogisticRegression(), GaussianNB()])
def test_labels_of_one_class_only(estimator, blobs):
    X, _ = blobs
    y = np.full(60, np.nan)
    y[:4] = 1
    clf = SklearnClassifier(estimator, classes=[0, 1, 2]).fit(X, y)
    assert_array_equal(clf.predict_proba(X), np.tile([0.0, 1.0, 0.0], (60, 1)))
    assert (clf.predict(X) == 1).all()
    y[4] = 2  # and with a second class the estimator is asked again
    assert len(np.unique(clf.fit(X, y).predict_proba(X))) > 3


def test_other_errors_of_the_estimator_are_handed_on(blobs):
    X, y = blobs
    X = X.copy()
    X[np.flatnonzero(y == 1)[0], 1] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        SklearnClassifier(LogisticRegression()).fit(X, y)
    with pytest.raises(ValueError, match="NaN"):
        SklearnClassifier(LogisticRegression(), classes=[0, 1]).fit(X, np.where(y == 1, y, np.nan))


def test_costs(blobs):
    X, y = blobs
    costs = np.array([[0, 1, 1], [1, 0, 1], [50, 50, 0]])
    clf = SklearnClassifier(GaussianNB(), classes=[0, 1, 2], cost_matrix=costs).fit(X, y)
    expected = (clf.predict_proba(X) @ costs).argmin(axis=1)
    assert_array_equal(clf.predict(X), expected)
    assert (expected == 2).sum() > (SklearnClassifier(GaussianNB()).fit(X, y).predict(X) == 2).sum()
    with pytest.raises(ValueError, match="no predict_proba"):
        SklearnClassifier(LinearSVC(), classes=[0, 1, 2], cost_matrix=costs).fit(X, y)


def test_weights_reach_an_estimator_that_takes_them(blobs):
    X, y = blobs
    weights = np.random.RandomState(0).uniform(0, 3, size=60)
    weights[4:8] = 0
    known = ~np.isnan(y) & (weights > 0)
    clf = SklearnClassifier(GaussianNB()).fit(X, y, sample_weight=weights)
    expected = GaussianNB().fit(X[known], y[known], sample_weight=weights[known])
    assert_allclose(clf.predict_proba(X), expected.predict_proba(X))
    one_class = np.where(y == 1, 1.0, 0.0)  # of the others no variance could be taken
    lone = SklearnClassifier(GaussianNB(), classes=[0, 1, 2]).fit(X, y, one_class)
    assert_array_equal(lone.predict_proba(X), np.tile([0.0, 1.0, 0.0], (60, 1)))
    with pytest.warns(UserWarning, match="KNeighborsClassifier takes no sample_weight"):
        SklearnClassifier(KNeighborsClassifier()).fit(X, y, weights)
    with pytest.raises(ValueError, match=r"shape \(60,\)"):
        SklearnClassifier(GaussianNB()).fit(X, y, weights[:3])


@pytest.mark.parametrize("by_default", [False, True])
def test_embeddings_beside_the_probabilities(blobs, by_default):
    X, y = blobs
    flag = {} if by_default else {"return_embeddings": True}
    clf = SklearnClassifier(Network(2, by_default), classes=[0, 1, 2], random_state=0)
    clf.fit(X, np.where(y == 1, np.nan, y))
    proba, embeddings, more = clf.predict_proba(X, **flag)
    expected, *_ = Network(2, by_default=True).predict_proba(X)
    assert proba.dtype == np.float32
    assert_array_equal(proba[:, [0, 2]], expected)
    assert_array_equal(proba[:, 1], 0.0)
    assert_array_equal(embeddings, X * 2)
    assert more == "more"
    labels, _, more = clf.predict(X, **flag)
    assert set(labels) <= {0, 2}
    assert more == "more"
    dear = clone(clf).set_params(cost_matrix=1 - np.eye(3)).fit(X, np.where(y == 1, np.nan, y))
    labels_by_cost, *_ = dear.predict(X, **flag)
    assert_array_equal(labels_by_cost, proba.argmax(axis=1))


def test_a_network_has_an_output_for_each_class_seen_or_not(blobs):
    X, y = blobs
    y = np.where(y == 1, np.nan, y)
    clf = SklearnClassifier(Network(3), classes=[0, 1, 2]).fit(X, y)
    assert clf.estimator_.classes_.tolist() == [0, 2]
    assert_array_equal(clf.predict_proba(X), Network(3).predict_proba(X))
    with pytest.raises(ValueError, match=r"shape \(60, 4\), but there are 3 classes"):
        SklearnClassifier(Network(4), classes=[0, 1, 2]).fit(X, y).predict_proba(X)


def test_partial_fit(blobs):
    X, y = blobs
    clf = SklearnClassifier(GaussianNB(), classes=[0, 1, 2])
    direct = GaussianNB()
    assert_array_equal(clf.partial_fit(X[:5], [NAN] * 5).predict_proba(X), np.full((60, 3), 1 / 3))
    for rows in (slice(0, 20), slice(20, 40), slice(40, 60)):
        clf.partial_fit(X[rows], y[rows])
        known = ~np.isnan(y[rows])
        direct.partial_fit(X[rows][known], y[rows][known], classes=[0, 1, 2])
    assert_array_equal(clf.predict_proba(X), direct.predict_proba(X))
    clf.partial_fit(X[:5], [NAN] * 5)  # teaches nothing, and forgets nothing
    assert_array_equal(clf.predict_proba(X), direct.predict_proba(X))
    with pytest.raises(ValueError, match="not among the classes: 7"):
        clf.partial_fit(X[:2], [0, 7])
    with pytest.raises(ValueError, match="not among the classes: 9"):
        clf.partial_fit(X[:2], [0, 1], classes=[0, 9])
    with pytest.raises(ValueError, match="5 features"):
        clf.partial_fit(np.zeros((2, 5)), [0, 1])
    clf.fit(X, y)
    assert_allclose(
        clf.predict_proba(X), SklearnClassifier(GaussianNB()).fit(X, y).predict_proba(X)
    )


def test_partial_fit_is_there_where_the_estimator_has_it(blobs):
    X, y = blobs
    assert not hasattr(SklearnClassifier(LogisticRegression()), "partial_fit")
    assert not hasattr(SklearnClassifier(Perceptron()), "predict_proba")
    weights = np.ones(60)
    clf = SklearnClassifier(SGDClassifier(loss="log_loss", random_state=0))
    clf.partial_fit(X, y, weights, classes=[0, 1, 2, 3]).partial_fit(X, y, classes=[3, 2, 1, 0])
    assert clf.predict_proba(X).shape == (60, 4)


def test_partial_fit_of_an_estimator_that_asks_for_no_classes(blobs):
    class Counting(Network):
        def partial_fit(self, X, y):
            return self.fit(X, y)

    X, y = blobs
    clf = SklearnClassifier(Counting(), classes=[0, 1, 2]).partial_fit(X, y)
    assert_array_equal(clf.predict_proba(X), Network().predict_proba(X))


def test_semi_supervised(blobs):
    X, y = blobs
    y = np.where(np.isnan(y), -1, y).astype(int)
    clf = SklearnClassifier(
        LabelSpreading(), include_unlabeled_samples=True, classes=[0, 1, 2], missing_label=-1
    )
    clf.fit(X, y)
    assert_array_equal(clf.predict_proba(X), LabelSpreading().fit(X, y).predict_proba(X))
    assert clf.transduction_.shape == (60,)


def test_fitted_attributes_are_at_hand(blobs):
    X, y = blobs
    clf = SklearnClassifier(LogisticRegression())
    with pytest.raises(AttributeError, match="'SklearnClassifier' object has no attribute 'coef_'"):
        _ = clf.coef_
    clf.fit(X, y)
    assert clf.coef_ is clf.estimator_.coef_
    assert not hasattr(clf, "decision_function")
    assert not hasattr(clf, "nothing_")
    again = pickle.loads(pickle.dumps(clf))
    assert_array_equal(again.predict_proba(X), clf.predict_proba(X))


def test_a_frozen_estimator_keeps_what_it_has_learned(blobs):
    X, y = blobs
    fitted = GaussianNB().fit(X[:30], np.arange(30) % 2)
    clf = SklearnClassifier(FrozenEstimator(fitted), classes=[0, 1, 2]).fit(X, y)
    assert_array_equal(clf.predict_proba(X)[:, :2], fitted.predict_proba(X))


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
def test_frames_reach_the_estimator_as_frames(blobs, frame):
    X, y = blobs
    data = frame({"a": X[:, 0], "b": X[:, 1], "c": X[:, 0]})
    estimator = make_pipeline(
        make_column_transformer((StandardScaler(), ["a", "b"])), LogisticRegression()
    )
    clf = SklearnClassifier(estimator).fit(data, pd.Series(y))
    plain = make_pipeline(StandardScaler(), LogisticRegression())
    expected = SklearnClassifier(plain).fit(X, y).predict_proba(X)
    assert_allclose(clf.predict_proba(data), expected)
    assert clf.feature_names_in_.tolist() == ["a", "b", "c"]


def test_sparse_samples(blobs):
    X, y = blobs
    clf = SklearnClassifier(LogisticRegression()).fit(sparse.csr_array(X), y)
    expected = SklearnClassifier(LogisticRegression()).fit(X, y).predict_proba(X)
    assert_allclose(clf.predict_proba(sparse.csr_array(X)), expected, atol=1e-3)


def test_texts():
    texts = ["good", "bad", "fine good", "so bad"]
    clf = SklearnClassifier(
        make_pipeline(TfidfVectorizer(), LogisticRegression()), classes=["+", "-"], missing_label=""
    )
    assert_array_equal(clf.fit(texts, [""] * 4).predict_proba(texts), np.full((4, 2), 0.5))
    clf.fit(texts, ["+", "-", "", ""])
    assert clf.predict(texts).tolist() == ["+", "-", "+", "-"]


def test_estimators_and_data_that_cannot_be_meant(blobs):
    X, y = blobs
    with pytest.raises(TypeError, match="must be a scikit-learn classifier"):
        SklearnClassifier(LinearRegression()).fit(X, y)
    with pytest.raises(ValueError, match="60 samples, but y has 3"):
        SklearnClassifier(GaussianNB()).fit(X, y[1:4])
    with pytest.raises(NotFittedError):
        SklearnClassifier(GaussianNB()).predict(X)
    with pytest.raises(NotFittedError):
        SklearnClassifier(GaussianNB()).predict_proba(X)


def test_nothing_is_changed_or_warned_of(blobs):
    X, y = blobs
    X_before, y_before = X.copy(), y.copy()
    weights = np.ones(60)
    weights[3] = 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        SklearnClassifier(GaussianNB()).fit(X, y, weights)
    assert_array_equal(X, X_before)
    assert_array_equal(y, y_before)
    assert weights.sum() == 59


class NumbersOnly(ClassifierMixin, BaseEstimator):
    """Refuses labels other than 0, 1, ... without a gap, in the words of XGBoost."""

    def __init__(self, single_column=False):
        self.single_column = single_column

    def fit(self, X, y, sample_weight=None):
        expected = np.arange(len(np.unique(y)))
        if not np.array_equal(np.unique(y), expected):
            raise ValueError(
                f"Invalid classes inferred from unique values of `y`.  Expected: {expected}, "
                f"got {np.unique(y)}"
            )
        self.classes_ = expected
        self.inner_ = GaussianNB().fit(X, y, sample_weight)
        return self

    def predict_proba(self, X):
        proba = self.inner_.predict_proba(X)
        return proba[:, 1:] if self.single_column else proba

    def predict(self, X):
        return self.inner_.predict(X).astype(int)


NUMBERS_ONLY = [
    NumbersOnly(),
    make_pipeline(StandardScaler(), NumbersOnly()),
    GridSearchCV(NumbersOnly(), {"single_column": [False]}, cv=2),
]


@pytest.mark.parametrize("estimator", NUMBERS_ONLY, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("names", [["ant", "bee", "cat"], [4, 6, 7], [2.0, 1.0, 0.0]])
def test_an_estimator_that_takes_only_numbers_from_0(blobs, estimator, names):
    X, codes = blobs
    gap = (codes == 1) | np.isnan(codes)  # a class that nobody has labelled yet
    weights = np.linspace(1, 2, 60)
    labels = np.array(
        [None if g else names[int(c)] for g, c in zip(gap, codes, strict=True)], dtype=object
    )
    clf = SklearnClassifier(estimator, classes=names, missing_label=None)
    given = {"sample_weight": weights} if isinstance(estimator, NumbersOnly) else {}
    plain = GaussianNB().fit(X[~gap], codes[~gap], weights[~gap] if given else None)
    proba = clf.fit(X, labels, **given).predict_proba(X)
    places = np.searchsorted(clf.classes_, [names[0], names[2]])
    assert clf.classes_.tolist() == sorted(names)
    assert_allclose(proba[:, places], plain.predict_proba(X), atol=1e-6)
    assert_array_equal(proba.sum(axis=1), proba[:, places].sum(axis=1))
    assert clf.predict(X).tolist() == [names[int(c)] for c in plain.predict(X)]
    assert_array_equal(pickle.loads(pickle.dumps(clf)).predict(X), clf.predict(X))

    fitted = fit_on_labeled(estimator, X, labels, missing_label=None)
    assert fitted.classes_.tolist() == sorted([names[0], names[2]])
    plain = GaussianNB().fit(X[~gap], labels[~gap].tolist())
    assert_allclose(proba_of(fitted, X), plain.predict_proba(X), atol=1e-6)
    assert fitted.predict(X).tolist() == plain.predict(X).tolist()
    if isinstance(estimator, Pipeline):  # looked through
        scaled = StandardScaler().fit(X[~gap]).transform(X)
        assert_allclose(proba_and_features(fitted, X)[1], scaled)


# The real ones where they are installed, `NumbersOnly` everywhere.
BOOSTERS = {
    "xgboost": ("XGBClassifier", {"n_estimators": 3, "n_jobs": 1}),
    "lightgbm": ("LGBMClassifier", {"n_estimators": 3, "min_child_samples": 2, "verbose": -1}),
    "catboost": (
        "CatBoostClassifier",
        {"iterations": 3, "verbose": 0, "allow_writing_files": False},
    ),
    __name__: ("NumbersOnly", {}),
}


@pytest.mark.parametrize("library", [*filter(find_spec, BOOSTERS)])
@pytest.mark.parametrize(
    "names", [["ant", "bee", "cat"], [4, 6, 7], [False, True]], ids=["texts", "numbers", "truth"]
)
def test_boosters_that_want_numbers_from_0(blobs, library, names):
    name, options = BOOSTERS[library]
    X, codes = blobs
    nobody = 1 if len(names) == 3 else 2  # has labelled this class
    known = ~np.isnan(codes) & (codes != nobody)
    labels = np.array(
        [names[int(c)] if k else None for k, c in zip(known, codes, strict=True)], dtype=object
    )
    booster = getattr(sys.modules.get(library) or import_module(library), name)(**options)
    fitted = SklearnClassifier(booster, classes=names, missing_label=None).fit(X, labels)
    assert fitted.predict_proba(X).shape == (60, len(names))
    assert fitted.predict(X).shape == (60,)
    assert fitted.score(X[known], labels[known]) > 0.6
    direct = fit_on_labeled(booster, X, labels, missing_label=None)
    assert proba_of(direct, X).shape == (60, 2)


def test_numbers_from_0_are_handed_on_as_they_are(blobs):
    X, y = blobs
    assert isinstance(fit_on_labeled(NumbersOnly(), X, y), NumbersOnly)
    one = np.where(y == 1, "bee", "")
    clf = SklearnClassifier(NumbersOnly(), classes=["ant", "bee"], missing_label="").fit(X, one)
    assert_array_equal(clf.predict_proba(X), np.tile([0.0, 1.0], (60, 1)))


def test_numbers_in_place_of_labels_allow_no_further_fit(blobs):
    class Further(NumbersOnly):
        def partial_fit(self, X, y):
            return self.fit(X, y)

    X, y = blobs
    names = np.where(np.isnan(y), "", np.where(y == 0, "ant", "bee"))
    clf = SklearnClassifier(Further(), missing_label="").fit(X, names)
    with pytest.raises(ValueError, match="can't be fitted further; call fit"):
        clf.partial_fit(X, names)


def test_what_scikit_learn_refuses_is_refused(blobs):
    X, y = blobs
    names = np.where(np.isnan(y), "", np.where(y == 0, "ant", "bee"))
    clf = LogisticRegression(class_weight={0: 1.0, 1: 5.0})  # by number, but there are names
    for fit in (
        lambda: SklearnClassifier(clf, missing_label="").fit(X, names),
        lambda: fit_on_labeled(clf, X, names, missing_label=""),
    ):
        with pytest.raises(ValueError, match="class_weight"):
            fit()
    X = np.full_like(X, np.nan)
    with pytest.raises(ValueError, match="Invalid classes"):  # the first refusal
        SklearnClassifier(NumbersOnly(), missing_label="").fit(X, names)


class Column(NumbersOnly):
    """Predicts a column, as CatBoost does, and can't be cloned for what its constructor does."""

    def __init__(self, categories=None):
        self.categories = None if categories is None else [*categories]

    def predict_proba(self, X):
        return self.inner_.predict_proba(X)

    def predict(self, X):
        return self.classes_[super().predict(X)][:, None]


def test_an_estimator_that_scikit_learn_cannot_clone(blobs):
    X, y = blobs
    estimator = Column(categories=("a",))
    names = np.where(np.isnan(y), "", np.where(y == 0, "ant", "bee"))
    clf = SklearnClassifier(estimator, missing_label="").fit(X, names)
    assert set(clf.predict(X)) == {"ant", "bee"}
    assert set(fit_on_labeled(estimator, X, names, missing_label="").predict(X)) == {"ant", "bee"}
    assert not hasattr(estimator, "classes_")


@pytest.mark.parametrize("names", [[False, True], [4, 6], ["ant", "bee"]])
def test_a_score_against_labels_held_as_objects(blobs, names):
    X, codes = blobs
    known = codes < 2
    labels = np.array([names[int(c)] for c in codes[known]], dtype=object)
    clf = SklearnClassifier(GaussianNB(), missing_label=None).fit(X[known], labels)
    assert clf.score(X[known], labels) == np.mean(clf.predict(X[known]) == labels)


def test_a_single_column_of_the_estimator(blobs):
    X, y = blobs
    y = np.where(y == 2, np.nan, y)
    expected = GaussianNB().fit(X[~np.isnan(y)], y[~np.isnan(y)]).predict_proba(X)
    for names in ([0, 1], ["ant", "bee"]):
        labels = [None if np.isnan(code) else names[int(code)] for code in y]
        clf = SklearnClassifier(NumbersOnly(single_column=True), missing_label=None)
        assert_allclose(clf.fit(X, labels).predict_proba(X), expected, atol=1e-12)
        more = clf.set_params(classes=[*names, "cat" if names[0] else 2]).fit(X, labels)
        assert_allclose(more.predict_proba(X)[:, :2], expected, atol=1e-12)
        assert_array_equal(more.predict_proba(X)[:, 2], 0)
