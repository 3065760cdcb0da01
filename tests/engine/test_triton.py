"""The kernels of a GPU, interpreted on the CPU: the plain pass is what they are held against."""

import numpy as np
import pytest
import torch

import pools
from labelnext.engine import _torch
from labelnext.engine._torch import TorchGradients

NONE = np.empty(0, dtype=np.int64)


@pytest.fixture
def kernels(monkeypatch):
    """Have tensors of the CPU treated as those of a GPU."""
    from labelnext.engine import _triton

    # An interpreter is slow by the program, not by the row.
    monkeypatch.setattr(_triton, "ROWS", {"BR": 64, "BK": 32})
    monkeypatch.setattr(_triton, "PAIRS", {"BR": 256, "BK": 32})
    monkeypatch.setattr(_torch, "kernels_for", lambda *_: _triton)
    return _triton


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("task", ["multiclass", "multilabel", "binary"])
@pytest.mark.parametrize("pool", ["confident", "hostile"])
def test_one_batch(kernels, dtype, task, pool, bias):
    proba, features = pools.hostile() if pool == "hostile" else pools.confident(300)
    proba = proba[:, :1] if task == "binary" else proba
    proba, features = (torch.tensor(x).to(dtype) for x in (proba, features))
    of_tensors = TorchGradients(proba, features, bias=bias, task=task)
    assert of_tensors.rows.kernels is kernels
    plain = pools.plain(proba.numpy(), features.numpy(), bias=bias, task=task)
    batch, expected = (
        pools.choose(x, len(proba) // 2, exclude=[1, 6], random_state=5)
        for x in (of_tensors, plain)
    )
    np.testing.assert_array_equal(batch.indices, expected.indices)
    np.testing.assert_array_equal(batch.pseudo_labels, expected.pseudo_labels)
    np.testing.assert_allclose(batch.potentials, expected.potentials, rtol=1e-9)
    np.testing.assert_allclose(batch.d2, expected.d2, rtol=1e-9)
