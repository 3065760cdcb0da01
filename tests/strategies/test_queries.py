"""What every query strategy does alike: forms of input, refusals, and invariants."""

import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import StackingClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import (
    LinearRegression,
    LogisticRegression,
    RidgeClassifier,
    SGDClassifier,
)
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier

from labelnext import strategies
from labelnext.classifier import ParzenWindowClassifier, SklearnClassifier
from labelnext.estimators import ColdStart
from labelnext.pool import Badge, DropQuery, RandomSampling, UncertaintySampling

NAN = np.nan
RNG = np.random.default_rng(2)
X = RNG.normal(size=(50, 3))
TRUE = (X[:, 0] > 0).astype(float)
Y = np.where(np.arange(50) % 5 == 0, TRUE, NAN)
UNLABELLED = np.flatnonzero(np.isnan(Y))


def ask(strategy, X=X, y=Y, clf=None, **arguments):
    """Ask any strategy; those that ask a classifier get one."""
    if not isinstance(strategy, RandomSampling):
        arguments["clf"] = GaussianNB() if clf is None else clf
    return strategy.query(X, y, **arguments)


@pytest.fixture(
    params=[Badge, RandomSampling, *("least_confident", "margin_sampling", "entropy")], ids=str
)
def make(request):
    """Build any of the strategies with the parameters that all share."""
    if isinstance(request.param, str):
        return lambda **parameters: UncertaintySampling(request.param, **parameters)
    return request.param


# Candidates.


def test_unlabelled_samples_are_the_candidates(make):
    picks, utilities = ask(make(random_state=0), batch_size=5, return_utilities=True)
    assert picks.dtype == np.int64
    assert picks.shape == (5,)
    assert np.isin(picks, UNLABELLED).all()
    assert utilities.dtype == np.float64
    assert utilities.shape == (5, 50)
    for t in range(5):
        free = np.setdiff1d(UNLABELLED, picks[:t])
        np.testing.assert_array_equal(np.flatnonzero(~np.isnan(utilities[t])), free)


@pytest.mark.parametrize("container", [list, np.array, pd.Series, pl.Series, tuple])
def test_indices_are_taken_at_their_word(make, container):
    given_rows = [40, 0, 1, 5]  # 40, 0 and 5 have labels
    picks, utilities = ask(
        make(random_state=0), candidates=container(given_rows), batch_size=4, return_utilities=True
    )
    assert sorted(picks) == sorted(given_rows)
    assert utilities.shape == (4, 50)
    assert np.flatnonzero(~np.isnan(utilities[0])).tolist() == sorted(given_rows)


def test_only_the_set_of_indices_counts(make):
    strategy = make(random_state=0)
    expected = ask(strategy, candidates=[3, 7, 8, 11, 20], batch_size=3)
    np.testing.assert_array_equal(
        ask(strategy, candidates=[20, 8, 3, 11, 7, 8, 3], batch_size=3), expected
    )


def test_samples_as_candidates(make):
    samples = RNG.normal(size=(6, 3))
    picks, utilities = ask(
        make(random_state=0), candidates=samples, batch_size=6, return_utilities=True
    )
    assert sorted(picks) == list(range(6))
    assert utilities.shape == (6, 6)
    assert not np.isnan(utilities[0]).any()
    np.testing.assert_array_equal(
        ask(make(random_state=0), candidates=samples.tolist(), batch_size=6), picks
    )


def test_samples_from_the_pool_are_chosen_as_their_indices(make):
    strategy = make(random_state=0)
    rows = np.array([3, 7, 8, 11, 20])
    by_index = ask(strategy, candidates=rows, batch_size=4)
    by_sample = ask(strategy, candidates=X[rows], batch_size=4)
    np.testing.assert_array_equal(rows[by_sample], by_index)


def test_all_labelled_but_candidates_given(make):
    assert ask(make(), y=TRUE, candidates=[7])[0] == 7


def test_a_larger_batch_is_cut(make):
    with pytest.warns(UserWarning, match=r"batch_size=99 is larger.*all 40 of them") as record:
        picks = ask(make(random_state=0), batch_size=99)
    assert record[0].filename == __file__
    assert sorted(picks) == UNLABELLED.tolist()
    with pytest.warns(UserWarning, match="all 2 of them"):
        assert sorted(ask(make(), candidates=[4, 2], batch_size=np.int64(3))) == [2, 4]


