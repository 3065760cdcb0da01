"""Probabilities and features of fitted classifiers."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
from skactiveml.classifier import SklearnClassifier as TheirSklearnClassifier
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import FixedThresholdClassifier, GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier

from labelnext.classifier import ParzenWindowClassifier, SklearnClassifier
from labelnext.estimators import ColdStart, proba_and_features, proba_of
from labelnext.estimators.predict import last_step

RNG = np.random.default_rng(0)
X = RNG.normal(loc=3.0, size=(80, 4))
Y = (X[:, 0] + X[:, 1] > 6).astype(int) + (X[:, 2] > 3.5)
SCALED = StandardScaler().fit_transform(X)


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


class Net(ClassifierMixin, BaseEstimator):
    """Hands back embeddings: always, or only on a flag."""

    def __init__(self, always=False):
        self.always = always

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, X, return_embeddings=False, scale=1.0):
        proba = np.full((len(X), len(self.classes_)), 1 / len(self.classes_))
        if self.always or return_embeddings:
            return proba, scale * np.tile(np.arange(6.0).reshape(2, 3), (len(X), 1, 1))
        return proba


@pytest.mark.parametrize(
    ("clf", "expected"),
    [
        (LogisticRegression(), X),
        (GaussianNB(), X),
        (ParzenWindowClassifier(), X),
        (make_pipeline(StandardScaler(), LogisticRegression()), SCALED),
        (make_pipeline(StandardScaler(), make_pipeline(StandardScaler(), GaussianNB())), SCALED),
        (Pipeline([("nothing", "passthrough"), ("lr", LogisticRegression())]), X),
        (SklearnClassifier(LogisticRegression()), X),
        (SklearnClassifier(make_pipeline(StandardScaler(), LogisticRegression())), SCALED),
        (TheirSklearnClassifier(make_pipeline(StandardScaler(), LogisticRegression())), SCALED),
        (make_pipeline(StandardScaler(), SklearnClassifier(LogisticRegression())), SCALED),
        (make_pipeline(StandardScaler(), CalibratedClassifierCV(GaussianNB(), cv=2)), SCALED),
        (
            GridSearchCV(
                make_pipeline(StandardScaler(), LogisticRegression()),
                {"logisticregression__C": [0.1, 1]},
                cv=2,
            ),
            SCALED,
        ),
        (
            SklearnClassifier(
                GridSearchCV(make_pipeline(StandardScaler(), GaussianNB()), {}, cv=2)
            ),
            SCALED,
        ),
    ],
    ids=lambda value: repr(value)[:70].replace("\n", "") if hasattr(value, "fit") else "",
)
def test_features_are_what_the_last_step_sees(clf, expected):
    clf.fit(X, Y)
    proba, features = proba_and_features(clf, X)
    np.testing.assert_allclose(features, expected, atol=1e-12)
    np.testing.assert_allclose(proba, clf.predict_proba(X), atol=1e-12)


SCALING = make_pipeline(StandardScaler(), LogisticRegression())
SCALING_NB = make_pipeline(StandardScaler(), GaussianNB())
MLP = MLPClassifier((3,), max_iter=5, solver="lbfgs", tol=1.0)


@pytest.mark.parametrize(
    ("clf", "hidden"),
    [
        (CalibratedClassifierCV(SCALING, cv=2), "Pipeline"),
        (CalibratedClassifierCV(GridSearchCV(SCALING, {}, cv=2), cv=2), "Pipeline"),
        (CalibratedClassifierCV(SklearnClassifier(SCALING), cv=2), "Pipeline"),
        (OneVsRestClassifier(SCALING), "Pipeline"),
        (BaggingClassifier(SCALING, n_estimators=2), "Pipeline"),
        (OneVsRestClassifier(CalibratedClassifierCV(SCALING, cv=2)), "Pipeline"),
        (VotingClassifier([("a", SCALING), ("b", GaussianNB())], voting="soft"), "Pipeline"),
        (StackingClassifier([("a", SCALING), ("b", GaussianNB())], cv=2), "Pipeline"),
        (SklearnClassifier(CalibratedClassifierCV(SCALING_NB, cv=2)), "Pipeline"),
        (CalibratedClassifierCV(MLP, cv=2), "MLPClassifier"),
        (make_pipeline(StandardScaler(), BaggingClassifier(MLP, n_estimators=2)), "MLPClassifier"),
    ],
    ids=lambda value: repr(value)[:60].replace("\n", "") if hasattr(value, "fit") else "",
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_features_that_a_wrapper_hides_are_told_of(clf, hidden):
    clf.fit(X, Y)
    with pytest.warns(UserWarning, match=rf"no one last step.*not what {hidden} makes of them"):
        features = proba_and_features(clf, X)[1]
    np.testing.assert_allclose(features, SCALED if isinstance(clf, Pipeline) else X, atol=1e-12)
    assert proba_and_features(clf, X, features=SCALED)[1] is SCALED  # without a warning


@pytest.mark.parametrize(
    "clf",
    [
        CalibratedClassifierCV(GaussianNB(), cv=2),
        BaggingClassifier(LogisticRegression(), n_estimators=2),
        VotingClassifier([("a", GaussianNB()), ("b", LogisticRegression())], voting="soft"),
        Pipeline([("nothing", "passthrough"), ("lr", CalibratedClassifierCV(GaussianNB(), cv=2))]),
    ],
    ids=lambda clf: type(clf).__name__,
)
def test_a_wrapper_of_what_sees_the_samples_themselves(clf):
    np.testing.assert_array_equal(proba_and_features(clf.fit(X, Y), X)[1], X)


TEXTS = [f"w{i % 3} w{i % 7}" for i in range(len(Y))]


def test_a_wrapper_around_a_pipeline_of_texts_and_what_to_do():
    inside = LinearSVC()
    around = CalibratedClassifierCV(make_pipeline(TfidfVectorizer(), inside), cv=2).fit(TEXTS, Y)
    with pytest.raises(TypeError, match=r"put CalibratedClassifierCV into the pipeline, in the p"):
        proba_and_features(around, TEXTS)
    assert proba_and_features(around, TEXTS, features=X)[1] is X
    clf = make_pipeline(TfidfVectorizer(), CalibratedClassifierCV(inside, cv=2)).fit(TEXTS, Y)
    assert proba_and_features(clf, TEXTS)[1].shape == (len(Y), 7)


@pytest.mark.parametrize("door", [proba_and_features, proba_of])
@pytest.mark.parametrize(
    ("samples", "step"),
    [(X, StandardScaler()), (TEXTS, TfidfVectorizer())],
    ids=["numbers", "texts"],
)
def test_a_pipeline_without_probabilities_and_what_to_do(samples, step, door):
    clf = make_pipeline(step, LinearSVC()).fit(samples, Y)
    with pytest.raises(TypeError, match="Pipeline, whose last step LinearSVC has none") as error:
        door(clf, samples)
    advised = str(error.value).rpartition(": ")[2].rstrip(".")
    advised = eval(advised, {**globals(), type(step).__name__: lambda: step})
    door(advised.fit(samples, Y), samples)
    wrapped = SklearnClassifier(LinearSVC()).fit(X, Y)
    with pytest.raises(TypeError, match="SklearnClassifier, in which LinearSVC has none"):
        door(wrapped, X)


@pytest.mark.parametrize("door", [proba_and_features, proba_of])
def test_a_vote_without_probabilities_and_what_to_do(door):
    members = [("a", GaussianNB()), ("b", LogisticRegression())]
    with pytest.raises(TypeError, match=r"\. Give VotingClassifier voting='soft', and members"):
        door(VotingClassifier(members).fit(X, Y), X)
    door(VotingClassifier(members, voting="soft").fit(X, Y), X)
    # What can't be made of nothing is not said to be.
    with pytest.raises(TypeError, match=r"ClassifierCV\(StackingClassifier\(\.\.\.\), cv"):
        door(StackingClassifier(members, LinearSVC()).fit(X, Y), X)


@pytest.mark.parametrize("door", [proba_and_features, proba_of])
def test_a_regressor_is_told_apart(door):
    for clf in (LinearRegression(), make_pipeline(StandardScaler(), LinearRegression())):
        with pytest.raises(TypeError, match=r"got .*a regressor\. Take a classifier, as"):
            door(clf.fit(X, Y), X)


class BearsNaN(GaussianNB):
    """Copes with missing values, and is not made of trees."""

    def fit(self, X, y):
        return super().fit(np.nan_to_num(X), y)

    def predict_proba(self, X):
        return super().predict_proba(np.nan_to_num(X))


@pytest.mark.parametrize("kind", [np.asarray, sp.csr_array, pd.DataFrame], ids=lambda k: k.__name__)
def test_missing_values_that_the_model_bears(kind):
    gaps = X.copy()
    gaps[3, 1] = np.nan
    clf = BearsNaN().fit(X, Y)
    clf.predict_proba = lambda X: np.full((X.shape[0], 3), 1 / 3)
    with pytest.raises(ValueError, match=r"X holds NaN, which BearsNaN may bear.*features="):
        proba_and_features(clf, kind(gaps))
    assert proba_and_features(clf, kind(gaps), features=X)[1] is X


def test_categories_that_the_model_bears():
    frame = pd.DataFrame({"a": X[:, 0], "b": pd.Categorical(np.where(X[:, 1] > 3, "u", "v"))})
    clf = HistGradientBoostingClassifier(categorical_features="from_dtype", max_iter=2)
    clf.fit(frame, Y)
    with pytest.raises(TypeError, match=r"features must be numbers.*Pass features=\.\.\.,"):
        proba_and_features(clf, frame)
    assert proba_and_features(clf, frame, features=X)[1] is X
    encode = ColumnTransformer([("b", OneHotEncoder(), ["b"])], remainder="passthrough")
    with pytest.warns(UserWarning, match="made of trees"):
        proba_and_features(make_pipeline(encode, clone(clf)).fit(frame, Y), frame)


def test_frozen_and_thresholded_classifiers_are_looked_through():
    binary = (Y > 0).astype(int)
    pipeline = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, binary)
    thresholded = FixedThresholdClassifier(pipeline, threshold=0.2).fit(X, binary)
    for clf in (FrozenEstimator(pipeline), thresholded):
        np.testing.assert_allclose(proba_and_features(clf, X)[1], SCALED, atol=1e-12)


def test_x_itself_is_not_copied():
    clf = LogisticRegression().fit(X, Y)
    assert np.shares_memory(proba_and_features(clf, X)[1], X)
    images = X.reshape(80, 1, 2, 2)
    features = proba_and_features(ColdStart(clf), images)[1]
    assert features.shape == (80, 4)
    assert np.shares_memory(features, X)


@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
@pytest.mark.parametrize("hidden", [(5,), (7, 3), (6, 5, 4)])
def test_the_last_hidden_layer_leads_to_the_probabilities(activation, hidden):
    mlp = MLPClassifier(hidden, activation=activation, max_iter=2000, random_state=0, tol=1e-2)
    mlp.fit(SCALED, Y)
    proba, features = proba_and_features(mlp, SCALED)
    assert features.shape == (80, hidden[-1])
    rebuilt = softmax(features @ mlp.coefs_[-1] + mlp.intercepts_[-1])
    np.testing.assert_allclose(rebuilt, proba, atol=1e-12)


def test_a_pipeline_that_ends_with_a_network_goes_through_both():
    clf = make_pipeline(
        StandardScaler(), MLPClassifier((5,), max_iter=2000, random_state=0, tol=1e-2)
    )
    for fitted in (clf.fit(X, Y), SklearnClassifier(clf).fit(X, Y)):
        proba, features = proba_and_features(fitted, X)
        mlp = clf[-1] if fitted is clf else fitted.estimator_[-1]
        rebuilt = softmax(features @ mlp.coefs_[-1] + mlp.intercepts_[-1])
        np.testing.assert_allclose(rebuilt, proba, atol=1e-12)


def test_a_network_on_sparse_samples():
    mlp = MLPClassifier((5,), max_iter=2000, random_state=0, tol=1e-2).fit(SCALED, Y)
    np.testing.assert_allclose(
        proba_and_features(mlp, sp.csr_array(SCALED))[1], proba_and_features(mlp, SCALED)[1]
    )


def test_a_pipeline_transforms_once():
    class Counting(StandardScaler):
        calls = 0

        def transform(self, X, copy=None):
            Counting.calls += 1
            return super().transform(X, copy)

    clf = make_pipeline(Counting(), LogisticRegression()).fit(X, Y)
    Counting.calls = 0
    proba_and_features(clf, X)
    assert Counting.calls == 1


def test_a_pipeline_of_another_kind_is_asked_itself():
    class Smoothed(Pipeline):
        def predict_proba(self, X, **params):
            return 0.5 * super().predict_proba(X, **params) + 0.5 / 3

    clf = Smoothed([("scale", StandardScaler()), ("lr", LogisticRegression())]).fit(X, Y)
    proba, features = proba_and_features(clf, X)
    assert proba.min() >= 0.5 / 3
    np.testing.assert_allclose(features, SCALED, atol=1e-12)


def test_steps_that_act_on_training_data_alone_are_left_out():
    class Sampler(BaseEstimator):
        def fit_resample(self, X, y):
            raise AssertionError("not when predicting")

    clf = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, Y)

    class WithSampler(Pipeline):  # as imbalanced-learn's pipeline, which skips it
        def predict_proba(self, X, **params):
            return clf.predict_proba(X)

    with_sampler = WithSampler([("scale", clf[0]), ("sample", Sampler()), ("lr", clf[-1])])
    np.testing.assert_allclose(proba_and_features(with_sampler, X)[1], SCALED, atol=1e-12)


def test_a_hundred_thousand_columns_of_text_stay_sparse():
    words = [f"w{i}" for i in range(100_000)]
    texts = [" ".join(words[i::400]) for i in range(400)]
    labels = np.arange(400) % 2
    clf = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(texts, labels)
    proba, features = proba_and_features(clf, texts)
    assert features.shape == (400, 100_000)
    assert sp.issparse(features)
    assert features.format == "csr"
    assert features.nnz == 100_000
    assert proba.shape == (400, 2)


@pytest.mark.parametrize("container", [sp.coo_array, sp.dia_array, sp.csc_matrix])
def test_sparse_samples_become_rows(container):
    clf = LogisticRegression().fit(SCALED, Y)
    features = proba_and_features(clf, container(SCALED))[1]
    assert features.format == "csr"
    np.testing.assert_array_equal(features.toarray(), SCALED)


@pytest.mark.parametrize("flag", ["return_embeddings", {"return_embeddings": True, "scale": 2.0}])
def test_embeddings_on_a_flag(flag):
    clf = Net().fit(X, Y)
    proba, features = proba_and_features(clf, X, flag)
    assert proba.shape == (80, 3)
    scale = 1.0 if isinstance(flag, str) else 2.0
    np.testing.assert_array_equal(features, np.tile(scale * np.arange(6.0), (80, 1)))
    assert np.shares_memory(proba_and_features(clf, X)[1], X)


@pytest.mark.parametrize(
    "clf", [Net(always=True), make_pipeline(StandardScaler(), Net(always=True))]
)
def test_embeddings_by_default(clf):
    assert proba_and_features(clf.fit(X, Y), X)[1].shape == (80, 6)


@pytest.mark.parametrize("wrapper", [SklearnClassifier, TheirSklearnClassifier])
def test_embeddings_through_a_wrapper(wrapper):
    clf = wrapper(Net(), classes=[0, 1, 2]).fit(X, Y)
    if wrapper is SklearnClassifier:
        assert proba_and_features(clf, X, "return_embeddings")[1].shape == (80, 6)
    assert np.shares_memory(proba_and_features(clf, X)[1], X)


@pytest.mark.parametrize("clf", [SklearnClassifier, ColdStart])
def test_before_there_are_labels_a_flag_is_no_promise(clf):
    if clf is ColdStart:
        clf = ColdStart(Net())
    else:
        clf = SklearnClassifier(Net(), classes=[0, 1, 2]).fit(X, np.full(80, np.nan))
    proba, features = proba_and_features(clf, X, "return_embeddings")
    assert np.ptp(proba) == 0
    assert np.shares_memory(features, X)


def test_before_there_are_labels_transformers_learn_from_the_samples():
    pipeline = make_pipeline(StandardScaler(), LogisticRegression())
    search = GridSearchCV(pipeline, {})
    wrapped = SklearnClassifier(pipeline, classes=[0, 1]).fit(X, np.full(80, np.nan))
    for clf in (ColdStart(pipeline), ColdStart(search), wrapped):
        proba, features = proba_and_features(clf, X)
        np.testing.assert_array_equal(proba, np.full((80, 2), 0.5))
        np.testing.assert_allclose(features, SCALED, atol=1e-12)
    assert not hasattr(pipeline[0], "mean_")


def test_before_there_are_labels_a_frozen_transformer_is_used_as_it_is():
    frozen = FrozenEstimator(StandardScaler().fit(X))
    features = proba_and_features(ColdStart(make_pipeline(frozen, GaussianNB())), X[:3])[1]
    np.testing.assert_allclose(features, SCALED[:3], atol=1e-12)


def test_frames_reach_the_transformers_as_frames():
    frame = pd.DataFrame(X, columns=list("abcd"))
    frame["kind"] = np.where(X[:, 0] > 3, "u", "v")
    columns = ColumnTransformer(
        [("n", StandardScaler(), list("abcd")), ("k", OneHotEncoder(), ["kind"])]
    )
    for table in (frame, pl.from_pandas(frame)):
        clf = make_pipeline(columns, LogisticRegression()).fit(table, Y)
        features = proba_and_features(clf, table)[1]
        np.testing.assert_allclose(features[:, :4], SCALED, atol=1e-12)


def test_frames_of_numbers_are_features():
    frame = pd.DataFrame(X, columns=list("abcd")).assign(flag=X[:, 0] > 3)
    for table in (frame, pl.from_pandas(frame)):
        clf = GaussianNB().fit(table, Y)
        features = proba_and_features(clf, table)[1]
        assert features.dtype == np.float64
        np.testing.assert_array_equal(features[:, :4], X)


def test_features_that_are_no_numbers():
    clf = ColdStart(LogisticRegression())
    with pytest.raises(
        TypeError, match=r"features must be numbers.*features=.*put what makes numbers of X"
    ):
        proba_and_features(clf, pd.DataFrame({"a": ["x", "y"]}))


def test_a_flag_that_is_no_flag():
    with pytest.raises(TypeError, match=r"clf_embedding_flag_name must be None.*got 3"):
        proba_and_features(LogisticRegression().fit(X, Y), X, 3)


def test_a_flag_that_brings_no_features():
    with pytest.raises(ValueError, match=r"must return \(proba, features\) when called with"):
        proba_and_features(Net().fit(X, Y), X, {"scale": 2.0})


class Fixed:
    """Not made by scikit-learn's rules; says what it was told to."""

    def __init__(self, answer):
        self.answer = answer

    def predict_proba(self, X):
        return self.answer


