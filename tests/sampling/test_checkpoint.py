"""Selections that outlive their process: killed anywhere, they end with the same batch."""

import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager

import numpy as np
import pytest
import scipy.sparse
import torch

import labelnext
import pools
from labelnext import Pool, open_pool, select, write_pool
from labelnext.engine import ShardedGradients, as_gradients, open_gradients
from labelnext.pools import disk
from labelnext.pools.arrays import ArraySource
from labelnext.sampling import _checkpoint

POOL = pools.confident(6000, n_classes=5, n_features=12, seed=9)
K, SEED = 1500, 7


def whole():
    return labelnext.select(*POOL, K, exclude=range(20), random_state=SEED)


@pytest.fixture(scope="module", name="batch")
def _batch():
    return whole()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.ckpt"


def same(batch, other):
    np.testing.assert_array_equal(batch.indices, other.indices)
    np.testing.assert_array_equal(batch.pseudo_labels, other.pseudo_labels)
    np.testing.assert_array_equal(batch.gradient_norms, other.gradient_norms)
    # D² was computed again with other blocks of centres: another order of additions.
    np.testing.assert_allclose(batch.d2, other.d2, rtol=1e-9)
    np.testing.assert_allclose(batch.potentials, other.potentials, rtol=1e-12)
    assert batch.stats == other.stats


class StoppedError(Exception):
    pass


def stop_after(calls):
    """A progress callback that ends the selection, as a kill would, at some call."""
    left = [calls]

    def progress(stats):
        left[0] -= 1
        if left[0] == 0:
            raise StoppedError

    return progress


def stop_after_the_first_pass():
    told = []

    def progress(stats):
        told.append(stats["passes"])
        if told.count(1) == 2:  # the first time the checkpoint is not written yet
            raise StoppedError

    return progress


def run(path, pool=None, k=K, *, stop=0, exclude=range(20), random_state=SEED, **options):
    return labelnext.select(
        Pool(*POOL) if pool is None else pool,
        k,
        exclude=exclude,
        random_state=random_state,
        checkpoint=path,
        progress=stop_after(stop),
        **options,
    )


def opened_as(gradients):
    """A pool that a selection opens as these gradients."""
    pool = Pool(*POOL, task=gradients.task, bias=gradients.bias)
    pool.cache["gradients"] = None, gradients
    return pool


CHILD = """
import os, signal, sys
from pathlib import Path
import numpy as np
import labelnext
from labelnext.pools import disk as _disk

folder, place, after = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
left = [after]

def maybe(*_):
    left[0] -= 1
    if left[0] == 0:
        os.kill(os.getpid(), signal.SIGKILL)

if place == "writing":
    # Half of a checkpoint is on the disk.
    sync = _disk._sync
    _disk._sync = lambda file: (sync(file), maybe())
pool, limit = labelnext.Pool(np.load(folder / "proba.npy"), np.load(folder / "features.npy")), None
if (folder / "pool").exists():
    pool, limit = labelnext.open_pool(folder / "pool"), "40MB"
batch = labelnext.select(
    pool, 1500, exclude=range(20), random_state=7, checkpoint=folder / "run.ckpt",
    memory_limit=limit,
    progress=maybe if place == "choosing" else None,
)
np.save(folder / "done.npy", batch.indices)
"""


# Where a process is killed, one after the other: at which call of progress, or in which writing of
# a checkpoint, half of which is then on the disk. Passes end at its 22nd call, and from there at
# the 5th, 7th, 12th and 3rd of those that go on.
KILLS = [
    *("writing 1", "choosing 1", "choosing 10", "choosing 21", "choosing 22", "writing 1"),
    *("writing 2", "choosing 1", "choosing 4", "choosing 5", "writing 1", "choosing 6"),
    *("choosing 1", "choosing 7", "writing 1", "choosing 8"),
    *("choosing 1", "choosing 12", "writing 1", "choosing 13"),
    *("choosing 1", "writing 1"),
]


