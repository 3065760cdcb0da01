"""Runs in processes of their own, of one thread each."""

from __future__ import annotations

import os
import pickle
import queue
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from labelnext.experiment._task import Ended, failed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from labelnext.experiment._rounds import Round
    from labelnext.experiment._task import Task

    Event = tuple[Task, Round | Ended]

START = (
    "import pickle, sys; sys.path[:] = pickle.load(sys.stdin.buffer);"
    "from labelnext.experiment._serve import serve; serve()"
)
ONE_THREAD = dict.fromkeys(
    (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "VECLIB_MAXIMUM_THREADS",
        "NUMBA_NUM_THREADS",
        "LABELNEXT_NUM_THREADS",
    ),
    "1",
)


def play_in_processes(
    tasks: Sequence[Task], data: Mapping[str, tuple[Any, Any]], n_jobs: int
) -> Iterator[Event]:
    """Play runs in other processes, and hand on each round as it comes.

    The processes are plain interpreters, so that a script needs no guard around its main part
    and a notebook may define strategies. One that dies takes its run with it, no more. If this
    process dies, they end by themselves.

    Parameters
    ----------
    tasks : sequence of Task
        The runs.
    data : dict of str to (X, y)
        The data sets by name.
    n_jobs : int
        How many processes.

    Yields
    ------
    task : Task
        A run.
    message : Round or Ended
        What it sent.
    """
    waiting: queue.SimpleQueue[Task] = queue.SimpleQueue()
    events: queue.SimpleQueue[Event | BaseException] = queue.SimpleQueue()
    for task in tasks:
        waiting.put(task)
    workers = [_Worker(data) for _ in range(n_jobs)]
    threads = [
        threading.Thread(target=_drive, args=(worker, waiting, events), daemon=True)
        for worker in workers
    ]
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


def _drive(
    worker: _Worker,
    waiting: queue.SimpleQueue[Task],
    events: queue.SimpleQueue[Event | BaseException],
) -> None:
    """Give a worker run after run."""
    while not worker.closed:
        try:
            task = waiting.get_nowait()
        except queue.Empty:
            return
        try:
            for message in worker.play(task):
                events.put((task, message))
        except BaseException as error:
            # Not swallowed: it comes up again in the thread that waits for events.
            events.put(error)
            return


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
            orders = [("run", _dump(task))]
        except Exception as error:
            yield failed(error)
            return
        try:
            if self._process is None:
                self._start()
            if self._held != task.data:
                orders.insert(0, ("data", _dump(self._data[task.data])))
                self._held = task.data
            for order in orders:
                self._send(order)
            message = None
            while not isinstance(message, Ended):
                message = self._receive()
                yield message
        except (EOFError, OSError, pickle.UnpicklingError):
            if not self.closed:
                yield self._obituary()

    def close(self) -> None:
        with self._lock:
            self.closed = True
            if self._process is not None:
                self._bury(self._process)
        self._complaints.close()

    def _start(self) -> None:
        with self._lock:
            if self.closed:
                return
            self._process = subprocess.Popen(
                [sys.executable, "-c", START],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._complaints,
                env=os.environ | ONE_THREAD,
            )
            self._held = None
        self._send(sys.path)

    def _send(self, order: Any) -> None:
        if self._process is None or self._process.stdin is None:
            raise EOFError
        pickle.dump(order, self._process.stdin)
        self._process.stdin.flush()

    def _receive(self) -> Round | Ended:
        if self._process is None or self._process.stdout is None:
            raise EOFError
        message: Round | Ended = pickle.load(self._process.stdout)
        return message

    def _obituary(self) -> Ended:
        """Say how the process ended, with the last that it wrote; the next run gets a new one."""
        with self._lock:
            process, self._process = self._process, None
        if process is None:
            return Ended("The process did not start")
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=10)  # it has closed its pipes; let it end in its own way
        self._bury(process)
        self._complaints.seek(0)
        last = self._complaints.read()[-4000:].decode(errors="replace")
        code = process.returncode
        return Ended(
            f"The process ended with exit code {code}"
            + (" (killed, perhaps for want of memory)" if code == -9 else ""),
            last,
        )

    def _bury(self, process: subprocess.Popen[bytes]) -> None:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with suppress(OSError):  # what was not yet sent has nowhere to go
                    stream.close()


def _dump(value: Any) -> bytes:
    """Pickle; functions and classes of a script or notebook by their code."""
    import cloudpickle

    content: bytes = cloudpickle.dumps(value)
    return content
