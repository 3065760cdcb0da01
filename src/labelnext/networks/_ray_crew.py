"""Actors that are handed errands one by one; those of an actor that is lost go to another."""

from __future__ import annotations

import time
from collections import Counter, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from labelnext.engine.ray import ShardLostError
from labelnext.engine.ray_room import in_short, needed, room

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from labelnext.engine.ray import RayOptions

# How often one errand is tried, each time by another actor.
ATTEMPTS = 5
START, LOAD, IDLE = "start", "load", "idle"


class _Lost(Exception):  # noqa: N818
    """An actor has died or does not answer; the message says which."""


@dataclass(eq=False)
class _Hand:
    """An actor, and what it is at."""

    actor: Any
    what: str
    reference: Any
    deadline: float
    number: int | None = None


class Crew:
    """Actors of one kind on a Ray cluster.

    An actor whose process or node has died, or that has not answered for `RayOptions.timeout`
    seconds, is given up, and its errand is done again. After `ATTEMPTS` failures of one errand
    `ShardLostError` names it. Fewer actors than were asked for will do if the cluster has no
    room for more within `RayOptions.start_timeout`.

    Parameters
    ----------
    ray : module
        The module ``ray``, on a cluster.
    kind : type
        The actors' class, with methods ``hello()`` and ``load(job, n_threads)``.
    job : object
        What each actor loads.
    options : RayOptions
        How many actors, what each may take, and how long to wait.
    n_errands : int
        How many errands there will be at most.

    Raises
    ------
    TypeError
        If the job cannot be sent.
    """

    def __init__(self, ray: Any, kind: type, job: Any, options: RayOptions, n_errands: int) -> None:
        self._ray, self._kind, self._options = ray, kind, options
        self.size = min(options.num_shards or room(ray, options, n_errands), n_errands)
        self.n_lost = 0
        self._hands: list[_Hand] = []
        try:
            self._job = ray.put(job)
        except Exception as error:
            raise TypeError(
                f"The model and the data are sent to the cluster, and cannot be: "
                f"{in_short(error)}; they must be made of what pickle can hold."
            ) from error

    def close(self) -> None:
        """End all actors."""
        for hand in self._hands:
            self._ray.kill(hand.actor, no_restart=True)
        self._hands.clear()

    def run(
        self, method: str, errands: Mapping[int, Callable[[], tuple[Any, ...]]]
    ) -> Iterator[tuple[int, Any]]:
        """Have a method called for each errand, and yield their numbers and the answers.

        Parameters
        ----------
        method : str
            Which method of the actors.
        errands : mapping of int to callable
            Each returns the arguments, when its turn has come.
        """
        queue, failures = deque(errands), Counter[int | None]()
        left = len(queue)
        while left:
            self._assign(method, errands, queue)
            for hand in self._wait():
                try:
                    answer = self._answer(hand)
                except _Lost as reason:
                    self._give_up(hand, str(reason), failures)
                    if hand.number is not None:
                        queue.appendleft(hand.number)
                    continue
                if hand.what == START:
                    n_threads = max(1, int(self._options.num_cpus))
                    self._send(hand, LOAD, hand.actor.load.remote(self._job, n_threads))
                    continue
                number, hand.number = hand.number, None
                hand.what, hand.reference = IDLE, None
                if number is not None:
                    left -= 1
                    yield number, answer

    def _assign(
        self, method: str, errands: Mapping[int, Callable[[], tuple[Any, ...]]], queue: deque[int]
    ) -> None:
        """Give idle actors the next errands, and start actors for more."""
        for hand in self._hands:
            if hand.what == IDLE and queue:
                hand.number = queue.popleft()
                call = getattr(hand.actor, method)
                self._send(hand, method, call.remote(*errands[hand.number]()))
        starting = sum(hand.what in {START, LOAD} for hand in self._hands)
        for _ in range(min(self.size - len(self._hands), len(queue) - starting)):
            self._hands.append(self._start())

    def _start(self) -> _Hand:
        options = self._options
        actor = (
            self._ray.remote(self._kind)
            .options(
                num_cpus=options.num_cpus,
                num_gpus=options.num_gpus,
                resources=dict(options.resources or {}),
                scheduling_strategy="SPREAD",
                max_restarts=0,
                max_task_retries=0,
            )
            .remote()
        )
        return _Hand(actor, START, actor.hello.remote(), time.monotonic() + options.start_timeout)

    def _send(self, hand: _Hand, what: str, reference: Any) -> None:
        hand.what, hand.reference = what, reference
        hand.deadline = time.monotonic() + self._options.timeout

    def _wait(self) -> list[_Hand]:
        """Wait until there is news of some actors: an answer, or that there is none in time."""
        busy = {hand.reference: hand for hand in self._hands if hand.reference is not None}
        soonest = min(hand.deadline for hand in busy.values())
        left = max(soonest - time.monotonic(), 0.0)
        ready, _ = self._ray.wait(list(busy), num_returns=1, timeout=left)
        now = time.monotonic()
        late = [hand for hand in busy.values() if hand.deadline <= now]
        return [busy[reference] for reference in ready] or late

    def _answer(self, hand: _Hand) -> Any:
        exceptions = self._ray.exceptions
        try:
            return self._ray.get(hand.reference, timeout=0)
        except exceptions.GetTimeoutError:
            raise _Lost(f"it did not answer {hand.what!r} in time") from None
        except exceptions.RayTaskError as error:
            if isinstance(error.cause, exceptions.RayError):
                raise _Lost(in_short(error.cause)) from None
            raise error.cause from None
        except exceptions.RayError as error:
            raise _Lost(in_short(error)) from None

    def _give_up(self, hand: _Hand, reason: str, failures: Counter[int | None]) -> None:
        """End an actor; raise if there is no room for any, or an errand was lost too often."""
        self._ray.kill(hand.actor, no_restart=True)
        self._hands.remove(hand)
        if hand.what == START and "in time" in reason:
            if not self._hands:
                raise TimeoutError(
                    f"The cluster had no room for an actor within "
                    f"{self._options.start_timeout:g} s: each needs "
                    f"{needed(self._ray, self._options, 1)}; ask for less (num_cpus, "
                    f"num_gpus, resources), or for more time (start_timeout)."
                )
            self.size = len(self._hands)
            return
        self.n_lost += 1
        failures[hand.number] += 1
        if failures[hand.number] == ATTEMPTS:
            what = "An actor" if hand.number is None else f"Shard {hand.number}"
            raise ShardLostError(
                f"{what} was lost {ATTEMPTS} times, while it was at {hand.what!r}; the last time "
                f"because {reason}. Finished shards stay, and resume=True goes on with them."
            )
