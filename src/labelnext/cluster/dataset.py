"""A Ray Data set, in the order of its rows: its blocks stay where they are until rows are read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from labelnext.pools.check import check_shape
from labelnext.pools.known import USUAL, as_ids
from labelnext.pools.pool import Pool
from labelnext.pools.source import PARTS, Known, Part, Source, by_block, check_range, digest_of
from labelnext.utils.text import did_you_mean

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
    """Consecutive rows of a Ray Data set, by references of the blocks that they are in."""

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
        """Fetch the wanted columns, each as one array of numbers."""
        import ray

        tables = [ray.get(block).slice(lo, hi - lo) for block, _, lo, hi in self.stretches]
        numbers = [number for _, number, _, _ in self.stretches]
        names = filter(wanted, tables[0].column_names)
        return {name: _joined(name, tables, numbers) for name in names}


def is_dataset(data: Any) -> bool:
    """Tell whether this is a Ray Data set, without importing Ray."""
    return type(data).__module__.startswith("ray.data")


def blocks_in_order(dataset: Any) -> Blocks:
    """Run what the data set is made by, and return its blocks in the order of its rows."""
    context = dataset.context
    options, bars = context.execution_options, context.enable_progress_bars
    ordered = options.preserve_order
    try:
        options.preserve_order, context.enable_progress_bars = True, False
        blocks: list[Any] = dataset.to_arrow_refs()
    finally:
        options.preserve_order, context.enable_progress_bars = ordered, bars
    lengths = _where_they_are(_length, [(block,) for block in blocks])
    pairs = enumerate(zip(blocks, lengths, strict=True))
    return Blocks(tuple(Stretch(block, i, 0, n) for i, (block, n) in pairs if n))


def _where_they_are(function: Callable[..., Any], calls: Sequence[tuple[Any, ...]]) -> list[Any]:
    """Call a function for each of some blocks on the machine that has it."""
    import ray

    # What needs no core has no other limit: Ray would start a process for each block.
    remote, answers = ray.remote(num_cpus=0)(function), []
    for lo in range(0, len(calls), AT_ONCE):
        answers += ray.get([remote.remote(*call) for call in calls[lo : lo + AT_ONCE]])
    return answers


def _length(block: Any) -> int:
    return len(block)


def _first_row(block: Any, names: dict[Part, str]) -> dict[Part, NDArray[Any]]:
    return {part: _joined(name, [block.slice(0, 1)], [0]) for part, name in names.items()}


def _ids(block: Any, name: str, rows: NDArray[np.int64]) -> list[Any]:
    ids: list[Any] = block.column(name).take(rows).to_pylist()
    return ids


def _joined(name: str, tables: Sequence[Any], numbers: Sequence[int]) -> NDArray[Any]:
    """Return one column of some blocks, which come with their numbers."""
    from ray.data.block import BlockAccessor

    arrays, shapes = [], []
    for table, number in zip(tables, numbers, strict=True):
        values: Any = BlockAccessor.for_block(table.select([name])).to_numpy(name)
        # Lists of any lengths come as arrays of an array of objects.
        rows = [np.asarray(row) for row in values] if values.dtype == object else [values[0]]
        shapes += [(np.shape(row), number) for row in rows]
        arrays.append((values, rows))
    (shape, first), (other, last) = min(shapes), max(shapes)
    if shape != other:
        sizes = [" × ".join(map(str, each)) for each in (shape, other)]
        raise ValueError(
            f"The lists of column {name!r} must be of one length, but there are some of "
            f"{sizes[0]} numbers (in block {first}) and some of {sizes[1]} numbers (in block "
            f"{last})."
        )
    stacked = [np.stack(rows) if x.dtype == object else x for x, rows in arrays]
    if any(array.dtype.kind not in "fiub" for array in stacked):
        raise ValueError(
            f"Column {name!r} of the Ray data set must hold numbers, or arrays of one shape."
        )
    # A copy: what Ray keeps may not be written to, nor kept.
    return np.concatenate(stacked)


def as_pool(dataset: Any, **known: Any) -> Pool:
    """Make a pool of a Ray Data set with the columns proba, features or both, and perhaps id.

    What it is made by is run; the rows stay where they are. The columns may have the other names
    that `labelnext.open_pool` knows. Further columns are not read.

    Parameters
    ----------
    dataset : ray.data.Dataset
        The rows, in their order.
    **known
        What is known besides, such as task and bias, as `Pool.of` takes it.

    Returns
    -------
    Pool
        The pool, for `labelnext.select` on the same cluster.

    Raises
    ------
    ValueError
        If it is empty, or has neither column.
    """
    there = dataset.columns() or []
    names = {
        what: next((name for name in USUAL[what] if name in there), None)
        for what in ("proba", "features", "ids")
    }
    named = {what: name for what, name in names.items() if name is not None}
    if not named.keys() & {"proba", "features"}:
        raise ValueError(
            f"A Ray data set needs the column proba, features or both, but has {there}"
            f"{did_you_mean('features', there) or ';'} rename_columns gives them their names."
        )
    blocks = blocks_in_order(dataset.select_columns(list(named.values())))
    if blocks.n_rows == 0:
        raise ValueError("The pool is empty: the Ray data set has no rows.")
    parts: dict[Part, str] = {part: named[part] for part in PARTS if part in named}
    [first] = _where_they_are(_first_row, [(blocks.stretches[0].block, parts)])
    return Pool.of(DatasetSource(blocks, named, first), **known)


class DatasetSource(Source):
    """A Ray Data set as the source of a pool; `first` has a row of each part, as all are."""

    name = "the Ray data set"

    def __init__(
        self, blocks: Blocks, names: dict[str, str], first: dict[Part, NDArray[Any]]
    ) -> None:
        self._blocks, self._names, self._first = blocks, names, first
        self.n_rows = blocks.n_rows
        self.cuts = np.cumsum([0, *(hi - lo for _, _, lo, hi in blocks.stretches)])
        for part, row in first.items():
            check_shape(row.shape, part, f" in {self.name}")
        self.dtypes = {part: row.dtype for part, row in first.items()}
        self.one_dimensional = "proba" in first and first["proba"].ndim == 1
        self.n_columns, self.n_features = (
            first[part][:1].size if part in first else 0 for part in PARTS
        )

    def read(self, part: Part, lo: int, hi: int) -> NDArray[Any]:
        values = self._blocks.part(lo, hi).columns(self._names[part].__eq__)[self._names[part]]
        first = self._first[part]
        if (values.dtype, values.shape[1:]) != (first.dtype, first.shape[1:]):
            raise ValueError(
                f"Column {self._names[part]!r} of {self.name} must be alike in all rows, but rows "
                f"of shape {first.shape[1:]} and dtype {first.dtype} come first, and others of "
                f"shape {values.shape[1:]} and dtype {values.dtype} from {self.where(lo)} on."
            )
        return values.reshape(hi - lo, self.width(part))

    def take(self, part: Part, rows: NDArray[np.int64]) -> NDArray[Any]:
        values = np.empty((len(rows), self.width(part)), self.dtypes[part])
        for block, places, inside in by_block(self.cuts, rows):
            values[places] = self.read(part, *self.cuts[block : block + 2].tolist())[inside]
        return values

    def known(self, what: Known, rows: NDArray[np.int64] | None = None) -> Any:
        """Return the ids of some rows, or of all, looked up where they are, or None."""
        if what not in self._names:
            return None
        rows = np.arange(self.n_rows) if rows is None else rows
        values, calls, order = np.empty(len(rows), dtype=object), [], [rows[:0]]
        for number, places, inside in by_block(self.cuts, rows):
            block, _, lo, _ = self._blocks.stretches[number]
            calls.append((block, self._names["ids"], inside + lo))
            order.append(places)
        found = _where_they_are(_ids, calls)
        values[np.concatenate(order)] = list(chain.from_iterable(found))
        return as_ids(values.tolist())

    def has(self, what: Known) -> bool:
        return what in self._names

    def where(self, row: int, part: Part | None = None) -> str:
        stretch = self._blocks.part(row, row + 1).stretches[0]
        return f"row {stretch.lo} of block {stretch.number} of {self.name}"

    def fingerprint(self) -> str:
        """Return a digest of what is known of the columns and blocks."""
        return digest_of(self.cuts.tolist(), self.dtypes, self.n_columns, self.n_features)

    def part(self, lo: int, hi: int) -> DatasetSource:
        check_range(self, lo, hi)
        return DatasetSource(self._blocks.part(lo, hi), self._names, self._first)
