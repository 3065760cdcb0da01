"""Whatever writes a pool: nothing of the user's is deleted or replaced, from no door."""

import os

import numpy as np
import pytest
from torch import nn

import labelnext
from labelnext.pools import PoolWriter, open_source, write_pool

PROBA = np.random.default_rng(0).dirichlet(np.ones(3), 10).astype(np.float32)
FEATURES = np.random.default_rng(1).normal(size=(10, 4)).astype(np.float32)


def by_write_pool(folder, force):
    write_pool(folder, PROBA, FEATURES, overwrite=force)


def by_pool_writer(folder, force):
    writer = PoolWriter(folder, overwrite=force)
    writer.write(0, PROBA, FEATURES)
    writer.finish()


def by_extract(folder, force):
    network = nn.Sequential(nn.Linear(4, 3))
    labelnext.extract(network, FEATURES, out=folder, batch_size=10, overwrite=force)


def by_convert(folder, force):
    from labelnext.cli import app

    source = folder.parent / "source.npz"
    np.savez(source, proba=PROBA, features=FEATURES)
    try:
        app(["convert", str(source), str(folder), *(["--force"] if force else [])])
    except SystemExit as done:
        if done.code:
            raise FileExistsError("refused") from None
    finally:
        source.unlink()


DOORS = [by_write_pool, by_pool_writer, by_extract, by_convert]


def snapshot(folder):
    """Return all files below a folder with their content, and the links."""
    return {
        path.relative_to(folder): os.readlink(path)
        if path.is_symlink()
        else path.read_bytes()
        if path.is_file()
        else None
        for path in folder.rglob("*")
    }


FOREIGN = {
    "settings": ("settings.json", '{"editor.fontSize": 12}'),
    "manifest": ("pool.json", '{"swimming": true}'),
    "no json": ("settings.json", "[section]"),
    "deep json": ("settings.json", "[" * 100_000),
    "git": (".git/HEAD", "ref: refs/heads/main"),
    "env": (".env", "TOKEN=1"),
    "draft of another's": (".thesis.tex.tmp", "half"),
    "nearly a draft": (".shard-00000.0123.tmp", "half"),
    "shard": ("shard-00000/part.bin", "database"),
    "shard with a record": ("shard-00000/shard.json", '{"host": "db1"}'),
    "file named as a shard": ("shard-00000", "database"),
    "weights": ("last_layer.npz", "mine"),
    "notes": ("notes.txt", "mine"),
}


CASES = [(door, "a pool") for door in DOORS]
CASES += [(door, beside) for door in DOORS[:2] for beside in ("nothing", "an unfinished pool")]


@pytest.mark.one_of(2)
@pytest.mark.parametrize(("door", "beside"), CASES)
@pytest.mark.parametrize("name", FOREIGN)
def test_a_folder_with_anything_else_is_refused(tmp_path, door, beside, name):
    folder = tmp_path / "folder"
    if beside != "nothing":
        by_write_pool(folder, False)
    if beside == "an unfinished pool":
        (folder / "pool.json").unlink()
    path, content = folder / FOREIGN[name][0], FOREIGN[name][1]
    if path.is_dir():
        path = path / "more"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    before = snapshot(tmp_path)
    with pytest.raises(FileExistsError):
        door(folder, True)
    assert snapshot(tmp_path) == before


def test_the_file_is_named_and_what_to_do(tmp_path):
    by_write_pool(tmp_path / "pool", False)
    (tmp_path / "pool" / "shard-00000" / "notes.txt").write_text("mine")
    message = r"other files .* \(shard-00000/notes\.txt\); move shard-00000/notes\.txt elsewhere"
    with pytest.raises(FileExistsError, match=message):
        by_write_pool(tmp_path / "pool", True)
    (tmp_path / "pool" / "shard-00000" / "notes.txt").rename(tmp_path / "notes.txt")
    by_write_pool(tmp_path / "pool", True)


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("state", ["finished", "unfinished", "without settings"])
def test_what_would_have_to_be_moved_is_said_first(tmp_path, door, state):
    folder = tmp_path / "pool"
    by_write_pool(folder, False)
    if state != "finished":
        (folder / "pool.json").unlink()
    if state == "without settings":
        (folder / "settings.json").unlink()
    (folder / "shard-00000" / "notes.txt").write_text("mine")
    if door is by_convert:  # whose errors are of the command
        door = by_write_pool
    with pytest.raises(FileExistsError, match=r"move shard-00000/notes\.txt elsewhere"):
        door(folder, False)


