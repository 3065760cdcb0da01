"""A Ray Data set: its blocks stay where they are, and their order is kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

# Blocks that are looked at at once.
AT_ONCE = 4


class Stretch(NamedTuple):
    """Some rows of a block: the first, and the one after the last."""

    block: Any
    number: int
    lo: int
    hi: int


@dataclass(frozen=True)
class Blocks:
    """Consecutive rows of a Ray Data set, by references of the blocks that they are in.

    Parameters
    ----------
    stretches : tuple of Stretch
        The rows, in their order.
    """

    stretches: tuple[Stretch, ...]

    @property
    def n_rows(self) -> int:
        """How many rows there are."""
        return sum(hi - lo for _, _, lo, hi in self.stretches)

    def part(self, lo: int, hi: int) -> Blocks:
        """Return rows lo to hi."""
        some, start = [], 0
        for block, number, first, last in self.stretches:
            end = start + last - first
            if start < hi and end > lo:
                rows = first + max(lo - start, 0), first + min(hi, end) - start
                some.append(Stretch(block, number, *rows))
            start = end
        return Blocks(tuple(some))

    def columns(self, wanted: Callable[[str], bool]) -> dict[str, NDArray[Any]]:
        """Fetch the wanted columns as arrays of one row for each row."""
        import ray

        tables = [ray.get(block).slice(lo, hi - lo) for block, _, lo, hi in self.stretches]
        names = filter(wanted, tables[0].column_names)
        return {name: self._column(name, tables) for name in names}

    def _column(self, name: str, tables: list[Any]) -> NDArray[Any]:
        from ray.data.block import BlockAccessor

        parts, shapes = [], []
        for table, stretch in zip(tables, self.stretches, strict=True):
            values: Any = BlockAccessor.for_block(table.select([name])).to_numpy(name)
            rows = [np.asarray(row) for row in values] if values.dtype == object else [values[0]]
            shapes += [(row.shape, stretch.number) for row in rows]
            parts.append((values, rows))
        (shape, first), (other, last) = min(shapes), max(shapes)
        if shape != other:
            sizes = [" × ".join(map(str, each)) for each in (shape, other)]
            raise ValueError(
                f"The lists of column {name!r} must be of one length, but there are some of "
                f"{sizes[0]} numbers (in block {first}) and some of {sizes[1]} numbers (in block "
                f"{last})."
            )
        arrays = [np.stack(rows) if x.dtype == object else x for x, rows in parts]
        if any(array.dtype.kind not in "fiub" for array in arrays):
            raise ValueError(
                f"Column {name!r} of the Ray data set must hold numbers, or arrays of one shape."
            )
        # A copy: what Ray keeps may not be written to, nor kept.
        return np.concatenate(arrays)


def is_dataset(data: Any) -> bool:
    """Tell whether this is a Ray Data set, without importing Ray."""
    return type(data).__module__.startswith("ray.data")


def blocks_in_order(dataset: Any) -> Blocks:
    """Run what the data set is made by, and return its blocks in the order of its rows."""
    import ray

    context = dataset.context
    options, bars = context.execution_options, context.enable_progress_bars
    ordered = options.preserve_order
    try:
        options.preserve_order, context.enable_progress_bars = True, False
        blocks: list[Any] = dataset.to_arrow_refs()
    finally:
        options.preserve_order, context.enable_progress_bars = ordered, bars
    # Counted where they are. What needs no core has no other limit: Ray would start a process
    # for each block.
    count, lengths = ray.remote(num_cpus=0)(_length), []
    for lo in range(0, len(blocks), AT_ONCE):
        lengths += ray.get([count.remote(block) for block in blocks[lo : lo + AT_ONCE]])
    pairs = enumerate(zip(blocks, lengths, strict=True))
    return Blocks(tuple(Stretch(block, i, 0, n) for i, (block, n) in pairs if n))


def _length(block: Any) -> int:
    return len(block)
