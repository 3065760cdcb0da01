"""Actors that are called until they have answered; those that are lost are started again."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from labelnext.cluster.session import Ray, in_short

# How often one call is tried, each time in a new actor, and the seconds before the second time.
ATTEMPTS, PAUSE = 5, 0.2
START = "start"


class ShardLostError(RuntimeError):
    """A shard of a pool was lost too often: an actor of a cluster could not be started again.

    Examples
    --------
    >>> from labelnext.cluster import ShardLostError
    >>> issubclass(ShardLostError, RuntimeError)
    True
    """


class _Lost(Exception):  # noqa: N818
    """An actor has died or does not answer; the message says which."""


class _NoRoom(_Lost):
    """An actor has not started in time."""


class Actor:
    """What runs in the process of an actor of any kind. It starts with nothing, and is told all."""

    n_threads: int

    def hello(self, n_threads: int) -> tuple[int, str]:
        """Return the process's number and its node's; work will use so many threads."""
        import ray

        self.n_threads = n_threads
        os.environ["LABELNEXT_NUM_THREADS"] = str(n_threads)
        return os.getpid(), ray.get_runtime_context().get_node_id()


class Call(NamedTuple):
    """One method to call, and its arguments."""

    method: str
    arguments: tuple[Any, ...]


@dataclass(eq=False)
class Task:
    """A call, made when its turn has come, to be answered by the actor of a place, or by any."""

    number: int
    call: Callable[[], Call]
    place: int | None = None
    n_failures: int = 0


@dataclass(eq=False)
class Place:
    """A place for one actor after the other, and what the latest is at."""

    number: int
    actor: Any = None
    pid: int | None = None
    node: str | None = None
    set_up: Iterator[Call] | None = None
    """What is still to be called before it can do anything; None if it is ready."""

    task: Task | None = None
    method: str = ""
    reference: Any = None
    deadline: float = 0.0
    n_failures: int = 0
    was_ready: bool = False
    squeezed: bool = False
    """Whether its actor is to be started where there is no core free for it."""

    patience: int = 1
    """How many times `start_timeout` to wait for its next actor to start."""


class Actors:
    """Actors of one kind on a Ray cluster.

    One that has died, or not answered for `timeout` seconds, is given up; a new one is started
    wherever there is room and set up as it was, by the calls that `set_up` yields for its place,
    and the call is repeated. After `ATTEMPTS` failures of one call `ShardLostError` says which, by
    the `name` of its number, with `advice`. With `can_shrink` fewer actors will do.
    """

    def __init__(
        self,
        ray: Any,
        kind: type[Actor],
        options: Ray,
        n_places: int,
        *,
        timeout: float,
        set_up: Callable[[int], Iterable[Call]],
        name: Callable[[int], str],
        advice: str = "",
        can_shrink: bool = False,
    ) -> None:
        self.ray, self.kind, self.options = ray, kind, options
        self.timeout = timeout if options.timeout is None else options.timeout
        self.set_up, self.name, self.advice, self.can_shrink = set_up, name, advice, can_shrink
        self.places = [Place(number) for number in range(n_places)]
        self.n_restarts = 0
        self._waiting: deque[Task] = deque()

    def close(self) -> None:
        """End all actors."""
        for place in self.places:
            self._end(place)

    def run(self, tasks: Iterable[Task]) -> Iterator[tuple[int, Any]]:
        """Have tasks done, side by side; yields their numbers and answers as they come."""
        self._waiting = deque(tasks)
        while self._waiting or any(place.task for place in self.places):
            self._assign()
            for place in self._news():
                try:
                    answer = self._answer(place)
                except _Lost as reason:
                    self._give_up(place, reason)
                    continue
                if place.set_up is not None:
                    if place.method == START:
                        (place.pid, place.node), place.patience = answer, 1
                    self._set_up(place)
                    continue
                task, place.task, place.reference = place.task, None, None
                assert task is not None
                yield task.number, answer

    def _assign(self) -> None:
        """Give tasks to actors that are ready, and start actors for more."""
        n_starting = sum(place.set_up is not None for place in self.places)
        for place in self.places:
            tasks = (task for task in self._waiting if task.place in {None, place.number})
            task = None if place.reference is not None else next(tasks, None)
            if task is None:
                continue
            if place.actor is not None:
                self._waiting.remove(task)
                place.task = task
                self._send(place, task.call())
            elif n_starting < len(self._waiting):
                self._start(place)
                n_starting += 1

    def _start(self, place: Place) -> None:
        options = self.options
        place.actor = (
            self.ray.remote(self.kind)
            .options(
                num_cpus=0 if place.squeezed else options.num_cpus,
                num_gpus=options.num_gpus,
                resources=dict(options.resources or {}),
                scheduling_strategy="SPREAD",
                max_restarts=0,
                max_task_retries=0,
            )
            .remote()
        )
        place.set_up = iter(self.set_up(place.number))
        place.method = START
        place.reference = place.actor.hello.remote(max(1, int(options.num_cpus)))
        place.deadline = time.monotonic() + options.start_timeout * place.patience

    def _set_up(self, place: Place) -> None:
        """Make the next call that a new actor begins with; it is ready after the last."""
        assert place.set_up is not None
        call = next(place.set_up, None)
        if call is not None:
            self._send(place, call)
            return
        place.set_up = place.reference = None
        place.was_ready, place.n_failures = True, 0

    def _send(self, place: Place, call: Call) -> None:
        place.method = call.method
        place.reference = getattr(place.actor, call.method).remote(*call.arguments)
        place.deadline = time.monotonic() + self.timeout

    def _news(self) -> list[Place]:
        """Wait until there is news of some actors: an answer, or that there is none in time."""
        busy = {place.reference: place for place in self.places if place.reference is not None}
        if not busy:
            return []
        soonest = min(place.deadline for place in busy.values())
        left = max(soonest - time.monotonic(), 0.0)
        ready, _ = self.ray.wait(list(busy), num_returns=1, timeout=left)
        if ready:
            ready, _ = self.ray.wait(list(busy), num_returns=len(busy), timeout=0)
        return [place for reference, place in busy.items() if reference in ready or _late(place)]

    def _answer(self, place: Place) -> Any:
        """Return the answer of an actor; _Lost if it is."""
        exceptions = self.ray.exceptions
        try:
            return self.ray.get(place.reference, timeout=0 if _late(place) else None)
        except exceptions.GetTimeoutError:
            if place.method == START:
                raise _NoRoom(
                    "there was no room for it on the cluster, or its process did not start"
                ) from None
            seconds = self.timeout
            raise _Lost(f"it did not answer {place.method!r} within {seconds:g} s") from None
        except exceptions.RayTaskError as error:
            cause = error.cause
            if isinstance(cause, exceptions.RayError):
                raise _Lost(in_short(cause)) from None
            if place.set_up is not None and place.was_ready and isinstance(cause, OSError):
                raise _Lost(f"it cannot be set up again: {in_short(cause)}") from None
            task = self._task_of(place)
            if task is not None:
                cause.add_note(f"In {self.name(task.number)}.")
            raise cause from None
        except exceptions.RayError as error:
            raise _Lost(in_short(error)) from None

    def _task_of(self, place: Place) -> Task | None:
        """Return the task that an actor is at, or is being set up for; None if it is any."""
        waiting = (task for task in self._waiting if task.place == place.number)
        return place.task or next(waiting, None)

    def _give_up(self, place: Place, reason: _Lost) -> None:
        """End an actor; raise if there is no room for another, or there were too many."""
        failed = self._task_of(place) or place
        if place.task is not None:
            self._waiting.appendleft(place.task)
        self._end(place)
        if isinstance(reason, _NoRoom):
            others = [p for p in self.places if p is not place and (p.actor or p.was_ready)]
            if self.can_shrink and others:
                self.places = others
                return
            if not place.was_ready:
                self._refuse(place)
            place.squeezed = not (self.options.num_gpus or self.options.resources)
            place.patience *= 2
        self.n_restarts += 1
        failed.n_failures += 1
        if failed.n_failures == ATTEMPTS:
            what = self.name(failed.number) if isinstance(failed, Task) else "an actor"
            raise ShardLostError(
                f"{what[0].upper()}{what[1:]} was lost {ATTEMPTS} times; the last time because "
                f"{reason}.{self.advice}"
            )
        time.sleep(PAUSE * (failed.n_failures - 1))

    def _refuse(self, place: Place) -> None:
        """Say what actors need, and what of it the cluster has."""
        total, free = self.ray.cluster_resources(), self.ray.available_resources()
        n = 1 if self.can_shrink else len(self.places)
        table = ", ".join(
            f"{each * n:g} {name} ({total.get(name, 0):g} on the cluster, "
            f"{free.get(name, 0):g} free)"
            for name, each in self.options.each.items()
        )
        raise TimeoutError(
            f"The cluster had no room for actor {place.number} within "
            f"{self.options.start_timeout:g} s: {n} actor{'s need' if n > 1 else ' needs'} "
            f"{table}; ask for fewer or less for each (num_shards, num_cpus, num_gpus, "
            f"resources), or for more time (start_timeout)."
        )

    def _end(self, place: Place) -> None:
        if place.actor is not None:
            self.ray.kill(place.actor, no_restart=True)
        place.actor = place.pid = place.node = None
        place.set_up = place.task = place.reference = None


def room(ray: Any, options: Ray, most: int) -> int:
    """Return how many actors the cluster has room for now, at least one."""
    free = ray.available_resources()
    rooms = [int(free.get(name, 0) // each) for name, each in options.each.items()]
    return max(1, min([most, *rooms]))


def _late(place: Place) -> bool:
    return place.deadline <= time.monotonic()
