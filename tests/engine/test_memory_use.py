"""Memory: a selection takes the inputs and little more, by the operating system's count."""

import subprocess
import sys
from pathlib import Path

import pytest

STATUS = Path("/proc/self/status")

MEASURE = """
import re
from pathlib import Path
import numpy as np, scipy.sparse as sp
import labelnext

def kilobytes(name):
    return int(re.search(name + r":\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

rng = np.random.default_rng(0)
{make}
# Whatever the libraries set up at their first use is no part of a selection's growth.
labelnext.select(proba[:{warm}], features[:{warm}], 300, random_state=0)
Path("/proc/self/clear_refs").write_text("5")
before = kilobytes("VmRSS")
batch = labelnext.select(proba, features, {k}, random_state=0)
print(len(batch), (kilobytes("VmHWM") - before) * 1024, size)
"""

DENSE = """
features = rng.standard_normal((50_000, 512), dtype=np.float32)
proba = rng.dirichlet(np.full(10, 0.2), size=50_000).astype(np.float32)
size = features.nbytes + proba.nbytes
"""

SPARSE = """
columns = rng.integers(100_000, size=20_000 * 50)
features = sp.csr_array(
    (rng.random(len(columns), dtype=np.float32), columns, np.arange(0, len(columns) + 1, 50)),
    shape=(20_000, 100_000),
)
proba = rng.dirichlet(np.full(10, 0.2), size=20_000).astype(np.float32)
size = features.data.nbytes + features.indices.nbytes + features.indptr.nbytes + proba.nbytes
"""


@pytest.mark.skipif(not STATUS.exists(), reason="the peak is read from Linux's /proc")
@pytest.mark.parametrize(
    ("make", "warm", "k", "allowed"),
    [
        # The inputs plus 10 %, plus 64 bytes a row.
        (DENSE, 3000, 1000, lambda size: 0.1 * size + 64 * 50_000),
        # Dense, the features would take 16 GB; 30 MB are a few tiles and the drawn rows.
        (SPARSE, 18_000, 200, lambda size: 30e6),
    ],
    ids=["dense", "sparse"],
)
def test_peak_memory(make, warm, k, allowed):
    code = MEASURE.format(make=make, warm=warm, k=k)
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    picks, growth, size = map(int, run.stdout.split())
    print(f"{k} picks: {growth / 1e6:.1f} MB above inputs of {size / 1e6:.1f} MB")
    assert picks == k
    assert growth < allowed(size)
