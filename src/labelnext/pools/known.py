"""What is known of samples beside their numbers (ids, groups, labels), and rows as people say."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Set
from typing import TYPE_CHECKING, Any

import numpy as np

from labelnext.utils.encoding import check_classes
from labelnext.utils.labels import nulls, split_labels
from labelnext.utils.names import did_you_mean
from labelnext.utils.tensors import without_tensor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

    from labelnext.pools.source import Known, Source
    from labelnext.utils.tasks import Task

# What people call the columns, arrays and files of a pool. Labels and groups are not looked for:
# a data set's own labels would take all its samples out of the choice.
USUAL = {
    "proba": ("proba", "probs", "probabilities"),
    "features": ("embedding", "embeddings", "features"),
    "ids": ("id", "ids"),
    "groups": ("group", "groups"),
    "labels": ("label", "labels"),
}
LARGEST_ID = 2**63 - 1
# Keys that are sorted at once, of eight bytes; a longer pool is gone through several times.
AT_ONCE = 1 << 24
# Ids that are read at once.
STRETCH = 1 << 16


def some(items: Iterable[object], limit: int = 5) -> str:
    """Name the first few of ``items``, and say how many more there are.

    >>> some("abcdefgh")
    "'a', 'b', 'c', 'd', 'e' and 3 more"
    """
    items = list(items)
    shown = ", ".join(repr(plain(item)) for item in items[:limit])
    return f"{shown} and {len(items) - limit:,} more" if len(items) > limit else shown


def plain(value: Any) -> Any:
    """Return a number of NumPy as one of Python; anything else as it is."""
    return value.item() if isinstance(value, np.generic) else value


def decoded(what: Known, values: Any) -> NDArray[Any]:
    """Return ids, groups or labels as they are kept, from what was read of a file.

    Texts become Python strings; an empty one is no label and no group, but None.
    """
    if what == "ids":
        return as_ids(values)
    array = _as_array(values)
    if array.dtype.kind == "S":
        array = np.char.decode(array, "utf-8")
    if array.dtype.kind in "UTO":
        array = array.astype(object)
        array[array == ""] = None
    return array


def check_length(what: str, values: Any, n_rows: int) -> None:
    """Refuse values that do not line up with the rows."""
    if len(values) != n_rows:
        raise ValueError(
            f"{what} has {len(values):,} entries and the pool has {n_rows:,} rows; "
            "there must be one for each sample, in the same order."
        )


def as_ids(ids: Any) -> NDArray[Any]:
    """Return ids as an array of int64, or of Python strings in an array of objects.

    They must be all integers, or all strings or UTF-8 bytes. Whether each is there once is for
    `check_ids`.
    """
    # Of a list as it is: numpy would write a mixture as text, and drop zero bytes.
    _check_order("ids", ids)
    array = _as_array(ids)
    if array.ndim != 1:
        raise ValueError(f"ids must have one dimension, one for each sample, got {array.shape}.")
    if array.dtype.kind == "O":
        array = _of_one_kind(array)
    if array.dtype.kind == "S":
        array = np.char.decode(array, "utf-8")
    if array.dtype.kind in "UTO":
        return array.astype(object, copy=False)
    if array.dtype.kind not in "iu":
        raise TypeError(f"ids must be integers or strings, got dtype {array.dtype}; convert them.")
    if array.dtype == np.uint64 and array.max(initial=0) > LARGEST_ID:
        raise _too_large(array.max())
    return array.astype(np.int64, copy=False)


def check_ids(ids: Any, n_rows: int) -> NDArray[Any]:
    """Return ids as `as_ids` does, one for each row and each another."""
    array = as_ids(ids)
    check_length("ids", array, n_rows)
    refuse_twice(lambda: [(0, array)], n_rows, lambda row: f"row {row:,}")
    return array


def check_unique(source: Source) -> None:
    """Refuse a source in which two rows have the same id; found in bounded memory."""
    if source.has("ids"):
        stretches = functools.partial(stretches_of_ids, source)
        refuse_twice(stretches, source.n_rows, source.where, f"{source.name}: ")


def refuse_twice(
    stretches: Callable[[], Iterable[tuple[int, NDArray[Any]]]],
    n_rows: int,
    where: Callable[[int], str],
    name: str = "",
) -> None:
    """Refuse ids of which some are there twice; they come in stretches, as often as is asked."""

    def keyed() -> Iterator[tuple[int, NDArray[Any], NDArray[np.int64]]]:
        for lo, ids in stretches():
            keys = ids if ids.dtype == np.int64 else np.fromiter(map(hash, ids), np.int64, len(ids))
            yield lo, ids, keys

    sweeps, suspects = -(-n_rows // AT_ONCE), []
    for sweep in range(sweeps):
        keys = np.concatenate([keys[keys % sweeps == sweep] for _, _, keys in keyed()])
        keys.sort()
        suspects.append(np.unique(keys[1:][keys[1:] == keys[:-1]]))
    if not any(map(len, suspects)):
        return
    # Keys of strings may be equal by chance, so the ids themselves are looked at.
    known = np.concatenate(suspects)
    first: dict[Any, int] = {}
    twice: dict[Any, tuple[int, int]] = {}
    for lo, ids, keys in keyed():
        for place in np.flatnonzero(np.isin(keys, known)).tolist():
            value, row = plain(ids[place]), lo + place
            if first.setdefault(value, row) != row:
                twice.setdefault(value, (first[value], row))
    if twice:
        value, (one, other) = next(iter(twice.items()))
        raise ValueError(
            f"{name}{len(twice):,} ids are there more than once: {some(twice)} ({value!r}: "
            f"{where(one)}, and {where(other)}); every sample needs an id of its own."
        )


def stretches_of_ids(source: Source) -> Iterator[tuple[int, NDArray[Any]]]:
    """Read the ids in order: the first row, and the ids from there on."""
    for lo in range(0, source.n_rows, STRETCH):
        yield lo, source.ids(np.arange(lo, min(lo + STRETCH, source.n_rows)))


def find_rows(wanted: Any, ids: Iterable[tuple[int, NDArray[Any]]], what: str) -> NDArray[np.int64]:
    """Find the rows of some ids among those of a pool, which come in stretches: first row, ids.

    Ids that were read as text here and as integers there are the same.
    """
    if isinstance(wanted, Set | Mapping):
        wanted = list(wanted)  # their order does not matter
    asked = as_ids(wanted).tolist()
    rows: dict[Any, int] = {}
    like: list[Any] = []
    keys: dict[Any, Any] = {}  # by which the pool knows them
    for lo, values in ids:
        if not lo:
            like = values[:3].tolist()
            keys = {value: _as_known(value, values.dtype == np.int64) for value in asked}
            wanted = set(keys.values())
            numbers = np.array([key for key in wanted if type(key) is int], np.int64)
        if values.dtype == np.int64:
            hits = np.flatnonzero(np.isin(values, numbers))
            rows.update(zip(values[hits].tolist(), (hits + lo).tolist(), strict=True))
        else:
            rows.update((v, row) for row, v in enumerate(values.tolist(), lo) if v in wanted)
    unknown = [value for value in dict.fromkeys(asked) if keys[value] not in rows]
    if unknown:
        raise ValueError(
            f"{what}: {len(unknown):,} of {len(asked):,} ids are not in the pool: {some(unknown)}; "
            f"the pool has ids like {some(like)}."
        )
    return np.array([rows[keys[value]] for value in asked], dtype=np.int64)


def _as_known(value: Any, integers: bool) -> Any:
    """Return an id as a pool of integers, or of strings, knows it; '007' is the text of none."""
    if not integers:
        return str(value)
    if isinstance(value, str) and re.fullmatch(r"0|-?[1-9]\d{0,18}", value):
        return int(value) if abs(int(value)) <= LARGEST_ID else value
    return value


def as_groups(groups: Any, n_rows: int) -> NDArray[Any]:
    """Return groups, one for each row: any hashable values, none of them missing."""
    _check_order("groups", groups)
    array = _as_array(groups)
    if array.ndim != 1:
        if isinstance(groups, list | tuple) and len(groups) == n_rows:
            array = np.empty(n_rows, dtype=object)  # of tuples, say
            array[:] = groups
        else:
            raise ValueError(
                f"groups must have one dimension, one for each sample, got {array.shape}."
            )
    check_length("groups", array, n_rows)
    missing = nulls(array)
    if missing.any():
        raise ValueError(
            f"groups is {plain(array[missing][0])!r} at row {int(np.argmax(missing)):,}: every "
            "sample must have a group; give each sample that goes with no other a group of its own."
        )
    if array.dtype.kind != "O":
        return array
    kinds: set[Any] = {type(value) for value in array}
    for kind in kinds:
        if kind.__hash__ is None:
            row = next(row for row, value in enumerate(array) if type(value) is kind)
            raise TypeError(
                f"groups must be hashable, such as strings, integers or tuples, got "
                f"{kind.__name__} {array[row]!r} at row {row:,}."
            )
    return np.array(array.tolist()) if kinds == {int} else array


def as_labels(
    labels: Any, n_rows: int, task: Task, missing_label: Any, n_columns: int | None
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Return labels, their values as given, and the rows that have one."""
    array, missing = split_labels(labels, missing_label, name="labels")
    check_length("labels", array, n_rows)
    flat = task in ("multiclass", "binary")
    if (array.ndim == 2) == flat and task not in ("regression", "vectors"):
        expected = (
            "one dimension, a class for each sample"
            if flat
            else ("two dimensions, a column for each label")
        )
        raise ValueError(
            f"With task={task!r} labels must have {expected}, got shape {array.shape}."
        )
    if task == "multilabel":
        if n_columns is not None and array.shape[1] != n_columns:
            raise ValueError(
                f"labels has {array.shape[1]} columns and proba has {n_columns}; there must be one "
                "for each label."
            )
        odd = [value for value in set(array[~missing].tolist()) if value not in (0, 1)]
        if odd:
            raise ValueError(
                f"With task='multilabel' labels must be 0, 1 or missing, got {some(odd)}."
            )
    known = ~missing if missing.ndim == 1 else ~missing.any(axis=1)
    return array, np.flatnonzero(known).astype(np.int64, copy=False)


