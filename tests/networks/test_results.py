"""What comes out: dtypes, memory, devices, precision and the bar."""

import io
import subprocess
import sys
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset

import labelnext
import nets
from labelnext.networks import extract, passes, proba_and_features
from labelnext.networks.results import Rows
from labelnext.networks.untouched import lend_weights, untouched

X = nets.rows()


@pytest.mark.parametrize("dtype", ["float16", torch.float16, np.float16, np.dtype("float16")])
def test_features_in_float16(dtype):
    model = nets.make("mlp")[0]
    pool = extract(model, X, dtype=dtype)
    assert pool.features.dtype == np.float16
    assert pool.proba.dtype == np.float32
    np.testing.assert_allclose(pool.features, extract(model, X).features, rtol=1e-3, atol=1e-4)


def test_bfloat16_on_request():
    _, features = proba_and_features(nets.Mlp(), X, dtype="bfloat16")
    assert features.dtype == torch.bfloat16


@pytest.mark.parametrize("amp", [True, "bfloat16", torch.bfloat16])
def test_mixed_precision_on_request(amp):
    model = nn.Sequential(nn.Linear(6, 9), nn.Linear(9, 4))
    exact = proba_and_features(model, X)[1]
    mixed = proba_and_features(model, X, amp=amp)[1]
    # Rounded to 8 bits, and kept as NumPy can.
    assert mixed.dtype == torch.float32
    assert torch.equal(mixed, mixed.bfloat16().float())
    assert 0 < (mixed - exact).abs().max() < 0.05
    assert torch.equal(proba_and_features(model, X, amp=False)[1], exact)


def test_a_pool_is_views_of_what_was_written():
    proba, features = proba_and_features(nets.Mlp(), X)
    pool = labelnext.Pool(proba, features)
    assert np.shares_memory(pool.features, features.numpy())
    assert np.shares_memory(pool.proba, proba.numpy())


@pytest.mark.parametrize("data", [X, X.numpy(), X.half(), X.clone().requires_grad_()])
@pytest.mark.parametrize("model", [nn.Linear(6, 4), nn.Sequential(nn.Dropout(), nn.Linear(6, 4))])
def test_features_of_a_head_alone_are_the_data(model, data):
    proba, features = proba_and_features(model, data, batch_size=4)
    assert features.data_ptr() == torch.as_tensor(data).data_ptr()
    assert not features.requires_grad
    linear = model if isinstance(model, nn.Linear) else model[-1]
    expected = linear(torch.as_tensor(data).float()).softmax(1)
    torch.testing.assert_close(proba, expected.detach())


def test_features_of_a_head_alone_are_copied_where_they_must_differ():
    for model, data, dtype in (
        (nn.Linear(6, 4), X.double(), None),
        (nn.Linear(6, 4), X, "float16"),
        (nn.Sequential(nn.Tanh(), nn.Linear(6, 4)), X, None),
    ):
        _, features = proba_and_features(model, data, dtype=dtype)
        assert features.data_ptr() != data.data_ptr()
        assert features.dtype == (torch.float32 if dtype is None else torch.float16)


def test_probabilities_of_confident_logits_in_half_precision_sum_to_one():
    model = nn.Linear(6, 1000).bfloat16()
    proba, _ = proba_and_features(model, X * 30)
    assert proba.dtype == torch.float32
    torch.testing.assert_close(proba.sum(1), torch.ones(nets.N), atol=1e-5, rtol=0)


class _Rows(IterableDataset):
    def __iter__(self):
        row = torch.ones(2048)
        return (row for _ in range(4096))


STATUS = Path("/proc/self/status")

PEAK = r"""
import re
from pathlib import Path
import torch
from torch.utils.data import DataLoader, IterableDataset
from labelnext.networks import proba_and_features

torch.set_num_threads(1)

class Stream(IterableDataset):
    def __iter__(self):
        return iter(rows)

def kilobytes(name):
    return int(re.search(name + r":\s+(\d+)", Path("/proc/self/status").read_text())[1])

model = torch.nn.Sequential(torch.nn.Tanh(), torch.nn.Linear(2048, 2))
rows = torch.ones(1, 2048).expand(8192, 2048)
proba_and_features(model, rows[:128], batch_size=64)
for data, size in ((rows, {"batch_size": 64}), (DataLoader(Stream(), batch_size=64), {})):
    Path("/proc/self/clear_refs").write_text("5")
    before = kilobytes("VmRSS")
    features = proba_and_features(model, data, **size)[1]
    print((kilobytes("VmHWM") - before) * 1024 / features.nbytes)
    del features
"""


