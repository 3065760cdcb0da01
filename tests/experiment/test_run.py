"""Experiments: kept, killed, gone on with, and never mixed up."""

import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB

import broken_strategies
from broken_strategies import Dies, FailsLater, NotesThreads, Slow, Unfit
from labelnext.experiment import Budget, Experiment, ResultsFileError, _store
from labelnext.pool import Badge, RandomSampling, UncertaintySampling

X, y = load_digits(return_X_y=True)
DIGITS = (X[:300] / 16, y[:300])
TIMES = ("fit_seconds", "select_seconds")


def make(**changes):
    return Experiment(
        **{
            "data": {"digits": DIGITS},
            "models": {"bayes": GaussianNB()},
            "strategies": {"badge": Badge(), "random": RandomSampling()},
            "budgets": Budget(20, 5, 3),
            "seeds": 2,
        }
        | changes
    )


def numbers(results):
    """All that came out but the times, which no run has in common with another."""
    columns = results.to_dict()
    return {name: values for name, values in columns.items() if name not in TIMES}


def rows(path, table="rounds"):
    with sqlite3.connect(path) as db:
        found = db.execute(f"SELECT rowid, * FROM {table} ORDER BY 1").fetchall()
    db.close()
    return found


class Counter:
    """Counts the rounds that are gone through, as progress tells them."""

    def __init__(self):
        self.calls = []

    def __call__(self, done, total):
        self.calls.append((done, total))

    @property
    def fresh(self):
        return self.calls[-1][0] - self.calls[0][0]


def test_the_columns_and_the_number_of_processes(tmp_path):
    counter = Counter()
    one = make().run(n_jobs=1)
    two = make().run(tmp_path / "results.sqlite", n_jobs=2, progress=counter)
    np.testing.assert_equal(numbers(one), numbers(two))
    assert counter.calls == [(n, 16) for n in range(17)]
    frame = two.to_frame()
    assert list(frame.columns) == [
        *("data", "model", "start", "batch", "strategy", "seed", "round", "labels", "classes"),
        *("accuracy", "agreement", "potential", "fit_seconds", "select_seconds"),
    ]
    assert frame.groupby("labels").size().to_dict() == {20: 4, 25: 4, 30: 4, 35: 4}
    assert frame["select_seconds"].isna().sum() == 4  # the last rounds choose nothing
    assert (frame["fit_seconds"] > 0).all()
    # The start, the test set and the model are shared.
    first = frame[frame["round"] == 0].groupby("seed")["accuracy"].nunique()
    assert first.tolist() == [1, 1]


def test_a_second_run_goes_through_nothing_again(tmp_path):
    path = tmp_path / "results.sqlite"
    first = make().run(path, n_jobs=1)
    before, counter = rows(path), Counter()
    again = make().run(path, progress=counter)
    assert counter.calls == [(16, 16)]
    assert rows(path) == before
    np.testing.assert_equal(again.to_dict(), first.to_dict())  # the times too


@pytest.mark.parametrize(
    ("changes", "fresh"),
    [
        ({"seeds": (0, 1, 2)}, 8),
        ({"strategies": {"random": RandomSampling(), "b": Badge()}}, 0),  # names are but names
        ({"strategies": {"badge": UncertaintySampling("entropy")}}, 8),
        ({"strategies": {"slow": Slow(0), "slower": Slow(0.001)}}, 16),
        ({"models": {"bayes": GaussianNB(var_smoothing=1e-3)}}, 16),
        ({"data": {"digits": (DIGITS[0] + 1, DIGITS[1])}}, 16),
        ({"data": {"digits": (DIGITS[0], DIGITS[1][::-1])}}, 16),
        ({"budgets": Budget(21, 5, 3)}, 16),
        ({"budgets": Budget(20, 6, 3)}, 16),
        ({"test_size": 0.4}, 16),
        ({"budgets": Budget(20, 5, 2)}, 0),
    ],
)
def test_changed_settings_never_mix_with_old_results(tmp_path, changes, fresh):
    path = tmp_path / "results.sqlite"
    make().run(path, n_jobs=1)
    counter = Counter()
    changed = make(**changes).run(path, n_jobs=1, progress=counter)
    assert counter.fresh == fresh
    np.testing.assert_equal(numbers(changed), numbers(make(**changes).run(n_jobs=1)))


def test_another_version_is_another_setting(tmp_path, monkeypatch):
    path = tmp_path / "results.sqlite"
    make().run(path, n_jobs=1)
    monkeypatch.setattr("labelnext._version.__version__", "9.9")
    counter = Counter()
    make().run(path, n_jobs=1, progress=counter)
    assert counter.fresh == 16


