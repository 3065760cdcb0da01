"""What a network is trained for, and from its logits to probabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from labelnext.utils.tasks import Task


def task_of(task: Task, n_outputs: int, activation: str | None) -> Task:
    """Return the task that a head is for: one logit is that of a binary classifier.

    Raises
    ------
    ValueError
        If the head has the wrong number of outputs, or what the network ends with belongs to
        another task.
    """
    if task == "binary" and n_outputs != 1:
        raise ValueError(
            f'task="binary" is for a head with one logit, got {n_outputs}; with two, that is '
            f'task="multiclass".'
        )
    if n_outputs == 1 and task == "multiclass":
        task = "binary"
    sigmoids = activation in ("sigmoid", "logsigmoid")
    if activation is not None and sigmoids != (task != "multiclass"):
        fitting = "multilabel" if sigmoids else "multiclass"
        raise ValueError(
            f"The model ends with {activation}, which belongs to task={fitting!r}, but task is "
            f"{task!r}: the probabilities would not be the model's."
        )
    return task


def probabilities(logits: torch.Tensor, task: Task) -> torch.Tensor:
    """Return probabilities, in float32 at least: they sum to 1, whatever the logits' precision.

    Parameters
    ----------
    logits : torch.Tensor of shape (n, n_classes)
        What the head gave.
    task : str
        "multiclass" for softmax, else a sigmoid of each.
    """
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return logits.softmax(1) if task == "multiclass" else logits.sigmoid()
