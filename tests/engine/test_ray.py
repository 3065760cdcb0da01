"""Selection over Ray: the batch of one machine, a cluster left as it was, and what is refused."""

import itertools
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scipy.sparse as sp
import torch

import clusters
import labelnext
import pools
from clusters import EXCLUDE, K, arrays, choose, in_shards, same, slow_but, undisturbed
from labelnext.cluster import Ray, as_pool
from labelnext.cluster import session as _session
from labelnext.engine import open_gradients
from labelnext.engine import ray as engine_ray
from labelnext.pools import Pool

pytestmark = pytest.mark.xdist_group("ray")
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module", name="ray")
def _ray():
    with clusters.started() as ray:
        yield ray


# Ray Data itself warns of what it deprecates.
LOUD = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


def table(lo, hi):
    """Rows of the pool as lists, as Parquet and Arrow have them."""
    proba, features = (x[lo:hi].tolist() for x in arrays())
    return pa.table({"id": list(range(lo, hi)), "proba": proba, "features": features})


def rows_of(batch):
    """Rows of the pool by their numbers, as a model would make them."""
    made = pools.confident(3000, n_classes=5, n_features=12, seed=3)
    return {name: x[batch["id"]] for name, x in zip(("proba", "features"), made, strict=True)}


def on_ray(*given, num_shards=2, num_cpus=0.1, **options):
    """Select in shards on the cluster that this process is on."""
    cluster = Ray(num_shards=num_shards, num_cpus=num_cpus)
    return labelnext.select(*given, cluster=cluster, **options)


@pytest.fixture(name="unequal")
def _unequal(monkeypatch):
    """Pools are cut into shards of very different sizes."""
    places = [1, 700, 701, 2048, 2500, 2999]
    monkeypatch.setattr(
        engine_ray, "cuts", lambda pool, n: np.array([0, *places[: n - 1], pool.n_rows])
    )


def other_task(task):
    """A pool of 900 rows for each task, with what is known of its rows."""
    proba, features = pools.confident(900, n_classes=4)
    known = {"ids": [f"row-{i}" for i in range(900)], "task": task}
    if task in {"regression", "vectors"}:
        return Pool(features=features, **known)
    return Pool(proba[:, 1] if task == "binary" else proba, features, **known)


LABELED = [5, 450, 899]
# What `select` may be asked for; each with the pool's bias and labels.
OPTIONS = {
    "bias": {"bias": True},
    "exclude": {"exclude": np.arange(0, 3000, 7)},
    "groups": {"groups": np.arange(3000) % 40, "max_per_group": 2},
    "labelled rows": {"labels": LABELED},
    "centres": {"labels": LABELED, "condition_on_labeled": True},
    "all": {
        "bias": True,
        "exclude": {1, 2, 2999},
        "groups": np.arange(3000) % 40,
        "max_per_group": 2,
        "labels": LABELED,
        "condition_on_labeled": True,
    },
}


