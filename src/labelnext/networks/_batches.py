"""From samples to a batch, and from a batch to the arguments of a network's forward."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils.data import default_collate

from labelnext.networks._frames import as_numbers, is_frame
from labelnext.networks._outputs import listed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import nn

# Never shown to a network: with labels many would compute a loss, and return that first.
LABELS = frozenset({"label", "labels", "label_ids", "target", "targets", "y"})

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def collate(samples: list[Any]) -> Any:
    """Put samples together as `torch.utils.data.default_collate` does, with more understanding.

    Labels may be missing, lists of numbers are taken for rows of a tensor, as tokenizers return
    them, series and frames for arrays, and dicts of differing keys or lists of differing lengths
    are refused.
    """
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
    """Turn batches into the arguments of a network's forward; labels are left out.

    A mapping is passed by keyword, without labels and, as `transformers.Trainer` does it,
    without what forward does not name. Of a tuple or list, as many of the first elements are
    passed as forward requires; what follows is taken for labels. Anything else is passed as it
    is. They go to `device`, floats in `dtype` unless it is None, and are copied if batches are the
    caller's memory, in which a network must not work in place.
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
            named = inputs if self._named_none_of(inputs) else self._known(inputs)
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
                f"{len(batch)} elements."
            )
        if len(batch) > n_inputs + 1 and self._may_take_more:
            raise ValueError(
                f"Each batch holds {len(batch)} elements, of which {self._model}.forward takes "
                f"{n_inputs} or more: which ones are inputs is not clear. Let the data yield "
                f"dicts with the names of forward's arguments, or (input, label)."
            )
        return tuple(batch[:n_inputs])

    def _named_none_of(self, inputs: dict[str, Any]) -> bool:
        return self._takes_any and not self._named & set(inputs)

    def _known(self, inputs: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in inputs.items() if key in self._named}

    def _check_keys(self, keys: set[str], row: int) -> None:
        if self._keys is None:
            self._keys = keys
        if keys != self._keys:
            raise ValueError(
                f"All batches must have the same keys: the batch that begins with sample {row} "
                f"has {_sorted(keys)}, the first had {_sorted(self._keys)}."
            )

    def _move(self, value: Any) -> Any:
        if isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
            value = torch.tensor(value)
        if isinstance(value, torch.Tensor):
            dtype = self._dtype if value.is_floating_point() and self._dtype else value.dtype
            return value.to(self._device, dtype, non_blocking=value.is_pinned(), copy=self._copy)
        if isinstance(value, Mapping):
            return {key: self._move(part) for key, part in value.items()}
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            return type(value)(*map(self._move, value))
        if isinstance(value, tuple | list):
            return type(value)(map(self._move, value))
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
    if isinstance(value, Mapping):
        return {key: few_rows(part, length, few) for key, part in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(few_rows(part, length, few) for part in value))
    if isinstance(value, tuple | list):
        return type(value)(few_rows(part, length, few) for part in value)
    return value
