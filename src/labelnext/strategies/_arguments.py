"""Arguments of a strategy and of a selection, checked: numbers, groups, rows to exclude."""

from __future__ import annotations

import numbers
from typing import TYPE_CHECKING, Any

import numpy as np

from labelnext.pools.known import as_groups, as_rows
from labelnext.sampling import Batch, Groups

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from labelnext.pools import Pool


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
    if not least <= float(value) < np.inf:
        raise ValueError(f"{name} must be finite and at least {least:g}, got {value}.")


def check_positive(name: str, value: Any) -> None:
    """Raise if a parameter is no finite number over 0."""
    check_number(name, value)
    if value == 0:
        raise ValueError(f"{name} must be over 0, got {value}.")


def check_flag(name: str, value: Any) -> None:
    """Raise if a parameter is neither True nor False."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be True or False, got {value!r}.")


def number_groups(
    groups: ArrayLike | None, max_per_group: Any, n_rows: int, rows: NDArray[np.int64] | None = None
) -> Groups | None:
    """Return the groups of some rows, of all if None; None where there is no limit."""
    if max_per_group is None:
        if groups is not None:
            raise ValueError(
                "groups says which samples belong together, but not how many of each may be "
                "picked; set max_per_group too."
            )
        return None
    check_integer("max_per_group", max_per_group, least=1)
    limit = int(max_per_group)
    if groups is None:
        raise ValueError(f"max_per_group={limit} needs the group of each sample; pass groups too.")
    names = as_groups(groups, n_rows)
    names = names if rows is None else names[rows]
    if names.dtype.kind in "iufSU":
        return Groups(np.unique(names, return_inverse=True)[1].astype(np.int64), limit)
    seen: dict[Any, int] = {}
    numbered = [seen.setdefault(name, len(seen)) for name in names.tolist()]
    return Groups(np.array(numbered, dtype=np.int64), limit)


def excluded_rows(exclude: Any, exclude_ids: Any, pool: Pool) -> NDArray[np.int64]:
    """Return the rows that must not be chosen, each once, ascending; either may be a batch."""
    rows: list[NDArray[np.int64]] = []
    if exclude is not None:
        picked = exclude.indices if isinstance(exclude, Batch) else exclude
        try:
            rows.append(as_rows(picked, pool.n_rows, "exclude"))
        except TypeError as error:
            raise TypeError(
                f"exclude takes row numbers or a mask, and exclude_ids takes ids: {error}"
            ) from None
        ids = exclude.ids if isinstance(exclude, Batch) and "ids" in pool.known else None
        if ids is not None and not np.array_equal(pool.ids_of(picked), ids):
            raise ValueError(
                "exclude is a batch of another pool: its rows have other ids here; pass "
                "exclude_ids=batch."
            )
    if isinstance(exclude_ids, Batch):
        exclude_ids = exclude_ids.ids
        if exclude_ids is None:
            raise ValueError("exclude_ids is a batch without ids; pass exclude=batch, its rows.")
    if exclude_ids is not None:
        rows.append(pool.rows_of(exclude_ids))
    return np.unique(np.concatenate(rows)) if rows else np.empty(0, dtype=np.int64)