def test_other_code_of_ones_own_is_another_setting(tmp_path, monkeypatch):
    path, counts = tmp_path / "results.sqlite", []
    for text in ("first", "second", "first"):
        monkeypatch.setattr("inspect.getsource", lambda item, text=text: text + item.__qualname__)
        counter = Counter()
        make(strategies={"slow": Slow(0)}).run(path, n_jobs=1, progress=counter)
        counts.append(counter.fresh)
    assert counts == [8, 8, 0]


def test_more_rounds_go_on_from_those_there_are(tmp_path):
    path, counter = tmp_path / "results.sqlite", Counter()
    make().run(path, n_jobs=1)
    more = make(budgets=Budget(20, 5, 5))
    results = more.run(path, n_jobs=1, progress=counter)
    assert counter.calls[0] == (12, 24)  # the last of each had chosen nothing yet
    np.testing.assert_equal(numbers(results), numbers(more.run(n_jobs=1)))
    # And the shorter experiment still is what it was.
    np.testing.assert_equal(numbers(make().run(path)), numbers(make().run(n_jobs=1)))


SCRIPT = """
    import sys
    from sklearn.datasets import load_digits
    from sklearn.naive_bayes import GaussianNB
    from broken_strategies import Slow
    from labelnext.experiment import Budget, Experiment
    from labelnext.pool import Badge

    X, y = load_digits(return_X_y=True)
    experiment = Experiment(
        data={"digits": (X[:300] / 16, y[:300])},
        models={"bayes": GaussianNB()},
        strategies={"badge": Badge(), "slow": Slow(float(sys.argv[3]))},
        budgets=Budget(20, 5, 6),
        seeds=2,
    )
    experiment.run(sys.argv[1], n_jobs=int(sys.argv[2]))
    """


def start(path, n_jobs, script=SCRIPT, seconds=0.08):
    tests = str(Path(broken_strategies.__file__).parent)
    source = str(Path(_store.__file__).parents[2])
    paths = os.pathsep.join([source, tests, os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script), str(path), str(n_jobs), str(seconds)],
        env=os.environ | {"PYTHONPATH": paths},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def children(pid):
    lists = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for found in lists for child in found.read_text().split()]


def alive(pid):
    try:
        return "(zombie)" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks processes up in /proc")
@pytest.mark.slow
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_killed_and_started_again_it_ends_as_if_undisturbed(tmp_path, n_jobs):
    path, kept = tmp_path / "results.sqlite", []
    while len(kept) < 2:
        process = start(path, n_jobs, seconds=0.15)
        deadline = time.monotonic() + 60
        # The file is locked, and grows by pages: the time that it was written tells of rounds.
        written, changes = None, 0
        while process.poll() is None and time.monotonic() < deadline and changes < 8:
            if path.exists() and path.stat().st_mtime_ns != written:
                written, changes = path.stat().st_mtime_ns, changes + 1
            time.sleep(0.002)
        assert process.poll() is None
        workers = children(process.pid)
        assert len(workers) == (2 if n_jobs == 2 else 0)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        deadline = time.monotonic() + 60
        while any(map(alive, workers)) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert not any(map(alive, workers))  # they end with it, in the middle of a run
        kept.append(len(rows(path)))
    assert kept == sorted(kept)
    assert 0 < kept[0] < kept[-1] < 28  # it was in the middle
    last = start(path, n_jobs, seconds=0.15)
    assert last.communicate()[1] == ""
    assert last.returncode == 0
    whole = tmp_path / "undisturbed.sqlite"
    undisturbed = start(whole, 2, seconds=0.15)
    undisturbed.communicate()
    assert undisturbed.returncode == 0

    def content(file):
        with sqlite3.connect(file) as db:
            found = db.execute(
                "SELECT key, place, labels, classes, accuracy, agreement, potential, picks "
                "FROM rounds ORDER BY key, place"
            ).fetchall()
        db.close()
        return found

    assert len(content(whole)) == 28
    assert content(path) == content(whole)


def test_a_second_process_says_that_the_file_is_in_use(tmp_path):
    path = tmp_path / "results.sqlite"
    first = start(path, 1, seconds=5)
    try:
        deadline = time.monotonic() + 60
        while not path.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(0.5)
        with pytest.raises(ResultsFileError, match="in use by another process; wait until that"):
            make().run(path, n_jobs=1)
        assert first.poll() is None  # it was in the way of nobody
    finally:
        first.kill()
        complaint = first.communicate()[1]
    assert complaint == ""
    make().run(path, n_jobs=1)  # free again, whatever happened to the first


def test_a_file_is_free_again_after_a_run_and_after_an_error(tmp_path, monkeypatch):
    path = tmp_path / "results.sqlite"

    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make().run(path, n_jobs=2, progress=stop)
    make().run(path, n_jobs=1)
    assert len(rows(path)) == 16


