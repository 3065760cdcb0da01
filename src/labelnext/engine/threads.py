"""Work on spans of rows, on as many threads as the one setting allows."""

from __future__ import annotations

import itertools
import math
import os
import threading
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from threadpoolctl import ThreadpoolController

from labelnext.utils.memory import GROUP

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

# Rows that one thread takes at a time. Sums are made span by span, then over the spans in order,
# so that no result depends on the number of threads.
SPAN = 2048
# Threads that read files while others compute.
AHEAD = 2


def n_threads() -> int:
    """How many threads a pass may use.

    ``LABELNEXT_NUM_THREADS``, else ``OMP_NUM_THREADS`` (which joblib sets in its workers, so
    that nested parallelism does not oversubscribe), else the cores that this process may use.
    """
    return threads_set() or cores()


def cores() -> int:
    """Return how many cores this process may use."""
    n = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    # What a container may take of them, as the two versions of control groups say it.
    for names in (["cpu.max"], ["cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us"]):
        try:
            quota, period = map(int, " ".join((GROUP / name).read_text() for name in names).split())
        except (OSError, ValueError):  # there is no such file, or no limit
            continue
        if quota > 0 < period:
            n = min(n, math.ceil(quota / period))
    return max(n, 1)


def threads_set() -> int | None:
    """Return what the environment says of threads, None if nothing; refuse nonsense."""
    for name in ("LABELNEXT_NUM_THREADS", "OMP_NUM_THREADS"):
        value = os.environ.get(name, "").split(",")[0].strip()
        if value:
            if not value.isdecimal() or int(value) < 1:
                raise ValueError(
                    f"The environment variable {name} must be a whole number of threads from 1, "
                    f"got {value!r}; correct it or unset it."
                )
            return int(value)
    return None


@cache
def _blas() -> tuple[list[Any], list[Any]]:
    """Return the libraries with one setting for the process, and those with one for each thread."""
    # Looking the libraries up takes milliseconds; they stay loaded.
    found: dict[bool, list[Any]] = {True: [], False: []}
    for library in ThreadpoolController().select(user_api="blas").lib_controllers:
        found[getattr(library, "threading_layer", None) == "openmp"].append(library)
    return found[False], found[True]


# `ThreadpoolController.limit` does this and more, and takes longer than a small selection.
def _hold(libraries: list[Any]) -> list[tuple[Any, int]]:
    """Set libraries to one thread, and return those that had more, with how many."""
    held = [(each, n) for each in libraries if (n := each.num_threads) not in (None, 1)]
    _set([(library, 1) for library, _ in held])
    return held


def _set(numbers: list[tuple[Any, int]]) -> None:
    for library, n in numbers:
        library.set_num_threads(n)
        # Else threadpoolctl, from 3.8 on, would let nobody but this thread change it again.
        getattr(library, "clear_controlling_thread", int)()


class _Held:
    """How many threads hold BLAS to one thread now, and how it was before the first of them."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.n = 0
        self.before: list[tuple[Any, int]] = []

    def count(self, more: int) -> None:
        """Count one more that holds it, or one less."""
        with self.lock:
            if self.n == 0:
                self.before = _hold(_blas()[0])
            self.n += more
            if self.n == 0:
                _set(self.before)


_held = _Held()


def _begin_again() -> None:
    global _held  # noqa: PLW0603 a forked process begins with a lock that nobody has
    _held = _Held()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_again)


@contextmanager
def blas_on_one_thread() -> Iterator[None]:
    """Hold BLAS to one thread each for a while.

    Our own threads share the work, and the products beside them are small: BLAS's threads, which
    spin for a while after each, would only take their cores. Where the setting is one for the
    whole process, the first of several threads changes it, and the last gives back what was there.
    """
    held = _held
    held.count(1)
    of_thread = _hold(_blas()[1])
    try:
        yield
    finally:
        _set(of_thread)
        held.count(-1)


def for_each_span(work: Callable[[int], None], n_rows: int) -> None:
    """Call ``work(span)`` once for each span of `SPAN` rows; spans go side by side."""
    for_each(work, -(-n_rows // SPAN), n_threads)


def spans(lo: int, hi: int) -> Iterator[tuple[int, int]]:
    """Cut rows lo to hi where the pool's spans end."""
    while lo < hi:
        end = min(hi, (lo // SPAN + 1) * SPAN)
        yield lo, end
        lo = end


def for_each(work: Callable[[int], None], n_tasks: int, n_workers: Callable[[], int]) -> None:
    """Call ``work(task)`` once for each task, on several threads if there are several tasks.

    Threads live for one call only: none is left behind to be lost in a fork.
    """
    if n_tasks <= 1:
        for task in range(n_tasks):
            work(task)
        return
    # next() on a count is atomic: whoever is free takes the next task.
    counter = itertools.count()
    errors: dict[int, Exception] = {}

    def take_tasks() -> None:
        while not errors and (task := next(counter)) < n_tasks:
            try:
                work(task)
            except Exception as error:
                errors[task] = error

    from concurrent.futures import ThreadPoolExecutor

    threads = min(n_workers(), n_tasks)
    with blas_on_one_thread(), ThreadPoolExecutor(threads) as pool:
        for future in [pool.submit(take_tasks) for _ in range(threads)]:
            future.result()
    if errors:
        # Tasks are taken in order, so this is the first that fails, whoever was faster.
        raise errors[min(errors)]


# What a thread computes on; see `for_each_ahead`.
_seat = threading.local()


def for_each_ahead(work: Callable[[int], None], n_tasks: int) -> None:
    """Call ``work(task)`` once for each task, with more threads than compute at a time.

    Those that wait for files, within `reading`, leave their seat to others: so what comes next is
    being read while what is there is worked on.
    """
    seats = threading.Semaphore(n_threads())

    def take_a_seat(task: int) -> None:
        _seat.among = seats
        with seats:
            work(task)

    for_each(take_a_seat, n_tasks, lambda: n_threads() + AHEAD)


@contextmanager
def reading() -> Iterator[None]:
    """Let another thread compute while this one waits for files; within `for_each_ahead` only."""
    seats: threading.Semaphore = _seat.among
    seats.release()
    try:
        yield
    finally:
        seats.acquire()


class InTurn:
    """Lets threads through one after the other, in the order of the rows that they work on."""

    def __init__(self) -> None:
        self._next = 0
        self._changed = threading.Condition()

    @contextmanager
    def turn(self, rows: slice) -> Iterator[None]:
        """Wait until all rows before these have had their turn, whatever came of it."""
        with self._changed:
            self._changed.wait_for(lambda: self._next == rows.start)
        try:
            yield
        finally:
            with self._changed:
                self._next = rows.stop
                self._changed.notify_all()


class InOrder:
    """A sum of arrays of a shape that come in any order, added in the order of their tasks.

    So it does not depend on which thread was faster, and what waits for its turn is little.
    """

    def __init__(self, n: int | tuple[int, ...], dtype: type = float) -> None:
        self.total: NDArray[Any] = np.zeros(n, dtype=dtype)
        self._waiting: dict[int, NDArray[Any]] = {}
        self._next = 0
        self._lock = threading.Lock()

    def add(self, task: int, parts: NDArray[Any]) -> None:
        """Add the rows of an array of shape (m, n), when all tasks before have been."""
        with self._lock:
            self._waiting[task] = parts
            while self._next in self._waiting:
                for part in self._waiting.pop(self._next):
                    self.total += part
                self._next += 1
