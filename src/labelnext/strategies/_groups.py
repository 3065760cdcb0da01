"""Samples that belong together: no more than so many picks from one of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from labelnext.sampling import Groups
from labelnext.strategies._checks import check_integer
from labelnext.utils.labels import is_null

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def as_groups(
    groups: ArrayLike | None, max_per_group: Any, n_rows: int, rows: NDArray[np.int64] | None = None
) -> Groups | None:
    """Return the groups of some rows, of all if None; None where there is no limit.

    Raises
    ------
    TypeError
        If `max_per_group` is no integer.
    ValueError
        If it is below 1, one of the two is given without the other, there is not one group for
        each sample, or a group is missing.
    """
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
    names = np.asarray(groups)
    if names.shape != (n_rows,):
        raise ValueError(
            f"groups must have one group for each sample that can be picked, shape "
            f"({n_rows},), got {names.shape}."
        )
    return Groups(_number((names if rows is None else names[rows]).tolist()), limit)


def _number(names: list[Any]) -> Any:
    """Number the groups in the order in which they come."""
    seen: dict[Any, int] = {}
    for name in names:
        if is_null(name):
            raise ValueError(
                f"groups must not hold {name!r}; give a sample that belongs to no other a group "
                f"of its own."
            )
        seen.setdefault(name, len(seen))
    return np.array([seen[name] for name in names], dtype=np.int64)
