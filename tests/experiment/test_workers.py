"""The two sides of a worker process, each by itself."""

import io
import pickle
import queue
import time

import numpy as np
from sklearn.naive_bayes import GaussianNB

from broken_strategies import FailsLater, Slow
from labelnext.experiment import Budget, Round
from labelnext.experiment._workers import Ended, Task, answer, failed, play, play_in_processes

RNG = np.random.default_rng(0)
X, y = RNG.normal(size=(60, 3)), np.arange(60) % 3


def task(number=0, **changes):
    options = {"strategy": FailsLater(10**6), "clf": GaussianNB(), "seed": 0}
    return Task(number, "toy", **(options | changes), budget=Budget(6, 4, 2), test_size=0.5)


def answers(*orders):
    """What a worker sends back."""
    waiting, stream = queue.SimpleQueue(), io.BytesIO()
    for order in (*orders, None):
        waiting.put(order)
    answer(waiting, stream)
    stream.seek(0)
    found = []
    while stream.tell() < len(stream.getbuffer()):
        found.append(pickle.load(stream))
    return found


def test_a_worker_sends_each_round_and_how_it_ended():
    data = ("data", pickle.dumps((X, y)))
    order = ("run", pickle.dumps(task()))
    found = answers(data, order, order)
    assert [type(message) for message in found] == [Round, Round, Round, Ended] * 2
    assert [step.labels for step in found[:3]] == [6, 10, 14]
    assert found[3] == Ended()
    for one, other in zip(found[:3], play(task(), X, y), strict=False):
        np.testing.assert_array_equal(one.picks, other.picks)


def test_an_order_that_cannot_be_read_fails_as_a_run_does():
    (message,) = answers(("run", b"no pickle"))
    assert message.error.startswith("UnpicklingError")
    (message,) = answers(("run", pickle.dumps(task())))  # and no data
    assert message.error.startswith("TypeError")


def test_an_error_is_told_in_a_line_that_can_be_printed_and_not_too_long():
    assert failed(ValueError("a\n  b\x1b[31m")).error == "ValueError: a b�[31m"
    told = failed(ValueError("x" * 9000))
    assert len(told.error) < 600
    assert "x" * 9000 in told.details


def test_messages_are_in_order_and_processes_end_when_nobody_listens_any_more():
    tasks = [task(number, seed=number) for number in range(3)]
    tasks.append(task(3, strategy=Slow(600)))
    seen = {number: [] for number in range(4)}
    events = play_in_processes(tasks, {"toy": (X, y)}, 1)
    while not all(seen[number][-1:] == [Ended()] for number in range(3)):
        played, message = next(events)
        seen[played.number].append(message)
    before = time.monotonic()
    events.close()  # in the middle of runs; returns only when all processes have ended
    assert time.monotonic() - before < 60
    for number in range(3):
        assert [type(message) for message in seen[number]] == [Round, Round, Round, Ended]
        expected = list(play(tasks[number], X, y))
        assert [m.accuracy for m in seen[number][:3]] == [m.accuracy for m in expected[:3]]
    assert list(play_in_processes([], {}, 1)) == []
