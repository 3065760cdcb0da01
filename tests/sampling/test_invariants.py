"""Invariants 3 to 7: one batch, prefixes, no repeats, utilities, read-only."""

import hashlib
import itertools

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import oracle
import pools
from labelnext import select
from labelnext.engine import ShardedGradients, _open, _plain, _rows, as_gradients
from labelnext.engine import threads as _threads
from labelnext.engine._plain import PlainGradients
from labelnext.pools import ArraySource
from labelnext.sampling import d2_sample, d2_utilities
from labelnext.utils.random import as_generator

# Where parts of a pool of 7,000 rows begin: 1, 2, 3 and 7 of them, unequal, one of a single row.
PLACES = [(), (700,), (2500, 2600), (1, 64, 700, 2048, 5000, 6999)]
NONE = np.empty(0, dtype=np.int64)
# float16 numbers, so that every storage holds the same ones.
HALVES = tuple(x.astype(np.float16).astype(np.float64) for x in pools.hostile(seed=2))


def same(batch, other):
    """Whether two batches are one: rows equal, numbers but for the order of additions."""
    np.testing.assert_array_equal(batch.indices, other.indices)
    np.testing.assert_array_equal(batch.pseudo_labels, other.pseudo_labels)
    np.testing.assert_allclose(batch.gradient_norms, other.gradient_norms, rtol=1e-13)
    np.testing.assert_allclose(batch.d2, other.d2, rtol=1e-8, atol=1e-300)
    np.testing.assert_allclose(batch.potentials, other.potentials, rtol=1e-8, atol=1e-300)


@pytest.fixture(scope="module", name="pool")
def _pool():
    return pools.confident(7000, n_classes=5, n_features=12, seed=9)


@pytest.fixture(scope="module", name="batch")
def _batch(pool):
    return select(*pool, 300, random_state=11)


def degenerate():
    rng = np.random.default_rng(0)
    proba, features = pools.confident(40)
    sure = np.eye(4)[rng.integers(4, size=40)]
    few = rng.integers(3, size=40)
    return {
        "generic": (proba, features),
        "hostile": pools.hostile(),
        "duplicates": (proba[few], features[few]),
        "zero gradients": (sure, features),
        "zero features": (proba, np.zeros_like(features)),
        "all but one zero": (np.vstack([proba[:1], sure]), np.vstack([features[:1], features])),
        "one pseudo-label": (np.tile([0.7, 0.1, 0.1, 0.1], (40, 1)), features),
        "one point": (np.tile(proba[0], (40, 1)), np.tile(features[0], (40, 1))),
        "tiny beside huge": (proba, features * np.where(np.arange(40) == 3, 1e20, 1e-20)[:, None]),
        "one row": (proba[:1], features[:1]),
        "two rows": (proba[:2], features[:2]),
        # (s a) (h / s)ᵀ: one gradient from many factors.
        "scaled": (
            np.column_stack([1 - 2.0 ** -np.arange(1, 9), 2.0 ** -np.arange(1, 9)]),
            2.0 ** np.arange(1, 9)[:, None] * np.array([1.0, 3.0, -0.5]),
        ),
    }