# Containers of samples and labels.


@pytest.mark.one_of(2)
@pytest.mark.parametrize(
    "container",
    [
        np.ndarray.tolist,
        pd.DataFrame,
        pl.DataFrame,
        sp.csr_array,
        sp.csr_matrix,
        sp.coo_array,
        np.asfortranarray,
    ],
)
@pytest.mark.parametrize("label_container", [list, pd.Series, pl.Series])
def test_containers_of_samples_and_labels(make, container, label_container):
    # A scale that a coarse optimiser sees alike for sparse and dense samples.
    clf = ParzenWindowClassifier() if not sp.issparse(container(X)) else LogisticRegression()
    expected = ask(make(random_state=0), clf=clf, batch_size=5)
    given_x, given_y = container(X), label_container(Y)
    before = pickle.dumps((given_x, given_y))
    picks = ask(make(random_state=0), given_x, given_y, clf=clf, batch_size=5)
    np.testing.assert_array_equal(picks, expected)
    assert pickle.dumps((given_x, given_y)) == before


@pytest.mark.parametrize("container", [pd.DataFrame, pl.DataFrame])
@pytest.mark.parametrize("candidates", [None, [1, 2, 30, 0], "frame"])
def test_pipelines_get_frames_by_column_name(make, container, candidates):
    frame = container({"a": X[:, 0], "b": X[:, 1], "kind": np.where(X[:, 2] > 0, "u", "v")})
    columns = ColumnTransformer(
        [("n", StandardScaler(), ["a", "b"]), ("k", OneHotEncoder(), ["kind"])]
    )
    if isinstance(candidates, str):
        candidates = frame[:6]
    for y in (Y, np.full(50, NAN)):
        picks = ask(
            make(random_state=0),
            frame,
            y,
            clf=make_pipeline(columns, LogisticRegression()),
            candidates=candidates,
            batch_size=3,
        )
        assert len(set(picks)) == 3


@pytest.mark.parametrize("container", [list, np.array, pd.Series])
def test_texts(make, container):
    texts = [f"w{i % 3} w{i % 7} x{i}" for i in range(50)]
    clf = make_pipeline(TfidfVectorizer(), LogisticRegression())
    strategy = make(random_state=0)
    picks = ask(strategy, container(texts), clf=clf, batch_size=4)
    assert np.isin(picks, UNLABELLED).all()
    again = ask(strategy, container(texts), clf=clf, candidates=UNLABELLED, batch_size=4)
    np.testing.assert_array_equal(picks, again)
    own = ask(strategy, container(texts), clf=clf, candidates=["w1 w2", "w0 x3"], batch_size=2)
    assert sorted(own) == [0, 1]


def test_images():
    class Net:
        def predict_proba(self, X):
            assert X.shape[1:] == (1, 3, 1)
            return np.full((len(X), 2), 0.5)

    images = X.reshape(50, 1, 3, 1)
    for strategy in (Badge(random_state=0), UncertaintySampling(random_state=0)):
        for candidates in (None, [3, 1, 2], images[:4]):
            flat = X[:4] if isinstance(candidates, np.ndarray) else candidates
            clf = ParzenWindowClassifier(classes=[0, 1])  # uniform, too, without labels
            np.testing.assert_array_equal(
                strategy.query(images, [NAN] * 50, Net(), candidates=candidates, batch_size=3),
                strategy.query(X, [NAN] * 50, clf, candidates=flat, batch_size=3),
            )


