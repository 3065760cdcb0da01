"""What results say, against counting by hand and against scipy and statsmodels-like oracles."""

import numpy as np
import pytest
from scipy.stats import ttest_rel

from labelnext.experiment import Budget, Curves, Results, Round, Setting
from labelnext.experiment._results import compared_points, holm, paired_p
from labelnext.experiment._stopping import fallen_at, stable_at

ONE, TWO = Setting("one", "m", 10, 10), Setting("two", "m", 10, 10)
RNG = np.random.default_rng(0)
NAN = float("nan")


def steps(accuracy, agreement=None, potential=None, seconds=0.5):
    last = len(accuracy) - 1
    return tuple(
        Round(
            10 + 10 * place,
            3,
            value,
            NAN if agreement is None else agreement[place],
            NAN if potential is None else potential[place],
            0.25,
            seconds if place < last else 0.0,
            np.arange(10 if place < last else 0),
        )
        for place, value in enumerate(accuracy)
    )


def results(accuracy, failures=(), rounds=4, **more):
    """Results of curves by setting and strategy: arrays of shape (n_seeds, n_points)."""
    strategies = tuple(next(iter(accuracy.values())))
    n_seeds = len(next(iter(next(iter(accuracy.values())).values())))
    history = {
        (setting, name, seed): steps([v for v in curves[seed] if np.isfinite(v)], **more)
        for setting, by_name in accuracy.items()
        for name, curves in by_name.items()
        for seed in range(n_seeds)
    }
    return Results(
        history,
        tuple(failures),
        {setting: Budget(10, 10, rounds) for setting in accuracy},
        strategies,
        tuple(range(n_seeds)),
        strategies[-1],
    )


@pytest.fixture
def noisy():
    rising = np.array([0.3, 0.5, 0.7, 0.8, 0.9])
    return results(
        {
            setting: {
                name: rising + gain * np.array([0, 1, 1, 1, 0]) + RNG.normal(0, 0.01, (6, 5))
                for name, gain in (("good", 0.08), ("same", 0.0), ("random", 0.0))
            }
            for setting in (ONE, TWO)
        }
    )


def test_p_values_are_those_of_scipy():
    one, other = RNG.normal(size=(2, 9))
    assert paired_p(one - other) == pytest.approx(ttest_rel(one, other).pvalue)
    assert paired_p(np.zeros(4)) == 1.0
    assert paired_p(np.full(4, 0.1)) == 0.0
    assert np.isnan(paired_p(np.array([1.0])))


def test_holm_by_hand():
    # 0.005·4 = 0.02, 0.01·3 = 0.03, 0.03·2 = 0.06, 0.04·1 lower than that before.
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(holm([NAN, 0.5, 0.6]), [NAN, 1.0, 1.0])


def test_paired_tests_compare_areas_under_curves(noisy):
    tests = noisy.paired_tests()
    assert [(test.setting, test.first, test.second) for test in tests] == [
        (setting, *pair)
        for setting in (ONE, TWO)
        for pair in (("good", "same"), ("good", "random"), ("same", "random"))
    ]
    curves = noisy.curves()[ONE].accuracy
    means = [curves[name].mean(axis=1) for name in ("good", "random")]
    assert tests[1].p == pytest.approx(ttest_rel(*means).pvalue)
    assert tests[1].difference == pytest.approx(np.mean(means[0] - means[1]))
    assert tests[1].n_seeds == 6
    assert tests[1].p_holm < 0.05 < tests[2].p_holm
    assert all(test.p_holm >= test.p for test in tests)


def test_compared_points_double_up_to_where_the_reference_has_learned():
    def points(mean):
        curves = Curves(np.arange(len(mean)), {"r": np.array([mean, mean])}, (0, 1))
        return compared_points(curves, "r").tolist()

    assert points(np.linspace(0, 1, 33)) == [1, 2, 4, 8, 16]  # at 32 it has learned
    assert points(np.append(np.linspace(0, 1, 33), 1.02)) == [1, 2, 4, 8, 16, 32]
    assert points([0.1, 0.5, 0.9, 0.99, 1.0, 1.0, 1.0]) == [1, 2]
    assert points([0.5, 0.5, 0.5]) == [1]  # nothing to learn, and yet a batch
    assert points([0.5, 0.9]) == [1]


