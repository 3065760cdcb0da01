"""Put samples together into a batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch.utils.data import default_collate

from labelnext.networks._arguments import LABELS


def collate(samples: list[Any]) -> Any:
    """Put samples together as `torch.utils.data.default_collate` does, with more understanding.

    Labels may be missing, lists of numbers are taken for rows of a tensor, as tokenizers return
    them, and dicts of differing keys or lists of differing lengths are refused.
    """
    first = samples[0]
    if isinstance(first, Mapping):
        keys = _keys(first)
        for number, sample in enumerate(samples):
            if _keys(sample) != keys:
                raise ValueError(
                    f"all samples must have the same keys, but number {number} of the batch has "
                    f"{sorted(map(str, _keys(sample)))} and number 0 {sorted(map(str, keys))}"
                )
        return {
            key: _column(str(key), [sample[key] for sample in samples])
            for key in first
            if key in keys
        }
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
    return default_collate(list(values))


def _is_numbers(values: list[Any]) -> bool:
    return np.asarray(values, dtype=object).ndim == 1 and all(
        isinstance(value, int | float) for value in values
    )
