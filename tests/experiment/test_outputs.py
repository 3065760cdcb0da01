"""Folders that results are written to: nothing of the user's is replaced, removed or followed."""

import errno
import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from labelnext.cli import app
from labelnext.experiment import Budget, Results, Setting
from labelnext.experiment.outputs import MANIFEST, REPORT, Outputs
from labelnext.pools import disk

SMALL = """
data = "digits"
models = "naive-bayes"
strategies = "random"
budgets = { start = 20, batch = 10, rounds = 1 }
seeds = 2
"""


def ours(folder, kind="report", **files):
    """Write files of ours into a folder."""
    Outputs(folder, kind).write({name.replace("_", "."): text for name, text in files.items()})


def report(folder):
    results = Results({}, (), {Setting("d", "m", 1, 1): Budget(1, 1, 1)}, ("a",), (0,), "a")
    with pytest.raises(FileExistsError) as told:
        results.write_report(folder)
    return str(told.value)


def command(*arguments):
    result = CliRunner().invoke(app, list(map(str, arguments)))
    assert result.exit_code == 2, result.output
    assert result.stderr.count("\n") == 1
    return result.stderr


def simulated(folder):
    file = folder.with_suffix(".toml")
    file.write_text(SMALL)
    return command("simulate", file, "--out", folder)


DOORS = {
    "write_report": ("report", report),
    "simulate": ("report", simulated),
    "demo": ("demo", lambda folder: command("demo", "--out", folder)),
}


def edited(folder, kind):
    ours(folder, kind, results_csv=b"1")
    (folder / "results.csv").write_bytes(b"2, noted by hand")


def other_kind(folder, kind):
    ours(folder, "demo" if kind == "report" else "report", results_csv=b"1")


def listed(content):
    def make(folder, _):
        (folder / "results.csv").write_bytes(b"mine")
        (folder / MANIFEST).write_text(content)

    return make


TAKEN = {
    "a file": lambda folder, _: (folder / "results.csv").write_text("mine"),
    "an edited file": edited,
    "a link": lambda folder, _: (folder / "results.csv").symlink_to(folder.parent / "thesis"),
    "a link to nowhere": lambda folder, _: (folder / "results.csv").symlink_to("nowhere"),
    "a folder": lambda folder, _: (folder / "results.csv").mkdir(),
    "a pipe": lambda folder, _: os.mkfifo(folder / "results.csv"),
    "results of another kind": other_kind,
    "a manifest that is none": listed("mine"),
    "a manifest of others": listed('{"files": {"results.csv": "abc"}}'),
    "a manifest of odd types": listed('{"labelnext": "report", "files": [5]}'),
    "a deep manifest": listed("[" * 100_000),
    "a link as manifest": lambda folder, _: (folder / MANIFEST).symlink_to(
        folder.parent / "thesis"
    ),
}


def content(folder):
    """All that is in a folder and beside it."""
    return {
        str(path.relative_to(folder)): os.readlink(path)
        if path.is_symlink()
        else path.read_bytes()
        if path.is_file()
        else None
        for path in sorted(folder.rglob("*"))
        if path.suffix != ".toml"
    }


@pytest.mark.parametrize("kind", TAKEN)
@pytest.mark.parametrize("door", DOORS)
def test_what_is_not_ours_is_refused_before_the_work_and_stays(tmp_path, monkeypatch, door, kind):
    monkeypatch.setattr(
        "labelnext.experiment.Experiment.run", lambda *_, **__: pytest.fail("it ran")
    )
    (tmp_path / "thesis").write_text("years of work")
    folder = tmp_path / "results"
    folder.mkdir()
    which, enter = DOORS[door]
    TAKEN[kind](folder, which)
    before = content(tmp_path)
    message = enter(folder)
    assert content(tmp_path) == before
    assert "name another folder, or move" in message
    assert str(folder) in message
    assert ("results.csv" in message) or (MANIFEST in message)
    # The advice works: moved away, the folder is free.
    for path in folder.iterdir():
        path.rename(tmp_path / f"moved {path.name}")
    Outputs(folder, which).check(REPORT)


def test_a_link_as_store_is_not_followed(tmp_path):
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "results.sqlite").symlink_to(tmp_path / "elsewhere")
    assert "results.sqlite is a link; name the folder" in simulated(tmp_path / "results")
    assert not (tmp_path / "elsewhere").exists()


def test_what_is_listed_is_replaced_and_what_is_out_of_date_removed(tmp_path):
    folder = tmp_path / "new" / "results"
    ours(folder, results_csv=b"1", failures_csv=b"2")
    (folder / "notes.txt").write_text("mine")
    paths = Outputs(folder, "report").write(
        {"results.csv": b"3", "seconds.csv": b"4"}, remove=REPORT
    )
    assert paths == [folder / "results.csv", folder / "seconds.csv"]
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.name != MANIFEST} == {
        "results.csv": b"3",
        "seconds.csv": b"4",
        "notes.txt": b"mine",
    }
    assert set(json.loads((folder / MANIFEST).read_text())["files"]) == {
        "results.csv",
        "seconds.csv",
    }
    (folder / "results.csv").unlink()  # what was deleted is written again
    ours(folder, results_csv=b"5")
    assert (folder / "results.csv").read_bytes() == b"5"


@pytest.mark.parametrize("stop", range(6))
def test_a_full_disk_leaves_whole_files_and_the_next_try_goes_on(tmp_path, monkeypatch, stop):
    ours(tmp_path, a_csv=b"old a", b_csv=b"old b")
    left, real = [stop], disk.write_through

    def fills_up(path, content):
        left[0] -= 1
        if left[0] < 0:
            path.write_bytes(content[: len(content) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")
        real(path, content)

    new = {"a_csv": b"new a", "b_csv": b"new b", "c_csv": b"new c"}
    with monkeypatch.context() as patch:
        patch.setattr(disk, "write_through", fills_up)
        if stop < 5:
            with pytest.raises(OSError, match=r"the disk is full.*make room"):
                ours(tmp_path, **new)
        else:
            ours(tmp_path, **new)
    found = {path.name: path.read_bytes() for path in tmp_path.glob("*.csv")}
    for name, text in found.items():
        assert text in (f"old {name[0]}".encode(), f"new {name[0]}".encode())
    ours(tmp_path, **new)
    assert (tmp_path / "c.csv").read_bytes() == b"new c"
    assert len(list(tmp_path.iterdir())) == 4
    assert Path(tmp_path, MANIFEST).is_file()
