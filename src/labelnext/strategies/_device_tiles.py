"""Distances between all pairs of points that are tensors, on the device where they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from labelnext.strategies._tiles import FINE, Points
from labelnext.utils.libraries import plain_float32

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

# Numbers in a tile, which has a row for each point: 256 MB in float32.
NUMBERS = 1 << 26
# Rows whose norms are computed at a time.
ROWS = 1 << 16


class DevicePoints(Points):
    """As `Points`, with rows that are a tensor; what is asked of all pairs comes as an array."""

    rows: torch.Tensor

    def take(self, rows: Any) -> DevicePoints:
        """Return some of the points."""
        if not isinstance(rows, slice):
            rows = torch.as_tensor(np.asarray(rows), device=self.rows.device)
        return DevicePoints(self.rows[rows], self.largest)

    def sums(
        self, others: Points, scale: float, weights: NDArray[np.float64], floor: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """As `Points.sums`."""
        weigh, floors = self._column(weights), self._column(floor)
        return self._of_others(
            others,
            lambda _, tile: (tile.mul_(scale).exp_().sub_(floors).clamp_(min=0).mul_(weigh)).sum(
                0, dtype=torch.float64
            ),
        )

    def nearest(self, others: Points) -> NDArray[np.float64]:
        """As `Points.nearest`."""
        out = self._of_self(np.inf)
        for _, tile in self._tiles(others):
            torch.minimum(out, tile.amin(1), out=out)
        return _fetched(out.clamp_(min=0))

    def nearest_of_another(self, kinds: NDArray[Any]) -> NDArray[np.float64]:
        """As `Points.nearest_of_another`."""
        out, of = self._of_self(np.inf), torch.as_tensor(kinds, device=self.rows.device)
        for part, tile in self._tiles(self):
            tile.masked_fill_(of[:, None] == of[part], np.inf)
            torch.minimum(out, tile.amin(1), out=out)
        return _fetched(out.clamp_(min=0))

    def count(self, others: Points, limit: float) -> NDArray[np.int64]:
        """As `Points.count`."""
        out = torch.zeros(self.n, dtype=torch.int64, device=self.rows.device)
        for _, tile in self._tiles(others):
            out += (tile < limit).sum(1)
        return np.asarray(out.cpu().numpy())

    def least_apart(self) -> float:
        """As `Points.least_apart`."""
        far = self.rows.new_tensor(np.inf)
        of_parts = self._of_others(
            self, lambda _, tile: torch.where(tile > self.rounding, tile, far).amin(0)
        )
        return float(of_parts.min(initial=np.inf))

    def _tiles(self, others: Points) -> Iterator[tuple[slice, torch.Tensor]]:
        """Yield squared distances to some others at a time, of shape (n, some)."""
        size = max(1, NUMBERS // self.n)
        for lo in range(0, others.n, size):
            part = slice(lo, min(lo + size, others.n))
            with plain_float32(self.rows.device):
                other = others.rows[part]
                yield part, self.rows @ torch.cat([-2 * other[:, :-2], other[:, -2:].flip(1)], 1).T

    def _of_others(self, others: Points, reduce: Any) -> NDArray[np.float64]:
        found = [reduce(part, tile) for part, tile in self._tiles(others)]
        return _fetched(torch.cat(found)) if found else np.empty(0)

    def _of_self(self, value: float) -> torch.Tensor:
        return torch.full((self.n,), value, dtype=self.rows.dtype, device=self.rows.device)

    def _column(self, values: NDArray[np.float64]) -> torch.Tensor:
        column = torch.as_tensor(values[:, None], device=self.rows.device)
        return column.to(self.rows.dtype)


def lay_out_tensor(features: torch.Tensor, radius: float) -> DevicePoints:
    """As `labelnext.strategies._points.lay_out`."""
    norms = torch.cat([(part.double() ** 2).sum(1) for part in torch.split(features, ROWS)])
    largest = float(norms.max())
    fine = features.dtype == torch.float64 or radius**2 < FINE * largest
    rows = features.new_empty(
        (len(features), features.shape[1] + 2), dtype=torch.float64 if fine else torch.float32
    )
    rows[:, :-2], rows[:, -2], rows[:, -1] = features, norms, 1
    return DevicePoints(rows, largest)


def place_tensor(features: torch.Tensor, normalize: bool) -> torch.Tensor:
    """As `labelnext.strategies._points.place`."""
    if not normalize:
        return features - features.mean(0, dtype=torch.float64).to(features.dtype)
    norms = torch.linalg.vector_norm(features, dim=1, keepdim=True)
    return features / torch.where(norms == 0, 1, norms)


def _fetched(values: torch.Tensor) -> NDArray[np.float64]:
    return np.asarray(values.cpu().numpy(), dtype=np.float64)