@pytest.mark.slow
@pytest.mark.skipif(not STATUS.exists(), reason="the peak is read from Linux's /proc")
def test_memory_is_the_result_and_a_batch():
    run = subprocess.run([sys.executable, "-c", PEAK], check=True, capture_output=True, text=True)
    known, unknown = map(float, run.stdout.split())
    assert 0.9 < known < 1.2
    assert 0.9 < unknown < 1.2


def test_a_batch_is_let_go_before_the_next_is_read():
    alive = weakref.WeakSet()

    class Batches(Dataset):
        def __len__(self):
            return 3

        def __getitem__(self, i):
            assert len(alive) == 0
            batch = torch.ones(5, 6) * i
            alive.add(batch)
            return batch

    loader = DataLoader(Batches(), batch_size=None, collate_fn=lambda batch: batch)
    assert extract(nets.Mlp(), loader).n_rows == 15


@pytest.mark.parametrize("n_rows", [None, 300])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_rows_are_kept_as_they_come(n_rows, dtype):
    values = torch.randn(300, 5).to(dtype)
    rows = Rows(n_rows, 5, dtype, torch.device("cpu"))
    for start in range(0, 300, 7):
        with torch.inference_mode():
            rows.write(start, values[start : start + 7])
    kept = rows.finish(300)
    assert torch.equal(kept, values)
    assert not kept.is_inference()
    assert kept.untyped_storage().nbytes() == 300 * 5 * dtype.itemsize


def test_weights_are_lent_to_a_device_and_taken_back():
    model = nets.Recurrent()
    model.tied = model.fc
    before = {name: (id(p), p.device) for name, p in model.named_parameters()}
    flat = model.lstm._flat_weights
    with untouched(model):
        lend_weights(model, torch.device("meta"))
        assert {p.device.type for p in model.parameters()} == {"meta"}
        assert model(nets.ids().to("meta")).shape == (nets.N, 4)
    assert {name: (id(p), p.device) for name, p in model.named_parameters()} == before
    assert model.lstm._flat_weights is flat
    assert model(nets.ids()).isfinite().all()


@pytest.mark.gpu
def test_on_a_gpu():
    for kind in ("mlp", "torchvision", "recurrent", "bert", "compiled", "data parallel"):
        model, data, _ = nets.make(kind)
        proba, features = proba_and_features(model, data, amp=False)
        device = next(nets.inner(model).parameters()).device
        state = torch.cuda.get_rng_state()
        ours = proba_and_features(model, data, amp=False, device="cuda", batch_size=4)
        assert torch.equal(torch.cuda.get_rng_state(), state)
        assert next(nets.inner(model).parameters()).device == device
        # cuDNN computes recurrent layers and convolutions with TF32, unless the user forbids it.
        close = 3e-3 if kind in ("recurrent", "torchvision") else 1e-4
        for tensor, expected in zip(ours, (proba, features), strict=True):
            assert tensor.is_cuda
            torch.testing.assert_close(tensor.cpu(), expected, atol=close, rtol=close)
        mixed = proba_and_features(model, data, device="cuda")
        torch.testing.assert_close(mixed[0].cpu(), proba, atol=2e-2, rtol=0)
        pool = extract(model, data, device="cuda")
        assert pool.n_rows == nets.N


# Progress


def test_progress_is_told_to_a_function():
    told = []
    extract(nets.Mlp(), X, batch_size=4, progress=lambda done, total: told.append((done, total)))
    assert told == [(4, 11), (8, 11), (11, 11)]
    told.clear()
    stream = DataLoader(_Rows(), batch_size=2048)
    extract(nn.Linear(2048, 3), stream, progress=lambda *what: told.append(what))
    assert told == [(2048, None), (4096, None)]


@pytest.mark.parametrize("terminal", [True, False])
def test_a_bar_is_shown_where_someone_looks(monkeypatch, terminal):
    screen = io.StringIO()

    def console(**options):
        assert options == {"stderr": True}
        return Console(file=screen, force_terminal=terminal, width=100)

    monkeypatch.setattr(passes, "Console", console)
    extract(nets.Mlp(), X, batch_size=4, progress=False)
    assert screen.getvalue() == ""
    extract(nets.Mlp(), X, batch_size=4)
    shown = screen.getvalue()
    if not terminal:
        assert shown == ""
        return
    assert "extracting" in shown
    assert "11/11" in shown
    assert "/s" in shown
    assert "left" in shown
    # Removed at the end: the last line is erased.
    assert shown.endswith("\x1b[2K")


def test_nothing_is_written_by_default_where_nobody_looks(capfd):
    extract(nets.Mlp(), X)
    assert capfd.readouterr() == ("", "")


def test_a_batch_from_a_network_in_two_lines():
    pool = labelnext.extract(nets.Mlp(), X)
    batch = labelnext.select(pool, 3, random_state=0)
    assert len(set(batch.indices.tolist())) == 3
