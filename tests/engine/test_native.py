"""The edge of the compiled code: what it reads, what it refuses, and that processors agree."""

import gc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import scipy.sparse as sp

import pools
from labelnext.engine import _kernels as kernels
from labelnext.sampling import d2_sample

NONE = np.empty(0, dtype=np.int64)
PROBA, FEATURES = pools.confident(3000, n_classes=5, n_features=12)
BLOCKS = [np.arange(1), np.arange(1, 70), np.arange(70, 400)]


def passes(pool):
    """D², potentials and counters of passes with the blocks."""
    state, found = pool.start(NONE), []
    for rows in BLOCKS:
        report = state.min_update(pool.gather(rows), rows)
        found += [state.values.copy(), report.potentials, np.array(list(report.counters.values()))]
    return found


def same(pool, other, *, bits=False):
    """Whether two pools have the same squared norms and D²."""
    check = np.testing.assert_array_equal if bits else np.testing.assert_allclose
    check(pool.squared_norms, other.squared_norms)
    mine, theirs = passes(pool), passes(other)
    for one, another in zip(mine[:2] + mine[3:5], theirs[:2] + theirs[3:5], strict=True):
        np.testing.assert_allclose(one, another, rtol=1e-9, atol=1e-13 * pool.squared_norms.max())


@pytest.fixture
def instructions():
    """The sets of instructions of this processor; the best is used again afterwards."""
    names = kernels.instructions()
    yield names
    kernels.use(names[0])


class TestInstructions:
    @pytest.mark.parametrize("wrap", [np.asarray, sp.csr_array], ids=["dense", "csr"])
    @pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
    @pytest.mark.parametrize("n_classes", [2, 150])
    def test_all_give_the_same_to_the_last_bit(self, instructions, wrap, dtype, n_classes):
        if wrap is sp.csr_array and dtype is np.float16:
            return  # SciPy has none
        proba, features = pools.confident(2500, n_classes, 21, seed=n_classes)
        proba, features = proba.astype(dtype), wrap(features.astype(dtype))
        found = []
        for name in instructions:
            kernels.use(name)
            pool = pools.pruned(proba, features, bias=True)
            found.append([pool.scalars, *passes(pool)])
        for other in found[1:]:
            for one, another in zip(found[0], other, strict=True):
                np.testing.assert_array_equal(one, another)

    def test_the_baseline_is_everywhere_and_others_are_refused(self, instructions):
        assert instructions[-1] == "baseline"
        with pytest.raises(ValueError, match="no instructions avx1024"):
            kernels.use("avx1024")


def _unaligned(array):
    """The same numbers at an odd address, as in a file behind a header."""
    buffer = np.empty(array.nbytes + 1, dtype=np.uint8)
    out = buffer[1:].view(array.dtype).reshape(array.shape)
    out[:] = array
    assert not out.flags.aligned
    return out


def _in_records(array):
    """Rows that lie in records of a length that is no multiple of a number's."""
    records = np.zeros(len(array), dtype=[("key", "S3"), ("row", array.dtype, array.shape[1])])
    records["row"] = array
    return records["row"]


def _read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


