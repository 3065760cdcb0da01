"""Three nodes, of which two go, one after the other: what they had is done by those that are left.

A program of its own: this cluster asks for no token, and Ray settles at a process's first cluster
whether it shows one.
"""

import filecmp
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import torch

import clusters
import labelnext
from clusters import choose, in_shards, same, undisturbed


@contextmanager
def nodes():
    """A head with the process that chooses, and three nodes for the shards."""
    import ray
    from ray.cluster_utils import Cluster

    with clusters.environment():
        cluster = Cluster(
            initialize_head=True,
            head_node_args={"num_cpus": 0, "object_store_memory": 80 << 20},
        )
        try:
            added = [
                cluster.add_node(num_cpus=2, object_store_memory=80 << 20, wait=False)
                for _ in range(3)
            ]
            cluster.wait_for_nodes()
            ray.init(cluster.address, logging_level="ERROR", log_to_driver=False)
            yield ray, cluster, added
        finally:
            ray.shutdown()
            cluster.shutdown()


def removed_on_the_way(ray, cluster, added):
    removed = []
    with in_shards(3, num_cpus=1) as pool:
        homes = {place.node for place in pool.shards.actors.places}
        # Spread over the nodes, so that at least one of them has a shard and goes.
        assert homes <= {node.node_id for node in added}
        victim = next(node for node in added if node.node_id in homes)

        def progress(stats):
            if stats["passes"] == 1 and not removed:
                removed.append(victim.node_id)
                cluster.remove_node(victim)

        start = time.monotonic()
        same(choose(pool, 0, progress), undisturbed(0))
        assert pool.shards.actors.n_restarts >= 1
        assert time.monotonic() - start < 120
        assert removed[0] not in {place.node for place in pool.shards.actors.places}
        # And the next one, on what is left.
        same(choose(pool, 1), undisturbed(1))
    assert len([node for node in ray.nodes() if node["Alive"]]) == 3
    return [node for node in added if node is not victim]


class Slow(torch.utils.data.Dataset):
    """Samples that take a while, and write down on which node they are read."""

    def __init__(self, folder, seconds):
        self.folder, self.seconds = folder, seconds
        self.X = torch.randn(120, 6, generator=torch.Generator().manual_seed(5))

    def __len__(self):
        return len(self.X)

    def __getitem__(self, i):
        import ray

        if self.seconds:
            (self.folder / ray.get_runtime_context().get_node_id()).touch()
            time.sleep(self.seconds)
        return self.X[i]


def removed_during_extraction(cluster, left, folder):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(6, 9), torch.nn.ReLU(), torch.nn.Linear(9, 4))
    nodes = folder / "nodes"
    nodes.mkdir()
    removed, done = [], []

    def progress(n_done, n_rows):
        done.append(n_done)
        homes = {path.name for path in nodes.iterdir()}
        if not removed:
            victim = next(node for node in left if node.node_id in homes)
            removed.append(victim.node_id)
            cluster.remove_node(victim)

    options = {"rows_per_shard": 10, "batch_size": 5}
    start = time.monotonic()
    labelnext.extract(
        model,
        Slow(nodes, 0.03),
        out=folder / "there",
        cluster=labelnext.Ray(num_shards=4),
        progress=progress,
        **options,
    )
    assert time.monotonic() - start < 120
    assert removed
    assert done[-1] == 120
    labelnext.extract(model, Slow(nodes, 0), out=folder / "here", progress=False, **options)
    files = [p.relative_to(folder / "here") for p in (folder / "here").rglob("*") if p.is_file()]
    assert sorted(files) == sorted(
        p.relative_to(folder / "there") for p in (folder / "there").rglob("*") if p.is_file()
    )
    assert filecmp.cmpfiles(folder / "here", folder / "there", files, False) == (files, [], [])


if __name__ == "__main__":
    with nodes() as (ray, cluster, added):
        left = removed_on_the_way(ray, cluster, added)
        with tempfile.TemporaryDirectory() as folder:
            removed_during_extraction(cluster, left, Path(folder))
        assert len([node for node in ray.nodes() if node["Alive"]]) == 2
    print("as if nothing had been")
