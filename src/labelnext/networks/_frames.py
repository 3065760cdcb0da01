"""Frames and series as samples, by position: ``series[i]`` goes by the index, which may be any."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from torch.utils.data import ConcatDataset, Dataset, StackDataset, Subset

NUMBERS = "fiub"


def is_frame(values: Any) -> bool:
    """Tell whether something is a frame or a series, of pandas, polars or the like."""
    return hasattr(values, "iloc") or (
        hasattr(values, "to_numpy")
        and hasattr(values, "__len__")
        and not isinstance(values, Dataset)
    )


def by_position(data: Any) -> Any:
    """Return samples without any index: arrays, lists or records in place of frames and series.

    Those in dicts, and in torch's parts, chains and stacks of data sets, are found too. What has
    none is returned as it is.
    """
    if is_frame(data):
        return _samples_of(data)
    if isinstance(data, Mapping):
        if not any(map(is_frame, data.values())):
            return data
        return {
            key: _column(values, str(key)) if is_frame(values) else values
            for key, values in data.items()
        }
    if type(data) in (Subset, ConcatDataset, StackDataset):
        return _of_data_sets(data)
    return data


def as_numbers(values: Any) -> Any:
    """Return a frame or series as an array of numbers, else of objects."""
    columns = _columns_of(values)
    if columns is None:
        return _numbers_of(values)
    array = np.asarray(values)
    if array.dtype.kind in NUMBERS or not columns:
        return array
    parts = list(map(_numbers_of, columns.values()))
    return np.column_stack(parts) if all(part.dtype.kind in NUMBERS for part in parts) else array


class Records(Dataset[Any]):
    """The rows of a frame, each a dict of its columns' values."""

    def __init__(self, columns: dict[Any, Any], n_rows: int) -> None:
        self.columns, self.n_rows = columns, n_rows

    def __len__(self) -> int:
        return self.n_rows

    def __getitem__(self, row: int) -> dict[Any, Any]:
        return {name: values[row] for name, values in self.columns.items()}


def _of_data_sets(data: Any) -> Any:
    """Do the same in a part, a chain or a stack of data sets."""
    if isinstance(data, Subset):
        dataset: Any = by_position(data.dataset)
        return data if dataset is data.dataset else Subset(dataset, data.indices)
    named = isinstance(data.datasets, Mapping)
    before = list(data.datasets.values() if named else data.datasets)
    after = list(map(by_position, before))
    if all(value is other for value, other in zip(after, before, strict=True)):
        return data
    if named:
        return StackDataset(**dict(zip(data.datasets, after, strict=True)))
    return type(data)(after) if isinstance(data, ConcatDataset) else StackDataset(*after)


def _samples_of(values: Any) -> Any:
    columns = _columns_of(values)
    array = as_numbers(values)
    if array.dtype.kind in NUMBERS:
        return array
    if columns is not None:
        return Records({name: _cells(column) for name, column in columns.items()}, len(values))
    return _stacked(array) if _are_rows(array) else list(array)


def _column(values: Any, name: str) -> Any:
    """Return a column of samples, which must be numbers or rows of one length."""
    array = as_numbers(values)
    if array.dtype.kind not in NUMBERS and array.ndim == 1:
        array = _stacked(array)
    if not isinstance(array, np.ndarray) or array.dtype.kind not in NUMBERS:
        raise TypeError(
            f"data must hold numbers, or rows of numbers of one length, but {name!r} does not; "
            f"leave it out, or pass a list of samples."
        )
    return array


def _numbers_of(column: Any) -> Any:
    """Return a column as an array, of numbers if its type says that it holds numbers."""
    array = np.asarray(column)
    if array.dtype.kind == "O" and getattr(column.dtype, "kind", "O") in NUMBERS:
        return np.asarray(column.to_numpy(dtype=column.dtype.numpy_dtype))  # of nullable types
    return array


def _columns_of(values: Any) -> dict[Any, Any] | None:
    """Return the columns of a frame; None if it is a series."""
    names = getattr(values, "columns", None)
    if names is None:
        return None
    if hasattr(values, "iloc"):
        return {name: values.iloc[:, j] for j, name in enumerate(names)}
    return {name: values[name] for name in names}


def _cells(column: Any) -> Any:
    array = _numbers_of(column)
    return array if array.dtype.kind in NUMBERS else column.to_list()


def _are_rows(cells: Any) -> bool:
    """Tell whether all cells are lists or arrays of one dimension and length."""
    shapes = {np.shape(cell) if isinstance(cell, list | np.ndarray) else () for cell in cells}
    return len(shapes) == 1 and len(*shapes) == 1


def _stacked(cells: Any) -> Any:
    try:
        return np.array([np.asarray(cell) for cell in cells])
    except ValueError:
        return cells
