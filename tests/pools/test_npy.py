"""Pairs of .npy files, and what is wrong with those that are none."""

import os

import numpy as np
import pytest

from labelnext.pools import open_pool, open_source

PROBA = np.random.default_rng(0).random((6, 3)).astype(np.float32)
FEATURES = np.random.default_rng(1).normal(size=(6, 4)).astype(np.float16)


@pytest.fixture
def folder(tmp_path):
    np.save(tmp_path / "proba.npy", PROBA)
    np.save(tmp_path / "features.npy", FEATURES)
    np.save(tmp_path / "other.npy", FEATURES * 2)
    return tmp_path


def test_files_are_found_by_their_names(folder):
    source = open_source(folder)
    assert np.array_equal(source.read("proba", 0, 6), PROBA)
    assert np.array_equal(source.read("features", 0, 6), FEATURES)
    assert source.name == str(folder)
    assert source.where(3) == f"row 3 of {folder}/proba.npy"
    assert (source.task, source.bias) == (None, None)


def test_files_are_named(folder):
    for source in (
        open_source(folder, features="other"),
        open_source(folder, features="other.npy"),
        open_source(folder / "proba.npy", features=folder / "other.npy"),
        open_source(proba=folder / "proba.npy", features=folder / "other.npy"),
    ):
        assert np.array_equal(source.read("features", 0, 6), FEATURES * 2)


def test_formats_are_told_by_what_is_there(folder):
    os.rename(folder / "proba.npy", folder / "p.bin")
    os.rename(folder / "features.npy", folder / "h")
    source = open_source(folder / "p.bin", features=folder / "h")
    assert np.array_equal(source.read("proba", 1, 2), PROBA[1:2])


def test_one_dimension_is_a_column(folder):
    np.save(folder / "proba.npy", PROBA[:, 0])
    source = open_source(folder)
    assert source.one_dimensional
    assert np.array_equal(source.take("proba", np.array([4, 1])), PROBA[[4, 1], :1])


def test_fingerprint_is_of_the_content(folder, tmp_path_factory):
    copy = tmp_path_factory.mktemp("copy")
    for name in ("proba", "features"):
        np.save(copy / f"{name}.npy", np.load(folder / f"{name}.npy"))
    assert open_source(copy).fingerprint() == open_source(folder).fingerprint()
    changed = FEATURES.copy()
    changed[5, 3] += 1
    np.save(copy / "features.npy", changed)
    assert open_source(copy).fingerprint() != open_source(folder).fingerprint()


def cut(n_bytes):
    return lambda file: os.truncate(file, n_bytes)


def content(change):
    return lambda file: file.write_bytes(change(file.read_bytes()))


def saved(array, name="features"):
    return lambda file: np.save(file.with_name(f"{name}.npy"), array)


