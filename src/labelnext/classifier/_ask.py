"""Ask a net of skorch for probabilities and features, and leave no trace.

Imports torch and skorch, so it is imported late.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from labelnext.classifier._net import own_randomness
from labelnext.networks import proba_and_features

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy.typing as npt

    from labelnext.classifier._net import Net


class _Batches(torch.utils.data.IterableDataset[Any]):
    """The samples of a loader's batches, without what stands beside them, as the module wants."""

    def __init__(self, loader: Any, cast: Callable[[Any], Any]) -> None:
        self.loader = loader
        self.cast = cast

    def __iter__(self) -> Iterator[Any]:
        return (self.cast(x) for x, _ in self.loader)


def ask(net: Net, X: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Return the probabilities of samples."""
    with own_randomness(net.device):
        proba: npt.NDArray[np.float32] = net.predict_proba(X)
    rows = np.flatnonzero(~np.isfinite(proba).all(axis=1))
    if len(rows):
        raise ValueError(
            f"the network's outputs for sample {rows[0]} are not finite; if training went "
            f"astray, which net_.history tells, lower lr"
        )
    return proba


def ask_with_features(
    net: Any, X: Any, head: str | None, cast: Callable[[Any], Any]
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Return the probabilities of samples and the inputs of the last linear layer.

    Parameters
    ----------
    net : skorch net
        Initialised.
    X : array of shape (n_samples, ...)
        Samples, as the net's data set takes them.
    head : str or None
        The name of the last linear layer in the net's module.
    cast : callable
        Gives the samples of a batch the type that the module takes.
    """
    with own_randomness(net.device):
        batches = net.get_iterator(net.get_dataset(X), training=False)
        # Cut into batches already, so the loader is not to cut.
        loader = torch.utils.data.DataLoader(_Batches(batches, cast), batch_size=None)
        return as_columns(*proba_and_features(net.module_, loader, head=head))


def as_columns(
    proba: torch.Tensor, features: torch.Tensor
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Return arrays, with two columns of probabilities for a single output."""
    if proba.shape[1] == 1:
        proba = torch.cat([1 - proba, proba], dim=1)
    return proba.float().cpu().numpy(), features.float().cpu().numpy()
