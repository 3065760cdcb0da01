"""Samples on their way to the actors of a Ray cluster."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np
from torch.utils.data import IterableDataset

from labelnext.engine.ray_dataset import blocks_in_order, lengths_of
from labelnext.networks._batches import LABELS
from labelnext.networks._data import arrays_in, can_be_cut, cut, open_source

if TYPE_CHECKING:
    from torch import nn


class Samples(ABC):
    """What the driver knows of the samples, and how actors come by them."""

    n_rows: int
    batch_size: int

    common: Any = None
    """What all actors have, once: sent with the network."""

    @abstractmethod
    def part(self, lo: int, hi: int) -> Any:
        """Return what is sent for samples lo to hi."""

    @staticmethod
    @abstractmethod
    def read(common: Any, part: Any, model: nn.Module) -> Any:
        """Return, in an actor, samples as `open_source` takes them."""


class Items(Samples):
    """A data set, list or loader, of which each actor has a copy and reads its own samples."""

    def __init__(self, data: Any, n_rows: int, batch_size: int) -> None:
        self.common, self.n_rows, self.batch_size = data, n_rows, batch_size

    def part(self, lo: int, hi: int) -> Any:
        return lo, hi

    @staticmethod
    def read(common: Any, part: Any, model: nn.Module) -> Any:
        del model
        return cut(common, *part)


class Arrays(Samples):
    """Arrays of the driver's memory, sent shard by shard."""

    def __init__(self, data: Any, n_rows: int, batch_size: int) -> None:
        self._data, self.n_rows, self.batch_size = data, n_rows, batch_size

    def part(self, lo: int, hi: int) -> Any:
        return cut(self._data, lo, hi)

    @staticmethod
    def read(common: Any, part: Any, model: nn.Module) -> Any:
        del common, model
        return part


class Blocks(Samples):
    """A Ray Data set, whose blocks are fetched by the actors that need them, in their order.

    Its columns are passed by keyword where the network's forward names them; a single one, beside
    labels, that it does not name is passed as it is.
    """

    def __init__(self, dataset: Any, batch_size: int) -> None:
        self._blocks = blocks_in_order(dataset)
        self._starts = np.cumsum([0, *lengths_of(self._blocks)])
        self.n_rows, self.batch_size = int(self._starts[-1]), batch_size

    def part(self, lo: int, hi: int) -> Any:
        ends = zip(self._starts[:-1].tolist(), self._starts[1:].tolist(), strict=True)
        return [
            (block, max(lo - first, 0), min(hi, last) - first)
            for block, (first, last) in zip(self._blocks, ends, strict=True)
            if first < hi and last > lo and last > first
        ]

    @staticmethod
    def read(common: Any, part: Any, model: nn.Module) -> Any:
        import ray
        from ray.data.block import BlockAccessor

        del common
        tables = [
            BlockAccessor.for_block(ray.get(block).slice(lo, hi - lo)).to_numpy()
            for block, lo, hi in part
        ]
        columns = {
            name: _joined([table[name] for table in tables], name)
            for name in tables[0]
            if name not in LABELS
        }
        names = inspect.signature(model.forward).parameters
        if len(columns) == 1 and not columns.keys() & names.keys():
            return next(iter(columns.values()))
        return columns


def as_samples(data: Any, batch_size: int, num_workers: int) -> Samples:
    """Take what a network is to be run over, and refuse what cannot be divided.

    Parameters
    ----------
    data : ray.data.Dataset, DataLoader, data set, array, ...
        What the user passed.
    batch_size, num_workers : int
        As those of `labelnext.extract`.
    """
    if type(data).__module__.startswith("ray.data"):
        samples: Samples = Blocks(data, batch_size)
        if samples.n_rows == 0:
            raise ValueError("data holds no samples.")
        return samples
    source = open_source(data, batch_size, num_workers, pin=False)
    if source.n_rows is None or source.batch_size is None or not can_be_cut(data):
        what = "IterableDataset" if isinstance(data, IterableDataset) else type(data).__name__
        raise TypeError(
            f"engine='ray' divides samples among actors, and cannot divide this {what}: pass a "
            f"data set with a length and items, a plain DataLoader of one, arrays, or a Ray Data "
            f"set."
        )
    kind = Items if arrays_in(data) is None else Arrays
    return kind(data, source.n_rows, source.batch_size)


def _joined(parts: list[Any], name: str) -> Any:
    if any(part.dtype == object for part in parts):
        raise ValueError(
            f"Column {name!r} of the Ray data set must hold numbers, or arrays of one shape."
        )
    return np.concatenate(parts)
