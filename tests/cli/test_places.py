"""Where the command may write, and that it never writes over what it reads."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from labelnext.pools import open_pool

INPUTS = {
    "pool": ["pool.parquet"],
    "proba": ["-p", "probs.npy", "-f", "emb.npy"],
    "ids": ["pool.parquet", "--ids", "ids.txt"],
    "groups": ["pool.parquet", "--groups", "groups.txt"],
    "labels": ["pool.parquet", "--labels", "labels.txt"],
    "classes": ["pool.parquet", "--classes", "names.txt"],
    "exclude": ["pool.parquet", "-x", "batch.csv"],
    "named column": ["pool.parquet", "-x", "batch.csv:id"],
}
SPELT = {
    "the same": lambda name: name,
    "relative": lambda name: f"./x/../{name}",
    "absolute": os.path.abspath,
    "link": lambda name: _linked(name, os.symlink),
    "hard link": lambda name: _linked(name, os.link),
}


def _linked(name, link):
    other = f"other{Path(name).suffix}"
    link(name, other)
    return other


@pytest.fixture
def inputs(folder):
    (folder / "x").mkdir()
    (folder / "groups.txt").write_text("g\n" * 40)
    (folder / "labels.txt").write_text("\n".join(["0", *[""] * 38, "1"]))
    (folder / "names.txt").write_text("a\nb\nc")
    (folder / "batch.csv").write_text("id\nimg-003\n")
    return folder


@pytest.mark.parametrize("spelt", SPELT)
@pytest.mark.parametrize("given", INPUTS)
def test_an_input_is_never_an_output(inputs, complaint, given, spelt):
    arguments = INPUTS[given]
    name = arguments[-1].partition(":")[0] if given != "proba" else "probs.npy"
    before = (inputs / name).read_bytes()
    place = SPELT[spelt](name)
    option = "-o" if Path(name).suffix in (".csv", ".parquet") else "--checkpoint"
    words = complaint("select", *arguments, "-k", 2, "--force", option, place)
    assert "is read from there; choose another folder or name" in words
    assert (inputs / name).read_bytes() == before


def test_two_outputs_are_two_files(folder, complaint):
    words = complaint("select", "pool.parquet", "-k", 2, "-o", "b.json", "--checkpoint", "./b.json")
    assert "--checkpoint b.json: --output is written there; name another file" in words


def test_nothing_is_added_to_a_folder_that_is_read(folder, run, complaint):
    (folder / "parts").mkdir()
    (folder / "pool.parquet").rename(folder / "parts" / "a.parquet")
    words = complaint("select", "parts", "-k", 2, "-o", "parts/b.parquet")
    assert "is read from there" in words
    # A list beside it is no part of it.
    assert run("select", "parts", "-k", 2, "-o", "parts/b.csv").exit_code == 0
    assert run("select", "parts", "-k", 2, "-o", "parts/b.csv", "--force").exit_code == 0
    run("convert", "parts", "made")
    before = (folder / "made" / "pool.json").read_bytes()
    for name in ("pool.json", "settings.json", "shard-00000/shard.json"):
        words = complaint("select", "made", "-k", 2, "--force", "-o", f"made/{name}")
        assert "is read from there" in words
    assert (folder / "made" / "pool.json").read_bytes() == before


@pytest.mark.parametrize("spelt", ["the same", "relative", "absolute", "link"])
def test_convert_does_not_replace_what_it_reads(folder, run, complaint, spelt):
    (folder / "x").mkdir()
    assert run("convert", "pool.parquet", "made").exit_code == 0
    out = SPELT[spelt]("made")
    for sources in (["made"], ["-f", "made/shard-00000/features.npy"]):
        assert "is read from there" in complaint("convert", *sources, out, "--force")
    assert open_pool("made").n_rows == 40


@pytest.mark.parametrize("source", ["made", "parts", "."])
def test_convert_adds_nothing_to_a_folder_that_it_reads(folder, run, complaint, source):
    assert run("convert", "pool.parquet", "made").exit_code == 0
    (folder / "parts").mkdir()
    (folder / "pool.parquet").rename(folder / "parts" / "a.parquet")
    for option in ((), ("--force",)):
        assert "is read from there" in complaint("convert", source, f"{source}/sub", *option)
        assert not (folder / source / "sub").exists()


class TestConvert:
    """A convert that fails leaves what was there, and nothing that blocks the next try."""

    def test_the_old_pool_stays_until_the_new_one_is_whole(self, folder, run, complaint, arrays):
        assert run("convert", "pool.parquet", "made").exit_code == 0
        features = arrays[1].copy()
        np.save("emb.npy", features)
        content = (folder / "emb.npy").read_bytes()
        (folder / "emb.npy").write_bytes(content[:-8])
        assert "emb.npy" in complaint("convert", "probs.npy", "emb.npy", "made", "--force")
        assert open_pool("made").n_rows == 40
        assert sorted(p.name for p in folder.glob("*made*")) == ["made"]

    @pytest.mark.parametrize("force", [False, True])
    @pytest.mark.parametrize("error", [OSError(5, "Input/output error"), ValueError("broken.")])
    @pytest.mark.parametrize("shard", [0, 2])
    def test_whatever_fails(self, folder, run, complaint, monkeypatch, force, error, shard):
        from labelnext.pools import PoolWriter

        if force:
            assert run("convert", "pool.npz", "made").exit_code == 0
        write = PoolWriter.write

        def fail(self, number, **rest):
            if number == shard:
                raise error
            write(self, number, **rest)

        monkeypatch.setattr(PoolWriter, "write", fail)
        option = ["--force"] if force else []
        complaint("convert", "pool.parquet", "made", "--rows-per-shard", 9, *option)
        monkeypatch.setattr(PoolWriter, "write", write)
        if force:
            assert open_pool("made").n_rows == 40
        resumed = isinstance(error, OSError) and shard and not force
        assert (folder / "made").exists() == bool(force or resumed)
        option = ["--resume"] if resumed else option
        result = run("convert", "pool.parquet", "made", "--rows-per-shard", 9, *option)
        assert result.exit_code == 0, result.output
        assert not [*folder.glob(".*")]

    @pytest.mark.parametrize("last", ["x" * 2000, "zero\0", "\ud800"])
    def test_what_a_folder_cannot_hold_is_found_first(self, folder, complaint, arrays, last):
        (folder / "ids.json").write_text(json.dumps([*map(str, range(39)), last]))
        complaint("convert", "pool.npz", "made", "--ids", "ids.json", "--rows-per-shard", 9)
        assert not (folder / "made").exists()

    @pytest.mark.parametrize("there", [True, False])
    def test_interrupted_with_force(self, folder, run, monkeypatch, there):
        from labelnext.pools import PoolWriter

        if there:
            assert run("convert", "pool.npz", "made").exit_code == 0

        def interrupted(*_):
            raise KeyboardInterrupt

        monkeypatch.setattr(PoolWriter, "finish", interrupted)
        result = run("convert", "pool.parquet", "made", "--force")
        assert result.exit_code == 130
        assert result.stderr == "labelnext: interrupted: what was there is as it was\n"
        assert open_pool("made").n_rows == 40 if there else not (folder / "made").exists()
        assert not [*folder.glob(".*")]


class TestBeforeTheWork:
    @pytest.fixture(autouse=True)
    def _no_work(self, monkeypatch):
        monkeypatch.setattr("labelnext.select", None)

    @pytest.mark.parametrize(
        ("option", "name", "words"),
        [
            ("-o", "loop.csv", "its symbolic links lead in a circle; choose another name"),
            ("-o", "a" * 300 + ".csv", "the name is too long; choose a shorter one"),
            ("-o", "null.csv", "this is no ordinary file; choose another name"),
            ("-o", "pool.npz/b.csv", "pool.npz is no folder; choose another place"),
            ("--plot", "loop.png", "its symbolic links lead in a circle"),
            ("--checkpoint", "loop.csv", "its symbolic links lead in a circle"),
            ("--checkpoint", "x", "this is a folder; name a file in it"),
            ("--checkpoint", "null.csv", "this is no ordinary file"),
        ],
    )
    def test_places(self, folder, complaint, option, name, words):
        (folder / "x").mkdir()
        for loop in ("loop.csv", "loop.png"):
            (folder / loop).symlink_to(loop)
        (folder / "null.csv").symlink_to("/dev/null")
        said = complaint("select", "pool.parquet", "-k", 2, "--force", option, name)
        assert words in said

    def test_the_current_folder_is_gone(self, folder, complaint, monkeypatch):
        (folder / "gone").mkdir()
        monkeypatch.chdir(folder / "gone")
        (folder / "gone").rmdir()
        for option in ("-o", "--checkpoint"):
            words = complaint("select", folder / "pool.npz", "-k", 2, option, "b.csv")
            assert "the current folder is gone; change to another" in words
        assert "the current folder is gone" in complaint("convert", folder / "pool.npz", "made")

    @pytest.mark.parametrize("what", ["ids", "groups", "classes"])
    def test_half_a_character(self, folder, complaint, what):
        n = 2 if what == "classes" else 39
        (folder / "half.json").write_text(json.dumps(["\ud800", *map(str, range(n))]))
        words = complaint("select", "pool.npz", "-k", 2, f"--{what}", "half.json")
        assert "half.json: what is at row 0 is no text that UTF-8 can hold" in words
        assert "uuid" not in words

    def test_classes_that_are_no_text(self, folder, complaint):
        assert r"--classes: '\udcff' is" in complaint(
            *("select", "pool.npz", "-k", 2, "--classes", "a,\udcff,c", "-o", "b.csv")
        )
        assert not (folder / "b.csv").exists()
        assert r"--classes: '\udcff' is" in complaint(
            *("convert", "pool.npz", "made", "--classes", "a,\udcff,c")
        )


def test_ids_of_all_kinds_come_back_by_their_batch(folder, run):
    odd = ["a\rb", "a\nb", "a\r\nb", 'say "a", "b"', "a\0b", "\x1b[2J", "[red]x[/]"]
    ids = [*odd, *map(str, range(33))]
    (folder / "ids.json").write_text(json.dumps(ids))
    known = ["select", "pool.npz", "--ids", "ids.json"]
    for ending in ("csv", "json", "jsonl", "parquet"):
        assert run(*known, "-k", 38, "-o", f"b.{ending}").exit_code == 0
        rest = run(*known, "-k", 2, "-x", f"b.{ending}")
        assert rest.exit_code == 0, rest.output
        assert len(rest.stdout.splitlines()) == 3


def test_another_number_of_rows_is_named_as_its_option(folder, run, complaint):
    assert run("convert", "pool.npz", "made", "--rows-per-shard", 20).exit_code == 0
    (folder / "made/pool.json").unlink()
    asked = ("convert", "pool.npz", "made", "--resume", "--rows-per-shard", 30)
    words = "begun with --rows-per-shard 20, and now --rows-per-shard is 30;"
    assert words in complaint(*asked)


def test_an_amount_of_memory_needs_a_unit(folder, run, complaint):
    said = complaint("select", "pool.parquet", "-k", 2, "--memory-limit", "10000000")
    assert said.endswith("as in '1GB', '1.5GB' or '500MiB'\n")