@pytest.mark.usefixtures("ray")
class TestOneBatch:
    @pytest.mark.parametrize("num_shards", slow_but([1, 2, 3, 7], 3))
    @pytest.mark.usefixtures("unequal")
    def test_seed_by_seed(self, num_shards):
        with in_shards(num_shards) as pool:
            assert pool.shards.n_shards == num_shards
            for seed in range(3):
                same(choose(pool, seed), undisturbed(seed))

    @pytest.mark.parametrize("option", slow_but(OPTIONS, "all"))
    @pytest.mark.parametrize("in_files", slow_but([False, True], False), ids=["", "files"])
    def test_with_each_option(self, option, in_files, tmp_path):
        options = dict(OPTIONS[option])
        known = {"bias": options.pop("bias", False)}
        if "labels" in options:
            labels = np.full(3000, np.nan)
            labels[options.pop("labels")] = [1, 0, 4]
            known["labels"] = labels
        pool = Pool(*arrays(), **known)
        batch = labelnext.select(pool, 60, random_state=3, **options)
        if in_files:
            # The files say otherwise: the caller wins.
            labelnext.write_pool(tmp_path / "pool", *arrays(), bias=not known["bias"])
            pool = labelnext.open_pool(tmp_path / "pool", **known)
            same(batch, labelnext.select(pool, 60, random_state=3, **options))
        same(batch, on_ray(pool, 60, random_state=3, num_shards=3, **options))

    @pytest.mark.parametrize(
        "task", slow_but(["multilabel", "binary", "regression", "vectors"], "multilabel")
    )
    def test_of_each_task(self, task):
        pool = other_task(task)
        batch, other = (
            choose(pool, 50, exclude=EXCLUDE[:10], random_state=2)
            for choose in (labelnext.select, on_ray)
        )
        same(batch, other)
        assert other.ids.tolist() == [f"row-{i}" for i in other.indices]

    @pytest.mark.usefixtures("unequal")
    def test_of_sparse_features_with_a_bias(self):
        pool = Pool(arrays()[0], sp.csr_array(arrays()[1]), bias=True)
        with in_shards(3, pool) as shards:
            same(choose(shards, 4), choose(open_gradients(pool), 4))

    def test_of_tensors_in_bfloat16(self):
        pool = Pool(*(torch.from_numpy(x).to(torch.bfloat16) for x in arrays()))
        same(labelnext.select(pool, 60, random_state=3), on_ray(pool, 60, random_state=3))

    def test_of_rows_of_a_pool(self):
        pool = Pool(*arrays())[np.arange(2999, 0, -2)]
        same(labelnext.select(pool, 60, random_state=3), on_ray(pool, 60, random_state=3))

    @pytest.mark.slow
    def test_of_large_shards_beside_small_ones(self, monkeypatch):
        proba, features = pools.confident(40000, n_classes=4, n_features=40, seed=5)
        features = np.maximum(features, 0).astype(np.float16)
        pool = Pool(proba, features)
        monkeypatch.setattr(engine_ray, "cuts", lambda pool, n: np.array([0, 39000, 40000]))
        with in_shards(2, pool) as shards:
            kinds = [type(shards.shards.call("about", {i: ()})[i].form).__name__ for i in range(2)]
            assert kinds == ["PrunedForm"] * 2
            same(choose(shards, 1), choose(open_gradients(pool), 1))

    @pytest.mark.parametrize("one_dimensional", slow_but([False, True], True), ids=["", "P(y = 1)"])
    def test_of_files_that_shards_read(self, tmp_path, one_dimensional):
        proba, features = pools.confident(900, n_classes=2)
        proba = proba[:, 1] if one_dimensional else proba
        np.save(tmp_path / "proba.npy", proba)
        np.save(tmp_path / "features.npy", features)
        pool = labelnext.open_pool(tmp_path)
        other = on_ray(pool, 80, random_state=3, num_shards=3)
        same(labelnext.select(proba, features, 80, random_state=3), other)
        # Neither rows of the pool nor what they are made of passed through this process.
        assert other.stats["bytes_sent"] < features.nbytes

    @pytest.mark.slow
    def test_of_files_of_which_this_process_reads_ids_of_picks_alone(self, tmp_path, monkeypatch):
        ids = [f"{i:05d}" for i in range(3000)]
        labelnext.write_pool(tmp_path / "pool", *arrays(), ids=ids, rows_per_shard=400)
        read = clusters.bytes_read(monkeypatch)
        pool = labelnext.open_pool(tmp_path / "pool")
        assert sum(read) == 0
        batch = on_ray(pool, K, exclude=EXCLUDE, random_state=1, num_shards=3)
        same(batch, undisturbed(1))
        np.testing.assert_array_equal(batch.ids, [ids[i] for i in batch.indices])
        # Ids alone: once for their checksums, and those of the picks, with what lies between.
        assert 0 < sum(read) <= 2 * 3000 * 5
        # And it would be seen.
        labelnext.select(pool, 5, random_state=1)
        assert sum(read) > sum(x.nbytes for x in arrays())

    @pytest.mark.slow
    def test_of_files_that_are_larger_than_the_memory_of_shards(self, tmp_path):
        labelnext.write_pool(tmp_path / "pool", *arrays())
        pool = labelnext.open_pool(tmp_path / "pool")
        other = on_ray(
            pool,
            K,
            exclude=EXCLUDE,
            random_state=1,
            memory_limit="100MB",
            checkpoint=tmp_path / "run.ckpt",
        )
        same(other, undisturbed(1))
        assert (tmp_path / "run.ckpt").exists()
        with pytest.raises(ValueError, match="memory"):
            on_ray(pool, 5, memory_limit=1000)

    def test_shards_are_cut_where_files_are(self, tmp_path):
        pq.write_table(table(0, 1000), tmp_path / "pool.parquet", row_group_size=130)
        pool = labelnext.open_pool(tmp_path / "pool.parquet")
        np.testing.assert_array_equal(engine_ray.cuts(pool, 3), [0, 390, 650, 1000])
        np.testing.assert_array_equal(engine_ray.cuts(pool, 20)[:3], [0, 50, 100])

    @pytest.mark.slow
    @LOUD
    def test_of_a_data_set_in_its_order(self, ray):
        cuts = itertools.pairwise([0, 10, 1500, 1501, 3000])
        dataset = ray.data.from_arrow([table(lo, hi) for lo, hi in cuts])
        other = on_ray(dataset, K, exclude=EXCLUDE, random_state=0, num_shards=3)
        same(other, undisturbed(0))
        np.testing.assert_array_equal(other.ids, other.indices)
        pool = as_pool(dataset, bias=True)
        np.testing.assert_array_equal(pool.source.cuts, [0, 10, 1500, 1501, 3000])
        rows = np.array([2999, 3, 1500])
        np.testing.assert_array_equal(pool.read("features", rows), arrays()[1][rows])
        assert pool.part(1490, 1600).source.where(10) == "row 0 of block 2 of the Ray data set"
        same(
            on_ray(pool, 50, random_state=0),
            labelnext.select(Pool(*arrays(), bias=True), 50, random_state=0),
        )

    @pytest.mark.slow
    @LOUD
    @pytest.mark.slow
    def test_of_a_data_set_that_has_yet_to_be_made(self, ray):
        dataset = ray.data.range(3000, override_num_blocks=4).map_batches(rows_of, batch_size=100)
        other = on_ray(dataset, K, exclude=EXCLUDE, random_state=0)
        same(other, undisturbed(0))
        # Ray's bars would put another in its place, for good.
        assert print.__module__ == "builtins"


