"""Killed before any call that changes the disk: old or new, never half, and the next try works."""

import os
import subprocess
import sys

import pytest

from labelnext.pools import disk

SCRIPT = """
import json, os, pathlib, shutil, signal, sys
import numpy as np
import labelnext
from labelnext.pools import disk, open_source, write_pool

what, root = sys.argv[1], pathlib.Path(sys.argv[2])
os.fsync = lambda number: None  # slow, and nothing to a process that is killed
rng = np.random.default_rng(0)
P, H = rng.dirichlet(np.ones(3), 400), rng.normal(size=(400, 4))
batch = labelnext.select(P, H, 300, random_state=1)
np.savez(root / "source.npz", proba=P[:10], features=H[:10])
if what == "pool without exchange":
    disk._exchange = lambda one, other: False

class Text:
    def before(self, folder): (folder / "b.csv").write_text("old")
    def act(self, folder): batch.save(folder / "b.csv", overwrite=True)
    def look(self, folder):
        text = (folder / "b.csv").read_text()
        return "old" if text == "old" else "new" if text.count("\\n") == 301 else "half"

class NewText(Text):
    def before(self, folder): pass
    def act(self, folder):
        try:
            batch.save(folder / "b.csv")
        except FileExistsError:
            assert self.look(folder) == "new"
    def look(self, folder):
        return super().look(folder) if (folder / "b.csv").exists() else "old"

class Checkpoint:
    def before(self, folder): labelnext.select(P, H, 5, random_state=1, checkpoint=folder / "c")
    def act(self, folder):
        again = labelnext.select(P, H, 300, random_state=1, checkpoint=folder / "c")
        assert again.indices.tolist() == batch.indices.tolist()
    def look(self, folder):
        known = json.loads((folder / "c").read_text())["rows"]
        assert known == batch.indices[: len(known)].tolist()
        return "new" if len(known) == 300 else "old"

class Folder:
    def before(self, folder): write_pool(folder / "pool", P[:5], H[:5])
    def act(self, folder):
        write_pool(folder / "pool", P[:10], H[:10], overwrite=True, rows_per_shard=4)
    def look(self, folder):
        places = [p for p in folder.iterdir() if p.name.startswith("pool")]
        found = [open_source(place).n_rows for place in places if (place / "pool.json").exists()]
        return "new" if 10 in found else "old" if found == [5] else "half"

class Convert(Folder):
    def act(self, folder):
        from labelnext.cli import app
        try:
            app(["convert", str(root / "source.npz"), str(folder / "pool"), "--force"])
        except SystemExit as done:
            assert not done.code, done.code

case = {"batch": Text, "new batch": NewText, "checkpoint": Checkpoint, "convert": Convert}
case = case.get(what, Folder)()

def kill_before(call):
    left = [call]
    def count(event, _):
        if event.split(".")[0] in ("open", "os", "shutil", "fsync", "ctypes", "fcntl"):
            left[0] -= 1
            if left[0] == -1:
                os.kill(os.getpid(), signal.SIGKILL)
    os.fsync = lambda number: count("fsync", ())
    sys.addaudithook(count)  # told before anything is opened, made, renamed or deleted

(root / "warm").mkdir()
case.before(root / "warm")
case.act(root / "warm")  # what is imported once
seen = []
for call in range(1000):
    folder = root / str(call)
    folder.mkdir()
    case.before(folder)
    child = os.fork()
    if child == 0:
        kill_before(call)
        case.act(folder)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    seen.append(case.look(folder))
    assert seen[-1] in ("old", "new"), (call, seen[-1], os.listdir(folder))
    case.act(folder)
    assert case.look(folder) == "new", call
    left = [name for name in os.listdir(folder) if name.endswith(".tmp")]
    assert not left, (call, left)
    shutil.rmtree(folder)
    if status == 0:
        break
    assert os.WTERMSIG(status) == signal.SIGKILL, status
assert call > 10 and {*seen} == {"old", "new"}, (call, seen)
print(call)
"""


SLOW = ["pool", "pool without exchange", "convert"]