@pytest.mark.parametrize(
    ("y", "missing_label"),
    [
        (np.where(np.isnan(Y), None, np.where(TRUE > 0, "yes", "no")), None),
        (np.where(np.isnan(Y), "", np.where(TRUE > 0, "yes", "no")), ""),
        (np.where(np.isnan(Y), None, TRUE.astype(int)), NAN),
        (np.where(np.isnan(Y), -1, TRUE.astype(int)), -1),
        (np.where(np.isnan(Y), "?", np.where(TRUE > 0, "yes", "no")), "?"),
        (pd.Series(np.where(np.isnan(Y), None, TRUE.astype(int)), dtype="Int64"), None),
        (pl.Series([None if np.isnan(v) else "ab"[int(v)] for v in Y]), None),
    ],
)
@pytest.mark.parametrize("clf", [GaussianNB, ParzenWindowClassifier])
def test_labels_of_every_kind(make, y, missing_label, clf):
    expected = ask(make(random_state=0), clf=clf(), batch_size=5)
    clf = clf() if clf is GaussianNB else clf(missing_label=missing_label)
    strategy = make(missing_label=missing_label, random_state=0)
    np.testing.assert_array_equal(ask(strategy, y=y, clf=clf, batch_size=5), expected)


# Classifiers.


@pytest.mark.parametrize(
    "clf",
    [
        LogisticRegression(),
        make_pipeline(StandardScaler(), GaussianNB()),
        GridSearchCV(GaussianNB(), {"var_smoothing": [1e-9, 1e-3]}, cv=2),
        ParzenWindowClassifier(classes=[0, 1, 2]),
        SklearnClassifier(LogisticRegression(), classes=[0, 1, 2]),
    ],
    ids=lambda clf: type(clf).__name__,
)
@pytest.mark.parametrize("strategy", [Badge(random_state=0), UncertaintySampling(random_state=0)])
def test_a_classifier_is_never_changed(strategy, clf):
    clf = clone(clf)
    before = pickle.dumps(clf)
    picks = strategy.query(X, Y, clf, batch_size=4)
    assert pickle.dumps(clf) == before
    # Fitted elsewhere, it is fitted anew ...
    np.testing.assert_array_equal(
        strategy.query(X, Y, clone(clf).fit(X + 5, TRUE), batch_size=4), picks
    )
    # ... and with fit_clf=False used as it is.
    rows = slice(None) if hasattr(clf, "missing_label") else ~np.isnan(Y)
    fitted = clf.fit(X[rows], Y[rows])
    before = pickle.dumps(fitted)
    np.testing.assert_array_equal(strategy.query(X, Y, fitted, fit_clf=False, batch_size=4), picks)
    assert pickle.dumps(fitted) == before


@pytest.mark.parametrize("strategy", [Badge(random_state=0), UncertaintySampling(random_state=0)])
def test_a_classifier_that_gets_predict_proba_by_fitting(strategy):
    clf = StackingClassifier([("lr", LogisticRegression()), ("nb", GaussianNB())], cv=2)
    assert not hasattr(clf, "predict_proba")
    assert len(set(strategy.query(X, Y, clf, batch_size=4))) == 4


@pytest.mark.parametrize("strategy", [Badge(random_state=0), UncertaintySampling(random_state=0)])
def test_labels_that_miss_some_classes(strategy):
    y = np.where(np.isnan(Y), NAN, 2 * Y)  # 0 and 2
    for clf in (
        ParzenWindowClassifier(classes=[0, 1, 2, 3]),
        SklearnClassifier(GaussianNB(), classes=[0, 1, 2, 3]),
        GaussianNB(),
    ):
        assert len(set(strategy.query(X, y, clf, batch_size=5))) == 5


@pytest.mark.parametrize("known", [[], [4], [4, 9]])
def test_a_cold_start(make, known):
    y = np.full(50, NAN)
    y[known] = 3.0
    picks, utilities = ask(
        make(random_state=0),
        y=y,
        clf=make_pipeline(StandardScaler(), LogisticRegression()),
        batch_size=5,
        return_utilities=True,
    )
    assert len(set(picks)) == 5
    assert not np.isin(picks, known).any()
    assert np.isnan(utilities[0, known]).all()


def test_a_cold_start_of_badge_spreads_by_features_alone():
    y = np.full(50, NAN)
    strategy = Badge(random_state=0)
    plain = strategy.query(X, y, LogisticRegression(), batch_size=6, return_utilities=True)
    for clf in (
        ParzenWindowClassifier(classes=[0, 1]),
        ParzenWindowClassifier(classes=list(range(7))),
        SklearnClassifier(LogisticRegression(), classes=["a", "b", "c"], missing_label=None),
    ):
        labels = y if clf.missing_label is not None else np.full(50, None)
        same = clone(strategy).set_params(missing_label=clf.missing_label)
        picks, utilities = same.query(X, labels, clf, batch_size=6, return_utilities=True)
        np.testing.assert_array_equal(picks, plain[0])
        np.testing.assert_allclose(utilities, plain[1], atol=1e-12)
    assert plain[0][0] == (X**2).sum(axis=1).argmax()