@pytest.mark.slow  # that any moment will do is seen in this process below
class TestKilled:
    """Real processes, ended by SIGKILL."""

    @pytest.mark.parametrize("storage", ["memory", "disk"])
    def test_twenty_two_times(self, tmp_path, batch, storage):
        np.save(tmp_path / "proba.npy", POOL[0])
        np.save(tmp_path / "features.npy", POOL[1])
        if storage == "disk":
            labelnext.write_pool(tmp_path / "pool", *POOL, rows_per_shard=2500)
        kept = []
        for kill in KILLS:
            child = self.child(tmp_path, *kill.split())
            assert child.returncode == -signal.SIGKILL, (kill, child.stderr)
            if (tmp_path / "run.ckpt").exists():
                kept.append(json.loads((tmp_path / "run.ckpt").read_text())["n_full"])
        assert kept == sorted(kept)
        assert sorted(set(kept)) == [0, 180, 436, 872, 1384]
        end = self.child(tmp_path, "nowhere", 0)
        assert end.returncode == 0, end.stderr
        np.testing.assert_array_equal(np.load(tmp_path / "done.npy"), batch.indices)
        assert not list(tmp_path.glob("*.tmp"))

    def child(self, folder, place, after):
        return subprocess.run(
            [sys.executable, "-c", CHILD, str(folder), place, str(after)],
            capture_output=True,
            text=True,
            check=False,
            env=os.environ,
        )


class TestGoesOn:
    def test_without_an_interruption_the_batch_is_the_same(self, path, batch):
        same(run(path), batch)
        assert [p.name for p in path.parent.iterdir()] == ["run.ckpt"]

    @pytest.mark.parametrize("stop", [1, 2, 10, 19, 20, 21, 30, 46])
    def test_from_anywhere(self, path, batch, stop):
        with pytest.raises(StoppedError):
            run(path, stop=stop)
        same(run(path), batch)

    def test_does_not_start_again(self, path):
        with pytest.raises(StoppedError):
            run(path, stop=46)
        seen = []
        saved = json.loads(path.read_text())["n_full"]
        assert saved > 500
        labelnext.select(
            *POOL, K, exclude=range(20), random_state=SEED, checkpoint=path, progress=seen.append
        )
        assert min(stats["picks"] for stats in seen) > saved

    def test_complete_it_gives_the_batch_at_once(self, path, batch):
        run(path)
        content = path.read_bytes()
        gradients = as_gradients(*POOL)
        start = gradients.start
        gradients.start = lambda exclude: Untouched(start(exclude))
        same(run(path, opened_as(gradients)), batch)
        assert path.read_bytes() == content

    @pytest.mark.parametrize("k", [1, 20, 255, 256, 257, 700, 1499])
    def test_for_fewer_it_gives_the_start(self, path, batch, k):
        run(path)
        fewer = run(path, k=k)
        np.testing.assert_array_equal(fewer.indices, batch.indices[:k])
        np.testing.assert_array_equal(fewer.potentials, batch.potentials[:k])

    @pytest.mark.parametrize("k", [1, 5, 100, 256, 300, 700, 1499])
    def test_for_more_it_goes_on(self, path, batch, k):
        run(path, k=k)
        more = run(path)
        np.testing.assert_array_equal(more.indices, batch.indices)
        np.testing.assert_allclose(more.potentials, batch.potentials, rtol=1e-12)

    def test_when_distances_run_out(self, path):
        few = np.tile(np.arange(5), 20)
        pool = POOL[0][few], POOL[1][few]
        expected = labelnext.select(*pool, 60, random_state=1)
        for k in (3, 5, 6, 30, 60):
            batch = labelnext.select(*pool, k, random_state=1, checkpoint=path)
            np.testing.assert_array_equal(batch.indices, expected.indices[:k])

    def test_when_all_gradients_are_zero(self, path):
        pool = np.eye(3)[[0, 1, 2, 0, 1]], np.ones((5, 2))
        expected = labelnext.select(*pool, 5, random_state=1)
        for k in (2, 5, 3):
            batch = labelnext.select(*pool, k, random_state=1, checkpoint=path)
            np.testing.assert_array_equal(batch.indices, expected.indices[:k])

    def test_without_a_seed_the_checkpoints_goes_on(self, path):
        # How often progress is told depends on the seed.
        with pytest.raises(StoppedError):
            labelnext.select(
                *POOL, K, exclude=range(20), checkpoint=path, progress=stop_after_the_first_pass()
            )
        kept = json.loads(path.read_text())["rows"]
        assert kept
        batch = run(path, random_state=None)
        assert batch.indices[: len(kept)].tolist() == kept
        same(run(path, random_state=None), batch)

    @pytest.mark.parametrize("kind", [np.random.PCG64, np.random.MT19937, np.random.Philox])
    def test_of_a_generator_that_is_handed_in(self, path, kind):
        expected = run(None, random_state=np.random.Generator(kind(5)))
        with pytest.raises(StoppedError):
            run(path, stop=40, random_state=np.random.Generator(kind(5)))
        same(run(path, random_state=np.random.Generator(kind(5))), expected)
        with pytest.raises(ValueError, match="another random_state"):
            run(path, random_state=np.random.Generator(kind(6)))

    def test_of_a_random_state(self, path):
        expected = run(None, random_state=np.random.RandomState(5))
        with pytest.raises(StoppedError):
            run(path, stop=30, random_state=np.random.RandomState(5))
        same(run(path, random_state=np.random.RandomState(5)), expected)

    @pytest.mark.parametrize("kind", ["pruned", "torch", "multilabel", "disk", "disk-pruned"])
    def test_of_other_pools(self, path, kind):
        from labelnext.engine._torch import TorchGradients

        pool = {
            "pruned": lambda: pools.pruned(*POOL, bias=True),
            "torch": lambda: TorchGradients(*map(torch.tensor, POOL), bias=False),
            "multilabel": lambda: as_gradients(*POOL, task="multilabel"),
            "disk": lambda: pools.on_disk(ArraySource(*POOL), stretch=50_000),
            "disk-pruned": lambda: pools.on_disk(ArraySource(*POOL), pruned=True, stretch=9000),
        }[kind]
        expected = run(None, opened_as(pool()))
        with pytest.raises(StoppedError):
            run(path, opened_as(pool()), stop=40)
        batch = run(path, opened_as(pool()))
        np.testing.assert_array_equal(batch.indices, expected.indices)
        np.testing.assert_allclose(batch.potentials, expected.potentials, rtol=1e-12)
        assert {**batch.stats, "pairs_tested": 0, "residual_products": 0} == {
            **expected.stats,
            "pairs_tested": 0,
            "residual_products": 0,
        }


