"""Arrays in memory as a source, and parts of sources."""

import pickle

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from labelnext.pools import ArraySource, PartOfSource


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    return rng.random((10, 3)).astype(np.float32), rng.normal(size=(10, 4)).astype(np.float16)


def same(got, expected):
    assert got.dtype == expected.dtype
    assert got.flags.c_contiguous
    assert got.tobytes() == np.ascontiguousarray(expected).tobytes()


def test_reads_the_arrays_bit_for_bit(arrays):
    proba, features = arrays
    source = ArraySource(proba, features)
    assert (source.n_rows, source.n_columns, source.n_features) == (10, 3, 4)
    assert source.dtypes == {"proba": np.float32, "features": np.float16}
    assert source.row_bytes == 3 * 4 + 4 * 2
    assert source.cuts.tolist() == [0, 10]
    same(source.read("proba", 2, 7), proba[2:7])
    same(source.take("features", np.array([9, 0, 9])), features[[9, 0, 9]])
    assert source.ids() is None


def test_does_not_copy_what_is_in_order(arrays):
    assert np.shares_memory(ArraySource(*arrays).read("proba", 2, 7), arrays[0])


def test_fortran_order_and_foreign_bytes_read_as_native_rows(arrays):
    proba, features = arrays
    source = ArraySource(np.asfortranarray(proba.astype(">f4")), features)
    assert source.dtypes["proba"].isnative
    same(source.read("proba", 2, 7), proba[2:7])


def test_tensors_and_one_dimension(arrays):
    proba, features = arrays
    source = ArraySource(torch.from_numpy(proba[:, 0]), torch.from_numpy(features))
    assert source.one_dimensional
    assert source.part(1, 3).one_dimensional
    same(source.read("proba", 0, 2), proba[:2, :1])


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        (["a", "bb", "ä"], ["a", "bb", "ä"]),
        (np.array([b"a", b"bb", "ä".encode()]), ["a", "bb", "ä"]),
        (np.array(["a", "bb", "ä"], dtype=object), ["a", "bb", "ä"]),
        ([3, 1, 2], [3, 1, 2]),
        (np.array([3, 1, 2], dtype=np.uint64), [3, 1, 2]),
        (np.array([3, np.int32(1), 2], dtype=object), [3, 1, 2]),
        ([b"a", b"bb", "ä".encode()], ["a", "bb", "ä"]),
    ],
    ids=["str", "bytes", "objects", "int", "uint64", "integer objects", "list of bytes"],
)
def test_ids_are_int64_or_strings(ids, expected):
    source = ArraySource(np.ones((3, 1)), np.ones((3, 2)), ids)
    assert source.ids().tolist() == expected
    assert source.ids().dtype == (object if isinstance(expected[0], str) else np.int64)
    assert source.ids(np.array([2, 0])).tolist() == [expected[2], expected[0]]
    assert source.part(1, 3).ids().tolist() == expected[1:]


def test_a_part_is_a_source(arrays):
    proba, features = arrays
    whole = ArraySource(proba, features, list("abcdefghij"), name="digits")
    for part in (whole.part(2, 9), PartOfSource(whole, 2, 9)):
        again = part.part(1, 5)
        for source in (again, pickle.loads(pickle.dumps(again))):
            assert source.n_rows == 4
            assert source.cuts.tolist() == [0, 4]
            same(source.read("proba", 1, 3), proba[4:6])
            same(source.take("features", np.array([3, 0])), features[[6, 3]])
            assert "".join(source.ids()) == "defg"
            assert source.ids(np.array([1])) == ["e"]
            assert source.where(1) == "row 4 of digits"


def test_a_part_sends_its_own_rows_only():
    whole = ArraySource(np.ones((10_000, 10)), np.ones((10_000, 10)))
    assert len(pickle.dumps(whole.part(10, 20))) < 5_000


def test_cuts_of_a_part(arrays):
    whole = ArraySource(*arrays)
    whole.cuts = np.array([0, 3, 6, 10])
    assert PartOfSource(whole, 2, 8).cuts.tolist() == [0, 1, 4, 6]
    assert PartOfSource(whole, 3, 6).cuts.tolist() == [0, 3]


