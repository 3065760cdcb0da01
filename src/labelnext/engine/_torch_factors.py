"""A block of gradients by their factors, as tensors: distances, exact as those of `Factors`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from labelnext.engine._factors import CANCELLED, ROUNDING, Factors

if TYPE_CHECKING:
    from numpy.typing import NDArray


def row_products(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """⟨x_i, y_i⟩ of each row i."""
    return (x * y).sum(dim=1)


def as_numpy(tensor: torch.Tensor) -> NDArray[Any]:
    """Fetch a tensor from wherever it is. NumPy has no bfloat16, which becomes float32."""
    wide = tensor.float() if tensor.dtype == torch.bfloat16 else tensor
    array: NDArray[Any] = wide.cpu().numpy()
    return array


@dataclass(frozen=True)
class TorchFactors(Factors):
    """Factors whose residuals and features are float64 tensors of one device.

    What sampling asks for is answered in NumPy arrays; pseudo-labels are one from the start.
    """

    residuals: Any
    features: Any

    def __getitem__(self, rows: slice | NDArray[Any]) -> TorchFactors:
        labels = self.pseudo_labels[rows]
        device = self.residuals.device
        index = rows if isinstance(rows, slice) else torch.tensor(rows, device=device)
        return TorchFactors(self.residuals[index], self.features[index], labels, self.bias)

    @classmethod
    def concatenate(cls, blocks: list[Any]) -> TorchFactors:
        if len(blocks) == 1:
            only: TorchFactors = blocks[0]
            return only
        return cls(
            torch.cat([b.residuals for b in blocks]),
            torch.cat([b.features for b in blocks]),
            np.concatenate([b.pseudo_labels for b in blocks]),
            blocks[0].bias,
        )

    @cached_property
    def a2(self) -> torch.Tensor:
        """‖a_i‖², where the factors are."""
        return row_products(self.residuals, self.residuals)

    @cached_property
    def h2(self) -> torch.Tensor:
        """‖h_i‖², where the factors are, the bias's 1 counted in."""
        return row_products(self.features, self.features) + float(self.bias)

    @cached_property
    def residual_squares(self) -> NDArray[np.float64]:
        return as_numpy(self.a2)

    @cached_property
    def feature_squares(self) -> NDArray[np.float64]:
        return as_numpy(self.h2)

    @cached_property
    def squared_norms(self) -> NDArray[np.float64]:
        return as_numpy(self.a2 * self.h2)

    def lower(self, d2: NDArray[np.float64], centres: Any) -> None:
        self.lower_to_all(d2, [centres])

    def lower_to_all(self, d2: NDArray[np.float64], blocks: list[Any]) -> None:
        if blocks:
            nearest = [self._distances(block).min(dim=1).values for block in blocks]
            np.minimum(d2, as_numpy(torch.stack(nearest).min(dim=0).values), out=d2)

    def _squared_distances(
        self,
        other: Any,
        below: NDArray[np.float64] | None,
        same: NDArray[np.bool_] | None,
    ) -> NDArray[np.float64]:
        return as_numpy(self._distances(other, below, same))

    def _distances(
        self,
        other: Any,
        below: NDArray[np.float64] | None = None,
        same: NDArray[np.bool_] | None = None,
    ) -> torch.Tensor:
        """As `Factors._squared_distances`."""
        scale = (self.a2 * self.h2)[:, None] + (other.a2 * other.h2)[None, :]
        d2: torch.Tensor = self.features @ other.features.T
        if self.bias:
            d2 += 1.0
        d2 *= self.residuals @ other.residuals.T
        d2 *= -2.0
        d2 += scale
        cancelled = d2 < CANCELLED * scale
        if below is not None:
            cancelled &= d2 < torch.as_tensor(below, device=d2.device) + ROUNDING * scale
        if same is not None:
            mask = torch.as_tensor(same, device=d2.device)
            d2.masked_fill_(mask, 0.0)
            cancelled &= ~mask
        i, j = cancelled.nonzero(as_tuple=True)
        if len(i):
            at_once = max(1, (1 << 24) // (self.residuals.shape[1] + self.features.shape[1]))
            parts = [
                distances_from_differences(
                    (self.residuals[s], self.features[s], self.a2[s], self.h2[s]),
                    (other.residuals[t], other.features[t], other.a2[t], other.h2[t]),
                    bias=self.bias,
                )
                for s, t in zip(torch.split(i, at_once), torch.split(j, at_once), strict=True)
            ]
            d2[i, j] = torch.cat(parts)
        return d2


# Residuals, features, ‖a‖² and ‖h‖² of some rows, in float64.
Rows = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]


def distances_of_rows(x: Rows, y: Rows, *, bias: bool) -> tuple[torch.Tensor, int]:
    """d²(x_t, y_t), row by row, and how many came from differences."""
    (xa, xh, xa2, xh2), (ya, yh, ya2, yh2) = x, y
    scale = xa2 * xh2 + ya2 * yh2
    d2 = row_products(xh, yh)
    if bias:
        d2 += 1.0
    d2 *= row_products(xa, ya)
    d2 *= -2.0
    d2 += scale
    (near,) = (d2 < CANCELLED * scale).nonzero(as_tuple=True)
    if len(near):
        pair = (
            (xa[near], xh[near], xa2[near], xh2[near]),
            (ya[near], yh[near], ya2[near], yh2[near]),
        )
        d2[near] = distances_from_differences(*pair, bias=bias)
    return d2, len(near)


def distances_from_differences(x: Rows, y: Rows, *, bias: bool) -> torch.Tensor:
    """As the function of that name in `_factors`, where the mathematics is."""
    turned = y[2] * x[3] > x[2] * y[3]
    wide = turned[:, None]
    xa, ya = torch.where(wide, y[0], x[0]), torch.where(wide, x[0], y[0])
    xh, yh = torch.where(wide, y[1], x[1]), torch.where(wide, x[1], y[1])
    a2, h2 = torch.where(turned, x[2], y[2]), torch.where(turned, y[3], x[3])
    da, dh = xa - ya, xh - yh
    s, t = _ratios(row_products(da, ya), a2), _ratios(row_products(dh, xh), h2)
    u, v = da - s[:, None] * ya, dh - t[:, None] * xh
    v2 = row_products(v, v)
    if bias:
        v2 = v2 + t * t
    d2: torch.Tensor = (s + t) ** 2 * (a2 * h2) + row_products(u, u) * h2 + a2 * v2
    return d2


def _ratios(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """x_i / y_i, or 0 where y_i is 0."""
    return torch.where(y > 0, x / y, 0.0)
