"""A process that is on one Ray cluster after another, with tokens and without.

A program of its own: Ray settles at a process's first cluster whether it shows a token.
"""

import sys

import pytest
from ray.cluster_utils import Cluster

import labelnext
from clusters import arrays
from labelnext.cluster import session as _session


def select(address):
    cluster = labelnext.Ray(address, num_shards=2, num_cpus=0.5, start_timeout=30)
    batch = labelnext.select(*arrays(), 20, random_state=0, cluster=cluster)
    assert (
        batch.indices.tolist() == labelnext.select(*arrays(), 20, random_state=0).indices.tolist()
    )
    assert batch.stats["restarts"] == 0


if __name__ == "__main__":
    with _session._settings():
        # As `ray start --head` does it, which asks for no token.
        cluster = Cluster(
            initialize_head=True, head_node_args={"num_cpus": 2, "object_store_memory": 80 << 20}
        )
    try:
        if sys.argv[1] == "without first":
            select(cluster.address)
            select("local")
            select(cluster.address)
        else:
            select("local")
            select("local")
            for address in (cluster.address, "auto"):
                with pytest.raises(ConnectionError, match=r"has no tokens, .*restart the kernel"):
                    select(address)
            select("local")
    finally:
        cluster.shutdown()
    print("done")
