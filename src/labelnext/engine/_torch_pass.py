"""One pass over a pool of tensors: fast products that sift the pairs, exact distances for the rest.

For all pairs of a tile's rows and the centres d² / N² is approximated from one product of
residuals and one of features, N being the largest ‖G‖ of the centres. Rows are divided by their
norms beforehand, so that nothing overflows, whatever the features' size. With n terms and a unit
roundoff u the approximation is off by at most n u (‖G_i‖² + ‖G_c‖²) / N², so it is a bound from
below and from above. A pair whose lower bound is not below the row's D² is done with. The others,
about as many as there are records in a row's sequence of distances, are evaluated in float64.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn.functional import hardshrink

from labelnext.engine._torch_rows import TorchFactors, as_numpy, distances_of_rows, room

if TYPE_CHECKING:
    from labelnext.engine._factors import Floats
    from labelnext.engine._torch_rows import TorchRows

# Centres that are compared with the D² before the pass; further ones, as many again each time,
# with what those before them have left. Where no D² is known yet the first stands alone.
FIRST_BLOCK = 64
# Bytes of temporaries for a pair of a row and a centre; with a trace.
PAIR_BYTES, TRACED_PAIR_BYTES = 32, 64


def inverse_roots(squares: torch.Tensor) -> torch.Tensor:
    """‖x‖^(−1/2) of ‖x‖², or 0: multiplied by it twice, a row has norm 1 and nothing overflows."""
    return torch.where(squares > 0, squares.pow(-0.25), torch.zeros_like(squares))


class Pass:
    """One pass: what it knows of the centres, and what it adds up."""

    def __init__(
        self,
        pool: TorchRows,
        d2: torch.Tensor,
        centres: TorchFactors,
        rows: torch.Tensor,
        *,
        fresh: bool,
    ) -> None:
        self.pool, self.d2, self.centres, self.rows = pool, d2, centres, rows
        self.fall = np.zeros(len(centres))
        self.n_evaluated = self.n_differences = 0
        self.first_block = 1 if fresh else FIRST_BLOCK
        dtype = pool.approximate
        limits = torch.finfo(dtype)
        n_terms = pool.n_columns + pool.n_features + 48
        # Twice what the analysis asks for, on each side.
        self.margin = 2 * n_terms * limits.eps / 2
        # Numbers below 1/huge² and above huge² are out of the dtype's reach.
        self.huge = 2.0**60 if dtype == torch.float32 else 2.0**480
        # Pairs to evaluate at a time. It takes a while to ask a driver for what is free.
        width = pool.n_columns + pool.n_features
        self.at_once = max(1, room(pool.exact_device) // (48 * width))
        norms = (centres.a2 * centres.h2).sqrt()
        self.unit = float(norms.max()) or 1.0
        self.c_units = self._units(centres.residuals, centres.features, centres.a2, centres.h2)
        self.c_norms = self._approximate(norms / self.unit)

    def counters(self) -> dict[str, int]:
        """Pairs by how far they got: all were tested; those evaluated needed both products."""
        pairs = self.pool.n_rows * len(self.centres)
        return {
            "pairs": pairs,
            "pairs_tested": pairs,
            "residual_products": self.n_evaluated,
            "feature_products": self.n_evaluated,
            "differences": self.n_differences,
        }

    def _approximate(self, tensor: torch.Tensor) -> torch.Tensor:
        return tensor.to(self.pool.approximate).to(self.pool.device)

    def _units(
        self, residuals: torch.Tensor, features: torch.Tensor, a2: torch.Tensor, h2: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Rows divided by their norms; the last is what that makes of a bias's 1."""
        a, h = (self._approximate(inverse_roots(x))[:, None] for x in (a2, h2))
        residuals = (self._approximate(residuals) * a).mul_(a)
        features = (self._approximate(features) * h).mul_(h)
        if self.pool.device.type == "cpu":
            # A softmax of many classes is full of numbers whose products are subnormal, which
            # processors multiply a hundred times more slowly. Of a row of norm 1 they are nothing.
            residuals, features = (hardshrink(x, 1 / self.huge) for x in (residuals, features))
        return residuals, features, (h * h)[:, 0]

    def lower(self, trace: Floats | None) -> None:
        """Lower D² tile by tile."""
        pair = PAIR_BYTES if trace is None else TRACED_PAIR_BYTES
        row = pair * len(self.centres) + 32 * (self.pool.n_columns + self.pool.n_features)

        def work(tile: slice) -> None:
            self._lower_tile(tile, trace)

        self.pool.for_each_tile(work, row, f"a pass of {len(self.centres):,} centres over")

    def _lower_tile(self, tile: slice, trace: Floats | None) -> None:
        start = self.d2[tile]
        i, c = (x.to(self.pool.exact_device) for x in self._near(tile, start))
        d2, n_differences = self._evaluate(tile, i, c)
        # A centre's own row, even where its duplicates would be told by a rounding.
        d2.masked_fill_(i + tile.start == self.rows[c], 0.0)
        after, fall = self._in_order(i, c, d2, start)
        last = torch.ones_like(i, dtype=torch.bool)
        last[:-1] = i[1:] != i[:-1]
        lowered = start.clone()
        lowered[i[last]] = after[last]
        some = fall > 0
        falls = np.bincount(
            as_numpy(c[some]), weights=as_numpy(fall[some]), minlength=len(self.fall)
        )
        if trace is not None:
            trace[:, tile] = self._trace(i, c, after, start)
        # Nothing that lasts has changed so far: a tile for which there is no room is repeated.
        self.d2[tile] = lowered
        self.fall += falls
        self.n_evaluated += len(i)
        self.n_differences += n_differences

    def _near(self, tile: slice, start: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Find the pairs that may lower D², by row and then by centre."""
        pool = self.pool
        dtype = pool.approximate
        residuals, features = pool.residuals(tile, dtype), pool.features[tile]
        a, h, ones = self._units(residuals, features, pool.a2[tile], pool.h2[tile])
        del residuals
        ca, ch, c_ones = self.c_units
        low = a @ ca.T
        cosines = h @ ch.T
        if pool.bias:
            cosines.addr_(ones, c_ones)
        low *= cosines
        del cosines, a, h
        # From here on in units of N. Of a row that is out of the dtype's reach, so much larger than
        # all centres, a shorter one takes the place: it is nearer to them all, and to the dtype as
        # far from one as from the other.
        norms = (pool.a2[tile] * pool.h2[tile]).sqrt() / self.unit
        rounding = 8 * torch.finfo(dtype).eps
        tiny = 4 / self.huge**2
        threshold = self._approximate((start.sqrt() / self.unit) ** 2 * (1 + rounding) + tiny)
        threshold.masked_fill_((start == 0).to(pool.device), -torch.inf)
        norms = self._approximate(norms.clamp(max=self.huge))
        squares, c_squares = norms**2, self.c_norms**2
        low *= (-2 * norms)[:, None]
        low *= self.c_norms
        low += ((1 - self.margin) * squares)[:, None]
        low += (1 - self.margin) * c_squares - tiny
        # What a lower bound lacks to an upper one.
        gap = 2 * self.margin * squares
        c_gap = 2 * self.margin * c_squares + 2 * tiny
        near = torch.empty(low.shape, dtype=torch.bool, device=pool.device)
        lo, size, n_centres = 0, self.first_block, len(self.centres)
        while lo < n_centres:
            hi = min(lo + size, n_centres)
            torch.lt(low[:, lo:hi], threshold[:, None], out=near[:, lo:hi])
            if hi < n_centres:
                nearest, where = low[:, lo:hi].min(dim=1)
                threshold = torch.minimum(threshold, nearest + (gap + c_gap[lo + where]))
            lo, size = hi, hi
        i, c = near.nonzero(as_tuple=True)
        return i, c

    def _evaluate(self, tile: slice, i: torch.Tensor, c: torch.Tensor) -> tuple[torch.Tensor, int]:
        """d² of some pairs, as exact as float64 has it."""
        pool, centres = self.pool, self.centres
        parts, n_differences = [], 0
        for rows, columns in zip(*(torch.split(x, self.at_once) for x in (i, c)), strict=True):
            own = rows + tile.start
            index = own.to(pool.device)
            # Features are multiplied as they are stored: in float64 all the same, centres being so.
            features = pool.features[index].to(pool.exact_device)
            x = (pool.residuals(index), features, pool.a2[own], pool.h2[own])
            y = (
                centres.residuals[columns],
                centres.features[columns],
                centres.a2[columns],
                centres.h2[columns],
            )
            d2, n_cancelled = distances_of_rows(x, y, bias=pool.bias)
            parts.append(d2)
            n_differences += n_cancelled
        return torch.cat(parts), n_differences

    def _in_order(
        self, i: torch.Tensor, c: torch.Tensor, d2: torch.Tensor, start: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """D² of the pair's row after its centre, and by how much that lowered it.

        Pairs are sorted by row: minima reach twice as far each time.
        """
        least, reach = d2, 1
        while reach < min(len(self.centres), len(i)):
            same = i[reach:] == i[:-reach]
            longer = torch.where(same, torch.minimum(least[reach:], least[:-reach]), least[reach:])
            least = torch.cat([least[:reach], longer])
            reach *= 2
        first = start[i]
        after = torch.minimum(least, first)
        before = first.clone()
        if len(i):
            before[1:] = torch.where(i[1:] == i[:-1], after[:-1], first[1:])
        # Nothing was known of a row's D² before the first centre.
        fall = torch.where(before < torch.inf, before - after, torch.zeros_like(after))
        return after, fall

    def _trace(
        self, i: torch.Tensor, c: torch.Tensor, after: torch.Tensor, start: torch.Tensor
    ) -> Floats:
        """Every row's D² after each of the centres."""
        shape = (len(start), len(self.centres))
        d2 = torch.full(shape, torch.inf, dtype=torch.float64, device=start.device)
        d2[i, c] = after
        d2[:, 0] = torch.minimum(d2[:, 0], start)
        return as_numpy(d2.cummin(dim=1).values.T)
