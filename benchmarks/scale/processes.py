"""Shards in plain processes: what goes through the hands of whoever chooses the batch."""

from __future__ import annotations

import pickle
import time
from contextlib import contextmanager
from itertools import pairwise
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

import numpy as np

from labelnext.engine import ShardedGradients
from labelnext.engine._shards import Shard, Shards

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from multiprocessing.connection import Connection
    from pathlib import Path


class ProcessShards(Shards):
    """Parts in processes of this machine, which are spoken to through pipes.

    What is counted is what goes through the pipes, pickled.
    """

    def __init__(self, pipes: list[Connection]) -> None:
        super().__init__()
        self.pipes, self.n_shards = pipes, len(pipes)
        self.messages = self.sent = self.received = self.rounds = 0
        self.waited = 0.0

    def begin(self, journal: Any) -> Shards:
        """Return these shards: nothing is lost here."""
        return self

    def _call(
        self, method: str, arguments: Mapping[int, tuple[Any, ...]], shared: Any
    ) -> dict[int, Any]:
        first = () if shared is None else (shared,)
        start = time.perf_counter()
        for number, rest in arguments.items():
            message = pickle.dumps((method, (*first, *rest)), protocol=5)
            self.sent += len(message)
            self.pipes[number].send_bytes(message)
        answers = {}
        for number in arguments:
            message = self.pipes[number].recv_bytes()
            self.received += len(message)
            answers[number] = pickle.loads(message)
        self.messages += len(arguments)
        self.rounds += 1
        self.waited += time.perf_counter() - start
        return answers


def _serve(pipe: Connection, folder: str, lo: int, hi: int) -> None:
    """Be one shard: read its rows, and answer until the pipe is closed."""
    import labelnext
    from labelnext.engine import as_gradients

    rows = labelnext.open_pool(folder)[lo:hi]
    shard = Shard(as_gradients(rows.read("proba"), rows.read("features")), lo)
    while True:
        try:
            method, arguments = pickle.loads(pipe.recv_bytes())
        except EOFError:
            return
        pipe.send_bytes(pickle.dumps(getattr(shard, method)(*arguments), protocol=5))


@contextmanager
def process_shards(folder: Path, n: int, shards: int) -> Iterator[ProcessShards]:
    """Start processes for the shards of the first rows of a pool."""
    context = get_context("spawn")
    cuts = np.linspace(0, n, shards + 1).astype(int).tolist()
    pipes, processes = [], []
    for lo, hi in pairwise(cuts):
        here, there = context.Pipe()
        process = context.Process(target=_serve, args=(there, str(folder), lo, hi), daemon=True)
        process.start()
        there.close()
        pipes.append(here)
        processes.append(process)
    try:
        yield ProcessShards(pipes)
    finally:
        for pipe in pipes:
            pipe.close()
        for process in processes:
            process.join()


def measure(folder: Path, n: int, k: int, shards: int) -> dict[str, Any]:
    """Choose a batch from shards and return what the driver sent, received and waited for."""
    from labelnext.sampling import d2_sample

    with process_shards(folder, n, shards) as there:
        pool = ShardedGradients(there)
        d2_sample(pool, k, random_state=1)  # libraries are loaded, in each process
        before = vars(there).copy()
        start = time.perf_counter()
        batch = d2_sample(pool, k, random_state=0)
        seconds = time.perf_counter() - start
        counted = {
            name: vars(there)[name] - before[name]
            for name in ("messages", "rounds", "sent", "received", "waited")
        }
    return {
        "n": n,
        "k": k,
        "shards": shards,
        "seconds": seconds,
        "last": batch.indices[-5:].tolist(),
        "stats": dict(batch.stats),
        **counted,
    }