class TestStorage:
    @pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
    @pytest.mark.parametrize(
        "store",
        [
            np.asfortranarray,
            _unaligned,
            _in_records,
            _read_only,
            lambda x: x[::-1].copy()[::-1],
            lambda x: x[:, ::-1].copy()[:, ::-1],
            lambda x: np.repeat(x, 3, axis=1)[:, ::3],
        ],
        ids=["F", "unaligned", "records", "read-only", "rows back", "columns back", "strided"],
    )
    def test_of_any_layout(self, store, dtype):
        arrays = [x.astype(dtype) for x in (PROBA, FEATURES)]
        same(pools.pruned(*map(store, arrays)), pools.pruned(*arrays), bits=True)

    @pytest.mark.parametrize("dtype", [f"{sign}{size}" for sign in "iu" for size in (1, 2, 4, 8)])
    @pytest.mark.parametrize("wrap", [np.asarray, sp.csr_array], ids=["dense", "csr"])
    def test_of_integers(self, dtype, wrap):
        features = np.abs(np.rint(9 * FEATURES)) if dtype[0] == "u" else np.rint(9 * FEATURES)
        stored = wrap(features.astype(dtype))
        same(pools.pruned(PROBA, stored), pools.pruned(PROBA, features))

    @pytest.mark.parametrize("index", [np.int32, np.int64])
    def test_of_csr_with_columns_that_come_twice_and_in_no_order(self, index):
        rng = np.random.default_rng(0)
        columns = rng.integers(12, size=3000 * 8).astype(index)
        values = rng.normal(size=len(columns)).astype(np.float32)
        starts = np.arange(0, len(columns) + 1, 8).astype(index)
        features = sp.csr_array((values, columns, starts), shape=(3000, 12))
        features.indices, features.indptr = columns, starts
        whole = features.astype(np.float64).toarray()
        same(pools.pruned(PROBA, features), pools.pruned(PROBA, whole))

    def test_halves_by_their_bits(self):
        # All finite ones; infinity and NaN are refused as such, whatever their sign.
        bits = np.arange(1 << 16, dtype=np.uint16)
        halves = bits.view(np.float16)
        good = np.isfinite(halves)
        features = halves[good][:, None]
        proba = np.full((len(features), 2), 0.5)
        norms = pools.pruned(proba, features).scalars[:, 2]
        np.testing.assert_array_equal(norms, np.abs(features[:, 0].astype(np.float64)))
        for value in halves[~good][[0, 1, -1]]:
            with pytest.raises(ValueError, match="features is"):
                pools.pruned(proba[:1], np.array([[value]]))

    def test_bfloat16_by_its_bits(self):
        wide = FEATURES.astype(np.float32)
        bits = (wide.view(np.uint32) >> 16).astype(np.uint16)
        rounded = (bits.astype(np.uint32) << 16).view(np.float32)
        proba = kernels.Matrix(PROBA)
        found = []
        for features in (kernels.Matrix(bits, bfloat16=True), kernels.Matrix(rounded)):
            labels = np.empty((2, 3000), dtype=np.uint16)
            norms, scalars = np.empty(3000), np.empty((3000, kernels.N_SCALARS))
            known = kernels.Known(*labels, norms, scalars, 0.0)
            assert known.read(0, 3000, proba, features, 0, np.ones(12), 1e-3) == (-1, True)
            found.append(scalars)
        np.testing.assert_array_equal(*found)

    @pytest.mark.parametrize("n", [1, 2])
    @pytest.mark.parametrize("n_classes", [1, 2, 200])
    @pytest.mark.parametrize("n_features", [0, 1, 3])
    def test_of_hardly_anything(self, n, n_classes, n_features):
        proba = np.full((n, n_classes), 1 / n_classes)
        features = np.ones((n, n_features))
        for bias in (False, True):
            pool = pools.pruned(proba, features, bias=bias)
            batch = d2_sample(pool, n, random_state=0)
            assert sorted(batch.indices) == list(range(n))

    def test_places_beyond_31_bits(self, tmp_path):
        # A file with a hole: no bytes of it but the last rows are there.
        n, n_features = (1 << 31) // 1024 + 100, 1024
        features = np.memmap(tmp_path / "h", np.uint8, "w+", shape=(n, n_features))
        rng = np.random.default_rng(0)
        features[-50:] = rng.integers(255, size=(50, n_features))
        proba = np.broadcast_to(np.array([0.5, 0.25, 0.25]), (n, 3))
        labels = np.empty((2, n), dtype=np.uint16)
        norms, scalars = np.empty(n), np.empty((n, kernels.N_SCALARS))
        known = kernels.Known(*labels, norms, scalars, 1.0)
        matrices = kernels.Matrix(proba), kernels.Matrix(features)
        unit = np.full(n_features, 1 / 32)
        assert known.read(n - 50, n, *matrices, 0, unit, 1e-3) == (-1, False)
        wanted = (features[-50:].astype(float) ** 2).sum(axis=1) + 1
        np.testing.assert_allclose(norms[-50:], 0.375 * wanted)
        # The same by their columns: the places of one are far apart.
        turned = np.lib.stride_tricks.as_strided(features, (n_features, n), (1, n_features))
        assert kernels.Matrix(turned.T) is not None


@pytest.mark.parametrize("wrap", [np.asarray, sp.csr_array], ids=["dense", "csr"])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int8, np.int32])
@pytest.mark.parametrize("bias", [False, True])
def test_gathered_rows_are_those_of_the_plain_pass(wrap, dtype, bias):
    if wrap is sp.csr_array and dtype is np.float16:
        return  # SciPy has none
    features = wrap(np.rint(9 * FEATURES).astype(dtype))
    plain, pruned = (P(PROBA, features, bias=bias) for P in (pools.plain, pools.pruned))
    rows = np.random.default_rng(0).integers(3000, size=200)
    expected, found = plain.gather(rows), pruned.gather(rows)
    some = np.array([5, 0, 0, 199, -1])
    parts = [slice(10), slice(10, 11), slice(11, None)]
    for one, another in (
        (expected, found),
        (expected[some], found[some]),
        (expected, type(found).concatenate([found[part] for part in parts])),
        (expected, pruned.factors_of(pruned.stored(rows))),
    ):
        assert len(one) == len(another)
        np.testing.assert_array_equal(one.residuals, another.residuals)
        np.testing.assert_array_equal(one.pseudo_labels, another.pseudo_labels)
        np.testing.assert_allclose(one.squared_norms, another.squared_norms)
        dense = [
            x.toarray() if wrap is sp.csr_array else x for x in (one.features, another.features)
        ]
        np.testing.assert_array_equal(*dense)
        assert another.features.dtype == another.residuals.dtype == np.float64
    assert not found.residuals.flags.writeable


