"""The benchmark of quality in miniature: run, resumed, reported; and its settings."""

import csv
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from benchmarks.quality import __main__ as program
from benchmarks.quality import data, finished, report, runner, settings
from benchmarks.quality.strategies import WithCommittee, all_strategies
from benchmarks.quality.summary import Summary, _overall
from benchmarks.quality.tables import make_tables
from scipy.stats import ttest_1samp, ttest_ind
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier

from labelnext import pool
from labelnext.experiment import Budget, Round
from labelnext.pool import Bald

TINY = """
seeds = 2

[[left_out]]
strategy = "Bait"
most_batch = 5
reason = "it is slow"

[data.digits]
title = "Digits"
samples = 150
features = 64
classes = 10

[[run]]
data = "digits"
model = "logistic"
budgets = [[20, 5, 2], [20, 10, 2]]
"""
THREE = ("Badge", "Bait", "random")


@pytest.fixture(scope="module", name="tiny")
def _tiny(tmp_path_factory):
    path = tmp_path_factory.mktemp("settings") / "settings.toml"
    path.write_text(TINY)
    return settings.read(path)


@pytest.fixture(scope="module", name="strategies")
def _strategies():
    return {name: all_strategies()[name] for name in THREE}


@pytest.fixture(scope="module", name="folder")
def _folder(tiny, strategies, tmp_path_factory):
    folder = tmp_path_factory.mktemp("quality")
    runner.work(tiny, strategies, folder, lambda _: None)
    return folder


@pytest.fixture(scope="module", name="results")
def _results(tiny, folder):
    return finished.gather(folder, tiny, list(THREE))


def test_all_settings_and_seeds_are_run(tiny, results):
    assert list(results) == list(tiny.places)
    small, large = results.values()
    assert small.seeds == large.seeds == (0, 1)
    assert small.strategies == THREE
    assert large.strategies == ("Badge", "random")  # a rule leaves Bait out
    (curves,) = small.curves().values()
    assert curves.labels.tolist() == [20, 25, 30]
    assert all(np.isfinite(of).all() for of in curves.accuracy.values())
    # At a seed all start alike.
    assert len({of[0, 0] for of in curves.accuracy.values()}) == 1


def test_what_is_finished_is_not_run_again(tiny, strategies, folder, monkeypatch):
    monkeypatch.setattr(runner.data, "load", None)
    said = []
    runner.work(tiny, strategies, folder, said.append)
    assert said == []


def test_a_new_strategy_alone_is_run(tiny, strategies, tmp_path):
    two = {name: strategies[name] for name in ("Badge", "random")}
    said = []
    runner.work(tiny, two, tmp_path, said.append)
    before = finished.gather(tmp_path, tiny, list(two))
    runner.work(tiny, strategies, tmp_path, said.append)
    assert [line.split(" in ")[0] for line in said] == [
        "digits-logistic-5, seed 0: 2 strategies",
        "digits-logistic-10, seed 0: 2 strategies",
        "digits-logistic-5, seed 1: 2 strategies",
        "digits-logistic-10, seed 1: 2 strategies",
        "digits-logistic-5, seed 0: 1 strategies",
        "digits-logistic-5, seed 1: 1 strategies",
    ]
    after = finished.gather(tmp_path, tiny, list(THREE))
    place = tiny.places[0]
    assert _accuracy(after[place], "Badge") == _accuracy(before[place], "Badge")


