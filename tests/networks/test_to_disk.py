"""Extraction to a folder: shards of whole batches, and going on with what is there."""

import ast
import errno
import json
import os
import re

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

import labelnext
import nets
from labelnext.networks import extract, proba_and_features
from labelnext.pools import open_source

N = 53
X = torch.randn(N, 6, generator=torch.Generator().manual_seed(5))
Y = torch.zeros(N, dtype=torch.long)


class Items(Dataset):
    """Counts which samples are read."""

    def __init__(self, n=N):
        self.n, self.read = n, []

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        if i >= self.n:
            raise IndexError
        self.read.append(i)
        return X[i], 0


class Stream(IterableDataset):
    def __init__(self, n=N):
        self.n = n

    def __iter__(self):
        return iter(X[: self.n])


class Flipped(Stream):
    def __iter__(self):
        return iter(X.flip(0))


class Odd(IterableDataset):
    """Batches of differing sizes."""

    def __iter__(self):
        return iter(X.split([5, 9, 3, 8, 8, 1, 12, 7]))


class OwnLoader(DataLoader):
    """Nobody knows what it does."""


def watched():
    """A network, and how many samples it saw each time it ran."""
    model, seen = nets.make("mlp")[0], []

    def watch(module, args, kwargs):
        seen.append(len((*args, *kwargs.values())[0]))

    model.register_forward_pre_hook(watch, with_kwargs=True)
    return model, seen


def loader(data=None, **options):
    return DataLoader(Items() if data is None else data, batch_size=4, **options)


DATA = {
    "tensor": lambda: X,
    "array": X.numpy,
    "dict": lambda: {"x": X, "labels": Y},
    "tensors": lambda: TensorDataset(X, Y),
    "data set": Items,
    "list": lambda: list(X),
    "stream": Stream,
    "loader": loader,
    "loader with a worker": lambda: loader(num_workers=1),
    "loader of one's own": lambda: OwnLoader(Items(), batch_size=4),
    "loader with an init": lambda: loader(worker_init_fn=len),
    "loader of a stream": lambda: loader(Stream()),
    "loader of batches": lambda: DataLoader(Odd(), batch_size=None),
}


def factors(path):
    source = open_source(path)
    return [source.read(part, 0, source.n_rows) for part in ("proba", "features")]


def drop(path, *numbers):
    """Leave a pool as a process leaves it that was killed."""
    (path / "pool.json").unlink()
    for number in numbers:
        for file in (path / f"shard-{number:05d}").iterdir():
            file.unlink()
        (path / f"shard-{number:05d}").rmdir()


def run(data, path, model=None, **options):
    options = {**nets.cut(data, 4), "rows_per_shard": 8, "progress": False} | options
    return extract(model or nets.make("mlp")[0], data, out=path, **options)


@pytest.mark.parametrize("kind", DATA)
def test_the_folder_holds_what_memory_would(tmp_path, kind):
    pool = run(DATA[kind](), tmp_path / "pool")
    memory = proba_and_features(nets.make("mlp")[0], DATA[kind](), **nets.cut(DATA[kind](), 4))
    for stored, kept in zip(factors(tmp_path / "pool"), memory, strict=True):
        assert np.array_equal(stored, kept.numpy())
    assert (pool.n_rows, pool.n_classes, pool.task, pool.bias) == (N, 4, "multiclass", False)
    batch = labelnext.select(pool, 9, random_state=0)
    same = labelnext.select(*(x.numpy() for x in memory), 9, random_state=0)
    assert batch.indices.tolist() == same.indices.tolist()


@pytest.mark.one_of(2)
@pytest.mark.parametrize("kind", DATA)
@pytest.mark.parametrize("missing", [(0, 1, 2, 3, 4, 5, 6), (5, 6), (0, 2, 3, 6), ()], ids=str)
def test_going_on_gives_the_same_folder_and_computes_what_is_missing(tmp_path, kind, missing):
    path = tmp_path / "pool"
    run(DATA[kind](), path)
    whole, manifest = factors(path), (path / "pool.json").read_bytes()
    sizes = dict(enumerate(shard["n_rows"] for shard in json.loads(manifest)["shards"]))
    missing = [number for number in missing if number in sizes]
    drop(path, *missing)
    model, seen = watched()
    run(DATA[kind](), path, model, resume=True)
    assert (path / "pool.json").read_bytes() == manifest
    for again, once in zip(factors(path), whole, strict=True):
        assert np.array_equal(again, once)
    # Beside them, a few samples to find the head, once for each run of missing shards, and those of
    # two shards that are compared, or of a whole batch.
    runs = sum(number - 1 not in missing for number in missing)
    few = 8 * max(runs, 1) + (32 if len(missing) < len(sizes) else 0)
    assert 0 <= sum(seen) - sum(sizes[number] for number in missing) <= few