@pytest.mark.usefixtures("ray")
class TestStats:
    def test_a_pass_sends_its_block_and_gets_a_few_numbers(self):
        with in_shards(3) as pool:
            shards, rows = pool.shards, np.arange(100, 150)
            centres, d2 = pool.gather(rows), pool.start(np.empty(0, int))
            before = (shards.traffic.messages, shards.traffic.bytes_received)
            d2.min_update(centres, rows)
            assert shards.traffic.messages - before[0] in {3, 4, 5}
            # 50 potentials and less than 20 other numbers a shard.
            assert shards.traffic.bytes_received - before[1] < 3 * 8 * 80

    def test_are_in_the_batch(self):
        batch = on_ray(*arrays(), 50)
        assert batch.stats["shards"] == 2
        assert batch.stats["restarts"] == 0
        assert 10 < batch.stats["messages"] < 200
        assert 50 * 17 * 8 < batch.stats["bytes_sent"] < 3000 * 17 * 8


@pytest.mark.usefixtures("ray")
class TestRefusals:
    @pytest.mark.slow
    def test_too_few_resources_within_a_bounded_time(self):
        start = time.monotonic()
        message = (
            r"no room for actor \d within 2 s: 3 actors need 30 CPU \(16 on the cluster, "
            r".* free\), 6 gold \(0 on the cluster, 0 free\); ask for fewer"
        )
        with (
            pytest.raises(TimeoutError, match=message),
            in_shards(3, num_cpus=10, resources={"gold": 2}, start_timeout=2),
        ):
            pass
        assert time.monotonic() - start < 10

    def test_gpus_where_there_are_none(self):
        start = time.monotonic()
        with (
            pytest.raises(TimeoutError, match=r"no room for actor 0 .* GPU \(0 on the cluster"),
            in_shards(2, num_gpus=1, start_timeout=1),
        ):
            pass
        assert time.monotonic() - start < 10

    def test_more_shards_than_rows(self):
        with pytest.raises(ValueError, match=r"at most the number of rows, 3,000, got 3,001"):
            on_ray(*arrays(), 5, num_shards=3001)

    def test_a_number_that_is_none_by_its_row_in_the_pool(self):
        proba, features = (x.copy() for x in arrays())
        features[2500, 3] = np.nan
        with pytest.raises(ValueError, match="features is nan at row 2500, column 3") as caught:
            on_ray(proba, features, 5, num_shards=3)
        assert caught.value.__notes__ == ["In shard 2 of 3 (rows 2,000 to 2,999 of arrays)."]

    def test_what_is_no_choice(self):
        for k, exclude, message in [
            (0, None, "k must be at least 1"),
            (3001, None, "at most the number of candidates, 3000"),
            (5, [3000], "exclude must be from 0 to 2,999"),
        ]:
            with pytest.raises(ValueError, match=message):
                on_ray(*arrays(), k, exclude=exclude)

    @pytest.mark.slow
    @LOUD
    def test_a_data_set_without_features_or_rows(self, ray):
        dataset = ray.data.from_items([{"probability": [0.5, 0.5], "vector": [1.0]}])
        with pytest.raises(ValueError, match=r"needs the column .* but has .*'vector'"):
            on_ray(dataset, 1)
        dataset = ray.data.from_items([{"proba": [0.5, 0.5], "vector": [1.0]}])
        with pytest.raises(ValueError, match=r"needs features; this pool has probabilities only"):
            on_ray(dataset, 1)
        with pytest.raises(ValueError, match=r"the Ray data set has no rows"):
            on_ray(ray.data.from_items([{"proba": [0.5, 0.5]}]).limit(0), 1)

    @pytest.mark.slow
    @LOUD
    def test_lists_of_different_lengths_in_a_data_set(self, ray):
        rows = [{"proba": [0.5, 0.5], "features": [1.0] * n} for n in (2, 2, 3)]
        with pytest.raises(
            ValueError, match=r"'features' must be of one length.* 2 numbers .* 3 numbers"
        ):
            on_ray(ray.data.from_items(rows), 1, num_shards=1)

    def test_another_cluster_than_that_of_the_process(self):
        with pytest.raises(ValueError, match=r"has joined a Ray cluster already, at .*'local'"):
            labelnext.select(*arrays(), 5, cluster=Ray("local"))

    @pytest.mark.parametrize(
        ("options", "error", "message"),
        [
            ({"num_shards": 0}, ValueError, "num_shards must be at least 1, got 0"),
            ({"num_shards": 2.0}, TypeError, "num_shards must be an integer, got 2.0"),
            ({"num_cpus": -1}, ValueError, "num_cpus must be finite and at least 0, got -1"),
            ({"timeout": 0}, ValueError, "timeout must be over 0, got 0"),
            ({"start_timeout": "1"}, TypeError, "start_timeout must be a number, got '1'"),
            ({"address": 6379}, TypeError, "address must be a string, got int"),
        ],
        ids=lambda value: str(value) if isinstance(value, dict) else "",
    )
    def test_options_that_are_none(self, options, error, message):
        with pytest.raises(error, match=message):
            Ray(**options)


