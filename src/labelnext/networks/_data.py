"""Batches, in order, from whatever holds the samples."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    IterableDataset,
    SequentialSampler,
    Subset,
    TensorDataset,
)

from labelnext.networks._batches import by_position, collate
from labelnext.pools.known import as_groups, as_ids, check_ids, check_length
from labelnext.utils.given import shown
from labelnext.utils.labels import MISSING_LABEL, split_labels

_ACCEPTED = (
    "a DataLoader, a data set (anything with a length and items, or an IterableDataset), a "
    "tensor, an array, a frame, a dict of tensors or arrays of equal length, or a list of samples"
)
_INSTEAD = (
    "Row i of the result must be sample i of the data set. Pass the data set itself, or "
    "DataLoader(dataset, batch_size=..., shuffle=False); for a part of a data set, "
    "torch.utils.data.Subset(dataset, indices)."
)
BATCH_SIZE = 256
# Characters of an error of the data's own, in a message.
LONGEST = 400
_DIVIDE = (
    "Each sample must be yielded by one worker: pass num_workers=0, or divide the samples by "
    "torch.utils.data.get_worker_info() and give the data set a __len__, the number of all."
)
# What a loader is made with, besides its data set and how it puts batches together.
_SETTINGS = (
    "num_workers",
    "pin_memory",
    "timeout",
    "multiprocessing_context",
    "generator",
    "prefetch_factor",
    "persistent_workers",
    "pin_memory_device",
)


@dataclass(frozen=True)
class Known:
    """What the caller knows of the samples, in their order."""

    ids: NDArray[Any] | None = None
    groups: NDArray[Any] | None = None
    labels: NDArray[Any] | None = None

    @classmethod
    def of(cls, n_rows: int | None, ids: Any, groups: Any, labels: Any) -> Known:
        """Check it before anything runs, as far as the number of samples is known."""
        if labels is not None:
            labels, _ = split_labels(labels, MISSING_LABEL, name="labels")
        if groups is not None:
            groups = as_groups(groups, len(groups))
        known = cls(None if ids is None else as_ids(ids), groups, labels)
        if n_rows is not None:
            known.check(n_rows)
        if known.ids is not None:
            check_ids(known.ids, len(known.ids))
        return known

    def check(self, n_rows: int) -> None:
        """Refuse what does not line up with the samples."""
        for name, values in vars(self).items():
            if values is not None:
                check_length(name, values, n_rows)

    def part(self, lo: int, hi: int) -> Known:
        """Return what is known of samples lo to hi, which must be there."""
        parts = {}
        for name, values in vars(self).items():
            if values is not None and len(values) < hi:
                raise ValueError(
                    f"There are {len(values):,} {name}, and more samples than that; give one for "
                    f"each sample."
                )
            parts[name] = None if values is None else values[lo:hi]
        return Known(**parts)


@dataclass
class Source:
    """Batches of samples in their order."""

    batches: Callable[[], Iterator[Any]]  # starts to yield them
    n_rows: int | None  # how many samples there are, if that is known
    batch_size: int | None  # how many are in each batch but the last, if that is known
    item: Callable[[int], Any] | None = None  # returns one sample, if one can be asked for
    arrays: bool = False  # whether they are slices of arrays, whose dtype is no one's choice
    generator: torch.Generator | None = None  # that iterating draws from, if not the global one
    first_row: int = 0  # which sample of the whole data is the first
    divided: int | None = None  # among how many workers, each of which might yield all of it
    promised: int = 0  # the length that such a stream says it has,
    counted: str = "samples"  # or "batches", where the loader cuts none

    def __iter__(self) -> Iterator[Any]:
        batches = self.batches()
        number = 0
        while True:
            try:
                batch = next(batches)
            except StopIteration:
                return
            except Exception as error:
                raise RuntimeError(self._where(error, number)) from error
            yield batch
            # While the next batch is read, memory is for that one.
            del batch
            number += 1

    def rows_of(self, number: int) -> int | None:
        """Return how many samples are in a batch, if that is known."""
        if self.n_rows is None or self.batch_size is None:
            return None
        return max(0, min(self.batch_size, self.n_rows - number * self.batch_size))

    def check_shares(self, n_rows: int, n_batches: int, *, ended: bool) -> None:
        """Refuse samples that several workers yield, or none, by how many came so far."""
        n = n_rows if self.counted == "samples" else n_batches
        if self.divided and (n > self.promised or (ended and n < self.promised)):
            more = "" if ended else " or more"
            raise ValueError(
                f"{self.divided} workers yielded {n:,} {self.counted}{more} of an IterableDataset "
                f"whose length is {self.promised:,}. {_DIVIDE}"
            )

    def known(self, **known: Any) -> Known:
        """Take what lines up with the data set's own order, if rows come in that."""
        names = [name for name, values in known.items() if values is not None]
        if self.divided and names:
            raise ValueError(
                f"{', '.join(names)} must be in the order of the rows, but {self.divided} workers "
                f"each yield a share of the IterableDataset, in turns; pass num_workers=0."
            )
        return Known.of(self.n_rows, **known)

    def _where(self, error: Exception, number: int) -> str:
        """Say which sample could not be read: they are asked for once more, one by one."""
        start = number * (self.batch_size or 1)
        stop = start + (self.rows_of(number) or 0)
        for i in range(start, stop if self.item else start):
            try:
                self.item(i)  # type: ignore[misc]
            except Exception as again:
                return f"The data raised {_as_text(again)} at item {self.first_row + i}."
        first, last = self.first_row + start, self.first_row + stop - 1
        if stop > start:
            where = f"items {first} to {last} could not be put together into a batch"
        elif self.batch_size is not None:
            where = f"the data raised in the batch that begins with item {first}"
        else:
            where = f"the data raised at batch {number}"
        return f"While the data was read, {where}: {_as_text(error)}."


