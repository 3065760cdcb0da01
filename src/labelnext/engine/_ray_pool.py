"""A pool whose parts are in Ray actors, for as long as it is needed."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from labelnext.cluster.options import RayOptions
from labelnext.cluster.session import joined
from labelnext.engine._open import warned
from labelnext.engine._ray_parts import RayParts
from labelnext.engine._sharded import ShardedGradients

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from labelnext.engine._ray_origins import Origin


@contextmanager
def ray_pool(
    origin: Callable[[], Origin], options: RayOptions | None = None
) -> Iterator[ShardedGradients]:
    """Have a pool in shards on a Ray cluster; they end with the context.

    Parameters
    ----------
    origin : callable
        Returns what the shards are cut of, once the cluster has been joined.
    options : RayOptions, default=None
        Which cluster, how many shards, and what each may take.

    Yields
    ------
    ShardedGradients
        The pool. One selection at a time can be made from it.

    Raises
    ------
    ImportError
        If Ray is not installed.
    ConnectionError
        If there is no cluster at the address.
    TimeoutError
        If the cluster has no room for the shards.
    ShardLostError
        If a shard cannot be built again.
    """
    options = options or RayOptions()
    with joined(options.address) as ray:
        parts = RayParts(ray, origin(), options)
        try:
            pool = ShardedGradients(parts)
            warned(pool)
            yield pool
        finally:
            parts.close()
