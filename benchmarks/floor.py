"""The floor: how long it takes to read both factors once from memory."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.pools import Pool

# Values read at a time: few enough that a copy stays in the cache of a core and only reads
# memory, so many that calls cost nothing.
BLOCK = 131_072


def read_once(pool: Pool, threads: int) -> float:
    """Time one reading, the fastest of three kinds: sum, maximum, and copy into cache."""
    features = [pool.features.data] if sp.issparse(pool.features) else [pool.features]
    flat = [part.reshape(-1) for part in (pool.proba, *features)]
    return min(_timed(read, flat, threads) for read in (_sum, _maximum, _copy))


def _sum(part: np.ndarray) -> None:
    for lo in range(0, len(part), BLOCK):
        part[lo : lo + BLOCK].sum()


def _maximum(part: np.ndarray) -> None:
    for lo in range(0, len(part), BLOCK):
        part[lo : lo + BLOCK].max()


def _copy(part: np.ndarray) -> None:
    cache = np.empty(BLOCK, dtype=part.dtype)
    for lo in range(0, len(part), BLOCK):
        block = part[lo : lo + BLOCK]
        np.copyto(cache[: len(block)], block)


def _timed(read: Callable[[np.ndarray], None], arrays: list[np.ndarray], threads: int) -> float:
    # An equal share of each array for every thread.
    shares = [part for array in arrays for part in np.array_split(array, threads)]
    with ThreadPoolExecutor(threads) as executor:
        start = time.perf_counter()
        list(executor.map(read, shares))
        return time.perf_counter() - start