def check_names(classes: Any, n_classes: int | None, task: Task) -> NDArray[Any]:
    """Return the names of the classes, one for each column of the probabilities."""
    if task == "regression":
        raise ValueError("With task='regression' there are no classes; leave classes out.")
    if isinstance(classes, str | bytes):
        raise TypeError(f"classes must be a list of names, got {classes!r}.")
    names = check_classes(classes, None)
    if n_classes is not None and len(names) != n_classes:
        what = "for y = 0 and y = 1" if task == "binary" else "for each column of proba"
        raise ValueError(
            f"classes has {len(names):,} names and there must be {n_classes:,}, one {what}: "
            f"{some(names)}."
        )
    return names


def check_label_names(
    labels: NDArray[Any],
    labeled: NDArray[np.int64],
    classes: NDArray[Any] | None,
    n_classes: int | None,
) -> None:
    """Refuse labels that are none of the classes, or more than there are."""
    values = dict.fromkeys(labels[labeled].tolist())
    if classes is None:
        if n_classes is not None and len(values) > n_classes:
            raise ValueError(
                f"labels has {len(values):,} different values, {some(values)}, and proba has "
                f"columns for {n_classes:,} classes."
            )
        return
    known = set(classes.tolist())
    unknown = [value for value in values if value not in known]
    if unknown:
        near = did_you_mean(unknown[0], map(str, known)) if isinstance(unknown[0], str) else ""
        raise ValueError(
            f"labels has values that are not among the classes: {some(unknown)}{near}; the classes "
            f"are {some(classes, 12)}."
        )


