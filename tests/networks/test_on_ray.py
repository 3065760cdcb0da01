"""Extraction by the actors of a Ray cluster writes what one process writes."""

import os
import signal
import sys
import time

import numpy as np
import pytest
import ray
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import clusters
import labelnext
import nets
from clusters import slow_but
from labelnext.cluster import Ray, ShardLostError
from labelnext.networks import extract
from labelnext.networks._on_ray import Extractor
from labelnext.networks._to_files import Destination
from labelnext.pools import open_pool

# Ray Data itself warns of what it deprecates.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("ray"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"),
]

N = 53
X = torch.randn(N, 6, generator=torch.Generator().manual_seed(5))
Y = torch.zeros(N, dtype=torch.long)


@pytest.fixture(scope="module", autouse=True)
def cluster():
    with clusters.started():
        # Actors cannot import this module: send what is in it as a script's own.
        ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
        yield
        ray.cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 9), nn.ReLU(), nn.Linear(9, 4))


def items(act=None):
    """A data set that may do something before it returns an item."""

    class Items(torch.utils.data.Dataset):
        def __len__(self):
            return N

        def __getitem__(self, i):
            if act is not None:
                act(i)
            return X[i], 0

    return Items()


TWO = Ray(num_shards=2)


def run(data, path, model=None, cluster=TWO, **options):
    options = {**nets.cut(data, 4), "rows_per_shard": 8, "progress": False} | options
    return extract(model or network(), data, out=path, cluster=cluster, **options)


def here(path, data=X, **options):
    return run(data, path, cluster=None, **options)


def files(path):
    return {
        file.relative_to(path): file.read_bytes()
        for file in sorted(path.rglob("*"))
        if file.is_file()
    }


def drop(path, *numbers):
    (path / "pool.json").unlink(missing_ok=True)
    for number in numbers:
        for file in (path / f"shard-{number:05d}").iterdir():
            file.unlink()
        (path / f"shard-{number:05d}").rmdir()


def data_set():
    """Blocks of differing sizes, of which the first take longest."""

    def slowly(batch):
        time.sleep(0.3 if batch["x"][0, 0] == float(X[0, 0]) else 0)
        return batch

    parts = [ray.data.from_numpy(part) for part in np.split(X.numpy(), [20, 21, 40])]
    whole = parts[0].union(*parts[1:]).rename_columns({"data": "x"})
    return whole.map_batches(slowly, batch_size=None)


