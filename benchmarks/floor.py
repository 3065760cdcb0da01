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

# Values read at a time: a block fits the cache of a core, so that a copy only reads memory.
BLOCK = 32_768


def read_once(pool: Pool, threads: int) -> float:
    """Time one reading, the faster of two kinds: summing, and copying into cache."""
    features = [pool.features.data] if sp.issparse(pool.features) else [pool.features]
    flat = [part.reshape(-1) for part in (pool.proba, *features)]
    return min(_timed(_sum, flat, threads), _timed(_copy, flat, threads))


def _sum(part: np.ndarray) -> None:
    for lo in range(0, len(part), BLOCK):
        part[lo : lo + BLOCK].sum()


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