@pytest.mark.parametrize("ask", [proba_and_features, proba_of])
@pytest.mark.parametrize(
    "answer", [np.full(2, 0.5), np.full((2, 1), 0.5), np.full((2, 2), 0.5), np.full((3, 1, 2), 0.5)]
)
def test_probabilities_of_the_wrong_shape(ask, answer):
    with pytest.raises(ValueError, match=r"shape \(3, n_classes\).*got \("):
        ask(Fixed(answer), X[:3])


def test_too_many_answers():
    proba = np.full((3, 2), 0.5)
    with pytest.raises(ValueError, match="got a tuple of 3"):
        proba_and_features(Fixed((proba, proba, proba)), X[:3])


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ([0.5, 0.7], r"sum of 1\.2 .* in row 1"),
        ([1.5, -0.5], r"smallest value of -0\.5 in row 1"),
        ([np.nan, 0.5], "sum of nan"),
    ],
)
def test_probabilities_that_are_none(bad, message):
    with pytest.raises(ValueError, match=message):
        proba_of(Fixed(np.array([[0.5, 0.5], bad])), X[:2])


def test_probabilities_beside_embeddings():
    np.testing.assert_array_equal(proba_of(Net(always=True).fit(X, Y), X), np.full((80, 3), 1 / 3))
    assert proba_of(Fixed(np.full((2, 4), 0.25, dtype=np.float16)), X[:2]).dtype == np.float64


