"""Time against k and against n, and the exponents of both."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

import numpy as np

import labelnext
from benchmarks.competitors import factored
from benchmarks.floor import read_once
from benchmarks.pools import load_pool, synthetic_name
from benchmarks.timing import extrapolated, seconds

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.pools import Pool


def against_k(pool_name: str, ks: list[int], repeats: int, threads: int) -> dict[str, Any]:
    """Time batches of many sizes from one pool, in turns."""
    pool = load_pool(pool_name)
    _select(pool, 100, 0)
    times: dict[int, list[float]] = {k: [] for k in ks}
    per_pick, floor = [], []
    for seed in range(repeats):
        for k in ks:
            times[k].append(seconds(lambda seed, k=k: _select(pool, k, seed), seed))
        per_pick.append(_factored(pool, 1_000)(seed) / 1_000)
        floor.append(read_once(pool, threads))
    medians = [statistics.median(times[k]) for k in ks]
    return {
        "pool": pool_name,
        "k": ks,
        "seconds": medians,
        "factored_seconds": [k * statistics.median(per_pick) for k in ks],
        "floor_seconds": statistics.median(floor),
        "exponent": exponent(ks, medians),
        "stats": dict(_select(pool, ks[-1], 0).stats),
    }


def against_n(
    ns: list[int], k: int, repeats: int, threads: int, n_features: int = 512, n_classes: int = 10
) -> dict[str, Any]:
    """Time batches of one size from pools of many sizes."""
    seconds_ours, seconds_factored, floor = [], [], []
    for n in ns:
        pool = load_pool(synthetic_name(n, n_features, n_classes))
        _select(pool, 100, 0)
        runs = [
            (
                seconds(lambda seed: _select(pool, k, seed), seed),  # noqa: B023  (called here)
                _factored(pool, k)(seed),
                read_once(pool, threads),
            )
            for seed in range(repeats)
        ]
        ours, theirs, read = (statistics.median(column) for column in zip(*runs, strict=True))
        seconds_ours.append(ours)
        seconds_factored.append(theirs)
        floor.append(read)
    return {
        "k": k,
        "n": ns,
        "n_features": n_features,
        "n_classes": n_classes,
        "seconds": seconds_ours,
        "factored_seconds": seconds_factored,
        "floor_seconds": floor,
        "exponent": exponent(ns, seconds_ours),
    }


def exponent(sizes: list[int], times: list[float]) -> float:
    """Fit t = c·sizeᵉ by least squares of the logarithms and return e."""
    return float(np.polyfit(np.log(sizes), np.log(times), 1)[0])


def _select(pool: Pool, k: int, seed: int) -> labelnext.Batch:
    return labelnext.select(pool.proba, pool.features, k, random_state=seed)


def _factored(pool: Pool, k: int) -> Callable[[int], float]:
    def timer(k: int, seed: int) -> float:
        return seconds(lambda seed: factored(pool.proba, pool.features, k, seed), seed)

    return extrapolated(timer, k, 5, 55)