def test_one_known_class_is_a_cold_start_too():
    y = np.full(50, NAN)
    y[3] = 1.0
    clf = ParzenWindowClassifier()  # one column of probabilities
    picks = Badge(random_state=0).query(X, y, clf, batch_size=5)
    np.testing.assert_array_equal(
        picks, Badge(random_state=0).query(X, y, GaussianNB(), batch_size=5)
    )
    utilities = UncertaintySampling("margin_sampling").query(X, y, clf, return_utilities=True)[1]
    # Of one class nothing can be learned: all samples are equally uncertain, as without any.
    assert set(np.unique(utilities[~np.isnan(utilities)])) == {1.0}


def test_costs_in_a_cold_start():
    costs = np.array([[0, 1, 4], [1, 0, 1], [2, 1, 0]])
    strategy = UncertaintySampling(cost_matrix=costs, random_state=0)
    utilities = strategy.query(X, np.full(50, NAN), GaussianNB(), return_utilities=True)[1]
    np.testing.assert_allclose(utilities, 2 / 3)


@pytest.mark.parametrize("strategy", [Badge(random_state=0), UncertaintySampling(random_state=0)])
def test_weights_count(strategy):
    weights = np.where(X[:, 1] > 0, 1.0, 1e-3)
    even = strategy.query(X, Y, GaussianNB(), batch_size=8)
    uneven = strategy.query(X, Y, GaussianNB(), sample_weight=weights, batch_size=8)
    assert even.tolist() != uneven.tolist()


# Randomness.


@pytest.mark.parametrize(
    "seed", [7, np.random.RandomState(7), np.random.default_rng(7)], ids=["int", "old", "new"]
)
def test_the_same_query_gives_the_same_batch(make, seed):
    strategy = make(random_state=seed)
    before = pickle.dumps(strategy)
    first = ask(strategy, batch_size=10)
    np.testing.assert_array_equal(ask(strategy, batch_size=10), first)
    np.testing.assert_array_equal(ask(clone(strategy), batch_size=10), first)
    assert pickle.dumps(strategy) == before


@pytest.mark.parametrize("strategy", [Badge(), RandomSampling()])
def test_without_a_seed_batches_differ_and_numpys_seed_rules(strategy):
    assert len({tuple(ask(strategy, batch_size=8)) for _ in range(4)}) > 1
    state = np.random.get_state()  # noqa: NPY002
    try:
        batches = []
        for _ in range(2):
            np.random.seed(3)  # noqa: NPY002
            batches.append(ask(strategy, batch_size=8).tolist())
    finally:
        np.random.set_state(state)  # noqa: NPY002
    assert batches[0] == batches[1]


def test_rounds_with_one_seed_differ():
    # The same candidates, another number of labels.
    more = Y.copy()
    more[1] = 0
    strategy = RandomSampling(random_state=0)
    rows = np.arange(20, 40)
    first = strategy.query(X, Y, candidates=rows, batch_size=20)
    assert strategy.query(X, more, candidates=rows, batch_size=20).tolist() != first.tolist()


def test_random_sampling_is_uniform():
    y = np.full(4, NAN)
    orders = [
        tuple(RandomSampling(random_state=seed).query(X[:4], y, batch_size=2))
        for seed in range(240)
    ]
    counts = np.unique(orders, axis=0, return_counts=True)[1]
    assert len(counts) == 12
    assert ((counts - 20) ** 2 / 20).sum() < 31.3  # chi-square, 11 degrees, 0.1 %


def test_ties_of_uncertainty_are_broken_at_random():
    y = np.full(6, NAN)
    first = [
        UncertaintySampling(random_state=seed).query(X[:6], y, GaussianNB())[0]
        for seed in range(60)
    ]
    assert set(first) == set(range(6))


