"""Distances between all pairs of points, a tile at a time: no n × n matrix is ever held."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

from labelnext.engine.threads import SPAN, for_each_span

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

# Points on one side of a tile; on the other are those of a span. 4 MB in float32.
BLOCK = 512
# In float32 squared distances are right to some 1e-6 of the largest squared norm. A radius whose
# square is below this share of it asks for float64.
FINE = 0.03


class Points:
    """Points laid out so that one matrix product gives squared distances.

    With h' = (h, ‖h‖², 1) and g' = (-2g, 1, ‖g‖²) the product of h' and g' is ‖h - g‖². `rows` are
    the points as h', an array or CSR matrix, and `largest` is the largest squared norm.
    """

    def __init__(self, rows: Any, largest: float) -> None:
        self.rows = rows
        self.n = int(rows.shape[0])
        self.largest = largest
        self.in_float32 = str(rows.dtype).endswith("float32")
        # By how much a squared distance may be off.
        eps = np.finfo(np.float32 if self.in_float32 else np.float64).eps
        self.rounding = 32 * float(eps) * largest

    def too_coarse_for(self, radius: float) -> bool:
        """Whether distances of that size ask for float64, and these are of float32."""
        return self.in_float32 and radius**2 < FINE * self.largest

    def take(self, rows: Any) -> Points:
        """Return some of the points, those of a slice, of numbers or of a mask."""
        return Points(self.rows[rows], self.largest)

    def for_each_tile(
        self, others: Points, part: slice, work: Callable[[slice, NDArray[Any]], None]
    ) -> None:
        """Call ``work(span, tile)`` side by side for each span of the points.

        The tile holds squared distances to a part of other points, of shape (span, part), and is
        the callee's to change. Rounding may take them a little below 0.
        """
        other = others.rows[part]
        h, ends = other[:, :-2], other[:, -2:]
        if sp.issparse(other):
            right = sp.hstack([-2 * h, ends[:, [1, 0]]], "csr").T.tocsc()
        else:
            right = np.concatenate([-2 * h, ends[:, ::-1]], axis=1).T

        def of_span(number: int) -> None:
            span = slice(number * SPAN, min((number + 1) * SPAN, self.n))
            tile = self.rows[span] @ right
            work(span, tile.toarray() if sp.issparse(tile) else tile)

        for_each_span(of_span, self.n)

    def sums(
        self,
        others: Points,
        scale: float,
        weights: NDArray[np.float64],
        floor: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Return Σ_x w_x max(0, exp(scale ‖x - y‖²) - floor_x) over the points x, for each other y.

        Sums of spans are added in their order, so that threads do not matter.
        """
        weights, floors = (values.astype(self.rows.dtype) for values in (weights, floor[:, None]))
        out = np.empty(others.n)
        for part in blocks(others.n):
            sums = np.zeros((-(-self.n // SPAN), part.stop - part.start))

            def work(span: slice, tile: NDArray[Any], sums: NDArray[Any] = sums) -> None:
                tile *= scale
                np.exp(tile, out=tile)
                tile -= floors[span]
                np.maximum(tile, 0, out=tile)
                sums[span.start // SPAN] = weights[span] @ tile

            self.for_each_tile(others, part, work)
            out[part] = sums.sum(axis=0)
        return out

    def nearest(self, others: Points) -> NDArray[np.float64]:
        """Return the squared distance of each point to the nearest other one, inf for none."""
        out = np.full(self.n, np.inf)

        def work(span: slice, tile: NDArray[Any]) -> None:
            np.minimum(out[span], tile.min(axis=1), out=out[span])

        for part in blocks(others.n):
            self.for_each_tile(others, part, work)
        np.maximum(out, 0, out=out)
        return out

    def nearest_of_another(self, kinds: NDArray[Any]) -> NDArray[np.float64]:
        """Return the squared distance of each point to the nearest of another kind, or inf."""
        order = np.argsort(kinds, kind="stable")
        points, kinds = self.take(order), kinds[order]
        nearest = np.full(self.n, np.inf)
        for part in blocks(self.n):
            theirs = kinds[part]

            def work(span: slice, tile: NDArray[Any], theirs: NDArray[Any] = theirs) -> None:
                # In the order of kinds most tiles hold pairs of different ones only.
                if kinds[span][-1] >= theirs[0] and theirs[-1] >= kinds[span][0]:
                    tile[kinds[span][:, None] == theirs] = np.inf
                np.minimum(nearest[span], tile.min(axis=1), out=nearest[span])

            points.for_each_tile(points, part, work)
        out = np.empty(self.n)
        out[order] = np.maximum(nearest, 0)
        return out

    def count(self, others: Points, limit: float) -> NDArray[np.int64]:
        """Count how many others are within the limit of each point."""
        counts = np.zeros(self.n, dtype=np.int64)

        def work(span: slice, tile: NDArray[Any]) -> None:
            # Ones and zeros in the tile's own place: sums of a block of them are exact.
            counts[span] += np.less(tile, limit, out=tile).sum(axis=1).astype(np.int64)

        for part in blocks(others.n):
            self.for_each_tile(others, part, work)
        return counts

    def least_apart(self) -> float:
        """Return the least squared distance of two points that are apart, inf if there are none."""
        least = [np.inf]

        def work(span: slice, tile: NDArray[Any]) -> None:
            least.append(float(tile[tile > self.rounding].min(initial=np.inf)))

        for part in blocks(self.n):
            self.for_each_tile(self, part, work)
        return min(least)


def blocks(n: int) -> Iterator[slice]:
    """Cut a number of points into parts that are one side of a tile."""
    return (slice(lo, min(lo + BLOCK, n)) for lo in range(0, n, BLOCK))
