"""DropQuery against its definition, and the last steps of all kinds of classifiers."""

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.cluster import KMeans
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch import NeuralNetClassifier
from torch import nn

from labelnext.classifier import SkorchClassifier
from labelnext.estimators import proba_and_features
from labelnext.estimators.predict import last_step
from labelnext.pool import DropQuery
from labelnext.strategies._drop_query import disagreements
from labelnext.utils.random import as_generator
from small_nets import Cnn, Mlp

NAN = np.nan
RNG = np.random.default_rng(0)
N = 300
TRUE = np.arange(N) % 3
X = 0.7 * np.eye(6)[TRUE] + RNG.normal(size=(N, 6))
Y = np.where(np.arange(N) < 60, TRUE, NAN)
POOL = X[60:]


def ask(clf=None, batch_size=8, *, X=X, y=Y, n_passes=3, dropout=0.75, **arguments):
    strategy = DropQuery(n_passes=n_passes, dropout=dropout, random_state=0)
    return strategy.query(X, y, clf or LogisticRegression(), batch_size=batch_size, **arguments)


def naive_disagreements(weights, bias, features, n_passes, dropout, seed):
    rng = np.random.default_rng(seed)
    counts = []
    masks = [rng.random(features.shape, dtype=np.float32) >= dropout for _ in range(n_passes)]
    for i, h in enumerate(features):
        plain = np.argmax(h @ weights + bias)
        dropped = [h * mask[i] / (1 - dropout) for mask in masks]
        counts.append(sum(np.argmax(d @ weights + bias) != plain for d in dropped))
    return np.array(counts)


@pytest.mark.parametrize(("n_passes", "dropout"), [(3, 0.75), (4, 0.3), (1, 0.0)])
def test_the_count_of_predictions_that_differ(n_passes, dropout):
    clf = LogisticRegression().fit(X[:60], Y[:60])
    counts = disagreements(last_step(clf, POOL), POOL, n_passes, dropout, np.random.default_rng(5))
    expected = naive_disagreements(clf.coef_.T, clf.intercept_, POOL, n_passes, dropout, 5)
    assert_array_equal(counts, expected)
    assert (counts > 0).any() == (dropout > 0)


def test_picks_are_the_disputed_nearest_to_centres(monkeypatch):
    from labelnext.strategies import _clusters, _drop_query

    seen = {}

    def count(*arguments):
        seen["counts"] = disagreements(*arguments)
        return seen["counts"]

    def cluster(points, n_clusters, rng, max_iter, weights):
        seen["features"] = points.rows[:, :-2]
        model = KMeans(n_clusters, n_init=1, random_state=0).fit(seen["features"])
        seen["centres"] = model.cluster_centers_
        return model.cluster_centers_, model.labels_

    monkeypatch.setattr(_drop_query, "disagreements", count)
    monkeypatch.setattr(_clusters, "k_means", cluster)
    picks, utilities = ask(n_passes=4, return_utilities=True)
    disputed = [i for i, count in enumerate(seen["counts"]) if count in (3, 4)]
    assert 20 < len(disputed) < 200
    assert_allclose(seen["features"], POOL[disputed] - POOL[disputed].mean(axis=0))
    place = dict(zip(disputed, seen["features"], strict=True))
    for t, centre in enumerate(seen["centres"]):
        free = [i for i in disputed if 60 + i not in picks[:t]]
        distances = [np.linalg.norm(place[i] - centre) for i in free]
        assert_allclose(utilities[t, 60:][free], -np.array(distances), atol=1e-6)
        assert picks[t] - 60 == free[np.argmin(distances)]
        others = [i for i in range(len(POOL)) if i not in disputed]
        assert (utilities[t, 60:][others] == -np.inf).all()


def test_the_most_disputed_where_too_few_are():
    # Nothing changes without dropout: lots decide.
    batches = {
        tuple(
            DropQuery(n_passes=3, dropout=0.0, random_state=s).query(
                X, Y, GaussianNB(), batch_size=5
            )
        )
        for s in range(5)
    }
    assert len(batches) == 5
    clf = LogisticRegression(C=0.001).fit(X[:60], Y[:60])
    rng = as_generator(0, 240)
    counts = disagreements(last_step(clf, POOL), POOL, 3, 0.75, rng)
    n_disputed = int((counts >= 2).sum())
    k = n_disputed + 3
    assert k < (counts >= 1).sum()
    picks = ask(clf, k, fit_clf=False)
    assert (
        sorted(counts[picks - 60], reverse=True)[:n_disputed]
        == sorted(counts, reverse=True)[:n_disputed]
    )
    assert counts[picks - 60].min() == 1


IMAGES = RNG.normal(size=(N, 1, 3, 4)).astype(np.float32)
LAST = [
    (LogisticRegression(), X),
    (make_pipeline(StandardScaler(), LogisticRegression()), X),
    (MLPClassifier((5, 4), max_iter=30, random_state=0), X),
    (make_pipeline(StandardScaler(), MLPClassifier(4, max_iter=30, random_state=0)), X),
    (
        SkorchClassifier(Mlp, module__n_features=6, classes=[0, 1, 2], random_state=0),
        X.astype("f4"),
    ),
    (SkorchClassifier(Cnn, classes=[0, 1, 2], random_state=0), IMAGES),
    (NeuralNetClassifier(Cnn, criterion=nn.CrossEntropyLoss, train_split=None, verbose=0), IMAGES),
]


@pytest.mark.one_of(2)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(("clf", "X"), LAST, ids=lambda v: type(v).__name__)
@pytest.mark.parametrize("n_classes", [2, 3])
def test_the_last_step_predicts_what_the_classifier_does(clf, X, n_classes):
    fitted = clf.fit(X, (TRUE % n_classes).astype(np.int64))
    proba, features = proba_and_features(fitted, X)
    scores = last_step(fitted, X)(features)
    assert scores.shape == proba.shape
    assert_array_equal(scores.argmax(axis=1), proba.argmax(axis=1))
    assert len(set(ask(fitted, X=X, fit_clf=False))) == 8


def test_a_module_of_one_logit():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(6, 4), nn.Tanh(), nn.Linear(4, 1, bias=False))
    samples = X.astype(np.float32)
    proba, features = proba_and_features(module, samples)
    scores = last_step(module, samples)(features)
    assert_array_equal(scores.argmax(axis=1), proba.argmax(axis=1))
    assert set(scores.argmax(axis=1)) == {0, 1}


def test_sparse_samples():
    samples = sp.csr_array(np.where(X > 0, X, 0))
    clf = LogisticRegression().fit(samples, TRUE)
    before = samples.data.copy()
    counts = disagreements(last_step(clf, samples), samples, 3, 0.5, np.random.default_rng(0))
    assert counts.max() == 3
    assert_array_equal(samples.data, before)


def test_bad_input():
    class OwnFeatures(GaussianNB):
        def predict_proba(self, X):
            return super().predict_proba(X), np.asarray(X)[:, :2]

    for parameters, error in (
        ({"n_passes": 0}, ValueError),
        ({"n_passes": 1.0}, TypeError),
        ({"dropout": 1.0}, ValueError),
        ({"dropout": -0.1}, ValueError),
        ({"dropout": "half"}, TypeError),
    ):
        with pytest.raises(error, match=f"{next(iter(parameters))} must be"):
            ask(**parameters)
    with pytest.raises(TypeError, match="come out of its predict_proba"):
        ask(OwnFeatures())
