"""Shards in Ray actors: calls that are repeated until they are answered, or cannot be."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from labelnext.engine._parts import Parts
from labelnext.engine.ray_room import in_short, needed, room

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from labelnext.cluster.options import RayOptions
    from labelnext.engine._parts import Journal
    from labelnext.engine._ray_origins import Origin

# How often one call is tried, each time in a new actor, and the seconds before the second time.
ATTEMPTS, PAUSE = 5, 0.2


class ShardLostError(RuntimeError):
    """A shard of a pool was lost, and could not be built again.

    Examples
    --------
    >>> from labelnext.engine.ray import ShardLostError
    >>> issubclass(ShardLostError, RuntimeError)
    True
    """


class _Lost(Exception):  # noqa: N818
    """One attempt has failed; the message says why."""


@dataclass
class Shard:
    """What the driver knows of one shard."""

    number: int
    lo: int
    hi: int
    actor: Any = None
    pid: int | None = None
    node: str | None = None
    has_been_read: bool = False
    squeezed: bool = False
    """Whether its actor is to be started where there is no core free for it."""

    patience: int = 1
    """How many times `start_timeout` to wait for its next actor to start."""


# A step of an errand: what is being done, the reference of its answer, and seconds to wait for it.
Step = tuple[str, Any, float]


@dataclass
class _Errand:
    """One call of one shard on its way, with all that is needed before it."""

    shard: Shard
    steps: Generator[Step, Any, Any]
    failures: list[str] = field(default_factory=list)
    what: str = ""
    reference: Any = None
    deadline: float = 0.0
    not_before: float = 0.0


class RayParts(Parts):
    """Parts of a pool in Ray actors.

    **What is lost is built again.** An actor whose process or node has died, or that has not
    answered for `RayOptions.timeout` seconds, is given up. A new one is started wherever there is
    room, reads the same rows, and makes one pass with all centres so far; then the call is
    repeated. D² is a pure function of the rows and the centres, so the batch is that of a run
    that nobody disturbed. After `ATTEMPTS` failures of one call `ShardLostError` names the shard,
    its rows and where they come from. Each attempt ends within `start_timeout` (twice as much after
    each time that it was not enough) and `timeout` for each of: reading, each pass that is repeated
    (one for 4,096 centres), and the call.

    What ends the run is the loss of the process that chooses the batch, or of the cluster's head.

    Parameters
    ----------
    ray : module
        The module ``ray``, on a cluster.
    origin : Origin
        The pool.
    options : RayOptions
        How many shards, what each may take, and how long to wait.

    Raises
    ------
    ValueError
        If there are more shards than rows.
    """

    def __init__(self, ray: Any, origin: Origin, options: RayOptions) -> None:
        super().__init__()
        self.ray, self.origin, self.options = ray, origin, options
        self.n_restarts = 0
        self.n_parts = options.num_shards or room(ray, options, origin.n_rows)
        if self.n_parts > origin.n_rows:
            raise ValueError(
                f"num_shards must be at most the number of rows, {origin.n_rows:,}, got "
                f"{self.n_parts:,}."
            )
        cuts = origin.cuts(self.n_parts).tolist()
        self.shards = [Shard(i, cuts[i], cuts[i + 1]) for i in range(self.n_parts)]
        self.journal: Journal | None = None

    def counters(self) -> dict[str, int]:
        """Return what calls took so far, for `Batch.stats`."""
        return {"shards": self.n_parts, **asdict(self.traffic), "restarts": self.n_restarts}

    def begin(self, journal: Journal) -> RayParts:
        """Begin a selection; one that was under way can not go on."""
        self.journal = journal
        return self

    def close(self) -> None:
        """End all actors."""
        for shard in self.shards:
            self._end(shard)

    def _end(self, shard: Shard) -> None:
        if shard.actor is not None:
            self.ray.kill(shard.actor, no_restart=True)
        shard.actor = shard.pid = shard.node = None

    def _call(
        self, method: str, arguments: Mapping[int, tuple[Any, ...]], shared: Any
    ) -> dict[int, Any]:
        # Put once; each node fetches it once.
        reference = None if shared is None else self.ray.put(shared)

        def steps(i: int) -> Generator[Step, Any, Any]:
            return self._steps(self.shards[i], method, reference, arguments[i])

        answers: dict[int, Any] = {}
        errands = [_Errand(self.shards[i], steps(i)) for i in arguments]
        for errand in errands:
            self._advance(errand, None)
        while errands:
            for errand in self._wait(errands):
                try:
                    self._advance(errand, self._answer(errand))
                except StopIteration as end:
                    answers[errand.shard.number] = end.value
                    errands.remove(errand)
                except _Lost as reason:
                    self._give_up(errand, str(reason))
                    errand.steps = steps(errand.shard.number)
                    self._advance(errand, None)
        return answers

    def _steps(
        self, shard: Shard, method: str, shared: Any, arguments: tuple[Any, ...]
    ) -> Generator[Step, Any, Any]:
        """Start the shard's actor, if it has none, and bring it to where it was; then call it."""
        timeout = self.options.timeout
        if shard.actor is None:
            shard.actor = self._actor(shard)
            threads = max(1, int(self.options.num_cpus))
            hello = shard.actor.hello.remote(threads)
            seconds = self.options.start_timeout * shard.patience
            shard.pid, shard.node = yield "start", hello, seconds
            shard.patience = 1
            origin = self.origin
            piece = self.ray.put(origin.piece(shard.lo, shard.hi))
            how = self.options.num_gpus > 0, self.options.memory_limit
            about = origin.bias, origin.task, origin.stored_as, *how
            yield "read", shard.actor.load.remote(piece, shard.lo, *about), timeout
            del piece
            shard.has_been_read = True
            if self.journal is not None and method != "start":
                for name, given in self.journal.calls(shard.lo, shard.hi):
                    yield name, shard.actor.do.remote(name, None, given), timeout
        answer = yield method, shard.actor.do.remote(method, shared, arguments), timeout
        return answer

    def _actor(self, shard: Shard) -> Any:
        from labelnext.engine._ray_actor import ShardActor

        options = self.options
        return (
            self.ray.remote(ShardActor)
            .options(
                num_cpus=0 if shard.squeezed else options.num_cpus,
                num_gpus=options.num_gpus,
                resources=dict(options.resources or {}),
                scheduling_strategy="SPREAD",
                max_restarts=0,
                max_task_retries=0,
            )
            .remote()
        )

    def _advance(self, errand: _Errand, answer: Any) -> None:
        """Take the next step, or end with StopIteration that holds the answer."""
        errand.what, errand.reference, seconds = errand.steps.send(answer)
        errand.deadline = time.monotonic() + seconds

    def _wait(self, errands: list[_Errand]) -> list[_Errand]:
        """Wait until there is news of some errands: an answer, or that there is none in time."""
        by_reference = {errand.reference: errand for errand in errands}
        soonest = min(errand.deadline for errand in errands)
        references, left = list(by_reference), max(soonest - time.monotonic(), 0.0)
        ready, _ = self.ray.wait(references, num_returns=1, timeout=left)
        if ready:
            ready, _ = self.ray.wait(references, num_returns=len(references), timeout=0)
            return [by_reference[reference] for reference in ready]
        now = time.monotonic()
        return [errand for errand in errands if errand.deadline <= now]

    def _answer(self, errand: _Errand) -> Any:
        """Return the answer of an errand's step; _Lost if its actor is."""
        exceptions = self.ray.exceptions
        try:
            return self.ray.get(errand.reference, timeout=0 if self._late(errand) else None)
        except exceptions.GetTimeoutError:
            if errand.what == "start":
                self._refuse_to_wait(errand.shard)
            seconds = self.options.timeout
            raise _Lost(f"it did not answer {errand.what!r} within {seconds:g} s") from None
        except exceptions.RayTaskError as error:
            cause = error.cause
            if isinstance(cause, exceptions.RayError):
                raise _Lost(in_short(cause)) from None
            if errand.what == "read" and errand.shard.has_been_read and isinstance(cause, OSError):
                raise _Lost(f"its rows cannot be read: {in_short(cause)}") from None
            cause.add_note(f"In shard {self._describe(errand.shard)}.")
            raise cause from None
        except exceptions.RayError as error:
            raise _Lost(in_short(error)) from None

    def _late(self, errand: _Errand) -> bool:
        return errand.deadline <= time.monotonic()

    def _describe(self, shard: Shard) -> str:
        rows = self.origin.describe(shard.lo, shard.hi)
        return f"{shard.number} of {self.n_parts} ({rows})"

    def _refuse_to_wait(self, shard: Shard) -> None:
        """Say that the cluster is too small; a shard that is started again squeezes in."""
        options = self.options
        if shard.has_been_read:
            shard.squeezed = not (options.num_gpus or options.resources)
            shard.patience *= 2
            raise _Lost("there was no room for it on the cluster, or its process did not start")
        table = needed(self.ray, options, self.n_parts)
        raise TimeoutError(
            f"The cluster had no room for shard {shard.number} within {options.start_timeout:g} s: "
            f"{self.n_parts} shards need {table}; ask for fewer shards or less for each "
            f"(num_shards, num_cpus, num_gpus, resources), or for more time (start_timeout)."
        )

    def _give_up(self, errand: _Errand, reason: str) -> None:
        """End a shard's actor, unless there were too many already."""
        shard = errand.shard
        self._end(shard)
        self.n_restarts += 1
        errand.failures.append(reason)
        if len(errand.failures) == ATTEMPTS:
            raise ShardLostError(
                f"Shard {self._describe(shard)} was lost and could not be built again in "
                f"{ATTEMPTS} attempts; the last failed because {reason}."
            )
        time.sleep(PAUSE * (len(errand.failures) - 1))