def without_index(data: Any) -> Any:
    """Return data whose frames and series are read by position; refuse a loader that can't."""
    if not isinstance(data, DataLoader):
        return by_position(data)
    dataset: Any = by_position(data.dataset)
    if dataset is data.dataset:
        return data
    check_order(data)
    if not _is_plain(data):
        raise ValueError(
            f"The loader reads a {type(data.dataset).__name__} by its index, which may be in "
            f"another order than the rows. Pass the samples to the loader as a list, "
            f"series.tolist(), or pass the data set itself in place of the loader."
        )
    return _loader_of(data, dataset)


def open_source(data: Any, batch_size: int | None, num_workers: int | None, *, pin: bool) -> Source:
    """Return the batches of data `without_index`; `pin` those that are to be sent to a GPU."""
    given = {"batch_size": (batch_size, 1), "num_workers": (num_workers, 0)}
    for name, (value, least) in given.items():
        if value is None:
            continue
        if isinstance(data, DataLoader):
            raise TypeError(
                f"A DataLoader has a {name} of its own: leave {name}={shown(value)} out, or pass "
                f"the data set in place of the loader."
            )
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ValueError(f"{name} must be an integer of at least {least}, got {shown(value)}.")
    batch_size = batch_size or BATCH_SIZE
    if isinstance(data, DataLoader):
        return _of_loader(data)
    arrays = arrays_in(data)
    if arrays is not None:
        return _of_arrays(data, arrays, batch_size)
    iterable = isinstance(data, IterableDataset)
    sized = hasattr(data, "__len__") and hasattr(data, "__getitem__")
    if not iterable and (not sized or isinstance(data, str | bytes | Mapping)):
        raise TypeError(f"data must be {_ACCEPTED}, got {type(data).__name__}.")
    if not iterable and len(data) == 0:
        raise ValueError("data holds no samples.")
    loader = DataLoader(
        data,
        batch_size=batch_size,
        num_workers=num_workers or 0,
        collate_fn=collate,
        pin_memory=pin,
    )
    return _of_loader(loader)


def _of_loader(loader: DataLoader[Any]) -> Source:
    check_order(loader)
    batch_size = _batch_size_of(loader)
    dataset: Any = loader.dataset
    if isinstance(dataset, IterableDataset):
        return _of_stream(loader, dataset, batch_size)
    # Without batching by the loader an item is a batch, of any size.
    n_rows = len(_sampler_of(loader)) if batch_size else None
    if n_rows == 0 or len(dataset) == 0:
        raise ValueError("data holds no samples.")
    return Source(
        lambda: iter(loader),
        n_rows,
        batch_size,
        item=dataset.__getitem__ if batch_size else None,
        generator=loader.generator,
    )


def _of_stream(loader: DataLoader[Any], stream: Any, batch_size: int | None) -> Source:
    # It may state a length, which is believed only where there is nothing better.
    source = Source(lambda: iter(loader), None, batch_size, generator=loader.generator)
    if loader.num_workers < 2:
        return source
    try:
        promised = len(stream)
    except (TypeError, NotImplementedError):
        raise ValueError(
            f"Each of num_workers={loader.num_workers} workers may yield all samples of the "
            f"{type(stream).__name__}, an IterableDataset without a length. {_DIVIDE}"
        ) from None
    counted = "samples" if batch_size else "batches"
    # Each worker may end with a batch that is not full.
    return replace(
        source, batch_size=None, divided=loader.num_workers, promised=promised, counted=counted
    )


def arrays_in(data: Any) -> list[Any] | None:
    """Return the arrays that data is made of, if it is made of arrays alone."""
    if isinstance(data, torch.Tensor | np.ndarray):
        return [data]
    if type(data) is TensorDataset:
        return list(data.tensors)
    if isinstance(data, Mapping):
        values = list(data.values())
        if values and all(isinstance(v, torch.Tensor | np.ndarray) for v in values):
            return values
    return None


