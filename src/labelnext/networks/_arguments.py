"""From a batch, as loaders yield them, to the arguments of a network's forward."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    from torch import nn

# Never shown to a network: with labels many would compute a loss, and return that first.
LABELS = frozenset({"label", "labels", "label_ids", "target", "targets", "y"})

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class Arguments:
    """Turn batches into the arguments of a network's forward; labels are left out.

    A mapping is passed by keyword, without labels and, as `transformers.Trainer` does it,
    without what forward does not name. Of a tuple or list, as many of the first elements are
    passed as forward requires; what follows is taken for labels. Anything else is passed as it
    is.

    Parameters
    ----------
    model : torch.nn.Module
        The network, without wrappers.
    device : torch.device
        Where its inputs must be.
    dtype : torch.dtype or None
        What floats are converted to; None leaves them.
    copy : bool
        Whether batches are the caller's memory, in which a network must not work in place.
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
        """Return the arguments, on their device.

        Parameters
        ----------
        batch : object
            What the loader yielded.
        row : int
            The sample that it begins with, for messages.
        """
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
                    f"{sorted(map(str, inputs))}."
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
                f"has {sorted(map(str, keys))}, the first had {sorted(map(str, self._keys))}."
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
