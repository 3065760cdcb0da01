"""The file of a loop: its version, what it refuses, and that nothing of the user's is touched."""

import gc
import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import labelnext
from labelnext.loop import Loop, LoopError, _schema, open_loop
from labelnext.loop.model import fit
from labelnext.samples import Samples

ANN = {"annotator": "ann"}


def new_loop(folder):
    return Loop.create(folder, ["one", "two"], classes=["good", "bad"], test=1, random_state=0)


@pytest.fixture
def folder(tmp_path):
    """The folder of a loop that nobody has open."""
    new_loop(tmp_path / "loop")
    return tmp_path / "loop"


def change(folder, *statements):
    with closing(sqlite3.connect(folder / "loop.sqlite", isolation_level=None)) as db:
        for statement in statements:
            db.execute(statement)


def test_a_loop_of_a_newer_version_is_refused_and_stays(folder):
    change(folder, f"PRAGMA user_version = {len(_schema.MIGRATIONS) + 1}")
    before = (folder / "loop.sqlite").read_bytes()
    with pytest.raises(LoopError, match=r"newer labelnext.*pip install --upgrade labelnext"):
        open_loop(folder)
    assert (folder / "loop.sqlite").read_bytes() == before


def test_an_older_one_is_brought_to_this_version_once(folder, monkeypatch):
    loop = open_loop(folder)
    loop.record("0", "label", "good", **ANN)
    step = "ALTER TABLE rounds ADD COLUMN note TEXT;\nUPDATE rounds SET note = 'old';"
    monkeypatch.setattr(_schema, "MIGRATIONS", (*_schema.MIGRATIONS, step))
    for _ in range(2):
        assert open_loop(folder).rounds()[0]["note"] == "old"
    assert loop.events() == open_loop(folder).events()
    fresh = new_loop(folder.with_name("fresh"))
    assert fresh.rounds()[0]["note"] is None


