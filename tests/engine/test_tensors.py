"""Torch tensors as probabilities and features: what `as_gradients` makes of them."""

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from torch.overrides import TorchFunctionMode

import pools
from labelnext import Pool, Ray, open_pool, select
from labelnext.engine import as_gradients, open_gradients
from labelnext.engine._torch import TorchGradients
from labelnext.pools import ArraySource, arrays

PROBA, FEATURES = pools.confident(300)


def tensors(dtype=torch.float64):
    return torch.tensor(PROBA, dtype=dtype), torch.tensor(FEATURES, dtype=dtype)


class TestOnTheCPU:
    @pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
    def test_they_are_arrays_of_the_same_memory(self, dtype):
        proba, features = tensors(dtype)
        pool = as_gradients(proba, features)
        assert np.shares_memory(pool.proba, proba.numpy())
        assert np.shares_memory(pool.features, features.numpy())
        batch = select(proba, features, 20, random_state=1)
        expected = select(proba.numpy(), features.numpy(), 20, random_state=1)
        np.testing.assert_array_equal(batch.indices, expected.indices)

    def test_bfloat16_is_converted_and_may_be_off_by_its_rounding(self):
        proba, features = tensors(torch.bfloat16)
        sums = proba.double().sum(dim=1)
        assert (sums - 1).abs().max() > 1e-3
        pool = as_gradients(proba, features)
        assert pool.proba.dtype == pool.features.dtype == np.float32
        np.testing.assert_array_equal(pool.proba, proba.float().numpy())
        with pytest.raises(ValueError, match=r"sum to 1 \(within 0\.02 for bfloat16\), but row 0"):
            as_gradients(0.9 * proba, features)

    @pytest.mark.parametrize("k", [0, 1])
    def test_one_may_be_an_array(self, k):
        pair = [PROBA, FEATURES]
        pair[k] = torch.tensor(pair[k])
        np.testing.assert_array_equal(
            select(*pair, 9, random_state=0).indices,
            select(PROBA, FEATURES, 9, random_state=0).indices,
        )

    @pytest.mark.parametrize("dtype", [torch.int64, torch.uint8, torch.bool])
    def test_whole_numbers(self, dtype):
        proba, features = torch.eye(3)[[0, 1, 2, 0]].to(dtype), torch.arange(4)[:, None].to(dtype)
        assert as_gradients(proba, features).squared_norms.tolist() == [0, 0, 0, 0]

    def test_those_of_a_graph_are_cut_off_and_left_alone(self):
        proba, features = (x.requires_grad_() for x in tensors())
        before = proba.detach().clone(), features.detach().clone()
        select(proba, 2 * features, 50, random_state=0)
        for tensor, copy in zip((proba, features), before, strict=True):
            assert tensor.requires_grad
            assert tensor.grad is None
            assert torch.equal(tensor.detach(), copy)

    def test_transposed_and_strided(self):
        proba, features = tensors()
        batch = select(proba.T.contiguous().T, features.repeat(1, 2)[:, ::2], 9, random_state=0)
        other = select(PROBA, np.concatenate([FEATURES] * 2, axis=1)[:, ::2], 9, random_state=0)
        np.testing.assert_array_equal(batch.indices, other.indices)

    def test_exclude_may_be_a_tensor(self):
        rows = torch.tensor([4, 7, 7])
        mask = torch.zeros(300, dtype=torch.bool)
        mask[rows] = True
        expected = select(PROBA, FEATURES, 9, exclude=[4, 7], random_state=0).indices
        for exclude in (rows, mask):
            batch = select(*tensors(), 9, exclude=exclude, random_state=0)
            np.testing.assert_array_equal(batch.indices, expected)


class TestRefused:
    def test_sparse(self):
        proba, features = tensors()
        with pytest.raises(TypeError, match=r"features is a sparse tensor.*SciPy.*to_dense"):
            as_gradients(proba, features.to_sparse())

    def test_complex(self):
        proba, features = tensors()
        with pytest.raises(TypeError, match=r"features must hold real numbers.*complex128"):
            as_gradients(proba, features.to(torch.complex128))

    def test_two_devices(self):
        proba, features = tensors()
        message = r"on one device, got proba on cpu and features on meta; move one of them"
        with pytest.raises(ValueError, match=message):
            as_gradients(proba, features.to("meta"))
        with pytest.raises(ValueError, match=r"proba on meta and features on cpu"):
            as_gradients(proba.to("meta"), FEATURES)


