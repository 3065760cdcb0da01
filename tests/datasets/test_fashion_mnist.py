"""Fashion-MNIST: the real one, and a small one in the same files."""

from __future__ import annotations

import gzip
import struct

import numpy as np
import pytest

from labelnext.datasets import DatasetNotFoundError, _fashion_mnist, load_fashion_mnist


@pytest.fixture
def small(bare, monkeypatch):
    """Four pictures for training and two for testing, in the data home."""
    monkeypatch.setattr(_fashion_mnist, "N_TRAIN", 4)
    folder = bare / "fashion-mnist"
    folder.mkdir()
    for part, n in (("train", 4), ("t10k", 2)):
        pictures = np.arange(n * 6, dtype=np.uint8) + (100 if part == "t10k" else 0)
        for kind, shape, values in (
            ("images-idx3", (n, 2, 3), pictures),
            ("labels-idx1", (n,), np.arange(n, dtype=np.uint8)),
        ):
            head = bytes([0, 0, 8, len(shape)]) + struct.pack(f">{len(shape)}I", *shape)
            path = folder / f"{part}-{kind}-ubyte.gz"
            path.write_bytes(gzip.compress(head + values.tobytes()))
    return folder


@pytest.mark.parametrize(
    ("subset", "first", "y"),
    [("train", 0, [0, 1, 2, 3]), ("test", 100, [0, 1]), ("all", 0, [0, 1, 2, 3, 0, 1])],
)
def test_reads_the_part_asked_for_from_the_data_home(small, subset, first, y):
    clothes = load_fashion_mnist(subset)
    assert clothes.source == str(small)
    assert clothes.X.shape == (len(y), 6)
    assert clothes.X.dtype == np.uint8
    assert clothes.X[0].tolist() == list(range(first, first + 6))
    assert clothes.y.dtype == np.int64
    assert clothes.y.tolist() == y
    assert clothes.target_names[:2] == ("T-shirt/top", "Trouser")


def test_another_data_home_can_be_named(small, monkeypatch):
    monkeypatch.delenv("SCIKIT_LEARN_DATA")
    assert len(load_fashion_mnist(data_home=small.parent)) == 4


def test_a_folder_that_lacks_a_file_does_not_count(small):
    (small / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DatasetNotFoundError):
        load_fashion_mnist(download=False)


def test_a_missing_set_says_how_to_get_it(bare):
    with pytest.raises(DatasetNotFoundError) as caught:
        load_fashion_mnist()
    message = str(caught.value)
    assert "apt install dataset-fashion-mnist" in message
    assert str(bare / "fashion-mnist") in message
    assert "fetch_openml(data_id=40996)" in message
    assert "no network" in message


def test_unknown_subset():
    with pytest.raises(ValueError, match="'train', 'test' or 'all', got 'valid'"):
        load_fashion_mnist("valid")


def test_the_real_one():
    clothes = load_fashion_mnist("all", download=False)
    assert clothes.X.shape == (70_000, 784)
    assert np.bincount(clothes.y).tolist() == [7_000] * 10
    assert [clothes.target_names[label] for label in clothes.y[:3]] == [
        "Ankle boot",
        "T-shirt/top",
        "T-shirt/top",
    ]
    # The mean brightness that everyone normalises with.
    assert clothes.X[:60_000].mean() / 255 == pytest.approx(0.2860, abs=1e-4)
