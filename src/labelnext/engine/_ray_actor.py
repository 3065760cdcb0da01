"""What runs in the process of a shard."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

from labelnext.engine._factors import StoredRows
from labelnext.engine._parts import Part

if TYPE_CHECKING:
    from labelnext.engine._ray_origins import Piece
    from labelnext.engine.task import Task


class ShardActor:
    """A part of a pool in a process of its own. It starts with nothing, and is told everything."""

    part: Part

    def hello(self, n_threads: int) -> tuple[int, str]:
        """Return the process's number and its node's; passes will use so many threads."""
        import ray

        os.environ["LABELNEXT_NUM_THREADS"] = str(n_threads)
        return os.getpid(), ray.get_runtime_context().get_node_id()

    def load(
        self,
        piece: Piece,
        first_row: int,
        bias: bool,
        task: Task,
        stored_as: str | None,
        on_gpu: bool,
        memory_limit: int | str | None,
    ) -> None:
        """Read the shard's rows."""
        from labelnext.engine._ray_origins import open_piece

        pool = open_piece(
            piece,
            first_row,
            bias=bias,
            task=task,
            stored_as=stored_as,
            on_gpu=on_gpu,
            memory_limit=memory_limit,
        )
        self.part = Part(pool, first_row)

    def do(self, method: str, shared: Any, arguments: tuple[Any, ...]) -> Any:
        """Call a method of the part, with a first argument that all parts have, if there is one."""
        first = () if shared is None else (_own(shared),)
        return getattr(self.part, method)(*first, *map(_own, arguments))


def _own(value: Any) -> Any:
    """Return a copy of rows and arrays: what Ray hands over may not be written to."""
    if isinstance(value, StoredRows):
        return StoredRows(*map(_own, value))
    return value.copy() if isinstance(value, np.ndarray) or sp.issparse(value) else value
