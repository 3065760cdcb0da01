"""The compiled pass over a pool in files: what no centre can change is not read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from labelnext.engine._disk import DiskGradients
from labelnext.engine._memory import labels_dtype
from labelnext.engine._pruned import SAMPLE, PrunedGradients

if TYPE_CHECKING:
    from labelnext.engine.task import Task
    from labelnext.pools import Source

# Five scalars that bounds are made of.
SCALAR_BYTES = 40
# Stretches that a sample is taken from where no row can be read by itself.
SAMPLED_STRETCHES = 8


class PrunedDiskGradients(DiskGradients, PrunedGradients):
    """A `DiskGradients` whose passes are compiled, and skip what bounds rule out.

    Stretches of rows that no centre of a block can change, by what is in memory, are not read.
    """

    @staticmethod
    def _state_bytes(source: Source, task: Task) -> float:
        return (
            DiskGradients._state_bytes(source, task)
            + SCALAR_BYTES
            + labels_dtype(source.n_columns).itemsize
        )

    def _sample(self) -> Any:
        if isinstance(self.layout.groups, int):
            return super()._sample()
        # To take rows here and there would be to read everything.
        numbers = np.unique(np.linspace(0, len(self.layout) - 1, SAMPLED_STRETCHES).astype(int))
        starts = [self.layout.stretch(number).start for number in numbers]
        size = SAMPLE // len(starts)
        ends = [min(start + size, self.n_rows) for start in starts]
        read = [self.source.read("features", *ends) for ends in zip(starts, ends, strict=True)]
        return np.concatenate(read)
