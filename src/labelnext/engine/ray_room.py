"""What a cluster has room for, and what failures are in a few words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labelnext.cluster.options import RayOptions


def wanted(options: RayOptions) -> dict[str, float]:
    """Return what one actor reserves."""
    every = {"CPU": options.num_cpus, "GPU": options.num_gpus, **(options.resources or {})}
    return {name: each for name, each in every.items() if each}


def room(ray: Any, options: RayOptions, most: int) -> int:
    """Return how many actors the cluster has room for now, at least one."""
    free = ray.available_resources()
    rooms = [int(free.get(name, 0) // each) for name, each in wanted(options).items()]
    return max(1, min([most, *rooms]))


def needed(ray: Any, options: RayOptions, n_actors: int) -> str:
    """Say what actors need, and what of it there is."""
    total, free = ray.cluster_resources(), ray.available_resources()
    return ", ".join(
        f"{each * n_actors:g} {name} ({total.get(name, 0):g} on the cluster, "
        f"{free.get(name, 0):g} free)"
        for name, each in wanted(options).items()
    )


def in_short(error: BaseException) -> str:
    """Return the first line of an error, with its kind."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
