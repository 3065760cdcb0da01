"""The last linear layer of a network, and the public edge of finding it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from labelnext.engine.task import check_task
from labelnext.utils.extras import require

if TYPE_CHECKING:
    import torch
    from torch import nn

    from labelnext.engine import Task


@dataclass(frozen=True)
class Head:
    """
    The last linear layer of a network, and how the network's output comes from its output.

    Parameters
    ----------
    name : str
        The name of the layer in the network; empty if it is the network.
    module : torch.nn.Linear
        The layer.
    activation : str or None
        What the network ends with: "softmax", "log_softmax", "sigmoid", "logsigmoid" or nothing.
    output : str
        Where in the network's output it is; empty if it is all of it.
    call : int
        Which of the calls of the layer gave the output, counted from 0.
    pooled : bool
        Whether the layer works on each position of a sequence, one of which is the output.

    Examples
    --------
    >>> from torch import nn
    >>> from labelnext.networks import Head
    >>> Head("fc", nn.Linear(8, 3)).module.out_features
    3
    """

    name: str
    module: nn.Linear
    activation: str | None = None
    output: str = ""
    call: int = 0
    pooled: bool = False


def find_head(
    model: torch.nn.Module,
    example: Any,
    *,
    head: str | torch.nn.Module | None = None,
    task: Task = "multiclass",
) -> Head:
    """
    Find the last linear layer of a network: the one whose output is the network's output.

    The network runs on the first samples of an example, and each output of its linear layers is
    held against what it returns: a tensor, `logits` by attribute or key, a part of a tuple or
    dict, and any of these after a softmax or sigmoid, or their logarithm. The network is left
    as it was.

    Parameters
    ----------
    model : torch.nn.Module
        The network; compiled or wrapped in `DataParallel` too.
    example : tensor, tuple, list or dict
        A batch as a loader yields it, with labels or without.
    head : str or torch.nn.Module, default=None
        The layer to check, by its name or itself; None to search among all.
    task : {"multiclass", "multilabel", "binary"}, default="multiclass"
        What the network is trained for; see `labelnext.extract`.

    Returns
    -------
    Head
        The layer as `module`, its `name`, and how the output comes from it.

    Raises
    ------
    ValueError
        If no layer, or more than one, gives the output. The message lists those that were seen.
    ImportError
        If torch is not installed.

    Examples
    --------
    >>> import torch
    >>> from labelnext.networks import find_head
    >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
    >>> find_head(model, torch.zeros(2, 4)).name
    '2'
    """
    require("torch", extra="torch", what="labelnext.networks.find_head")
    from labelnext.networks._arguments import Arguments
    from labelnext.networks._device import check_device
    from labelnext.networks._locate import locate
    from labelnext.networks._wrappers import unwrap
    from labelnext.networks.untouched import untouched

    check_task(task)
    network = unwrap(model)
    place = check_device(network, None)
    with untouched(network):
        args, kwargs = Arguments(network, place, copy=True)(example, 0)
        return locate(network, args, kwargs, head, task)[0]
