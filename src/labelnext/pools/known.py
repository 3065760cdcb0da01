"""What is known of samples beside their numbers (ids, groups, labels), and rows as people say."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Set
from typing import TYPE_CHECKING, Any
from unicodedata import normalize

import numpy as np

from labelnext.utils.encoding import check_classes
from labelnext.utils.given import NO_FILL, refuse_masked, refuse_masked_rows, shown
from labelnext.utils.labels import nulls, split_labels
from labelnext.utils.libraries import without_tensor
from labelnext.utils.text import counted, counted_of, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from labelnext.pools.source import Known, Source
    from labelnext.utils.given import Task

# What people call the columns, arrays and files of a pool. Labels and groups are not looked for:
# a data set's own labels would take all its samples out of the choice.
USUAL = {
    "proba": ("proba", "probs", "probabilities"),
    "features": ("embedding", "embeddings", "features", "emb"),
    "ids": ("id", "ids"),
    "groups": ("group", "groups"),
    "labels": ("label", "labels"),
}
# Keys that are sorted at once, of eight bytes; a longer pool is gone through several times.
AT_ONCE = 1 << 24
# Ids, groups or labels that are read at once.
STRETCH = 1 << 16


def some(items: Iterable[object], limit: int = 5) -> str:
    """Name the first few of ``items``, and say how many more there are.

    >>> some("abcdefgh")
    "'a', 'b', 'c', 'd', 'e' and 3 more"
    """
    items = list(items)
    said = ", ".join(shown(plain(item)) for item in items[:limit])
    return f"{said} and {len(items) - limit:,} more" if len(items) > limit else said


def numbered(names: Iterable[str], stem: str) -> list[str]:
    """Return the columns ``STEM_0``, ``STEM_1``, ... in their order, none if one is missing."""
    found = {
        int(match[1]): name
        for name in names
        if (match := re.fullmatch(re.escape(stem) + r"_(\d{1,9})", name))
    }
    # Embeddings are numbered from 0 or from 1; a gap means that a dimension is missing.
    start = min(found, default=0)
    wanted = range(start, start + len(found))
    return [found[i] for i in wanted] if start in (0, 1) and found.keys() == {*wanted} else []


def stems_of(names: Sequence[str]) -> list[str]:
    """Return what columns ``STEM_0``, ``STEM_1``, ... are called together."""
    stems = dict.fromkeys(re.sub(r"_\d+$", "", name) for name in names)
    return [stem for stem in stems if stem not in names and numbered(names, stem)]


def natural(name: str) -> list[Any]:
    """Return a key that sorts part.2 before part.10."""
    return [
        (not text.isdecimal(), int(text) if text.isdecimal() else text)
        for text in re.split(r"(\d+)", name)
    ]


def plain(value: Any) -> Any:
    """Return a number of NumPy as one of Python; anything else as it is."""
    return value.item() if isinstance(value, np.generic) else value


def decoded(what: Known, values: Any, where: str | None = None) -> NDArray[Any]:
    """Return what was read of a file as it is kept; an empty text is no label and no group."""
    where = where or what
    if what == "ids":
        return as_ids(values, where, whole=False)
    array = _as_array(what, values)
    if array.dtype.kind in "SUTO":
        array = _texts(array, where)
        array[array == ""] = None
    return array


def _texts(array: NDArray[Any], where: str) -> NDArray[Any]:
    """Return texts as Python strings; refuse what no file could hold."""
    try:
        if array.dtype.kind == "S":
            array = np.char.decode(array, "utf-8")
        array = array.astype(object)
        "".join(value for value in array.flat if isinstance(value, str)).encode()
    except (UnicodeError, ValueError, SystemError):  # numpy's, beyond what Unicode has
        row = next((i for i, value in enumerate(array) if not is_text(value)), 0)
        raise ValueError(
            f"{where}: what is at row {row:,} is no text that UTF-8 can hold; give texts, such as "
            "str(uuid.UUID(bytes=value)) for a UUID of 16 bytes."
        ) from None
    return array


def is_text(value: Any) -> bool:
    """Tell whether a text can be written as UTF-8."""
    try:
        value.decode() if isinstance(value, bytes) else str(value).encode()
    except UnicodeError:
        return False
    return True


def whole_numbers(texts: list[str]) -> list[Any]:
    """Return texts as integers if all are such."""
    whole = all(text.isdecimal() and str(int(text)) == text for text in texts)
    return [*map(int, texts)] if whole else texts


def check_length(what: str, values: Any, n_rows: int) -> None:
    """Refuse values that do not line up with the rows."""
    if len(values) != n_rows:
        raise ValueError(
            f"{what} has {counted(len(values), 'entry', 'entries')} and the pool has "
            f"{counted(n_rows, 'row')}; "
            "there must be one for each sample, in the same order."
        )


def as_ids(ids: Any, where: str = "ids", *, whole: bool = True) -> NDArray[Any]:
    """Return ids as an array of int64 or uint64, or of Python strings in an array of objects.

    Integers of a part of a pool, not `whole`, keep their sign: another part may need it.
    """
    # Of a list as it is: numpy would write a mixture as text, and drop zero bytes.
    array = _as_array("ids", ids)
    if array.ndim != 1:
        raise ValueError(
            f"{where} must have one dimension, one for each sample, got shape {array.shape}."
        )
    if array.dtype.kind == "O":
        array = _of_one_kind(array, where)
    if array.dtype.kind in "SUTO":
        return _texts(array, where)
    if array.dtype.kind not in "iu":
        raise TypeError(
            f"{where} must be integers or strings, got dtype {array.dtype}; convert them."
        )
    small = array.dtype != np.uint64 or (whole and array.max(initial=0) < 1 << 63)
    return array.astype(np.int64 if small else np.uint64, copy=False)


def check_ids(ids: Any, n_rows: int, *, whole: bool = True) -> NDArray[Any]:
    """Return ids as `as_ids` does, one for each row and each another."""
    array = as_ids(ids, whole=whole)
    check_length("ids", array, n_rows)
    refuse_twice(lambda: [(0, array)], n_rows, lambda row: f"row {row:,}")
    return array


def check_unique(source: Source) -> None:
    """Refuse a source in which two rows have the same id; found in bounded memory."""
    if source.has("ids"):
        stretches = functools.partial(stretches_of, "ids", source)
        refuse_twice(stretches, source.n_rows, source.where, f"{source.name}: ")


def check_groups(source: Source) -> None:
    """Refuse a source in which a row has no group; found in bounded memory."""
    for lo, groups in stretches_of("groups", source):
        missing = nulls(groups)
        if missing.any():
            place = int(np.argmax(missing))
            where = f"row {lo + place:,} ({source.where(lo + place)})"
            raise _no_group(plain(groups[place]), where)


def _no_group(value: Any, where: str) -> ValueError:
    return ValueError(
        f"groups is {value!r} at {where}: every sample must have a group; give each sample that "
        "goes with no other a group of its own."
    )


def check_same(one: Source, other: Source, *, other_kind: bool = False) -> None:
    """Refuse two sources whose ids, as texts, differ in a row; if some are in both at least,
    where they may be of `other_kind`.
    """
    for lo, ids in stretches_of("ids", one):
        theirs = other.ids(np.arange(lo, lo + len(ids)))
        here, there = ([*map(str, values.tolist())] for values in (ids, theirs))
        if here == there:
            continue
        texts = set(there)
        stretches = (map(str, values.tolist()) for _, values in stretches_of("ids", one))
        if other_kind and all(map(texts.isdisjoint, stretches)):
            return
        row = next(row for row, value in enumerate(here) if value != there[row])
        raise ValueError(
            f"row {lo + row:,} has the id {shown(plain(ids[row]))} in {one.name} and "
            f"{shown(plain(theirs[row]))} in {other.name}; bring the rows of both into one order, "
            "or give the column another name if it holds no ids of the samples."
        )


def refuse_twice(
    stretches: Callable[[], Iterable[tuple[int, NDArray[Any]]]],
    n_rows: int,
    where: Callable[[int], str],
    name: str = "",
) -> None:
    """Refuse ids of which some are there twice; they come in stretches, as often as is asked."""

    def keyed() -> Iterator[tuple[int, NDArray[Any], NDArray[np.int64]]]:
        for lo, ids in stretches():
            if ids.dtype.kind == "O":
                keys = np.fromiter(map(hash, ids), np.int64, len(ids))
            else:
                keys = ids.view(np.int64)
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
            f"{name}{counted(len(twice), 'id is', 'ids are')} there more than once: {some(twice)} "
            f"({value!r}: "
            f"{where(one)}, and {where(other)}); every sample needs an id of its own."
        )


def stretches_of(what: Known, source: Source) -> Iterator[tuple[int, NDArray[Any]]]:
    """Read ids, groups or labels in order: the first row, and the values from there on."""
    for lo in range(0, source.n_rows, STRETCH):
        yield lo, source.known(what, np.arange(lo, min(lo + STRETCH, source.n_rows)))


def find_rows(
    wanted: Any, ids: Callable[[], Iterable[tuple[int, NDArray[Any]]]], what: str
) -> NDArray[np.int64]:
    """Find the rows of some ids, integers or their texts, among those of a pool in stretches."""
    if isinstance(wanted, Set | Mapping):
        wanted = list(wanted)  # their order does not matter
    asked = as_ids(wanted, what).tolist()
    rows: dict[Any, int] = {}
    like: list[Any] = []
    keys: dict[Any, Any] = {}  # by which the pool knows them
    for lo, values in ids():
        if not lo:
            like = values[:3].tolist()
            keys = {value: _as_known(value, values.dtype) for value in asked}
            wanted = set(keys.values())
            numbers = np.array([k for k in wanted if type(k) is int], values.dtype)
        if values.dtype.kind == "O":
            rows.update((v, row) for row, v in enumerate(values.tolist(), lo) if v in wanted)
        else:
            hits = np.flatnonzero(np.isin(values, numbers))
            rows.update(zip(values[hits].tolist(), (hits + lo).tolist(), strict=True))
    unknown = [value for value in dict.fromkeys(asked) if keys[value] not in rows]
    if unknown:
        raise ValueError(
            f"{what}: {counted_of(len(unknown), len(asked), 'id')} not in the pool: "
            f"{some(unknown)}; "
            f"the pool has ids like {some(like)}{_composed(unknown, ids())}."
        )
    return np.array([rows[keys[value]] for value in asked], dtype=np.int64)


def _composed(unknown: list[Any], ids: Iterable[tuple[int, NDArray[Any]]]) -> str:
    """Say that an id is there, but for how its accents are written."""
    alike = {normalize("NFC", value): value for value in unknown if isinstance(value, str)}
    for _, values in ids if alike else ():
        for value in values.tolist():
            found = alike.get(normalize("NFC", value)) if isinstance(value, str) else None
            if found is not None:
                return (
                    f"; {found!r} and the pool's {value!r} look alike, but an accent is a "
                    "character of its own in one of them: bring both into one form with "
                    "unicodedata.normalize('NFC', id)"
                )
    return ""


def _as_known(value: Any, dtype: np.dtype[Any]) -> Any:
    """Return an id as a pool of integers, or of strings, knows it; '007' is the text of none."""
    if dtype.kind == "O":
        return str(value)
    if isinstance(value, str) and re.fullmatch(r"0|-?[1-9]\d{0,19}", value):
        value = int(value)
    limits = np.iinfo(dtype)
    return value if isinstance(value, str) or limits.min <= value <= limits.max else str(value)


def as_groups(groups: Any, n_rows: int) -> NDArray[Any]:
    """Return groups, one for each row: any hashable values, none of them missing."""
    array = _as_array("groups", groups)
    if array.ndim != 1:
        if isinstance(groups, list | tuple) and len(groups) == n_rows:
            array = np.empty(n_rows, dtype=object)  # of tuples, say
            array[:] = groups
        else:
            raise ValueError(
                f"groups must have one dimension, one for each sample, got {array.shape}."
            )
    check_length("groups", array, n_rows)
    array = _texts(array, "groups") if array.dtype.kind in "SU" else array
    missing = nulls(array)
    if missing.any():
        raise _no_group(plain(array[missing][0]), f"row {int(np.argmax(missing)):,}")
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
            f"classes has {counted(len(names), 'name')} and there must be {n_classes:,}, one "
            f"{what}: "
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
                f"columns for {counted(n_classes, 'class', 'classes')}."
            )
        return
    known = set(classes.tolist())
    unknown = [value for value in values if value not in known]
    if unknown:
        text = isinstance(unknown[0], str)
        near = (did_you_mean(unknown[0], map(str, known)) if text else "") or ";"
        raise ValueError(
            f"labels has values that are not among the classes: {some(unknown)}{near} the classes "
            f"are {some(classes, 12)}."
        )


def as_rows(rows: Any, n_rows: int, what: str = "rows") -> NDArray[np.int64]:
    """Return row numbers, said as a list, a set, a dict's keys, a mask, a series or a tensor."""
    if isinstance(rows, str | bytes | int | float):
        raise TypeError(
            f"{what} must be a list of row numbers or a mask, got {rows!r}; put one row into a "
            f"list."
        )
    if not hasattr(rows, "dtype"):
        ordered = isinstance(rows, list | tuple | range)
        rows = list(rows) if ordered or hasattr(rows, "__getitem__") else sorted(rows)
        if 0 < sum(isinstance(row, bool | np.bool_) for row in rows) < len(rows):
            raise TypeError(
                f"{what} mixes row numbers and booleans; give one or the other, a mask has one "
                "boolean for each row."
            )
    refuse_masked_rows(rows, what)
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
                f"{what} is a mask of {counted(len(array), 'entry', 'entries')}, and there are "
                f"{counted(n_rows, 'row')}; it "
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


