"""A pool in files, larger than memory: passes read it stretch by stretch, ahead of use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from labelnext.engine._disk_layout import lay_out
from labelnext.engine._disk_rows import Kept, RowsInFiles
from labelnext.engine._memory import GROUP, MemoryGradients, labels_dtype
from labelnext.engine.threads import InTurn, for_each_ahead, reading
from labelnext.pools.source import PARTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Self

    from numpy.typing import NDArray

    from labelnext.engine._memory import Changing
    from labelnext.engine.task import Task
    from labelnext.pools import Source

# D², the squared norm, whether it is available, and a sum for each group of rows.
STATE_BYTES = 8 + 8 + 1 + 8 / GROUP


class DiskGradients(MemoryGradients):
    """Gradients whose factors lie in files; made by `labelnext.open_pool`.

    What passes need of each row stays in memory: D², the norm, the pseudo-label and, where the
    pass is compiled, the scalars that its bounds are made of. Factors are read as they are
    needed, by threads that are ahead of those that compute. What the limit leaves room for stays
    in memory once it has been read.

    Parameters
    ----------
    source : Source
        The probabilities and features.
    limit : int
        Bytes that a selection may take.
    bias : bool
        Whether h is followed by a 1.
    task : {"multiclass", "multilabel", "binary"}, default="multiclass"
        What the columns of the probabilities are; see `as_gradients`.

    Raises
    ------
    ValueError
        If the values are not those of a pool of gradients, or the limit is too small.

    Examples
    --------
    >>> import numpy as np
    >>> from labelnext.engine import DiskGradients
    >>> from labelnext.pools import ArraySource
    >>> source = ArraySource(np.full((3, 2), 0.5), np.array([[1.0], [2.0], [4.0]]))
    >>> DiskGradients(source, 10**8, bias=False).squared_norms
    array([0.5, 2. , 8. ])
    """

    def __init__(
        self, source: Source, limit: int, *, bias: bool, task: Task = "multiclass"
    ) -> None:
        self.source = source
        self.layout = lay_out(source, limit, self._state_bytes(source, task))
        stretches = map(self.layout.stretch, range(self.layout.n_kept))
        self.kept = Kept(source, list(stretches))
        proba, features = (RowsInFiles(source, part, self.kept) for part in PARTS)
        self._in_turn: InTurn | None = InTurn()
        super().__init__(proba, features, bias=bias, task=task)  # type: ignore[arg-type]
        self._in_turn = None

    @staticmethod
    def _state_bytes(source: Source, task: Task) -> float:
        """How many bytes of each row stay in memory during a selection."""
        return STATE_BYTES + (task == "multiclass") * labels_dtype(source.n_columns).itemsize

    def _place(self) -> str:
        return f"in {self.source.name}"

    def ids(self, rows: NDArray[np.int64] | None = None) -> Any:
        """Return the ids of some rows, or of all.

        Parameters
        ----------
        rows : ndarray of int64, default=all
            The rows.

        Returns
        -------
        ndarray of int64 or of str objects, or None
            The ids, in the order asked for; None if the pool has none.
        """
        return self.source.ids(rows)

    def where(self, row: int) -> str:
        return f"{row} ({self.source.where(row)})"

    def for_each_stretch(self, work: Callable[[int, slice], None]) -> None:
        for_each_ahead(lambda number: work(number, self.layout.stretch(number)), len(self.layout))

    def parts(self, rows: slice, changing: Changing | None = None) -> Iterator[tuple[Self, slice]]:
        for run in self._runs(rows, changing):
            values, n_bytes = self._values(run)
            part = self.part(run, values["proba"], values["features"])
            part.bytes_read = n_bytes
            yield part, slice(0, part.n_rows)

    def _runs(self, rows: slice, changing: Changing | None) -> list[slice]:
        """Find the runs of rows that have to be read."""
        if changing is None or rows.stop <= self.kept.n_rows:
            return [rows]
        cuts = self.layout.cuts(rows)
        wanted = np.concatenate([[False], changing(cuts), [False]])
        edges = np.flatnonzero(wanted[1:] != wanted[:-1])
        return [slice(int(cuts[a]), int(cuts[b])) for a, b in edges.reshape(-1, 2)]

    def _values(self, rows: slice) -> tuple[dict[Any, NDArray[Any]], int]:
        """Return both parts of some rows, and how much was read for them."""
        if self.kept.has(rows):
            return {part: array[rows] for part, array in self.kept.arrays.items()}, 0
        with reading():
            if self._in_turn is None:
                values = {part: self.source.read(part, rows.start, rows.stop) for part in PARTS}
            else:
                # Checksums of files are made as they are read from their start to their end.
                with self._in_turn.turn(rows):
                    values = {part: self.source.read(part, rows.start, rows.stop) for part in PARTS}
        if self.kept.lacks(rows):
            self.kept.fill(rows, values)
        return values, (rows.stop - rows.start) * self.source.row_bytes

    def count_bytes(self, bytes_read: list[int]) -> dict[str, int]:
        total = self.n_rows * self.source.row_bytes
        return {"bytes_read": sum(bytes_read), "bytes_total": total}