@pytest.mark.parametrize("shape", [(3,), (3, 1)])
@pytest.mark.parametrize("classes", [None, ["no", "yes"]])
def test_a_single_column_is_the_probability_of_the_second_class(shape, classes):
    clf = Fixed(np.array([0.0, 0.25, 1.0], dtype=np.float32).reshape(shape))
    if classes is not None:
        clf.classes_ = classes
    both = [[1.0, 0.0], [0.75, 0.25], [0.0, 1.0]]
    np.testing.assert_array_equal(proba_of(clf, X[:3]), both)
    proba, features = proba_and_features(clf, X[:3])
    np.testing.assert_array_equal(proba, both)
    assert proba.dtype == np.float32
    assert np.shares_memory(features, X)
    clf.answer = (clf.answer, np.ones((3, 2)))
    np.testing.assert_array_equal(proba_and_features(clf, X[:3])[0], both)


def test_a_single_column_of_the_only_class_stays():
    clf = Fixed(np.ones((3, 1)))
    clf.classes_ = ["only"]
    assert proba_of(clf, X[:3]).tolist() == proba_and_features(clf, X[:3])[0].tolist() == [[1]] * 3


@pytest.mark.parametrize("ask", [proba_and_features, proba_of])
def test_a_single_column_that_cannot_be_a_probability(ask):
    for wrong in ([0.5, 1.5, 0.5], [0.5, -0.5, 0.5], [0.5, np.nan, 0.5]):
        with pytest.raises(ValueError, match=r"P\(y = 1\).*in row 1"):
            ask(Fixed(np.array(wrong)), X[:3])
    clf = Fixed(np.full(3, 0.5))
    clf.classes_ = [0, 1, 2]
    with pytest.raises(ValueError, match="single column, but it knows 3 classes"):
        ask(clf, X[:3])


