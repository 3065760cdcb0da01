"""Shards' processes are killed at all kinds of moments, and the batch is the one of before."""

import os
import signal
import threading
import time
from dataclasses import replace

import pytest

import clusters
from clusters import arrays, choose, in_shards, kill, killer, same, slow_but, undisturbed
from labelnext.cluster import ShardLostError
from labelnext.cluster.actors import ATTEMPTS
from labelnext.pools import ArraySource, Pool
from labelnext.pools.source import PartOfSource

pytestmark = pytest.mark.xdist_group("ray")
LOCK = threading.Lock()


@pytest.fixture(scope="module", name="ray", autouse=True)
def _ray():
    with clusters.started() as ray:
        yield ray


class Told(ArraySource):
    """Arrays whose shards say that they are being read, and take a while."""

    in_memory = False

    def __init__(self, folder, wait=0.0, needed=None):
        super().__init__(*arrays())
        self.folder, self.wait, self.needed = folder, wait, needed

    def part(self, lo, hi):
        return ToldPart(super().part(lo, hi), self.folder / str(lo), self.wait, self.needed)


class ToldPart(PartOfSource):
    """One shard of them, read in an actor by several threads."""

    def __init__(self, source, mark, wait, needed):
        super().__init__(source, 0, source.n_rows)
        self.mark, self.wait, self.needed = mark, wait, needed

    def read(self, part, lo, hi):
        with LOCK:
            self._tell()
        return super().read(part, lo, hi)

    def _tell(self):
        told = self.mark.read_text().split() if self.mark.exists() else []
        if str(os.getpid()) in told:
            return
        with self.mark.open("a") as file:
            file.write(f"{os.getpid()}\n")
        if self.needed is not None:
            self.needed.read_bytes()
        if not told:
            time.sleep(self.wait)


def at(moment, pool, number):
    """A progress callback that kills a shard once, when the counters are right."""
    killed = []

    def progress(stats):
        if not killed and moment(stats) and kill(pool, number):
            killed.append(dict(stats))

    return killed, progress


MOMENTS = {
    "after the first pick": lambda stats: stats["picks"] >= 1,
    "between draw and acceptance": lambda stats: stats["proposals"] > 20,
    "before the first pass": lambda stats: stats["picks"] > 40 and stats["passes"] == 0,
    "after the first pass": lambda stats: stats["passes"] == 1,
    "late": lambda stats: stats["picks"] > 450,
}


@pytest.mark.slow
@pytest.mark.parametrize("moment", slow_but(MOMENTS, "after the first pass"))
def test_killed_at_a_moment(moment):
    with in_shards(2) as pool:
        killed, progress = at(MOMENTS[moment], pool, 1)
        batch = choose(pool, 0, progress)
        assert killed
        assert pool.shards.actors.n_restarts == 1
    same(batch, undisturbed(0))


@pytest.mark.slow
@pytest.mark.parametrize("chance", range(2))
def test_killed_at_random_moments(chance):
    with in_shards(3) as pool, killer(pool, chance) as killed:
        for seed in range(4):
            same(choose(pool, seed), undisturbed(seed))
    assert killed


@pytest.mark.slow
def test_killed_during_a_pass():
    with in_shards(2) as pool:
        shards, call = pool.shards, pool.shards._call
        n_passes = []

        def killing(method, arguments, shared):
            if method == "min_update":
                n_passes.append(method)
                if len(n_passes) == 2:
                    # While the call is on its way, or has been answered by one of them.
                    threading.Timer(0.002, kill, (pool, 0)).start()
            return call(method, arguments, shared)

        shards._call = killing
        batch = choose(pool, 1)
        assert shards.actors.n_restarts == 1
    same(batch, undisturbed(1))


@pytest.mark.slow
def test_killed_by_ray_itself(ray):
    with in_shards(2) as pool:
        calls = iter([lambda: ray.kill(pool.shards.actors.places[0].actor)])

        def progress(stats):
            if stats["passes"] == 1:
                next(calls, lambda: None)()

        same(choose(pool, 2, progress), undisturbed(2))
        assert pool.shards.actors.n_restarts == 1


