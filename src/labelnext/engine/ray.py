"""A pool over a Ray cluster: a shard an actor, each built again where it is lost.

Nothing here imports Ray before a cluster is asked for.
"""

from labelnext.cluster.options import RayOptions
from labelnext.engine._ray_origins import Origin, as_origin
from labelnext.engine._ray_parts import RayParts, ShardLostError
from labelnext.engine._ray_pool import ray_pool

__all__ = ["Origin", "RayOptions", "RayParts", "ShardLostError", "as_origin", "ray_pool"]
