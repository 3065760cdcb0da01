"""What a batch is written as, and shown as: it reads back the same, and steers no terminal."""

import csv
import errno
import io
import json
import os

import numpy as np
import pyarrow.parquet as pq
import pytest

import labelnext
from labelnext.sampling import Batch

POOL = np.full((4, 2), 0.5), np.array([[1.0], [2.0], [4.0], [8.0]])
ODD = [
    "a\rb",
    "a\nb",
    "a\r\nb",
    'say "a", "b"',
    " a ",
    "a\0b",
    "\x1b[2J",
    "[red]a[/x]",
    "é\u202eb",
    "",
]


def batch_of(ids):
    kind = np.int64 if all(type(i) is int and abs(i) < 2**63 for i in ids) else object
    return Batch(np.arange(len(ids)), ids=np.array(ids, dtype=kind))


def read_back(path):
    if path.suffix == ".parquet":
        return pq.read_table(path).column("id").to_pylist()
    if path.suffix == ".csv":
        text = io.StringIO(path.read_bytes().decode(), newline="")
        return [row["id"] for row in csv.DictReader(text)]
    if path.suffix == ".json":
        return [row["id"] for row in json.loads(path.read_text())]
    return [json.loads(line)["id"] for line in path.read_text().split("\n")[:-1]]


@pytest.mark.parametrize("ending", ["csv", "json", "jsonl", "parquet"])
class TestReadsBack:
    def test_texts(self, tmp_path, ending):
        batch_of(ODD).save(tmp_path / f"b.{ending}")
        assert read_back(tmp_path / f"b.{ending}") == ODD

    @pytest.mark.parametrize("ids", [[2**64 - 1, 3], [2**63, 2**63 + 1], [-1, 5]])
    def test_large_numbers(self, tmp_path, ending, ids):
        batch_of(ids).save(tmp_path / f"b.{ending}")
        assert [int(i) for i in read_back(tmp_path / f"b.{ending}")] == ids

    def test_numbers_that_no_column_holds_become_texts(self, tmp_path, ending):
        ids = [-1, 2**64, "x"]
        batch_of(ids).save(tmp_path / f"b.{ending}")
        assert [*map(str, read_back(tmp_path / f"b.{ending}"))] == [*map(str, ids)]

    def test_half_a_character_is_refused_and_leaves_nothing(self, tmp_path, ending):
        with pytest.raises(ValueError, match=r"holds half of a character.*correct"):
            batch_of(["\ud800", "b"]).save(tmp_path / f"b.{ending}")
        assert os.listdir(tmp_path) == []


def test_a_row_number_of_a_csv_is_that_of_python():
    columns = {"id": ["", None, 0.1, 2], "name": ["", "b", "c", "d"]}
    from labelnext.utils.text import as_csv

    assert [*csv.reader(io.StringIO(as_csv(columns).decode(), newline=""))] == [
        ["id", "name"], ["", ""], ["", "b"], ["0.1", "c"], ["2", "d"]
    ]  # fmt: skip
    assert [*csv.reader(io.StringIO(as_csv({"id": ["a", "", "b"]}).decode()))] == [
        ["id"], ["a"], [""], ["b"]
    ]  # fmt: skip


@pytest.mark.parametrize("how", [repr, Batch._repr_html_])
def test_shown_it_steers_no_terminal(how):
    batch = Batch(np.arange(2), ids=np.array(["a\x1b[2J\n\u202eb", "\x9bc"], dtype=object))
    shown = how(batch)
    assert "a\\x1b[2J\\n\\u202eb" in shown
    assert "\\x9bc" in shown
    assert not {*shown} & {*"\x1b\x9b\u202e"}


