"""Pools on a small Ray cluster, and accidents that befall them."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import pools
from labelnext.cluster import Ray
from labelnext.cluster import session as _session
from labelnext.engine import open_gradients
from labelnext.engine.ray import ray_pool
from labelnext.pools import Pool
from labelnext.pools.files import LocalFiles
from labelnext.sampling import d2_sample
from labelnext.utils.random import as_generator

# A small object store, no dashboard, and no line on the terminal.
SMALL = {
    "object_store_memory": 100 << 20,
    "include_dashboard": False,
    "logging_level": "ERROR",
    "log_to_driver": False,
}
ROOT = Path(__file__).parents[1]
PATH = f"{ROOT / 'src'}:{ROOT / 'tests'}"
# A rounding more or less in a total moves no ticket far enough to matter.
CLOSE = {"rtol": 1e-9, "atol": 1e-300}
K, EXCLUDE = 500, np.arange(3, 3000, 50)


def slow_but(values, *quick):
    """Parameters of which all but some are slow: seconds each, for the same kind of fault."""
    slow = [pytest.param(value, marks=pytest.mark.slow) for value in values if value not in quick]
    return [*quick, *slow]


@cache
def arrays():
    return pools.confident(3000, n_classes=5, n_features=12, seed=3)


@cache
def undisturbed(seed):
    """The batch of one machine."""
    return choose(open_gradients(Pool(*arrays())), seed)


def choose(pool, seed, progress=None):
    rng = as_generator(seed, 3000 - len(EXCLUDE))
    return d2_sample(pool, K, exclude=EXCLUDE, random_state=rng, progress=progress)


@contextmanager
def environment():
    """What a cluster is started with: no word to anybody, no file at home, and these modules."""
    with _session._settings():
        os.environ["RAY_AUTH_TOKEN"] = _session._token()
        path = os.environ.get("PYTHONPATH")
        os.environ["PYTHONPATH"] = PATH
        try:
            yield
        finally:
            os.environ.pop("PYTHONPATH")
            if path is not None:
                os.environ["PYTHONPATH"] = path


@contextmanager
def started():
    """A cluster on this machine with room for many shards."""
    import ray

    with environment():
        ray.init("local", num_cpus=16, **SMALL)
        try:
            yield ray
        finally:
            ray.shutdown()


def in_shards(num_shards=3, pool=None, **options):
    """A pool in shards on the cluster that this process is on."""
    cluster = Ray(num_shards=num_shards, **{"num_cpus": 0.1, **options})
    return ray_pool(Pool(*arrays()) if pool is None else pool, cluster)


def same(batch, other):
    np.testing.assert_array_equal(batch.indices, other.indices)
    np.testing.assert_array_equal(batch.pseudo_labels, other.pseudo_labels)
    np.testing.assert_allclose(batch.d2, other.d2, **CLOSE)
    np.testing.assert_allclose(batch.potentials, other.potentials, **CLOSE)


def kill(pool, number):
    """Kill the process of a shard, if it has one just now."""
    pid = pool.shards.actors.places[number].pid
    if pid is None:
        return False
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


@contextmanager
def killer(pool, seed, longest=0.6, most=4):
    """Kill one shard after another at random moments, from another thread.

    At most as often as one call may fail: all kills might meet the same.
    """
    rng, over, killed = random.Random(seed), threading.Event(), []

    def work():
        while len(killed) < most and not over.wait(rng.uniform(0, longest)):
            number = rng.randrange(pool.shards.n_shards)
            if kill(pool, number):
                killed.append((number, time.monotonic()))

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield killed
    finally:
        over.set()
        thread.join()


def run(script, home=None, **environment):
    """Run Python in a process of its own, in which nothing is known of this one's cluster."""
    known = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
    known["PYTHONPATH"] = PATH
    if "RAY_AUTH_TOKEN" in os.environ and home is not None:
        known |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": os.environ["RAY_AUTH_TOKEN"]}
    if home is not None:
        known["HOME"] = str(home)
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        capture_output=True,
        check=False,
        text=True,
        env={**known, **environment},
        timeout=120,
    )


def settled(ray):
    """What of the cluster is free, once it no longer changes."""
    last = None
    for _ in range(40):
        now = ray.available_resources()
        if now == last and now.get("CPU") == ray.cluster_resources()["CPU"]:
            break
        last = now
        time.sleep(0.25)
    return {name: value for name, value in now.items() if name != "memory"}


def processes_that_mention(text):
    """The command lines of processes in which a text occurs."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if text in line:
            found.append(line)
    return found


def bytes_read(monkeypatch):
    """Count the bytes that this process, not actors, reads of files of pools, less manifests."""
    counts = []
    read_many = LocalFiles.read_many

    def counted(files, path, offsets, spots, buffer):
        if not path.endswith(".json"):
            counts.append(sum(b - a for a, b in spots))
        return read_many(files, path, offsets, spots, buffer)

    monkeypatch.setattr(LocalFiles, "read_many", counted)
    return counts
