"""A pool in shards on a Ray cluster, each in an actor, and rebuilt where it is lost."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from labelnext.cluster.actors import Actor, Actors, Call, Task, room
from labelnext.cluster.session import Ray, joined
from labelnext.engine._factors import StoredRows
from labelnext.engine._open import open_gradients
from labelnext.engine._sharded import ShardedGradients
from labelnext.engine._shards import Shard, Shards
from labelnext.pools.pool import Pool
from labelnext.utils.libraries import is_sparse, require

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from labelnext.engine._factors import Ints
    from labelnext.engine._shards import Journal

# Seconds in which a shard must have been read, and a pass be made.
TIMEOUT = 600.0


@contextmanager
def ray_pool(
    pool: Pool, cluster: Ray | None = None, *, memory_limit: int | str | None = None
) -> Iterator[ShardedGradients]:
    """Have a pool in shards on a Ray cluster; they end with the context.

    One selection at a time can be made from it. ``shards.counters()`` has what that took, for
    `Batch.stats`. Of a pool in files each shard reads its own rows, within a memory limit of its
    own.
    """
    cluster = cluster or Ray()
    with joined(cluster.address) as ray:
        shards = RayShards(ray, pool, cluster, memory_limit)
        try:
            yield ShardedGradients(shards)
        finally:
            shards.actors.close()


class RayShards(Shards):
    """Shards of a pool in actors on a Ray cluster.

    **What is lost is rebuilt**, as `labelnext.cluster.actors.Actors` says: a new actor reads the
    same rows and makes one pass with all centres so far; then the call is repeated. D² is a pure
    function of the rows and the centres, so the batch is that of a run that nobody disturbed. What
    ends the run is the loss of the process that chooses the batch, or of the cluster's head.
    """

    def __init__(
        self, ray: Any, pool: Pool, cluster: Ray, memory_limit: int | str | None = None
    ) -> None:
        super().__init__()
        if pool.source.device != "cpu":
            raise TypeError(
                f"Shards on a cluster are cut of arrays, files and Ray Data sets, not of tensors "
                f"on {pool.source.device}; fetch them by .cpu(), and ask for GPUs with num_gpus=1."
            )
        if pool.source.sparse and cluster.num_gpus:
            raise TypeError(
                "Sparse features stay on the CPU; leave out num_gpus, or make them dense."
            )
        n_rows = pool.n_rows
        self.n_shards = cluster.num_shards or room(ray, cluster, n_rows)
        if self.n_shards > n_rows:
            raise ValueError(
                f"num_shards must be at most the number of rows, {n_rows:,}, got {self.n_shards:,}."
            )
        self.pool, self.how = pool, (cluster.num_gpus > 0, memory_limit)
        self.cuts = cuts(pool, self.n_shards).tolist()
        self.journal: Journal | None = None
        self.actors = Actors(
            ray,
            ShardActor,
            cluster,
            self.n_shards,
            timeout=TIMEOUT,
            set_up=self._set_up,
            name=self._name,
        )

    def counters(self) -> dict[str, int]:
        """Return what calls took so far, for `Batch.stats`."""
        restarts = self.actors.n_restarts
        return {"shards": self.n_shards, **asdict(self.traffic), "restarts": restarts}

    def begin(self, journal: Journal) -> RayShards:
        """Begin a selection; one that was under way can not go on."""
        self.journal = journal
        return self

    def _call(
        self, method: str, arguments: Mapping[int, tuple[Any, ...]], shared: Any
    ) -> dict[int, Any]:
        # Put once; each node fetches it once.
        reference = None if shared is None else self.actors.ray.put(shared)

        def call(number: int) -> Call:
            return Call("do", (method, reference, arguments[number]))

        return dict(self.actors.run(Task(i, partial(call, i), place=i) for i in arguments))

    def _set_up(self, number: int) -> Iterator[Call]:
        """Yield the calls that bring a new actor to where the one before it was."""
        lo, hi = self.cuts[number : number + 2]
        yield Call("load", (self.pool.part(lo, hi), lo, *self.how))
        if self.journal is not None:
            for method, arguments in self.journal.calls(lo, hi):
                yield Call("do", (method, None, arguments))

    def _name(self, number: int) -> str:
        lo, hi = self.cuts[number : number + 2]
        source = self.pool.source
        first = "" if source.in_memory else f", from {source.where(lo)} on"
        return (
            f"shard {number} of {self.n_shards} (rows {lo:,} to {hi - 1:,} of {source.name}{first})"
        )


def cuts(pool: Pool, n_shards: int) -> Ints:
    """Return where shards begin, and where the last ends: where files do, if that is about even."""
    even = np.linspace(0, pool.n_rows, n_shards + 1).astype(np.int64)
    known = pool.source.cuts
    # Where stretches are read whole, nobody wants to read one twice.
    near = known[np.abs(known[None, :] - even[:, None]).argmin(axis=1)]
    return near if (np.diff(near) > 0).all() else even


class ShardActor(Actor):
    """A shard of a pool in a process of its own."""

    shard: Shard

    def load(self, pool: Pool, first_row: int, on_gpu: bool, memory_limit: Any) -> None:
        """Open the shard's rows, or read them onto the GPU that the process was given."""
        if on_gpu:
            pool = _on_gpu(pool)
        self.shard = Shard(open_gradients(pool, memory_limit=memory_limit), first_row)

    def do(self, method: str, shared: Any, arguments: tuple[Any, ...]) -> Any:
        """Call a method of the shard; `shared` is a first argument that all have."""
        first = () if shared is None else (_own(shared),)
        return getattr(self.shard, method)(*first, *map(_own, arguments))


def _own(value: Any) -> Any:
    """Return a copy of rows and arrays: what Ray hands over may not be written to."""
    if isinstance(value, StoredRows):
        return StoredRows(*map(_own, value))
    return value.copy() if isinstance(value, np.ndarray) or is_sparse(value) else value


def _on_gpu(pool: Pool) -> Pool:
    torch: Any = require("torch", extra="torch", what="num_gpus")
    source = pool.source
    parts = {part: torch.as_tensor(np.array(source.array(part))).cuda() for part in source.parts}
    if source.stored_as is not None:
        parts["proba"] = parts["proba"].to(getattr(torch, source.stored_as))
    return Pool(**parts, task=pool.task, bias=pool.bias)