class TestOneBatch:
    """The same seed picks the same rows, wherever and however the pool is kept and cut."""

    def test_from_every_storage(self, storage, bias, tmp_path):
        exclude = np.array([1, 6, 58])
        reference = pools.plainly(storage.of(HALVES[0]), HALVES[1], bias=bias, task=storage.task)
        gradients, _, _ = storage.make(*HALVES, tmp_path, bias=bias)
        for seed in range(2):
            same(
                d2_sample(gradients, 57, exclude=exclude, random_state=seed),
                d2_sample(reference, 57, exclude=exclude, random_state=seed),
            )

    @pytest.mark.one_of(2)
    @pytest.mark.parametrize(
        "kind", ["float64-pruned", "float64-torch", "float64-disk-pruned", "float64-shards"]
    )
    @pytest.mark.parametrize("name", degenerate())
    def test_of_degenerate_pools(self, name, kind, bias, tmp_path):
        storage = next(storage for storage in pools.STORAGES if storage.name == kind)
        proba, features = degenerate()[name]
        other, _, _ = storage.make(proba, features, tmp_path, bias=bias)
        plain = pools.plainly(proba, features, bias=bias)
        assert type(other) is not type(plain)
        for seed in range(2):
            same(
                d2_sample(other, len(proba), random_state=seed),
                d2_sample(plain, len(proba), random_state=seed),
            )

    # The threshold in the middle leaves parts of both kinds side by side.
    @pytest.mark.one_of(2)
    @pytest.mark.parametrize("plain_below", [0, 17 * 1000, 1 << 20])
    @pytest.mark.parametrize("form", [np.asarray, sp.csr_array], ids=["dense", "csr"])
    @pytest.mark.parametrize("places", PLACES, ids=lambda places: f"{len(places) + 1} parts")
    def test_in_parts_of_any_size(self, pool, batch, places, form, plain_below, monkeypatch):
        choose = _open.pass_over
        monkeypatch.setattr(
            _open,
            "pass_over",
            lambda size, *rest: PlainGradients if size < plain_below else choose(size, *rest),
        )
        proba, features = pool[0], form(pool[1])
        ends = itertools.pairwise([0, *places, 7000])
        parts = ShardedGradients([as_gradients(proba[lo:hi], features[lo:hi]) for lo, hi in ends])
        same(d2_sample(parts, 300, random_state=as_generator(11, 7000)), batch)

    @pytest.mark.parametrize("seed", range(3))
    @pytest.mark.parametrize("places", PLACES, ids=lambda places: f"{len(places) + 1} parts")
    def test_in_parts_seed_by_seed(self, pool, places, seed):
        whole = pools.plain(*pool)
        parts = pools.cut(whole, places, [pools.plain])
        exclude = np.arange(100, 3000, 7)
        batches = [d2_sample(g, 200, exclude=exclude, random_state=seed) for g in (parts, whole)]
        same(*batches)
        assert batches[0].stats == batches[1].stats

    @pytest.mark.parametrize("threads", [1, 2, 5])
    def test_on_any_number_of_threads(self, pool, batch, threads, monkeypatch):
        monkeypatch.setenv("LABELNEXT_NUM_THREADS", str(threads))
        same(select(*pool, 300, random_state=11), batch)

    @pytest.mark.parametrize("size", [1, 1 << 14, 1 << 28])
    def test_in_tiles_of_any_size(self, pool, batch, size, monkeypatch):
        monkeypatch.setattr(_rows, "TILE_BYTES", size)
        same(select(*pool, 300, random_state=11), batch)

    @pytest.mark.parametrize("span", [64, 640, 1 << 14])
    def test_in_spans_of_any_size(self, pool, batch, span, monkeypatch):
        for module in (_plain, _rows, _threads):
            monkeypatch.setattr(module, "SPAN", span)
        same(select(*pool, 300, random_state=11), batch)

    @pytest.mark.one_of(2)
    @pytest.mark.parametrize("kept", [0, 300_000])
    @pytest.mark.parametrize("stretch", [1 << 11, 1 << 16, 1 << 23])
    @pytest.mark.parametrize("pruned", [False, True], ids=["plain", "pruned"])
    def test_in_stretches_of_any_size(self, pool, batch, pruned, stretch, kept):
        source = ArraySource(*pool)
        disk = pools.on_disk(source, pruned=pruned, stretch=stretch, kept=kept)
        same(d2_sample(disk, 300, random_state=as_generator(11, 7000)), batch)

    @pytest.mark.parametrize("wrap", [np.asfortranarray, sp.csr_matrix, sp.csc_array])
    def test_of_a_larger_pool_from_other_arrays(self, pool, batch, wrap):
        same(select(np.asfortranarray(pool[0]), wrap(pool[1]), 300, random_state=11), batch)

    def test_rounding_of_the_total_moves_no_draw_that_follows(self, pool, batch):
        # As another order of additions would, but larger: a change far below every probability.
        proba, features = pool
        for scale in (1 + 2**-50, 1 - 2**-50, 1 + 2**-45):
            other = select(proba, features * scale, 300, random_state=11)
            np.testing.assert_array_equal(other.indices, batch.indices)

    def test_scaling_the_features_changes_nothing_but_scale(self, pool, batch):
        proba, features = pool
        for power in (-60, -3, 2, 60):
            other = select(proba, np.ldexp(features, power), 300, random_state=11)
            np.testing.assert_array_equal(other.indices, batch.indices)
            np.testing.assert_array_equal(np.ldexp(other.d2, -2 * power), batch.d2)

    def test_again(self, pool, batch):
        again = select(*pool, 300, random_state=11)
        np.testing.assert_array_equal(again.indices, batch.indices)
        np.testing.assert_array_equal(again.potentials, batch.potentials)
        assert again.stats == batch.stats
        assert (select(*pool, 300, random_state=12).indices != batch.indices).any()