@pytest.mark.parametrize("make", [Items, lambda: loader().dataset], ids=["data set", "loader"])
def test_samples_of_finished_shards_are_not_read(tmp_path, make):
    run(make(), tmp_path / "pool")
    drop(tmp_path / "pool", 1, 2, 6)
    data = make()
    run(data, tmp_path / "pool", resume=True)
    # But some of the first and of the last, which are compared.
    assert data.read == [*range(4), *range(40, 44), *range(8, 24), *range(48, 53)]
    drop(tmp_path / "pool")
    data.read.clear()
    run(data, tmp_path / "pool", resume=True)
    assert data.read == [*range(4), *range(48, 52)]


def test_a_shard_is_made_of_whole_batches(tmp_path):
    run(X, tmp_path / "pool", rows_per_shard=9)
    shards = json.loads((tmp_path / "pool" / "pool.json").read_text())["shards"]
    assert [shard["n_rows"] for shard in shards] == [12, 12, 12, 12, 5]


def test_shards_of_odd_batches_end_with_the_batch_that_fills_them(tmp_path):
    run(DataLoader(Odd(), batch_size=None), tmp_path / "pool", rows_per_shard=10)
    shards = json.loads((tmp_path / "pool" / "pool.json").read_text())["shards"]
    assert [shard["n_rows"] for shard in shards] == [14, 11, 21, 7]


@pytest.mark.parametrize(("dtype", "kept"), [("float16", np.float16), ("bfloat16", np.float32)])
def test_dtypes(tmp_path, dtype, kept):
    run(X, tmp_path / "pool", dtype=dtype)
    proba, features = factors(tmp_path / "pool")
    assert (proba.dtype, features.dtype) == (np.float32, kept)
    expected = proba_and_features(nets.make("mlp")[0], X, batch_size=4, dtype=dtype)[1]
    assert np.array_equal(features, expected.float().numpy())


def test_features_of_a_head_alone_and_one_logit(tmp_path):
    model = nn.Linear(6, 1)
    pool = run(X, tmp_path / "pool", model, bias=True)
    assert (pool.task, pool.bias, pool.n_classes) == ("binary", True, 2)
    assert np.array_equal(factors(tmp_path / "pool")[1], X.numpy())
    drop(tmp_path / "pool", 3)
    pool = run(X, tmp_path / "pool", model, bias=True, resume=True)
    assert pool.task == "binary"
    assert np.array_equal(factors(tmp_path / "pool")[1], X.numpy())


def test_ids(tmp_path):
    names = [f"s{i}" for i in range(N)]
    for number, data in enumerate((X, Stream())):
        path = tmp_path / f"pool-{number}"
        run(data, path, ids=names)
        assert open_source(path).ids().tolist() == names
        assert open_source(path).ids(np.array([30, 2])).tolist() == ["s30", "s2"]
        drop(path, 2, 4, 5)
        run(data, path, ids=names, resume=True)
        assert open_source(path).ids().tolist() == names
    run(X, tmp_path / "rows")
    assert open_source(tmp_path / "rows").ids() is None


def knows_its_data_set(worker):
    data = torch.utils.data.get_worker_info().dataset
    assert isinstance(data, Items), f"worker {worker} was given a {type(data).__name__}"


def test_a_worker_that_is_set_up_for_its_data_set_finds_it(tmp_path):
    data = loader(num_workers=1, worker_init_fn=knows_its_data_set)
    run(data, tmp_path / "pool")
    drop(tmp_path / "pool", 3)
    run(data, tmp_path / "pool", resume=True)
    assert open_source(tmp_path / "pool").n_rows == N


@pytest.mark.parametrize("data", [X, Stream()], ids=["tensor", "stream"])
@pytest.mark.parametrize("n", [N - 1, N + 1])
def test_too_few_or_too_many_ids(tmp_path, data, n):
    with pytest.raises(ValueError, match="ids"):
        run(data, tmp_path / "pool", ids=range(n))
    assert not (tmp_path / "pool" / "pool.json").exists()


def test_progress_counts_what_was_there(tmp_path):
    run(X, tmp_path / "pool")
    drop(tmp_path / "pool", 2, 3, 5)
    seen = []
    run(X, tmp_path / "pool", resume=True, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(done, N) for done in (33, 37, 41, 45, 49, 53)]