def test_penalties_by_hand(noisy):
    penalties = noisy.penalties()
    assert penalties.strategies == ("good", "same", "random")
    assert penalties.n_settings == 2
    expected = np.zeros((3, 3))
    for curve in noisy.curves().values():
        for i, winner in enumerate(penalties.strategies):
            for j, loser in enumerate(penalties.strategies):
                for point in (1, 2):
                    one, other = (curve.accuracy[name][:, point] for name in (winner, loser))
                    if i != j and one.mean() > other.mean() and ttest_rel(one, other).pvalue < 0.05:
                        expected[i, j] += 1 / 2
    np.testing.assert_allclose(penalties.matrix, expected)
    np.testing.assert_allclose(penalties.totals, expected.sum(axis=0))
    assert penalties.matrix[0, 2] == pytest.approx(2)  # at one and two batches, in both settings
    assert penalties.totals[0] < penalties.totals[2]


def test_normalized_errors_are_quotients_of_mean_errors(noisy):
    errors = noisy.normalized_errors()
    np.testing.assert_allclose(errors["random"], 1.0)
    expected = []
    for curve in noisy.curves().values():
        for point in (1, 2):
            good, random = (
                1 - curve.accuracy[name][:, point].mean() for name in ("good", "random")
            )
            expected.append(good / random)
    np.testing.assert_allclose(errors["good"], np.sort(expected))
    assert (errors["good"][:4] < 0.95).all()


def test_what_failed_is_left_out_and_nothing_else():
    good = np.array([[0.5, 0.9, 0.9, 0.9, 0.95]] * 3) + RNG.normal(0, 0.001, (3, 5))
    lost = good - 0.2 + RNG.normal(0, 0.001, (3, 5))
    lost[1, 2:] = np.nan
    gone = np.full((3, 5), np.nan)
    gone[:, 0] = 0.5
    found = results({ONE: {"lost": lost, "gone": gone, "good": good}})
    assert len(found.complete(ONE, "lost")) == 2
    assert found.labels_needed(0.6)[ONE]["lost"][:] == (20.0, 0.0, 2, 2)
    assert str(found.labels_needed(0.6)[ONE]["gone"]) == "none came to its end"
    tests = {(test.first, test.second): test for test in found.paired_tests()}
    assert tests["lost", "good"].n_seeds == 2
    assert tests["lost", "good"].difference == pytest.approx(-0.2, abs=0.01)
    assert np.isnan(tests["gone", "good"].p_holm)
    assert found.penalties().matrix[2, 0] > 0
    assert len(found.normalized_errors()["gone"]) == 0
    assert found.normalized_errors()["lost"].min() > 1
    # Half a run is still in the table.
    assert found.to_dict()["strategy"].count("lost") == 12


def test_agreement_needs_three_comparisons():
    assert stable_at([NAN, 1.0, 1.0, 1.0]) == 3
    assert stable_at([NAN, 1.0, 1.0]) is None
    assert stable_at([NAN, 0.99, 0.985, 0.98, 0.995, 1.0]) == 5
    assert stable_at([NAN]) is None


def test_the_potential_must_stay_low():
    assert fallen_at([1.0, 0.05, 0.5, 0.1, 0.09]) == 4
    assert fallen_at([0.01, 1.0, 0.05, 0.05]) == 3  # of the highest so far
    assert fallen_at([1.0, 0.5, 0.2]) is None
    assert fallen_at([NAN, NAN]) is None
    assert fallen_at([]) is None


def test_stopping_tells_what_it_would_have_cost():
    accuracy = np.array([[0.5, 0.6, 0.7, 0.8, 0.9]] * 2)
    found = results(
        {ONE: {"a": accuracy, "b": accuracy}},
        agreement=[NAN, 1.0, 1.0, 1.0, 1.0],
        potential=[1.0, 0.05, 0.05, 0.05, NAN],
    )
    advice = found.stopping()
    assert [(item.strategy, item.rule) for item in advice] == [
        (name, rule) for name in "ab" for rule in ("agreement", "potential")
    ]
    assert advice[0][3:] == (2, 2, 40.0, pytest.approx(0.8), pytest.approx(0.9))
    assert advice[1][3:] == (2, 2, 30.0, pytest.approx(0.7), pytest.approx(0.9))


def test_seconds_are_the_median_of_what_was_chosen():
    found = results({ONE: {"a": np.full((3, 5), 0.5)}})
    assert found.select_seconds() == {ONE: {"a": 0.5}}
    nothing = results({ONE: {"a": np.full((3, 1), 0.5)}}, rounds=0)
    assert np.isnan(nothing.select_seconds()[ONE]["a"])
