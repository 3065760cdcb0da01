"""What the last layer's outputs stand for: which values are right, and why others are not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

# multiclass: a softmax over the columns; the residual is p − onehot(pseudo-label).
# multilabel: a sigmoid for each column; the residual is p − [p ≥ 0.5].
# binary: one sigmoid; the same with one column.
Task = Literal["multiclass", "multilabel", "binary"]

# How far from 1 a row may sum: rounding of what it is stored in, and then some.
TOLERANCES = {"float16": 5e-3, "bfloat16": 2e-2}
TOLERANCE = 1e-3
# ‖h‖² from which on the squares of gradients, and their sum over a pool, might overflow.
TOO_LARGE = 1e280


def check_task(task: Any) -> Task:
    """Return the task, or say which there are."""
    if task in get_args(Task):
        return task  # type: ignore[no-any-return]
    raise ValueError(
        f"task must be {', '.join(map(repr, get_args(Task)[:-1]))} or {get_args(Task)[-1]!r}, "
        f"got {task!r}."
    )


def refuse_proba(
    proba: NDArray[Any], first_row: int, task: Task, tolerance: float, dtype: str
) -> None:
    """Raise what is wrong with a tile of probabilities, the first of each cause.

    Parameters
    ----------
    proba : ndarray of shape (m, n_columns)
        The tile, with something wrong.
    first_row : int
        The row of the pool that it starts at.
    task : str
        What the columns are.
    tolerance : float
        How far from 1 a row may sum.
    dtype : str
        What the probabilities are stored in.
    """
    apply = "softmax" if task == "multiclass" else "sigmoid"
    causes = [
        (~np.isfinite(proba), "every probability must be a finite number"),
        (proba < 0, f"probabilities must not be negative; apply {apply} to logits"),
    ]
    if task != "multiclass":
        causes.append((proba > 1, "probabilities must be at most 1; apply sigmoid to logits"))
    for bad, hint in causes:
        where = np.argwhere(bad)
        if len(where):
            row, column = where[0]
            raise ValueError(
                f"proba is {proba[row, column]} at row {first_row + row}, column {column}: {hint}."
            )
    off = proba.sum(axis=1, dtype=np.float64) - 1.0
    row = int(np.argmax(np.abs(off) > tolerance))
    raise ValueError(
        f"Each row of proba must sum to 1 (within {tolerance:g} for {dtype}), but row "
        f"{first_row + row} sums to {off[row] + 1:.6g}, off by {off[row]:+.3g}; normalise the "
        f"rows, or apply softmax to logits; if each column is a label of its own, say "
        f"task='multilabel'."
    )


def refuse_features(values: NDArray[Any], row: int) -> None:
    """Raise what is wrong with one row of features, of shape (n_features,)."""
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        raise ValueError(
            f"features is {values[bad[0]]} at row {row}, column {bad[0]}: every feature must be "
            f"a finite number; drop or impute such samples."
        )
    raise ValueError(
        f"The features of row {row} are too large: the norm must be below 1e140, the largest "
        f"value is {np.abs(values).max():.3g}; scale the features."
    )