def test_what_is_asked_of_rounds_is_counted_in_an_older_file(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(_schema, "MIGRATIONS", _schema.MIGRATIONS[:1])
        options = {"classes": ["good", "bad"], "test": 2, "random_state": 0, "overlap": 1.0}
        loop = Loop.create(tmp_path / "l", ["one", "two", "three"], **options)
        change(loop.folder, "UPDATE picks SET need = 1 WHERE rank = 1")  # as if one had answered
    at = open_loop(loop.folder).progress()
    assert (at["round"], at["picks"], at["missing"], at["missing_in_all"]) == (0, 2, 3, 3)


def test_what_an_older_file_says_of_models_gets_the_labels_that_they_had(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(_schema, "MIGRATIONS", _schema.MIGRATIONS[:2])
        loop = Loop.create(tmp_path / "l", [*"abcdefghi"], classes=["x", "y"], test=2)
        for _ in range(2):
            loop.next(labelnext.Pool(features=np.eye(9), ids=loop.samples().ids), 2, random=1.0)
        for each in loop.rounds():
            loop.record(loop.picks(each["number"])[0]["id"], "label", "x", **ANN)
        values = "(1, 'test', 'accuracy', 0.5), (2, 'random', 'accuracy', NULL)"
        change(loop.folder, f"INSERT INTO metrics VALUES {values}")
    found = [tuple(each.values()) for each in open_loop(loop.folder).metrics()]
    assert found == [
        (1, "test", "accuracy", 0.5, 1, 1, "unnamed"),
        (2, "random", "accuracy", None, 2, None, "unnamed"),
    ]


def test_a_migration_that_fails_leaves_all_as_it_was(folder, monkeypatch):
    step = "ALTER TABLE rounds ADD COLUMN note TEXT;\nINSERT INTO nowhere VALUES (1);"
    with monkeypatch.context() as patch:
        patch.setattr(_schema, "MIGRATIONS", (*_schema.MIGRATIONS, step))
        with pytest.raises(sqlite3.OperationalError, match="nowhere"):
            open_loop(folder)
    assert "note" not in open_loop(folder).rounds()[0]


def test_a_folder_that_is_no_loop(tmp_path):
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(LoopError, match=r"is no loop: it has no file loop\.sqlite.*create"):
            open_loop(path)
    other = sqlite3.connect(tmp_path / "loop.sqlite")
    other.execute("CREATE TABLE mine (x)")
    other.close()
    before = (tmp_path / "loop.sqlite").read_bytes()
    for content in (before, b"", b"id,text\n1,hello\n", before[:50]):
        (tmp_path / "loop.sqlite").write_bytes(content)
        with pytest.raises(LoopError, match="no file of a loop"):
            open_loop(tmp_path)
        assert (tmp_path / "loop.sqlite").read_bytes() == content


def test_a_loop_is_never_overwritten_and_other_files_stay(folder):
    open_loop(folder).record("0", "label", "good", **ANN)
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="exists already: open the loop with"):
        new_loop(folder)
    assert len(open_loop(folder).events()) == 1
    assert (folder / "notes.txt").read_text() == "mine"


def test_of_two_that_make_one_the_first_wins(tmp_path, monkeypatch):
    fill = _schema._fill

    def meanwhile(*args):
        monkeypatch.undo()
        new_loop(tmp_path).record("0", "label", "good", **ANN)
        fill(*args)

    monkeypatch.setattr(_schema, "_fill", meanwhile)
    with pytest.raises(FileExistsError, match="exists already"):
        new_loop(tmp_path)
    assert len(open_loop(tmp_path).events()) == 1
    with pytest.raises(FileExistsError, match="is no folder"):
        new_loop(tmp_path / "loop.sqlite")


def test_what_another_loop_has_left_is_not_taken_for_its_own(tmp_path):
    (tmp_path / "loop.sqlite-wal").write_text("left")
    with pytest.raises(FileExistsError, match=r"loop\.sqlite-wal is there.*move it away"):
        new_loop(tmp_path)
    assert (tmp_path / "loop.sqlite-wal").read_text() == "left"


def test_a_folder_of_the_users_is_taken_as_it_is(tmp_path):
    (tmp_path / "photo.png").write_bytes(b"x")
    new_loop(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir() if "-" not in p.name) == [
        "loop.sqlite",
        "photo.png",
    ]


def test_a_creation_that_fails_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(_schema, "_fill", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        new_loop(tmp_path / "loop")
    assert list((tmp_path / "loop").iterdir()) == []


@pytest.mark.parametrize("kind", ["nfs4", "fuse.sshfs", "drvfs"])
def test_a_network_file_system_is_refused(tmp_path, monkeypatch, kind):
    mounts = tmp_path / "mountinfo"
    away = tmp_path / "a way to Ωmega"
    said = str(away).replace(" ", r"\040")
    mounts.write_text(
        f"22 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw\n"
        f"23 22 0:1 / {said} rw,nosuid shared:2 master:3 - {kind} server:/x rw\n".replace(
            "- drvfs server:/x rw", "- 9p C:\\134 rw,aname=drvfs"
        )
    )
    monkeypatch.setattr(_schema, "MOUNTS", str(mounts))
    new_loop(tmp_path / "loop")
    with pytest.raises(LoopError, match=re.escape(f"network file system ({kind})")):
        new_loop(away / "deep" / "loop")
    assert not away.exists()
    shutil.copytree(tmp_path / "loop", away / "loop")
    with pytest.raises(LoopError, match="put the loop on a disk of this machine"):
        open_loop(away / "loop")
    monkeypatch.setattr(_schema, "MOUNTS", str(tmp_path / "none"))
    open_loop(away / "loop")


def test_a_damaged_file_says_so(folder):
    content = bytearray((folder / "loop.sqlite").read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    (folder / "loop.sqlite").write_bytes(content)
    with pytest.raises(LoopError, match=r"is damaged.*recover"):
        open_loop(folder).rounds()


def test_a_file_that_is_gone_is_not_made_again(folder):
    loop = open_loop(folder)
    loop._database._local = type(loop._database._local)()  # as another thread has it
    (folder / "loop.sqlite").unlink()
    with pytest.raises(LoopError, match="is gone"):
        loop.rounds()
    assert not (folder / "loop.sqlite").exists()


def test_a_write_that_waits_too_long_says_so(folder, monkeypatch):
    monkeypatch.setattr(_schema, "WAIT", 0.01)
    loop = open_loop(folder)
    with (
        open_loop(folder)._database.writing(),
        pytest.raises(LoopError, match="in use: another process has been writing"),
    ):
        open_loop(folder).record("0", "label", "good", **ANN)
    assert loop.events() == []  # and readers never wait


@pytest.mark.parametrize("statement", ["DELETE FROM events", "UPDATE events SET value = '1'"])
def test_events_are_append_only(folder, statement):
    loop = open_loop(folder)
    loop.record("0", "label", "good", **ANN)
    with pytest.raises(sqlite3.IntegrityError, match=r"events never|events are never"):
        change(folder, statement)


@pytest.mark.parametrize("beside", [True, False])
def test_files_are_found_where_the_folders_have_moved(tmp_path, beside):
    photos = tmp_path / "one" / "photos" if beside else tmp_path / "photos"
    photos.mkdir(parents=True)
    samples = Samples(["a", "b"], "image", ["a.png", "b.png"], root=photos)
    Loop.create(tmp_path / "one" / "loop", samples, classes=["x", "y"])
    (tmp_path / "one").rename(tmp_path / "two")
    assert open_loop(tmp_path / "two" / "loop").root == (
        tmp_path / "two" / "photos" if beside else photos
    )


def photos_in(folder, colour=0):
    folder.mkdir()
    for at in range(4):
        Image.new("L", (4, 4), colour + at).save(folder / f"{at}.bmp")  # all of one size
    return folder


def test_the_folder_of_the_files_may_be_named_anew(tmp_path):
    photos = photos_in(tmp_path / "photos")
    loop = Loop.create(tmp_path / "loop", photos, classes=["x", "y"])
    assert fit(loop).pool.n_features
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "loop" / "features").iterdir()}
    moved = photos.rename(tmp_path / "moved")
    with pytest.raises(ValueError, match=r"4 of 4 files are not .*loop\.change\(root"):
        loop.next(k=1)
    other = photos_in(tmp_path / "other", 9)
    for folder, words in [
        (tmp_path / "gone", "There is no folder"),
        (tmp_path, "4 of 4 files are not in .*the first 0.bmp"),
        (other, "4 of 4 compared files are not as .*the first 0.bmp"),
    ]:
        with pytest.raises(ValueError, match=words):
            loop.change(root=folder, classes=["x", "y", "z"])
    assert (loop.root, loop.classes) == (photos, ["x", "y"])
    loop.change(root=str(moved))
    assert loop.root == loop.samples().root == moved
    assert loop.next(k=2, random=0).ids.size == 2
    assert kept == {path: path.stat().st_mtime_ns for path in kept}  # none was computed again
    (moved / "3.bmp").unlink()
    loop.change(root=moved)


def test_only_files_have_a_folder(tmp_path):
    loop = Loop.create(tmp_path / "loop", ["a", "b"], classes=["x", "y"])
    with pytest.raises(ValueError, match="are texts, which are in the loop"):
        loop.change(root=tmp_path)
    photos = photos_in(tmp_path / "photos")
    paths = [str(photos / f"{at}.bmp") for at in range(4)]
    samples = Samples([*"abcd"], "image", paths, root=tmp_path)
    loop = Loop.create(tmp_path / "two", samples, classes=["x", "y"])
    photos.rename(tmp_path / "moved")
    with pytest.raises(ValueError, match=r"are named by whole paths.*ln -s"):
        loop.change(root=tmp_path / "moved")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"classes": None}, "classes must be named"),
        ({"classes": ["one"]}, "2 classes at least"),
        ({"classes": ["a", "a"]}, "'a' more than once"),
        ({"classes": ["a", 1]}, "classes must be texts, got 1; write it as '1'"),
        ({"classes": "ab"}, "classes must be a list, got"),
        ({"classes": ["a", " "]}, "has an empty name, in place 2 of 2"),
        ({"task": "regresion"}, "did you mean 'regression'"),
        ({"task": "regression"}, "there are no classes"),
        ({"test": 2}, "below the number of samples, 2, got 2"),
        ({"test": 0.5}, "test must be an integer"),
        ({"overlap": 1.5}, "share from 0 to 1"),
        ({"guidelines": 3}, "guidelines must be a text"),
    ],
)
def test_a_loop_that_cannot_be_meant_is_refused(tmp_path, options, said):
    with pytest.raises((ValueError, TypeError), match=said):
        Loop.create(tmp_path / "loop", ["one", "two"], **{"classes": ["a", "b"]} | options)
    assert not Path(tmp_path / "loop").exists()


