"""A selection from a pool folder in a process of its own: seconds, bytes and resident memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.memory import _forget, memory_status


def measure(
    folder: Path, n: int, k: int, *, resident: int | None = None, limit: int | None = None
) -> dict[str, Any]:
    """Open the first rows of a pool and choose from them, in a new process.

    Parameters
    ----------
    folder : Path
        A pool folder.
    n, k : int
        How many rows, and how many picks.
    resident : int, default=None
        Bytes that the whole process may have resident: what Python and its libraries have is
        taken off, and the rest is the memory limit.
    limit : int, default=None
        The memory limit itself.
    """
    forget_files(folder)
    arguments = json.dumps([str(folder), n, k, resident, limit])
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.scale.disk", arguments],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def forget_files(folder: Path) -> None:
    """Have the system drop what it keeps of files, so that they are read from the disk."""
    for file in folder.rglob("*.npy"):
        number = os.open(file, os.O_RDONLY)
        os.fsync(number)
        os.posix_fadvise(number, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(number)


def read_once(folder: Path, n: int) -> dict[str, float]:
    """Time reading the first rows once, first from the disk and then from the system's cache."""
    import labelnext

    source = labelnext.open_pool(folder)[:n].source
    forget_files(folder)
    seconds = []
    for _ in range(2):
        start = time.perf_counter()
        for lo, hi in source.stretches():
            for part in ("proba", "features"):
                source.read(part, lo, hi)
        seconds.append(time.perf_counter() - start)
    return {"bytes": n * source.row_bytes, "cold": seconds[0], "warm": seconds[1]}


def _main(folder: str, n: int, k: int, resident: int | None, limit: int | None) -> None:
    import labelnext
    from labelnext.engine import open_gradients

    # Libraries do not grow with the pool: a first selection brings them in.
    rng = np.random.default_rng(0)
    proba = rng.dirichlet(np.ones(100), size=20_000).astype(np.float16)
    features = rng.random((20_000, 128)).astype(np.float16)
    labelnext.select(proba, features, 300, random_state=0)
    del proba, features
    _forget()
    before = memory_status("VmRSS")
    if resident is not None:
        limit = resident - before
    pool = labelnext.open_pool(folder)[:n]
    source = pool.source
    read_before, start = _read(), time.perf_counter()
    # The pool keeps what was read of it: the selection below does not open it again.
    open_gradients(pool, memory_limit=limit)
    opened, read_opened = time.perf_counter(), _read()
    passes: list[dict[str, float]] = []

    def note(stats: Any) -> None:
        if stats["passes"] > len(passes):
            seconds = time.perf_counter() - opened
            passes.append(
                {"picks": stats["picks"], "bytes_read": stats["bytes_read"], "seconds": seconds}
            )

    batch = labelnext.select(pool, k, random_state=0, progress=note, memory_limit=limit)
    print(
        json.dumps(
            {
                "n": n,
                "k": k,
                "row_bytes": source.row_bytes,
                "limit": limit,
                "before": before,
                "peak": memory_status("VmHWM"),
                "seconds_open": opened - start,
                "seconds_select": time.perf_counter() - opened,
                "read_open": read_opened - read_before,
                "read_select": _read() - read_opened,
                "passes": passes,
                "stats": dict(batch.stats),
                "last": batch.indices[-5:].tolist(),
            }
        )
    )


def _read() -> int:
    """Bytes that this process has asked the system for, from disk or cache, on Linux."""
    rows = Path("/proc/self/io").read_text().splitlines()
    return next(int(row.split()[1]) for row in rows if row.startswith("rchar"))


if __name__ == "__main__":
    _main(*json.loads(sys.argv[1]))
