"""Torch tensors as probabilities and features: what `as_gradients` makes of them."""

import numpy as np
import pytest
import torch

import pools
from labelnext import select
from labelnext.engine import as_gradients

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