# scikit-learn's rules for estimators.


def test_an_estimator_like_any_other(make):
    strategy = make(missing_label="?", random_state=3)
    assert clone(strategy).get_params() == strategy.get_params()
    assert strategy.set_params(random_state=4).random_state == 4
    assert "random_state=4" in repr(strategy)
    # Nothing is checked before the first query.
    assert make(missing_label=[1], random_state="x").missing_label == [1]


# Bad input.


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"y": Y[:-1]}, ValueError, r"same length, got 50 samples and 49 labels"),
        ({"y": np.c_[Y, Y]}, ValueError, r"one label for each sample, got shape \(50, 2\)"),
        ({"y": np.c_[Y]}, ValueError, r"np\.ravel"),
        ({"y": TRUE}, ValueError, "no candidates: no label in y is missing"),
        ({"y": ["a", 1.0] * 25}, TypeError, "all numbers or all strings"),
        ({"X": X[:, 0]}, ValueError, r"X must have at least two dimensions.*reshape"),
        ({"X": X[:0], "y": Y[:0]}, ValueError, "no candidates"),
        ({"batch_size": 0}, ValueError, "batch_size must be at least 1, got 0"),
        ({"batch_size": -2}, ValueError, "batch_size must be at least 1, got -2"),
        ({"batch_size": 2.0}, TypeError, r"batch_size must be an integer, got 2\.0 of type float"),
        ({"batch_size": True}, TypeError, "batch_size must be an integer, got True"),
        ({"batch_size": "3"}, TypeError, "batch_size must be an integer"),
        ({"return_utilities": 1}, TypeError, "return_utilities must be True or False, got 1"),
        ({"candidates": []}, ValueError, "candidates is empty"),
        ({"candidates": X[:0]}, ValueError, "candidates has no rows"),
        ({"candidates": [0, 50, 51]}, ValueError, "from 0 to 49, got 50 and 1 more out of range"),
        ({"candidates": [-1]}, ValueError, r"from 0 to 49, got -1\."),
        ({"candidates": [1.0, 2.0]}, TypeError, "row numbers of X, integers, got dtype float64"),
        ({"candidates": [True] * 50}, TypeError, r"got dtype bool; np\.flatnonzero\(mask\)"),
        ({"candidates": ["a", "b"]}, TypeError, "row numbers of X, integers"),
        ({"candidates": X[:, :2]}, ValueError, r"same shape as those of X, \(3,\), got \(2,\)"),
        ({"candidates": 3}, ValueError, "candidates must have at least two dimensions"),
        ({"candidates": [[1.0, 2.0, 3.0], [1.0]]}, ValueError, "all of the same length"),
    ],
)
def test_bad_input(make, arguments, error, message):
    with pytest.raises(error, match=message):
        ask(make(random_state=0), **arguments)


@pytest.mark.parametrize(
    ("random_state", "error", "message"),
    [("x", TypeError, "random_state must be .* got 'x'"), (-1, ValueError, "not be negative")],
)
def test_bad_seeds(make, random_state, error, message):
    with pytest.raises(error, match=message):
        ask(make(random_state=random_state))


