"""Many runs, and the numbers that they are summed up in."""

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from labelnext.experiment import Curves, Experiment, Needed, compare, simulate, split
from labelnext.pool import Badge, RandomSampling
from labelnext.utils.interval import mean_interval

X, y = load_digits(return_X_y=True)
X, y = X[:600] / 16, y[:600]
STRATEGIES = {"badge": Badge(), "random": RandomSampling()}
OPTIONS = {"n_start": 20, "batch_size": 10, "n_batches": 2, "seeds": (0, 5)}


def test_runs_are_in_their_places_and_the_rest_goes_to_the_experiment(monkeypatch):
    done, given = [], []
    real = Experiment.run
    monkeypatch.setattr(
        Experiment,
        "run",
        lambda *args, n_jobs, **more: given.append(n_jobs) or real(*args, n_jobs=1, **more),
    )
    one = compare(
        STRATEGIES,
        LogisticRegression(),
        X,
        y,
        **OPTIONS,
        n_jobs=2,
        progress=lambda *numbers: done.append(numbers),
    )
    assert given == [2]
    assert done == [(n, 12) for n in range(13)]
    assert one.labels.tolist() == [20, 30, 40]
    assert one.seeds == (0, 5)
    for name, strategy in STRATEGIES.items():
        parts = split(X, y, seed=5, n_start=20)
        run = simulate(strategy, LogisticRegression(), parts, batch_size=10, n_batches=2)
        np.testing.assert_allclose(one.accuracy[name][1], run.accuracy)
    np.testing.assert_array_equal(one.accuracy["badge"][:, 0], one.accuracy["random"][:, 0])


@pytest.mark.parametrize(
    ("strategies", "seeds", "message"),
    [
        ({}, (0,), "strategies must hold at least one name"),
        (STRATEGIES, (), "seeds must be one or more"),
    ],
)
def test_nothing_to_compare(strategies, seeds, message):
    options = OPTIONS | {"seeds": seeds}
    with pytest.raises(ValueError, match=message):
        compare(strategies, LogisticRegression(), X, y, **options)


def test_a_strategy_that_fails_says_where():
    strategies = {"random": RandomSampling(), "broken": Badge(clf_embedding_flag_name=3)}
    with pytest.raises(RuntimeError, match="'broken' failed in round 0 at seed 0: TypeError"):
        compare(strategies, LogisticRegression(), X, y, **OPTIONS, n_jobs=1)


@pytest.fixture
def results():
    accuracy = {
        "badge": np.array([[0.5, 0.9, 0.8, 0.97], [0.9, 0.9, 0.9, 0.95]]),
        "random": np.array([[0.5, 0.6, 0.7, 0.8], [0.5, 0.6, 0.7, 0.9]]),
    }
    return Curves(np.array([10, 20, 30, 40]), accuracy, (3, 4))


def test_labels_needed_is_the_first_point_at_or_above(results):
    needed = results.labels_needed(0.9)
    assert needed["badge"][::2] == (15.0, 2)  # 20 and 10
    assert needed["badge"].half == pytest.approx(12.706 * 5, rel=1e-4)  # t of 1 degree
    assert str(needed["badge"]) == "15 ± 64"


def test_a_seed_that_never_reached_it_makes_a_lower_bound(results):
    needed = results.labels_needed(0.9)["random"]
    assert (needed.mean, needed.reached, needed.n_seeds) == (40.0, 1, 2)
    assert np.isnan(needed.half)
    assert str(needed) == "over 40 (1 of 2 reached it)"


def test_one_seed_has_no_interval():
    assert str(Needed(12.0, float("nan"), 1, 1)) == "12"
    mean, half = mean_interval([[1.0, 2.0]])
    assert mean.tolist() == [1.0, 2.0]
    assert np.isnan(half).all()


def test_columns_are_in_the_order_of_strategies_seeds_and_labels(results):
    columns = results.to_dict()
    assert list(columns) == ["strategy", "seed", "labels", "accuracy"]
    assert columns["strategy"] == ["badge"] * 8 + ["random"] * 8
    assert columns["seed"][:8] == [3] * 4 + [4] * 4
    assert columns["labels"][:5] == [10, 20, 30, 40, 10]
    assert columns["accuracy"][3:5] == [0.97, 0.9]


def test_the_interval_covers_the_mean_as_often_as_it_says():
    samples = np.random.default_rng(0).normal(3.0, 2.0, size=(5, 4000))
    mean, half = mean_interval(samples)
    covered = np.mean(np.abs(mean - 3.0) <= half)
    assert abs(covered - 0.95) < norm.ppf(0.9999) * np.sqrt(0.95 * 0.05 / 4000)