N = 6000
VIDEOS = np.array([f"video {i % 400}" for i in range(N)])
LABELS = np.where(np.arange(N) % 10 == 0, 1.0, np.nan)
# What a selection may have beside: groups, of which many become full, labelled rows as centres,
# several hundred and so more than one block of them, and both.
CONDITIONS = {
    "groups": {"groups": VIDEOS, "max_per_group": 3},
    "labelled": {"condition_on_labeled": True},
    "both": {"groups": VIDEOS, "max_per_group": 2, "condition_on_labeled": True},
}


class TestConditions:
    """Selections with groups and with labelled rows as centres go on as others do."""

    K = 700

    def pool(self):
        return Pool(*POOL, labels=LABELS)

    @pytest.mark.parametrize("stop", [1, 5, 8, 10])
    @pytest.mark.parametrize("name", CONDITIONS)
    def test_from_anywhere(self, path, name, stop):
        options = CONDITIONS[name]
        expected = run(None, self.pool(), self.K, **options)
        with pytest.raises(StoppedError):
            run(path, self.pool(), self.K, stop=stop, **options)
        same(run(path, self.pool(), self.K, **options), expected)
        assert not np.isin(expected.indices, np.flatnonzero(LABELS == 1)).any()

    @pytest.mark.parametrize("name", CONDITIONS)
    def test_for_more_it_goes_on_and_for_fewer_it_gives_the_start(self, path, name):
        options = CONDITIONS[name]
        expected = run(None, self.pool(), self.K, **options)
        for k in (3, 300, self.K, 20):
            batch = run(path, self.pool(), k, **options)
            np.testing.assert_array_equal(batch.indices, expected.indices[:k])
        counts = np.unique(VIDEOS[expected.indices], return_counts=True)[1]
        if "groups" in options:
            assert counts.max() == options["max_per_group"]

    @pytest.mark.parametrize(
        ("other", "message"),
        [
            ({**CONDITIONS["both"], "max_per_group": 3}, "other groups, or another max_per_group"),
            ({**CONDITIONS["both"], "groups": np.sort(VIDEOS)}, "other groups"),
            (CONDITIONS["labelled"], "other groups"),
            (CONDITIONS["groups"], "with other"),
            ({}, "with other"),
        ],
    )
    def test_not_with_other_conditions(self, path, other, message):
        run(path, self.pool(), 300, **CONDITIONS["both"])
        with pytest.raises(ValueError, match=rf"run\.ckpt is the checkpoint .*{message}"):
            run(path, self.pool(), 300, **other)

    def test_not_with_other_labels(self, path):
        run(path, self.pool(), 300, **CONDITIONS["labelled"])
        labels = np.roll(LABELS, 1)
        with pytest.raises(ValueError, match="with other"):
            run(path, Pool(*POOL, labels=labels), 300, **CONDITIONS["labelled"])