def test_the_callers_own_features():
    clf, mine = LogisticRegression().fit(X, Y), RNG.normal(size=(80, 2, 3))
    proba, features = proba_and_features(clf, X, features=mine)
    np.testing.assert_allclose(proba, clf.predict_proba(X))
    np.testing.assert_array_equal(features, mine.reshape(80, 6))
    with pytest.raises(ValueError, match="features must have a row for each sample, got 79"):
        proba_and_features(clf, X, features=mine[:79])
    with pytest.raises(ValueError, match="either features or clf_embedding_flag_name"):
        proba_and_features(clf, X, "return_embeddings", mine)


class Boosted(Fixed):
    """As XGBoost, LightGBM and CatBoost name it."""

    feature_importances_ = property(lambda self: None)


TREES = [
    DecisionTreeClassifier(max_depth=3),
    RandomForestClassifier(3),
    ExtraTreesClassifier(3),
    GradientBoostingClassifier(n_estimators=2),
    HistGradientBoostingClassifier(max_iter=2),
    BaggingClassifier(n_estimators=2),
    AdaBoostClassifier(n_estimators=2),
    CalibratedClassifierCV(RandomForestClassifier(3), cv=2),
    VotingClassifier(
        [("a", RandomForestClassifier(3)), ("b", DecisionTreeClassifier())], voting="soft"
    ),
    GridSearchCV(RandomForestClassifier(3), {}, cv=2),
    SklearnClassifier(RandomForestClassifier(3)),
    Pipeline([("shift", FunctionTransformer(np.negative)), ("forest", RandomForestClassifier(3))]),
]