def test_without_ray_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ImportError, match=r'pip install "labelnext\[ray\]"'):
        labelnext.select(*arrays(), 5, cluster=Ray())


@pytest.mark.slow
@pytest.mark.usefixtures("ray")
class TestACluster:
    def test_that_was_joined_is_left_as_it_was(self, ray):
        before, named = clusters.settled(ray), ray.util.list_named_actors(all_namespaces=True)
        held = ray.put(np.arange(10))
        on_ray(*arrays(), 50, num_cpus=0.5)
        assert ray.is_initialized()
        assert ray.get(held).sum() == 45
        del held
        after = clusters.settled(ray)
        assert after["CPU"] == before["CPU"] == 16
        assert after["object_store_memory"] >= before["object_store_memory"]
        # Ray Data, which other tests use, has some of its own.
        assert ray.util.list_named_actors(all_namespaces=True) == named

    def test_has_as_many_shards_as_there_is_room_for(self):
        batch = labelnext.select(*arrays(), 5, cluster=Ray(num_cpus=6))
        assert batch.stats["shards"] == 2

    @pytest.mark.slow
    def test_is_joined_by_its_address_or_by_none_and_goes_on(self, ray, tmp_path):
        address = ray.get_runtime_context().gcs_address
        script = (
            "import sys, labelnext, clusters, ray\n"
            "batch = labelnext.select(*clusters.arrays(), 50, random_state=0, "
            f"cluster=labelnext.Ray({address!r}, num_shards=2, num_cpus=0.5))\n"
            "assert not ray.is_initialized()\n"
            "print(batch.indices.tolist())"
        )
        done = clusters.run(script, home=tmp_path)
        expected = labelnext.select(*arrays(), 50, random_state=0).indices.tolist()
        assert done.stdout == f"{expected}\n", done.stderr
        assert done.stderr == ""
        assert clusters.settled(ray)["CPU"] == 16

    @pytest.mark.slow
    def test_that_does_not_let_one_in_is_soon_let_be(self, tmp_path):
        # This process's cluster asks for a token that the other process does not have. There
        # may be other clusters still, those of other runs of the tests.
        script = (
            "import pytest, labelnext, clusters\n"
            "given = clusters.arrays(), 50\n"
            "why = 'AuthToken|Found multiple'\n"
            "with pytest.raises(ConnectionError, match=why):\n"
            "    labelnext.select(*given[0], 50, cluster=labelnext.Ray('auto'))\n"
            "with pytest.warns(UserWarning, match='can join.*; one of its own is started'):\n"
            "    batch = labelnext.select(*given[0], 50, random_state=0, "
            "cluster=labelnext.Ray(num_shards=2, num_cpus=0.5))\n"
            "print(batch.indices.tolist())"
        )
        start = time.monotonic()
        done = clusters.run(script, HOME=str(tmp_path))
        expected = labelnext.select(*arrays(), 50, random_state=0).indices.tolist()
        assert done.stdout == f"{expected}\n", done.stderr
        assert done.stderr == ""
        assert time.monotonic() - start < 90

    def test_by_the_command(self, ray, tmp_path):
        np.save(tmp_path / "p.npy", arrays()[0])
        np.save(tmp_path / "f.npy", arrays()[1])
        command = [sys.executable, "-m", "labelnext", "select", "-p", "p.npy", "-f", "f.npy"]
        command += ["-k", "40", "--seed", "5"]
        more = ["--engine", "ray", "--num-shards", "2", "--num-cpus", "0.5", "--timeout", "100"]
        more += ["--address", ray.get_runtime_context().gcs_address]
        done = [
            subprocess.run(
                [*command, *place],
                check=False,
                capture_output=True,
                text=True,
                cwd=tmp_path,
                env={**os.environ, "RAY_AUTH_MODE": "token"},
            )
            for place in ([], more)
        ]
        assert done[1].stderr == ""
        # To the last pick; potentials are sums in another order.
        picks = [[line.split(",")[:4] for line in one.stdout.splitlines()] for one in done]
        assert picks[0] == picks[1]
        assert len(picks[0]) == 41


