"""Points: distances between all pairs, a tile at a time, on the CPU or on the device they are on.

No n × n matrix is ever held. NumPy and torch share the code: `Points.xp` is the one that it is of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from threading import Lock
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.preprocessing import normalize as to_unit_length
from sklearn.utils.extmath import row_norms

from labelnext.engine.threads import SPAN, InOrder, for_each_span
from labelnext.utils.libraries import is_tensor, plain_float32, without_tensor

Floats = NDArray[np.float64]
Work = Callable[[slice, slice, Any], None]

# Points on one side of a tile; on the other are those of a span. 4 MB in float32.
BLOCK = 512
# The same of tensors; the numbers in one of their tiles, 256 MB in float32; and its most rows.
TENSOR_BLOCK, NUMBERS, ROWS = 4096, 1 << 26, 1 << 16
# In float32 squared distances are right to some 1e-6 of the largest squared norm. A radius whose
# square is below this share of it asks for float64.
FINE = 0.03
# Pairs within reach that are kept, at most: so many for each point, and in all, some 400 MB.
PAIRS_OF_EACH, MOST_PAIRS = 200, 1 << 24


class Points:
    """Points laid out so that one matrix product gives squared distances.

    With h' = (h, ‖h‖², 1) and g' = (-2g, 1, ‖g‖²) the product of h' and g' is ‖h - g‖². `rows` are
    the points as h', an array, CSR matrix or tensor, and `largest` is the largest squared norm.
    What is asked of pairs comes as an array.
    """

    def __init__(self, rows: Any, largest: float) -> None:
        self.rows, self.largest = rows, largest
        self.n = int(rows.shape[0])
        self.xp, self.beside = _library(rows)
        self.in_float32 = str(rows.dtype).endswith("float32")
        # By how much a squared distance may be off.
        eps = np.finfo(np.float32 if self.in_float32 else np.float64).eps
        self.rounding = 32 * float(eps) * largest

    def too_coarse_for(self, radius: float) -> bool:
        """Whether distances of that size ask for float64, and these are of float32."""
        return self.in_float32 and radius**2 < FINE * self.largest

    def take(self, rows: Any) -> Points:
        """Return some of the points, those of a slice, of numbers or of a mask."""
        rows = rows if isinstance(rows, slice) else self._moved(np.asarray(rows))
        return Points(self.rows[rows], self.largest)

    def in_float64(self) -> Points:
        """Return the same points in double precision."""
        return lay_out(self.rows[:, :-2], 0.0)

    def places(self, rows: NDArray[np.int64]) -> Floats:
        """Return some points as an array, as they were laid out."""
        found = self.take(rows).rows[:, :-2]
        return _fetched(found.toarray() if sp.issparse(found) else found).astype(np.float64)

    def at(self, places: Floats) -> Points:
        """Return points at some places, to hold these against."""
        ends = np.stack([(places**2).sum(axis=1), np.ones(len(places))], axis=1)
        rows = np.hstack([places, ends])
        return Points(self._moved(rows.astype(np.float32 if self.in_float32 else float)), np.inf)

    def for_each_tile(self, others: Points, work: Work) -> None:
        """Call ``work(span, part, tile)`` for all squared distances to others, spans side by side.

        The tile, of a span of the points and a part of the others, is the callee's to change.
        Rounding may take distances a little below 0.
        """
        with nullcontext() if self.xp is np else plain_float32(self.rows.device):
            for part in parts(others.n, self._block):
                other = others.rows[part]
                h, ends = -2 * other[:, :-2], other[:, -2:]
                if sp.issparse(other):
                    right = sp.hstack([h, ends[:, [1, 0]]], "csr").T.tocsc()
                else:
                    right = self.xp.hstack([h, self.xp.fliplr(ends)]).T
                self._for_each_span(part, right, work)

    def _for_each_span(self, part: slice, right: Any, work: Work) -> None:
        size = SPAN
        if self.xp is not np:
            size = min(ROWS, max(1, NUMBERS // (part.stop - part.start)))

        def of_span(number: int) -> None:
            span = slice(number * size, min((number + 1) * size, self.n))
            tile = self.rows[span] @ right
            work(span, part, tile.toarray() if sp.issparse(tile) else tile)

        if self.xp is np:
            for_each_span(of_span, self.n)
        else:
            for number in range(-(-self.n // size)):
                of_span(number)

    def within(self, limits: Floats) -> sp.csr_array | None:
        """Return the squared distances below a limit of each point, None if too many to be kept.

        In row i they are of the points j that have i below their limit, itself at 0 among them. A
        pair is computed once: all of them take half a product of all with all.
        """
        own, most = self._moved(limits), min(PAIRS_OF_EACH * self.n, MOST_PAIRS)
        found: dict[tuple[int, int], tuple[NDArray[Any], ...]] = {}
        n_found, lock = 0, Lock()
        for part in parts(self.n, self._block):

            def work(span: slice, _: slice, tile: Any, part: slice = part) -> None:
                nonlocal n_found
                if span.stop > part.start:
                    i, j = (self.xp.arange(s.start, s.stop, **self.beside) for s in (span, part))
                    tile[i[:, None] >= j] = np.inf
                is_near = tile < own[span][:, None]
                is_near |= tile < own[part]
                at = self.xp.argwhere(is_near.reshape(-1))[:, 0]
                with lock:
                    n_found += len(at)
                if n_found <= most:
                    d2, at = _fetched(tile.reshape(-1)[at]), _fetched(at)
                    i, j = (ends.astype(np.int32) for ends in np.divmod(at, part.stop - part.start))
                    found[part.start, span.start] = i + span.start, j + part.start, d2

            self.take(slice(part.stop)).for_each_tile(self.take(part), work)
            if n_found > most:
                return None
        return _by_row(self.n, [found[tile] for tile in sorted(found)], limits)

    def squared(self, others: Points) -> Floats:
        """Return the squared distance of each other to each point, shape (others.n, n)."""
        out = self._new((others.n, self.n))

        def work(span: slice, part: slice, tile: Any) -> None:
            out[part, span] = tile.T

        self.for_each_tile(others, work)
        return _fetched(self.xp.clip(out, 0, None))

    def sums(self, others: Points, scale: float, weights: Floats, floor: Floats) -> Floats:
        """Return Σ_x w_x max(0, exp(scale ‖x - y‖²) - floor_x) over the points x, for each other y.

        Sums of spans are added in their order, so that threads do not matter.
        """
        weights, floors = self._moved(weights), self._moved(floor[:, None])
        out = np.empty(others.n)
        for part in parts(others.n, self._block):
            sums: dict[int, Any] = {}

            def work(span: slice, _: slice, tile: Any, sums: dict[int, Any] = sums) -> None:
                tile *= scale
                self.xp.exp(tile, out=tile)
                tile -= floors[span]
                self.xp.clip(tile, 0, None, out=tile)
                sums[span.start] = weights[span] @ tile

            self.for_each_tile(others.take(part), work)
            of_spans = self.xp.stack([sums[start] for start in sorted(sums)])
            out[part] = _fetched(of_spans.sum(axis=0, dtype=self.xp.float64))
        return out

    def nearest_of_another(self, kinds: NDArray[np.int64]) -> Floats:
        """Return the squared distance of each point to the nearest of another kind, or inf."""
        order = np.argsort(kinds, kind="stable")
        points, kinds = self.take(order), kinds[order]
        own = self._moved(kinds)

        def mask(span: slice, part: slice, tile: Any) -> None:
            # In the order of kinds most tiles hold pairs of different ones only.
            if kinds[span][-1] >= kinds[part][0] and kinds[part][-1] >= kinds[span][0]:
                tile[own[span][:, None] == own[part]] = np.inf

        out = np.empty(self.n)
        out[order] = points.nearest(points, mask)
        return out

    def least_apart(self) -> float:
        """Return the least squared distance of two points that are apart, inf if there are none."""

        def mask(_: slice, __: slice, tile: Any) -> None:
            tile[tile <= self.rounding] = np.inf

        return float(self.nearest(self, mask).min())

    def nearest(self, others: Points, mask: Work = lambda *_: None) -> Floats:
        """Return the squared distance of each to the nearest other that a mask leaves, or inf."""
        out = self._new(self.n) + np.inf

        def work(span: slice, part: slice, tile: Any) -> None:
            mask(span, part, tile)
            out[span] = self.xp.minimum(out[span], self.xp.amin(tile, axis=1))

        self.for_each_tile(others, work)
        return _fetched(self.xp.clip(out, 0, None))

    def count(self, others: Points, limit: float) -> NDArray[np.int64]:
        """Count how many others are within the limit of each point."""
        out = self._new(self.n)

        def work(span: slice, _: slice, tile: Any) -> None:
            # Ones and zeros in the tile's own place: sums of a block of them are exact.
            out[span] += self.xp.less(tile, limit, out=tile).sum(axis=1)

        self.for_each_tile(others, work)
        return _fetched(out).astype(np.int64)

    def smallest(self, k: int) -> Floats:
        """Return the k smallest squared distances of each point, its own 0 among them."""
        out = self._new((self.n, k)) + np.inf

        def work(span: slice, _: slice, tile: Any) -> None:
            tile = self.xp.hstack([out[span], tile])
            if self.xp is np:
                out[span] = np.partition(tile, k - 1, axis=1)[:, :k]
            else:
                out[span] = tile.topk(k, largest=False)[0]

        self.for_each_tile(self, work)
        return _fetched(self.xp.where(out > self.rounding, out, 0.0))

    def clusters(self, centres: Points, *, fetch: bool = False) -> Any:
        """Return the number of the centre that is nearest to each, where it is unless fetched."""
        least, out = self._new(self.n) + np.inf, self._new(self.n, self.xp.int64)

        def work(span: slice, part: slice, tile: Any) -> None:
            of_part = self.xp.amin(tile, axis=1)
            is_less = of_part < least[span]
            out[span] = self.xp.where(is_less, tile.argmin(axis=1) + part.start, out[span])
            least[span] = self.xp.minimum(of_part, least[span])

        self.for_each_tile(centres, work)
        return _fetched(out) if fetch else out

    def sums_by(self, clusters: Any, n_clusters: int, weights: Floats) -> Floats:
        """Return Σ_x w_x x' over the points of each cluster: of h, of ‖h‖², and of the weights."""
        weighed, shape = self._moved(weights), (n_clusters, self.rows.shape[1])
        if self.xp is np:
            sums = InOrder(shape)

            def of_span(number: int) -> None:
                span = slice(number * SPAN, min((number + 1) * SPAN, self.n))
                size = span.stop - span.start
                hot = (weighed[span], clusters[span], np.arange(size + 1))
                of_clusters = sp.csr_array(hot, shape=(size, n_clusters)).T @ self.rows[span]
                dense = of_clusters.toarray() if sp.issparse(of_clusters) else of_clusters
                sums.add(number, dense[None])

            for_each_span(of_span, self.n)
            return sums.total
        total, names = self._new(shape), self.xp.arange(n_clusters, **self.beside)
        with plain_float32(self.rows.device):
            for span in parts(self.n, min(ROWS, max(1, NUMBERS // n_clusters))):
                hot = weighed[span] * (clusters[span] == names[:, None])
                total += hot @ self.rows[span]
        return _fetched(total)

    @property
    def _block(self) -> int:
        return BLOCK if self.xp is np else TENSOR_BLOCK

    def _new(self, shape: Any, dtype: Any = None) -> Any:
        """Return zeros beside the points, in float64 unless it is said."""
        return self.xp.zeros(shape, dtype=dtype or self.xp.float64, **self.beside)

    def _moved(self, values: NDArray[Any]) -> Any:
        """Return numbers beside the points, in the points' precision if they are floats."""
        dtype = self.rows.dtype if values.dtype.kind == "f" else None
        if self.xp is np:
            return values.astype(dtype or values.dtype, copy=False)
        return self.xp.as_tensor(values, dtype=dtype, **self.beside)


def lay_out(features: Any, radius: float = np.inf, *, normalize: bool | None = None) -> Points:
    """Lay features out, in float32 only if they are and it is fine enough for a radius.

    True scales them to length 1, zeros excepted; False moves the middle of all to the origin,
    where norms are no larger than need be beside distances, unless they are sparse.
    """
    xp, beside = _library(features)
    n, d = features.shape
    if sp.issparse(features):
        h = rows = to_unit_length(features) if normalize else features
    else:
        # In place: one copy of the features is enough.
        rows = xp.zeros((n, d + 2), dtype=features.dtype, **beside)
        h = rows[:, :-2]
        h[:] = features
        if normalize is False:
            h -= xp.asarray(h.mean(0, dtype=xp.float64), dtype=h.dtype)
    norms = _squared_norms(h)
    if normalize and h is not rows:
        lengths = xp.asarray(xp.sqrt(norms), dtype=h.dtype)
        h /= xp.where(lengths > 0, lengths, 1)[:, None]
        norms = _squared_norms(h)
    largest = float(norms.max())
    fine = str(features.dtype).endswith("float64") or radius**2 < FINE * largest
    dtype = xp.float64 if fine else xp.float32
    if h is rows:
        ends = sp.csr_array(np.stack([norms, np.ones(n)], axis=1))
        return Points(sp.hstack([rows, ends], "csr", dtype), largest)
    rows = xp.asarray(rows, dtype=dtype)
    rows[:, -2], rows[:, -1] = norms, 1
    return Points(rows, largest)


def _by_row(n: int, found: list[tuple[NDArray[Any], ...]], limits: Floats) -> sp.csr_array:
    """Put squared distances of pairs, which are in the order of the first, into the rows of both.

    By hand, for what SciPy needs beside it is three times as much.
    """
    sizes = np.ones(n, dtype=np.int64)
    for i, j, d2 in found:
        np.add.at(sizes, i[d2 < limits[j]], 1)
        np.add.at(sizes, j[d2 < limits[i]], 1)
    ends = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)
    place, data = ends[:-1].copy(), np.zeros(ends[-1], found[0][2].dtype)
    columns = np.empty(len(data), dtype=np.int32)
    columns[place] = np.arange(n)
    place += 1
    for i, j, d2 in found:
        for one, other in ((i, j), (j, i)):
            is_in = np.flatnonzero(d2 < limits[other])
            is_in = is_in[np.argsort(one[is_in], kind="stable")]
            rows = one[is_in]
            at = place[rows] + np.arange(len(rows)) - np.searchsorted(rows, rows)
            columns[at], data[at] = other[is_in], np.maximum(d2[is_in], 0)
            place[rows] = at + 1
    return sp.csr_array((data, columns, ends), shape=(n, n))


def _squared_norms(h: Any) -> Any:
    """Return ‖h‖² in float64, some rows at a time."""
    if is_tensor(h):
        return _library(h)[0].hstack([(part.double() ** 2).sum(1) for part in h.split(ROWS)])
    spans = (h[span].astype(np.float64) for span in parts(h.shape[0], SPAN))
    return np.hstack([row_norms(span, squared=True) for span in spans])


def _library(values: Any) -> tuple[Any, dict[str, Any]]:
    """Return the library that an array is of, and what makes it put others beside it."""
    if not is_tensor(values):
        return np, {}
    import torch

    return torch, {"device": values.device}


def first_by_lot(values: NDArray[Any], lots: NDArray[np.int64], rounding: float = 0.0) -> int:
    """Return the largest value's place; of those that differ by rounding only, by lot."""
    best = values.max()
    equal = np.flatnonzero(values >= best - rounding * abs(best))
    return int(equal[lots[equal].argmin()])


def parts(n: int, size: int) -> Iterator[slice]:
    """Cut n in slices of a size; the last may be shorter."""
    return (slice(lo, min(lo + size, n)) for lo in range(0, n, size))


def _fetched(values: Any) -> NDArray[Any]:
    return np.asarray(without_tensor(values))