@pytest.mark.parametrize("strategy", [Badge(), UncertaintySampling()])
@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"clf": None}, TypeError, "query needs a classifier as clf, whose probabilities"),
        ({"clf": RidgeClassifier()}, TypeError, r"got RidgeClassifier\. Take .*Calibrated"),
        ({"clf": SGDClassifier(loss="hinge")}, TypeError, r"got SGDClassifier\. Take .*Calibrated"),
        (
            {"clf": make_pipeline(StandardScaler(), LinearSVC())},
            TypeError,
            r"got Pipeline, whose last step LinearSVC has none\..*ClassifierCV\(LinearSVC\(\), cv",
        ),
        (
            {"clf": make_pipeline(StandardScaler(), LinearSVC()).fit(X, TRUE), "fit_clf": False},
            TypeError,
            "whose last step LinearSVC has none",
        ),
        ({"clf": LinearRegression()}, TypeError, "got LinearRegression, a regressor"),
        (
            {"clf": make_pipeline(StandardScaler(), LinearRegression())},
            TypeError,
            "whose last step LinearRegression is a regressor",
        ),
        ({"clf": GaussianNB}, TypeError, "got the class GaussianNB; call it first"),
        ({"fit_clf": "yes"}, TypeError, "fit_clf must be True or False, got 'yes'"),
        ({"fit_clf": False}, ValueError, "GaussianNB has not been fitted; fit it"),
        ({"sample_weight": np.ones(49)}, ValueError, r"shape \(50,\), got \(49,\)"),
        ({"sample_weight": np.full(50, NAN)}, ValueError, "finite numbers"),
        ({"sample_weight": ["a"] * 50}, ValueError, "finite numbers"),
        ({"sample_weight": np.full(50, -1.0)}, ValueError, "not negative"),
        ({"sample_weight": np.zeros(50)}, ValueError, "zero for all samples"),
        ({"clf": ParzenWindowClassifier(missing_label=-1)}, ValueError, "must agree"),
        ({"clf": ParzenWindowClassifier(), "y": np.full(50, NAN)}, ValueError, "no class is known"),
    ],
)
def test_bad_classifiers(strategy, arguments, error, message):
    with pytest.raises(error, match=message):
        strategy.query(**{"X": X, "y": Y, "clf": GaussianNB()} | arguments)


class SingleColumn(LogisticRegression):
    """Gives P(y = 1) alone."""

    def predict_proba(self, X):
        return super().predict_proba(X)[:, 1:]


@pytest.mark.parametrize("name", sorted({*strategies.names()} - {"random"}))
def test_a_single_column_of_probabilities_is_used(name):
    single, both = SingleColumn().fit(X, TRUE), LogisticRegression().fit(X, TRUE)
    clfs = [single, both]
    if name.endswith("bald"):
        clfs = [[clf, GaussianNB().fit(X, TRUE)] for clf in clfs]
    strategy = strategies.find(name)(random_state=0)
    picks = [strategy.query(X, Y, clf, fit_clf=False, batch_size=6) for clf in clfs]
    np.testing.assert_array_equal(*picks)


def test_features_of_ones_own_need_no_warning_about_trees():
    clf = DecisionTreeClassifier(max_depth=2, random_state=0)
    with pytest.warns(UserWarning, match="is made of trees"):
        Badge(random_state=0).query(X, Y, clf, batch_size=3)
    # Of the tree's own choosing, passed by hand.
    scaled = StandardScaler().fit_transform(X)
    picks = Badge(random_state=0).query(X, Y, clf, batch_size=3, features=scaled)
    assert len(set(picks)) == 3
    with pytest.raises(TypeError, match="features of your own can't be asked"):
        DropQuery(random_state=0).query(X, Y, clf, batch_size=3, features=scaled)


def test_the_advice_for_a_classifier_without_probabilities_works():
    texts = np.array([f"w{i % 3} w{i % 7}" for i in range(50)])
    for first, samples in ((StandardScaler(), X), (TfidfVectorizer(), texts)):
        clf = make_pipeline(first, CalibratedClassifierCV(LinearSVC(), cv=2))
        y = np.full(50, NAN)
        y[[0, 1, 2, 3]] = [0, 1, 0, 1]
        assert len(Badge(random_state=0).query(samples, y, clf, batch_size=3)) == 3


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"method": "margin"}, "one of least_confident, margin_sampling, entropy, got 'margin'"),
        ({"method": "entropy", "cost_matrix": np.eye(2)}, "Entropy knows no costs"),
        ({"cost_matrix": np.eye(3)}, r"shape \(2, 2\), got shape \(3, 3\)"),
        ({"cost_matrix": [[0, NAN], [1, 0]]}, "finite cost"),
    ],
)
def test_bad_parameters_of_uncertainty_sampling(parameters, message):
    with pytest.raises(ValueError, match=message):
        UncertaintySampling(**parameters).query(X, Y, GaussianNB())


def test_features_that_are_infinite():
    class Net:
        def predict_proba(self, X):
            return np.full((len(X), 2), 0.5), np.where(np.arange(len(X)) == 2, np.inf, X[:, 0])[
                :, None
            ]

    with pytest.raises(ValueError, match=r"row 2.*among the candidates"):
        Badge().query(X, Y, Net())


