"""Arrays of one row a sample that are filled batch by batch."""

from __future__ import annotations

import numpy as np
import torch


class Rows:
    """Rows of a result, written as they come.

    Of a known length they are written to where they stay. Of an unknown length they are kept in
    host memory that grows in place, so that there is never a second copy of them all.

    Parameters
    ----------
    n_rows : int or None
        How many there will be, if that is known.
    width : int
        How many numbers a row has.
    dtype : torch.dtype
        What they are kept as.
    device : torch.device
        Where the result is to be.
    """

    def __init__(
        self, n_rows: int | None, width: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        self.width, self.dtype, self.device = width, dtype, device
        self._bytes_a_row = width * dtype.itemsize
        self._grown = np.empty(0, dtype=np.uint8)
        # A tensor made in inference mode could never be part of training.
        with torch.inference_mode(mode=False):
            self._fixed = (
                None if n_rows is None else torch.empty((n_rows, width), dtype=dtype, device=device)
            )

    def write(self, start: int, values: torch.Tensor) -> torch.Tensor:
        """Write rows from `start` on, and return where they are kept."""
        stop = start + len(values)
        if self._fixed is None:
            self._reserve(stop)
        kept = self._view(stop)[start:]
        kept.copy_(values)
        return kept

    def finish(self, n_rows: int) -> torch.Tensor:
        """Return the first rows, on their device."""
        with torch.inference_mode(mode=False):
            if self._fixed is None:
                self._grown.resize(n_rows * self._bytes_a_row, refcheck=False)
            return self._view(n_rows).to(self.device)

    def _view(self, stop: int) -> torch.Tensor:
        if self._fixed is not None:
            return self._fixed[:stop]
        part = torch.from_numpy(self._grown[: stop * self._bytes_a_row])
        return part.view(self.dtype).view(stop, self.width)

    def _reserve(self, n_rows: int) -> None:
        needed = n_rows * self._bytes_a_row
        if needed > len(self._grown):
            # The allocator moves pages, not numbers: an eighth more at a time is cheap. No view
            # of the old memory is alive: each lasts for one batch.
            self._grown.resize(needed + needed // 8, refcheck=False)
