"""The user's training in a process of its own: what it is told, what comes back, what fails."""

import fcntl
import os
import sys

import pytest

import labelnext
from labelnext.loop import Loop
from labelnext.loop import train as module
from labelnext.loop.train import TrainingError, train

MINE = """
import json, os, numpy as np, labelnext

def pool_of(loop, **more):
    ids = loop.samples().ids
    proba = np.full((len(ids), 2), 0.5)
    for row, content in enumerate(loop.samples().contents):
        proba[row] = (0.9, 0.1) if "good" in content else (0.2, 0.8)
    return labelnext.Pool(proba, ids=ids, classes=loop.classes, **more)

def train(loop):
    assert all(label is None for label in loop.labels().y[:0])
    print("epoch 1")
    return pool_of(loop)

def with_metrics(loop):
    return pool_of(loop), {"loss": np.float32(0.25)}

def once(loop):
    with open("calls", "a") as calls:
        calls.write("x")
    return pool_of(loop)

def fails(loop):
    print("epoch 1")
    raise RuntimeError("out of memory")

def wrong(loop):
    return [1, 2]

def odd_metrics(loop):
    return pool_of(loop), {"loss": "low"}

def nothing(loop):
    pass
"""
SCRIPT = """
import json, os, sys, labelnext
sys.path.insert(0, "")
import own
rows = [json.loads(line) for line in open(os.environ["LABELNEXT_LABELS"])]
assert rows == [{"id": "0", "content": "good", "label": "yes"}], rows
loop = labelnext.open_loop(os.environ["LABELNEXT_LOOP"])
labelnext.write_pool(os.environ["LABELNEXT_POOL"], own.pool_of(loop), overwrite=True)
json.dump({"accuracy": 1}, open(os.environ["LABELNEXT_METRICS"], "w"))
"""


@pytest.fixture
def loop(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.py").write_text(MINE)
    (tmp_path / "script.py").write_text(SCRIPT)
    loop = Loop.create("loop", ["good", "bad", "so good", "poor"], classes=["yes", "no"])
    loop.add_labels(["0"], ["yes"], annotator="ann", source="test")
    return loop


def test_a_function_is_given_the_loop_and_returns_a_pool(loop):
    heard = []
    found = train(loop, "own:train", echo=heard.append)
    assert found.pool.proba[:].argmax(axis=1).tolist() == [0, 1, 0, 1]
    assert b"epoch 1" in b"".join(heard)
    assert len(loop.next(found.pool, 2, random=0)) == 2


def test_metrics_are_those_of_the_test_set_and_the_functions_own(tmp_path, loop):
    other = Loop.create("other", ["good", "bad", "so good", "poor"], classes=["yes", "no"], test=3)
    testing = [pick["id"] for pick in other.picks(0)]
    other.add_labels(testing, ["yes"] * 3, annotator="ann", source="test")
    found = train(other, "own:with_metrics")
    assert found.metrics["loss"] == 0.25
    assert found.metrics["accuracy"] == sum(i in ("0", "2") for i in testing) / 3


def test_a_command_is_told_where_all_is(loop):
    found = train(loop, f"{sys.executable} script.py")
    assert found.metrics == {"accuracy": 1}
    assert found.pool.classes.tolist() == ["yes", "no"]


def test_what_has_succeeded_is_not_done_again_until_there_are_more_labels(tmp_path, loop):
    for _ in range(2):
        train(loop, "own:once")
    assert (tmp_path / "calls").read_text() == "x"
    loop.add_labels(["1"], ["no"], annotator="ann", source="test")
    train(loop, "own:once")
    assert (tmp_path / "calls").read_text() == "xx"


def test_pools_of_earlier_labels_go_but_the_last_and_what_is_not_ours(loop):
    made = loop.folder / "training"
    for at, name in enumerate(["0" * 12, "1" * 12, "2" * 12, "mine"]):
        labelnext.write_pool(made / name / "pool", labelnext.Pool([[0.5, 0.5]]))
        os.utime(made / name / "pool" / "pool.json", (at, at))
    (made / ("1" * 12) / "pool" / "notes.txt").write_text("mine")
    train(loop, "own:train")
    kept = {path.parent.parent.name for path in made.glob("*/pool/pool.json")}
    assert len(kept) == 3
    assert {"2" * 12, "mine"} < kept
    assert (made / ("1" * 12) / "pool" / "notes.txt").read_text() == "mine"
    assert not (made / ("0" * 12) / "pool").exists()


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("own:fails", r"own:fails ended with 1: .*RuntimeError: out of memory \(all of it is in"),
        ("own:wrong", r"own:wrong returned \[1, 2\]: it must return a labelnext.Pool, or "),
        ("own:odd_metrics", "own:odd_metrics returned .*could not convert string to float"),
        ("own:nothing", "left no pool: return a labelnext.Pool"),
        ("own:gone", "'own:gone' cannot be imported: AttributeError"),
        ("no-such-command --x", "cannot be run: .*give module:function, or a command"),
        ("'", "cannot be run: "),
        ("", "cannot be run: "),
        ("true", "true succeeded and left no pool"),
        ("sh -c 'kill -9 $$'", "was killed by signal 9: it said nothing"),
    ],
)
def test_what_goes_wrong_is_said_with_its_last_lines(loop, what, words):
    with pytest.raises(TrainingError, match=words):
        train(loop, what)
    assert loop.progress()["labeled"] == 1


def test_the_frames_of_the_user_are_shown_once_and_none_of_ours(loop):
    heard = []
    with pytest.raises(TrainingError, match=r"own:fails ended with 1, see above \(all"):
        train(loop, "own:fails", echo=heard.append)
    said = b"".join(heard).decode()
    assert said.count("RuntimeError: out of memory") == 1
    assert said.count("File ") == 1
    assert "own.py" in said


def test_metrics_that_are_none(loop):
    with pytest.raises(TrainingError, match="expected metrics as JSON"):
        train(loop, "sh -c 'echo [] > $LABELNEXT_METRICS'")


def test_a_training_that_goes_on_is_not_started_twice(loop, monkeypatch):
    """Whoever started it was killed; the training itself still holds the lock."""
    others = []

    def run(loop, what, work, lock, echo):
        others.append(os.open(work / "lock", os.O_RDWR))
        with pytest.raises(BlockingIOError):
            fcntl.flock(others[0], fcntl.LOCK_EX | fcntl.LOCK_NB)
        others.append(os.dup(lock))  # as the child has it

    monkeypatch.setattr(module, "_run", run)
    with pytest.raises(TrainingError, match="left no pool"):
        train(loop, "own:train")
    with pytest.raises(TrainingError, match="goes on in another process"):
        train(loop, "own:train")
    heard = []

    def waiting(said):
        heard.append(said)
        for number in others:
            os.close(number)
        others.clear()

    with pytest.raises(TrainingError, match="left no pool"):
        train(loop, "own:train", waiting=waiting)
    assert "goes on in another process" in heard[0]
    for number in others:
        os.close(number)
