"""Refuse a loader whose rows would not line up with the data set's."""

from __future__ import annotations

from typing import Any

from torch.utils.data import BatchSampler, DataLoader, IterableDataset, SequentialSampler

_INSTEAD = (
    "Row i of the result must be sample i of the data set. Pass the data set itself, or "
    "DataLoader(dataset, batch_size=..., shuffle=False); for a part of a data set, "
    "torch.utils.data.Subset(dataset, indices)."
)


def check_order(loader: DataLoader[Any]) -> None:
    """Raise unless a loader yields all samples of its data set in their order.

    Raises
    ------
    ValueError
        If it shuffles, takes samples in an order of its own, may yield batches in the order in
        which workers finish, or drops the last batch.
    """
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
    sampler = loader.sampler if batches is None else batches.sampler
    if not isinstance(sampler, SequentialSampler):
        raise ValueError(
            f"The loader shuffles, or at least takes samples in the order of a "
            f"{type(sampler).__name__}. {_INSTEAD}"
        )