REFUSED = {
    "another class": (lambda: (Wider(), X, {}), "the class of the model"),
    "other weights": (lambda: (nets.Mlp(), X, {}), "the weights of the model"),
    "more samples": (lambda: (None, torch.cat([X, X]), {}), "the number of samples was 53"),
    "other samples": (lambda: (None, X.flip(0), {}), "the features of sample 0 differ"),
    "another end": (lambda: (None, [*X[:50], *X[:3]], {}), "the features of sample 50 differ"),
    "other items": (lambda: (None, [*X.flip(0)], {}), "the features of sample 0 differ"),
    "another loader": (
        lambda: (None, OwnLoader([*X.flip(0)], batch_size=4), {}),
        "the features of sample 0 differ",
    ),
    "dtype": (lambda: (None, X, {"dtype": "float16"}), "dtype was None and is 'torch.float16'"),
    "size of shards": (lambda: (None, X, {"rows_per_shard": 12}), "was 8 and is 12 now"),
    "size of batches": (lambda: (None, X, {"batch_size": 5}), "was 8 and is 10 now"),
    "ids": (lambda: (None, X, {"ids": range(N)}), "ids"),
    "groups": (lambda: (None, X, {"groups": range(N)}), "groups"),
    "labels": (lambda: (None, X, {"labels": Y}), "labels"),
    "classes": (lambda: (None, X, {"classes": [*"abcd"]}), "classes was None"),
    "bias": (lambda: (None, X, {"bias": True}), "bias"),
    "task": (lambda: (None, X, {"task": "multilabel"}), "task was None and is 'multilabel'"),
    "head": (lambda: (None, X, {"head": "fc"}), "head was None and is 'fc' now"),
    "amp": (lambda: (None, X, {"amp": True}), "amp was None"),
}


class Wider(nets.Mlp):
    """Another class."""


@pytest.mark.parametrize("kind", REFUSED)
def test_another_extraction_is_not_gone_on_with(tmp_path, kind):
    make, words = REFUSED[kind]
    model, data, options = make()
    path = tmp_path / "pool"
    run(X, path)
    drop(path, 4)
    before = sorted(path.rglob("*"))
    with pytest.raises(ValueError, match=re.escape(words)):
        run(data, path, model, resume=True, **options)
    assert sorted(path.rglob("*")) == before


@pytest.mark.parametrize("missing", [(), (0,), (3,)])
def test_another_stream_is_not_gone_on_with(tmp_path, missing):
    path = tmp_path / "pool"
    run(Stream(), path)
    drop(path, *missing)
    first = 8 if 0 in missing else 0
    with pytest.raises(ValueError, match=f"other data: the features of sample {first} differ"):
        run(Flipped(), path, resume=True)
    assert not (path / "pool.json").exists()


def test_going_on_after_a_little_noise(tmp_path):
    """Another card, or other threads, round differently: that is no other data."""
    run(X, tmp_path / "pool", dtype="float16")
    drop(tmp_path / "pool", 2)
    run(X * 1.003, tmp_path / "pool", dtype="float16", resume=True)
    assert open_source(tmp_path / "pool").n_rows == N


def test_a_stream_that_has_become_shorter_or_longer(tmp_path):
    path = tmp_path / "pool"
    run(Stream(), path)
    drop(path)
    with pytest.raises(ValueError, match="ended after 24 samples, in shard 2"):
        run(Stream(24), path, resume=True)
    with pytest.raises(ValueError, match="has 8 rows in shard 3, but now the data has 6"):
        run(Stream(30), path, resume=True)
    path = tmp_path / "short"
    run(Stream(30), path)
    drop(path)
    with pytest.raises(ValueError, match="has 6 rows in shard 3, but now the data has 8"):
        run(Stream(), path, resume=True)


def test_a_stream_of_what_cannot_be_counted_is_not_gone_on_with(tmp_path):
    class Bag:
        def __init__(self, x):
            self.x = x

    class Opens(nets.Mlp):
        def forward(self, bag):
            return super().forward(bag.x)

    torch.manual_seed(1)
    model = Opens()
    data = DataLoader([Bag(x) for x in X.split(10)], batch_size=None, collate_fn=lambda x: x)
    run(data, tmp_path / "pool", model)
    drop(tmp_path / "pool", 4)
    with pytest.raises(ValueError, match="cannot be told how many samples a batch holds"):
        run(data, tmp_path / "pool", model, resume=True)


def test_what_is_there_is_kept_unless_one_says_so(tmp_path):
    path = tmp_path / "pool"
    run(X, path)
    manifest = (path / "pool.json").read_bytes()
    with pytest.raises(FileExistsError, match="resume=True"):
        run(X, path)
    with pytest.raises(ValueError, match="overwrite"):
        run(X, path, resume=True, overwrite=True)
    assert (path / "pool.json").read_bytes() == manifest
    run(X[:20], path, overwrite=True)
    assert open_source(path).n_rows == 20
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").write_text("precious")
    for options in ({}, {"overwrite": True}, {"resume": True}):
        with pytest.raises(FileExistsError, match=re.escape("thesis.tex")):
            run(X, tmp_path / "other", **options)


