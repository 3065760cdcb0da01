"""Zarr groups, and what is wrong with those that hold no pool."""

import sys

import numpy as np
import pytest
import zarr

from labelnext.pools import open_source

PROBA = np.random.default_rng(0).random((10, 3)).astype(np.float32)
FEATURES = np.random.default_rng(1).normal(size=(10, 4))


def write(path, **arrays):
    group = zarr.open_group(path, mode="w")
    for name, array in arrays.items():
        chunks = (4, *array.shape[1:])
        made = group.create_array(name, shape=array.shape, chunks=chunks, dtype=array.dtype)
        made[...] = array
    return path


@pytest.fixture
def group(tmp_path):
    return write(tmp_path / "pool", proba=PROBA, embedding=FEATURES, other=2 * FEATURES)


def test_chunks_are_the_cuts(group, monkeypatch):
    from labelnext.pools import _zarr

    assert open_source(group).cuts.tolist() == [0, 10]  # small chunks are read together
    monkeypatch.setattr(_zarr, "TOGETHER", 1)
    source = open_source(group)
    assert source.cuts.tolist() == [0, 4, 8, 10]
    assert np.array_equal(source.read("proba", 0, 10), PROBA)
    assert source.where(9) == f"row 9 of {group}/proba"
    assert np.array_equal(
        open_source(group, features="other").read("features", 3, 5), 2 * FEATURES[3:5]
    )


def test_version_2_is_read_too(tmp_path):
    group = zarr.open_group(tmp_path, mode="w", zarr_format=2)
    for name, array in (("proba", PROBA), ("features", FEATURES)):
        group.create_array(name, shape=array.shape, dtype=array.dtype)[...] = array
    assert np.array_equal(open_source(tmp_path).read("features", 0, 10), FEATURES)


def test_one_dimension_is_a_column(tmp_path):
    source = open_source(write(tmp_path, proba=PROBA[:, 0], features=FEATURES))
    assert source.one_dimensional
    assert np.array_equal(source.take("proba", np.array([4, 1])), PROBA[[4, 1], :1])


def test_fingerprint_is_of_the_content(group, tmp_path):
    same = write(tmp_path / "same", proba=PROBA, embedding=FEATURES)
    changed = FEATURES.copy()
    changed[9, 3] += 1
    other = write(tmp_path / "other", proba=PROBA, embedding=changed)
    assert open_source(same).fingerprint() == open_source(group).fingerprint()
    assert open_source(other).fingerprint() != open_source(group).fingerprint()


BAD = {
    "rows": (
        {"proba": PROBA, "features": FEATURES[:9]},
        "/proba has 10 rows and .*/features has 9",
    ),
    "flat": (
        {"proba": PROBA, "features": FEATURES[:, 0]},
        r"features must have two dimensions, got shape \(10,\)",
    ),
    "complex": ({"proba": PROBA, "features": FEATURES + 1j}, "must hold real numbers"),
    "names": (
        {"prob": PROBA, "h": FEATURES},
        "has no 'proba'; it has (h, prob|prob, h); name it with proba=...; did",
    ),
    "ids": (
        {"proba": PROBA, "features": FEATURES, "id": np.ones((10, 1))},
        "ids, integers or strings in one dim",
    ),
    "ids twice": (
        {"proba": PROBA, "features": FEATURES, "id": np.arange(10) // 2},
        "5 ids are there more than once: 0, 1, 2, 3, 4 \\(0: row 0",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_says_what_is_wrong(tmp_path, name):
    arrays, message = BAD[name]
    with pytest.raises((ValueError, TypeError), match=message):
        open_source(write(tmp_path, **arrays))


def test_an_array_is_no_group(tmp_path):
    zarr.create_array(tmp_path, shape=(3,), dtype=np.float32)
    with pytest.raises(ValueError, match="is no Zarr group that can be read"):
        open_source(tmp_path)


def test_says_of_a_chunk_that_is_cut_short_what_to_do(group):
    chunk = group / "embedding" / "c" / "1" / "0"
    chunk.write_bytes(chunk.read_bytes()[:-9])
    with pytest.raises(ValueError, match=r"Cannot read rows 0 to 10 of .*/embedding: .*cut short"):
        open_source(group).read("features", 0, 10)


def test_says_which_extra_brings_zarr(group, monkeypatch):
    monkeypatch.setitem(sys.modules, "zarr", None)
    with pytest.raises(ImportError, match=r'pip install "labelnext\[zarr\]"'):
        open_source(group)
