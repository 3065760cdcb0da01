"""`python -m benchmarks.strategies`: time and peak memory of query strategies on a large pool."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
import warnings
from functools import lru_cache
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from rich.console import Console
from rich.table import Table
from sklearn.linear_model import LogisticRegression

from benchmarks.machine import machine
from benchmarks.memory import memory_status
from benchmarks.quality.strategies import all_strategies
from labelnext import Pool, select
from labelnext.pool import RandomSampling

N_CLASSES, N_LABELED = 10, 1000
# What the project allows a strategy: bytes of a whole process, and "minutes at most".
MOST_BYTES, MOST_SECONDS = 2_000_000_000, 600


def main() -> None:
    """Run one strategy after the other, each in a process of its own, and show a table."""
    options = _options()
    if options.work:
        print(json.dumps(_query(options.work, options.n, options.d, options.batch)))
        return
    console, rows = Console(width=None if Console().is_terminal else 100), []
    for name in options.only or all_strategies():
        Console(stderr=True).log(name)
        measured = _on_device(name, options) if options.device else _measured(name, options)
        rows.append({"strategy": name} | measured)
    rows.sort(key=lambda row: row.get("seconds", np.inf))
    table = Table(
        "strategy",
        "seconds",
        "peak, MB",
        title=f"{options.batch} of {options.n:,} samples with {options.d} features",
    )
    for row in rows:
        if "error" in row:
            table.add_row(row["strategy"], f"[red]{row['error']}[/]", "")
        else:
            peak = f"{row['peak'] / 1e6:,.0f}"
            table.add_row(
                row["strategy"],
                f"{row['seconds']:.2f}" if options.device else f"{row['seconds']:.1f}",
                peak if row["peak"] <= MOST_BYTES else f"[red]{peak}[/]",
            )
    console.print(table)
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / "strategies.json"
    path.write_text(json.dumps({"machine": machine(options), "rows": rows}, indent=1))
    console.print(f"written: {path}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.strategies", description=__doc__)
    parser.add_argument("--n", type=int, default=100_000, help="samples of the pool")
    parser.add_argument("--d", type=int, default=512, help="features of each")
    parser.add_argument("--batch", type=int, default=100, help="samples to choose")
    parser.add_argument("--only", nargs="+", choices=list(all_strategies()), metavar="STRATEGY")
    parser.add_argument("--out", type=Path, default=Path(".benchmarks/results"))
    parser.add_argument("--device", help="where the pool is as tensors, such as cuda")
    parser.add_argument("--work", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.threads, options.quick = joblib.cpu_count(), False
    return options


def _measured(name: str, options: argparse.Namespace) -> dict[str, Any]:
    sizes = (f"--n={options.n}", f"--d={options.d}", f"--batch={options.batch}")
    command = [sys.executable, "-m", "benchmarks.strategies", "--work", name, *sizes]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=2 * MOST_SECONDS
        )
    except subprocess.TimeoutExpired:
        return {"error": f"over {2 * MOST_SECONDS} s"}
    except subprocess.CalledProcessError as error:
        return {"error": error.stderr.strip().splitlines()[-1]}
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _query(name: str, n: int, d: int, batch: int) -> dict[str, float]:
    """Choose a batch once for what is loaded at first use, and then from the pool."""
    strategy = all_strategies()[name]
    seconds = 0.0
    for n_samples in (2000, n):
        X, y = _pool(n_samples, d)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            clf = LogisticRegression(max_iter=100).fit(X[:N_LABELED], y[:N_LABELED])
            begin = time.perf_counter()
            asked = () if isinstance(strategy, RandomSampling) else (clf, False)
            picks = strategy.query(X, y, *asked, batch_size=batch)
        seconds = time.perf_counter() - begin
        assert len(np.unique(picks)) == batch
    return {"seconds": seconds, "peak": memory_status("VmHWM"), "inputs": X.nbytes}


def _on_device(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """As `_query`, by `select` from tensors on a device, in this process: the median of three."""
    import torch

    on_cuda = torch.device(options.device).type == "cuda"
    try:
        chosen, seconds = all_strategies()[name], []
        # What the runner wraps it in asks a classifier, which is not needed here.
        strategy = getattr(chosen, "strategy", chosen)
        for n in (2000, options.n, options.n, options.n):
            X, y = _pool(n, options.d)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                clf = LogisticRegression(max_iter=100).fit(X[:N_LABELED], y[:N_LABELED])
            pool = Pool(clf.predict_proba(X), X, labels=y, last_layer=(clf.coef_, clf.intercept_))
            pool = pool.to(options.device)
            if on_cuda:
                torch.cuda.reset_peak_memory_stats()
            begin = time.perf_counter()
            batch = select(pool, options.batch, strategy=strategy, random_state=0)
            seconds.append(time.perf_counter() - begin)
            assert len(np.unique(batch.indices)) == options.batch
        peak = torch.cuda.max_memory_allocated() if on_cuda else memory_status("VmHWM")
    except Exception as error:
        return {"error": str(error).splitlines()[0][:100]}
    return {"seconds": float(np.median(seconds[1:])), "peak": peak, "inputs": X.nbytes}


@lru_cache(maxsize=2)
def _pool(n: int, d: int) -> tuple[np.ndarray, np.ndarray]:
    """Return overlapping clusters of a few samples of the unit sphere; the first have labels."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(N_CLASSES * 5, d)).astype(np.float32)
    kinds = rng.integers(len(centres), size=n)
    X = rng.standard_normal(size=(n, d), dtype=np.float32)
    X *= 3.0
    for lo in range(0, n, 5000):
        X[lo : lo + 5000] += centres[kinds[lo : lo + 5000]]
    X /= np.sqrt(np.einsum("ij,ij->i", X, X))[:, None]
    y = np.where(np.arange(n) < N_LABELED, kinds % N_CLASSES, np.nan)
    return X, y


if __name__ == "__main__":
    main()
