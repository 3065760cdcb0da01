"""Several processes that write one pool at the same time."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from labelnext.pools import PoolWriter, open_source, write_pool

N_SHARDS, N_ROWS = 12, 50

WRITER = """
import sys
import numpy as np
from labelnext.pools import PoolWriter
sys.stdin.readline()  # all begin at once
writer = PoolWriter(sys.argv[1], resume=True, settings={"model": "m"})
mine = 0
for shard in np.random.default_rng(int(sys.argv[2])).permutation(int(sys.argv[3])).tolist():
    rng = np.random.default_rng(shard)
    try:
        ids = np.arange(50) + 50 * shard
        writer.write(shard, rng.random((50, 3)), rng.random((50, 4)), ids)
        mine += 1
    except FileExistsError:
        pass
print(mine)
"""


def test_each_shard_is_written_by_one_of_them(tmp_path):
    folder = tmp_path / "pool"
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(folder), str(seed), str(N_SHARDS)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for seed in range(4)
    ]
    for writer in writers:
        writer.stdin.write("\n")
        writer.stdin.flush()
    answers = [writer.communicate() for writer in writers]
    assert [writer.returncode for writer in writers] == [0] * 4, answers
    assert sum(int(said) for said, _ in answers) == N_SHARDS
    last = PoolWriter(folder, resume=True, settings={"model": "m"})
    assert last.finished == dict.fromkeys(range(N_SHARDS), N_ROWS)
    last.finish(N_SHARDS)
    source = open_source(folder)
    source.verify()
    for shard in range(N_SHARDS):
        rng = np.random.default_rng(shard)
        lo, hi = N_ROWS * shard, N_ROWS * (shard + 1)
        assert np.array_equal(source.read("proba", lo, hi), rng.random((N_ROWS, 3)))
        assert np.array_equal(source.read("features", lo, hi), rng.random((N_ROWS, 4)))


def test_a_pool_that_several_replace_is_whole_and_of_one_of_them(tmp_path):
    folder = tmp_path / "pool"

    def replace(n_rows):
        for _ in range(10):
            # One that looks while another puts its own in place may be refused, and told so.
            with suppress(FileExistsError):
                arrays = np.full((n_rows, 2), 0.5), np.full((n_rows, 3), float(n_rows))
                write_pool(folder, *arrays, rows_per_shard=2, overwrite=True)

    with ThreadPoolExecutor() as threads:
        list(threads.map(replace, (4, 6, 8)))
    source = open_source(folder)
    source.verify()
    assert source.n_rows in (4, 6, 8)
    assert (source.read("features", 0, source.n_rows) == source.n_rows).all()
    assert [path.name for path in tmp_path.iterdir()] == ["pool"]


def test_none_takes_the_folder_from_one_who_begins(tmp_path, monkeypatch):
    """The first of all finds no folder; another one replaces what it finds meanwhile."""
    folder, write = tmp_path / "pool", PoolWriter.write

    def late(self, *arguments, **known):
        monkeypatch.setattr(PoolWriter, "write", write)
        write_pool(folder, np.full((4, 2), 0.5), overwrite=True)
        write(self, *arguments, **known)

    monkeypatch.setattr(PoolWriter, "write", late)
    write_pool(folder, np.full((8, 2), 0.5), overwrite=True)
    assert open_source(folder).n_rows == 8
    assert [path.name for path in tmp_path.iterdir()] == ["pool"]


def test_one_that_looks_while_another_replaces_is_told_so(tmp_path, monkeypatch):
    folder = tmp_path / "pool"
    write_pool(folder, np.full((4, 2), 0.5))
    monkeypatch.setattr(Path, "iterdir", lambda self: iter(os.listdir(tmp_path / "gone")))
    with pytest.raises(FileExistsError, match="being replaced by another process; try again"):
        write_pool(folder, np.full((6, 2), 0.5), overwrite=True)
    monkeypatch.undo()
    assert open_source(folder).n_rows == 4
