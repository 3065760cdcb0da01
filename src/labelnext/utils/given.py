"""What users hand over: the tasks that there are, what is refused, and how messages show it."""

from __future__ import annotations

import math
import numbers
import reprlib
import sys
from itertools import combinations
from typing import Any, Literal, get_args

_SHORT = reprlib.Repr()
_SHORT.maxlist = _SHORT.maxtuple = _SHORT.maxset = _SHORT.maxdict = _SHORT.maxarray = 5
_SHORT.maxstring = _SHORT.maxother = 80


def shown(value: Any) -> str:
    """Return the repr of something of the user's for a message: one line, 80 characters or so.

    >>> shown(list(range(1000)))
    '[0, 1, 2, 3, 4, ...]'
    """
    return " ".join(_SHORT.repr(value).split())


# What a network is trained for says what its probabilities and features are.
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


FILL = "fill them, with np.ma.filled({}, 0) say, or leave those samples out"
# Where 0 says something: a row, a name, a probability beside others.
NO_FILL = "leave those samples out, there and in all else that you pass"


def refuse_masked(values: Any, name: str, way_out: str = FILL) -> None:
    """Refuse masked arrays, alone or in a list: numpy would use the values that they hide.

    The way out names the masked array as `{}`.
    """
    ma = sys.modules.get("numpy.ma")
    if ma is None:
        return
    parts = values if isinstance(values, list | tuple) else (values,)
    for number, part in enumerate(parts):
        if isinstance(part, ma.MaskedArray) and ma.is_masked(part):
            alone = part is values
            row = int(ma.getmaskarray(part).nonzero()[0][0]) if alone else number
            raise ValueError(
                f"{name} has masked values, the first in row {row}, which would be used as if "
                f"nothing hid them: "
                f"{way_out.format(name if alone else f'np.ma.array({name})')}."
            )


def refuse_masked_rows(rows: Any, name: str) -> None:
    """Refuse masked arrays of row numbers, or of booleans, one for each row."""
    way_out = "leave them out, with {}.compressed()"
    if isinstance(rows, list | tuple):
        way_out = f"leave them out, with [row for row in {name} if row is not np.ma.masked]"
    elif getattr(rows, "dtype", None) == "bool":
        way_out = "fill them, with np.ma.filled({}, False) say"
    refuse_masked(rows, name, way_out)


def refuse_other_order(**given: Any) -> None:
    """Refuse frames and series with one index in two orders: they are paired by position."""
    # A list has an `index` too, a method.
    frames = [(name, value.index) for name, value in given.items() if hasattr(value, "iloc")]
    for (first, one), (second, other) in combinations(frames, 2):
        if one.equals(other) or len(one) != len(other) or set(one) != set(other):
            continue
        import numpy as np

        row = int(np.argmax(np.asarray(one != other)))
        aligned = f"{second}.loc[{first}.index] if the index does, or " if one.is_unique else ""
        raise ValueError(
            f"{first} and {second} have the same index in another order, but are paired by "
            f"position: row {row} is {shown(one[row])} in {first} and {shown(other[row])} in "
            f"{second}. Say what counts: pass {aligned}{second}.to_numpy() if the position does."
        )


def check_integer(name: str, value: Any, least: int) -> None:
    """Raise if a parameter is no integer, or below the least that makes sense."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        kind = type(value).__name__
        raise TypeError(f"{name} must be an integer, got {value!r} of type {kind}.")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, got {value}.")


def check_number(name: str, value: Any, least: float = 0.0) -> None:
    """Raise if a parameter is no finite number, or below the least that makes sense."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} must be a number, got {value!r}.")
    if not least <= float(value) < math.inf:
        raise ValueError(f"{name} must be finite and at least {least:g}, got {value}.")


def check_positive(name: str, value: Any) -> None:
    """Raise if a parameter is no finite number over 0."""
    check_number(name, value)
    if value == 0:
        raise ValueError(f"{name} must be over 0, got {value}.")


def check_flag(name: str, value: Any) -> None:
    """Raise if a parameter is neither True nor False."""
    import numpy as np

    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be True or False, got {value!r}.")
