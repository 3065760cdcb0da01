"""Selection from a pool that is in shards on a Ray cluster."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from labelnext.engine.ray import RayOptions, as_origin, ray_pool
from labelnext.sampling._choose import check_exclude, check_k, choose

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray

    from labelnext.engine.ray import Origin, RayParts
    from labelnext.sampling._batch import Batch
    from labelnext.sampling._picks import Progress
    from labelnext.sampling._random import RandomState


class Checked(NamedTuple):
    """What to choose, once it is known from how many rows."""

    origin: Origin
    k: int
    exclude: NDArray[Any]


def select_on_ray(
    pool: Any,
    features: Any,
    k: Any,
    *,
    about: dict[str, Any],
    exclude: Any,
    random_state: RandomState,
    progress: Progress | None,
    checkpoint: str | os.PathLike[str] | None,
    options: dict[str, Any],
) -> Batch:
    """Do what `select` says of ``engine="ray"``.

    Parameters
    ----------
    pool, features : object
        As those of `as_origin`.
    k, exclude, random_state, progress, checkpoint
        As those of `select`.
    about : dict
        The bias and the task, where they were given.
    options : dict
        Fields of `RayOptions`.
    """
    checked: list[Checked] = []

    def origin() -> Origin:
        made = as_origin(pool, features, **about)
        rows = check_exclude(exclude, made.n_rows)
        checked.append(Checked(made, check_k(k, made.n_rows - len(rows)), rows))
        return made

    with ray_pool(origin, RayOptions(**options)) as shards:
        batch = choose(
            shards,
            checked[0].k,
            checked[0].exclude,
            random_state=random_state,
            progress=progress,
            checkpoint=checkpoint,
        )
        parts: RayParts = shards.parts  # type: ignore[assignment]
        return replace(batch, stats={**batch.stats, **parts.counters()})