def test_a_flag_reaches_the_classifier():
    class Net:
        def predict_proba(self, X, embed=False):
            proba = np.full((len(X), 2), 0.5)
            # The embedding turns the order of the norms round.
            return (proba, 1 / X[:, :1]) if embed else proba

    samples = np.array([[1.0], [2.0], [4.0]])
    y = np.full(3, NAN)
    assert Badge().query(samples, y, Net())[0] == 2
    assert Badge(clf_embedding_flag_name="embed").query(samples, y, Net())[0] == 0
    assert Badge(clf_embedding_flag_name={"embed": True}).query(samples, y, Net())[0] == 0
    with pytest.raises(TypeError, match="clf_embedding_flag_name"):
        Badge(clf_embedding_flag_name=7).query(samples, y, Net())


# Invariants on random pools, repeated points and too few labels among them.


@st.composite
def pools(draw):
    n, d, n_classes = draw(st.integers(2, 12)), draw(st.integers(1, 3)), draw(st.integers(2, 3))
    cell = st.integers(-2, 2).map(float)
    X = np.array(draw(st.lists(st.lists(cell, min_size=d, max_size=d), min_size=n, max_size=n)))
    label = st.one_of(st.just(NAN), st.integers(0, n_classes - 1).map(float))
    y = np.array(draw(st.lists(label, min_size=n, max_size=n)))
    y[draw(st.integers(0, n - 1))] = NAN
    clf = draw(
        st.sampled_from(
            [
                DecisionTreeClassifier(max_depth=2, random_state=0),
                ParzenWindowClassifier(classes=list(range(n_classes))),
                SklearnClassifier(KNeighborsClassifier(1), classes=list(range(n_classes))),
                ColdStart(LogisticRegression()),
            ]
        )
    )
    kind = draw(st.sampled_from(["unlabelled", "indices", "samples"]))
    if kind == "unlabelled":
        candidates, n_candidates = None, int(np.isnan(y).sum())
    else:
        rows = draw(st.lists(st.integers(0, n - 1), min_size=1, unique=True))
        candidates, n_candidates = (rows if kind == "indices" else X[rows]), len(rows)
    return X, y, clf, candidates, draw(st.integers(1, n_candidates)), draw(st.integers(0, 99))


@pytest.mark.filterwarnings("ignore:DecisionTreeClassifier is made of trees")
# The fixture is the same for all examples: it only builds strategies.
@settings(max_examples=20, deadline=None)
@given(pool=pools())
@pytest.mark.parametrize("kind", ["badge", "random", "margin_sampling"])
def test_invariants(kind, pool):
    X, y, clf, candidates, k, seed = pool
    if kind == "badge":
        strategy = Badge(random_state=seed)
    elif kind == "random":
        strategy = RandomSampling(random_state=seed)
    else:
        strategy = UncertaintySampling(kind, random_state=seed)
    arguments = {"X": X, "y": y, "candidates": candidates}
    before = pickle.dumps((X, y, clf, candidates))

    picks, utilities = ask(strategy, clf=clf, **arguments, batch_size=k, return_utilities=True)

    assert pickle.dumps((X, y, clf, candidates)) == before
    assert len(set(picks)) == k
    np.testing.assert_array_equal(ask(strategy, clf=clf, **arguments, batch_size=k), picks)
    np.testing.assert_array_equal(ask(strategy, clf=clf, **arguments), picks[:1])
    own = candidates is not None and np.ndim(candidates) == 2
    assert utilities.shape == (k, len(candidates) if own else len(X))
    can_be_picked = np.isnan(y) if candidates is None else np.zeros(utilities.shape[1], dtype=bool)
    if candidates is not None:
        can_be_picked[np.arange(len(candidates)) if own else candidates] = True
    for t, pick in enumerate(picks):
        np.testing.assert_array_equal(~np.isnan(utilities[t]), can_be_picked)
        assert utilities[t, pick] > 0 or kind == "margin_sampling"
        if kind == "margin_sampling":
            assert utilities[t, pick] == np.nanmax(utilities[t])
        else:
            assert np.nansum(utilities[t]) == pytest.approx(1)
        can_be_picked[pick] = False
