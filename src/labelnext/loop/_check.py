"""What users hand over to a loop: checked at the edge, so that all behind it may trust."""

from __future__ import annotations

import functools
import math
import numbers
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labelnext.loop import _schema
from labelnext.pools.known import is_text, plain, some
from labelnext.report.told import named_share
from labelnext.utils.given import shown
from labelnext.utils.text import did_you_mean

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

    from labelnext.pools import Pool

# What a pool with probabilities may be of, in a loop of each task.
POOL_TASKS: dict[str, tuple[str, ...]] = {
    "multiclass": ("multiclass", "binary"),
    "multilabel": ("multilabel",),
    "regression": (),
}


def one_of(what: str, value: Any, known: tuple[Any, ...]) -> Any:
    """Return a word that is one of those known."""
    if isinstance(value, str) and value in known:
        return value
    near = (did_you_mean(value, known) if isinstance(value, str) else "") or "."
    raise ValueError(f"{what} must be {', '.join(map(repr, known))}, got {shown(value)}{near}")


def integer(what: str, value: Any, least: int) -> int:
    """Return an integer that is not too small, nor too large for the file."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{what} must be an integer, got {shown(value)}.")
    whole = int(value)
    if not least <= whole < 1 << 62:
        most = "" if whole < least else " and below 2**62"
        raise ValueError(f"{what} must be at least {least}{most}, got {shown(value)}.")
    return whole


def number(what: str, value: Any) -> float:
    """Return a finite number over 0."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{what} must be a number, got {shown(value)}.")
    real = float(value)
    if not 0 < real < math.inf:
        raise ValueError(f"{what} must be finite and over 0, got {shown(value)}.")
    return real


def flag(what: str, value: Any) -> bool:
    """Return True or False."""
    if not isinstance(value, bool):
        raise TypeError(f"{what} must be True or False, got {shown(value)}.")
    return value


def share(what: str, value: Any) -> float:
    """Return a share, from 0 to 1."""
    real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not real or not 0 <= float(value) <= 1:
        raise ValueError(f"{what} must be a share from 0 to 1, got {shown(value)}.")
    return float(value)


def text_of(what: str, value: Any) -> str:
    """Return a text that a file can hold."""
    if not isinstance(value, str):
        raise TypeError(f"{what} must be a text, got {shown(value)}.")
    if not is_text(value):
        raise ValueError(
            f"{what} must be whole characters; half of one (a lone surrogate) is in {shown(value)}."
        )
    return value


def path_of(what: str, value: Any) -> Path:
    """Return a path that was given, as a whole one."""
    if not isinstance(value, str | os.PathLike) or not isinstance(os.fspath(value), str):
        raise TypeError(f"{what} must be a path, as a text or Path, got {shown(value)}.")
    if not os.fspath(value):
        raise ValueError(f"{what} must not be empty; '.' is the current folder.")
    return Path(value).absolute()


def list_of(what: str, value: Any) -> list[Any]:
    """Return the entries of a list, array or series; a text is none."""
    if isinstance(value, str | bytes) or not hasattr(value, "__iter__"):
        raise TypeError(f"{what} must be a list, got {shown(value)}.")
    return list(value)


def name_of(what: str, value: Any) -> str:
    """Return a text that is not empty."""
    if not text_of(what, value).strip():
        raise ValueError(f"{what} must not be empty.")
    return value  # type: ignore[no-any-return]


def seed_of(random_state: Any) -> int:
    """Return the seed that was given, or draw one, so that it can be written down."""
    if random_state is None:
        return secrets.randbits(31)
    return integer("random_state", random_state, 0)


def checked_classes(classes: Any, task: str) -> list[str] | None:
    """Return the names of the classes; None where there are none."""
    if task == "regression":
        if classes is not None:
            raise ValueError("With task='regression' there are no classes; leave classes out.")
        return None
    if classes is None:
        raise ValueError(
            f"With task={task!r} the classes must be named, as in classes=['good', 'bad']."
        )
    names = [plain(value) for value in list_of("classes", classes)]
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f"classes must be texts, got {shown(name)}; write it as {str(name)!r}.")
        if not text_of("A class", name).strip():
            raise ValueError(
                f"classes has an empty name, in place {names.index(name) + 1} of {len(names)}: "
                f"{some(names, 12)}; leave it out."
            )
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if twice:
        raise ValueError(f"classes names {some(twice)} more than once.")
    least = 2 if task == "multiclass" else 1
    if len(names) < least:
        one = f", got one, {names[0]!r}" if names else ""
        also = " For what is there or not give two, such as yes and no." if names else ""
        raise ValueError(f"With task={task!r} there must be {least} classes at least{one}.{also}")
    return names


