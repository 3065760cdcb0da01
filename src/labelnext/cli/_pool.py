"""The pool of a command: its options, and the one way in which they are opened."""

import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from labelnext.cli._errors import InputError, input_errors
from labelnext.cli._terminal import say
from labelnext.utils.given import TASKS, check_task

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from labelnext import Pool

    Rows = NDArray[np.int64]

INPUT = "What to read"
Task = StrEnum("Task", {name: name for name in TASKS})  # type: ignore[misc]
# What stands for row numbers where a file lists ids: FILE:row.
ROW = "row"


# An option: its names, metavar, type and help, and what else there is to say, such as its default.
Option = tuple[Any, ...]
# What says what a command's pool is, the same in each command.
POOL: tuple[Option, ...] = (
    (
        *("--proba -p", "SOURCE", str),
        "Probabilities: a row for each sample, a column for each class (or P(class 1) alone); "
        "also a .csv whose columns are named as the classes.",
    ),
    (
        *("--features -f", "SOURCE", str),
        "Features: what the model's last linear layer sees, the embedding.",
    ),
    (
        *("--ids", "SOURCE", str),
        "The samples' ids; also .txt (one on each line), .csv, .tsv, .json (FILE:data.id for "
        "nested keys) or .jsonl. Without, the number of the row is the id.",
    ),
    (
        *("--groups", "SOURCE", str),
        "What each sample belongs to (its patient, its video); files as for ids.",
    ),
    ("--labels", "SOURCE", str, "The labels that are known, others empty; files as for ids."),
    (
        *("--classes", "NAMES", str),
        "The names of the classes in the order of the columns, as cat,dog,... or a file.",
    ),
    (
        *("--task", "NAME", Task),
        "What the model ends in: a softmax (multiclass), a sigmoid for each label (multilabel) or "
        "a single one (binary). Or the features are the gradients (regression, vectors). Without, "
        "what the files say, else multiclass.",
    ),
    (
        *("--bias/--no-bias", "", bool),
        "Count the gradient of the last layer's bias too. Without, what the files say, else no.",
    ),
)
POOL_NAMES = ("proba", "features", "ids", "groups", "labels", "classes", "task", "bias")
# Those that may be files.
FILES = POOL_NAMES[:6]


def with_options(panels: Mapping[str, Sequence[Option]]) -> Callable[..., Any]:
    """Give a command options of tables by the panel of its help, as its `**options`."""

    def give(command: Callable[..., None]) -> Callable[..., None]:
        given = inspect.signature(command).parameters.values()
        first = [each for each in given if each.kind is not inspect.Parameter.VAR_KEYWORD]
        found = [_parameter(panel, *row) for panel, rows in panels.items() for row in rows]
        command.__signature__ = inspect.Signature([*first, *found])  # type: ignore[attr-defined]
        command.__annotations__ |= {each.name: each.annotation for each in found}
        return command

    return give


def _parameter(
    panel: str, names: str, metavar: str | None, kind: Any, text: str, more: Any = None
) -> inspect.Parameter:
    """Make of a row of a table what typer makes an option of."""
    default = (more := dict(more or {})).pop("default", None)
    described = typer.Option(
        *names.split(), metavar=metavar, rich_help_panel=panel, help=text, **more
    )
    return inspect.Parameter(
        names.lstrip("-").replace("/", " ").split()[0].replace("-", "_"),
        inspect.Parameter.KEYWORD_ONLY,
        default=inspect.Parameter.empty if default is ... else default,
        annotation=Annotated[kind | None if default is None else kind, described],
    )


def open_files(
    path: str | None, options: Mapping[str, Any], in_order: Sequence[str] = ()
) -> "Pool":
    """Open the files that a command names; what it says wins over what they say.

    Those that stand `in_order` are named in the options too.
    """
    from labelnext.pools import open_pool
    from labelnext.pools.check import WITHOUT_PROBA, look_swapped

    options = {name: options[name] for name in POOL_NAMES}
    refuse_values([path])
    if path is None and options["proba"] is None and options["features"] is None:
        raise InputError(
            "nothing to choose from: give POOL, a file or folder, or --proba and --features"
        )
    task = options["task"]
    said = {"task": None if task is None else check_task(task.value, TASKS)}
    with input_errors():
        known = {**options, **said, "classes": class_names(options["classes"])}
        pool = open_pool(path, **known)
        if pool.source.taken:
            say(f"{path}: {pool.source.taken}")
        if pool.task not in WITHOUT_PROBA and look_swapped(pool.source, pool.task):
            raise InputError(_how_to_swap(pool, options, in_order))
        return pool