@pytest.mark.parametrize(
    ("samples", "said"),
    [
        ((["a", "a"], ["x", "y"]), "1 id is there more than once: 'a'"),
        ((["a", "b"], ["x"]), "contents of the samples has 1 entry and ids has 2"),
        ((["a", "b"], ["x", "\ud800"]), "UTF-8 can hold, got .* at row 1"),
        ((["a", 1], ["x", "y"]), "ids of the samples must be texts.*got 1 at row 1"),
        (([], []), "no samples"),
    ],
)
def test_samples_that_cannot_be_kept_are_refused(tmp_path, samples, said):
    from labelnext.samples import Samples

    with pytest.raises(ValueError, match=said):
        Loop.create(tmp_path, Samples(samples[0], "text", samples[1]), classes=["a", "b"])
    assert list(tmp_path.iterdir()) == []


def test_each_write_waits_for_the_disk(folder):
    with open_loop(folder)._database.reading() as db:
        settings = {
            name: db.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("journal_mode", "synchronous", "foreign_keys")
        }
    assert settings == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}


def test_a_loop_that_is_opened_twice_loses_nothing_to_another_process(tmp_path):
    """To close a file of one's own takes away SQLite's locks on it, and with them the log."""
    folder = tmp_path / "loop"
    loop = Loop.create(folder, [*"abcd"], classes=["x", "y"])
    loop.add_labels(["0"], ["x"], annotator="ann", source="test")
    open_loop(folder)
    script = (
        "import labelnext, sys; loop = labelnext.open_loop(sys.argv[1]); "
        "loop.add_labels([sys.argv[2]], ['x'], annotator='bo', source='test'); "
        "print(loop.progress()['labeled'])"
    )

    def other(sample):
        command = [sys.executable, "-c", script, str(folder), sample]
        return int(subprocess.run(command, check=True, capture_output=True).stdout)

    assert other("1") == 2
    loop.add_labels(["2"], ["x"], annotator="ann", source="test")
    assert other("3") == 4
    assert loop.progress()["labeled"] == 4


