"""From samples, frames too, to a batch, and from that to the arguments of a network's forward."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils.data import ConcatDataset, Dataset, StackDataset, Subset, default_collate

from labelnext.networks._outputs import listed
from labelnext.utils.given import refuse_masked
from labelnext.utils.text import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from torch import nn

NUMBERS = "fiub"
# Never shown to a network: with labels many would compute a loss, and return that first.
LABELS = frozenset({"label", "labels", "label_ids", "target", "targets", "y"})

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def collate(samples: list[Any]) -> Any:
    """Put samples together as `default_collate` does, but labels may be missing and rows lists.

    Dicts of differing keys and lists of differing lengths are refused.
    """
    refuse_masked(samples, "data")
    first = samples[0]
    if isinstance(first, Mapping):
        keys = _keys(first)
        for number, sample in enumerate(samples):
            if _keys(sample) != keys:
                raise ValueError(
                    f"all samples must have the same keys, but number {number} of the batch has "
                    f"{_sorted(_keys(sample))} and number 0 {_sorted(keys)}"
                )
        return {
            key: _column(str(key), [sample[key] for sample in samples])
            for key in first
            if key in keys
        }
    if is_frame(first) or (isinstance(first, list) and _is_numbers(first)):
        return _column("data", samples)
    if isinstance(first, tuple | list) and len({len(sample) for sample in samples}) == 1:
        return [
            collate(list(column)) if isinstance(column[0], Mapping) else _column(str(i), column)
            for i, column in enumerate(zip(*samples, strict=True))
        ]
    return default_collate(samples)


def _keys(sample: Any) -> set[Any]:
    return set(sample) - LABELS


def _column(name: str, values: list[Any] | tuple[Any, ...]) -> Any:
    refuse_masked(values, name)
    if any(value is None for value in values):
        return None
    if isinstance(values[0], list) and _is_numbers(values[0]):
        lengths = {len(value) for value in values}
        if len(lengths) > 1:
            raise ValueError(
                f"{name!r} has rows of {min(lengths)} to {max(lengths)} numbers; pad them to one "
                f"length, or pass a DataLoader with a collate_fn that does"
            )
        return torch.tensor(values)
    # Copies, for what pandas hands out may not be written to.
    return default_collate([np.array(as_numbers(v)) if is_frame(v) else v for v in values])


def _is_numbers(values: list[Any]) -> bool:
    return np.asarray(values, dtype=object).ndim == 1 and all(
        isinstance(value, int | float) for value in values
    )


class Arguments:
    """Turn batches into the arguments of a network's forward, on `device`; labels are left out.

    A mapping is passed by keyword, without what forward does not name; of a tuple or list as many
    elements as forward requires; anything else as it is. With `copy` a network may work in place.
    """

    def __init__(
        self,
        model: nn.Module,
        device: torch.device,
        dtype: torch.dtype | None = None,
        *,
        copy: bool = False,
    ) -> None:
        parameters = inspect.signature(model.forward).parameters.values()
        self._model = type(model).__name__
        self._device, self._dtype, self._copy = device, dtype, copy
        self._named = {
            p.name
            for p in parameters
            if p.kind in (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
        }
        self._takes_any = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters)
        positional = [p for p in parameters if p.kind in _POSITIONAL]
        required = [p.name for p in positional if p.default is inspect.Parameter.empty]
        self._required = required
        self._may_take_more = len(positional) > max(1, len(required)) or any(
            p.kind is inspect.Parameter.VAR_POSITIONAL for p in parameters
        )
        self._keys: set[str] | None = None

    def __call__(self, batch: Any, row: int) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the arguments, on their device; `row` is the first sample, for messages."""
        args: tuple[Any, ...] = (batch,)
        if isinstance(batch, tuple | list):
            args = self._inputs(batch)
        if len(args) == 1 and isinstance(args[0], Mapping):
            inputs = {key: value for key, value in args[0].items() if key not in LABELS}
            self._check_keys(set(inputs), row)
            named = {key: value for key, value in inputs.items() if key in self._named}
            if self._takes_any and not named:
                named = inputs
            if set(self._required) <= set(named):
                return (), {key: self._move(value) for key, value in named.items()}
            if len(self._required) > 1:
                missing = sorted(set(self._required) - set(named))
                raise ValueError(
                    f"{self._model}.forward requires {missing}, but the batches have the keys "
                    f"{_sorted(inputs)}."
                )
            args = (inputs,)
        return tuple(self._move(value) for value in args), {}

    def _inputs(self, batch: tuple[Any, ...] | list[Any]) -> tuple[Any, ...]:
        n_inputs = max(1, len(self._required))
        if len(batch) < n_inputs:
            raise ValueError(
                f"{self._model}.forward requires {self._required}, but the batches hold "
                f"{counted(len(batch), 'element')}."
            )
        if len(batch) > n_inputs + 1 and self._may_take_more:
            raise ValueError(
                f"Each batch holds {counted(len(batch), 'element')}, of which "
                f"{self._model}.forward takes "
                f"{n_inputs} or more: which ones are inputs is not clear. Let the data yield "
                f"dicts with the names of forward's arguments, or (input, label)."
            )
        return tuple(batch[:n_inputs])

    def _check_keys(self, keys: set[str], row: int) -> None:
        if self._keys is None:
            self._keys = keys
        if keys != self._keys:
            raise ValueError(
                f"All batches must have the same keys: the batch that begins with sample {row} "
                f"has {_sorted(keys)}, the first had {_sorted(self._keys)}."
            )

    def _move(self, value: Any) -> Any:
        refuse_masked(value, "data")
        if isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
            value = torch.tensor(value)
        if isinstance(value, torch.Tensor):
            dtype = self._dtype if value.is_floating_point() and self._dtype else value.dtype
            return value.to(self._device, dtype, non_blocking=value.is_pinned(), copy=self._copy)
        if isinstance(value, Mapping | tuple | list):
            return mapped(value, self._move)
        # Batches of graphs, packed sequences and the like know the way themselves.
        return value.to(self._device) if hasattr(value, "to") else value