def whole_batch(gradients, k, seed, exclude=NONE):
    return d2_sample(gradients, k, exclude=exclude, random_state=seed)


class TestPrefix:
    """The batch for k is the start of that for any larger k."""

    def check(self, gradients, ks, k_max, seed, exclude=NONE):
        longest = whole_batch(gradients, k_max, seed, exclude)
        for k in ks:
            batch, start = whole_batch(gradients, k, seed, exclude), longest[:k]
            np.testing.assert_array_equal(batch.indices, start.indices)
            np.testing.assert_array_equal(batch.d2, start.d2)
            np.testing.assert_array_equal(batch.pseudo_labels, start.pseudo_labels)
            np.testing.assert_array_equal(batch.gradient_norms, start.gradient_norms)
            # A last pass of fewer centres may round otherwise.
            np.testing.assert_allclose(batch.potentials, start.potentials, rtol=1e-12)

    @pytest.mark.parametrize("tiny", pools.TINY, ids=str)
    def test_of_tiny_pools(self, tiny):
        gradients = tiny.gradients()
        k_max = len(tiny.proba) - len(tiny.exclude)
        exclude = np.array(tiny.exclude, dtype=np.int64)
        for seed in range(5):
            self.check(gradients, range(1, k_max), k_max, seed, exclude)

    def test_on_every_storage(self, storage, tmp_path):
        gradients, _, _ = storage.make(*pools.hostile(), tmp_path)
        self.check(gradients, [1, 2, 5, 9, 33, 59], 60, seed=1)

    @pytest.mark.parametrize("seed", [0, 1])
    def test_of_a_larger_pool(self, seed):
        gradients = as_gradients(*pools.confident(3000))
        self.check(gradients, [1, 2, 63, 64, 65, 100, 127, 129, 257, 640, 1023], 1200, seed)

    def test_of_a_generator_that_is_handed_in(self):
        gradients = as_gradients(*pools.confident(100))
        batches = [d2_sample(gradients, k, random_state=np.random.default_rng(5)) for k in (9, 40)]
        np.testing.assert_array_equal(batches[0].indices, batches[1].indices[:9])


