"""What BADGE alone takes: labelled samples as centres, and groups."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import oracle
from labelnext.pool import Badge
from labelnext.strategies import check_query_strategy

NAN = np.nan
RNG = np.random.default_rng(1)
X = RNG.normal(size=(40, 3))
Y = np.where(np.arange(40) % 4 == 0, (X[:, 0] > 0).astype(float), NAN)
UNLABELLED, LABELLED = np.flatnonzero(np.isnan(Y)), np.flatnonzero(~np.isnan(Y))
GROUPS = np.array([f"video {i % 7}" for i in range(40)])


def test_the_contract_with_labelled_centres():
    check_query_strategy(Badge(condition_on_labeled=True))


def test_labelled_samples_are_centres_at_their_pseudo_labels():
    clf = GaussianNB().fit(X[LABELLED], Y[LABELLED])
    vectors = oracle.gradients(clf.predict_proba(X), X)
    d2 = oracle.squared_distances(vectors)
    strategy = Badge(condition_on_labeled=True, random_state=0)
    picks, utilities = strategy.query(X, Y, GaussianNB(), batch_size=5, return_utilities=True)
    for t in range(5):
        nearest = d2[:, [*LABELLED, *picks[:t]]].min(axis=1)
        free = np.setdiff1d(UNLABELLED, picks[:t])
        np.testing.assert_allclose(utilities[t, free], nearest[free] / nearest[free].sum())
        assert np.isnan(utilities[t, np.setdiff1d(np.arange(40), free)]).all()


def test_without_labels_there_is_nothing_to_condition_on():
    none = np.full(40, NAN)
    for clf in (LogisticRegression(), make_pipeline(StandardScaler(), LogisticRegression())):
        np.testing.assert_array_equal(
            Badge(condition_on_labeled=True, random_state=0).query(X, none, clf, batch_size=9),
            Badge(random_state=0).query(X, none, clf, batch_size=9),
        )


def test_duplicates_of_labelled_samples_come_last():
    samples = np.vstack([X[LABELLED], X[UNLABELLED[:4]]])
    picks = Badge(condition_on_labeled=True, random_state=0).query(
        X, Y, GaussianNB(), candidates=samples, batch_size=6
    )
    assert set(picks[:4]) == set(range(10, 14))


@pytest.mark.parametrize("container", [list, np.array, pd.Series, pd.Categorical])
@pytest.mark.parametrize("conditioned", [False, True])
def test_no_more_than_so_many_of_a_group(container, conditioned):
    for limit in (1, 2, 99):
        strategy = Badge(condition_on_labeled=conditioned, max_per_group=limit, random_state=0)
        arguments = {"clf": GaussianNB(), "groups": container(GROUPS)}
        picks, utilities = strategy.query(X, Y, **arguments, batch_size=7, return_utilities=True)
        assert np.unique(GROUPS[picks], return_counts=True)[1].max() <= limit
        np.testing.assert_array_equal(strategy.query(X, Y, **arguments, batch_size=3), picks[:3])
        for t in range(7):
            names, counts = np.unique(GROUPS[picks[:t]], return_counts=True)
            full = np.isin(GROUPS, names[counts == limit])
            free = np.isnan(Y) & ~full
            free[picks[:t]] = False
            np.testing.assert_array_equal(~np.isnan(utilities[t]), free)
            assert np.nansum(utilities[t]) == pytest.approx(1)
    free = Badge(condition_on_labeled=conditioned, random_state=0)
    np.testing.assert_array_equal(picks, free.query(X, Y, GaussianNB(), batch_size=7))


def test_groups_of_candidates_in_any_form():
    strategy = Badge(max_per_group=1, random_state=0)
    rows = np.array([1, 2, 8, 9, 15, 16])
    by_row = strategy.query(X, Y, GaussianNB(), candidates=rows[::-1], batch_size=2, groups=GROUPS)
    by_sample = strategy.query(
        X, Y, GaussianNB(), candidates=X[rows], batch_size=2, groups=GROUPS[rows]
    )
    np.testing.assert_array_equal(rows[by_sample], by_row)
    assert len(set(GROUPS[by_row])) == 2


def test_a_batch_is_cut_to_what_the_groups_leave():
    strategy = Badge(max_per_group=1, random_state=0)
    with pytest.warns(UserWarning, match=r"max_per_group leaves of the candidates; 7 of") as record:
        picks = strategy.query(X, Y, GaussianNB(), batch_size=9, groups=GROUPS)
    assert record[0].filename == __file__
    assert len(set(GROUPS[picks])) == 7


def test_groups_of_samples_without_gradients():
    zeros = np.zeros((40, 3))
    strategy = Badge(max_per_group=2, random_state=0)
    picks = strategy.query(zeros, np.full(40, NAN), GaussianNB(), batch_size=14, groups=GROUPS)
    assert set(np.unique(GROUPS[picks], return_counts=True)[1]) == {2}


@pytest.mark.parametrize(
    ("parameters", "groups", "error", "message"),
    [
        ({"max_per_group": 1}, None, ValueError, "needs the group of each sample; pass groups"),
        ({}, GROUPS, ValueError, "set max_per_group too"),
        ({"max_per_group": 0}, GROUPS, ValueError, "at least 1, got 0"),
        ({"max_per_group": 1.0}, GROUPS, TypeError, r"must be an integer, got 1\.0"),
        ({"max_per_group": True}, GROUPS, TypeError, "must be an integer, got True"),
        (
            {"max_per_group": 1},
            GROUPS[:-1],
            ValueError,
            "39 entries and the pool has 40",
        ),
        (
            {"max_per_group": 1},
            np.c_[GROUPS],
            ValueError,
            r"one dimension.* got \(40, 1\)",
        ),
        (
            {"max_per_group": 1},
            [None] * 40,
            ValueError,
            "groups is None at row 0: every",
        ),
        (
            {"max_per_group": 1},
            [NAN] * 40,
            ValueError,
            "groups is nan at row 0: every",
        ),
        ({"condition_on_labeled": 1}, None, TypeError, "must be True or False, got 1"),
    ],
)
def test_bad_input(parameters, groups, error, message):
    with pytest.raises(error, match=message):
        Badge(**parameters).query(X, Y, GaussianNB(), groups=groups)