BROKEN = {
    "truncated": (cut(175), r"features\.npy has 175 bytes, but 176 .* \(6, 4\) in float16: it was"),
    "long": (content(lambda old: old + b"\0"), r"features\.npy has 177 bytes, but 176"),
    "empty": (cut(0), r"Cannot read .*features\.npy"),
    "header": (cut(40), r"Cannot read .*features\.npy"),
    "version": (
        content(lambda old: old[:6] + b"\x09" + old[7:]),
        r"Cannot read .*features\.npy: version 9",
    ),
    "fortran": (saved(np.asfortranarray(FEATURES)), r"Fortran order.*ascontiguousarray"),
    "objects": (saved(np.array([None] * 6)), r"features\.npy holds an array of Python objects"),
    "rows": (saved(FEATURES[:5]), r"proba\.npy has 6 rows and .*features\.npy has 5"),
    "flat": (saved(FEATURES[:, 0]), r"features\.npy must have two dimensions, got shape"),
    "text": (saved(FEATURES.astype(str)), r"features\.npy must hold real numbers, got dtype <U32"),
    "ids": (saved(np.ones((6, 2), int), "ids"), r"ids\.npy must hold ids, .* got shape \(6, 2\)"),
    "ids rows": (saved(np.arange(7), "ids"), r"proba\.npy has 6 rows and .*ids\.npy has 7"),
    "ids twice": (
        saved(np.array([3, 1, 2, 4, 1, 0]), "ids"),
        r"1 id is there more than once: 1 \(1: row 1 of .*, and row 4 of",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_says_what_is_wrong(folder, name):
    damage, message = BROKEN[name]
    damage(folder / "features.npy")
    with pytest.raises((ValueError, TypeError), match=message):
        open_source(folder)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"path": "nowhere"}, FileNotFoundError, "There is no .*nowhere; check the path"),
        ({"ids": "ids.npy"}, TypeError, r"needs a path, or files with the parts.*proba=\.\.\."),
        ({"proba": "probs"}, ValueError, r"proba='probs': expected a file that ends in \.npy, "),
        (
            {"path": "proba.npy", "ids": "x"},
            TypeError,
            "is one array, which has no 'x'; give files",
        ),
        (
            {"proba": "other.npy:a"},
            ValueError,
            r"other\.npy:a: this file holds one array without a",
        ),
        (
            {"path": "other.npy", "proba": "proba.npy", "features": "features.npy"},
            TypeError,
            "is one array, and proba and features are both in other files; leave it out",
        ),
        ({"path": ".", "proba": "prob"}, ValueError, "has no 'prob'; .*; did you mean 'proba'"),
        ({"path": ".", "ids": "id"}, ValueError, "has no 'id'; it has features, other, proba"),
        ({"path": "notes"}, ValueError, r"notes: this folder is of no known format.*a\.txt"),
        ({"path": "other.npz"}, ValueError, r"is no \.npz archive; rename it to \.npy"),
        ({"path": "notes/a.txt"}, ValueError, r"a\.txt: this file is of no known format"),
    ],
    ids=[
        "missing",
        "path",
        "suffix",
        "array",
        "colon",
        "three",
        "name",
        "ids",
        "dir",
        "npz",
        "text",
    ],
)
def test_says_what_is_missing(folder, monkeypatch, arguments, error, message):
    (folder / "notes").mkdir()
    (folder / "notes" / "a.txt").write_text("text")
    (folder / "other.npz").write_bytes((folder / "other.npy").read_bytes())
    monkeypatch.chdir(folder)
    with pytest.raises(error, match=message):
        open_source(**arguments)


def test_says_which_name_to_give(folder):
    os.rename(folder / "features.npy", folder / "hidden.npy")
    pool = open_pool(folder)
    with pytest.raises(
        ValueError, match=r"probabilities only; .* also has 'hidden', 'other'; name"
    ):
        pool.read("features")
    (folder / "proba.npy").unlink()
    with pytest.raises(
        ValueError, match=r"no 'proba'; it has hidden, other; name it with proba=\."
    ):
        open_pool(folder)


def test_one_array_alone_is_what_its_name_says(folder):
    os.rename(folder / "other.npy", folder / "vectors.npy")
    assert open_pool(folder / "vectors.npy").source.parts == ("features",)
    assert open_pool(folder / "features.npy").source.parts == ("features",)
    assert open_pool(folder / "proba.npy").source.parts == ("proba",)


def test_columns_first_and_committees_are_mapped(tmp_path):
    np.save(tmp_path / "h.npy", np.asfortranarray(FEATURES))
    np.save(tmp_path / "proba.npy", np.stack([PROBA, PROBA[::-1]]))
    pool = open_pool(proba=tmp_path / "proba.npy", features=tmp_path / "h.npy")
    assert pool.n_members == 2
    assert np.array_equal(pool.features, FEATURES)
    assert np.array_equal(pool[2:4].proba[1], PROBA[::-1][2:4])
    assert open_pool(tmp_path / "h.npy").source.in_memory
