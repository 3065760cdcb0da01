"""Which Ray cluster to work on, what to take of it, and how long to wait."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Ray:
    """A Ray cluster to work on, and what may be taken of it.

    To be passed as ``cluster=`` to `labelnext.select`, where the pool is cut into shards, each
    in an actor, and to `labelnext.extract`, where as many actors write the shards of a pool in
    files. It is joined when it is used, not before.

    Parameters
    ----------
    address : str, default=None
        Which cluster: ``"host:port"`` of its head; ``"auto"``, the one that runs on this machine;
        ``"local"``, a new one on this machine, which ends with the work. None: the one that
        this process has joined already, else that of ``RAY_ADDRESS``, else the one that runs on
        this machine, else a new one.
    num_shards : int, default=None
        How many actors there are, and so into how many parts a pool is cut to select from it.
        None: as many as the cluster has room for now.
    num_cpus : float, default=1
        Cores that each actor reserves, and the threads that it computes on.
    num_gpus : float, default=0
        GPUs that each actor reserves. Where there is any, it works on the GPU.
    resources : mapping of str to float, default=None
        Other resources that each actor reserves, by which it is placed.
    timeout : float, default=None
        Seconds: an actor that has not answered a call by then counts as lost. It must be enough
        to read a shard and for a pass over one, or to extract one. None: 600 for a selection,
        3,600 for an extraction.
    start_timeout : float, default=60
        Seconds that an actor may wait for a place on the cluster, and its process to start.

    Raises
    ------
    TypeError, ValueError
        If a value is of another type, or out of range.

    Examples
    --------
    >>> import labelnext
    >>> labelnext.cluster.Ray(num_shards=3).num_cpus
    1
    """

    address: str | None = None
    num_shards: int | None = None
    num_cpus: float = 1
    num_gpus: float = 0
    resources: Mapping[str, float] | None = None
    timeout: float | None = None
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
            if name == "timeout" and value is None:
                continue
            if not isinstance(value, int | float) or isinstance(value, bool):
                raise TypeError(f"{name} must be a number, got {value!r}.")
            if value < 0 or (value == 0 and "timeout" in name):
                least = "above 0" if "timeout" in name else "at least 0"
                raise ValueError(f"{name} must be {least}, got {value}.")

    @property
    def each(self) -> dict[str, float]:
        """What one actor reserves, by the names that Ray has for it."""
        every = {"CPU": self.num_cpus, "GPU": self.num_gpus, **(self.resources or {})}
        return {name: each for name, each in every.items() if each}