class Untouched:
    """A state of D² of which nothing may be asked."""

    def __init__(self, d2):
        self.n_available = d2.n_available


class TestRefused:
    @pytest.fixture
    def written(self, path):
        run(path, k=300)
        return path

    @pytest.mark.parametrize("other", ["values", "fewer rows", "bias", "task"])
    def test_that_of_another_pool(self, written, other):
        proba, features = (x.copy() for x in POOL)
        if other == "values":
            features[-1, -1] += 1e-9
        if other == "fewer rows":
            proba, features = proba[:-1], features[:-1]
        about = {"bias": {"bias": True}, "task": {"task": "multilabel"}}.get(other, {})
        with pytest.raises(
            ValueError, match=r"run\.ckpt is the checkpoint of another pool.*delete"
        ):
            run(written, Pool(proba, features, **about))

    @pytest.mark.parametrize("place", ["memory", "memory-mapped", "sparse", "tensor", "folder"])
    @pytest.mark.parametrize("row", [1, 300, 598])
    def test_that_of_another_pool_in_shards(self, path, tmp_path, monkeypatch, place, row):
        # Of the shards some rows are looked at, and these are none of them.
        @contextmanager
        def in_shards(pool, *_, **__):
            parts = [open_gradients(Pool(*(np.asarray(x[lo:hi]) for x in POOL)))
                     for lo, hi in ((0, 200), (200, 600))]  # fmt: skip
            gradients = ShardedGradients(parts)
            gradients.shards.counters = dict
            yield gradients

        def made(features, name):
            if place == "folder":
                write_pool(tmp_path / name, POOL[0][:600], features, rows_per_shard=250)
                return open_pool(tmp_path / name)
            if place == "memory-mapped":
                np.save(tmp_path / f"{name}.npy", np.asfortranarray(features))
                features = np.load(tmp_path / f"{name}.npy", mmap_mode="r")
            of = {"sparse": scipy.sparse.csr_array, "tensor": torch.tensor}.get(place, np.asarray)
            return Pool(POOL[0][:600], of(features))

        monkeypatch.setattr("labelnext.engine.ray.ray_pool", in_shards)
        features = POOL[1][:600].copy()
        options = {"random_state": 7, "checkpoint": path, "cluster": labelnext.Ray()}
        select(made(features, "a"), 20, **options)
        assert len(select(made(features, "b"), 30, **options)) == 30
        features[row, 0] += 1e-3
        with pytest.raises(ValueError, match="checkpoint of another pool"):
            select(made(features, "c"), 30, **options)

    @pytest.mark.parametrize("seed", [8, None, np.random.default_rng(8)])
    def test_that_of_another_seed(self, written, seed):
        with pytest.raises(ValueError, match="of a selection with another random_state"):
            run(written, random_state=seed)

    def test_that_of_no_seed(self, path):
        run(path, k=300, random_state=None)
        with pytest.raises(ValueError, match="of a selection with another random_state"):
            run(path)

    @pytest.mark.parametrize("exclude", [None, range(19), [5]])
    def test_that_of_other_excluded_rows(self, written, exclude):
        with pytest.raises(ValueError, match="with other excluded rows"):
            run(written, exclude=exclude)

    def test_excluded_rows_may_be_said_in_another_way(self, written):
        mask = np.zeros(6000, dtype=bool)
        mask[:20] = True
        assert len(run(written, k=300, exclude=mask)) == 300

    @pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "other", "list", "pickle"])
    def test_a_damaged_one(self, written, damage):
        content = written.read_bytes()
        written.write_bytes(
            {
                "cut": content[:-10],
                "flipped": content.replace(b'"rows": [', b'"rows": [1, '),
                "empty": b"",
                "other": b"{}",
                "list": b"[1]",
                "pickle": b"\x80\x04\x95",
            }[damage]
        )
        with pytest.raises(ValueError, match=r"run\.ckpt is no checkpoint.*delete it"):
            run(written)

    def test_that_of_another_version(self, written):
        content = json.loads(written.read_text())
        del content["checksum"]
        content["format"] = "labelnext checkpoint 99"
        content["checksum"] = _checkpoint._checksum(content)
        written.write_text(json.dumps(content))
        with pytest.raises(ValueError, match=r"checkpoint 99'.* reads 'labelnext checkpoint 2'"):
            run(written)

    def test_no_folder_for_it(self, tmp_path):
        with pytest.raises(
            FileNotFoundError, match=r"the checkpoint .*/no/run.* is no folder .*/no; create"
        ):
            run(tmp_path / "no" / "run.ckpt")

    def test_a_folder(self, tmp_path):
        with pytest.raises(IsADirectoryError):
            run(tmp_path)

    def test_a_full_disk_leaves_the_last_one(self, written, monkeypatch):
        def fail(path, content):
            raise OSError(28, "No space left on device")

        before = written.read_bytes()
        monkeypatch.setattr(disk, "write_through", fail)
        with pytest.raises(OSError, match=r"the checkpoint .*the disk is full.*make room"):
            run(written, k=600)
        assert written.read_bytes() == before
        assert list(written.parent.iterdir()) == [written]