def test_fingerprints_tell_pools_apart(arrays):
    proba, features = arrays
    changed = features.copy()
    changed[9, 3] += 1
    sources = [
        ArraySource(proba, features),
        ArraySource(proba, changed),
        ArraySource(proba.astype(np.float64), features),
        ArraySource(proba, features).part(0, 9),
        PartOfSource(ArraySource(proba, features), 0, 9),
        PartOfSource(ArraySource(proba, features), 1, 10),
    ]
    assert len({source.fingerprint() for source in sources}) == len(sources)
    copy = ArraySource(proba.copy(), features.copy(), name="another")
    assert copy.fingerprint() == sources[0].fingerprint()


@pytest.mark.parametrize(
    ("proba", "features", "ids", "error", "message"),
    [
        (
            np.ones((3, 2)),
            np.ones((4, 2)),
            None,
            ValueError,
            "3 rows of proba and 4 of features.*same order",
        ),
        (
            np.ones((3, 2)),
            np.ones(3),
            None,
            ValueError,
            r"features must have two dim.*got shape \(3,\); reshape",
        ),
        (np.ones((0, 2)), np.ones((0, 2)), None, ValueError, "pool is empty: proba has no rows"),
        (np.array([["a"]]), np.ones((1, 1)), None, TypeError, "proba must hold real numbers"),
        (np.ones((1, 1)), np.ones((1, 1), complex), None, TypeError, "features must hold real"),
        (np.ones((1, 1)), np.ones((1, 1)), [1, 2], ValueError, "ids has 2 entries"),
        (np.ones((1, 1)), np.ones((1, 1)), [[1]], ValueError, "one dimension"),
        (np.ones((1, 1)), np.ones((1, 1)), [1.5], TypeError, "float 1.5 at row 0"),
        (np.ones((1, 1)), np.ones((1, 1)), [True], TypeError, "bool True at row 0"),
        (np.ones((1, 1)), np.ones((1, 1)), np.ones(1), TypeError, "integers or strings, got dtype"),
        (np.ones((2, 1)), np.ones((2, 1)), ["a", 1], TypeError, "int 1 at row 1"),
        (np.ones((2, 1)), np.ones((2, 1)), [2**63, -1], ValueError, "as strings"),
        (np.ones((1, 1)), np.ones((1, 1)), [2**64], ValueError, "as strings"),
        (
            np.ones((2, 1)),
            np.ones((2, 1)),
            np.array(["a", None], dtype=object),
            TypeError,
            "NoneType None at row 1",
        ),
        (
            np.ones((2, 1)),
            np.ones((2, 1)),
            np.array([1, "1"], dtype=object),
            TypeError,
            "str '1' at row 1",
        ),
    ],
    ids=[
        "lengths",
        "flat features",
        "empty",
        "text",
        "complex",
        "ids lengths",
        "ids matrix",
        "ids floats",
        "ids bools",
        "ids array of floats",
        "ids list mixed",
        "ids list large",
        "ids list very large",
        "ids hole",
        "ids mixed",
    ],
)
def test_refuses_what_is_no_pool(proba, features, ids, error, message):
    with pytest.raises(error, match=message):
        ArraySource(proba, features, ids)


@pytest.mark.parametrize(("lo", "hi"), [(-1, 3), (3, 3), (4, 3), (0, 11)])
def test_refuses_rows_that_are_not_there(arrays, lo, hi):
    whole = ArraySource(*arrays)
    for make in (whole.part, lambda lo, hi: PartOfSource(whole, lo, hi)):
        with pytest.raises(ValueError, match=f"Rows {lo} to {hi} are no part of arrays"):
            make(lo, hi)


@pytest.mark.parametrize("kind", [np.asarray, np.asfortranarray, sp.csr_array, torch.tensor])
@pytest.mark.parametrize("part", ["proba", "features"])
def test_every_number_counts_for_the_fingerprint(kind, part):
    if kind is sp.csr_array and part == "proba":
        return
    seen = set()
    for row in (None, 0, 1, 499, 998, 999):
        arrays = {"proba": np.full((1000, 2), 0.5), "features": np.ones((1000, 3), np.float16)}
        if kind is sp.csr_array:
            arrays["features"] = arrays["features"].astype(np.float32)
        if row is not None:
            arrays[part][row] *= 2
        arrays[part] = kind(arrays[part])
        seen.add(ArraySource(**arrays).fingerprint())
    assert len(seen) == 6
