"""What a `Query` knows of candidates and labelled samples."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from labelnext.strategies import QueryStrategy

NAN = np.nan
X = np.random.default_rng(0).normal(size=(12, 2))
Y = np.where(np.arange(12) % 3 == 0, np.arange(12) % 2, NAN)
LABELLED = np.arange(0, 12, 3)


class Catch(QueryStrategy):
    """Keeps what it gets."""

    needs = ("features",)
    looks_at_labeled = True

    def _choose(self, query):
        self.caught = query
        return np.arange(query.k)


class CatchBoth(Catch):
    needs = ("proba", "features")


def catch(X=X, y=Y, clf=None, strategy=Catch, **arguments):
    strategy = strategy()
    strategy.query(X, y, clf, **arguments)
    return strategy.caught


def dense(X):
    return X.toarray() if sp.issparse(X) else np.asarray(X)


@pytest.mark.parametrize("container", [np.array, sp.csr_array, pd.DataFrame, pl.DataFrame, list])
@pytest.mark.parametrize(
    ("candidates", "own"),
    [(None, X[np.isnan(Y)]), ([4, 1, 3], X[[1, 3, 4]]), (X[:2] + 1, X[:2] + 1)],
    ids=["unlabelled", "indices", "samples"],
)
def test_candidates_come_first_and_labelled_samples_after(container, candidates, own):
    query = catch(container(X), candidates=candidates)
    # Rows of the pool of a query: the candidates, and after them the labelled samples.
    assert query.candidates.tolist() == list(range(len(own)))
    assert query.labeled.tolist() == list(range(len(own), len(own) + 4))
    assert query.labels.tolist() == Y[LABELLED].tolist()
    np.testing.assert_array_equal(dense(query.features()), own)
    np.testing.assert_array_equal(
        dense(query.features(with_labeled=True)), np.vstack([own, X[LABELLED]])
    )


@pytest.mark.parametrize(
    ("classes", "column", "expected"),
    [
        # A single column is P(y = 1) ...
        (None, 0.75, [0.25, 0.75]),
        ([0, 1], 0.75, [0.25, 0.75]),
        # ... but of one class nothing can be learned: all samples are equally uncertain.
        ([1], 1.0, [0.5, 0.5]),
    ],
)
def test_one_call_of_the_classifier_for_both(classes, column, expected):
    calls = []

    class Net:
        def predict_proba(self, X):
            calls.append(len(X))
            return np.full((len(X), 1), column), X**2

    net = Net()
    if classes is not None:
        net.classes_ = np.array(classes)
    query = catch(clf=net, strategy=CatchBoth)
    proba, features = query.proba_and_features(with_labeled=True)
    assert calls == [12]
    np.testing.assert_array_equal(proba, [expected] * 12)
    np.testing.assert_array_equal(features[8:], X[LABELLED] ** 2)
    np.testing.assert_array_equal(query.proba(), [expected] * 8)


def test_a_cold_start_has_one_scale_for_both():
    y = np.full(12, NAN)
    y[3] = 0
    query = catch(y=y, clf=make_pipeline(StandardScaler(), LogisticRegression()))
    features = query.features(with_labeled=True)
    order = [*np.delete(np.arange(12), 3), 3]
    np.testing.assert_allclose(features, StandardScaler().fit_transform(X)[order])


def test_without_labelled_samples():
    query = catch(y=np.full(12, NAN), clf=GaussianNB())
    assert len(query.features(with_labeled=True)) == 12
    assert len(query.labels) == 0


@pytest.mark.parametrize(
    ("values", "dtype"),
    [(X.astype(np.float16), np.float32), (X.astype(np.float32), np.float32), (X > 0, np.float64)],
)
def test_features_are_float32_or_float64(values, dtype):
    assert catch(values).features().dtype == dtype


@pytest.mark.parametrize("container", [np.array, sp.csr_array])
@pytest.mark.parametrize("value", [NAN, np.inf, -np.inf])
def test_features_must_be_finite(container, value):
    wrong = X.copy()
    wrong[4] = value  # the third of the candidates
    with pytest.raises(ValueError, match="infinity in row 2 of the candidates; drop or"):
        catch(container(wrong)).features()
    assert len(catch(np.full((12, 1), 1e308)).features()) == 8  # the sum overflows, no value does