@pytest.mark.parametrize("at_work", [False, True])
def test_a_loop_that_may_only_be_read(tmp_path, monkeypatch, at_work):
    """As another user's, while that one works with it or not."""
    owner = Loop.create(tmp_path / "loop", ["a", "b"], classes=["x", "y"])
    owner.add_labels(["1"], ["y"], annotator="ann", source="here")
    if not at_work:
        del owner
        gc.collect()
        assert not (tmp_path / "loop" / "loop.sqlite-wal").exists()
    before = sorted(path.name for path in (tmp_path / "loop").iterdir())
    monkeypatch.setattr(_schema.Database, "_may_write", lambda self: False)
    loop = Loop(tmp_path / "loop")
    assert loop.labels().y.tolist() == [None, "y"]
    with pytest.raises(LoopError, match=r"can be read, but not changed.*copy the folder"):
        loop.add_labels(["0"], ["x"], annotator="ann", source="here")
    assert sorted(path.name for path in (tmp_path / "loop").iterdir()) == before
    monkeypatch.undo()
    Loop(tmp_path / "loop").add_labels(["0"], ["x"], annotator="ann", source="here")
    assert loop.labels().y.tolist() == ["x", "y"]


def test_scores_of_an_older_version_are_of_labels_and_ties_are_none(tmp_path):
    loop = Loop.create(tmp_path / "l", list("vwxyz"), classes=["a", "b"], test=3, random_state=0)
    test = [pick["id"] for pick in loop.picks(0)]
    rest = [name for name in map(str, range(5)) if name not in test]
    for who, values in {"ann": ["a", "a", "a"], "bo": ["a", "b", "b"]}.items():
        loop.add_labels(test, values, annotator=who, source="csv")
    loop.record(test[1], "adjudicate", "b", annotator="ann")
    loop.add_labels(rest, ["a", "b"], annotator="ann", source="csv")
    loop.add_labels(rest[1:], ["a"], annotator="bo", source="csv")
    loop.close({"accuracy": 0.5})
    expected = loop.metrics()
    assert [(each["labels"], each["tested"]) for each in expected] == [(1, 2)]
    change(
        loop.folder,
        "CREATE TABLE before AS SELECT round, split, name, value FROM metrics",
        "DROP TABLE metrics",
        "ALTER TABLE before RENAME TO metrics",
        "PRAGMA user_version = 2",
    )
    assert open_loop(loop.folder).metrics() == expected
