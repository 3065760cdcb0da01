"""The Parzen window classifier: a kernel over the labelled samples."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from skactiveml.classifier import ParzenWindowClassifier as Theirs
from sklearn.base import clone
from sklearn.datasets import make_blobs
from sklearn.exceptions import NotFittedError
from sklearn.metrics.pairwise import rbf_kernel

from labelnext.classifier import ParzenWindowClassifier
from labelnext.estimators import _parzen

NAN = float("nan")


@pytest.fixture
def blobs():
    X, y = make_blobs(n_samples=60, centers=3, cluster_std=2.0, random_state=0)
    partly = y.astype(float)
    partly[::3] = np.nan
    return X, partly


@settings(deadline=None)  # the machine may be busy
@given(
    seed=st.integers(0, 10_000),
    n=st.integers(1, 25),
    n_classes=st.integers(2, 4),
    share=st.floats(0, 1),
    n_neighbors=st.sampled_from([None, 1, 4, 100]),
    metric=st.sampled_from(["rbf", "laplacian", "cosine", "precomputed"]),
    weighted=st.booleans(),
)
def test_the_same_numbers_as_scikit_activeml(
    *, seed, n, n_classes, share, n_neighbors, metric, weighted
):
    rng = np.random.RandomState(seed)
    X, X_new = rng.uniform(size=(n, 3)), rng.uniform(size=(7, 3))
    y = rng.randint(n_classes, size=n).astype(float)
    y[rng.uniform(size=n) > share] = np.nan
    weights = rng.uniform(0.1, 2, size=n) if weighted else None
    if metric == "precomputed":
        X, X_new = rbf_kernel(X), rbf_kernel(X_new, X)
    kwargs = {
        "n_neighbors": n_neighbors,
        "metric": metric,
        "classes": range(n_classes),
        "class_prior": rng.choice([0.0, 0.5]),
        "cost_matrix": None,
        "random_state": seed,
    }
    if rng.uniform() < 0.5:  # costs, with none on the diagonal
        costs = rng.uniform(0.1, 1, size=(n_classes, n_classes))
        kwargs["cost_matrix"] = costs * (1 - np.eye(n_classes))
    ours = ParzenWindowClassifier(**kwargs).fit(X, y, weights)
    theirs = Theirs(**kwargs).fit(X, y, weights)
    assert_allclose(ours.predict_freq(X_new), theirs.predict_freq(X_new), rtol=1e-12)
    assert_allclose(ours.predict_proba(X_new), theirs.predict_proba(X_new), rtol=1e-12)
    assert_array_equal(ours.predict(X_new), theirs.predict(X_new))
    y_new = rng.randint(n_classes, size=7)
    assert ours.score(X_new, y_new) == Theirs(**kwargs).fit(X, y, weights).score(X_new, y_new)


def test_the_same_arguments_as_scikit_activeml():
    ours, theirs = ParzenWindowClassifier().get_params(), Theirs().get_params()
    assert str(ours) == str(theirs)
    assert ParzenWindowClassifier(3, "cosine").metric == Theirs(3, "cosine").metric


def test_by_hand():
    clf = ParzenWindowClassifier(classes=["b", "a"], missing_label="", metric_dict={"gamma": 1.0})
    clf.fit([[0.0], [1.0], [9.0]], ["b", "a", ""], sample_weight=[1.0, 2.0, 5.0])
    assert clf.classes_.tolist() == ["a", "b"]
    assert_allclose(clf.predict_freq([[0.0]]), [[2 * np.exp(-1), 1.0]])
    assert_allclose(clf.predict_proba([[0.0]]).sum(axis=1), 1.0)
    assert clf.predict([[0.0], [1.0]]).tolist() == ["b", "a"]


def test_costs_go_by_the_order_of_the_given_classes():
    # To take a "b" for an "a" is dear, so "b" is predicted even where "a" is more likely.
    kwargs = {"classes": ["b", "a"], "cost_matrix": [[0, 9], [1, 0]], "missing_label": ""}
    clf = ParzenWindowClassifier(**kwargs).fit([[0.0], [1.0]], ["a", "b"])
    assert clf.cost_matrix_.tolist() == [[0, 1], [9, 0]]
    assert clf.predict([[0.0], [-0.5]]).tolist() == ["b", "b"]
    assert ParzenWindowClassifier(classes=["b", "a"], missing_label="").fit(
        [[0.0], [1.0]], ["a", "b"]
    ).predict([[0.0]]).tolist() == ["a"]


@pytest.mark.parametrize("metric", ["rbf", "precomputed"])
def test_without_labels_all_classes_are_equally_likely(metric):
    X, y = np.eye(200), np.full(200, np.nan)
    clf = ParzenWindowClassifier(classes=[0, 1, 2, 3], metric=metric, random_state=1).fit(X, y)
    assert_array_equal(clf.predict_freq(X), np.zeros((200, 4)))
    assert_array_equal(clf.predict_proba(X), np.full((200, 4), 0.25))
    predicted = clf.predict(X)
    assert set(predicted) == {0, 1, 2, 3}
    assert predicted.dtype.kind == "i"
    assert_array_equal(clf.predict(X), predicted)
    assert_array_equal(clone(clf).fit(X, y).predict(X), predicted)
    assert not np.array_equal(clone(clf).set_params(random_state=2).fit(X, y).predict(X), predicted)


def test_far_from_all_labels_the_prior_speaks():
    clf = ParzenWindowClassifier(class_prior=[1, 3]).fit([[0.0], [1.0]], [0, 1])
    assert_allclose(clf.predict_proba([[1e6]]), [[0.25, 0.75]])
    assert_allclose(
        ParzenWindowClassifier().fit([[0.0], [1.0]], [0, 1]).predict_proba([[1e6]]), [[0.5, 0.5]]
    )


def test_the_callers_generator_is_not_advanced(blobs):
    X, y = blobs
    mine, twin = np.random.RandomState(0), np.random.RandomState(0)
    clf = ParzenWindowClassifier(classes=[0, 1, 2], random_state=mine)
    clf.fit(X, np.full(len(y), np.nan)).predict(X)
    assert clf.get_params()["random_state"] is mine
    assert mine.random_sample() == twin.random_sample()


def test_the_callers_arrays_are_neither_changed_nor_kept(blobs):
    X, y = blobs
    X_before, y_before = X.copy(), y.copy()
    for n_neighbors in (None, 5):
        clf = ParzenWindowClassifier(n_neighbors, metric_dict={"gamma": "mean"}).fit(X, y)
        assert clf.metric_dict == {"gamma": "mean"}
        proba = clf.predict_proba(X_before)
        X += 1.0
        assert_array_equal(clf.predict_proba(X_before), proba)
        X -= 1.0
        assert_allclose(X, X_before)
        assert_array_equal(y, y_before)


def test_mean_bandwidth(blobs):
    X, y = blobs
    clf = ParzenWindowClassifier(metric_dict={"gamma": "mean"}).fit(X, y)
    n, delta = 40, np.sqrt(2) * 1e-6
    # As the paper has it: a width s, from the number of samples and the variances.
    s2 = 2 * n * X.var(axis=0).sum() / ((n - 1) * np.log((n - 1) / delta**2))
    assert clf.metric_dict_["gamma"] == pytest.approx(1 / (2 * s2))
    sparse_clf = clone(clf).fit(sparse.csr_array(X), y)
    assert sparse_clf.metric_dict_["gamma"] == pytest.approx(clf.metric_dict_["gamma"])
    # Theirs counts other rows than the labelled ones; where the counts agree, so do we.
    theirs = Theirs(metric_dict={"gamma": "mean"}).fit(X[:40], np.tile([0.0, 2.0], 20))
    ours = ParzenWindowClassifier(metric_dict={"gamma": "mean"})
    ours.fit(X[:40], np.tile([0.0, 2.0], 20))
    n_theirs = 20  # those whose code is not 1
    ratio = (39 / 40 * np.log(39 / delta**2)) / (19 / n_theirs * np.log(19 / delta**2))
    assert ours.metric_dict_["gamma"] == pytest.approx(theirs.metric_dict_["gamma"] * ratio)


def test_mean_bandwidth_of_equal_samples():
    clf = ParzenWindowClassifier(metric_dict={"gamma": "mean"}).fit(
        np.ones((5, 4)), [0, 1] * 2 + [0]
    )
    assert clf.metric_dict_["gamma"] == 0.25
    assert_allclose(clf.predict_proba(np.ones((1, 4))), [[0.6, 0.4]])


@pytest.mark.parametrize("n_neighbors", [None, 7])
def test_a_large_pool_goes_through_in_pieces(blobs, n_neighbors, monkeypatch):
    X, y = blobs
    clf = ParzenWindowClassifier(n_neighbors).fit(X, y)
    whole = clf.predict_freq(X)
    monkeypatch.setattr(_parzen, "KERNEL_VALUES", 100)
    assert_allclose(clf.predict_freq(X), whole)


@pytest.mark.parametrize("n_neighbors", [None, 7])
def test_sparse_samples(blobs, n_neighbors):
    X, y = blobs
    dense = ParzenWindowClassifier(n_neighbors).fit(X, y)
    thin = ParzenWindowClassifier(n_neighbors).fit(sparse.csr_array(X), y)
    assert sparse.issparse(thin.X_)
    assert_allclose(thin.predict_proba(sparse.csr_array(X)), dense.predict_proba(X))


def test_frames(blobs):
    X, y = blobs
    expected = ParzenWindowClassifier().fit(X, y).predict_proba(X)
    for frame, labels in [
        (pd.DataFrame(X, columns=["a", "b"]), pd.Series(y)),
        (pl.DataFrame(X, schema=["a", "b"]), pl.Series(y)),
    ]:
        clf = ParzenWindowClassifier().fit(frame, labels)
        assert clf.feature_names_in_.tolist() == ["a", "b"]
        assert_allclose(clf.predict_proba(frame), expected)


def test_a_kernel_of_ones_own(blobs):
    X, y = blobs

    def kernel(a, b, scale):
        return np.exp(-scale * np.abs(a - b).sum())

    own = ParzenWindowClassifier(metric=kernel, metric_dict={"scale": 0.5}).fit(X, y)
    named = ParzenWindowClassifier(metric="laplacian", metric_dict={"gamma": 0.5}).fit(X, y)
    assert_allclose(own.predict_freq(X), named.predict_freq(X))


def test_only_what_has_a_say_is_kept(blobs):
    X, y = blobs
    assert ParzenWindowClassifier().fit(X, y).X_.shape == (40, 2)
    assert ParzenWindowClassifier(5).fit(X, y).X_.shape == (60, 2)


def test_a_precomputed_kernel_needs_all_training_samples(blobs):
    X, y = blobs
    clf = ParzenWindowClassifier(metric="precomputed").fit(rbf_kernel(X), y)
    assert clf.__sklearn_tags__().input_tags.pairwise
    plain = ParzenWindowClassifier(metric_dict={"gamma": 0.5}).fit(X, y)
    assert_allclose(clf.predict_proba(rbf_kernel(X)), plain.predict_proba(X))
    with pytest.raises(ValueError, match="each of the 60 training"):
        clf.predict_proba(rbf_kernel(X)[:, :5])


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"metric": "rfb"}, ValueError, "metric must be a function or one of"),
        ({"metric_dict": ["gamma"]}, TypeError, "metric_dict must be a dict"),
        ({"metric": "laplacian", "metric_dict": {"gamma": "mean"}}, ValueError, "bandwidth of"),
        ({"n_neighbors": 0}, ValueError, "at least 1"),
        ({"n_neighbors": 2.5}, TypeError, "integer"),
        ({"n_neighbors": True}, TypeError, "integer"),
        ({"class_prior": -1}, ValueError, "class_prior"),
        ({"class_prior": [1, 2, 3]}, ValueError, "2 of them"),
        ({"class_prior": [1, NAN]}, ValueError, "class_prior"),
        ({"cost_matrix": [[0, 1], [1, 0]]}, ValueError, "needs classes"),
        ({"classes": [0, 1], "cost_matrix": [[0, 1]]}, ValueError, r"shape \(2, 2\)"),
        ({"classes": [0, 1], "cost_matrix": [[0, NAN], [1, 0]]}, ValueError, "finite"),
        ({"classes": [0, 0]}, ValueError, "twice"),
        ({"classes": [0, 2]}, ValueError, "not among the classes: 1"),
        ({"classes": ["a", "b"]}, TypeError, "missing_label"),
        ({"missing_label": ""}, TypeError, "missing_label"),
        ({"random_state": "no"}, TypeError, "random_state must be"),
    ],
)
def test_parameters_that_cannot_be_meant(params, error, message):
    clf = ParzenWindowClassifier(**params)
    if message == "missing_label" and "classes" in params:
        clf.set_params(missing_label=0)
    with pytest.raises(error, match=message):
        clf.fit([[0.0], [1.0]], [0, 1])


@pytest.mark.parametrize(
    ("X", "y", "weights", "error", "message"),
    [
        ([[0.0], [1.0]], [NAN, NAN], None, ValueError, "no class is known"),
        ([[0.0], [1.0]], [0, 1, 1], None, ValueError, "2 samples, but y has 3"),
        ([[0.0], [NAN]], [0, 1], None, ValueError, "NaN"),
        ([[0.0], [1.0]], None, None, ValueError, "requires y"),
        ([[0.0], [1.0]], [0, 1], [1.0], ValueError, r"shape \(2,\)"),
        ([[0.0], [1.0]], [0, 1], [1.0, -1.0], ValueError, "not negative"),
        ([[0.0], [1.0]], [0, 1], [1.0, NAN], ValueError, "finite"),
        ([[0.0], [1.0]], [0, 1], [0.0, 0.0], ValueError, "zero for all"),
        ([[0.0], [1.0]], [0.5, 1.25], None, ValueError, "continuous"),
        ([[0.0], [1.0]], [[0, 1], [1, 0]], None, ValueError, "1d array"),
        (np.zeros((0, 2)), [], None, ValueError, "0 sample"),
    ],
)
def test_data_that_cannot_be_meant(X, y, weights, error, message):
    with pytest.raises(error, match=message):
        ParzenWindowClassifier().fit(X, y, weights)


def test_predicting_before_fitting_or_from_other_features():
    with pytest.raises(NotFittedError):
        ParzenWindowClassifier().predict([[0.0]])
    clf = ParzenWindowClassifier().fit([[0.0], [1.0]], [0, 1])
    with pytest.raises(ValueError, match="2 features"):
        clf.predict([[0.0, 1.0]])


def test_a_kernel_with_negative_values_makes_no_probabilities():
    clf = ParzenWindowClassifier(metric="linear").fit([[1.0], [2.0]], [0, 1])
    assert_allclose(clf.predict_freq([[-1.0]]), [[-1.0, -2.0]])
    with pytest.raises(ValueError, match="never negative"):
        clf.predict_proba([[-1.0]])


def test_score_is_not_for_missing_labels(blobs):
    X, y = blobs
    clf = ParzenWindowClassifier().fit(X, y)
    known = ~np.isnan(y)
    assert clf.score(X[known], y[known]) == np.mean(clf.predict(X[known]) == y[known])
    weights = np.where(clf.predict(X[known]) == y[known], 0.0, 1.0)
    assert clf.score(X[known], y[known], sample_weight=weights) == 0.0
    with pytest.raises(ValueError, match="20 of the labels"):
        clf.score(X, y)
