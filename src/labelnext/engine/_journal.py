"""What has happened in a selection so far, to be told again to a part that was lost."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from labelnext.engine._stored import StoredRows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

# Centres of one pass, when passes are made again.
AT_ONCE = 4096


@dataclass
class Journal:
    """The centres, the rows taken and the bound so far: D² is a pure function of them.

    Parameters
    ----------
    n_rows : int
        Rows of the whole pool.
    taken : list of ndarray of int64
        Rows that were excluded or withdrawn.
    norm : float, default=None
        The least norm that D² was bounded by.
    exponent : int, default=None
        The s of the weights, once there are any.
    blocks : list of tuple of StoredRows and ndarray
        The centres of each pass and their rows.
    """

    n_rows: int
    taken: list[NDArray[np.int64]] = field(default_factory=list)
    norm: float | None = None
    exponent: int | None = None
    blocks: list[tuple[StoredRows, NDArray[np.int64]]] = field(default_factory=list)

    def calls(self, first_row: int, last_row: int) -> Iterator[tuple[str, tuple[Any, ...]]]:
        """Yield the calls that bring the part from one row up to another to where it was.

        Passes are made with all centres so far, not with those of each pass by itself.
        """
        taken = np.concatenate([np.empty(0, dtype=np.int64), *self.taken])
        yield "start", (self.n_rows, taken[(taken >= first_row) & (taken < last_row)])
        if self.blocks:
            centres = StoredRows.concatenate([stored for stored, _ in self.blocks])
            rows = np.concatenate([rows for _, rows in self.blocks])
            for lo in range(0, len(rows), AT_ONCE):
                some = slice(lo, lo + AT_ONCE)
                yield "min_update", (centres.take(some), rows[some], None, False)
        elif self.norm is not None:
            yield "bound", (self.norm, None)
        if self.exponent is not None:
            yield "weigh", (self.exponent,)