class TestPlaces:
    """Whatever is wrong with a place is said in a sentence, and nothing is left or replaced."""

    def refused(self, path, kind, message, **options):
        with pytest.raises(kind, match=message) as caught:
            labelnext.select(*POOL, 2).save(path, **options)
        assert "\n" not in str(caught.value)

    def test_no_folder(self, tmp_path):
        self.refused(
            tmp_path / "no" / "b.csv",
            FileNotFoundError,
            rf"Cannot write .*b\.csv: there is no folder {tmp_path}/no; create it first",
        )

    def test_a_file_for_a_folder(self, tmp_path):
        (tmp_path / "file").write_text("")
        self.refused(tmp_path / "file" / "b.csv", NotADirectoryError, "is no folder; choose")

    def test_a_folder(self, tmp_path):
        (tmp_path / "b.csv").mkdir()
        for overwrite in (False, True):
            self.refused(
                tmp_path / "b.csv", IsADirectoryError, "this is a folder", overwrite=overwrite
            )

    @pytest.mark.parametrize("length", [256, 300, 5000])
    def test_a_long_name(self, tmp_path, length):
        name = "a" * (length - 4) + ".csv"
        self.refused(tmp_path / name, OSError, "the name is too long; choose a shorter one")

    def test_the_longest_name(self, tmp_path):
        path = tmp_path / ("é" * 125 + "a.csv")
        labelnext.select(*POOL, 2).save(path)
        labelnext.select(*POOL, 3).save(path, overwrite=True)
        assert os.listdir(tmp_path) == [path.name]

    def test_a_circle_of_links(self, tmp_path):
        (tmp_path / "b.csv").symlink_to(tmp_path / "c.csv")
        (tmp_path / "c.csv").symlink_to(tmp_path / "b.csv")
        for overwrite in (False, True):
            self.refused(tmp_path / "b.csv", OSError, "lead in a circle", overwrite=overwrite)
        assert (tmp_path / "b.csv").is_symlink()

    @pytest.mark.parametrize("target", ["/dev/full", "/dev/null", "pipe"])
    def test_no_ordinary_file(self, tmp_path, target):
        if target == "pipe":
            target = tmp_path / "pipe"
            os.mkfifo(target)
        (tmp_path / "b.csv").symlink_to(target)
        before = os.stat(target)
        self.refused(tmp_path / "b.csv", OSError, "no ordinary file; choose", overwrite=True)
        assert os.stat(target).st_mode == before.st_mode

    def test_the_current_folder_is_gone(self, tmp_path, monkeypatch):
        (tmp_path / "gone").mkdir()
        monkeypatch.chdir(tmp_path / "gone")
        (tmp_path / "gone").rmdir()
        self.refused("b.csv", FileNotFoundError, "the current folder is gone; change to another")

    @pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
    def test_a_full_disk(self, tmp_path, monkeypatch, number):
        def full(_):
            raise OSError(number, os.strerror(number))

        (tmp_path / "b.csv").write_text("old")
        monkeypatch.setattr(os, "fsync", full)
        self.refused(tmp_path / "b.csv", OSError, "the disk is full.*make room", overwrite=True)
        assert (tmp_path / "b.csv").read_text() == "old"
        assert os.listdir(tmp_path) == ["b.csv"]

    def test_a_link_is_followed_and_permissions_stay(self, tmp_path):
        (tmp_path / "disk").mkdir()
        target = tmp_path / "disk" / "real.csv"
        target.write_text("old")
        target.chmod(0o640)
        (tmp_path / "b.csv").symlink_to("disk/real.csv")
        with pytest.raises(FileExistsError, match="exists already"):
            labelnext.select(*POOL, 2).save(tmp_path / "b.csv")
        labelnext.select(*POOL, 2).save(tmp_path / "b.csv", overwrite=True)
        assert (tmp_path / "b.csv").is_symlink()
        assert target.read_text().startswith("rank,row")
        assert target.stat().st_mode & 0o777 == 0o640
        assert os.listdir(tmp_path / "disk") == ["real.csv"]

    def test_a_link_to_nothing_yet(self, tmp_path):
        (tmp_path / "disk").mkdir()
        (tmp_path / "b.csv").symlink_to(tmp_path / "disk" / "new.csv")
        labelnext.select(*POOL, 2).save(tmp_path / "b.csv")
        assert (tmp_path / "b.csv").is_symlink()
        assert os.listdir(tmp_path / "disk") == ["new.csv"]


class TestExclude:
    """An earlier batch can be excluded as it is."""

    IDS = ("a", "b", "c", "d")

    def test_its_rows(self):
        batch = labelnext.select(*POOL, 2)
        rest = labelnext.select(*POOL, 2, exclude=batch)
        assert {*batch.indices, *rest.indices} == {0, 1, 2, 3}

    def test_its_ids(self):
        batch = labelnext.select(labelnext.Pool(*POOL, ids=[*self.IDS]), 2)
        other = labelnext.Pool(*POOL, ids=[*self.IDS[::-1]])
        rest = labelnext.select(other, 2, exclude_ids=batch)
        assert {*batch.ids, *rest.ids} == {*self.IDS}
        with pytest.raises(ValueError, match=r"of another pool.*pass exclude_ids=batch"):
            labelnext.select(other, 2, exclude=batch)

    def test_of_no_ids(self):
        batch = labelnext.select(*POOL, 2)
        with pytest.raises(ValueError, match="a batch without ids; pass exclude=batch"):
            labelnext.select(labelnext.Pool(*POOL, ids=[*self.IDS]), 2, exclude_ids=batch)
