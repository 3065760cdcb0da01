"""Pools in files: the passes of memory, read stretch by stretch; stretches that may be left out."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import labelnext
import pools
from adversarial import adversarial
from labelnext.sampling import d2_sample, farthest_first

NONE = np.empty(0, dtype=np.int64)


class Watched(pools.InFiles):
    """A source that writes down what was read of it, in which order."""

    def __init__(self, *arrays, cuts=None):
        super().__init__(*arrays)
        self.seen = []
        if cuts is not None:
            self.cuts = np.array(cuts)

    def read(self, part, lo, hi):
        self.seen.append((part, lo, hi))
        return super().read(part, lo, hi)


def by_confidence(n=20_000, n_classes=10):
    """A pool whose rows come in the order of their norms: sure ones side by side."""
    proba, features = (x.astype(np.float32) for x in pools.confident(n, n_classes, 32, seed=3))
    order = pools.plain(proba, features, bias=False).squared_norms.argsort()
    return proba[order], features[order]


class TestPasses:
    """D² and potentials after passes are those of a pool in memory, to the last bit unless said."""

    @settings(max_examples=150, deadline=None)
    @given(
        pool=adversarial(),
        bias=st.booleans(),
        stretch=st.sampled_from([64, 400, 5000]),
        with_cuts=st.booleans(),
    )
    def test_what_is_left_out_would_not_have_changed(self, pool, bias, stretch, with_cuts):
        proba, features, blocks = pool
        source = pools.InFiles(proba, features)
        if with_cuts:
            source.cuts = np.unique([0, len(proba) // 3, len(proba) // 2, len(proba)])
        memory = pools.pruned(proba, features, bias=bias)
        squares = memory.squared_norms
        disk = pools.on_disk(source, bias=bias, pruned=True, stretch=stretch)
        states = [gradients.start(NONE) for gradients in (memory, disk)]
        for rows in blocks:
            for gradients, state in zip((memory, disk), states, strict=True):
                state.min_update(gradients.gather(rows), rows)
            if with_cuts:  # another direction to project on, and so another order of additions
                np.testing.assert_allclose(
                    states[1].values, states[0].values, rtol=1e-6, atol=1e-13 * squares.max()
                )
            else:
                np.testing.assert_array_equal(states[1].values, states[0].values)

    @pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
    def test_whole_spans_sum_to_the_same_bits(self, dtype):
        proba, features = (x.astype(dtype) for x in pools.confident(9000, 6, 16, seed=1))
        batch = d2_sample(pools.pruned(proba, features, bias=False), 400, random_state=0)
        row_bytes = 22 * np.dtype(dtype).itemsize
        disk = pools.on_disk(pools.InFiles(proba, features), pruned=True, stretch=4096 * row_bytes)
        assert np.diff(disk.rows.layout.starts).tolist() == [4096, 4096, 808]
        other = d2_sample(disk, 400, random_state=0)
        np.testing.assert_array_equal(other.indices, batch.indices)
        np.testing.assert_array_equal(other.potentials, batch.potentials)

    @pytest.mark.parametrize("pruned", [False, True])
    def test_farthest_first(self, pruned):
        proba, features = pools.confident(5000, seed=2)
        memory = pools.plain(proba, features, bias=False)
        disk = pools.on_disk(pools.InFiles(proba, features), pruned=pruned)
        batches = [farthest_first(pool, 40, np.array([3])) for pool in (memory, disk)]
        np.testing.assert_array_equal(*(batch.indices for batch in batches))


class TestBytes:
    """What passes read, as they report it and as the source sees it."""

    def test_of_a_pool_that_is_not_kept(self):
        source = Watched(*by_confidence())
        pool = pools.on_disk(source, pruned=True, stretch=20_000)
        assert sum(hi - lo for part, lo, hi in source.seen if part == "proba") == source.n_rows
        source.seen.clear()
        batch = pools.choose(pool, 600, random_state=0)
        rows = sum(hi - lo for part, lo, hi in source.seen if part == "features")
        total = source.n_rows * source.row_bytes
        assert batch.stats["bytes_total"] == batch.stats["passes"] * total
        assert batch.stats["bytes_read"] == rows * source.row_bytes
        # The first pass needs every row; sure rows lie together, and later ones leave them out.
        later = batch.stats["bytes_read"] - total
        assert later < 0.6 * (batch.stats["bytes_total"] - total)

    def test_of_a_pool_in_random_order_no_more_than_all_of_it(self):
        proba, features = pools.confident(20_000, 10, 32, seed=3)
        pool = pools.on_disk(pools.InFiles(proba, features), pruned=True, stretch=20_000)
        stats = pools.choose(pool, 600, random_state=0).stats
        assert 0.3 * stats["bytes_total"] < stats["bytes_read"] <= stats["bytes_total"]

    def test_what_is_kept_is_read_once(self):
        source = Watched(*by_confidence())
        half = source.n_rows // 2 * source.row_bytes
        pool = pools.on_disk(source, pruned=True, stretch=20_000, kept=half)
        n_kept = pool.rows.kept.n_rows
        assert 0.45 * source.n_rows < n_kept < 0.5 * source.n_rows
        source.seen.clear()
        stats = pools.choose(pool, 600, random_state=0).stats
        assert min(lo for _, lo, _ in source.seen) >= n_kept
        assert stats["bytes_read"] <= stats["passes"] * (source.n_rows - n_kept) * source.row_bytes

    def test_of_plain_passes_all_is_read(self):
        proba, features = pools.confident(3000)
        stats = pools.choose(pools.on_disk(pools.InFiles(proba, features)), 40).stats
        assert stats["bytes_read"] == stats["bytes_total"] == stats["passes"] * 3000 * 12 * 8

    def test_in_memory_none(self):
        stats = labelnext.select(*pools.confident(300), 40).stats
        assert (stats["bytes_read"], stats["bytes_total"]) == (0, 0)


class TestReading:
    def test_at_first_in_order(self):
        # A source that makes checksums does so from the start of a file to its end.
        source = Watched(*by_confidence())
        pools.on_disk(source, pruned=True, stretch=5000)
        starts = [lo for part, lo, _ in source.seen if part == "features"]
        assert starts == sorted(starts)
        assert len(starts) > 100

    def test_what_is_read_whole_is_asked_for_whole(self):
        cuts = [0, 10, 700, 1300, 9000, 12_000, 20_000]
        source = Watched(*by_confidence(), cuts=cuts)
        pool = pools.on_disk(source, pruned=True, stretch=9000 * source.row_bytes)
        assert pool.rows.layout.starts.tolist() == [0, 9000, 12_000, 20_000]
        pool = pools.on_disk(source, pruned=True, stretch=1300 * source.row_bytes)
        assert set(cuts) - {10, 700} <= set(pool.rows.layout.starts.tolist())
        assert np.diff(pool.rows.layout.starts).max() == 1300
        source.seen.clear()
        memory = pools.pruned(*by_confidence(), bias=False)
        batches = [pools.choose(p, 600, random_state=0).indices for p in (pool, memory)]
        np.testing.assert_array_equal(*batches)
        allowed = {*cuts, *pool.rows.layout.starts.tolist()}
        assert all({lo, hi} <= allowed for _, lo, hi in source.seen)

    def test_an_error_on_a_thread_arrives(self):
        class Broken(Watched):
            def read(self, part, lo, hi):
                if lo > 9000:
                    raise OSError("the disk is gone")
                return super().read(part, lo, hi)

        with pytest.raises(OSError, match="the disk is gone"):
            pools.on_disk(Broken(*by_confidence()), pruned=True)

    @pytest.mark.parametrize("pruned", [False, True])
    @pytest.mark.parametrize("task", ["multiclass", "multilabel"])
    def test_gather_and_ids(self, pruned, task, tmp_path):
        if pruned and task == "multilabel":
            task = "multiclass"
        proba, features = pools.confident(500)
        source = pools.InFiles(proba, features, ids=[f"row {i}" for i in range(500)])
        memory = pools.plain(proba, features, bias=True, task=task)
        rows = np.array([499, 3, 3, 250])
        for kept in (0, 250 * source.row_bytes, 10**6):
            disk = pools.on_disk(source, bias=True, task=task, pruned=pruned, kept=kept)
            ours, theirs = disk.gather(rows), memory.gather(rows)
            np.testing.assert_array_equal(ours.features, theirs.features)
            np.testing.assert_array_equal(ours.residuals, theirs.residuals)
            np.testing.assert_array_equal(ours.pseudo_labels, theirs.pseudo_labels)
            np.testing.assert_array_equal(disk.features[10:20], features[10:20])
            np.testing.assert_array_equal(np.asarray(disk.proba), proba)


class TestState:
    def test_at_most_64_bytes_a_row(self):
        # What is there besides is counted by the operating system in test_disk_memory.
        proba, features = (x.astype(np.float32) for x in pools.confident(50_000, seed=3))
        pool = pools.on_disk(pools.InFiles(proba, features), pruned=True)
        state = pool.start(NONE)
        arrays = [
            value
            for owner in (pool, state)
            for value in vars(owner).values()
            if isinstance(value, np.ndarray)
        ]
        n_bytes = sum(array.nbytes for array in arrays) / 50_000
        assert 60 < n_bytes < 62
        assert n_bytes == pytest.approx(pool.state_bytes(4, "multiclass"), abs=0.1)

    def test_labels_of_more_classes_than_two_bytes_hold(self):
        proba = np.zeros((3, 70_000), dtype=np.float32)
        proba[[0, 1, 2], [1, 65_537, 69_999]] = 0.75
        proba[[0, 1, 2], [69_998, 2, 5]] = 0.25
        for pool in (
            pools.plain(proba, np.eye(3), bias=False),
            pools.pruned(proba, np.eye(3), bias=False),
        ):
            assert pool.gather(np.arange(3)).pseudo_labels.tolist() == [1, 65_537, 69_999]
        assert pool.runners_up.tolist() == [69_998, 2, 5]


@pytest.mark.usefixtures("compiled")
class TestOpen:
    @pytest.fixture
    def folder(self, tmp_path):
        labelnext.write_pool(tmp_path / "pool", *pools.confident(200), bias=True, rows_per_shard=70)
        return tmp_path / "pool"

    def test_says_what_it_is(self, folder, compiled):
        pool = pools.opened(folder)
        kind = "PrunedGradients" if compiled else "PlainGradients"
        assert repr(pool) == (
            f"{kind} of 200 rows: multiclass, 4 classes, 8 features in float64 with a "
            f"bias, in {folder}"
        )

    def test_knows_bias_and_task_unless_told(self, folder):
        assert pools.opened(folder).bias
        assert not pools.opened(folder, bias=False).bias
        assert pools.opened(folder, task="multilabel").task == "multilabel"
        assert not pools.opened(pools.InFiles(*pools.confident(9))).bias

    def test_files_named_one_by_one(self, tmp_path):
        proba, features = pools.confident(300)
        np.save(tmp_path / "a.npy", proba)
        np.save(tmp_path / "b.npy", features)
        pool = pools.opened(proba=tmp_path / "a.npy", features=str(tmp_path / "b.npy"))
        np.testing.assert_array_equal(
            pools.choose(pool, 30, random_state=1).indices,
            labelnext.select(proba, features, 30, random_state=1).indices,
        )

    @pytest.mark.parametrize("task", ["multiclass", "binary"])
    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_probabilities_of_one_dimension(self, task, dtype):
        proba, features = pools.confident(300, n_classes=2)
        proba = proba[:, 1].astype(dtype)
        pool = pools.opened(pools.InFiles(proba, features), task=task)
        memory = labelnext.engine.as_gradients(proba, features, task=task)
        batches = [pools.choose(p, 30, random_state=1) for p in (pool, memory)]
        np.testing.assert_array_equal(*(batch.indices for batch in batches))
        np.testing.assert_array_equal(*(batch.pseudo_labels for batch in batches))

    @pytest.mark.parametrize(
        ("part", "row", "value", "message"),
        [
            ("features", 150, np.nan, r"features is nan at row 150 \(row 10 of .*\), column 2"),
            ("features", 0, np.inf, r"features is inf at row 0 \(row 0 of .*\), column 2"),
            ("features", 199, 1e150, r"features of row 199 \(row 59 of .*\) are too large"),
            ("proba", 70, np.nan, r"proba is nan at row 70 \(row 0 of .*shard.*\), column 2"),
            ("proba", 71, -1.0, r"proba is -1.0 at row 71 \(row 1 of .*\), column 2"),
            ("proba", 140, 2.0, r"row 140 \(row 0 of .*\) sums to"),
        ],
    )
    def test_bad_values_name_file_row_and_column(self, tmp_path, part, row, value, message):
        arrays = dict(zip(("proba", "features"), pools.confident(200), strict=True))
        arrays[part][row, 2] = value
        labelnext.write_pool(tmp_path / "pool", *arrays.values(), rows_per_shard=70)
        with pytest.raises(ValueError, match=message):
            pools.opened(tmp_path / "pool")

    def test_a_binary_pool_has_one_column(self):
        with pytest.raises(ValueError, match="has one column"):
            pools.opened(pools.InFiles(*pools.confident(5)), task="binary")

    def test_an_unknown_task(self):
        with pytest.raises(ValueError, match="task must be"):
            pools.opened(pools.InFiles(*pools.confident(5)), task="ordinal")