def test_arrays_of_a_block_outlive_it():
    block = pools.pruned(PROBA, FEATURES).gather(np.arange(100)).block
    residuals, expected = block.residuals, block.residuals.copy()
    del block
    gc.collect()
    np.testing.assert_array_equal(residuals, expected)


class TestBadInput:
    """Whoever calls the kernels wrongly gets an error, never someone else's memory."""

    @pytest.mark.parametrize(
        ("array", "said"),
        [
            (np.zeros(3), "2 dimensions"),
            (np.zeros((2, 2, 2)), "2 dimensions"),
            (np.zeros((2, 2), dtype=bool), "floats of at most 64 bits"),
            (np.zeros((2, 2), dtype=np.longdouble), "floats of at most 64 bits"),
            (np.zeros((2, 2), dtype=complex), "floats of at most 64 bits"),
            (np.zeros((2, 2), dtype=">f4"), "floats of at most 64 bits"),
            (np.zeros((2, 2), dtype=[("a", "f4")]), "floats of at most 64 bits"),
            ("text", "buffer|bytes-like"),
            ([[1.0]], "buffer|bytes-like"),
        ],
    )
    def test_matrices(self, array, said):
        with pytest.raises((TypeError, ValueError), match=said):
            kernels.Matrix(array)

    def test_bfloat16_of_other_numbers(self):
        with pytest.raises(ValueError, match="uint16"):
            kernels.Matrix(np.zeros((2, 2)), bfloat16=True)

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"indptr": np.array([0, 1, 9])}, "beyond"),
            ({"indptr": np.array([-1, 1, 2])}, "beyond"),
            ({"indices": np.array([0])}, "beyond"),
            ({"indices": np.array([0.0, 1.0])}, "int32 or int64"),
            ({"indptr": np.array([], dtype=np.int64)}, "no numbers"),
            ({"data": np.zeros((2, 1))}, "1 dimensions"),
            ({"n_columns": -1}, "no numbers"),
        ],
    )
    def test_sparse(self, change, said):
        arrays = {"data": np.ones(2), "indices": np.arange(2), "indptr": np.arange(3)}
        with pytest.raises(ValueError, match=said):
            kernels.Matrix(**{**arrays, "n_columns": 2, **change})

    def known(self, n=4, **other):
        arrays = {
            "labels": np.zeros(n, dtype=np.uint16),
            "runners_up": np.zeros(n, dtype=np.uint16),
            "squared_norms": np.ones(n),
            "scalars": np.ones((n, kernels.N_SCALARS)),
            "bias": 0.0,
        }
        return kernels.Known(**{**arrays, **other})

    @pytest.mark.parametrize(
        "other",
        [
            {"labels": np.zeros(4, dtype=np.int64)},
            {"labels": np.zeros(3, dtype=np.uint16)},
            {"labels": np.zeros(8, dtype=np.uint16)[::2]},
            {"squared_norms": np.ones(4, dtype=np.float32)},
            {"squared_norms": [1.0] * 4},
            {"squared_norms": _read_only(np.ones(4))},
            {"squared_norms": _unaligned(np.ones((4, 1)))[:, 0]},
            {"scalars": np.ones((4, 4))},
            {"scalars": np.ones((5, 4)).T},
        ],
    )
    def test_what_is_known(self, other):
        with pytest.raises((TypeError, ValueError)):
            self.known(**other)

    @pytest.mark.parametrize(
        ("lo", "hi", "first", "shapes"),
        [
            (0, 5, 0, (4, 4)),
            (0, 4, 0, (4, 3)),
            (0, 4, 0, (3, 3)),
            (0, 2, 1, (4, 4)),
            (3, 1, 0, (4, 4)),
            (-1, 2, -1, (4, 4)),
            (0, 1 << 40, 0, (4, 4)),
        ],
    )
    def test_rows_that_are_not_there(self, lo, hi, first, shapes):
        proba, features = (kernels.Matrix(np.ones((n, 1))) for n in shapes)
        with pytest.raises(ValueError, match="rows"):
            self.known().read(lo, hi, proba, features, first, np.ones(1), 1e-3)

    def test_centres_of_another_shape(self):
        pool, other = (pools.pruned(*pools.confident(90, 3, d)) for d in (4, 5))
        block = other.gather(np.arange(3)).block
        d2 = d2_of(pool)
        matrices = kernels.Matrix(pool.proba), kernels.Matrix(pool.features)
        with pytest.raises(ValueError, match="same classes and features"):
            d2.lower(0, 90, *matrices, 0, True, block, np.zeros(3))
        with pytest.raises(ValueError, match="same classes and features"):
            pool.gather(np.arange(2)).block.lower(np.ones(2), block)
        for bad in (np.zeros(2), np.zeros(3, dtype=np.float32)):
            with pytest.raises((TypeError, ValueError)):
                d2.lower(0, 90, *matrices, 0, True, block, bad)
        assert d2.counted() == [0] * len(kernels.COUNTERS)

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"rows": np.arange(2)}, "rows must have"),
            ({"bars": np.zeros(4)}, "bars must have"),
            ({"d2": np.ones(2)}, "d2 must have"),
            ({"d2": np.ones(3, dtype=np.float32)}, "incompatible"),
            ({"d2": _read_only(np.ones(3))}, "incompatible"),
            ({"waiting": [None]}, "None is no block"),
            ({"waiting": [3]}, "incompatible"),
            ({"waiting": None}, "incompatible"),
            ({"waiting": "other"}, "same classes and features"),
            ({"admit": 3}, "not callable"),
        ],
    )
    def test_accepting(self, change, said):
        pool, other = (pools.pruned(*pools.confident(90, 3, d)) for d in (4, 5))
        rows = np.arange(3)
        given = {"rows": rows, "bars": np.zeros(3), "d2": np.ones(3), "waiting": [], "most": 3}
        if change.get("waiting") == "other":
            change = {"waiting": [other.gather(rows).block]}
        with pytest.raises((TypeError, ValueError), match=said):
            pool.gather(rows).block.accept(**{**given, "admit": None, **change})

    def test_an_error_of_what_admits_comes_through(self):
        block = pools.pruned(*pools.confident(90, 3, 4)).gather(np.arange(3)).block

        def admit(row):
            raise KeyError(row)

        with pytest.raises(KeyError):
            block.accept(np.arange(3), np.zeros(3), np.ones(3), [], 3, admit)

    @pytest.mark.parametrize(
        ("rows", "places", "said"),
        [
            ([0, 4], [0, 1], "all there"),
            ([-1], [0], "all there"),
            ([0], [3], "all there"),
            ([0], [-1], "all there"),
            ([0, 1], [0], "places must have"),
        ],
    )
    def test_gathering(self, rows, places, said):
        matrices = kernels.Matrix(np.full((3, 2), 0.5)), kernels.Matrix(np.ones((3, 1)))
        rows, places = (np.array(x, dtype=np.int64) for x in (rows, places))
        with pytest.raises(ValueError, match=said):
            self.known().gather(rows, matrices[0], matrices[1], places, 0.0)

    def test_gathering_rows_of_a_class_that_is_not_there(self):
        matrices = kernels.Matrix(np.full((4, 2), 0.5)), kernels.Matrix(np.ones((4, 1)))
        for name in ("labels", "runners_up"):
            known = self.known(**{name: np.full(4, 2, dtype=np.uint16)})
            with pytest.raises(ValueError, match="those of classes"):
                known.gather(np.arange(4), *matrices, np.arange(4), 0.0)

    def test_blocks_of_other_kinds(self):
        proba, features = pools.confident(90, 3, 4)
        block = pools.pruned(proba, features).gather(np.arange(3)).block
        for other in (
            (proba.astype(np.float32), features, False),
            (proba, features.astype(np.float32), False),
            (proba, sp.csr_array(features), False),
            (proba, features[:, :3], False),
            (proba, features, True),
            (*pools.confident(90, 4, 4), False),
        ):
            another = pools.pruned(*other[:2], bias=other[2]).gather(np.arange(3)).block
            with pytest.raises(ValueError, match="same classes and features"):
                kernels.Block.joined([block, another])
        with pytest.raises(ValueError, match="at least one part"):
            kernels.Block.joined([])
        with pytest.raises(ValueError, match="all there"):
            block.take(np.array([3]))
        with pytest.raises(TypeError):
            block.take(np.array([0.0]))

    def test_blocks_of_no_rows(self):
        pool = pools.pruned(*pools.confident(90, 3, 4))
        none = pool.gather(NONE)
        assert len(none) == len(none.residuals) == 0
        assert none.accept(NONE, np.empty(0), np.empty(0), [pool.gather(np.arange(3))], 1) == (
            [],
            0,
        )
        joined = kernels.Block.joined([none.block, pool.gather(np.arange(3)).block, none.block])
        assert len(joined) == 3
        with pytest.raises(ValueError, match="must be centres"):
            pool.gather(np.arange(3)).lower(np.ones(3), none)
        with pytest.raises(ValueError, match="must be centres"):
            d2_of(pool).changing(np.array([0, 9]), none.block, np.ones(1, dtype=bool))

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"lots": np.zeros(2)}, "lots must have"),
            ({"lots": np.zeros(3, dtype=np.float32)}, "incompatible"),
            ({"bits": np.zeros(3, dtype=np.int64)}, "incompatible"),
            ({"bits": np.zeros(0, dtype=np.uint64), "lots": np.zeros(0)}, "something to draw"),
            ({"waiting": [None]}, "None is no block"),
            ({"waiting": "other"}, "same classes and features"),
            ({"proba": "few"}, "all there"),
            ({"admit": 3}, "not callable"),
        ],
    )
    def test_drawing(self, change, said):
        pool, other = (pools.pruned(*pools.confident(90, 3, d)) for d in (4, 5))
        d2 = d2_of(pool)
        d2.bound(1.0, 1.0)
        given = {
            "proba": kernels.Matrix(pool.proba),
            "features": kernels.Matrix(pool.features),
            "least_product": 0.0,
            "bits": np.full(3, 1 << 63, dtype=np.uint64),
            "lots": np.zeros(3),
            "waiting": [],
            "most": 3,
            "admit": None,
        }
        with pytest.raises(ValueError, match="something to draw"):
            d2.draw(**given)
        d2.weigh(40)
        if change.get("waiting") == "other":
            change = {"waiting": [other.gather(np.arange(3)).block]}
        if change.get("proba") == "few":
            change = {"proba": kernels.Matrix(pool.proba[:9])}
        with pytest.raises((TypeError, ValueError), match=said):
            d2.draw(**{**given, **change})

    @pytest.mark.parametrize(
        "other",
        [
            {"values": np.ones(89)},
            {"values": _read_only(np.ones(90))},
            {"values": np.ones(90, dtype=np.float32)},
            {"available": np.ones(89, dtype=bool)},
            {"available": np.ones(90, dtype=np.uint8)},
            {"group": 0},
        ],
    )
    def test_values_of_other_pools(self, other):
        known = pools.pruned(*pools.confident(90, 3, 4)).known
        given = {"values": np.ones(90), "available": np.ones(90, dtype=bool), "group": 64}
        with pytest.raises((TypeError, ValueError)):
            kernels.D2(known, **{**given, **other})

    def test_rows_of_other_pools_are_not_taken(self):
        values, available = np.ones(90), np.ones(90, dtype=bool)
        known = pools.pruned(*pools.confident(90, 3, 4)).known
        d2 = kernels.D2(known, values, available, 64)
        assert d2.take(np.array([-1, 90, 3, 3, 1 << 62])) == 1
        assert np.flatnonzero(values == 0).tolist() == np.flatnonzero(~available).tolist() == [3]

    def test_potentials_of_no_centres(self):
        d2 = d2_of(pools.pruned(*pools.confident(90, 3, 4)))
        for fall, span in ((np.empty(0), 64), (np.empty(3), 0)):
            with pytest.raises(ValueError, match="must be centres"):
                d2.potentials(fall, span)

    def test_tickets_that_do_not_fit(self):
        d2, out = d2_of(pools.pruned(*pools.confident(90, 3, 4))), np.empty(1, dtype=np.int64)
        for wrong in (
            {"rows": np.empty(2, dtype=np.int64)},
            {"weights": np.empty(0, dtype=np.int64)},
            {"rows": np.empty(1)},
        ):
            with pytest.raises((TypeError, ValueError)):
                d2.find(**{"tickets": np.array([2]), "rows": out, "weights": out, **wrong})


def d2_of(pool):
    """D² of a pool, nothing being known of it."""
    n = pool.n_rows
    return kernels.D2(pool.known, np.full(n, np.inf), np.ones(n, dtype=bool), 64)


def test_several_selections_of_one_pool_at_once():
    pool = pools.pruned(PROBA, FEATURES)

    def choose(seed):
        return d2_sample(pool, 150, random_state=seed).indices.tolist()

    alone = [choose(seed) for seed in range(8)]
    with ThreadPoolExecutor(8) as executor:
        assert list(executor.map(choose, range(8))) == alone
