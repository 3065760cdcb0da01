"""Rows that become unavailable when others of their group have been picked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Groups:
    """
    Which rows belong together, and how many of each group may be picked.

    Parameters
    ----------
    of_row : numpy.ndarray of shape (n_rows,), int64
        The number of each row's group, from 0.
    limit : int
        How many rows of one group a batch may hold, at least 1.

    Examples
    --------
    >>> import numpy as np
    >>> from labelnext.sampling import Groups
    >>> Groups(np.array([0, 0, 0, 1]), limit=2).most()
    3
    """

    of_row: NDArray[np.int64]
    limit: int

    def most(self, exclude: NDArray[np.int64] | None = None) -> int:
        """Return how many rows can be picked at all, without some that are no candidates."""
        of_row = self.of_row if exclude is None else np.delete(self.of_row, exclude)
        return int(np.minimum(np.bincount(of_row), self.limit).sum())


class Room:
    """How much room the groups of one selection have left; without groups there is no end."""

    def __init__(self, groups: Groups | None = None) -> None:
        self.groups = groups
        self._picked: dict[int, int] = {}
        self._full: list[int] = []

    def admit(self, row: int) -> bool:
        """Pick a row if its group has room, and say whether it had."""
        if self.groups is None:
            return True
        group = int(self.groups.of_row[row])
        picked = self._picked.get(group, 0)
        if picked == self.groups.limit:
            return False
        self._picked[group] = picked + 1
        if picked + 1 == self.groups.limit:
            self._full.append(group)
        return True

    def filled(self) -> NDArray[np.int64]:
        """Return the rows of groups that have become full since the last call."""
        if self.groups is None or not self._full:
            return np.empty(0, dtype=np.int64)
        rows = np.flatnonzero(np.isin(self.groups.of_row, self._full))
        self._full.clear()
        return rows.astype(np.int64)