@pytest.mark.parametrize("state", ["finished", "unfinished", "without settings"])
def test_write_pool_advises_what_it_takes(tmp_path, state):
    by_write_pool(tmp_path / "pool", False)
    for name in {"unfinished": ["pool.json"], "finished": []}.get(
        state, ["pool.json", "settings.json"]
    ):
        (tmp_path / "pool" / name).unlink()
    with pytest.raises(FileExistsError, match=r"delete (it|them) with overwrite=True, or") as told:
        by_write_pool(tmp_path / "pool", False)
    assert "resume" not in str(told.value)
    by_write_pool(tmp_path / "pool", True)
    assert open_source(tmp_path / "pool").n_rows == 10


@pytest.mark.parametrize("door", DOORS)
def test_hidden_files_of_others_stay_where_nothing_is_deleted(tmp_path, door):
    (tmp_path / "pool").mkdir()
    (tmp_path / "pool" / ".gitignore").write_text("*")
    (tmp_path / "pool" / ".thesis.tex.tmp").write_text("half")
    door(tmp_path / "pool", False)
    assert (tmp_path / "pool" / ".gitignore").read_text() == "*"
    assert (tmp_path / "pool" / ".thesis.tex.tmp").read_text() == "half"
    assert open_source(tmp_path / "pool").n_rows == 10


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("before", ["a pool", "nothing"])
def test_a_link_is_followed_and_stays(tmp_path, door, before):
    (tmp_path / "disk").mkdir()
    if before == "a pool":
        write_pool(tmp_path / "disk" / "pool", PROBA[:5], FEATURES[:5])
    (tmp_path / "link").symlink_to(tmp_path / "disk" / "pool")
    door(tmp_path / "link", before == "a pool")
    assert (tmp_path / "link").is_symlink()
    assert open_source(tmp_path / "disk" / "pool").n_rows == 10
    assert sorted(os.listdir(tmp_path)) == ["disk", "link"]
    assert os.listdir(tmp_path / "disk") == ["pool"]


@pytest.mark.parametrize("door", DOORS)
def test_a_link_in_place_of_a_pools_file_is_not_a_pools(tmp_path, door):
    by_write_pool(tmp_path / "pool", False)
    (tmp_path / "pool" / "settings.json").rename(tmp_path / "mine.json")
    (tmp_path / "pool" / "settings.json").symlink_to(tmp_path / "mine.json")
    before = snapshot(tmp_path)
    with pytest.raises(FileExistsError):
        door(tmp_path / "pool", True)
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("kind", ["file", "circle", "pipe"])
def test_what_is_no_folder_is_refused(tmp_path, door, force, kind):
    path = tmp_path / "pool"
    if kind == "file":
        path.write_text("mine")
    elif kind == "circle":
        path.symlink_to(path)
    else:
        os.mkfifo(path)
    with pytest.raises(FileExistsError):
        door(path, force)
    assert os.listdir(tmp_path) == ["pool"]
    assert not path.is_dir()


@pytest.mark.parametrize("door", [by_write_pool, by_convert, by_extract])
def test_what_comes_while_the_new_pool_is_written_stays(tmp_path, monkeypatch, door):
    write_pool(tmp_path / "pool", PROBA[:5], FEATURES[:5])
    finish = PoolWriter.finish

    def meanwhile(self, *n_shards):
        (tmp_path / "pool" / "notes.txt").write_text("mine")
        finish(self, *n_shards)

    monkeypatch.setattr(PoolWriter, "finish", meanwhile)
    with pytest.raises(FileExistsError):
        door(tmp_path / "pool", True)
    assert (tmp_path / "pool" / "notes.txt").read_text() == "mine"
    assert open_source(tmp_path / "pool").n_rows == 5
    assert os.listdir(tmp_path) == ["pool"]


@pytest.mark.parametrize("door", [by_write_pool, by_pool_writer, by_extract])
def test_a_file_in_a_folder_named_as_a_shard_is_named_at_once(tmp_path, door):
    (tmp_path / "pool" / "shard-00000").mkdir(parents=True)
    (tmp_path / "pool" / "shard-00000" / "x.txt").write_text("mine")
    for force in (False, True):
        with pytest.raises(FileExistsError, match=r"move shard-00000/x\.txt elsewhere"):
            door(tmp_path / "pool", force)
