"""Ask a net of skorch for probabilities and features, and leave no trace.

Imports torch and skorch, so it is imported late.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from labelnext.estimators._module_net import own_randomness
from labelnext.networks import proba_and_features
from labelnext.networks.dropout import proba_with_dropout
from labelnext.networks.results import as_arrays, with_both_classes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy.typing as npt

    from labelnext.estimators._module_net import Net


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
    net: Net, X: npt.NDArray[Any], head: str | None
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Return the probabilities of samples and the inputs of the last linear layer."""
    with own_randomness(net.device):
        return as_arrays(*proba_and_features(net.module_, _loader(net, X), head=head, amp=False))


def ask_with_dropout(
    net: Net, X: npt.NDArray[Any], head: str | None, seed: int
) -> npt.NDArray[Any]:
    """Return the probabilities of samples with dropout at work."""
    with own_randomness(net.device):
        return with_both_classes(proba_with_dropout(net.module_, _loader(net, X), seed, head))


def _loader(net: Net, X: npt.NDArray[Any]) -> torch.utils.data.DataLoader[Any]:
    batches = net.get_iterator(net.get_dataset(X), training=False)
    # Cut into batches already, so the loader is not to cut.
    return torch.utils.data.DataLoader(_Batches(batches, net.cast), batch_size=None)