def _sorted(keys: Iterable[Any]) -> str:
    return f"[{listed(sorted(repr(str(key)) for key in keys))}]"


def first_tensor(value: Any) -> torch.Tensor | None:
    """Return the first tensor of a batch or of arguments, however deep."""
    if isinstance(value, torch.Tensor):
        return value
    parts = value.values() if isinstance(value, Mapping) else value
    if isinstance(value, Mapping | tuple | list):
        return next((t for t in map(first_tensor, parts) if t is not None), None)
    return None


def few_rows(value: Any, length: int, few: int) -> Any:
    """Return the first rows of what has a row for each sample of a batch, however deep."""
    if isinstance(value, torch.Tensor):
        return value[:few] if value.ndim and len(value) == length else value
    if isinstance(value, Mapping | tuple | list):
        return mapped(value, lambda part: few_rows(part, length, few))
    return value


def mapped(parts: Any, function: Callable[[Any], Any]) -> Any:
    """Apply a function to each part of a mapping, tuple or list."""
    if isinstance(parts, Mapping):
        return {key: function(part) for key, part in parts.items()}
    done = map(function, parts)
    return type(parts)(*done) if hasattr(parts, "_fields") else type(parts)(done)


def is_frame(values: Any) -> bool:
    """Tell whether something is a frame or a series, of pandas, polars or the like."""
    return hasattr(values, "iloc") or (
        hasattr(values, "to_numpy")
        and hasattr(values, "__len__")
        and not isinstance(values, Dataset)
    )


def by_position(data: Any) -> Any:
    """Return samples without any index: arrays, lists or records in place of frames and series.

    ``series[i]`` goes by the index. Those in dicts and in torch's data sets are found too.
    """
    refuse_masked(data, "data")
    if is_frame(data):
        return _samples_of(data)
    if isinstance(data, Mapping):
        for key, values in data.items():
            refuse_masked(values, f"data[{key!r}]")
        if not any(map(is_frame, data.values())):
            return data
        return {
            key: _numbers_in(values, str(key)) if is_frame(values) else values
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
    shapes = {np.shape(cell) if isinstance(cell, list | np.ndarray) else () for cell in array}
    are_rows = len(shapes) == 1 and len(*shapes) == 1  # of one length
    return _stacked(array) if are_rows else list(array)


def _numbers_in(values: Any, name: str) -> Any:
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


def _stacked(cells: Any) -> Any:
    try:
        return np.array([np.asarray(cell) for cell in cells])
    except ValueError:
        return cells