class Short(TorchFunctionMode):
    """From some call on there is no memory for what torch is asked for, or for one call only."""

    def __init__(self, first, *, stays):
        super().__init__()
        self.first, self.stays, self.calls = first, stays, 0

    def __torch_function__(self, function, types, args=(), kwargs=None):
        # What takes no memory: `no_grad` sets back by the second, and must.
        if function.__name__ not in ("__get__", "_set_grad_enabled"):
            self.calls += 1
            if self.calls > self.first and (self.stays or self.calls == self.first + 1):
                raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 MiB")
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("stays", [False, True])
def test_wherever_memory_ends_it_is_told_or_it_does(stays):
    pool = Pool.of(ArraySource(PROBA, FEATURES)._as_tensors(torch.device("cpu")))
    expected, done, refused = select(pool, 20, random_state=3), 0, 0
    with Short(10**9, stays=True) as mode:
        pool.cache.clear()
        select(pool, 20, random_state=3)
    for first in range(0, mode.calls, mode.calls // 60):
        batch = said = None
        pool.cache.clear()
        with Short(first, stays=stays):
            try:
                batch = select(pool, 20, random_state=3)
            except MemoryError as error:
                said = str(error)
        if batch is not None:
            np.testing.assert_array_equal(batch.indices, expected.indices)
            done += 1
        else:
            assert said.startswith("Out of memory on cpu: ")
            refused += 1
    assert refused > 20
    # In a tile it is tried again, with fewer rows.
    assert (done == 0) if stays else (done > 10)


class TestMoved:
    """What `Pool.to` makes, as far as a machine without a GPU can tell."""

    @pytest.mark.parametrize("task", ["multiclass", "binary", "vectors"])
    @pytest.mark.parametrize("room", [1e9, 300 * 50, 0], ids=["whole", "a part", "in pieces"])
    def test_the_same_batch_of_what_fits_and_what_does_not(self, task, room, monkeypatch):
        monkeypatch.setattr(arrays, "_room_on", lambda _: room)
        proba = None if task == "vectors" else PROBA[:, :1] if task == "binary" else PROBA
        pool = Pool(proba, FEATURES.astype(np.float32), task=task, bias=task == "binary")
        source = pool.source._as_tensors(torch.device("cpu"))
        moved = Pool.of(source, task=task, bias=pool.bias)
        assert type(open_gradients(moved)) is TorchGradients
        in_pieces = [isinstance(moved.read(part), arrays.InPieces) for part in source.parts]
        assert any(in_pieces) == (room < 1e9 and (room == 0 or task == "multiclass"))
        assert all(in_pieces) == (room == 0 and task != "binary")
        assert moved.features.shape == (300, FEATURES.shape[1])
        for options in ({}, {"strategy": "core-set"}):
            if options and task == "binary":
                continue
            batch, expected = (select(x, 40, random_state=3, **options) for x in (moved, pool))
            np.testing.assert_array_equal(batch.indices, expected.indices)
        back = moved.source._as_arrays()
        np.testing.assert_array_equal(back.array("features"), pool.features)
        assert back.device == "cpu"

    def test_to_where_it_is(self):
        pool = Pool(PROBA, FEATURES, ids=range(1, 301))
        assert pool.to("cpu") is pool
        expected = select(pool, 9, random_state=0)
        np.testing.assert_array_equal(
            select(pool, 9, random_state=0, device="cpu").ids, expected.ids
        )

    def test_what_cannot_be_moved(self, tmp_path, monkeypatch):
        pool = Pool(PROBA, FEATURES)
        with pytest.raises(ValueError, match=r"device must be one that torch has.*got 'gpu'"):
            select(pool, 9, device="gpu")
        with pytest.raises(ValueError, match="On the device meta"):
            pool.to("meta")
        np.save(tmp_path / "h.npy", FEATURES)
        with pytest.raises(TypeError, match=r"read it into memory, as in Pool\(pool\.read"):
            open_pool(features=tmp_path / "h.npy").to("cpu")
        with pytest.raises(TypeError, match=r"sparse matrix, which stays on the CPU"):
            Pool(PROBA, sp.csr_array(FEATURES)).source.moved(torch.device("cpu"))
        with pytest.raises(TypeError, match=r"labelnext\.Ray\(num_gpus=1\)"):
            select(pool, 9, device="cuda", cluster=Ray())
        big_endian = ArraySource(PROBA, FEATURES.astype(">f8"))
        with pytest.raises(TypeError, match=r"features in >f8 cannot be a tensor.*float32"):
            big_endian._as_tensors(torch.device("cpu"))

    @pytest.mark.parametrize("strategy", ["badge", "core-set", "max-herding"])
    def test_no_room_while_it_is_selected(self, strategy, monkeypatch):
        source = ArraySource(PROBA, FEATURES)._as_tensors(torch.device("cpu"))
        message = (
            r"Out of memory on cpu: choosing 9 samples by [\w-]+ needs more than is free there"
        )

        def no_room(*_, **__):
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 MiB")

        for place in (
            (TorchGradients, "gather"),
            (torch.Tensor, "double"),
            (TorchGradients, "start"),
        ):
            monkeypatch.setattr(*place, no_room)
        with pytest.raises(MemoryError, match=message):
            select(Pool.of(source), 9, strategy=strategy)
