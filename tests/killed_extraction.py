"""A program that starts extractions, kills them at any moment, and lets the last one finish.

``python killed_extraction.py FOLDER ROUNDS SEED`` prints what each round left and read, as JSON.
"""

import contextlib
import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import Dataset

from labelnext.networks import extract
from labelnext.pools import open_source

N, ROWS = 240, 16
X = torch.randn(N, 6, generator=torch.Generator().manual_seed(7))
OPTIONS = {
    "ids": range(N, 2 * N),
    "rows_per_shard": ROWS,
    "dtype": "float16",
    "batch_size": 4,
    "progress": False,
}


class Slow(Dataset):
    """Takes its time, and writes down which samples were read."""

    def __init__(self, log):
        self.log = log

    def __len__(self):
        return N

    def __getitem__(self, i):
        time.sleep(0.0005)
        os.write(self.log, b"%d\n" % i)
        return X[i]


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 9), nn.ReLU(), nn.Linear(9, 4))


def extraction(path, log):
    """Run in a process of its own; returns its id."""
    process = os.fork()
    if process == 0:
        code = 1
        with contextlib.suppress(KeyboardInterrupt):
            extract(network(), Slow(log), out=path, resume=True, **OPTIONS)
            code = 0
        os._exit(code)
    return process


def wait_for(log, n_reads, process):
    """Wait until so many samples were read, or the process has ended."""
    ended = os.WEXITED | os.WNOHANG | os.WNOWAIT
    while log.read_bytes().count(b"\n") < n_reads:
        if os.waitid(os.P_PID, process, ended) is not None:
            return
        time.sleep(0.0005)


def finished(path):
    return sorted(int(p.name[6:]) for p in path.glob("shard-*"))


def main(folder, rounds, seed):
    path, rng, report = folder / "pool", random.Random(seed), []
    for number in range(rounds + 1):
        there = finished(path)
        log = os.open(folder / f"reads-{number}", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        process = extraction(path, log)
        if number < rounds:
            # After some samples more, and a moment: while it reads, computes or writes.
            wait_for(folder / f"reads-{number}", rng.randint(1, 40), process)
            time.sleep(rng.uniform(0, 0.02))
            os.kill(process, signal.SIGKILL)
        _, status = os.waitpid(process, 0)
        try:
            opened = open_source(path).n_rows
        except (ValueError, FileNotFoundError) as error:
            opened = str(error)
        reads = (folder / f"reads-{number}").read_text().split()
        report.append(
            {
                "there": there,
                "reads": [int(read) for read in reads],
                "killed": os.WIFSIGNALED(status),
                "code": os.waitstatus_to_exitcode(status),
                "finished": finished(path),
                "manifest": (path / "pool.json").exists(),
                "opened": opened,
            }
        )
    print(json.dumps(report))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