def _check_order(what: str, values: Any) -> None:
    """Refuse what has no order, and a text, which is not the list of its letters."""
    if isinstance(values, Set | Mapping | str | bytes):
        raise TypeError(
            f"{what} must be a list or an array, one for each sample in their order, got "
            f"{type(values).__name__}; put them into a list."
        )


def as_rows(rows: Any, n_rows: int, what: str = "rows") -> NDArray[np.int64]:
    """Return row numbers, said as a list, a set, a dict's keys, a mask, a series or a tensor.

    They come as they are, in their order; those of a set in ascending order. Numbers below 0 are
    no rows.
    """
    if isinstance(rows, str | bytes | int | float):
        raise TypeError(
            f"{what} must be a list of row numbers or a mask, got {rows!r}; put one row into a "
            f"list."
        )
    if not hasattr(rows, "dtype"):
        ordered = isinstance(rows, list | tuple | range)
        rows = list(rows) if ordered or hasattr(rows, "__getitem__") else sorted(rows)
    array = np.asarray(without_tensor(rows))
    if array.ndim != 1:
        raise ValueError(f"{what} must have one dimension, got shape {array.shape}.")
    if not array.size and array.dtype != bool:
        return np.empty(0, np.int64)
    if array.dtype.kind == "O":  # nullable integers or booleans
        missing = nulls(array)
        if missing.any():
            raise ValueError(f"{what} has a missing value at place {int(np.argmax(missing))}.")
        array = np.array(array.tolist())
    if array.dtype == bool:
        if len(array) != n_rows:
            raise ValueError(
                f"{what} is a mask of {len(array):,} entries, and there are {n_rows:,} rows; it "
                "must have one for each."
            )
        return np.flatnonzero(array).astype(np.int64, copy=False)
    if array.dtype.kind not in "iu":
        raise TypeError(
            f"{what} must be row numbers, integers, or a mask of booleans, got dtype {array.dtype}."
        )
    outside = array[(array < 0) | (array >= n_rows)]
    if len(outside):
        more = f" and {len(outside) - 1:,} more out of range" if len(outside) > 1 else ""
        raise ValueError(f"{what} must be from 0 to {n_rows - 1:,}, got {int(outside[0]):,}{more}.")
    return array.astype(np.int64, copy=False)