@pytest.mark.parametrize("damage", ["text", "cut", "noise"])
def test_a_damaged_file(tmp_path, damage):
    path = tmp_path / "results.sqlite"
    make(seeds=6).run(path, n_jobs=1)
    content = path.read_bytes()
    assert len(content) > 16384
    if damage == "text":
        content = b"these are no results\n" * 100
    elif damage == "cut":
        content = content[: len(content) // 2]
    else:
        content = content[:8192] + bytes(range(256)) * 16 + content[12288:]
    path.write_bytes(content)
    with pytest.raises(ResultsFileError, match=r"is damaged or no results file.*Move it away"):
        make().run(path, n_jobs=1)
    assert path.read_bytes() == content


def test_files_of_others_and_of_other_versions(tmp_path):
    path = tmp_path / "other.sqlite"
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE rounds (a)")
    db.commit()
    db.close()
    before = path.read_bytes()
    with pytest.raises(ResultsFileError, match="not written by this version of labelnext"):
        make().run(path, n_jobs=1)
    assert path.read_bytes() == before
    with pytest.raises(ResultsFileError, match="cannot be opened or written"):
        make().run(tmp_path / "nowhere" / "results.sqlite", n_jobs=1)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_strategy_that_fails_is_recorded_and_the_others_go_on(tmp_path, n_jobs):
    path = tmp_path / "results.sqlite"
    experiment = make(strategies={"fails": FailsLater(), "random": RandomSampling()})
    results = experiment.run(path, n_jobs=n_jobs)
    (failure,) = results.failures
    assert (failure.strategy, failure.seed, failure.round) == ("fails", 1, 2)
    assert failure.error == "ZeroDivisionError: no more of this"
    assert 'raise ZeroDivisionError("no more of this")' in failure.details
    (curves,) = results.curves().values()
    assert np.isnan(curves.accuracy["fails"]).tolist() == [[False] * 4, [False] * 2 + [True] * 2]
    assert np.isfinite(curves.accuracy["random"]).all()
    # Again: only what failed is tried, from where it failed.
    counter = Counter()
    assert experiment.run(path, n_jobs=1, progress=counter).failures[0][:5] == failure[:5]
    assert counter.calls == [(14, 16), (16, 16)]
    # Mended, it is another strategy, and nothing has failed.
    mended = replace(experiment, strategies={"fails": FailsLater(seed=9)})
    assert mended.run(path, n_jobs=1).failures == ()


@pytest.mark.parametrize(
    ("how", "error", "details"),
    [
        ("kill", "exit code -9 (killed, perhaps for want of memory)", ""),
        ("exit", "exit code 7", "famous last words"),
    ],
)
def test_a_process_that_dies_takes_one_run_with_it(how, error, details):
    strategies = {"dies": Dies(how), "random": RandomSampling()}
    results = make(strategies=strategies, seeds=3).run(n_jobs=2)
    (failure,) = results.failures
    assert (failure.strategy, failure.seed, failure.round) == ("dies", 1, 0)
    assert error in failure.error
    assert details in failure.details
    assert len(results.to_dict()["seed"]) == 5 * 4


def test_a_model_that_cannot_be_fitted_fails_and_another_does_not():
    models = {"unfit": Unfit(), "logistic": LogisticRegression()}
    results = make(models=models).run(n_jobs=1)
    assert {failure.setting.model for failure in results.failures} == {"unfit"}
    assert len(results.failures) == 4
    assert "this model learns nothing" in results.failures[0].error


def test_processes_have_one_thread_each(tmp_path):
    make(strategies={"notes": NotesThreads(str(tmp_path))}).run(n_jobs=2)
    notes = list(tmp_path.glob("*.txt"))
    assert 1 <= len(notes) <= 2
    assert {note.read_text() for note in notes} == {"1"}
    assert str(os.getpid()) not in {note.stem for note in notes}


def test_strategies_of_a_script_need_no_guard_and_no_module(tmp_path):
    script = """
        import numpy as np
        from sklearn.base import BaseEstimator
        from labelnext.experiment import Budget, Experiment

        class First(BaseEstimator):
            def query(self, X, y, batch_size):
                return np.flatnonzero(np.isnan(y))[:batch_size]

        results = Experiment(
            data="digits", models="naive-bayes", strategies={"first": First()},
            budgets=Budget(20, 5, 1), seeds=2,
        ).run(n_jobs=2)
        assert not results.failures, results.failures
        print(len(results.to_dict()["seed"]))
        """
    output, complaint = start(tmp_path, 2, script).communicate()
    assert (output, complaint) == ("4\n", "")


def test_what_cannot_be_pickled_is_told(tmp_path):
    class Holder(Slow):
        def __init__(self, lock=None, random_state=None):
            self.lock = lock
            self.random_state = random_state

    import threading

    with pytest.raises(ValueError, match="must be values that can be pickled"):
        make(strategies={"lock": Holder(threading.Lock())}).run(n_jobs=2)
