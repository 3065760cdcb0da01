"""What the last layer's outputs stand for: which shapes and values are right, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from labelnext.utils.tasks import Task, check_task

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = [
    "TOLERANCE",
    "TOLERANCES",
    "TOO_LARGE",
    "Task",
    "check_shapes",
    "check_task",
    "refuse_features",
    "refuse_proba",
]

# How far from 1 a row may sum: rounding of what it is stored in, and then some.
TOLERANCES = {"float16": 5e-3, "bfloat16": 2e-2}
TOLERANCE = 1e-3
# ‖h‖² from which on the squares of gradients, and their sum over a pool, might overflow.
TOO_LARGE = 1e280


def refuse_proba(
    proba: NDArray[Any],
    first_row: int,
    task: Task,
    tolerance: float,
    dtype: str,
    where: Callable[[int], str] = str,
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
    where : callable, default=str
        Says where a row of the pool is.
    """
    apply = "softmax" if task == "multiclass" else "sigmoid"
    causes = [
        (~np.isfinite(proba), "every probability must be a finite number"),
        (proba < 0, f"probabilities must not be negative; apply {apply} to logits"),
    ]
    if task != "multiclass":
        causes.append((proba > 1, "probabilities must be at most 1; apply sigmoid to logits"))
    for bad, hint in causes:
        found = np.argwhere(bad)
        if len(found):
            row, column = found[0]
            raise ValueError(
                f"proba is {proba[row, column]} at row {where(first_row + row)}, column {column}: "
                f"{hint}."
            )
    off = proba.sum(axis=1, dtype=np.float64) - 1.0
    row = int(np.argmax(np.abs(off) > tolerance))
    raise ValueError(
        f"Each row of proba must sum to 1 (within {tolerance:g} for {dtype}), but row "
        f"{where(first_row + row)} sums to {off[row] + 1:.6g}, off by {off[row]:+.3g}; normalise "
        f"the rows, or apply softmax to logits; if each column is a label of its own, say "
        f"task='multilabel'."
    )


def refuse_features(values: NDArray[Any], row: int, where: Callable[[int], str] = str) -> None:
    """Raise what is wrong with one row of features, of shape (n_features,)."""
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        raise ValueError(
            f"features is {values[bad[0]]} at row {where(row)}, column {bad[0]}: every feature "
            f"must be a finite number; drop or impute such samples."
        )
    raise ValueError(
        f"The features of row {where(row)} are too large: the norm must be below 1e140, the "
        f"largest value is {np.abs(values).max():.3g}; scale the features."
    )


def check_shapes(proba: Any, features: Any, task: Task) -> None:
    """Check the dimensions and lengths of arrays or tensors against each other and the task."""
    _check_dimensions("proba", proba, allow_1d=task != "multilabel")
    _check_dimensions("features", features, allow_1d=False)
    if len(proba) != features.shape[0]:
        raise ValueError(
            f"proba and features must have one row for each sample of the pool, got "
            f"{len(proba)} rows of proba and {features.shape[0]} of features; check that both "
            f"were computed from the same samples in the same order."
        )
    if len(proba) == 0:
        raise ValueError("The pool is empty: proba and features have no rows.")
    if 0 in (*proba.shape, features.shape[1]):
        raise ValueError(
            f"proba and features need at least one column, got shapes {tuple(proba.shape)} and "
            f"{tuple(features.shape)}."
        )
    if task == "binary" and proba.ndim == 2 and proba.shape[1] != 1:
        raise ValueError(
            f"With task='binary' proba is P(y = 1) of one logit and has one column, got shape "
            f"{tuple(proba.shape)}; probabilities of both classes are task='multiclass'."
        )


def _check_dimensions(name: str, array: Any, *, allow_1d: bool) -> None:
    if array.ndim == 2 or (allow_1d and array.ndim == 1):
        return
    hint = (
        f"reshape it with {name}.reshape(-1, 1) if it is one column"
        if array.ndim == 1
        else f"flatten each sample with {name}.reshape(len({name}), -1)"
    )
    if array.ndim == 0:
        hint = "pass one row for each sample"
    raise ValueError(f"{name} must have two dimensions, got shape {tuple(array.shape)}; {hint}.")