@pytest.mark.parametrize(
    "what",
    [
        *("batch", "new batch", "checkpoint"),
        *(pytest.param(what, marks=pytest.mark.slow) for what in SLOW),
    ],
)
def test_old_or_new_and_the_next_try_works(tmp_path, what):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, what, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


class TestSynced:
    """What a file or folder holds is on the disk before the name is, and then the name is, too."""

    @pytest.fixture
    def calls(self, monkeypatch):
        calls = []

        def told(module, name, what):
            inner = getattr(module, name)

            def call(*arguments, **options):
                calls.append(what(*arguments))
                return inner(*arguments, **options)

            monkeypatch.setattr(module, name, call)

        def kind(number):
            path = os.readlink(f"/proc/self/fd/{number}")
            return "sync folder" if os.path.isdir(path) else "sync file"

        told(os, "fsync", kind)
        told(disk.Path, "replace", lambda *_: "name")
        told(disk.Path, "rename", lambda *_: "name")
        told(disk.Path, "hardlink_to", lambda *_: "name")
        told(disk, "_exchange", lambda *_: "name")
        return calls

    @pytest.mark.parametrize("overwrite", [False, True])
    def test_a_file(self, tmp_path, calls, overwrite):
        disk.write_whole(tmp_path / "b.csv", b"new", overwrite=overwrite)
        assert calls == ["sync file", "name", "sync folder"]

    def test_a_pool(self, tmp_path, calls):
        import numpy as np

        from labelnext.pools import write_pool

        write_pool(tmp_path / "pool", np.full((4, 2), 0.5), np.ones((4, 3)))
        shard = ["sync file"] * 3 + ["sync folder", "name", "sync folder"]
        manifest = ["sync file", "name", "sync folder"]
        assert calls == manifest + shard + manifest
        calls.clear()
        write_pool(tmp_path / "pool", np.full((5, 2), 0.5), np.ones((5, 3)), overwrite=True)
        # All of the new one, and its own name, before the two change places.
        assert calls == manifest + shard + manifest + ["sync folder", "name", "sync folder"]


def test_two_processes_do_not_delete_each_others_drafts(tmp_path):
    with disk.draft(tmp_path / "run.ckpt") as mine:
        # A new description of the open file, as another process has.
        disk.write_whole(tmp_path / "run.ckpt", b"theirs", overwrite=True)
        assert mine.exists()
        disk.write_whole(tmp_path / "run.ckpt", b"theirs again", overwrite=True)
        assert mine.exists()
    assert os.listdir(tmp_path) == ["run.ckpt"]


WRITER = """
import sys
from labelnext.pools.disk import write_whole
sys.stdin.readline()  # all begin at once
for turn in range(200):
    write_whole("run.ckpt", sys.argv[1].encode() * 10_000, overwrite=True)
"""


def test_several_processes_with_one_file(tmp_path):
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, name],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=tmp_path,
            text=True,
        )
        for name in "abc"
    ]
    for writer in writers:
        writer.stdin.write("\n")
        writer.stdin.flush()
    for writer in writers:
        _, said = writer.communicate()
        assert writer.returncode == 0, said
    assert (tmp_path / "run.ckpt").read_text() in {name * 10_000 for name in "abc"}
    assert os.listdir(tmp_path) == ["run.ckpt"]


def test_a_draft_of_another_name_or_kind_is_nobodys(tmp_path):
    for name in (".run.ckpt.tmp", ".run.ckpt.12.tmp", "run.ckpt.0123456789ab.tmp", ".run.ckp.t"):
        (tmp_path / name).write_text("mine")
    (tmp_path / ".other.0123456789ab.tmp").write_text("mine")
    (tmp_path / ".run.ckpt.0123456789ab.tmp").write_text("a killed process's")
    before = {*os.listdir(tmp_path)}
    disk.write_whole(tmp_path / "run.ckpt", b"new", overwrite=True)
    assert before - {*os.listdir(tmp_path)} == {".run.ckpt.0123456789ab.tmp"}
