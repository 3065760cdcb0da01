"""D² sampling from a pool, wherever it lives: open it, choose, and say what the pool knows."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from labelnext.engine import open_gradients
from labelnext.engine.threads import n_threads
from labelnext.sampling._checkpoint import Checkpoint
from labelnext.sampling._d2 import NO_ROWS, d2_sample

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from labelnext.cluster import Ray
    from labelnext.engine import Gradients
    from labelnext.pools import Pool
    from labelnext.sampling._batch import Batch
    from labelnext.sampling._groups import Groups
    from labelnext.sampling._picks import Progress


def choose_by_d2(
    pool: Pool,
    k: int,
    *,
    exclude: NDArray[np.int64] = NO_ROWS,
    centres: NDArray[np.int64] = NO_ROWS,
    groups: Groups | None = None,
    rng: np.random.Generator,
    seeded: bool = True,
    progress: Progress | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    memory_limit: int | str | None = None,
    cluster: Ray | None = None,
) -> Batch:
    """Choose k rows by D² sampling; all is checked by who calls.

    The options are those of `d2_sample` and `labelnext.select`; if the caller has not said the
    randomness, it is not `seeded`, and a checkpoint decides.
    """
    with opened(pool, memory_limit, cluster) as gradients:
        saved = None
        if checkpoint is not None:
            saved = Checkpoint(checkpoint, gradients, exclude, centres, groups, rng, seeded=seeded)
        batch = d2_sample(
            gradients,
            k,
            exclude=exclude,
            centres=centres,
            groups=groups,
            random_state=rng,
            progress=progress,
            checkpoint=saved,
        )
        if cluster is not None:
            shards: Any = gradients.shards  # type: ignore[attr-defined]
            batch = replace(batch, stats={**batch.stats, **shards.counters()})
    return batch.described(pool)


@contextmanager
def opened(
    pool: Pool, memory_limit: int | str | None = None, cluster: Ray | None = None
) -> Iterator[Gradients]:
    """Have the gradients of a pool: in this process, or in shards for as long as the context."""
    n_threads()  # a wrong setting is told of small pools, too
    if cluster is None:
        yield open_gradients(pool, memory_limit=memory_limit)
        return
    from labelnext.engine.ray import ray_pool

    with ray_pool(pool, cluster, memory_limit=memory_limit) as shards:
        yield shards
