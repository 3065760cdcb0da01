"""What a network is trained for and what it calls its classes; from its logits to probabilities."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import torch

from labelnext.utils.tasks import Task, check_task

if TYPE_CHECKING:
    from torch import nn

    from labelnext.networks._head import Head

TASKS: tuple[Task, ...] = ("multiclass", "multilabel", "binary", "regression")
# What the configurations of transformers call them.
_PROBLEMS: dict[Any, Task] = {
    "single_label_classification": "multiclass",
    "multi_label_classification": "multilabel",
    "regression": "regression",
}


def asked_task(model: nn.Module, task: Any) -> Task | None:
    """Return the task that the caller or else the network's configuration says, if either does.

    A contradiction is refused.
    """
    if task is not None:
        check_task(task, TASKS)
    problem = getattr(getattr(model, "config", None), "problem_type", None)
    said = _PROBLEMS.get(problem) if isinstance(problem, str) else None
    # A single label of several is a binary task too.
    if task is None or said in (None, task) or (said, task) == ("multilabel", "binary"):
        return task or said
    raise ValueError(
        f"task={task!r} contradicts the model's configuration, which says "
        f"problem_type={problem!r}, that is task={said!r}. Leave task out, or correct "
        f"model.config.problem_type."
    )


def task_of(model: nn.Module, asked: Task | None, head: Head) -> Task:
    """Return the task of a network whose head has been found, which must fit it.

    Where nobody says one, a single output is that of a binary classifier; but transformers train
    it as a regression.
    """
    n_outputs, activation = head.module.out_features, head.activation
    config = getattr(model, "config", None)
    if asked is None and n_outputs == 1 and hasattr(config, "problem_type"):
        asked = "regression" if getattr(config, "num_labels", None) == 1 else None
    task = asked or "multiclass"
    if task == "binary" and n_outputs != 1:
        raise ValueError(
            f'task="binary" is for a head with one logit, got {n_outputs}; with two, that is '
            f'task="multiclass".'
        )
    if n_outputs == 1 and task == "multiclass":
        task = "binary"
    if activation is None:
        return task
    if task == "regression":
        raise ValueError(
            f"The model ends with {activation}, as a classifier does, but task is 'regression': "
            f"let it return what its last linear layer gives."
        )
    sigmoids = activation in ("sigmoid", "logsigmoid")
    if sigmoids != (task != "multiclass"):
        fitting = "multilabel" if sigmoids else "multiclass"
        raise ValueError(
            f"The model ends with {activation}, which belongs to task={fitting!r}, but task is "
            f"{task!r}: the probabilities would not be the model's."
        )
    return task


def class_names(model: nn.Module, task: Task, n_outputs: int) -> list[Any] | None:
    """Return the names that a network's configuration has for its classes, if someone chose them.

    Those that transformers make up, LABEL_0 and so on, say nothing.
    """
    names = getattr(getattr(model, "config", None), "id2label", None)
    n_classes = 2 if task == "binary" else n_outputs
    if task == "regression" or not isinstance(names, dict) or len(names) != n_classes:
        return None
    ordered = [name for _, name in sorted(names.items(), key=lambda pair: int(pair[0]))]
    made_up = all(re.fullmatch(r"LABEL_\d+", str(name)) for name in ordered)
    return None if made_up or len(set(ordered)) < n_classes else ordered


def probabilities(logits: torch.Tensor, task: Task) -> torch.Tensor:
    """Return probabilities, in float32 at least: they sum to 1, whatever the logits' precision."""
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return logits.softmax(1) if task == "multiclass" else logits.sigmoid()