class ByName(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = network()

    def forward(self, x, mask):
        return self.net(x * mask)


DATA = {
    "tensor": lambda: X,
    "dict": lambda: {"input": X.numpy(), "labels": Y},
    "tensors": lambda: TensorDataset(X, Y),
    "data set": items,
    "list": lambda: list(X),
    "loader": lambda: DataLoader(items(), batch_size=4),
    "Ray Data set": data_set,
}


@pytest.mark.parametrize("kind", slow_but(DATA, "tensor", "data set"))
def test_the_folder_is_that_of_one_process(tmp_path, kind):
    here(tmp_path / "here")
    pool = run(DATA[kind](), tmp_path / "there")
    assert files(tmp_path / "there") == files(tmp_path / "here")
    assert pool.n_rows == N
    batch = labelnext.select(pool, 5, random_state=0)
    again = labelnext.select(labelnext.open_pool(tmp_path / "here"), 5, random_state=0)
    assert batch.indices.tolist() == again.indices.tolist()


@pytest.mark.parametrize("num_shards", slow_but([1, 3, 9, None], 3))
def test_any_number_of_actors(tmp_path, num_shards):
    options = {"ids": range(N), "dtype": "float16", "bias": True}
    here(tmp_path / "here", **options)
    num_cpus = 8 if num_shards is None else 0.1
    cluster = Ray(num_shards=num_shards, num_cpus=num_cpus, start_timeout=30)
    run(X, tmp_path / "there", cluster=cluster, **options)
    assert files(tmp_path / "there") == files(tmp_path / "here")


def test_the_process_that_calls_reads_no_sample_and_no_row(tmp_path, monkeypatch):
    caller, read = os.getpid(), clusters.bytes_read(monkeypatch)

    def act(i):
        if os.getpid() == caller:
            raise OSError("read by the caller")

    pool = run(items(act), tmp_path / "pool", ids=[f"{i:03d}" for i in range(N)])
    batch = labelnext.select(pool, 5, random_state=0, cluster=TWO)
    assert batch.ids.tolist() == [f"{i:03d}" for i in batch.indices]
    # Ids alone: when they are found to be unique, for their checksums, and those of picks with
    # what lies between.
    assert sum(read) <= 3 * N * 3
    pool.read("features")
    assert sum(read) > N * 9 * 4


def test_going_on(tmp_path):
    path = tmp_path / "pool"
    here(path)
    before = files(path)
    drop(path, 0, 3, 6)
    # What one process has begun, a cluster goes on with, and the other way round.
    seen = []
    run(items(), path, resume=True, progress=lambda done, total: seen.append((done, total)))
    assert files(path) == before
    assert [done for done, _ in seen][-1] == N
    assert len(seen) == 3
    drop(path, 2)
    here(path, resume=True)
    assert files(path) == before
    run(items(), path, resume=True)
    assert files(path) == before
    # Other data are refused, with shards missing or none.
    for missing in ((), (0, 3)):
        drop(path, *missing)
        with pytest.raises(ValueError, match=r"the features of sample (0|8) differ"):
            run([*X.flip(0)], path, resume=True)
    run(items(), path, resume=True)
    with pytest.raises(FileExistsError, match="resume=True"):
        run(items(), path)
    run(items(), path, overwrite=True)
    assert files(path) == before


def test_columns_by_name(tmp_path):
    values = {"x": X.numpy(), "mask": np.ones((N, 6), np.float32), "labels": Y.numpy()}
    torch.manual_seed(0)
    model = ByName()
    here(tmp_path / "here", values, model=model)
    dataset = ray.data.from_items(
        [{name: column[i] for name, column in values.items()} for i in range(N)]
    )
    run(dataset, tmp_path / "there", model)
    assert files(tmp_path / "there") == files(tmp_path / "here")


def killing(i, folder, item, times):
    """Kill the process that reads an item, so many times."""
    if i != item:
        return
    for number in range(times):
        try:
            os.close(os.open(folder / f"killed-{number}", os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            continue
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("item", slow_but([0, 30, 52], 30))
def test_shards_of_killed_actors_are_done_again(tmp_path, item):
    here(tmp_path / "here")
    kill = killing
    run(items(lambda i: kill(i, tmp_path, item, 2)), tmp_path / "there")
    assert (tmp_path / "killed-1").exists()
    assert files(tmp_path / "there") == files(tmp_path / "here")


def test_a_shard_that_kills_everybody_ends_the_run_and_what_is_finished_stays(tmp_path):
    kill, path = killing, tmp_path / "there"
    with pytest.raises(ShardLostError, match="Shard 3 was lost 5 times"):
        run(items(lambda i: kill(i, tmp_path, 30, 5)), path)
    with pytest.raises(ValueError, match="unfinished"):
        open_pool(path)
    here(tmp_path / "here")
    run(items(), path, resume=True)
    assert files(path) == files(tmp_path / "here")


def test_an_actor_that_hangs_is_given_up(tmp_path):
    def hang(i, folder=tmp_path):
        try:
            if i == 20:
                os.close(os.open(folder / "hung", os.O_CREAT | os.O_EXCL))
                time.sleep(600)
        except FileExistsError:
            pass

    here(tmp_path / "here")
    run(items(hang), tmp_path / "there", cluster=Ray(num_shards=2, timeout=25))
    assert (tmp_path / "hung").exists()
    assert files(tmp_path / "there") == files(tmp_path / "here")


def test_errors_come_as_in_one_process(tmp_path):
    def fail(i):
        if i == 42:
            raise OSError("no such picture")

    with pytest.raises(RuntimeError, match="no such picture at item 42"):
        run(items(fail), tmp_path / "pool")
    broken = X.clone()
    broken[37] = float("nan")
    with pytest.raises(ValueError, match="logits of sample 37 are NaN"):
        run(broken, tmp_path / "other")


class Stream(torch.utils.data.IterableDataset):
    def __iter__(self):
        return iter(X)


def test_what_cannot_be_divided_or_sent_is_refused(tmp_path):
    with pytest.raises(TypeError, match="cannot divide this IterableDataset"):
        run(Stream(), tmp_path / "pool")
    with pytest.raises(TypeError, match="cannot divide this DataLoader"):
        run(DataLoader(Stream(), batch_size=4), tmp_path / "pool")
    with pytest.raises(ValueError, match="no samples"):
        run(ray.data.from_items([{"x": 1.0}]).limit(0), tmp_path / "pool")
    with pytest.raises(ValueError, match="must hold numbers"):
        run(ray.data.from_items([{"x": "a"}, {"x": "b"}]), tmp_path / "pool")
    generator = (i for i in range(3))
    with pytest.raises(TypeError, match="sent to the cluster, and cannot be"):
        run(items(lambda i: generator), tmp_path / "pool")
    with pytest.raises(ValueError, match="ids"):
        run(X, tmp_path / "pool", ids=range(N - 1))
    assert not (tmp_path / "pool").exists()


def test_too_few_resources(tmp_path):
    start = time.monotonic()
    with pytest.raises(TimeoutError, match=r"no room for actor 0 within 1 s: .*1 GPU \(0 on"):
        run(X, tmp_path / "pool", cluster=Ray(num_shards=2, num_gpus=1, start_timeout=1))
    assert time.monotonic() - start < 20


def test_a_folder_that_not_all_machines_see(tmp_path):
    worker = Extractor()
    worker.n_threads = 1
    worker.load((network(), None, None, {}))
    destination = Destination(str(tmp_path / "pool"), False, True, False, {"rows_per_shard": 8})
    with pytest.raises(FileNotFoundError, match="does not see"):
        worker.write(destination, 0, None, None)


def test_a_cluster_writes_to_a_folder():
    with pytest.raises(TypeError, match="out='folder'"):
        extract(network(), X, cluster=Ray())
