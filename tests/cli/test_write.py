"""Files appear whole or not at all."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from labelnext.cli._errors import InputError, check_folder, write


def test_a_file_that_comes_in_the_meantime_is_kept(tmp_path):
    path = tmp_path / "b.csv"
    path.write_text("precious")
    with pytest.raises(InputError, match="exists already"):
        write(path, b"new", force=False)
    assert path.read_text() == "precious"
    assert list(tmp_path.iterdir()) == [path]


def test_the_mode_is_the_usual_one(tmp_path):
    path, plain = tmp_path / "b.csv", tmp_path / "plain"
    plain.write_text("")
    write(path, b"new", force=False)
    assert path.stat().st_mode == plain.stat().st_mode


def _refuse(*_args):
    raise OSError(95, "Operation not supported")


def test_without_hard_links(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "hardlink_to", _refuse)
    path = tmp_path / "b.csv"
    write(path, b"new", force=False)
    assert path.read_bytes() == b"new"
    with pytest.raises(InputError, match="exists already"):
        write(path, b"newer", force=False)
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_leaves_nothing(tmp_path, monkeypatch):
    def full(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(
        InputError, match=r"Cannot write .*b.csv: the disk is full.*; choose another"
    ):
        write(tmp_path / "b.csv", b"new", force=True)
    assert list(tmp_path.iterdir()) == []


def test_whatever_else_goes_wrong(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(InputError, match=r"Cannot write .*b.csv: input/output error; choose"):
        write(tmp_path / "b.csv", b"new", force=True)


def test_a_folder_that_may_not_be_written_to(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(InputError, match="may not be written to; choose another"):
        check_folder(tmp_path, "--output b.csv")


KILLED = """
import os, signal
from pathlib import Path
from labelnext.cli._errors import write

def die(descriptor):
    os.kill(os.getpid(), signal.SIGKILL)

os.fsync = die  # half-way: the draft is written, the name not yet given
write(Path("b.csv"), b"half", force={force})
"""


@pytest.mark.parametrize("force", [False, True])
def test_a_killed_process_leaves_nothing_under_the_name(tmp_path, force):
    path = tmp_path / "b.csv"
    if force:
        path.write_text("precious")
    code = KILLED.format(force=force)
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=False)
    assert done.returncode == -signal.SIGKILL
    assert list(tmp_path.glob(".b.csv.*.tmp")) != []  # it did die half-way
    assert path.exists() == force
    if force:
        assert path.read_text() == "precious"
