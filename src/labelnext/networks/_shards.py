"""The rows of a pass, written shard by shard; shards that are there are passed over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from labelnext.networks._result import Result

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from labelnext.engine import Task
    from labelnext.networks._catch import Caught
    from labelnext.pools import PoolWriter


class Shards:
    """Write what is caught to a pool folder, one shard in memory at a time.

    A shard is full at the end of the first batch with which it has `rows_per_shard` rows, so
    that whoever begins at its first row sees the batches that the first run saw.

    Parameters
    ----------
    writer : PoolWriter
        Where they go.
    finished : mapping of int to int
        The shards that are there, and how many rows they have.
    rows_per_shard : int
        How many rows fill a shard.
    ids : ndarray or None
        The ids of the samples of the pass.
    first_row : int
        Which sample the pass begins with: the first of a shard.
    n_rows : int or None
        How many samples it has, if that is known.
    task : str
        What the probabilities are of.
    dtype : torch.dtype or None
        What features are kept as; None for what they come as.
    given : torch.Tensor or None
        The features of the pass, where they need not be computed.
    """

    def __init__(
        self,
        writer: PoolWriter,
        finished: Mapping[int, int],
        rows_per_shard: int,
        ids: NDArray[Any] | None,
        first_row: int,
        n_rows: int | None,
        task: Task,
        dtype: torch.dtype | None,
        given: torch.Tensor | None,
    ) -> None:
        self.writer, self.finished = writer, finished
        self.rows_per_shard, self.ids = rows_per_shard, ids
        self.first_row, self.n_rows = first_row, n_rows
        self.task, self.dtype, self.given = task, dtype, given
        self.n_written = self.n_batches = 0
        self.number = first_row // rows_per_shard
        # Where the shard begins, in the pass.
        self._start = 0
        self._result: Result | None = None

    def passes_over(self, n_samples: int | None) -> bool:
        """Count a batch of a shard that is there; False if its rows are wanted."""
        if self.number not in self.finished:
            return False
        if n_samples is None:
            raise ValueError(
                "To go on, samples of finished shards must be counted, but it cannot be told how "
                "many samples a batch holds; pass a data set with a length, or begin anew."
            )
        self._count(n_samples)
        return True

    def add(self, caught: Caught, expected: int | None) -> None:
        """Take the rows of the next batch; the last of a shard has it written."""
        if self._result is None:
            n_rows, given = None, None
            if self.n_rows is not None:
                n_rows = min(self.rows_per_shard, self.n_rows - self._start)
                given = None if self.given is None else self.given[self._start :][:n_rows]
            self._result = Result(
                n_rows, self.task, self.dtype, given, self.first_row + self._start
            )
        self._result.add(caught, expected)
        self._count(len(caught.logits))

    def finish(self) -> int:
        """Write the last shard, which may be shorter; return how many shards there are up to it."""
        if self.n_rows is not None and self.n_written != self.n_rows:
            raise ValueError(
                f"The loader ended after {self.n_written} of {self.n_rows} samples, so rows "
                f"would be missing."
            )
        if self.n_written > self._start:
            self._close()
        return self.number

    def _count(self, n_rows: int) -> None:
        self.n_written += n_rows
        self.n_batches += 1
        if self.n_written - self._start >= self.rows_per_shard:
            self._close()

    def _close(self) -> None:
        lo, hi = self.first_row + self._start, self.first_row + self.n_written
        if self._result is not None:
            proba, features = (_as_array(tensor) for tensor in self._result.finish())
            if self.ids is not None and len(self.ids) < self.n_written:
                raise ValueError(
                    f"There are {len(self.ids):,} ids, and more samples than that; give each "
                    f"sample an id."
                )
            ids = None if self.ids is None else self.ids[self._start : self.n_written]
            self.writer.write(self.number, proba, features, ids)
            self._result = None
        elif self.finished[self.number] != hi - lo:
            raise ValueError(
                f"{self.writer.path} has {self.finished[self.number]:,} rows in shard "
                f"{self.number}, but now the data has {hi - lo:,} samples for it, from sample "
                f"{lo:,} on; go on with the same data in the same batches, or begin anew."
            )
        self._start = self.n_written
        self.number += 1


def _as_array(tensor: torch.Tensor) -> NDArray[Any]:
    if tensor.dtype == torch.bfloat16:
        tensor = tensor.float()  # NumPy has no bfloat16
    array: NDArray[Any] = tensor.detach().cpu().numpy()
    return array