@pytest.mark.parametrize("clf", TREES, ids=lambda clf: type(clf).__name__)
def test_trees_do_not_see_scales_so_columns_are_scaled(clf):
    samples = X * [1.0, 1e6, 1e-6, 1.0]
    expected = -SCALED if isinstance(clf, Pipeline) else SCALED
    if isinstance(clf, SklearnClassifier):
        cold = clone(clf).set_params(classes=[0, 1, 2]).fit(samples, np.full(80, np.nan))
    else:
        cold = ColdStart(clone(clf))
    for fitted in (cold, clone(clf).fit(samples, Y)):
        with pytest.warns(UserWarning, match=r"scaled to mean 0 and variance 1.*features="):
            proba, features = proba_and_features(fitted, samples)
        np.testing.assert_allclose(features, expected, atol=1e-9)
        np.testing.assert_allclose(proba, fitted.predict_proba(samples), atol=1e-12)
        proba_of(fitted, samples)  # features alone are worth a warning
        proba_and_features(fitted, samples, features=samples)


def test_boosting_of_other_libraries():
    clf = Boosted(np.full((80, 2), 0.5))
    with pytest.warns(UserWarning, match=r"^Boosted .*scaled"):
        features = proba_and_features(clf, X)[1]
    np.testing.assert_allclose(features, SCALED, atol=1e-12)


