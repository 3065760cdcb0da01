"""Where shards are to live, how many, and how long to wait for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class RayOptions:
    """Which cluster, and what each shard may take of it.

    Parameters
    ----------
    address : str, default=None
        Which cluster: ``"host:port"`` of its head; ``"auto"``, the one that runs on this machine;
        ``"local"``, a new one on this machine, which ends with the selection. None: the one that
        this process has joined already, else that of ``RAY_ADDRESS``, else the one that runs on
        this machine, else a new one.
    num_shards : int, default=None
        Into how many parts the pool is cut. None: as many as the cluster has room for now.
    num_cpus : float, default=1
        Cores that each shard reserves, and the threads that it computes on.
    num_gpus : float, default=0
        GPUs that each shard reserves. Where there is any, its rows are kept on the GPU.
    resources : mapping of str to float, default=None
        Other resources that each shard reserves, by which it is placed.
    memory_limit : int or str, default=None
        What a shard of a pool in files may keep of it in memory, as in ``"1GB"``; see
        `labelnext.open_pool`. None: all of its rows.
    timeout : float, default=600
        Seconds: a shard that has not answered a call by then counts as lost. It must be enough
        to read a shard, and for a pass over one.
    start_timeout : float, default=60
        Seconds that a shard may wait for a place on the cluster, and its process to start.

    Raises
    ------
    TypeError, ValueError
        If a number is none, or is out of range.

    Examples
    --------
    >>> from labelnext.engine.ray import RayOptions
    >>> RayOptions(num_shards=3).num_cpus
    1
    """

    address: str | None = None
    num_shards: int | None = None
    num_cpus: float = 1
    num_gpus: float = 0
    resources: Mapping[str, float] | None = None
    memory_limit: int | str | None = None
    timeout: float = 600.0
    start_timeout: float = 60.0

    def __post_init__(self) -> None:
        if self.address is not None and not isinstance(self.address, str):
            raise TypeError(f"address must be a string, got {type(self.address).__name__}.")
        shards: Any = self.num_shards
        if shards is not None and (not isinstance(shards, int) or isinstance(shards, bool)):
            raise TypeError(f"num_shards must be an integer, got {shards!r}.")
        if shards is not None and shards < 1:
            raise ValueError(f"num_shards must be at least 1, got {shards}.")
        for name in ("num_cpus", "num_gpus", "timeout", "start_timeout"):
            value: Any = getattr(self, name)
            if not isinstance(value, int | float) or isinstance(value, bool):
                raise TypeError(f"{name} must be a number, got {value!r}.")
            if value < 0 or (value == 0 and "timeout" in name):
                least = "above 0" if "timeout" in name else "at least 0"
                raise ValueError(f"{name} must be {least}, got {value}.")