def _how_to_swap(pool: "Pool", options: Mapping[str, Any], in_order: Sequence[str]) -> str:
    """Say that each is in the other's place, and how to name them."""
    proba, features = options["proba"], options["features"]
    if proba is None or features is None:
        return (
            f"{pool.source.name}: what it has as features are probabilities, and what it has as "
            "probabilities are none; say which is which with --proba and --features, or make it "
            "again"
        )
    said = f"{features} holds probabilities, and {proba} does not; "
    if in_order:
        return f"{said}name them in this order: {' '.join([features, proba, *in_order[2:]])}"
    return f"{said}swap them: --proba {features} --features {proba}"


def refuse_values(paths: Sequence[str | None]) -> None:
    """Refuse `--force true`: what follows an option without a value would be taken for a path."""
    for path in paths:
        if path in ("true", "false", "True", "False", "yes", "no") and not os.path.exists(path):
            raise InputError(
                f"there is no file {path!r}; options such as --force and --bias take no value: "
                f"leave {path!r} out"
            )


def class_names(classes: str | None, option: str = "--classes") -> list[Any] | None:
    """Read the names of classes from a file, or from a list with commas."""
    from labelnext.pools import lists_nothing, lists_values, read_values
    from labelnext.pools.known import is_text, whole_numbers

    if classes is None:
        return None
    if lists_values(classes):
        names = [] if lists_nothing(classes) else read_values(classes, "labels")
        while names and names[-1] is None:  # blank lines at the end
            names.pop()
        if None in names or not names:
            what = f"name number {names.index(None):,}" if names else "the file"
            raise InputError(f"{option} {classes}: {what} is empty; give the name of each class")
    else:
        names = [name.strip() for name in classes.split(",")]
        odd = next((name for name in names if not is_text(name)), None)
        if odd is not None:
            raise InputError(
                f"{option}: {odd!r} is no text in UTF-8; give the names in a file, saved as UTF-8"
            )
        cut = next((name for name in names if name.count('"') % 2), None)
        if cut is not None:
            raise InputError(
                f"{option} {classes}: {cut} has a quote that is not closed; give names with commas "
                "or quotes in a file, classes.txt, one on each line"
            )
    numbers = whole_numbers([str(name) for name in names])
    return names if any(isinstance(each, str) for each in numbers) else numbers


def excluded_rows(pool: "Pool", sources: Sequence[str]) -> "Rows":
    """Find the rows that are not to be chosen, by what files list: ids, or rows if they say so."""
    import numpy as np

    found = [np.empty(0, np.int64), *(_excluded_by(pool, source) for source in sources)]
    return np.unique(np.concatenate(found))


def _excluded_by(pool: "Pool", source: str) -> "Rows":
    from labelnext.pools import lists_nothing

    with input_errors(ids=f"exclude {source}"):
        rows = None if lists_nothing(source) else _listed(pool, source)
    if rows is not None and len(rows):
        return rows
    say(f"--exclude {source}: nothing is listed there, so it excludes nothing")
    return _as_rows(pool, [], source)


def _listed(pool: "Pool", source: str) -> "Rows | None":
    """Find the rows that a file lists, None if it lists no ids; refuse what is not known."""
    from labelnext.pools import read_values

    file, _, name = source.rpartition(":")
    if name == ROW and file:
        return _as_rows(pool, read_values(file if _is_plain(file) else source), source)
    if "ids" in pool.known:
        return pool.rows_of(read_values(source))
    # Numbers that do not say what they are may be anything, such as a labelling tool's own.
    if not _is_plain(source):
        with suppress(ValueError):
            rows = read_values(f"{source}:{ROW}")
            ids = rows
            with suppress(ValueError):
                ids = read_values(source)
            # A batch from a pool without ids has rows for ids.
            if [*map(str, ids)] == [*map(str, rows)]:
                return _as_rows(pool, rows, source)
    if not read_values(source):
        return None
    raise InputError(
        f"--exclude {source}: this pool has no ids, so it is not known what these are; give the "
        f"pool's with --ids, or list rows, counted from 0, in a column '{ROW}' or in a file of "
        f"numbers alone, and say so: --exclude FILE:{ROW}"
    )


def _is_plain(file: str) -> bool:
    """Tell whether a file lists values alone, without a name."""
    from labelnext.pools import names_nothing

    with suppress(ValueError):
        return names_nothing(file)
    return False


def _as_rows(pool: "Pool", values: Sequence[Any], source: str) -> "Rows":
    import numpy as np

    for value in values:
        if not str(value).isdecimal() or int(value) >= pool.n_rows:
            raise InputError(
                f"--exclude {source}: rows must be from 0 to {pool.n_rows - 1:,}, got {value!r}"
            )
    return np.array([int(value) for value in values], dtype=np.int64)
