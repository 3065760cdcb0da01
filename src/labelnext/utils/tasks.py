"""What a network is trained for, which says what its probabilities are."""

from __future__ import annotations

from typing import Any, Literal, get_args

# multiclass: a softmax over the columns; the residual is p − onehot(pseudo-label).
# multilabel: a sigmoid for each column; the residual is p − [p ≥ 0.5].
# binary: one sigmoid; the same with one column.
Task = Literal["multiclass", "multilabel", "binary"]


def check_task(task: Any) -> Task:
    """Return the task, or say which there are."""
    if task in get_args(Task):
        return task  # type: ignore[no-any-return]
    raise ValueError(
        f"task must be {', '.join(map(repr, get_args(Task)[:-1]))} or {get_args(Task)[-1]!r}, "
        f"got {task!r}."
    )