def _as_array(values: Any) -> NDArray[Any]:
    if not hasattr(values, "dtype") and not isinstance(values, list | tuple | np.ndarray):
        values = list(values) if hasattr(values, "__iter__") else values
    return np.asarray(without_tensor(values), dtype=None if hasattr(values, "dtype") else object)


def _of_one_kind(array: NDArray[Any]) -> NDArray[Any]:
    """Tell objects that are all integers from strings; a mixture, or a hole, is refused."""
    for kinds in ((int, np.integer), (str,), (bytes,)):
        good = [isinstance(value, kinds) and not isinstance(value, bool) for value in array]
        if all(good):
            break
        if good[0]:
            raise _odd(array, good.index(False))
    else:
        raise _odd(array, 0)
    if kinds == (str,):
        return array
    if kinds == (bytes,):
        return np.array(array.tolist())
    for value in (max(array, default=0), min(array, default=0)):
        if not -LARGEST_ID <= value <= LARGEST_ID:
            raise _too_large(value)
    return np.array(array.tolist(), dtype=np.int64)


def _odd(array: NDArray[Any], row: int) -> TypeError:
    first = f"{type(array[0]).__name__} {array[0]!r} at row 0 and " if row else ""
    return TypeError(
        f"ids must be all integers or all strings, got {first}{type(array[row]).__name__} "
        f"{array[row]!r} at row {row}; convert them first."
    )


def _too_large(value: int) -> ValueError:
    return ValueError(
        f"ids must be between -2**63 and 2**63, got {value}; give such large ones as strings."
    )
