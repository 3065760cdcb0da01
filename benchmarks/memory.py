"""Peak memory by the operating system's count, of one selection in a process of its own."""

from __future__ import annotations

import ctypes
import gc
import json
import platform
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

STATUS = Path("/proc/self/status")
RESET = Path("/proc/self/clear_refs")


def measure(pool: str, k: int, who: str = "labelnext") -> dict[str, Any]:
    """Run a selection in a new process and return what it used, in bytes."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.memory", pool, str(k), who],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    answer["allowed"] = int(1.1 * answer["inputs"] + 64 * answer["n"])
    answer["used"] = answer["peak"] - answer["before"]
    answer["reached"] = answer["used"] <= answer["allowed"]
    return answer


def _main(name: str, k: int, who: str) -> None:
    import labelnext
    from benchmarks.competitors import factored, skactiveml
    from benchmarks.pools import load_pool

    calls = {
        "labelnext": lambda p, h, k: labelnext.select(p, h, k, random_state=0),
        "factored": lambda p, h, k: factored(p, h, k, 0),
        "scikit-activeml": lambda p, h, k: skactiveml(p, h, k, 0),
    }
    select = calls[who]
    # Libraries and threads do not grow with the pool: first selections, from
    # features of both signs and sparse ones too, bring them in before counting starts.
    rng = np.random.default_rng(0)
    proba = rng.dirichlet(np.ones(10), size=20_000).astype(np.float32)
    features = rng.random((20_000, 256), dtype=np.float32)
    kinds = [features, features - np.float32(0.5)]
    if who != "scikit-activeml":
        kinds.append(sp.csr_array(features * (features > 0.7)))
    for warm in kinds:
        select(proba, warm, 500 if who == "labelnext" else 3)
    del proba, features, kinds, warm
    _forget()
    before = memory_status("VmRSS")
    pool = load_pool(name)
    # What reading a file needed for a moment is not the selection's.
    _forget()
    select(pool.proba, pool.features, k)
    print(
        json.dumps(
            {
                "pool": name,
                "k": k,
                "who": who,
                "n": len(pool),
                "inputs": pool.nbytes,
                "before": before,
                "peak": memory_status("VmHWM"),
            }
        )
    )


def _forget() -> None:
    """Give freed memory back to the system and start its count of the peak anew, on Linux."""
    gc.collect()
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)
    if RESET.is_file():
        RESET.write_text("5")


def memory_status(field: str) -> int:
    """Bytes now resident (VmRSS) or ever resident (VmHWM)."""
    if STATUS.is_file():
        line = next(row for row in STATUS.read_text().splitlines() if row.startswith(field))
        return int(line.split()[1]) * 1024
    # Without Linux's count of what is resident now, the most so far has to do for both; macOS
    # counts in bytes, others in KiB.
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


if __name__ == "__main__":
    _main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