def _as_array(what: str, values: Any) -> NDArray[Any]:
    """Return an array; refuse what has no order, and a text: it is not the list of its letters."""
    if isinstance(values, Set | Mapping | str | bytes):
        raise TypeError(
            f"{what} must be a list or an array, one for each sample in their order, got "
            f"{type(values).__name__}; put them into a list."
        )
    if hasattr(values, "columns"):
        raise TypeError(
            f"{what} must be one column, got a frame with the columns {some(values.columns)}; pass "
            f"one of them, as frame[{next(iter(values.columns), 'name')!r}]."
        )
    refuse_masked(values, what, NO_FILL)
    if not hasattr(values, "dtype") and not isinstance(values, list | tuple | np.ndarray):
        values = list(values) if hasattr(values, "__iter__") else values
    return np.asarray(without_tensor(values), dtype=None if hasattr(values, "dtype") else object)


def _of_one_kind(array: NDArray[Any], where: str) -> NDArray[Any]:
    """Tell objects that are all integers from strings; a mixture, or a hole, is refused."""
    for kinds in ((int, np.integer), (str,), (bytes,)):
        good = [isinstance(value, kinds) and not isinstance(value, bool) for value in array]
        if all(good):
            break
        if good[0]:
            raise _odd(array, good.index(False), where)
    else:
        raise _odd(array, 0, where)
    if kinds != (int, np.integer):
        return array if kinds == (str,) else np.array(array.tolist())
    low, high = (int(of(array, default=0)) for of in (min, max))
    for dtype in (np.int64, np.uint64):
        if np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max:
            return np.array(array.tolist(), dtype=dtype)
    raise ValueError(
        f"{where} that are integers must be from -2**63 below 2**63, or from 0 below 2**64, got "
        f"{low} to {high}; give such large ones as strings."[:400]
    )


def _odd(array: NDArray[Any], row: int, where: str) -> TypeError:
    first = f"{type(array[0]).__name__} {shown(array[0])} at row 0 and " if row else ""
    return TypeError(
        f"{where} must be all integers or all strings, got {first}{type(array[row]).__name__} "
        f"{shown(array[row])} at row {row}; convert them first."
    )