@pytest.mark.parametrize(
    ("address", "error", "message"),
    [
        ("127.0.0.1:1", ConnectionError, "Nothing answers at 127.0.0.1:1"),
        ("head", ValueError, "'host:port' of its head, 'auto' or 'local', got 'head'"),
        ("ray://head:10001", ValueError, "got 'ray://head:10001'"),
        ("head:99999", ValueError, "got 'head:99999'"),
    ],
)
def test_wrong_addresses_are_refused_at_once(address, error, message):
    start = time.monotonic()
    with pytest.raises(error, match=message):
        _session._join(None, address)
    assert time.monotonic() - start < 15


def test_no_cluster_on_this_machine(monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(_session, "_runs_here", lambda: False)
    with pytest.raises(ConnectionError, match="No Ray cluster runs on this machine; start one"):
        _session._join(None, "auto")
    assert not _session._join(None, None)


def test_whether_ray_runs_here(ray, tmp_path, monkeypatch):
    del ray
    assert _session._runs_here()
    # Elsewhere than on Linux there is nothing to look at.
    monkeypatch.setattr(_session, "PROCESSES", tmp_path)
    assert _session._runs_here()
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "comm").write_text("init\n")
    (tmp_path / "2").mkdir()
    (tmp_path / "2" / "comm").symlink_to(tmp_path / "ended")
    assert not _session._runs_here()


@pytest.mark.slow
def test_what_answers_and_is_no_cluster_is_refused(monkeypatch):
    monkeypatch.setattr(_session, "GREETING_TIMEOUT", 3.0)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(ConnectionError, match=f"answers at {address} is no head"):
            _session._join(None, address)


@pytest.mark.slow
def test_one_that_was_started_leaves_nothing(tmp_path):
    """No process, no file at home or among temporary ones, no variable, no line."""
    home, scratch = tmp_path / "home", Path(f"/tmp/x{os.getpid()}")
    home.mkdir()
    scratch.mkdir()
    script = (
        "import os\n"
        "before = dict(os.environ)\n"
        "import labelnext, clusters\n"
        "batch = labelnext.select(*clusters.arrays(), 50, random_state=0, "
        "cluster=labelnext.Ray('local', num_shards=2, num_cpus=0.5))\n"
        "import ray\n"
        "assert not ray.is_initialized()\n"
        "changed = {k for k in {*before, *os.environ} if before.get(k) != os.environ.get(k)}\n"
        "print(batch.stats['shards'], changed - {'KMP_INIT_AT_FORK', 'KMP_DUPLICATE_LIB_OK'})"
    )
    done = clusters.run(script, home=home, TMPDIR=str(scratch))
    assert done.stdout == "2 set()\n", done.stderr
    assert done.stderr == ""
    assert list(home.rglob("*")) == []
    assert list(scratch.rglob("*")) == []
    scratch.rmdir()
    assert clusters.processes_that_mention(str(scratch)) == []
