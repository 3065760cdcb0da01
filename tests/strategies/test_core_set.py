"""Core-set selection against its equation and scikit-activeml's."""

import numpy as np
import pytest
import skactiveml.pool
from scipy.spatial.distance import cdist

from labelnext.pool import CoreSet

NAN = np.nan


def pool(seed, n=60):
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(n, 4)), np.full(n, NAN)
    y[rng.choice(n, 8, replace=False)] = 1.0
    return X, y


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("candidates", [None, "rows", "samples"])
def test_picks_and_utilities_are_scikit_activemls(seed, candidates):
    X, y = pool(seed)
    if candidates is not None:
        rows = np.flatnonzero(np.isnan(y))[::2]
        candidates = rows if candidates == "rows" else X[rows] + 0.5
    arguments = {"candidates": candidates, "batch_size": 12, "return_utilities": True}
    picks, utilities = CoreSet().query(X, y, **arguments)
    theirs, their_utilities = skactiveml.pool.CoreSet().query(X, y, **arguments)
    assert picks.tolist() == theirs.tolist()
    there = ~np.isnan(utilities)
    np.testing.assert_allclose(utilities[there], their_utilities[there])


def test_the_first_pick_of_all_is_random():
    X, y = pool(0)[0], np.full(60, NAN)
    firsts = {CoreSet(random_state=seed).query(X, y)[0] for seed in range(40)}
    assert len(firsts) > 20
    picks, utilities = CoreSet(random_state=1).query(X, y, batch_size=4, return_utilities=True)
    assert (utilities[0] == 0).all()
    expected = cdist(X, X[picks[:2]]).min(axis=1)
    expected[picks[:2]] = NAN
    np.testing.assert_allclose(utilities[2], expected)
    assert picks[2] == np.nanargmax(expected)


def test_a_duplicate_of_a_labelled_sample_comes_last():
    X, y = pool(1)
    unlabelled = np.flatnonzero(np.isnan(y))
    X[unlabelled[5]] = X[~np.isnan(y)][0]
    assert CoreSet().query(X, y, batch_size=52)[-1] == unlabelled[5]
