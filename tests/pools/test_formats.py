"""What is true of every format: rows come back bit for bit, however they are cut and asked for."""

import pickle
import tempfile
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labelnext.pools import open_source
from sources import FORMATS

FLOATS = {2: np.uint16, 4: np.uint32, 8: np.uint64}


def any_floats(rng, shape, dtype):
    """Floats of any bits, but for NaN, whose bits a format may choose."""
    bits = rng.integers(0, np.iinfo(FLOATS[dtype.itemsize]).max, shape, FLOATS[dtype.itemsize])
    floats = bits.view(dtype)
    floats[np.isnan(floats)] = -0.0
    return floats


@st.composite
def pools(draw):
    n = draw(st.integers(1, 40), label="n_rows")
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1), label="seed"))
    dtypes = [np.dtype(draw(st.sampled_from(["f2", "f4", "f8"]))) for _ in range(2)]
    proba = any_floats(rng, (n, draw(st.integers(1, 5))), dtypes[0])
    features = any_floats(rng, (n, draw(st.integers(1, 5))), dtypes[1])
    ids = draw(st.sampled_from([None, "integers", "strings"]))
    if ids == "integers":
        ids = rng.choice(10**12, n, replace=False).astype(np.int64)
    elif ids == "strings":
        ids = np.array([f"ü{i}" * (1 + i % 3) for i in rng.permutation(n)], dtype=object)
    cuts = draw(st.sets(st.integers(1, n - 1)) if n > 1 else st.just(set()), label="cuts")
    return proba, features, ids, [0, *sorted(cuts), n], rng


def same(got, expected):
    assert got.dtype == expected.dtype
    assert got.shape == expected.shape
    assert got.flags.c_contiguous
    assert got.tobytes() == expected.tobytes()


@pytest.mark.parametrize("name", FORMATS)
@settings(deadline=None, max_examples=12)
@given(pool=pools())
def test_rows_come_back_bit_for_bit(name, pool):
    proba, features, ids, cuts, rng = pool
    n = len(proba)
    with tempfile.TemporaryDirectory() as folder:
        source = FORMATS[name](Path(folder), proba, features, ids, cuts)
        assert source.n_rows == n
        assert source.cuts[0] == 0
        assert source.cuts[-1] == n
        assert (np.diff(source.cuts) > 0).all()
        for part, array in (("proba", proba), ("features", features)):
            assert source.dtypes[part] == array.dtype
            assert source.width(part) == array.shape[1]
            edges = sorted({0, n, *rng.integers(0, n + 1, 4).tolist()})
            for lo, hi in rng.permutation(list(pairwise(edges))):
                same(source.read(part, lo, hi), array[lo:hi])
            for size in (1, n, 2 * n):
                rows = rng.integers(0, n, size)
                same(source.take(part, rows), array[rows])
            same(source.take(part, np.empty(0, np.int64)), array[:0])
        rows = rng.permutation(n)[: 1 + n // 2]
        if ids is None:
            assert source.ids() is None
            assert source.ids(rows) is None
        else:
            assert source.ids().dtype == ids.dtype
            assert source.ids().tolist() == ids.tolist()
            assert source.ids(rows).tolist() == ids[rows].tolist()
        assert source.fingerprint() == source.fingerprint()
        source.verify()


@pytest.fixture(params=FORMATS)
def pool(request, tmp_path):
    rng = np.random.default_rng(0)
    proba = rng.random((150, 3)).astype(np.float32)
    features = rng.normal(size=(150, 7)).astype(np.float16)
    write = FORMATS[request.param]
    return proba, features, write(tmp_path, proba, features, None, [0, 25, 90, 150])


@pytest.mark.one_of(2)
def test_opens_again_where_it_is_sent(pool):
    proba, features, source = pool
    source.read("proba", 0, 10)
    for again in (pickle.loads(pickle.dumps(source)), source.part(20, 125)):
        lo = source.n_rows - again.n_rows and 20
        same(again.read("proba", 10, 100), proba[lo + 10 : lo + 100])
        same(again.take("features", np.array([75, 2])), features[lo + np.array([75, 2])])
    assert pickle.loads(pickle.dumps(source)).fingerprint() == source.fingerprint()


@pytest.mark.one_of(2)
def test_several_threads_read_at_once(pool):
    proba, features, source = pool
    arrays = {"proba": proba, "features": features}

    def read(seed):
        rng = np.random.default_rng(seed)
        for part, array in arrays.items():
            lo, hi = sorted(rng.choice(151, 2, replace=False))
            same(source.read(part, lo, hi), array[lo:hi])
            rows = rng.integers(0, 150, 20)
            same(source.take(part, rows), array[rows])

    with ThreadPoolExecutor(4) as threads:
        assert len(list(threads.map(read, range(16)))) == 16


def test_a_stretch_crosses_no_cut(pool):
    source = pool[2]
    stretches = list(source.stretches(25 * source.row_bytes))
    assert [lo for lo, _ in stretches] == [0, *(hi for _, hi in stretches[:-1])]
    assert stretches[-1][1] == 150
    assert {*source.cuts.tolist()} <= {0, *(hi for _, hi in stretches)}
    assert max(hi - lo for lo, hi in stretches) <= 25
    assert list(source.stretches(1))[:2] == [(0, 1), (1, 2)]


@pytest.mark.parametrize("batch", [1, 100, 1 << 20], ids=["rows", "few", "all"])
@pytest.mark.parametrize("gap", [0, 20, 10_000], ids=["none", "near", "far"])
@pytest.mark.parametrize("window", [16, 1 << 20], ids=["narrow", "wide"])
def test_rows_here_and_there_are_read_in_any_runs(tmp_path, monkeypatch, batch, gap, window):
    from labelnext.pools import _npy, files

    monkeypatch.setattr(_npy, "BATCH", batch)
    monkeypatch.setattr(_npy, "WINDOW", window)
    monkeypatch.setattr(files.LocalFiles, "gap", gap)
    rng = np.random.default_rng(0)
    proba = rng.random((300, 3)).astype(">f4")
    np.save(tmp_path / "proba.npy", proba)
    np.save(tmp_path / "features.npy", rng.random((300, 2)))
    source = open_source(tmp_path)
    for size in (1, 5, 50, 500):
        rows = rng.integers(0, 300, size)
        same(source.take("proba", rows), proba[rows].astype("f4"))