def _of_arrays(data: Any, arrays: list[Any], batch_size: int) -> Source:
    for array in arrays:
        if array.ndim == 0:
            raise ValueError("data must have one row for each sample, got a single number.")
        if isinstance(array, np.ndarray) and array.dtype.kind not in "fiub":
            raise TypeError(f"data must hold numbers, got an array of dtype {array.dtype}.")
    lengths = {len(array) for array in arrays}
    if len(lengths) > 1:
        raise ValueError(f"All arrays of data must be of one length, got {sorted(lengths)}.")
    n_rows = lengths.pop()
    if n_rows == 0:
        raise ValueError("data holds no samples.")

    def slices() -> Iterator[Any]:
        for start in range(0, n_rows, batch_size):
            rows = slice(start, start + batch_size)
            if isinstance(data, Mapping):
                yield {key: _part(values, rows) for key, values in data.items()}
            elif isinstance(data, TensorDataset):
                yield data[rows]
            else:
                yield _part(data, rows)

    return Source(slices, n_rows, batch_size, arrays=True)


def _part(array: Any, rows: slice) -> torch.Tensor:
    part = array[rows]
    if isinstance(part, torch.Tensor):
        return part
    # A copy, native and writable, of a batch: a network may work in place.
    return torch.from_numpy(np.array(part, dtype=part.dtype.newbyteorder("=")))


def _as_text(error: Exception) -> str:
    # An error that came from a worker brings its whole traceback; the last line is what it is.
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[-1][:LONGEST]}" if lines[-1] else type(error).__name__


def check_order(loader: DataLoader[Any]) -> None:
    """Raise unless a loader yields all samples of its data set in their order."""
    if not getattr(loader, "in_order", True) and loader.num_workers > 0:
        raise ValueError(
            f"The loader was made with in_order=False, so its batches come in the order in which "
            f"its workers finish. {_INSTEAD}"
        )
    if loader.drop_last or getattr(loader.batch_sampler, "drop_last", False):
        raise ValueError(
            f"The loader drops the last batch if that is not full (drop_last=True), so samples "
            f"would be missing. {_INSTEAD}"
        )
    # What an iterable data set yields, it yields in its own order, whatever that is.
    if isinstance(loader.dataset, IterableDataset):
        return
    batches = loader.batch_sampler
    if batches is not None and type(batches) is not BatchSampler:
        raise ValueError(
            f"The loader takes its batches from a {type(batches).__name__}, which may yield "
            f"samples in any order. {_INSTEAD}"
        )
    sampler = _sampler_of(loader)
    if not isinstance(sampler, SequentialSampler):
        raise ValueError(
            f"The loader shuffles, or at least takes samples in the order of a "
            f"{type(sampler).__name__}. {_INSTEAD}"
        )


def can_be_cut(data: Any) -> bool:
    """Tell whether some samples can be had without going past those before them."""
    if isinstance(data, DataLoader):
        iterable = isinstance(data.dataset, IterableDataset)
        return _is_plain(data) and not iterable and data.batch_size is not None
    return not isinstance(data, IterableDataset)


def cut(data: Any, lo: int, hi: int) -> Any:
    """Return samples lo to hi of data that `can_be_cut`; of a loader, lo begins a batch."""
    if isinstance(data, DataLoader):
        return _loader_of(data, Subset(data.dataset, range(lo, hi)))
    if isinstance(data, torch.Tensor | np.ndarray):
        return data[lo:hi]
    if type(data) is TensorDataset:
        return TensorDataset(*(tensor[lo:hi] for tensor in data.tensors))
    if isinstance(data, Mapping):
        return {key: values[lo:hi] for key, values in data.items()}
    return Subset(data, range(lo, hi))


def _is_plain(loader: DataLoader[Any]) -> bool:
    """Tell whether a loader over another data set would do the same with it, as far as is known."""
    return type(loader) is DataLoader and loader.worker_init_fn is None


def _loader_of(loader: DataLoader[Any], dataset: Any) -> DataLoader[Any]:
    """Return a loader like one that keeps the order, over another data set."""
    settings = {name: getattr(loader, name) for name in _SETTINGS}
    if not settings["pin_memory_device"]:
        del settings["pin_memory_device"]  # newer versions warn of it
    sampler = _sampler_of(loader)
    n_rows = min(len(dataset), len(sampler))
    return DataLoader(
        dataset,
        batch_size=_batch_size_of(loader),
        sampler=SequentialSampler(range(n_rows)),
        collate_fn=loader.collate_fn,
        **settings,
    )


def _sampler_of(loader: DataLoader[Any]) -> Any:
    batches = loader.batch_sampler
    return loader.sampler if batches is None else getattr(batches, "sampler", batches)


def _batch_size_of(loader: DataLoader[Any]) -> int | None:
    size: int | None = loader.batch_size or getattr(loader.batch_sampler, "batch_size", None)
    return size
