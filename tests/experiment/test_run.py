"""Experiments: kept, killed, gone on with, and never mixed up."""

import os
import shutil
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
from labelnext.experiment._workers import ONE_THREAD
from labelnext.pool import Badge, RandomSampling, UncertaintySampling

X, y = load_digits(return_X_y=True)
DIGITS = (X[:100] / 16, y[:100])
TIMES = ("fit_seconds", "select_seconds")


def make(**changes):
    return Experiment(
        **{
            "data": {"digits": DIGITS},
            "models": {"bayes": GaussianNB()},
            "strategies": {"uncertain": UncertaintySampling(), "random": RandomSampling()},
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


SCRIPT = """
import numpy as np
from sklearn.base import BaseEstimator

class Script(BaseEstimator):
    def query(self, X, y, batch_size):
        return np.flatnonzero(np.isnan(y))[:batch_size]
"""


def of_a_script():
    """A class that no module has: other processes can only get it by its code."""
    names = {"__name__": "__main__"}
    exec(SCRIPT, names)
    return names["Script"]()


@pytest.fixture(scope="module")
def in_processes(tmp_path_factory):
    """One experiment in two processes, in which all happens that may happen there."""
    folder, counter = tmp_path_factory.mktemp("run"), Counter()
    experiment = make(
        strategies={
            "badge": Badge(),
            "random": RandomSampling(),
            "script": of_a_script(),
            "fails": FailsLater(),
            "dies": Dies(),
            "notes": NotesThreads(str(folder)),
        }
    )
    path = folder / "results.sqlite"
    with pytest.MonkeyPatch.context() as patch:
        for name in ONE_THREAD:  # which those who run the tests may have set
            patch.delenv(name, raising=False)
        return experiment, path, experiment.run(path, n_jobs=2, progress=counter), counter


@pytest.mark.slow
def test_the_number_of_processes_changes_nothing(in_processes):
    experiment, _, results, counter = in_processes
    kept = {name: experiment.strategies[name] for name in ("badge", "random", "script", "fails")}
    one = replace(experiment, strategies=kept).run(n_jobs=1)
    here, there = (found.to_frame().drop(columns=[*TIMES]) for found in (one, results))
    there = there[there["strategy"].isin(kept)].reset_index(drop=True)
    np.testing.assert_equal(here.to_dict(), there.to_dict())
    assert counter.calls[0] == (0, 48)
    assert counter.calls[-1] == (48, 48)
    assert counter.calls == sorted(counter.calls)


def test_processes_have_one_thread_each(in_processes):
    _, path, *_ = in_processes
    notes = list(path.parent.glob("*.txt"))
    assert 1 <= len(notes) <= 2
    assert {note.read_text() for note in notes} == {"1"}
    assert str(os.getpid()) not in {note.stem for note in notes}


def test_what_fails_in_a_process_and_a_process_that_dies_take_one_run_with_them(in_processes):
    experiment, path, results, _ = in_processes
    failures = {failure.strategy: failure for failure in results.failures}
    assert {name: (f.seed, f.round) for name, f in failures.items()} == {
        "fails": (1, 2),
        "dies": (1, 0),
    }
    assert 'raise ZeroDivisionError("no more of this")' in failures["fails"].details
    assert "exit code -9 (killed, perhaps for want of memory)" in failures["dies"].error
    assert "famous last words" in failures["dies"].details
    # Again, here: only what failed is tried.
    counter = Counter()
    kept = {"fails": FailsLater(), "badge": Badge()}
    again = replace(experiment, strategies=kept).run(path, n_jobs=1, progress=counter)
    assert again.failures[0][:5] == failures["fails"][:5]
    assert counter.calls == [(14, 16), (16, 16)]


def test_the_columns():
    frame = make().run(n_jobs=1).to_frame()
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


@pytest.fixture(scope="module")
def once(tmp_path_factory):
    """What a run leaves: the file, and the results."""
    path = tmp_path_factory.mktemp("once") / "results.sqlite"
    return path, make().run(path, n_jobs=1)


@pytest.fixture
def path(once, tmp_path):
    """A copy of the file of a run."""
    return Path(shutil.copy(once[0], tmp_path))


def test_a_second_run_goes_through_nothing_again(once, path):
    before, counter = rows(path), Counter()
    again = make().run(path, progress=counter)
    assert counter.calls == [(16, 16)]
    assert rows(path) == before
    np.testing.assert_equal(again.to_dict(), once[1].to_dict())  # the times too


@pytest.mark.parametrize(
    ("changes", "fresh"),
    [
        ({"seeds": (0, 1, 2)}, 8),
        (
            {"strategies": {"random": RandomSampling(), "u": UncertaintySampling()}},
            0,
        ),  # names are but names
        ({"strategies": {"uncertain": UncertaintySampling("entropy")}}, 8),
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
def test_changed_settings_never_mix_with_old_results(path, changes, fresh):
    counter = Counter()
    changed = make(**changes).run(path, n_jobs=1, progress=counter)
    assert counter.fresh == fresh
    np.testing.assert_equal(numbers(changed), numbers(make(**changes).run(n_jobs=1)))


def test_another_version_is_another_setting(path, monkeypatch):
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


def test_more_rounds_go_on_from_those_there_are(once, path):
    counter = Counter()
    more = make(budgets=Budget(20, 5, 5))
    results = more.run(path, n_jobs=1, progress=counter)
    assert counter.calls[0] == (12, 24)  # the last of each had chosen nothing yet
    np.testing.assert_equal(numbers(results), numbers(more.run(n_jobs=1)))
    # And the shorter experiment still is what it was.
    np.testing.assert_equal(numbers(make().run(path)), numbers(once[1]))


KILLED = """
    import sys
    from sklearn.datasets import load_digits
    from sklearn.naive_bayes import GaussianNB
    from broken_strategies import Slow
    from labelnext.experiment import Budget, Experiment
    from labelnext.pool import Badge

    X, y = load_digits(return_X_y=True)
    experiment = Experiment(
        data={"digits": (X[:100] / 16, y[:100])},
        models={"bayes": GaussianNB()},
        strategies={"badge": Badge(), "slow": Slow(0)},
        budgets=Budget(20, 5, 6),
        seeds=2,
    )
    experiment.run(sys.argv[1], n_jobs=int(sys.argv[2]))
    """


def start(path, n_jobs):
    tests = str(Path(broken_strategies.__file__).parent)
    source = str(Path(_store.__file__).parents[2])
    paths = os.pathsep.join([source, tests, os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(KILLED), str(path), str(n_jobs)],
        env=os.environ | {"PYTHONPATH": paths, "SLOW": "0.15"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
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
    path = tmp_path / "results.sqlite"
    process = start(path, n_jobs)
    deadline = time.monotonic() + 120
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
    process.wait()
    deadline = time.monotonic() + 60
    while any(map(alive, workers)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not any(map(alive, workers))  # they end with it, in the middle of a run
    experiment = make(
        strategies={"badge": Badge(), "slow": Slow(0)}, budgets=Budget(20, 5, 6), seeds=2
    )
    kept, counter = len(rows(path)), Counter()
    assert 0 < kept < 28  # it was in the middle
    results = experiment.run(path, n_jobs=1, progress=counter)
    assert counter.fresh >= 28 - kept
    assert counter.fresh < 28
    np.testing.assert_equal(numbers(results), numbers(experiment.run(n_jobs=1)))


def test_a_second_process_says_that_the_file_is_in_use(path, monkeypatch):
    monkeypatch.setattr(_store, "WAIT", 0.02)
    with _store.Store(path) as other:
        with pytest.raises(ResultsFileError, match="in use by another process; wait until that"):
            make().run(path, n_jobs=1)
        assert other.rounds("none") == []  # it was in the way of nobody
    make().run(path, n_jobs=1)  # free again


def test_a_file_is_free_again_after_an_error(path):
    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make().run(path, n_jobs=2, progress=stop)
    make().run(path, n_jobs=1)
    assert len(rows(path)) == 16


def altered(*statements):
    def alter(path):
        db = sqlite3.connect(path)
        for statement in statements:
            db.execute(statement)
        db.commit()
        db.close()

    return alter


def written(change):
    return lambda path: path.write_bytes(change(path.read_bytes()))


ODD = {"text": "'x'", "blob": "x'ff'", "huge": "9e300", "low": "-5", "half": "1.5"}
# Types and values that SQLite takes into any column.
ODD_CELLS = {
    f"{column} {kind}": altered(
        f"UPDATE OR IGNORE rounds SET {column} = {ODD[kind]} WHERE place = 1"
    )
    for column, kinds in {
        **dict.fromkeys(("place", "labels", "classes", "accuracy", "picks"), ODD),
        **dict.fromkeys(("agreement", "potential", "fit_seconds"), ("text", "blob")),
    }.items()
    for kind in kinds
}
DAMAGE = {
    "text": written(lambda content: b"these are no results\n" * 100),
    "cut": written(lambda content: content[: len(content) // 2]),
    "header alone": written(lambda content: content[:100]),
    "half a header": written(lambda content: content[:60]),
    "noise": written(lambda content: content[:8192] + bytes(range(256)) * 16 + content[12288:]),
    "no rounds": altered("DROP TABLE rounds"),
    "no failures": altered("DROP TABLE failures"),
    "a table more": altered("CREATE TABLE more (a)"),
    "a column more": altered("ALTER TABLE rounds ADD COLUMN more TEXT"),
    "a view": altered("DROP TABLE failures", "CREATE VIEW failures AS SELECT * FROM runs"),
    "a trigger": altered("CREATE TRIGGER t AFTER INSERT ON rounds BEGIN DELETE FROM runs; END"),
    "a round lost": altered("DELETE FROM rounds WHERE place = 1"),
    "no text": altered(
        "INSERT INTO failures SELECT key, 0, CAST(x'ff' AS TEXT), '' FROM runs LIMIT 1"
    ),
    "a failure that is none": altered("INSERT INTO failures SELECT key, 'x', '', '' FROM runs"),
    **ODD_CELLS,
}


@pytest.mark.one_of(2)
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_told_from_a_full_disk_and_stays(path, damage):
    DAMAGE[damage](path)
    content = path.read_bytes()
    with pytest.raises(
        ResultsFileError, match=r"damaged or no results file: .*Move it away"
    ) as told:
        make().run(path, n_jobs=1)
    assert len(str(told.value).replace(str(path), "")) < 250
    assert path.read_bytes() == content


OTHERS = {
    "another's": altered("CREATE TABLE rounds (a)"),
    "another's without tables": altered("PRAGMA user_version = 7"),
    "another's that is being written": altered("PRAGMA journal_mode = WAL", "CREATE TABLE a (b)"),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_databases_of_others_and_of_other_versions_are_not_touched(tmp_path, kind):
    path = tmp_path / "other.sqlite"
    OTHERS[kind](path)
    before = path.read_bytes()
    with pytest.raises(ResultsFileError, match="not written by this version of labelnext"):
        make().run(path, n_jobs=1)
    assert path.read_bytes() == before


@pytest.mark.parametrize("there", [False, True], ids=["new", "gone on with"])
@pytest.mark.parametrize("end", ["-journal", "-wal"])
@pytest.mark.parametrize("kind", ["text", "empty", "link", "folder"])
def test_nothing_that_sqlite_would_take_for_its_own_is_lost(tmp_path, there, end, kind):
    path, beside = tmp_path / "results.sqlite", tmp_path / f"results.sqlite{end}"
    if there:
        make(seeds=1).run(path, n_jobs=1)
    target = tmp_path / "notes"
    target.write_text("of the user")
    if kind == "folder":
        beside.mkdir()
    elif kind == "link":
        beside.symlink_to(target)
    else:
        beside.write_text("of the user, not of SQLite" * (kind == "text"))
    if kind == "empty" and there:  # as a run may leave it
        make(seeds=1).run(path, n_jobs=1)
        return
    before = beside.is_symlink(), beside.is_dir() or beside.read_text()
    with pytest.raises(ResultsFileError, match=r"results.sqlite-.*move it away, or put the"):
        make(seeds=1).run(path, n_jobs=1)
    assert (beside.is_symlink(), beside.is_dir() or beside.read_text()) == before
    assert path.exists() == there


def test_places_where_nothing_can_be_written(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for place in ("nowhere/results.sqlite", ".", "pipe", "x" * 300):
        with pytest.raises(ResultsFileError, match=r"cannot be opened or written: .*check the"):
            make().run(tmp_path / place, n_jobs=1)


def test_a_strategy_that_fails_is_recorded_and_the_others_go_on(tmp_path):
    path = tmp_path / "results.sqlite"
    experiment = make(strategies={"fails": FailsLater(), "random": RandomSampling()})
    results = experiment.run(path, n_jobs=1)
    (failure,) = results.failures
    assert (failure.strategy, failure.seed, failure.round) == ("fails", 1, 2)
    assert failure.error == "ZeroDivisionError: no more of this"
    assert 'raise ZeroDivisionError("no more of this")' in failure.details
    (curves,) = results.curves().values()
    assert np.isnan(curves.accuracy["fails"]).tolist() == [[False] * 4, [False] * 2 + [True] * 2]
    assert np.isfinite(curves.accuracy["random"]).all()
    # Mended, it is another strategy, and nothing has failed.
    mended = replace(experiment, strategies={"fails": FailsLater(seed=9)})
    assert mended.run(path, n_jobs=1).failures == ()


def test_a_model_that_cannot_be_fitted_fails_and_another_does_not():
    models = {"unfit": Unfit(), "logistic": LogisticRegression()}
    results = make(models=models).run(n_jobs=1)
    assert {failure.setting.model for failure in results.failures} == {"unfit"}
    assert len(results.failures) == 4
    assert "this model learns nothing" in results.failures[0].error


def test_what_cannot_be_pickled_is_told(tmp_path):
    class Holder(Slow):
        def __init__(self, lock=None, random_state=None):
            self.lock = lock
            self.random_state = random_state

    import threading

    with pytest.raises(ValueError, match="must be values that can be pickled"):
        make(strategies={"lock": Holder(threading.Lock())}).run(n_jobs=2)
