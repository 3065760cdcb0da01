"""Pools on a GPU: the batch, the distances and the memory. For machines that have one."""

import gc

import numpy as np
import pytest
import torch

import oracle
import pools
from labelnext import Pool, select
from labelnext.engine import _torch_rows, as_gradients
from labelnext.engine._torch import TorchGradients
from labelnext.pools import arrays
from labelnext.sampling import d2_sample, d2_utilities

pytestmark = pytest.mark.gpu

CUDA = torch.device("cuda")


def on_gpu(proba, features, dtype=torch.float32):
    return tuple(torch.tensor(x).to(CUDA, dtype) for x in (proba, features))


def same(batch, other):
    np.testing.assert_array_equal(batch.indices, other.indices)
    np.testing.assert_array_equal(batch.pseudo_labels, other.pseudo_labels)
    np.testing.assert_allclose(batch.gradient_norms, other.gradient_norms, rtol=1e-12)
    np.testing.assert_allclose(batch.d2, other.d2, rtol=1e-8, atol=1e-300)
    np.testing.assert_allclose(batch.potentials, other.potentials, rtol=1e-8, atol=1e-300)


class TestOneBatch:
    """The same seed picks the same rows as from NumPy's arrays."""

    @pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
    @pytest.mark.parametrize("task", ["multiclass", "multilabel", "binary"])
    @pytest.mark.parametrize("pool", ["confident", "hostile"])
    def test_of_every_task(self, dtype, task, pool, bias):
        proba, features = pools.hostile() if pool == "hostile" else pools.confident(2_000)
        proba = proba[:, :1] if task == "binary" else proba
        tensors = on_gpu(proba, features, dtype)
        arrays = (x.cpu().numpy() for x in tensors)
        k = len(proba) // 2
        gradients = as_gradients(*tensors, bias=bias, task=task)
        assert type(gradients) is TorchGradients
        assert gradients.device.type == "cuda"
        same(
            pools.choose(gradients, k, exclude=[1, 6], random_state=5),
            select(*arrays, k, bias=bias, task=task, exclude=[1, 6], random_state=5),
        )

    def test_of_a_large_pool(self):
        proba, features = pools.confident(100_000, 50, 64, seed=1, signed=False)
        tensors = on_gpu(proba, features)
        arrays = (x.cpu().numpy() for x in tensors)
        same(select(*tensors, 2_000, random_state=5), select(*arrays, 2_000, random_state=5))

    def test_under_what_is_set_for_a_network(self):
        tensors = on_gpu(*pools.confident(5_000, 10, 32))
        expected = select(*(x.cpu().numpy() for x in tensors), 300, random_state=2)
        before = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("medium")
        try:
            with torch.autocast("cuda", dtype=torch.float16):
                same(select(*tensors, 300, random_state=2), expected)
            assert torch.get_float32_matmul_precision() == "medium"
        finally:
            torch.set_float32_matmul_precision(before)

    def test_with_deterministic_algorithms(self):
        tensors = on_gpu(*pools.confident(5_000))
        expected = select(*tensors, 300, random_state=2)
        torch.use_deterministic_algorithms(True)
        try:
            again = select(*tensors, 300, random_state=2)
        finally:
            torch.use_deterministic_algorithms(False)
        np.testing.assert_array_equal(again.indices, expected.indices)
        np.testing.assert_array_equal(again.potentials, expected.potentials)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_distances_are_the_oracles(dtype, bias):
    tensors = on_gpu(*pools.hostile(), dtype)
    gradients = as_gradients(*tensors, bias=bias)
    dense = oracle.gradients(*(x.double().cpu().numpy() for x in tensors), bias=bias)
    norms, expected = (dense**2).sum(axis=1), oracle.squared_distances(dense)
    rows = gradients.gather(np.arange(60))
    off = np.abs(rows.squared_distances(rows) - expected)
    assert (off <= 1e-13 * np.add.outer(norms, norms)).all()
    state, block = gradients.start(np.array([0, 5])), np.array([7, 3, 40, 11, 12])
    trace = np.full((5, 60), np.nan)
    state.min_update(gradients.gather(block), block, trace=trace)
    expected = np.minimum.accumulate(expected[block], axis=0)
    expected[:, [0, 5]] = 0.0
    assert (np.abs(trace - expected) <= 1e-13 * (norms + norms[block].max())).all()
    np.testing.assert_array_equal(state.values, trace[-1])


def test_utilities():
    tensors = on_gpu(*pools.confident(300), torch.float64)
    picks = select(*tensors, 40, random_state=0).indices
    expected = d2_utilities(as_gradients(*(x.cpu() for x in tensors)), picks)
    np.testing.assert_allclose(d2_utilities(as_gradients(*tensors), picks), expected, rtol=1e-9)