@pytest.mark.slow
def test_stopped_by_force_it_goes_on(tiny, strategies, folder, tmp_path):
    path = tmp_path / "settings.toml"
    path.write_text(TINY)
    script = (
        "import pathlib, sys; from benchmarks.quality import runner, settings;"
        "from benchmarks.quality.strategies import all_strategies;"
        "every = all_strategies();"
        f"runner.work(settings.read(pathlib.Path(sys.argv[1])), {{n: every[n] for n in {THREE!r}}},"
        " pathlib.Path(sys.argv[2]))"
    )
    command = [sys.executable, "-c", script, str(path), str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    stores = tmp_path / "rounds"
    while not (stores.is_dir() and any(stores.iterdir())):
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    runner.work(tiny, strategies, tmp_path, lambda _: None)
    here, there = (finished.gather(of, tiny, list(THREE)) for of in (tmp_path, folder))
    for place, results in there.items():
        for name in results.strategies:
            assert _accuracy(here[place], name) == _accuracy(results, name)


def test_seeds_that_are_not_whole_do_not_count(tiny, strategies, folder):
    # A strategy that has been run nowhere: no seed is whole.
    assert finished.gather(folder, tiny, [*strategies, "New"]) == {}


def test_results_of_other_settings_do_not_count(tiny, folder, tmp_path):
    path = tmp_path / "settings.toml"
    path.write_text(TINY.replace("samples = 150", "samples = 151"))
    assert finished.gather(folder, settings.read(path), list(THREE)) == {}


def test_a_strategy_that_fails_is_told_of(tiny, tmp_path):
    said = []
    broken = {"Badge": Bald(n_members=2), "random": pool.RandomSampling()}
    runner.work(tiny, broken, tmp_path, said.append)
    assert "Badge failed: TypeError" in said[0]
    results = finished.gather(tmp_path, tiny, list(broken))[tiny.places[0]]
    assert [(failure.strategy, failure.seed) for failure in results.failures] == [
        ("Badge", 0),
        ("Badge", 1),
    ]


def test_the_report(tiny, results, tmp_path):
    files = report.write(results, tiny, tmp_path)
    assert all(file.stat().st_size for file in files)
    names = {file.name for file in files}
    assert {"report.md", "curves-digits-logistic.png", "penalties.png", "overview.png"} <= names
    tables = {
        file.stem: list(csv.reader(file.read_text(encoding="utf-8").splitlines()))
        for file in files
        if file.suffix == ".csv"
    }
    assert all(len(row) == len(table[0]) for table in tables.values() for row in table)
    assert [row[-2:] for row in tables["settings"][1:]] == [["2", "3"], ["2", "2"]]
    assert tables["left-out"][1] == [
        "Bait is left out with batches of more than 5 labels: it is slow."
    ]
    assert {row[0] for row in tables["overall"][1:]} == set(THREE)
    assert len(tables["standings"]) == 3
    # Not run in all settings, so that its mean would be one of others.
    (bait,) = (row for row in tables["groups"] if row[0] == "Bait")
    assert bait[1] == "–"


def test_the_report_of_nothing(tiny, tmp_path):
    with pytest.raises(SystemExit, match="run the benchmark first"):
        report.write({}, tiny, tmp_path)


def test_penalties_of_pairs_that_did_not_meet_everywhere(results):
    names, matrix = Summary(results).penalties()
    assert sorted(names) == sorted(THREE)
    assert (matrix >= 0).all()
    assert (matrix <= len(results)).all()
    assert (np.diag(matrix) == 0).all()


def _made_up(errors, n_seeds=6):
    """Make results of errors by place and strategy, with a little noise of their own."""
    rng = np.random.default_rng(0)
    made = {}
    for (data_name, batch), of in errors.items():
        about = settings.About(data_name, data_name, 3_000, 4, 3)
        place = settings.Place(about, "mlp", Budget(10, batch, 2), n_seeds)
        runs = {
            seed: {
                name: finished.Run(
                    tuple(
                        Round(
                            labels=10 + batch * step,
                            classes=3,
                            accuracy=1 - error * (3 - step) * (1 + 0.01 * rng.random()),
                            agreement=1.0,
                            potential=0.0,
                            fit_seconds=0.1,
                            select_seconds=0.1,
                            picks=np.arange(batch if step < 2 else 0),
                        )
                        for step in range(3)
                    )
                )
                for name, error in of.items()
            }
            for seed in range(n_seeds)
        }
        made[place] = finished._results(place, list(of), runs)
    return Summary(made)


@pytest.fixture(scope="module", name="summary")
def _summary():
    places = [(name, batch) for name in ("digits", "satellite", "letter") for batch in (10, 100)]
    errors = {place: {"Badge": 0.1, "Half": 0.05, "random": 0.2} for place in places}
    errors["digits", 10]["Rare"] = 0.1
    for place in places[:3]:
        errors[place]["Often"] = 0.15
    return _made_up(errors)


def test_ratios_of_errors(summary):
    for ratio, expected in zip(
        (summary.ratios()["Half"], summary.ratios()["random"]), (0.5, 2.0), strict=True
    ):
        assert ratio.ratio == pytest.approx(expected, rel=0.01)
        assert ratio.low < ratio.ratio < ratio.high
        assert (ratio.p < 1e-6, ratio.n) == (True, 6)
    assert "Rare" not in summary.ratios()
    overall = summary.overall_tests()
    assert overall["Half"].ratio == pytest.approx(2.0, rel=0.01)
    assert overall["Half"].n == 3  # data sets, not settings
    assert "Rare" not in overall  # one data set says nothing of others
    assert summary.mean_error()["Half"] == pytest.approx(0.25, rel=0.01)
    assert "Rare" not in summary.mean_error()


def test_the_error_of_a_ratio():
    """One data set and batch size: the paired t-test; two data sets: Welch's formula by hand."""
    one = _made_up({("digits", 10): {"Badge": 0.1, "Half": 0.05}})
    ((_, curves),) = one.curves()
    logs = np.log(
        (1 - curves.accuracy["Half"][:, 1:].mean(axis=1))
        / (1 - curves.accuracy["Badge"][:, 1:].mean(axis=1))
    )
    expected = ttest_1samp(logs, 0)
    found = one.ratios()["Half"]
    assert found.p == pytest.approx(expected.pvalue)
    interval = np.exp(expected.confidence_interval())
    assert (found.low, found.high) == pytest.approx(tuple(interval))

    rng = np.random.default_rng(0)
    parts = [rng.normal(0.1, 1, 5), rng.normal(0.3, 2, 9)]
    found = _overall(parts[0].mean() / 2 - parts[1].mean() / 2, [0.5, -0.5], parts)
    expected = ttest_ind(*parts, equal_var=False)
    assert found.p == pytest.approx(expected.pvalue)
    assert found.n == 5


def test_who_beats_whom(summary):
    names, matrix = summary.penalties()
    # Often was run in three settings of six, and what was found there counts for all of them.
    assert names == ["Half", "Badge", "Often", "random"]
    np.testing.assert_allclose(matrix, np.triu(np.full((4, 4), 6), k=1))


def test_where_badge_stands(summary):
    for stand in summary.standings():
        assert stand.first == stand.best_other == "Half"
        assert stand.rank == 2
        assert stand.difference < 0
    verdicts = {(test.other, test.verdict) for test in summary.against_hero()}
    assert verdicts == {
        ("Half", "worse"),
        ("Rare", "neither"),
        ("Often", "better"),
        ("random", "better"),
    }


def test_findings(summary):
    head, *rows = make_tables(summary, settings.read())["findings"]
    assert len(head) == 5
    row = {of[0]: of for of in rows}["all (6)"]
    assert row[1:] == ["6", "Half -50 %", "none", "random +100 %"]


def test_findings_of_one_seed():
    one = _made_up({("letter", 10): {"Badge": 0.1, "random": 0.2}}, n_seeds=1)
    rows = {row[0]: row[1:] for row in make_tables(one, settings.read())["findings"]}
    assert rows["all (1)"] == ["1", *["too few seeds to say"] * 3]
    assert rows["imbalanced (0)"][0] == "0"


def test_advice(summary):
    rows = {row[0]: row[1:] for row in make_tables(summary, settings.read())["advice"]}
    assert rows["all (6)"] == ["6", "Half 0.25", "0.50, place 2 of 3", "none"]
    worse = _made_up({("letter", 10): {"Badge": 0.3, "random": 0.2}})
    _, row, *_ = make_tables(worse, settings.read())["advice"]
    assert row[3].endswith("place 2 of 2")
    assert row[4].startswith("Badge 1.")


def test_labels_needed(summary):
    (level, needed), *_ = summary.labels_needed().values()
    assert level == 0.79
    assert needed["Half"].mean == 10  # at the start already
    assert summary.share_of_labels()["Half"] == pytest.approx(np.mean([10 / 30, 10 / 210]))


def test_it_is_a_program(tmp_path, monkeypatch):
    monkeypatch.setattr(runner, "work", lambda *given: given[3]("working"))
    assert program.main(["work", "--quick", "--folder", str(tmp_path)]) == 0
    with pytest.raises(SystemExit, match="run the benchmark first"):
        program.main(["report", "--folder", str(tmp_path)])


def test_a_setting_is_of_one_process(tiny, tmp_path):
    with runner.claim(tmp_path, tiny.places[0]) as first:
        with runner.claim(tmp_path, tiny.places[0]) as second:
            assert (first, second) == (True, False)
        with runner.claim(tmp_path, tiny.places[1]) as other:
            assert other
    with runner.claim(tmp_path, tiny.places[0]) as again:
        assert again


@pytest.mark.parametrize("quick", [False, True])
def test_the_settings(quick):
    chosen = settings.read(quick=quick)
    known = all_strategies()
    assert {rule.strategy for rule in chosen.rules} <= set(known)
    for place in chosen.places:
        assert place.data.name in data.MAKERS
        assert {"Badge", "margin", "random"} <= set(chosen.wanted(place, list(known)))
        assert quick or place.seeds >= 10
    units = list(chosen.units())
    assert len(set(units)) == len(units) == sum(place.seeds for place in chosen.places)
    assert next(place for place, _ in units[: len(chosen.places)]) == chosen.places[0]


def test_seeds_come_in_proportion():
    chosen = settings.read()
    half = list(chosen.units())[: sum(place.seeds for place in chosen.places) // 2]
    for place in chosen.places:
        assert sum(of == place for of, _ in half) == place.seeds // 2


@pytest.mark.parametrize(
    ("wrong", "right", "message"),
    [
        ('model = "logistic"', 'model = "logisitc"', "unknown model 'logisitc'; there are"),
        ('data = "digits"', 'data = "letters"', "KeyError: 'letters'"),
        ("[20, 10, 2]", "[20, 10, 50]", "wants 520 labels of a pool of 100"),
        ("[20, 10, 2]", "[20, 5, 3]", "once only"),
        ("most_batch", "most_bach", "most_bach"),
    ],
    ids=["model", "data", "labels", "twice", "rule"],
)
def test_wrong_settings(wrong, right, message, tmp_path):
    path = tmp_path / "settings.toml"
    path.write_text(TINY.replace(wrong, right))
    with pytest.raises(ValueError, match=message):
        settings.read(path)


def test_data_are_what_the_settings_say(tmp_path):
    about = settings.About("digits", "Digits", 300, 64, 10)
    X, y = data.load(about, tmp_path)
    again, _ = data.load(about, tmp_path)
    assert X.shape == (300, 64)
    assert len(np.unique(y)) == 10
    np.testing.assert_array_equal(X, again)
    with pytest.raises(ValueError, match="should have 300 samples, 64 features and 9 classes"):
        data.load(settings.About("digits", "Digits", 300, 64, 9), tmp_path)


def test_a_committee_is_fitted_where_there_is_none():
    X, y_true = np.random.default_rng(0).random((40, 3)), np.arange(40) % 2
    y = np.where(np.arange(40) < 10, y_true, np.nan)
    strategy = Bald(n_members=5, random_state=0)
    model = MLPClassifier((4,), max_iter=5, random_state=0)
    members = [clone(model).set_params(random_state=10**6 * i) for i in range(5)]
    with pytest.warns(ConvergenceWarning):
        fitted = clone(model).fit(X[:10], y_true[:10])
    with pytest.warns(ConvergenceWarning):
        expected = strategy.query(X, y, members, batch_size=4)
    weights = fitted.coefs_[0].copy()
    picks = WithCommittee(strategy).query(X, y, fitted, fit_clf=False, batch_size=4)
    np.testing.assert_array_equal(fitted.coefs_[0], weights)
    np.testing.assert_array_equal(picks, expected)

    model = LogisticRegression()
    fitted = clone(model).fit(X[:10], y_true[:10])
    picks = WithCommittee(strategy).query(X, y, fitted, fit_clf=False, batch_size=4)
    np.testing.assert_array_equal(picks, strategy.query(X, y, model, batch_size=4))


def test_all_strategies_of_the_package_take_part():
    named = {name for name in pool.__all__ if name not in ("Query", "UncertaintySampling")}
    kinds = {name for name in named if not name.endswith("QueryStrategy")}
    assert kinds - {"RandomSampling"} <= set(all_strategies())


def _accuracy(results, name):
    (curves,) = results.curves().values()
    return curves.accuracy[name].tolist()