@pytest.mark.parametrize(
    "clf",
    [
        BaggingClassifier(LogisticRegression(), 2),
        AdaBoostClassifier(LogisticRegression(), n_estimators=2),
        VotingClassifier(
            [("a", LogisticRegression()), ("b", DecisionTreeClassifier())], voting="soft"
        ),
        KNeighborsClassifier(),
    ],
)
def test_ensembles_of_others_keep_their_columns(clf):
    assert np.shares_memory(proba_and_features(clf.fit(X, Y), X)[1], X)


def test_samples_of_trees_may_be_sparse_or_have_holes():
    samples = sp.csr_array(np.where(X > 3, 100 * X, 0))
    with pytest.warns(UserWarning, match="scaled by its largest absolute value"):
        features = proba_and_features(RandomForestClassifier(3).fit(samples, Y), samples)[1]
    assert features.format == "csr"
    assert features.nnz == samples.nnz
    np.testing.assert_allclose(features.toarray().max(axis=0), 1)
    holes = X.copy()
    holes[::3, 1] = np.nan
    clf = HistGradientBoostingClassifier(max_iter=2).fit(holes, Y)
    with pytest.warns(UserWarning, match="mean where a value is missing"):
        features = proba_and_features(clf, holes)[1]
    np.testing.assert_array_equal(features[::3, 1], 0)
    assert np.isnan(holes[::3, 1]).all()


@pytest.mark.parametrize("clf", [TREES[0], TREES[-1]], ids=["tree", "pipeline"])
def test_the_last_step_of_trees_takes_the_scaled_columns(clf):
    clf = clone(clf).fit(X, Y)
    with pytest.warns(UserWarning, match="scaled"):
        features = proba_and_features(clf, X)[1]
    np.testing.assert_allclose(last_step(clf, X)(features), clf.predict_proba(X))


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        ([1.0, 2.0], r"at least two dimensions.*got shape \(2,\).*reshape"),
        (pd.Series([1.0, 2.0]), "at least two dimensions"),
        (np.array(3.0), "at least two dimensions"),
        ([[1.0, 2.0], [3.0]], "all of the same length"),
    ],
)
def test_samples_that_are_none(samples, message):
    with pytest.raises(ValueError, match=message):
        proba_and_features(LogisticRegression(), samples)
