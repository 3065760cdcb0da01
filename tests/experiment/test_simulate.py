"""One run: what the strategy gets to see, and what is measured."""

import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from labelnext.experiment import simulate, split
from labelnext.pool import Badge, RandomSampling

X, y = load_digits(return_X_y=True)
X = X / 16


@pytest.fixture(scope="module")
def parts():
    return split(X, y, seed=0, n_start=12)


class Spy(BaseEstimator):
    """Takes the first unlabelled samples and notes all that it is given."""

    calls = ()

    def __init__(self, random_state=None):
        self.random_state = random_state

    def query(self, X, y, clf, fit_clf=True, batch_size=1):
        Spy.calls += ((X.copy(), y.copy(), clf, fit_clf, self.random_state),)
        picks = np.flatnonzero(np.isnan(y))[:batch_size]
        X[:], y[:] = 0, 0  # a strategy that misbehaves
        return picks


@pytest.fixture
def calls():
    Spy.calls = ()
    return lambda: Spy.calls


def test_labels_never_reach_the_strategy(parts, calls):
    run = simulate(Spy(), LogisticRegression(), parts, batch_size=10, n_batches=3)
    assert len(calls()) == 3
    for number, (_, seen, clf, fit_clf, _) in enumerate(calls()):
        labelled = run.picks[: 12 + 10 * number]
        unlabelled = np.setdiff1d(np.arange(len(parts.X)), labelled)
        assert np.isnan(seen[unlabelled]).all()
        np.testing.assert_array_equal(seen[labelled], parts.y[labelled])
        assert fit_clf is False
        # The classifier is no way around: it knows the labelled part alone.
        again = LogisticRegression(random_state=0).fit(parts.X[labelled], parts.y[labelled])
        np.testing.assert_array_equal(clf.predict(parts.X), again.predict(parts.X))


def test_a_strategy_cannot_change_what_is_ours(parts, calls):
    before = parts.X.copy(), parts.y.copy()
    simulate(Spy(), LogisticRegression(), parts, batch_size=10, n_batches=2)
    np.testing.assert_array_equal(parts.X, before[0])
    np.testing.assert_array_equal(parts.y, before[1])
    np.testing.assert_array_equal(calls()[1][0], before[0])


def test_accuracy_is_that_of_a_model_fitted_to_the_labelled_part(parts):
    run = simulate(RandomSampling(), LogisticRegression(), parts, batch_size=15, n_batches=2)
    assert run.labels.tolist() == [12, 27, 42]
    for count, accuracy in zip(run.labels, run.accuracy, strict=True):
        rows = run.picks[:count]
        clf = LogisticRegression(random_state=0).fit(parts.X[rows], parts.y[rows])
        assert accuracy == clf.score(parts.X_test, parts.y_test)
    assert len(set(run.picks.tolist())) == 42


def test_seed_reaches_strategy_and_model_and_the_callers_are_kept(parts, calls):
    other = split(X, y, seed=7, n_start=12)
    strategy, clf = Spy(), LogisticRegression()
    simulate(strategy, clf, other, batch_size=5, n_batches=1)
    assert calls()[0][4] == 7
    assert calls()[0][2].random_state == 7
    assert strategy.random_state is None
    assert not hasattr(clf, "coef_")
    assert clf.random_state is None


def test_same_seed_same_run_and_strategies_share_the_start(parts):
    clf = LogisticRegression()
    runs = [simulate(Badge(), clf, parts, batch_size=10, n_batches=2) for _ in range(2)]
    np.testing.assert_array_equal(runs[0].picks, runs[1].picks)
    other = simulate(RandomSampling(), clf, parts, batch_size=10, n_batches=2)
    np.testing.assert_array_equal(other.picks[:12], parts.start)
    np.testing.assert_array_equal(runs[0].picks[:12], parts.start)
    assert other.accuracy[0] == runs[0].accuracy[0]


def test_watch_sees_each_batch_before_it_is_labelled(parts):
    seen = []
    run = simulate(
        RandomSampling(),
        LogisticRegression(),
        parts,
        batch_size=10,
        n_batches=2,
        watch=lambda clf, y, picks: seen.append((np.isfinite(y).sum(), picks, clf.classes_)),
    )
    assert [int(count) for count, *_ in seen] == [12, 22]
    np.testing.assert_array_equal(np.concatenate([picks for _, picks, _ in seen]), run.picks[12:])


@pytest.mark.parametrize("rows", [[0, 0], [0], "labelled"])
def test_picks_that_are_none(parts, rows):
    class Bad(BaseEstimator):
        def query(self, X, y, batch_size):
            return parts.start[:2] if rows == "labelled" else np.flatnonzero(np.isnan(y))[rows]

    # `clone` wants the class's parameters; it has none.
    with pytest.raises(RuntimeError, match="Bad must choose 2 distinct unlabelled samples"):
        simulate(Bad(), LogisticRegression(), parts, batch_size=2, n_batches=1)


def test_pools_that_are_too_small(parts):
    with pytest.raises(ValueError, match="1,198 samples, fewer than the 1,212 to be labelled"):
        simulate(RandomSampling(), LogisticRegression(), parts, batch_size=200, n_batches=6)
    for n_start in (0, 1199):
        with pytest.raises(ValueError, match="between 1 and the pool's size 1198"):
            split(X, y, seed=0, n_start=n_start)


def test_split_keeps_samples_with_their_labels_and_takes_any_labels():
    names = np.array(["zero", "one"])[y % 2]
    parts = split(X, names, seed=3, n_start=5, test_size=0.5)
    assert set(parts.y) == {0, 1}
    lookup = {sample.tobytes(): label for sample, label in zip(X, names, strict=True)}
    for samples, labels in ((parts.X, parts.y), (parts.X_test, parts.y_test)):
        assert [lookup[sample.tobytes()] for sample in samples] == [
            ("one", "zero")[label] for label in labels
        ]
    assert len(parts.X) + len(parts.X_test) == len(X)


def test_strategies_have_names(parts):
    one, other = (
        simulate(strategy, LogisticRegression(), parts, batch_size=5, n_batches=1).picks
        for strategy in ("badge", Badge())
    )
    np.testing.assert_array_equal(one, other)
    with pytest.raises(ValueError, match="unknown strategy 'bagde'; did you mean 'badge'"):
        simulate("bagde", LogisticRegression(), parts, batch_size=5, n_batches=1)


def test_a_class_of_one_sample_goes_to_the_pool_and_changes_nothing_else():
    labels = [*map(str, y[:-1]), "lonely"]
    for seed in range(5):
        parts, without = (
            split(X, labels, seed=seed, n_start=5),
            split(X[:-1], y[:-1], seed=seed, n_start=5),
        )
        assert (parts.X[-1] == X[-1]).all()
        assert parts.y[-1] == 10
        np.testing.assert_array_equal(parts.X[:-1], without.X)
        np.testing.assert_array_equal(parts.y_test, without.y_test)


def test_classes_that_are_none_are_named_but_not_all():
    with pytest.raises(ValueError, match="these look like measurements") as caught:
        split(X, np.linspace(0, 1, len(X)), seed=0, n_start=5)
    assert "and 1,794 more" in str(caught.value)
    assert len(str(caught.value)) < 300
