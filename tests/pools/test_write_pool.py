"""Writing a pool in one call: whole or not at all, and never over something else."""

import os

import numpy as np
import pytest
import torch

import labelnext
from labelnext.pools import ArraySource, PoolWriter, open_source, write_pool

PROBA = np.random.default_rng(0).random((10, 3)).astype(np.float32)
FEATURES = np.random.default_rng(1).normal(size=(10, 4)).astype(np.float16)


def test_is_exported():
    assert labelnext.write_pool is write_pool


def test_writes_shards_of_the_rows_asked_for(tmp_path):
    write_pool(tmp_path / "pool", PROBA, FEATURES, bias=True, task="multilabel", rows_per_shard=4)
    source = open_source(tmp_path / "pool")
    assert (source.task, source.bias) == ("multilabel", True)
    assert source.where(9).endswith("shard-00002/proba.npy")
    assert np.array_equal(source.read("features", 0, 10), FEATURES)
    assert source.ids() is None


def test_shards_have_a_fixed_size_in_bytes(tmp_path, monkeypatch):
    from labelnext.pools import _write_pool

    monkeypatch.setattr(_write_pool, "SHARD_BYTES", 5 * (3 * 4 + 4 * 2))
    write_pool(tmp_path / "pool", PROBA, FEATURES)
    assert sorted(p.name for p in (tmp_path / "pool").glob("shard*")) == [
        "shard-00000",
        "shard-00001",
    ]


def test_takes_tensors_and_lists(tmp_path):
    write_pool(tmp_path / "a", torch.from_numpy(PROBA), torch.from_numpy(FEATURES))
    assert np.array_equal(open_source(tmp_path / "a").read("proba", 0, 10), PROBA)
    write_pool(tmp_path / "b", [0.5, 0.25], [[1], [2]], ids=["a", "b"])
    source = open_source(tmp_path / "b")
    assert source.one_dimensional
    assert source.ids().tolist() == ["a", "b"]


def test_a_source_says_itself_what_it_is(tmp_path):
    write_pool(tmp_path / "a", PROBA[:, 0], FEATURES, bias=True, task="binary", ids=range(10))
    write_pool(tmp_path / "b", open_source(tmp_path / "a"), rows_per_shard=3)
    source = open_source(tmp_path / "b")
    assert (source.task, source.bias, source.one_dimensional) == ("binary", True, True)
    assert source.ids().tolist() == list(range(10))
    write_pool(tmp_path / "c", source, bias=False, task="multiclass")
    assert (open_source(tmp_path / "c").task, open_source(tmp_path / "c").bias) == (
        "multiclass",
        False,
    )


def test_replaces_a_pool_if_asked_to(tmp_path):
    write_pool(tmp_path / "pool", PROBA, FEATURES)
    with pytest.raises(FileExistsError, match="holds a pool already"):
        write_pool(tmp_path / "pool", PROBA, FEATURES)
    # It may be made of itself.
    write_pool(tmp_path / "pool", open_source(tmp_path / "pool").part(2, 8), overwrite=True)
    assert np.array_equal(open_source(tmp_path / "pool").read("proba", 0, 6), PROBA[2:8])
    assert os.listdir(tmp_path) == ["pool"]
    write_pool(tmp_path / "new", PROBA, FEATURES, overwrite=True)
    assert open_source(tmp_path / "new").n_rows == 10


class Broken(ArraySource):
    """Its last rows cannot be read."""

    def read(self, part, lo, hi):
        if hi == 10:
            raise OSError("the cable is out")
        return super().read(part, lo, hi)


@pytest.mark.parametrize("before", ["nothing", "empty", "pool"])
def test_leaves_everything_as_it_was_if_it_fails(tmp_path, before):
    folder = tmp_path / "pool"
    if before == "empty":
        folder.mkdir()
    if before == "pool":
        write_pool(folder, PROBA[:5], FEATURES[:5])
    with pytest.raises(OSError, match="the cable is out"):
        write_pool(folder, Broken(PROBA, FEATURES), rows_per_shard=4, overwrite=True)
    if before == "pool":
        assert open_source(folder).n_rows == 5
    if before == "empty":
        assert os.listdir(folder) == []
    assert os.listdir(tmp_path) == ([] if before == "nothing" else ["pool"])


def test_never_replaces_something_else(tmp_path):
    (tmp_path / "thesis.tex").write_text("all of it")
    for overwrite in (False, True):
        with pytest.raises(FileExistsError, match="holds other files"):
            write_pool(tmp_path, PROBA, FEATURES, overwrite=overwrite)
    assert os.listdir(tmp_path) == ["thesis.tex"]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((), ValueError, "needs probabilities, features or both"),
        ((ArraySource(PROBA, FEATURES), FEATURES), TypeError, "either a pool"),
        ((PROBA, FEATURES[:9]), ValueError, "10 rows of proba and 9 of features"),
        ((np.array([[None]]), FEATURES), TypeError, "proba must hold real numbers"),
    ],
    ids=["half", "both", "lengths", "objects"],
)
def test_refuses_what_is_no_pool(tmp_path, arguments, error, message):
    with pytest.raises(error, match=message):
        write_pool(tmp_path / "pool", *arguments)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rows_per_shard": 0}, "at least 1, got 0"),
        ({"task": "clustering"}, "task must be"),
        ({"ids": [0] * 10}, "10 rows|more than once: 0"),
    ],
    ids=["rows", "task", "ids"],
)
def test_refuses_options(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        write_pool(tmp_path / "pool", PROBA, FEATURES, **options)
    assert os.listdir(tmp_path) == []


def test_an_unfinished_pool_is_deleted_with_what_is_left_of_killed_writers(tmp_path):
    writer = PoolWriter(tmp_path / "pool")
    writer.write(0, PROBA, FEATURES)
    (tmp_path / "pool" / ".shard-00001.0123456789ab.tmp").mkdir()
    writer.delete()
    assert os.listdir(tmp_path) == []


def test_a_pool_in_place_of_the_folder():
    with pytest.raises(TypeError, match="path must be the folder to write, got a pool"):
        write_pool(labelnext.Pool(PROBA, FEATURES), "pool")
