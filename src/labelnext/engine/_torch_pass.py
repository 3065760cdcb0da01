"""One pass over a pool of tensors: fast products that sift the pairs, exact distances for the rest.

For all pairs of a tile's rows and the centres d² / N² is approximated from one product of
residuals and one of features, N being the largest ‖G‖ of the centres. Rows are divided by their
norms beforehand, so that nothing overflows, whatever the features' size. The approximation is off
by at most a known part of (‖G_i‖² + ‖G_c‖²) / N², the margin, so it is a bound from below and from
above. In float32, with n terms and a unit roundoff u, the margin is n u; on tensor cores see
`_triton`. A pair whose lower bound is not below the row's D² is done with. The others, about as
many as there are records in a row's sequence of distances, are evaluated in float64.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch.nn.functional import hardshrink

from labelnext.engine._factors import CANCELLED
from labelnext.engine._torch_rows import (
    TorchFactors,
    as_numpy,
    distances_from_differences,
    inverse_roots,
    room,
    row_products,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from labelnext.engine._factors import Floats
    from labelnext.engine._torch_rows import Rows, TorchRows

# Centres that are compared with the D² before the pass; further ones, as many again each time,
# with what those before them have left. Where no D² is known yet the first stands alone.
FIRST_BLOCK = 64
# Bytes of temporaries for a pair of a row and a centre that are all there; of a row, for the pairs
# that are left of it.
PAIR_BYTES, FOUND_BYTES = 32, 512


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
        self.fall = torch.zeros(len(centres), dtype=torch.float64, device=d2.device)
        self.n_evaluated = self.n_differences = 0
        # Where blocks of centres end: from one to the next twice as many.
        self.cuts, end = [0], 1 if fresh else FIRST_BLOCK
        while self.cuts[-1] < len(centres):
            self.cuts.append(min(end, len(centres)))
            end *= 2
        # Numbers below 1/huge² and above huge² are out of the dtype's reach.
        self.huge = 2.0**60 if pool.approximate == torch.float32 else 2.0**480
        self.tiny = 4 / self.huge**2
        self.squares = centres.a2 * centres.h2
        norms = self.squares.sqrt()
        self.unit = float(norms.max()) or 1.0
        self.c_norms = self._approximate(norms / self.unit)
        if pool.kernels is not None:
            self.margin = pool.kernels.margin(pool.n_columns, pool.n_features)
            self.units = pool.kernels.Units(pool, centres, self.c_norms)
        else:
            # Twice what the analysis asks for, on each side.
            n_terms = pool.n_columns + pool.n_features + 48
            self.margin = 2 * n_terms * torch.finfo(pool.approximate).eps / 2
            self.c_units = self._units(centres.residuals, centres.features, centres.a2, centres.h2)

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
        # In two steps, so that nothing overflows.
        a, h = (self._approximate(inverse_roots(x).sqrt())[:, None] for x in (a2, h2))
        residuals = (self._approximate(residuals) * a).mul_(a)
        features = (self._approximate(features) * h).mul_(h)
        if self.pool.device.type == "cpu":
            # A softmax of many classes is full of numbers whose products are subnormal, which
            # processors multiply a hundred times more slowly. Of a row of norm 1 they are nothing.
            residuals, features = (hardshrink(x, 1 / self.huge) for x in (residuals, features))
        return residuals, features, (h * h)[:, 0]

    def lower(self, trace: Floats | None) -> None:
        """Lower D² tile by tile."""
        n_centres, width = len(self.centres), self.pool.n_columns + self.pool.n_features
        pairs = PAIR_BYTES * n_centres
        row = FOUND_BYTES + (
            n_centres // 8 + 4 * width if self.pool.kernels else pairs + 32 * width
        )
        if trace is not None:
            row += pairs

        def work(tile: slice) -> None:
            self._lower_tile(tile, trace)

        self.pool.for_each_tile(work, row, f"a pass of {len(self.centres):,} centres over")

    def _lower_tile(self, tile: slice, trace: Floats | None) -> None:
        start, n_centres = self.d2[tile], len(self.centres)
        keys = self._near(tile, start).to(self.pool.exact_device)
        i, c = keys // n_centres, keys % n_centres
        d2, n_differences = self._evaluate(tile, keys, i, c)
        after, fall = self._in_order(i, c, d2, start)
        # By centre, and of each centre by row: always in the same order.
        by_centre = c.sort(stable=True)
        ends = torch.arange(n_centres + 1, device=c.device)
        lengths = torch.searchsorted(by_centre.values, ends).diff()
        falls = torch.segment_reduce(
            fall[by_centre.indices], "sum", lengths=lengths, initial=0.0, unsafe=True
        )
        lowered = start.scatter_reduce(0, i, d2, "amin")
        if trace is not None:
            trace[:, tile] = self._trace(i, c, after, start)
        # Nothing that lasts has changed so far: a tile for which there is no room is repeated.
        self.d2[tile] = lowered
        self.fall += falls
        self.n_evaluated += len(keys)
        self.n_differences += n_differences

    def _near(self, tile: slice, start: torch.Tensor) -> torch.Tensor:
        """Find the pairs that may lower D²: row · n_centres + centre, in ascending order."""
        pool = self.pool
        dtype = pool.approximate
        # In units of N. Of a row that is out of the dtype's reach, so much larger than all centres,
        # a shorter one takes the place: it is nearer to them all, and to the dtype as far from one
        # as from the other.
        norms = (pool.a2[tile] * pool.h2[tile]).sqrt() / self.unit
        norms = self._approximate(norms.clamp(max=self.huge))
        rounding = 8 * torch.finfo(dtype).eps
        limit = self._approximate((start.sqrt() / self.unit) ** 2 * (1 + rounding) + self.tiny)
        limit.masked_fill_((start == 0).to(pool.device), -torch.inf)
        if pool.kernels is not None:
            keys: torch.Tensor = self.units.near(tile, norms, limit, self.margin, self.tiny)
            return keys
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
        squares, c_squares = norms**2, self.c_norms**2
        low *= (-2 * norms)[:, None]
        low *= self.c_norms
        low += ((1 - self.margin) * squares)[:, None]
        low += (1 - self.margin) * c_squares - self.tiny
        # What a lower bound lacks to an upper one.
        gap = 2 * self.margin * squares
        c_gap = 2 * self.margin * c_squares + 2 * self.tiny
        near = torch.empty(low.shape, dtype=torch.bool, device=pool.device)
        for lo, hi in pairwise(self.cuts):
            torch.lt(low[:, lo:hi], limit[:, None], out=near[:, lo:hi])
            if hi < len(self.centres):
                nearest, where = low[:, lo:hi].min(dim=1)
                limit = torch.minimum(limit, nearest + (gap + c_gap[lo + where]))
        return near.view(-1).nonzero(as_tuple=True)[0]

    def _evaluate(
        self, tile: slice, keys: torch.Tensor, i: torch.Tensor, c: torch.Tensor
    ) -> tuple[torch.Tensor, int]:
        """d² of some pairs, as exact as float64 has it, and how many came from differences."""
        pool = self.pool
        own = i + tile.start
        if pool.kernels is not None:
            d2 = self.units.squared_distances(tile, keys)
        else:
            d2 = self._of_pairs(own, c, self._expanded)
        # A centre's own row, even where its duplicates would be told by a rounding.
        is_centre = own == self.rows[c]
        d2.masked_fill_(is_centre, 0.0)
        scale = pool.squared_norms[own] + self.squares[c]
        (near,) = ((d2 < CANCELLED * scale) & ~is_centre).nonzero(as_tuple=True)
        if len(near):
            d2[near] = self._of_pairs(own[near], c[near], distances_from_differences)
        return d2, len(near)

    def _of_pairs(
        self, rows: torch.Tensor, centres: torch.Tensor, what: Callable[..., torch.Tensor]
    ) -> torch.Tensor:
        """What some function makes of the factors of pairs of rows and centres."""
        pool, all_centres, parts = self.pool, self.centres, [self.fall[:0]]
        width = pool.n_columns + pool.n_features
        at_once = max(1, room(pool.exact_device) // (48 * width))
        for own, c in zip(*(torch.split(x, at_once) for x in (rows, centres)), strict=True):
            index = own.to(pool.device)
            # Features are multiplied as they are stored: in float64 all the same, centres being so.
            features = pool.features[index].to(pool.exact_device)
            x = (pool.residuals(index), features, pool.a2[own], pool.h2[own])
            y = (
                all_centres.residuals[c],
                all_centres.features[c],
                all_centres.a2[c],
                all_centres.h2[c],
            )
            parts.append(what(x, y, bias=pool.bias))
        return torch.cat(parts)

    @staticmethod
    def _expanded(x: Rows, y: Rows, *, bias: bool) -> torch.Tensor:
        products = row_products(x[1], y[1]) + float(bias)
        return x[2] * x[3] + y[2] * y[3] - 2.0 * products * row_products(x[0], y[0])

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
