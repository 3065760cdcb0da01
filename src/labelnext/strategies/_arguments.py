"""Arguments of a strategy and of a selection, checked: groups, rows to exclude."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from labelnext.pools.known import as_groups, as_rows
from labelnext.sampling import Batch, Groups
from labelnext.utils.given import check_integer

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from labelnext.pools import Pool


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
