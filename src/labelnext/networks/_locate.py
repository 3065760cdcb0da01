"""Find the head on the first samples of a batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from labelnext.networks._arguments import few_rows, first_tensor
from labelnext.networks._probabilities import task_of
from labelnext.networks._search import search
from labelnext.networks._wrappers import uncompiled

if TYPE_CHECKING:
    from torch import nn

    from labelnext.engine import Task
    from labelnext.networks._find_head import Head

# With more samples, two layers are less likely to look alike by chance.
FEW = 4


def locate(
    model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], named: Any, task: Task
) -> tuple[Head, Task]:
    """Return a network's head and the task that it is for.

    Parameters
    ----------
    model : torch.nn.Module
        The network, without wrappers, in evaluation mode.
    args, kwargs : tuple and dict
        Arguments of its forward.
    named : str, torch.nn.Module or None
        The layer that the user says it is.
    task : str
        What the user says the probabilities are of.
    """
    first = first_tensor((*args, *kwargs.values()))
    if first is not None and first.ndim:
        length = len(first)
        args = few_rows(args, length, FEW)
        kwargs = few_rows(kwargs, length, FEW)
    with uncompiled(model), torch.inference_mode():
        head = search(model, lambda: model(*args, **kwargs), named, task)
    return head, task_of(task, head.module.out_features, head.activation)