FORGED = {
    "rows": [
        None,
        3,
        "abc",
        {},
        [0, "1"],
        [0, 1.5],
        [0, True],
        [-1],
        [6000],
        [2**70],
        [25, 25],
        [5],
    ],
    "d2": [
        None,
        1.0,
        [],
        ["1"],
        [None],
        [-1.0],
        [float("nan")],
        [float("inf")],
        [True],
        [10**400],
        [[1.0]],
    ],
    "potentials": [None, [], ["1"], [-1], [float("nan")], {}],
    "n_full": [None, -1, 301, 2**70, 1.0, "1", True, []],
    "stats": [None, [], {}, {"picks": 1}, {"passes": "1"}, {"passes": -1}, {"passes": 1e3}],
    "stats_full": [None, [], {}, {"picks": 1}, {"passes": "1"}],
    "random": [
        *(None, [], {}, "PCG64", {"bit_generator": "MT19937"}, {"bit_generator": None}),
        {"bit_generator": "PCG64", "state": {"state": -1, "inc": 0}},
        {"bit_generator": "PCG64", "state": {"state": "1", "inc": 2**200}},
        {"bit_generator": "PCG64", "state": {}, "has_uint32": 0, "uinteger": 0},
    ],
}


class TestForged:
    """A checkpoint that somebody made up, with a right checksum, is refused in a sentence."""

    def forge(self, path, change):
        content = json.loads(path.read_text())
        del content["checksum"]
        change(content)
        content["checksum"] = _checkpoint._checksum(content)
        path.write_text(json.dumps(content))

    @pytest.mark.parametrize("k", [3, 400])
    @pytest.mark.parametrize("name", FORGED)
    def test_values(self, path, name, k):
        run(path, k=300)
        written = path.read_bytes()
        for value in FORGED[name]:
            # A list of one value takes the place of the last, a count that of the others.
            def change(content, value=value):
                old = content[name]
                if isinstance(value, list) and isinstance(old, list) and len(value) == 1:
                    value = [*old[:-1], *value]
                elif name.startswith("stats") and value and isinstance(value, dict):
                    value = {**old, **value} if "passes" in value else value
                content[name] = value

            path.write_bytes(written)
            self.forge(path, change)
            forged = path.read_bytes()
            with pytest.raises(ValueError, match=rf"is no checkpoint.*its {name} is.*name another"):
                run(path, k=k)
            assert path.read_bytes() == forged

    def test_a_labelled_or_excluded_row(self, path):
        run(path, k=300)
        for row in (0, 19):
            self.forge(path, lambda content, row=row: content["rows"].__setitem__(-1, row))
            with pytest.raises(ValueError, match="its rows is none of a selection"):
                run(path, k=300)

    @pytest.mark.parametrize("content", [b"[" * 100_000, b'{"checksum": 1}', b"\xff\xfe", b"NaN"])
    def test_other_files(self, path, content):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"no checkpoint .* name another file, or delete it"):
            run(path)
        assert path.read_bytes() == content

    @pytest.mark.parametrize("kind", ["pipe", "circle", "device"])
    def test_no_ordinary_file(self, path, kind):
        if kind == "pipe":
            os.mkfifo(path)
        else:
            path.symlink_to(path if kind == "circle" else "/dev/zero")
        with pytest.raises(OSError, match=r"Cannot write the checkpoint .*; choose another name"):
            run(path)
        assert os.listdir(path.parent) == [path.name]


def test_a_link_is_followed(path, tmp_path):
    (tmp_path / "disk").mkdir()
    path.symlink_to("disk/real.ckpt")
    expected = run(path, k=30)
    assert path.is_symlink()
    assert run(tmp_path / "disk" / "real.ckpt", k=30).indices.tolist() == expected.indices.tolist()
    assert os.listdir(tmp_path / "disk") == ["real.ckpt"]


def test_a_few_kilobytes(path):
    run(path, k=300)
    assert path.stat().st_size < 20_000
