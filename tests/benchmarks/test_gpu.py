"""The benchmark of GPUs: its code runs on the CPU with a tiny pool, and says when it cannot."""

import json

import numpy as np
import pytest
import torch
from rich.console import Console

from benchmarks import gpu, report

TINY = (3_000, 16, 10, 200, "float16", 60.0)


@pytest.fixture(scope="module", name="row")
def _row():
    return gpu.measure(*TINY, torch.device("cpu"), repeats=2)


def test_what_it_measures(row):
    assert len(row["seconds"]) == 2
    assert row["ratio"] == row["median"] / (row["reading"] + row["product"])
    assert row["stats"]["picks"] == 200
    assert row["stats"]["pairs"] == 3_000 * 200
    assert row["inputs"] == 2 * 3_000 * 26
    json.dumps(row)


def test_what_it_prints(row):
    console = Console(record=True, width=200)
    about = {"device": "A GPU", "torch": "9.9", "rows": [row, {**row, "peak": 5 * 10**9}]}
    report.show({"gpu": about}, console)
    text = console.export_text()
    assert "A GPU" in text
    assert "5.0 GB" in text
    assert "yes" in text


def test_the_pool_is_one_of_a_trained_network():
    proba, features = gpu.factors(2_000, 32, 20, torch.float32, torch.device("cpu"))
    highest = proba.max(dim=1).values
    assert 0.7 < float(highest.mean()) < 0.9
    np.testing.assert_allclose(proba.sum(dim=1), 1, rtol=1e-5)
    assert float(features.min()) >= 0
    again = gpu.factors(2_000, 32, 20, torch.float32, torch.device("cpu"))
    assert torch.equal(features, again[1])


def test_the_floor_makes_every_product(monkeypatch):
    monkeypatch.setattr(gpu, "CHUNK", 7)
    monkeypatch.setattr(gpu, "BLOCK", 3)
    made = []
    mm = torch.mm

    def count(x, y):
        made.append(len(x) * y.shape[1] * x.shape[1])
        return mm(x, y)

    monkeypatch.setattr(torch, "mm", count)
    rng = np.random.default_rng(0)
    proba, features = (torch.tensor(rng.random((20, m)), dtype=torch.float16) for m in (3, 5))
    last = gpu.products(proba, features, 10)
    assert sum(made) == 20 * 10 * (3 + 5)
    assert last == pytest.approx(float(features[-1].float() @ features[9].float()), rel=2e-3)


def test_without_a_device_it_says_so(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    results = {"gpu": gpu.run(1)}
    assert "sees no CUDA device" in results["gpu"]["not_run"]
    console = Console(record=True, width=200)
    report.show(results, console)
    assert "not run: torch" in console.export_text()
