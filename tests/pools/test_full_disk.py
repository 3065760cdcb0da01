"""A disk that is full while a pool is written: a real small file system, and a real limit."""

import shutil
import subprocess
import sys

from labelnext.pools import disk

WRITE = """
import os, pathlib, resource, sys
import numpy as np
from labelnext.pools import PoolWriter, open_source, write_pool
folder, limit = pathlib.Path(sys.argv[1]), int(sys.argv[2])
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
writer = PoolWriter(folder / "pool")
try:
    for shard in range(100):
        n_rows = 5000 if limit and shard == 2 else 1000
        writer.write(shard, np.full((n_rows, 2), 0.5), np.ones((n_rows, 40)))  # 336 kB, or more
except OSError as error:
    print(error)
n_written = shard
assert len(writer.finished) == n_written, (writer.finished, n_written)
left = sorted(path.name for path in (folder / "pool").iterdir())
assert left == ["settings.json", *(f"shard-{i:05d}" for i in range(n_written))], left
writer.finish()  # a manifest is small, and what was freed has room for it
source = open_source(folder / "pool")
source.verify()
assert source.n_rows == 1000 * n_written
try:
    p, h = np.full((9000, 2), 0.5), np.ones((9000, 40))
    write_pool(folder / "more", p, h, rows_per_shard=9000 if limit else 900)
except OSError as error:
    print(error)
assert [path.name for path in folder.iterdir()] == ["pool"]
print(n_written)
"""


def run(command, folder, limit):
    return subprocess.run(
        [*command, sys.executable, "-c", WRITE, str(folder), str(limit)],
        capture_output=True,
        text=True,
        check=False,
    )


def said(done):
    """Return what was said of either pool, and how many shards were written."""
    assert done.returncode == 0, done.stderr
    one, other, n_written = done.stdout.splitlines()
    return one, other, int(n_written)


def small_file_system(folder):
    """Return how to run a command with a small file system at a folder, if we may."""
    script = f'mount -t tmpfs -o size=1m tmpfs {folder} && exec "$@"'
    command = ["unshare", "--map-root-user", "--mount", "sh", "-c", script, "sh"]
    if shutil.which("unshare") is None:
        return None
    tried = subprocess.run([*command, "true"], capture_output=True, check=False)
    return command if tried.returncode == 0 else None


def check(done, folder):
    one, other, n_written = said(done)
    assert n_written >= 1
    assert "Cannot write" in one
    assert f"{folder}/pool/shard-{n_written:05d}: the disk is full" in one
    assert f"{n_written} shards are finished: free some space and go on with resume=True" in one
    assert f"{folder}/more/" in other
    assert "the disk is full" in other
    assert other.endswith("free some space, or choose another place.")  # nothing to resume


def test_a_full_disk_leaves_whole_shards(tmp_path):
    # Where namespaces are not for everybody, what is full is the largest size of a file.
    command = small_file_system(tmp_path)
    check(run(command or [], tmp_path, 0 if command else 1 << 20), tmp_path)


def test_a_limit_on_files_leaves_whole_shards(tmp_path):
    check(run([], tmp_path, 1 << 20), tmp_path)


def test_a_system_without_locks_writes_all_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(disk, "fcntl", None)
    for content in (b"old", b"new"):
        disk.write_whole(tmp_path / "file", content, overwrite=True)
    assert (tmp_path / "file").read_bytes() == b"new"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
