"""The kernels of a GPU, interpreted on the CPU: the plain pass is what they are held against."""

import numpy as np
import pytest
import torch

import pools
from adversarial import tight_bounds
from labelnext.engine import _torch, _torch_rows
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


@pytest.mark.one_of(12, whole=2)
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


@pytest.mark.one_of(12, whole=2)
@pytest.mark.parametrize("task", ["multiclass", "multilabel"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("seed", range(6))
def test_no_pair_is_ruled_out_that_would_lower_d2(kernels, seed, dtype, task, monkeypatch):
    monkeypatch.setattr(_torch_rows, "MOST_BYTES", 8 * 4 * 128 * 70)
    monkeypatch.setattr(_torch_rows, "CPU_BYTES", 1 << 20)
    proba, features = (torch.tensor(x).to(dtype) for x in tight_bounds(seed))
    order = np.random.default_rng(seed).permutation(300)
    blocks = [order[:1], order[1:130], order[130:280]]
    traces, potentials = np.full((2, 280, 300), np.nan), []
    for pool, trace in zip(
        (
            TorchGradients(proba, features, bias=seed % 2 == 1, task=task),
            pools.plain(proba.numpy(), features.numpy(), bias=seed % 2 == 1, task=task),
        ),
        traces,
        strict=True,
    ):
        state, first = pool.start(NONE), 0
        potentials.append([])
        for block in blocks:
            part = trace[first : first + len(block)]
            report = state.min_update(pool.gather(block), block, trace=part)
            potentials[-1].append(report.potentials)
            first += len(block)
    squares = np.asarray(pool.squared_norms)
    assert (np.abs(traces[0] - traces[1]) <= 2e-13 * (squares + squares.max())).all()
    for ours, plain in zip(*potentials, strict=True):
        np.testing.assert_allclose(ours, plain, rtol=1e-9, atol=1e-12 * squares.sum())


def test_what_is_sifted_keeps_its_margin(kernels):
    """Products of units are off by no more than the margin, for what rounding is hardest on."""
    rng = np.random.default_rng(0)
    a = 10.0 ** -rng.uniform(0, 9, size=(200, 70))
    proba = torch.tensor(a / a.sum(axis=1, keepdims=True))
    features = torch.tensor(10.0 ** -rng.uniform(0, 6, size=(200, 90)) * rng.normal(size=(200, 90)))
    pool = TorchGradients(proba, features, bias=True)
    every = pool.gather(np.arange(200))
    norms, margin = np.sqrt(every.squared_norms), kernels.margin(70, 90)
    for centre in (3, 77, 199):
        one = every[[centre]]
        d2, unit = every.squared_distances(one)[:, 0], norms[centre]
        squares = norms**2 + unit**2
        units = kernels.Units(pool.rows, one, torch.ones(1))
        for limit, is_near in ((d2 * (1 + 1e-6), True), (d2 - 2.5 * margin * squares, False)):
            known = (torch.tensor(x).float() for x in (norms / unit, limit / unit**2))
            keys = units.near(slice(0, 200), *known, margin, 1e-30)
            assert len(keys) == 200 * is_near


# Python's interpreter, not a GPU, minds a square that overflows.
@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")
@pytest.mark.parametrize("task", ["multiclass", "multilabel"])
def test_bad_values_are_named(kernels, task):
    proba, features = (torch.tensor(x) for x in pools.confident(300))
    TorchGradients(proba, features, bias=False, task=task)
    for part, value, message in (
        (features, torch.inf, "features is inf at row 200, column 3"),
        (features, 1e200, "row 200"),
        (proba, torch.nan, "proba is nan at row 200, column 3"),
        (proba, -1e-3, r"proba is -0\.001 at row 200, column 3"),
    ):
        before = float(part[200, 3])
        part[200, 3] = value
        with pytest.raises(ValueError, match=message):
            TorchGradients(proba, features, bias=False, task=task)
        part[200, 3] = before


def test_where_triton_does_not_run_torch_does(monkeypatch):
    from labelnext.engine import _triton

    def no_compiler(*_, **__):
        raise RuntimeError("Failed to find C compiler. Please specify via CC environment variable.")

    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (9, 0))
    monkeypatch.setattr(_triton, "_fill", {(1,): no_compiler})
    tensors = [torch.tensor(x) for x in pools.confident(20)]
    _triton._runs_on.cache_clear()
    with pytest.warns(RuntimeWarning, match=r"does not run here.*Failed to find C compiler.*gcc"):
        assert not _triton.can_do(*tensors)
    assert not _triton.can_do(*tensors)
    _triton._runs_on.cache_clear()
    # Nor on a GPU without tensor cores for float16 as these kernels want them.
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (7, 5))
    assert not _triton.can_do(*tensors)
    _triton._runs_on.cache_clear()
