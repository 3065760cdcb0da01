"""Two shards on Ray against the same pool in memory, in turns."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from benchmarks.timing import alternate

if TYPE_CHECKING:
    from pathlib import Path

# What is allowed once actors are up.
ALLOWED = 1.3


def measure(folder: Path, n: int, k: int, repeats: int, shards: int = 2) -> dict[str, Any]:
    """Time selections of both kinds, with the same seeds, and see that the batches are the same.

    Parameters
    ----------
    folder : Path
        A pool folder.
    n, k : int
        How many of its rows, and how many picks.
    repeats : int
        How many pairs.
    shards : int
        How many shards, each on one core.
    """
    import labelnext
    from labelnext.engine import as_gradients
    from labelnext.engine.ray import ray_pool
    from labelnext.sampling import d2_sample

    files = labelnext.open_pool(folder)[:n]
    memory = as_gradients(files.read("proba"), files.read("features"))
    cluster = labelnext.Ray(address="local", num_shards=shards)
    start = time.perf_counter()
    with ray_pool(files, cluster) as there:
        up = time.perf_counter() - start
        batches: dict[tuple[str, int], Any] = {}

        def timer(name: str, pool: Any) -> Any:
            def run(seed: int) -> float:
                begun = time.perf_counter()
                batches[name, seed] = d2_sample(pool, k, random_state=seed)
                return time.perf_counter() - begun

            return run

        ours, theirs = timer("memory", memory), timer("ray", there)
        ours(0), theirs(0)  # libraries are loaded, in each process
        before = vars(there.shards.traffic).copy()
        pairs = alternate(ours, theirs, repeats)
        traffic = {
            name: (value - before[name]) / repeats
            for name, value in vars(there.shards.traffic).items()
        }
        latency, message = _latency(there.shards)
    same = all(
        batches["memory", seed].indices.tolist() == batches["ray", seed].indices.tolist()
        for seed in range(repeats)
    )
    return {
        "n": n,
        "k": k,
        "shards": shards,
        "seconds_up": up,
        "same_batches": same,
        "traffic": traffic,
        "latency": latency,
        "message": message,
        "allowed": ALLOWED,
        "reached": pairs.ratio <= ALLOWED,
        "stats": dict(batches["memory", 0].stats),
        **pairs.as_dict(),
    }


def _latency(shards: Any, repeats: int = 300) -> tuple[float, float]:
    """Seconds of a small call of one shard and its answer, and what each further shard adds."""

    def each(some: range) -> float:
        start = time.perf_counter()
        for _ in range(repeats):
            shards.call("about", dict.fromkeys(some, ()))
        return (time.perf_counter() - start) / repeats

    one, all_of_them = each(range(1)), each(range(shards.n_shards))
    return one, max(0.0, all_of_them - one) / max(1, shards.n_shards - 1)
