"""One shard is in memory, as the operating system counts it."""

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import sys
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader, IterableDataset

from labelnext import extract

torch.set_num_threads(1)


class Batches(IterableDataset):
    def __init__(self, n):
        self.n = n

    def __iter__(self):
        return (torch.full((1_000, 6), float(i)) for i in range(self.n))


def now(field):
    rows = Path("/proc/self/status").read_text().splitlines()
    return next(int(row.split()[1]) * 1024 for row in rows if row.startswith(field))


def run(n, name):
    data = DataLoader(Batches(n), batch_size=None)
    extract(model, data, out=Path(sys.argv[1], name), rows_per_shard=10_000, progress=False)


model = nn.Sequential(nn.Linear(6, 256), nn.ReLU(), nn.Linear(256, 4))
run(20, "few")
before = now("VmRSS")
run(200, "many")
print(now("VmHWM") - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="counts as Linux does")
def test_no_more_than_a_shard_is_in_memory(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path)], stdout=subprocess.PIPE, check=True
    )
    # 200,000 rows of 256 features in float32 are 205 MB, a shard is 10 MB.
    assert int(done.stdout) < 50_000_000
    features = (tmp_path / "many").glob("shard-*/features.npy")
    assert sum(file.stat().st_size for file in features) > 200_000_000