def key_of(db: sqlite3.Connection, sample: Any) -> int:
    """Return the row of a sample by its id."""
    if not isinstance(sample, str):
        raise TypeError(
            f"A sample is given by its id, a text, or as what take() returned, got {shown(sample)}."
        )
    row = (
        db.execute("SELECT key FROM samples WHERE id = ?", (sample,)).fetchone()
        if is_text(sample)
        else None
    )
    if row is None:
        like = [row[0] for row in db.execute("SELECT id FROM samples LIMIT 3")]
        raise ValueError(f"No sample has the id {shown(sample)}; there are ids like {some(like)}.")
    return int(row[0])


def round_of(db: sqlite3.Connection, value: Any) -> int:
    """Return the number of a round that there is."""
    known = [row[0] for row in db.execute("SELECT number FROM rounds ORDER BY number")]
    if integer("round", value, 0) not in known:
        there = f"one of {some(known)}" if known else "that of a round, and there is none yet"
        raise ValueError(f"round must be {there}, got {shown(value)}.")
    return int(value)


def value_checker(db: sqlite3.Connection) -> Callable[[Any], Any]:
    """Return what makes of a label that was given one as it is written, or refuses it."""
    task, classes = _schema.about(db, "task"), _schema.about(db, "classes")
    if task == "regression":
        return _checked_number
    return functools.partial(_checked_class if task == "multiclass" else _checked_set, classes)


def _checked_number(value: Any) -> float:
    value = plain(value)
    real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not real or not math.isfinite(value):
        raise ValueError(f"The label must be a finite number, got {shown(value)}.")
    return float(value)


def _checked_class(classes: list[str], value: Any) -> str:
    if not isinstance(value, str) or value not in classes:
        raise ValueError(_unknown([value], classes))
    return str(value)


def _checked_set(classes: list[str], value: Any) -> list[str]:
    if isinstance(value, str | bytes) or not hasattr(value, "__iter__"):
        raise TypeError(f"The label must be a list of classes, got {shown(value)}.")
    names = list(value)
    if unknown := [name for name in names if not isinstance(name, str) or name not in classes]:
        raise ValueError(_unknown(unknown, classes))
    return sorted({str(name) for name in names})


def _unknown(values: list[Any], classes: list[str]) -> str:
    near = (did_you_mean(values[0], classes) if isinstance(values[0], str) else "") or "."
    return f"{some(values)} is none of the classes, {some(classes, 12)}{near}"


def check_pool(pool: Pool, task: str, classes: list[str] | None) -> None:
    """Refuse probabilities of which it is not said what they are of, or that fit no such loop.

    A column is never taken for a class by its place: a model may have another order than the loop.
    """
    if "proba" not in pool.source.parts:
        return
    if pool.task not in POOL_TASKS[task]:
        other = f"of the task {POOL_TASKS[task][0]!r}" if POOL_TASKS[task] else "of features alone"
        raise ValueError(
            f"The pool's task is {pool.task!r}, and the loop's is {task!r}; make a pool {other}."
        )
    known, own = classes or [], pool.source.classes
    if pool.classes is None:
        raise ValueError(
            f"The pool does not name its {pool.n_classes} classes, so its columns cannot be "
            f"matched to the loop's: {some(known)}. Give classes=..., in the order of the columns; "
            "of a classifier of scikit-learn these are its classes_."
        )
    if own is not None and [*map(str, own)] != [*map(str, pool.classes)]:
        raise ValueError(
            f"The pool names its classes, {some(own, 12)}, in the order of its columns, and "
            f"classes=... says {some(pool.classes, 12)}; leave classes=... out."
        )
    unknown = [name for name in pool.classes.tolist() if str(name) not in known]
    if unknown:
        how = (
            "Give classes=..., the loop's names in the order of the columns."
            if own is None
            else "Write the pool with the loop's names, or let the loop have the pool's: "
            "loop.change(classes=...)."
        )
        raise ValueError(
            f"The pool has classes that the loop does not know: {some(unknown)}; the loop has "
            f"{some(known)}. {how}"
        )


def is_missing(value: Any) -> bool:
    """Tell whether there is no label."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def checked_metrics(metrics: Any) -> list[tuple[str, str, float]]:
    """Return metrics as splits, names and values."""
    if not isinstance(metrics, Mapping):
        raise TypeError(f"metrics must map names to numbers, got {shown(metrics)}.")
    found = []
    for split, named in metrics.items():
        pairs = named.items() if isinstance(named, Mapping) else ((split, named),)
        where = split if isinstance(named, Mapping) else "test"
        for name, value in pairs:
            value = plain(value)  # noqa: PLW2901
            if isinstance(value, bool) or not isinstance(value, numbers.Real):
                raise TypeError(f"The metric {name!r} must be a number, got {shown(value)}.")
            real = float(value)
            found.append((name_of("A split", where), name_of("A metric", name), real))
            if not math.isfinite(real):
                raise ValueError(
                    f"The metric {name!r} must be finite, got {shown(value)}; leave it out."
                )
            if named_share(name) and not 0 <= real <= 1:
                percent = "; of a percentage give a hundredth" if 1 < real <= 100 else ""
                raise ValueError(
                    f"The metric {name!r} must be a share from 0 to 1, got {shown(value)}{percent}."
                )
    return found
