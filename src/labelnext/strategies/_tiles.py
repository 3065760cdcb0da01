"""Distances between all pairs of points, a tile at a time: no n × n matrix is ever held."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp
from sklearn.preprocessing import normalize as to_unit_length
from sklearn.utils.extmath import row_norms

from labelnext.engine.threads import SPAN, for_each_span

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    Kernel = Callable[[NDArray[Any]], None]

# Points on one side of a tile; on the other are those of a span. 4 MB in float32.
BLOCK = 512
# In float32 squared distances are right to some 1e-6 of the largest squared norm. A radius whose
# square is below this share of it asks for float64.
FINE = 0.03


class Points:
    """Points laid out so that one matrix product gives squared distances.

    With h' = (h, ‖h‖², 1) and g' = (-2g, 1, ‖g‖²) the product of h' and g' is ‖h - g‖².

    Parameters
    ----------
    rows : ndarray or CSR matrix of shape (n, d + 2)
        The points as h'.
    largest : float
        The largest squared norm.
    """

    def __init__(self, rows: Any, largest: float) -> None:
        self.rows = rows
        self.n = int(rows.shape[0])
        self.largest = largest
        # By how much a squared distance may be off.
        self.rounding = 32 * float(np.finfo(rows.dtype).eps) * largest

    @classmethod
    def lay_out(cls, features: Any, radius: float = np.inf) -> Points:
        """Lay features out, in float32 only if they are and it is fine enough for a radius."""
        norms = row_norms(features, squared=True).astype(np.float64)
        largest = float(norms.max())
        fine = features.dtype == np.float64 or radius**2 < FINE * largest
        dtype = np.dtype(np.float64 if fine else np.float32)
        if fine and features.dtype != np.float64:
            norms = row_norms(features.astype(np.float64), squared=True)
        ends = np.stack([norms, np.ones(len(norms))], axis=1)
        if sp.issparse(features):
            return cls(sp.hstack([features, sp.csr_array(ends)], "csr", dtype), largest)
        rows = np.empty((len(norms), features.shape[1] + 2), dtype=dtype)
        rows[:, :-2], rows[:, -2:] = features, ends
        return cls(rows, largest)

    def too_coarse_for(self, radius: float) -> bool:
        """Whether distances of that size ask for float64, and these are of float32."""
        return bool(self.rows.dtype == np.float32 and radius**2 < FINE * self.largest)

    def take(self, rows: Any) -> Points:
        """Return some of the points."""
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
        kernel: Kernel,
        weights: NDArray[np.float64],
        floor: NDArray[np.float64] | None = None,
    ) -> NDArray[np.float64]:
        """Return Σ_x w_x max(0, k(x, y) - floor_x) over the points x, for each other point y.

        The kernel turns a tile of squared distances into its values, 0 or more. Sums of spans
        are added in their order, so that threads do not matter.
        """
        dtype = self.rows.dtype
        weights = weights.astype(dtype)
        floors = None if floor is None else floor.astype(dtype)[:, None]
        out = np.empty(others.n)
        for part in blocks(others.n):
            sums = np.zeros((-(-self.n // SPAN), part.stop - part.start))

            def work(span: slice, tile: NDArray[Any], sums: NDArray[Any] = sums) -> None:
                kernel(tile)
                if floors is not None:
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


def blocks(n: int) -> Iterator[slice]:
    """Cut a number of points into parts that are one side of a tile."""
    return (slice(lo, min(lo + BLOCK, n)) for lo in range(0, n, BLOCK))


def place(features: Any, normalize: bool) -> Any:
    """Scale features to length 1, or else move the middle of all to the origin.

    Distances are the same from the middle, and squared norms no larger than need be beside them.
    Sparse ones stay where they are, and a feature vector of zeros stays what it is.
    """
    if normalize:
        return to_unit_length(features)
    if sp.issparse(features):
        return features
    return features - features.mean(axis=0, dtype=np.float64).astype(features.dtype)


def first_by_lot(values: NDArray[Any], lots: NDArray[np.int64], rounding: float = 0.0) -> int:
    """Return the largest value's place; of those that differ by rounding only, by lot."""
    best = values.max()
    equal = np.flatnonzero(values >= best - rounding * abs(best))
    return int(equal[lots[equal].argmin()])
