"""Streams that several workers read: each row comes once, or it is said that it does not."""

import warnings

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

import nets
from labelnext.networks import extract, proba_and_features

X = nets.rows()


class Stream(IterableDataset):
    """Each worker yields all of it."""

    def __iter__(self):
        return iter(X)


class Sized(Stream):
    def __len__(self):
        return nets.N


class Divided(IterableDataset):
    """Each worker yields a share of its own."""

    def __init__(self, size=1):
        self.rows = [*(X if size == 1 else X.split(size))]

    def __iter__(self):
        worker = get_worker_info()
        first, step = (worker.id, worker.num_workers) if worker else (0, 1)
        return iter(self.rows[first::step])


class DividedAndSized(Divided):
    def __len__(self):
        return len(self.rows)


class Lossy(DividedAndSized):
    """Workers beyond the first yield nothing."""

    def __iter__(self):
        worker = get_worker_info()
        return iter(self.rows if worker is None else self.rows[worker.id :: 2][: 2 - worker.id])


def loader(data, **options):
    return DataLoader(data, **{"batch_size": 2, "num_workers": 2} | options)


@pytest.fixture(autouse=True)
def _quiet():
    # Where a data set yields more than it says, torch warns too.
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Length of IterableDataset")
        yield


@pytest.mark.parametrize("in_files", [False, True], ids=["", "files"])
@pytest.mark.parametrize(
    "data",
    [
        loader(Stream()),
        loader(Sized()),
        loader(Divided()),
        loader(Stream(), batch_size=None, collate_fn=lambda row: row[None]),
        loader(Sized(), batch_size=None, collate_fn=lambda row: row[None]),
        loader(Lossy()),
    ],
    ids=["stream", "sized", "divided", "batches", "sized batches", "lossy"],
)
def test_workers_that_may_yield_a_row_twice_are_refused(tmp_path, data, in_files):
    out = tmp_path / "pool" if in_files else None
    with pytest.raises(ValueError, match="num_workers=0"):
        extract(nets.Mlp(), data, out=out)
    assert not (tmp_path / "pool" / "pool.json").exists()


@pytest.mark.parametrize("data", [Stream(), Sized(), Divided()])
def test_so_are_those_that_are_asked_for(tmp_path, data):
    with pytest.raises(ValueError, match="num_workers=0"):
        extract(nets.Mlp(), data, batch_size=2, num_workers=2)
    with pytest.raises(ValueError, match="num_workers=0"):
        extract(nets.Mlp(), data, batch_size=2, num_workers=2, out=tmp_path / "pool")


@pytest.mark.parametrize("in_files", [False, True], ids=["", "files"])
def test_what_workers_divide_comes_as_the_loader_has_it(tmp_path, in_files):
    data = loader(DividedAndSized())
    batches = torch.cat(list(data))
    assert sorted(batches.tolist()) == sorted(X.tolist())
    model = nets.make("mlp")[0]
    expected = proba_and_features(model, batches)[1]
    if in_files:
        path = tmp_path / "pool"
        extract(model, data, out=path, rows_per_shard=4)
        (path / "pool.json").unlink()
        pool = extract(model, data, out=path, rows_per_shard=4, resume=True)
        features = pool.features[:]
    else:
        features = extract(model, data).features
    np.testing.assert_allclose(features, expected, atol=1e-6)
    own = proba_and_features(model, DividedAndSized(), batch_size=2, num_workers=2)[1]
    np.testing.assert_allclose(own, expected, atol=1e-6)


def test_batches_that_workers_divide():
    data = loader(DividedAndSized(3), batch_size=None)
    model = nets.make("mlp")[0]
    expected = proba_and_features(model, torch.cat(list(data)))[1]
    assert torch.equal(proba_and_features(model, data)[1], expected)


def test_one_worker_reads_a_stream_as_none_does():
    model = nets.make("mlp")[0]
    expected = proba_and_features(model, X, batch_size=2)[1]
    for data in (Stream(), Sized(), Divided(), DividedAndSized()):
        for workers in (0, 1):
            ours = proba_and_features(model, data, batch_size=2, num_workers=workers)[1]
            assert torch.equal(ours, expected)


def test_the_samples_that_workers_divide_have_no_ids_from_outside(tmp_path):
    with pytest.raises(ValueError, match=r"ids.*order.*num_workers=0"):
        extract(nets.Mlp(), loader(DividedAndSized()), out=tmp_path / "pool", ids=range(nets.N))
    extract(nets.Mlp(), loader(Divided(), num_workers=0), out=tmp_path / "p", ids=range(nets.N))