@pytest.mark.slow
def test_all_of_them_killed_at_once():
    with in_shards(3) as pool:
        moments = iter([True])

        def progress(stats):
            if stats["passes"] == 2 and next(moments, False):
                for number in range(3):
                    kill(pool, number)

        same(choose(pool, 0, progress), undisturbed(0))
        assert pool.shards.actors.n_restarts == 3


@pytest.mark.slow
def test_killed_during_the_first_reading(tmp_path):
    def strike():
        while not (mark := tmp_path / "1500").exists() or not (pid := mark.read_text()):
            time.sleep(0.01)
        os.kill(int(pid), signal.SIGKILL)

    thread = threading.Thread(target=strike)
    thread.start()
    with in_shards(2, Pool.of(Told(tmp_path, wait=2.0))) as pool:
        thread.join()
        assert pool.shards.actors.n_restarts == 1
        same(choose(pool, 0), undisturbed(0))
    # The one that was killed read twice, the other once.
    assert [len((tmp_path / name).read_text().split()) for name in ("0", "1500")] == [1, 2]


@pytest.mark.slow
def test_one_that_does_not_answer_counts_as_lost():
    with in_shards(2, timeout=4) as pool:
        stopped = []

        def progress(stats):
            if stats["passes"] == 1 and not stopped:
                stopped.append(pool.shards.actors.places[1].pid)
                os.kill(stopped[0], signal.SIGSTOP)

        batch = choose(pool, 0, progress)
        assert pool.shards.actors.n_restarts == 1
        assert pool.shards.actors.places[1].pid != stopped[0]
    same(batch, undisturbed(0))
    # Its process is not left behind.
    for _ in range(100):
        if not os.path.exists(f"/proc/{stopped[0]}"):
            break
        time.sleep(0.1)
    else:
        pytest.fail("The process that did not answer is still there.")


@pytest.mark.slow
def test_a_shard_whose_file_has_gone_ends_the_run_with_its_name(tmp_path):
    needed = tmp_path / "needed.npy"
    needed.write_bytes(b"rows")
    with in_shards(3, Pool.of(Told(tmp_path, needed=needed))) as pool:
        start = []

        def progress(stats):
            if stats["passes"] == 1 and not start:
                needed.unlink()
                kill(pool, 1)
                start.append(time.monotonic())

        message = (
            rf"^Shard 1 of 3 \(rows 1,000 to 1,999 of arrays, from row 1000 of arrays on\) was "
            rf"lost {ATTEMPTS} times; the last time because it cannot be set up again: "
            rf"FileNotFoundError: .*{needed}"
        )
        with pytest.raises(ShardLostError, match=message):
            choose(pool, 0, progress)
        # The bound that is documented is far above; five processes are started.
        assert time.monotonic() - start[0] < 400


@pytest.mark.slow
def test_a_file_that_is_not_there_at_first_is_said_at_once(tmp_path):
    needed = tmp_path / "needed.npy"
    with (
        pytest.raises(FileNotFoundError, match=r"needed\.npy"),
        in_shards(2, Pool.of(Told(tmp_path, needed=needed))),
    ):
        pass
    marks = [mark.read_text().split() for mark in tmp_path.iterdir()]
    assert marks
    assert all(len(pids) == 1 for pids in marks)


@pytest.mark.slow
def test_no_core_is_free_for_a_shard_that_is_built_again(ray):
    with in_shards(2, num_cpus=8) as pool:
        taken, actors = [], pool.shards.actors
        actors.options = replace(actors.options, start_timeout=4)

        def progress(stats):
            if stats["passes"] == 1 and not taken:
                # Somebody else takes its place at once.
                taken.append(ray.remote(num_cpus=8)(Idle).remote())
                kill(pool, 0)

        same(choose(pool, 0, progress), undisturbed(0))
        assert [place.squeezed for place in actors.places] == [True, False]
        ray.kill(taken[0])


class Idle:
    """An actor that only takes room."""
