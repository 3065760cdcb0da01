"""Memory of pools in files, by the operating system's count in a process of its own."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import labelnext
import pools
from labelnext.engine._rows import FactorsInFiles
from labelnext.engine.memory_limit import least_limit
from labelnext.pools import PoolWriter, open_source

STATUS = Path("/proc/self/status")

MEASURE = """
import re, sys
from pathlib import Path
import labelnext
from labelnext.engine import open_gradients
from labelnext.pools import Pool, open_source

def kilobytes(name):
    return int(re.search(name + r":\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

def choose(path):
    pool = Pool.of(open_source(path))
    batch = labelnext.select(pool, k, random_state=0, memory_limit=limit)
    # What has been opened is kept.
    return open_gradients(pool, memory_limit=limit), batch

folder, limit, k = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
# What the libraries set up at their first use is no part of a pool's growth.
choose(folder / "warm")
before = kilobytes("VmRSS")
Path("/proc/self/clear_refs").write_text("5")
pool, batch = choose(folder / "pool")
kept = pool.rows.kept.n_rows
print((kilobytes("VmHWM") - before) * 1024, type(pool).__name__, kept, *batch.indices)
"""


@pytest.fixture(autouse=True)
def _two_threads(monkeypatch):
    # Each of them needs memory of its own.
    monkeypatch.setenv("LABELNEXT_NUM_THREADS", "2")


def write(folder, n, n_classes, n_features):
    """A pool that is made shard by shard, so that this process stays small, too."""
    rng = np.random.default_rng(n_classes)
    writer = PoolWriter(folder)
    for shard, lo in enumerate(range(0, n, 50_000)):
        size = min(50_000, n - lo)
        proba = np.exp(
            rng.standard_normal((size, n_classes), dtype=np.float32)
            * rng.uniform(0, 6, size=(size, 1)).astype(np.float32)
        )
        proba /= proba.sum(axis=1, keepdims=True)
        features = rng.standard_normal((size, n_features), dtype=np.float32)
        writer.write(shard, proba.astype(np.float16), features.astype(np.float16))
    writer.finish()


@pytest.mark.usefixtures("compiler")
@pytest.mark.skipif(not STATUS.exists(), reason="the peak is read from Linux's /proc")
@pytest.mark.parametrize(
    ("n", "n_classes", "n_features", "spare"),
    [
        # The factors are 180 MB, of which a few stretches fit the least limit, or a part is kept.
        (300_000, 60, 240, 0),
        pytest.param(300_000, 60, 240, 100_000_000, marks=pytest.mark.slow),
        # Narrow rows: what is known of each of them takes more than is read at once.
        pytest.param(1_000_000, 4, 20, 0, marks=pytest.mark.slow),
    ],
    ids=["least limit", "a part is kept", "narrow rows"],
)
def test_a_selection_stays_below_its_limit(tmp_path, n, n_classes, n_features, spare):
    write(tmp_path / "pool", n, n_classes, n_features)
    write(tmp_path / "warm", 55_000, n_classes, n_features)
    source = FactorsInFiles(open_source(tmp_path / "pool"))
    limit = least_limit(source, 61.125) + spare
    run = subprocess.run(
        [sys.executable, "-c", MEASURE, str(tmp_path), str(limit), "700"],
        capture_output=True,
        text=True,
        check=True,
    )
    growth, kind, n_kept, *rows = run.stdout.split()
    n_bytes = n * source.row_bytes
    print(
        f"{int(growth) / 1e6:.1f} MB of a limit of {limit / 1e6:.1f} MB, factors of "
        f"{n_bytes / 1e6:.1f} MB, {int(n_kept) / n:.0%} of them kept"
    )
    assert kind == "PrunedGradients"
    assert (int(n_kept) > 0.2 * n) == (spare > 0)
    assert int(growth) < limit
    # What a limit allows for is used.
    assert int(growth) > int(n_kept) * source.row_bytes
    assert len(set(rows)) == 700


@pytest.mark.usefixtures("compiler")
def test_the_batch_is_that_of_memory(tmp_path):
    write(tmp_path / "pool", 60_000, 10, 16)
    source = FactorsInFiles(open_source(tmp_path / "pool"))
    limit = least_limit(source, 61.125)
    pool = pools.opened(tmp_path / "pool", memory_limit=limit)
    assert pool.rows.kept.n_rows == 0
    arrays = (source.read(part, 0, 60_000) for part in ("proba", "features"))
    np.testing.assert_array_equal(
        pools.choose(pool, 300, random_state=1).indices,
        labelnext.select(*arrays, 300, random_state=1).indices,
    )
