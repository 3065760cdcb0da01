"""A driver of shards on Ray is killed: the same batch, from its checkpoint, with other shards."""

import json
import signal

import numpy as np
import pytest

import clusters
import labelnext
from clusters import EXCLUDE, K, arrays, same, undisturbed

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("ray")]

CHILD = """
import os, signal
from pathlib import Path
import labelnext
from clusters import EXCLUDE, K, arrays

def progress(stats):
    if stats["passes"] == 1 and stats["picks"] > {picks}:
        os.kill(os.getpid(), signal.SIGKILL)

labelnext.select(
    *arrays(), K, exclude=EXCLUDE, random_state=5, checkpoint=Path({path!r}), progress=progress,
    cluster=labelnext.Ray({address!r}, num_shards=2, num_cpus=0.1),
)
"""


@pytest.fixture(scope="module", name="ray")
def _ray():
    with clusters.started() as ray:
        yield ray


def select(path, k=K, num_shards=2, pool=None, **options):
    return labelnext.select(
        labelnext.Pool(*arrays()) if pool is None else pool,
        k,
        exclude=EXCLUDE,
        random_state=5,
        checkpoint=path,
        cluster=labelnext.Ray(num_shards=num_shards, num_cpus=0.1),
        **options,
    )


@pytest.mark.parametrize("num_shards", [2, 3])
def test_a_killed_driver(ray, tmp_path, num_shards):
    path = tmp_path / "run.ckpt"
    address = ray.get_runtime_context().gcs_address
    # After the first pass more is drawn, and the second is not made yet.
    script = CHILD.format(path=str(path), address=address, picks=200)
    child = clusters.run(script, home=tmp_path)
    assert child.returncode == -signal.SIGKILL, child.stderr
    at = json.loads(path.read_text())["n_full"]
    assert 0 < at < K
    seen = []
    batch = select(path, num_shards=num_shards, progress=lambda stats: seen.append(stats["picks"]))
    assert min(seen) >= at
    same(batch, undisturbed(5))


def test_complete_and_then_for_more(ray, tmp_path):
    path = tmp_path / "run.ckpt"
    del ray
    some = select(path, 100, num_shards=2)
    np.testing.assert_array_equal(some.indices, undisturbed(5).indices[:100])
    same(select(path, num_shards=3), undisturbed(5))


def test_that_of_another_pool(ray, tmp_path):
    path = tmp_path / "run.ckpt"
    del ray
    select(path, 100, num_shards=2)
    proba, features = arrays()
    with pytest.raises(ValueError, match="checkpoint of another pool"):
        select(path, 100, pool=labelnext.Pool(proba, 2 * features))


def test_not_of_one_machine(ray, tmp_path):
    path = tmp_path / "run.ckpt"
    del ray
    select(path, 100, num_shards=2)
    with pytest.raises(ValueError, match=r"opened in another way \(in memory, from files, on a"):
        labelnext.select(*arrays(), 100, exclude=EXCLUDE, random_state=5, checkpoint=path)
