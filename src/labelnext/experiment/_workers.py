"""Runs, and the processes of one thread each in which they are played."""

from __future__ import annotations

import os
import pickle
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

import cloudpickle
from threadpoolctl import threadpool_limits

from labelnext.experiment._simulate import rounds, split

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from labelnext.experiment._records import Budget, Round

    Event = tuple["Task", "Round | Ended"]

START = (
    "import pickle, sys; sys.path[:] = pickle.load(sys.stdin.buffer);"
    "from labelnext.experiment._workers import serve; serve()"
)
LONGEST = 500  # characters of an error's message; the traceback has all
LIBRARIES = ("OMP", "OPENBLAS", "MKL", "NUMBA", "LABELNEXT")
ONE_THREAD = {f"{name}_NUM_THREADS": "1" for name in LIBRARIES} | {"VECLIB_MAXIMUM_THREADS": "1"}


@dataclass(frozen=True)
class Task:
    """A run, or what is left of it: `number` in the list, `done` the picks of rounds there are."""

    number: int
    data: str
    strategy: Any
    clf: Any
    seed: int
    budget: Budget
    test_size: float
    done: tuple[NDArray[Any], ...] = ()


@dataclass(frozen=True)
class Ended:
    """A run is over: it went through all its rounds, or `error` says why not."""

    error: str = ""
    details: str = ""


def play(task: Task, X: Any, y: Any) -> Iterator[Round | Ended]:
    """Go through the rounds of a run, on one thread; the last that comes says how it ended."""
    sizes: dict[str, Any] = {"batch_size": task.budget.batch, "n_batches": task.budget.rounds}
    try:
        with threadpool_limits(1):
            parts = split(X, y, seed=task.seed, n_start=task.budget.start, test_size=task.test_size)
            yield from rounds(task.strategy, task.clf, parts, done=task.done, **sizes)
    except Exception as error:
        # Whatever a strategy or model raises: it is recorded, and the other runs go on.
        yield failed(error)
    else:
        yield Ended()


def failed(error: BaseException) -> Ended:
    """Say in a line what went wrong, and in many how it came to it."""
    text = "".join(c if c.isprintable() else "�" for c in " ".join(str(error).split()))
    text = text if len(text) <= LONGEST else f"{text[:LONGEST]} …"
    return Ended(f"{type(error).__name__}: {text}", "".join(traceback.format_exception(error)))


def play_in_processes(
    tasks: Sequence[Task], data: Mapping[str, tuple[Any, Any]], n_jobs: int
) -> Iterator[Event]:
    """Play runs in other processes, and hand on each round as it comes.

    The processes are plain interpreters, so that a script needs no guard around its main part
    and a notebook may define strategies. One that dies takes its run with it, no more. If this
    process dies, they end by themselves.
    """
    waiting: queue.SimpleQueue[Task] = queue.SimpleQueue()
    events: queue.SimpleQueue[Event | BaseException] = queue.SimpleQueue()
    for task in tasks:
        waiting.put(task)

    def drive(worker: _Worker) -> None:
        try:
            while not worker.closed:
                task = waiting.get_nowait()
                for message in worker.play(task):
                    events.put((task, message))
        except queue.Empty:
            pass
        except BaseException as error:
            events.put(error)  # it comes up again in the thread that waits for events

    workers = [_Worker(data) for _ in range(n_jobs)]
    threads = [threading.Thread(target=drive, args=(one,), daemon=True) for one in workers]
    try:
        for thread in threads:
            thread.start()
        left = len(tasks)
        while left:
            event = events.get()
            if isinstance(event, BaseException):
                raise event
            left -= isinstance(event[1], Ended)
            yield event
    finally:
        for worker in workers:
            worker.close()
        for thread in threads:
            thread.join()


class _Worker:
    """A process, started when there is something to do and again if it dies."""

    def __init__(self, data: Mapping[str, tuple[Any, Any]]) -> None:
        self.closed = False
        self._data = data
        self._held: str | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the process

    def play(self, task: Task) -> Iterator[Round | Ended]:
        try:
            # Functions and classes of a script or notebook by their code.
            orders = [("run", cloudpickle.dumps(task))]
        except Exception as error:
            yield failed(error)
            return
        try:
            process = self._process or self._start()
            if self._held != task.data:
                orders.insert(0, ("data", cloudpickle.dumps(self._data[task.data])))
                self._held = task.data
            for order in orders:
                _send(process.stdin, order)
            message = None
            while not isinstance(message, Ended):
                message = pickle.load(process.stdout)  # type: ignore[arg-type]
                yield message
        except (EOFError, OSError, pickle.UnpicklingError):
            if not self.closed:
                yield self._last_words()

    def close(self) -> None:
        with self._lock:
            self.closed = True
            if self._process is not None:
                _end(self._process)
        self._complaints.close()

    def _start(self) -> subprocess.Popen[bytes]:
        with self._lock:
            if self.closed:
                raise EOFError
            self._process = process = subprocess.Popen(
                [sys.executable, "-c", START],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._complaints,
                env=os.environ | ONE_THREAD,
            )
            self._held = None
        _send(process.stdin, sys.path)
        return process

    def _last_words(self) -> Ended:
        """Say how the process ended, with the last that it wrote; the next run gets a new one."""
        with self._lock:
            process, self._process = self._process, None
        if process is None:
            return Ended("The process did not start")
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=10)  # it has closed its pipes; let it end in its own way
        _end(process)
        self._complaints.seek(0)
        last = self._complaints.read()[-4000:].decode(errors="replace")
        why = " (killed, perhaps for want of memory)" if process.returncode == -9 else ""
        return Ended(f"The process ended with exit code {process.returncode}{why}", last)


def _end(process: subprocess.Popen[bytes]) -> None:
    with suppress(OSError), process:  # what was not yet sent has nowhere to go
        process.kill()


def _send(stream: Any, message: Any) -> None:
    pickle.dump(message, stream)
    stream.flush()


def serve() -> None:
    """Play what comes on standard input until it ends."""
    # Models print; what they print must not get between the messages.
    messages = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    # Ctrl-C reaches all processes at a terminal; the first of them ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    orders: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def listen() -> None:
        while True:
            try:
                orders.put(pickle.load(sys.stdin.buffer))
            except Exception:  # nobody is left to give orders: end, even in the middle of a run
                os._exit(0)

    threading.Thread(target=listen, daemon=True).start()
    answer(orders, messages)


def answer(orders: queue.SimpleQueue[Any], messages: IO[bytes]) -> None:
    """Play the runs that are ordered; None ends it."""
    samples: Any = None
    while (order := orders.get()) is not None:
        try:
            # Pickled on its own, so that what fails to load fails as a run does.
            what, content = order
            loaded = pickle.loads(content)
            if what == "data":
                samples = loaded
                continue
            for message in play(loaded, *samples):
                _send(messages, message)
        except BrokenPipeError:
            return
        except Exception as error:
            _send(messages, failed(error))
