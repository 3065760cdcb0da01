"""A Ray Data set as a pool: its blocks stay where they are, and their order is kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from labelnext.engine._factors import StoredRows
from labelnext.engine._ray_origins import Origin, Piece

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from labelnext.engine.task import Task

COLUMNS = ("proba", "features")
# Blocks that are counted at once.
AT_ONCE = 4


@dataclass(frozen=True)
class Blocks(Piece):
    """Stretches of some blocks, each a reference, a first row and one after the last."""

    stretches: tuple[tuple[Any, int, int], ...]
    names: tuple[str, ...]

    def read(self) -> StoredRows:
        import ray

        tables = [ray.get(block).slice(lo, hi - lo) for block, lo, hi in self.stretches]
        proba, features = (_matrix(tables, self.names, column) for column in COLUMNS)
        return StoredRows(proba, features)


def _matrix(tables: list[Any], names: tuple[str, ...], column: str) -> NDArray[Any]:
    """Return one column of some blocks as a matrix, or P(y = 1) as a vector."""
    from ray.data.block import BlockAccessor

    parts = []
    for table, name in zip(tables, names, strict=True):
        values: Any = BlockAccessor.for_block(table.select([column])).to_numpy(column)
        if values.dtype == object:
            rows = [np.asarray(row) for row in values]
            _check_lengths(column, [(len(row), name) for row in rows])
            values = np.stack(rows)
        parts.append(values)
    if parts[0].ndim > 1:
        _check_lengths(column, [(x.shape[1], name) for x, name in zip(parts, names, strict=True)])
    # A copy: what Ray keeps may not be written to, nor kept.
    return np.concatenate(parts)


def _check_lengths(column: str, lengths: list[tuple[int, str]]) -> None:
    """Refuse lists of several lengths; each comes with the name of its block."""
    first, other = min(lengths), max(lengths)
    if first[0] != other[0]:
        raise ValueError(
            f"The lists of column {column!r} must be of one length, but there are some of "
            f"{first[0]} numbers (in {first[1]}) and some of {other[0]} numbers (in {other[1]})."
        )


class Dataset(Origin):
    """A Ray Data set with the columns proba and features; further columns are not read.

    Parameters
    ----------
    dataset : ray.data.Dataset
        The rows, in their order.
    bias : bool
        Whether h is followed by a 1.
    task : str
        What the columns of the probabilities are.

    Raises
    ------
    ValueError
        If it is empty, or a column is missing.
    """

    name = "the Ray data set"

    def __init__(self, dataset: Any, *, bias: bool, task: Task) -> None:
        self.bias, self.task = bias, task
        missing = [name for name in COLUMNS if name not in dataset.columns()]
        if missing:
            raise ValueError(
                f"A Ray data set needs the columns proba and features, but {missing[0]!r} is not "
                f"among {dataset.columns()}; rename_columns gives them their names."
            )
        self._blocks = blocks_in_order(dataset.select_columns(list(COLUMNS)))
        self._starts = np.cumsum([0, *lengths_of(self._blocks)])
        self.n_rows = int(self._starts[-1])
        if self.n_rows == 0:
            raise ValueError("The pool is empty: the Ray data set has no rows.")

    def piece(self, lo: int, hi: int) -> Piece:
        stretches, names = [], []
        for number, block in enumerate(self._blocks):
            first, last = self._starts[number : number + 2]
            if first < hi and last > lo and last > first:
                stretches.append((block, max(lo - first, 0), min(hi, last) - first))
                names.append(f"block {number}")
        return Blocks(tuple(stretches), tuple(names))


def blocks_in_order(dataset: Any) -> list[Any]:
    """Run what the data set is made by, and return its blocks in the order of its rows."""
    context = dataset.context
    options, bars = context.execution_options, context.enable_progress_bars
    ordered = options.preserve_order
    try:
        options.preserve_order, context.enable_progress_bars = True, False
        blocks: list[Any] = dataset.to_arrow_refs()
    finally:
        options.preserve_order, context.enable_progress_bars = ordered, bars
    return blocks


def lengths_of(blocks: list[Any]) -> list[int]:
    """Return how many rows each block has, counted where they are."""
    import ray

    count = ray.remote(num_cpus=0)(_length)
    lengths: list[int] = []
    # What needs no core has no other limit: Ray would start a process for each block.
    for lo in range(0, len(blocks), AT_ONCE):
        lengths += ray.get([count.remote(block) for block in blocks[lo : lo + AT_ONCE]])
    return lengths


def _length(block: Any) -> int:
    # An Arrow table or a pandas frame.
    return len(block)