@pytest.mark.usefixtures("compiled")
class TestNoRepeats:
    """k distinct rows that are candidates, whatever the pool: for n = k all of them."""

    @pytest.mark.one_of(2)
    @pytest.mark.parametrize("name", degenerate())
    @pytest.mark.parametrize("stored", [np.asarray, sp.csr_array], ids=["dense", "csr"])
    def test_all_rows_come_once(self, name, stored, bias):
        proba, features = degenerate()[name]
        gradients = as_gradients(proba, stored(features), bias=bias)
        for seed in range(3):
            batch = d2_sample(gradients, len(proba), random_state=seed)
            assert sorted(batch.indices) == list(range(len(proba)))
            assert (batch.d2 >= 0).all()
            assert (batch.potentials >= 0).all()
            assert batch.potentials[-1] == 0

    @pytest.mark.parametrize("name", [name for name, (p, _) in degenerate().items() if len(p) > 9])
    def test_excluded_rows_never_come(self, name):
        proba, features = degenerate()[name]
        exclude = np.array([0, 3, 5, len(proba) - 1])
        gradients = as_gradients(proba, features)
        for seed in range(5):
            batch = d2_sample(gradients, len(proba) - 4, exclude=exclude, random_state=seed)
            assert sorted([*batch.indices, *exclude]) == list(range(len(proba)))

    @settings(
        max_examples=60,
        deadline=None,
        # `compiled` holds for all examples alike.
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    @given(
        data=hnp.arrays(
            np.float64, st.tuples(st.integers(1, 30), st.just(4)), elements=st.integers(-2, 2)
        ),
        seed=st.integers(0, 10**6),
        bias=st.booleans(),
    )
    def test_of_any_coarse_pool(self, data, seed, bias):
        # Few distinct values: duplicates, zeros and ties everywhere.
        proba = np.abs(data[:, :3]) + (np.abs(data[:, :3]).sum(axis=1) == 0)[:, None]
        proba /= proba.sum(axis=1, keepdims=True)
        batch = select(proba, data[:, 2:], len(data), bias=bias, random_state=seed)
        assert sorted(batch.indices) == list(range(len(data)))
        dense = oracle.gradients(proba, data[:, 2:], bias=bias)
        d2 = oracle.squared_distances(dense)
        for t in range(1, len(data)):
            nearest = d2[batch.indices[:t]].min(axis=0)
            assert abs(batch.d2[t] - nearest[batch.indices[t]]) <= 1e-12 * d2.max()
            assert abs(batch.potentials[t - 1] - nearest.sum()) <= 1e-11 * max(d2.max(), 1e-300)

    def test_distinct_points_come_before_their_copies(self):
        proba, features = pools.confident(6)
        copies = np.tile(np.arange(6), 5)
        for seed in range(20):
            batch = select(proba[copies], features[copies], 30, random_state=seed)
            assert sorted(copies[batch.indices[:6]]) == list(range(6))
            assert (batch.d2[:6] > 0).all()
            assert (batch.d2[6:] == 0).all()
            assert (batch.potentials[5:] == 0).all()


class TestNumbersOfABatch:
    """What a batch says of each pick is what the oracle says."""

    def test_on_every_storage(self, storage, bias, tmp_path):
        gradients, proba, features = storage.make(*pools.confident(120), tmp_path, bias=bias)
        batch = d2_sample(gradients, 100, random_state=4)
        dense = storage.gradients(proba, features, bias=bias)
        norms = (dense**2).sum(axis=1)
        d2 = np.minimum.accumulate(oracle.squared_distances(dense[batch.indices], dense), axis=0)
        steps = np.arange(1, 100)
        labels = oracle.pseudo_labels(proba, storage.task)
        assert batch.indices.dtype == np.int64
        assert batch.indices[0] == norms.argmax()
        if storage.task == "vectors":
            assert batch.pseudo_labels is None
        else:
            assert batch.pseudo_labels.dtype == labels.dtype
            np.testing.assert_array_equal(batch.pseudo_labels, labels[batch.indices])
        np.testing.assert_allclose(batch.gradient_norms**2, norms[batch.indices], rtol=1e-14)
        assert batch.d2[0] == pytest.approx(norms.max(), rel=1e-14)
        np.testing.assert_allclose(batch.d2[1:], d2[steps - 1, batch.indices[1:]], rtol=1e-9)
        np.testing.assert_allclose(batch.potentials, d2.sum(axis=1), rtol=1e-11)
        assert (np.diff(batch.potentials) < 0).all()

    def test_excluded_rows_do_not_count(self):
        proba, features = pools.confident(120)
        keep = np.arange(120) % 3 > 0
        batch = select(proba, features, 30, exclude=~keep, random_state=4)
        dense = oracle.gradients(proba, features)
        d2 = oracle.squared_distances(dense[batch.indices], dense[keep])
        expected = np.minimum.accumulate(d2, axis=0).sum(axis=1)
        np.testing.assert_allclose(batch.potentials, expected, rtol=1e-11)

    def test_far_fewer_passes_than_picks(self):
        stats = select(*pools.confident(5000), 1000, random_state=0).stats
        assert stats["passes"] <= 25
        assert stats["accepted"] == 999
        assert 999 <= stats["proposals"] <= 3000
        assert stats["pairs"] == 5000 * 1000


class TestUtilities:
    """Row t is the law that pick t was drawn from."""

    @pytest.mark.parametrize("tiny", pools.TINY, ids=str)
    def test_of_tiny_pools_are_the_oracles(self, tiny):
        gradients = tiny.gradients()
        exclude = np.array(tiny.exclude, dtype=np.int64)
        k = len(tiny.proba) - len(exclude)
        for seed in range(5):
            picks = d2_sample(gradients, k, exclude=exclude, random_state=seed).indices
            utilities = d2_utilities(gradients, picks, exclude=exclude)
            expected = oracle.utilities(tiny.squared_norms, tiny.d2, picks, tiny.exclude)
            np.testing.assert_allclose(utilities, expected, rtol=1e-12, atol=1e-15)

    def test_on_every_storage(self, storage, bias, tmp_path):
        gradients, proba, features = storage.make(*pools.hostile(), tmp_path, bias=bias)
        exclude = np.array([4, 10, 31])
        batch = d2_sample(gradients, 57, exclude=exclude, random_state=8)
        utilities = d2_utilities(gradients, batch.indices, exclude=exclude)
        dense = storage.gradients(proba, features, bias=bias)
        norms, d2 = (dense**2).sum(axis=1), oracle.squared_distances(dense)
        assert utilities.shape == (57, 60)
        # As long as rounding of the oracle's own differences is no part of the law.
        some = int(np.searchsorted(-batch.potentials, -1e-9 * norms.max()))
        expected = oracle.utilities(norms, d2, batch.indices[:some], exclude)
        assert some > 20
        np.testing.assert_allclose(utilities[:some], expected, rtol=1e-6, atol=1e-7)
        self.check_form(utilities, batch.indices, exclude)
        again = d2_sample(gradients, 57, exclude=exclude, random_state=8)
        np.testing.assert_array_equal(again.indices, batch.indices)

    def check_form(self, utilities, picks, exclude):
        free = np.ones(utilities.shape[1], dtype=bool)
        free[exclude] = False
        for t, pick in enumerate(picks):
            np.testing.assert_array_equal(np.isnan(utilities[t]), ~free)
            assert (utilities[t, free] >= 0).all()
            assert utilities[t, free].sum() == pytest.approx(1, abs=1e-12)
            assert utilities[t, pick] > 0
            free[pick] = False

    @pytest.mark.parametrize("name", degenerate())
    def test_of_degenerate_pools_have_their_form(self, name, bias):
        gradients = as_gradients(*degenerate()[name], bias=bias)
        exclude = np.array([1])[: gradients.n_rows - 1]
        picks = d2_sample(
            gradients, gradients.n_rows - len(exclude), exclude=exclude, random_state=2
        ).indices
        self.check_form(d2_utilities(gradients, picks, exclude=exclude), picks, exclude)

    def test_of_many_picks(self):
        gradients = as_gradients(*pools.confident(400))
        batch = d2_sample(gradients, 150, random_state=3)
        utilities = d2_utilities(gradients, batch.indices)
        self.check_form(utilities, batch.indices, NONE)
        steps = np.arange(1, 150)
        at_pick = utilities[steps, batch.indices[1:]] * batch.potentials[:-1]
        np.testing.assert_allclose(at_pick, batch.d2[1:], rtol=1e-9)

    def test_of_no_picks(self):
        gradients = as_gradients(*pools.confident(5))
        assert d2_utilities(gradients, NONE).shape == (0, 5)


class TestReadOnly:
    """The caller's arrays are read, and nothing else."""

    @pytest.mark.parametrize("order", ["C", "F"])
    @pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
    def test_dense(self, dtype, order, bias):
        arrays = [np.array(x, dtype=dtype, order=order) for x in pools.hostile()]
        for array in arrays:
            array.flags.writeable = False
        before = [hashlib.sha256(x.tobytes()).digest() for x in arrays]
        gradients = as_gradients(*arrays, bias=bias)
        picks = d2_sample(gradients, 60, random_state=0).indices
        d2_utilities(gradients, picks)
        assert [hashlib.sha256(x.tobytes()).digest() for x in arrays] == before

    def test_writeable_arrays_are_not_written_to(self):
        proba, features = pools.hostile()
        copies = proba.copy(), features.copy()
        pools.plain(proba, features).gather(np.arange(60)).residuals[:] = 7.0
        select(proba, features, 60, exclude=[], random_state=0)
        np.testing.assert_array_equal(proba, copies[0])
        np.testing.assert_array_equal(features, copies[1])

    def test_files(self, tmp_path):
        for store in ("float32-disk", "float32-disk-pruned", "float16-disk"):
            storage = next(storage for storage in pools.STORAGES if storage.name == store)
            folder = tmp_path / store
            folder.mkdir()
            gradients, _, _ = storage.make(*pools.hostile(), folder)
            before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
            picks = d2_sample(gradients, 60, random_state=0).indices
            d2_utilities(gradients, picks)
            after = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
            assert before == after

    def test_one_column_and_exclude(self):
        proba, features, exclude = np.full(9, 0.25), np.eye(9), np.array([5, 2, 2])
        for array in (proba, features, exclude):
            array.flags.writeable = False
        select(proba, features, 7, exclude=exclude, random_state=0)
        assert exclude.tolist() == [5, 2, 2]
        assert (proba == 0.25).all()
