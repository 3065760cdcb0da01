"""What is read without being named, and files in which nothing is: said in a line."""

import csv
import io
import os

import numpy as np
import pytest

FILES = ("-p", "probs.npy", "-f", "emb.npy")


def rows(result):
    assert result.exit_code == 0, result.output
    return list(csv.DictReader(io.StringIO(result.stdout)))


@pytest.fixture
def parts(folder):
    (folder / "parts").mkdir()
    for name in ("probs.npy", "emb.npy", "ids.txt"):
        (folder / name).rename(folder / "parts" / name)
    os.chdir("parts")
    return folder / "parts"


@pytest.mark.parametrize("folder_", [".", "../parts", "../parts/"])
def test_of_a_folder_it_says_which_files_it_took(parts, run, folder_):
    result = run("select", folder_, "-k", 3)
    assert all(row["id"].startswith("img-") for row in rows(result))
    said = "proba from probs.npy, features from emb.npy, ids from ids.txt"
    assert result.stderr == f"labelnext: {folder_}: {said}\n"
    (parts / "notes.md").write_text("")
    np.save("old.npy", np.eye(3))
    result = run("select", folder_, "-k", 3)
    assert result.stderr == f"labelnext: {folder_}: {said}; not read: old.npy, notes.md\n"
    named = run("select", folder_, "-k", 3, "-p", "probs.npy", "-f", "emb", "--ids", "ids.txt")
    assert (named.stderr, named.stdout) == ("", result.stdout)


def test_so_does_convert(parts, run):
    result = run("convert", ".", "../made")
    assert result.stderr.startswith("labelnext: .: proba from probs.npy")
    assert rows(run("select", "../made", "-k", 3)) == rows(run("select", ".", "-k", 3))


def test_ids_that_are_given_win(parts, run, ids):
    others = [each.replace("img", "other") for each in ids]
    (parts / "more.txt").write_text("\n".join(others))
    result = run("select", ".", "-k", 3, "--ids", "more.txt")
    assert all(row["id"].startswith("other-") for row in rows(result))
    assert "ids from more.txt; not read: ids.txt" in result.stderr
    np.save("id.npy", np.array(others))
    result = run("select", ".", "-k", 3)
    assert all(row["id"].startswith("other-") for row in rows(result))
    assert "ids from id.npy; not read: ids.txt" in result.stderr


def test_ids_that_do_not_fit_are_refused(parts, run):
    (parts / "ids.txt").write_text("a\nb\n")
    result = run("select", ".", "-k", 3)
    assert result.exit_code == 2
    assert "./ids.txt has 2" in result.stderr


EMPTY = {
    "empty.txt": "",
    "blank.txt": "\n \n\n",
    "marked.txt": "\ufeff",
    "empty.csv": "",
    "header.csv": "id\n",
    "empty.jsonl": "",
    "empty.json": " ",
    "list.json": "[]",
}


@pytest.mark.parametrize("name", EMPTY)
@pytest.mark.parametrize("more", [(), ("--ids", "ids.txt")], ids=["rows", "ids"])
def test_a_list_of_nothing_excludes_nothing(folder, run, name, more):
    (folder / name).write_text(EMPTY[name])
    expected = rows(run("select", *FILES, *more, "-k", 3))
    result = run("select", *FILES, *more, "-x", name, "-k", 3)
    assert rows(result) == expected
    said = f"labelnext: --exclude {name}: nothing is listed there, so it excludes nothing\n"
    assert result.stderr == said


def test_rows_of_nothing(folder, run):
    (folder / "rows.csv").write_text("row\n")
    (folder / "empty.txt").write_text("")
    for name in ("rows.csv", "rows.csv:row", "empty.txt:row"):
        result = run("select", *FILES, "-x", name, "-k", 3)
        assert len(rows(result)) == 3
        assert "nothing is listed there" in result.stderr


@pytest.mark.parametrize(
    ("option", "name"),
    [
        *(("ids", name) for name in EMPTY),
        # Blank lines are labels that are missing, and a column of that name is another.
        *((what, name) for what in ("groups", "labels") for name in EMPTY if name[:5] in "empty"),
    ],
)
def test_nothing_is_no_list_for_all_samples(folder, complaint, name, option):
    (folder / name).write_text(EMPTY[name], encoding="utf-8")
    words = complaint("select", *FILES, f"--{option}", name, "-k", 3)
    assert f"{name} is empty" in words or f"{name}:id is empty" in words


@pytest.mark.parametrize("content", ["", "\n\n", "a\n\nb\n"])
def test_classes_need_names(folder, complaint, content):
    (folder / "names.txt").write_text(content)
    words = complaint("select", *FILES, "--classes", "names.txt", "-k", 3)
    assert "--classes names.txt: " in words
    assert "is empty; give the name of each class" in words


def test_blank_lines_after_the_names_of_classes(folder, run):
    (folder / "names.txt").write_text("a\nb\nc\n\n\n")
    batch = rows(run("select", *FILES, "--classes", "names.txt", "-k", 3))
    assert {row["pseudo_label"] for row in batch} <= {*"abc"}


def test_a_folder_of_everything(folder, complaint, monkeypatch):
    monkeypatch.setattr("labelnext.pools.files.MOST", 20)
    (folder / "many" / "more").mkdir(parents=True)
    for number in range(25):
        (folder / "many" / "more" / f"{number}.txt").write_text("")
    words = complaint("select", "many", "-k", 3)
    assert "has more than 20 files below it; give the folder with those of the pool alone" in words


def test_links_in_a_circle(folder, run, complaint):
    (folder / "parts").mkdir()
    (folder / "pool.parquet").rename(folder / "parts" / "a.parquet")
    for name in ("up", "up-too"):
        (folder / "parts" / name).symlink_to(folder, target_is_directory=True)
    assert len(rows(run("select", "parts", "-k", 3))) == 3
    (folder / "parts" / "a.parquet").unlink()
    assert "it has none" in complaint("select", "parts", "-k", 3)


def test_a_folder_below_that_is_gone_or_not_to_be_read(folder, run, complaint, monkeypatch):
    (folder / "parts" / "below").mkdir(parents=True)
    (folder / "pool.parquet").rename(folder / "parts" / "a.parquet")
    plain, number = os.scandir, 2

    def scan(path):
        if str(path).endswith("below"):
            raise OSError(number, os.strerror(number), str(path))
        return plain(path)

    monkeypatch.setattr(os, "scandir", scan)
    assert len(rows(run("select", "parts", "-k", 3))) == 3
    number = 13
    words = complaint("select", "parts", "-k", 3)
    assert "parts/below may not be read: permission denied; check who may read it, or" in words
