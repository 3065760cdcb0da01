"""A Ray cluster: joining one, and actors on it that are started again when they are lost.

Nothing here imports Ray before a cluster is used.
"""

from labelnext.cluster.actors import ShardLostError
from labelnext.cluster.dataset import as_pool
from labelnext.cluster.session import Ray

__all__ = ["Ray", "ShardLostError", "as_pool"]
