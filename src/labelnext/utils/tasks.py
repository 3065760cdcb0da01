"""What a network is trained for, which says what its probabilities and features are."""

from __future__ import annotations

from typing import Any, Literal, get_args

from labelnext.utils.given import shown

# multiclass: a softmax over the columns; the residual is p − onehot(pseudo-label).
# multilabel: a sigmoid for each column; the residual is p − [p ≥ 0.5].
# binary: one sigmoid; the same with one column.
# regression: no probabilities; the features are the gradient of the output.
# vectors: the features are the gradient embeddings themselves.
Task = Literal["multiclass", "multilabel", "binary", "regression", "vectors"]
TASKS: tuple[Task, ...] = get_args(Task)
CLASSIFICATION: tuple[Task, ...] = TASKS[:3]


def check_task(task: Any, tasks: tuple[Task, ...] = CLASSIFICATION) -> Task:
    """Return the task, or say which there are."""
    if isinstance(task, str) and task in tasks:
        return task
    raise ValueError(
        f"task must be {', '.join(map(repr, tasks[:-1]))} or {tasks[-1]!r}, got {shown(task)}."
    )