@pytest.mark.parametrize("row", [0, 70_000])
def test_bad_values_are_named(row):
    proba, features = on_gpu(*pools.confident(80_000))
    features[row, 3] = torch.nan
    with pytest.raises(ValueError, match=f"features is nan at row {row}, column 3"):
        as_gradients(proba, features)
    features[row, 3] = 0.0
    proba[row, 1] = -1.0
    with pytest.raises(ValueError, match=rf"proba is -1\.0 at row {row}, column 1"):
        as_gradients(proba, features)


def test_two_devices():
    proba, features = on_gpu(*pools.confident(20))
    with pytest.raises(ValueError, match="proba on cpu and features on cuda:0; move one"):
        as_gradients(proba.cpu(), features)


class TestMoved:
    @pytest.mark.parametrize("room", [1e12, 0], ids=["whole", "in pieces"])
    def test_arrays_are_selected_there(self, room, monkeypatch):
        monkeypatch.setattr(arrays, "_room_on", lambda _: room)
        proba, features = (x.astype(np.float32) for x in pools.confident(5_000, 10, 32))
        expected = select(proba, features, 300, random_state=2)
        pool = Pool(proba, features).to("cuda")
        assert pool.source.device.type == "cuda"
        assert isinstance(pool.features, arrays.InPieces) == (room == 0)
        same(select(pool, 300, random_state=2), expected)
        same(select(proba, features, 300, random_state=2, device="cuda"), expected)
        back = pool.to("cpu")
        np.testing.assert_array_equal(back.features, features)
        np.testing.assert_array_equal(back.proba, proba)


class TestMemory:
    @pytest.fixture(autouse=True)
    def _empty(self):
        gc.collect()
        torch.cuda.empty_cache()
        yield
        torch.cuda.set_per_process_memory_fraction(1.0)
        torch.cuda.empty_cache()

    def pool(self):
        proba, features = pools.confident(60_000, 20, 64, seed=3)
        return as_gradients(*on_gpu(proba, features))

    def test_what_a_selection_takes_is_bounded(self, monkeypatch):
        monkeypatch.setattr(_torch_rows, "MOST_BYTES", 1 << 26)
        gradients = self.pool()
        d2_sample(gradients, 50, random_state=0)
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        d2_sample(gradients, 1_000, random_state=0)
        # The tile, 64 bytes a row of state and a few blocks of centres.
        growth = torch.cuda.max_memory_allocated() - before
        assert growth < (1 << 26) + 64 * 60_000 + 8 * 1_000 * 84 * 8

    def test_less_than_a_tile_wants_is_enough(self):
        gradients = self.pool()
        expected = d2_sample(gradients, 1_000, random_state=0)
        torch.cuda.empty_cache()
        _, total = torch.cuda.mem_get_info()
        # mem_get_info does not know of the limit, so that tiles are too large at first.
        allowed = torch.cuda.memory_allocated() + (96 << 20)
        torch.cuda.set_per_process_memory_fraction(allowed / total)
        same(d2_sample(gradients, 1_000, random_state=0), expected)

    def test_far_too_little_is_a_clear_error(self):
        gradients = self.pool()
        torch.cuda.empty_cache()
        _, total = torch.cuda.mem_get_info()
        state, block = gradients.start(np.empty(0, dtype=np.int64)), np.arange(30_000)
        centres = gradients.gather(block)
        used = torch.cuda.memory_allocated()
        torch.cuda.set_per_process_memory_fraction((used + (1 << 20)) / total)
        with pytest.raises(MemoryError, match=r"a pass of 30,000 centres over 60,000 rows"):
            state.min_update(centres, block)

    @pytest.mark.parametrize("megabytes", [0, 1, 2, 4, 8, 16, 32, 64])
    def test_wherever_memory_ends_it_is_told_or_it_does(self, megabytes):
        proba, features = on_gpu(*pools.confident(60_000, 20, 64, seed=3))
        expected = select(proba, features, 600, random_state=0)
        gc.collect()
        torch.cuda.empty_cache()
        _, total = torch.cuda.mem_get_info()
        allowed = torch.cuda.memory_allocated() + (megabytes << 20)
        torch.cuda.set_per_process_memory_fraction(allowed / total)
        batch = said = None
        try:
            batch = select(proba, features, 600, random_state=0)
        except MemoryError as error:
            said = str(error)
        if batch is not None:
            same(batch, expected)
        else:
            assert said.startswith("Out of memory on cuda")
            assert megabytes < 64

    def test_no_room_for_the_pool_itself(self):
        proba, features = (x.astype(np.float32) for x in pools.confident(60_000, 20, 64, seed=3))
        torch.ones(1, device=CUDA)
        _, total = torch.cuda.mem_get_info()
        torch.cuda.set_per_process_memory_fraction((4 << 20) / total)
        with pytest.raises(MemoryError, match=r"Out of memory on cuda:0: a pool with proba"):
            Pool(proba, features).to("cuda")