class FailsAt(Items):
    def __init__(self, error):
        super().__init__()
        self.error = error

    def __getitem__(self, i):
        if i == 14:
            raise self.error
        return super().__getitem__(i)


@pytest.mark.parametrize(
    "error", [ZeroDivisionError("mine"), FileNotFoundError(2, "No such file", "img.png"), None]
)
def test_the_old_pool_stays_until_the_new_one_is_whole(tmp_path, monkeypatch, error):
    path = tmp_path / "pool"
    run(X[:20], path)
    before = {p: p.read_bytes() for p in path.rglob("*") if p.is_file()}
    if error is None:
        full = OSError(errno.ENOSPC, "No space left on device")
        monkeypatch.setattr("labelnext.pools._writer.write_npy", lambda *_: throw(full))
        with pytest.raises(OSError, match=r"Cannot write .*/pool: the disk is full.* as it was\.$"):
            run(X, path, overwrite=True)
    else:
        with pytest.raises(RuntimeError, match=r"mine|img\.png") as told:
            run(FailsAt(error), path, overwrite=True)
        assert "nothing of this try is left to go on with" in told.value.__notes__[-1]
    assert {p: p.read_bytes() for p in path.rglob("*") if p.is_file()} == before
    assert os.listdir(tmp_path) == ["pool"]
    monkeypatch.undo()
    assert len(run(X, path, overwrite=True)) == len(X)
    assert os.listdir(tmp_path) == ["pool"]


def throw(error):
    raise error


def test_an_unfinished_pool_is_deleted_and_its_successor_can_be_gone_on_with(tmp_path):
    path = tmp_path / "pool"
    run(X, path)
    drop(path, 1)
    with pytest.raises(RuntimeError, match="mine"):
        run(FailsAt(ValueError("mine")), path, overwrite=True)
    assert (path / "shard-00000").is_dir()
    data = Items()
    run(data, path, resume=True)
    assert [row for row in data.read if row < 8] == [0, 1, 2, 3]  # which are compared


def test_options_without_a_folder():
    for options in (
        {"resume": True},
        {"overwrite": True},
        {"rows_per_shard": 8},
    ):
        with pytest.raises(TypeError, match="out='folder'"):
            extract(nets.Mlp(), X, **options)
    for size in (0, 2.5, True):
        with pytest.raises(ValueError, match="rows_per_shard"):
            extract(nets.Mlp(), X, out="nowhere", rows_per_shard=size)


def test_messages_name_the_sample_of_the_whole_data(tmp_path):
    path = tmp_path / "pool"
    run(X, path)
    drop(path, 4, 5)
    broken = X.clone()
    broken[37] = float("nan")
    with pytest.raises(ValueError, match="logits of sample 37 are NaN"):
        run(broken, path, resume=True)

    class Hole(Items):
        def __getitem__(self, i):
            if i == 42:
                raise OSError("no such picture")
            return super().__getitem__(i)

    with pytest.raises(RuntimeError, match="no such picture at item 42"):
        run(Hole(), path, resume=True)
    # What was finished before the error stays.
    assert (path / "shard-00004").exists()
    run(X, path, resume=True)
    assert open_source(path).n_rows == N


def test_the_network_is_left_as_it_was(tmp_path):
    model = nets.make("mlp")[0].train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    run(X, tmp_path / "pool", model)
    assert model.training
    assert not model.fc._forward_hooks
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])


class TestGoingOnWithOtherData:
    """Data that has become shorter: the advice names what to say, and works."""

    def run(self, folder, n, **more):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(6, 3))
        options = {"batch_size": 5, "rows_per_shard": 10, "progress": False, **more}
        return extract(model, Stream(n), out=folder, **options)

    @pytest.mark.parametrize("n", [43, 37, 8])
    def test_a_stream_that_is_shorter(self, tmp_path, n):
        self.run(tmp_path / "pool", N)
        (tmp_path / "pool" / "pool.json").unlink()
        with pytest.raises(ValueError, match="start over with overwrite=True, or choose another"):
            self.run(tmp_path / "pool", n, resume=True)
        assert self.run(tmp_path / "pool", n, overwrite=True).n_rows == n


def test_whoever_says_to_start_over_says_how():
    from tests.test_messages import ROOT, messages

    for file in ROOT.rglob("*.py"):
        for line, text, _ in messages(ast.parse(file.read_text("utf-8"))):
            assert re.search(r"start over(?!\s+with overwrite=True)", text) is None, (file, line)
