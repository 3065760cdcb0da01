"""What is said where something cannot be written, by each who writes: advice that is true."""

import errno
import os
import re
from pathlib import Path

import numpy as np
import pytest

import labelnext
from labelnext.experiment.outputs import Outputs
from labelnext.pools import PoolWriter, write_pool
from labelnext.pools.disk import write_whole, writing

PROBA, FEATURES = np.full((6, 2), 0.5), np.arange(12.0).reshape(6, 2)


def batch():
    return labelnext.select(POOL, 2, random_state=0)


POOL = labelnext.Pool(PROBA, FEATURES)
WRITERS = {
    "batch": lambda path: batch().save(f"{path}.csv"),
    "report": lambda path: batch().report(f"{path}.html"),
    "checkpoint": lambda path: labelnext.select(
        PROBA, FEATURES, 2, random_state=0, checkpoint=path
    ),
    "pool": lambda path: write_pool(path, PROBA, FEATURES),
    "pool in place": lambda path: write_pool(path, PROBA, FEATURES, overwrite=True),
    "shards": lambda path: PoolWriter(path).write(0, PROBA, FEATURES),
    "experiment": lambda path: Outputs(Path(path), "report").write({"a.csv": b""}),
}
FOLDERS = ("pool", "pool in place", "shards", "experiment")
ADVICE = {
    errno.ENOSPC: "space|room",
    errno.EDQUOT: "space|room",
    errno.EACCES: "check who may write there, or choose another place",
    errno.EPERM: "check who may write there, or choose another place",
    errno.EROFS: "nothing may be written to this disk or folder; choose another place",
    errno.EIO: "input/output error; choose another place",
    errno.EINVAL: "invalid argument; choose another place",
    errno.ENOENT: "no file can be made in .*; choose another place",
    errno.ENAMETOOLONG: "the name is too long; choose a shorter one",
    errno.ELOOP: "its symbolic links lead in a circle; choose another name",
}


@pytest.mark.parametrize("number", ADVICE, ids=errno.errorcode.get)
@pytest.mark.parametrize("writer", WRITERS)
def test_what_the_system_says(tmp_path, monkeypatch, writer, number):
    """The folder is there, and what is made in it fails."""
    plain_open, plain_mkdir = Path.open, Path.mkdir

    def fails(path, kind):
        if path.name.endswith(".tmp") or (kind == "mkdir" and path.parent == tmp_path):
            raise OSError(number, os.strerror(number), str(path))

    def opened(path, mode="r", **rest):
        fails(path, "open")
        return plain_open(path, mode, **rest)

    def made(path, *args, **rest):
        fails(path, "mkdir")
        return plain_mkdir(path, *args, **rest)

    monkeypatch.setattr(Path, "open", opened)
    monkeypatch.setattr(Path, "mkdir", made)
    with pytest.raises(OSError, match="Cannot write") as caught:
        WRITERS[writer](str(tmp_path / "new"))
    said = str(caught.value)
    assert re.search(ADVICE[number], said), said
    if number not in (errno.ENOSPC, errno.EDQUOT):
        assert not re.search("room|space", said), said
    assert "create it" not in said
    monkeypatch.undo()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize(
    ("place", "advice"),
    [
        ("{}/file/new", "{}/file is no folder; choose another place"),
        ("{}/file/a/new", "{}/file is no folder; choose another place"),
        ("/proc/new", "no file can be made in /proc; choose another place"),
        ("{}/" + 300 * "x", "the name is too long; choose a shorter one"),
        ("{}/a/new", "there is no folder {}/a; create it first"),
    ],
)
def test_places(tmp_path, writer, place, advice):
    if place == "{}/a/new" and writer in FOLDERS:
        WRITERS[writer](place.format(tmp_path))  # which makes the folders above
        return
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OSError, match="Cannot write") as caught:
        WRITERS[writer](place.format(tmp_path))
    assert advice.format(tmp_path) in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "mine"


def test_a_folder_is_no_file(tmp_path):
    for name, writer in (("b.csv", "batch"), ("b.html", "report"), ("b", "checkpoint")):
        (tmp_path / name).mkdir()
        with pytest.raises(OSError, match="this is a folder; name a file in it"):
            WRITERS[writer](str(tmp_path / "b"))


def test_what_was_said_once_is_not_said_again(tmp_path):
    with (
        pytest.raises(OSError, match=r"^Cannot write b: .*; choose another place\.$"),
        writing("a", "make room."),
        writing("b", "make room."),
    ):
        write_whole(Path("/proc/new"), b"", overwrite=False)
