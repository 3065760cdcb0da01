"""A pool in this process's memory (or memory-mapped): NumPy arrays, or sparse features."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import scipy.sparse as sp

from labelnext.engine._base import D2, Gradients, PassReport
from labelnext.engine._factors import ROUNDING, Factors
from labelnext.engine._stored import PlainForm, StoredRows, plain_factors
from labelnext.engine._weights import Scale
from labelnext.engine.task import (
    TOLERANCE,
    TOLERANCES,
    TOO_LARGE,
    refuse_features,
    refuse_proba,
)
from labelnext.engine.threads import SPAN, InOrder, for_each_span

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from labelnext.engine.task import Task

    # Which of the groups of rows between cuts of a pool have to be looked at.
    Changing = Callable[[NDArray[np.int64]], NDArray[np.bool_]]

# Rows whose integer weights are kept as one sum; a draw finds the group, then the row.
GROUP = 64
# Rows of which something is copied at a time.
CHUNK = 1 << 18
# Bytes that the temporaries of a tile of rows may take: about a core's second-level cache.
TILE_BYTES = 1 << 20


class MemoryGradients(Gradients):
    """Gradients whose factors are arrays of this process; made by `as_gradients`.

    Parameters
    ----------
    proba : ndarray of shape (n_rows, n_classes)
        Class probabilities; read in tiles, never copied whole.
    features : ndarray or csr_array of shape (n_rows, n_features)
        Features; likewise.
    bias : bool
        Whether h is followed by a 1.
    task : {"multiclass", "multilabel", "binary"}, default="multiclass"
        What the columns of `proba` are; see `as_gradients`.
    stored_as : str, default=None
        The dtype that the probabilities were rounded to, if not that of `proba`.
    first_row : int, default=0
        What messages call the first row: that of the pool of which this is a part.

    Raises
    ------
    ValueError
        If the values are not those of a pool of gradients; see `as_gradients`.

    Examples
    --------
    >>> import numpy as np
    >>> from labelnext.engine import MemoryGradients
    >>> pool = MemoryGradients(np.full((3, 2), 0.5), np.array([[1.0], [2.0], [4.0]]), bias=False)
    >>> pool.squared_norms
    array([0.5, 2. , 8. ])
    """

    device = "cpu"
    offset = 0
    """Where the rows start in what this is a stretch of, if it is one; see `part`."""
    bytes_read = 0
    """What was read from files for this part."""

    def __init__(
        self,
        proba: NDArray[Any],
        features: Any,
        *,
        bias: bool,
        task: Task = "multiclass",
        stored_as: str | None = None,
        first_row: int = 0,
    ) -> None:
        self.proba = proba
        self.features = features
        self.bias = bias
        self.task = task
        self.first_row = first_row
        self.n_rows = len(proba)
        self.n_classes = 2 if task == "binary" else proba.shape[1]
        self.sparse = sp.issparse(features)
        self.stored_as = stored_as or str(proba.dtype)
        self.tolerance = TOLERANCES.get(self.stored_as, TOLERANCE)
        # Rounded labels are read off the probabilities again when they are wanted.
        self.pseudo_labels = np.empty(
            self.n_rows * (task == "multiclass"), dtype=labels_dtype(proba.shape[1])
        )
        self.squared_norms = np.empty(self.n_rows)
        self._read()

    def _read(self) -> None:
        def read(stretch: int, rows: slice) -> None:
            for part, own in self.parts(rows):
                part.read_rows(own)

        self.for_each_stretch(read)

    def for_each_stretch(self, work: Callable[[int, slice], None]) -> None:
        """Call ``work(number, rows)`` once for each stretch of the pool, side by side."""
        n = self.n_rows
        for_each_span(lambda span: work(span, slice(span * SPAN, min(n, (span + 1) * SPAN))), n)

    def parts(self, rows: slice, changing: Changing | None = None) -> Iterator[tuple[Self, slice]]:
        """Go through a stretch by parts whose factors are arrays.

        Parameters
        ----------
        rows : slice
            The stretch.
        changing : callable, optional
            Given cuts of the pool, which of the groups of rows between them have to be looked at.
            The others may be left out, where that saves anything.

        Yields
        ------
        part : MemoryGradients
            Some rows of the pool as a pool of their own, which starts at row `part.offset`.
        rows : slice
            The rows of the part that are meant.
        """
        yield self, rows

    # What overflows or is not a number is found by its result, and said better than by a warning.
    @np.errstate(over="ignore", invalid="ignore")
    def read_rows(self, rows: slice) -> None:
        """Check some rows and keep what passes need of them."""
        for tile in self.tiles(rows, columns=0):
            proba = self.proba[tile]
            self._check_proba(tile, proba)
            if self.task == "multiclass":
                self.pseudo_labels[tile] = proba.argmax(axis=1)
            factors = self.factors(tile)
            self.squared_norms[tile] = factors.squared_norms
            self._check_features(tile, factors)

    def part(self, rows: slice, proba: NDArray[Any], features: Any) -> Self:
        """Return some rows of the pool, with their factors, as a pool of their own.

        What is known of each row is shared with the whole.
        """
        part = copy.copy(self)
        part.offset, part.n_rows = rows.start, rows.stop - rows.start
        part.first_row = self.first_row + rows.start
        part.proba, part.features = proba, features
        part.pseudo_labels = self.pseudo_labels[rows]
        part.squared_norms = self.squared_norms[rows]
        return part

    def count_bytes(self, bytes_read: list[int]) -> dict[str, int]:
        """Return the counters of a pass for what its parts have read."""
        return {}

    def where(self, row: int) -> str:
        """Say which row of the pool this is, for messages."""
        return str(row)

    def _check_proba(self, rows: slice, proba: NDArray[Any]) -> None:
        # A NaN or an infinity fails a comparison; the causes are told apart only then.
        if self.task == "multiclass":
            off = proba.sum(axis=1, dtype=np.float64) - 1.0
            good = (np.abs(off) <= self.tolerance).all()
        else:
            good = proba.max() <= 1
        if not (good and proba.min() >= 0):
            first = self.first_row + rows.start
            refuse_proba(proba, first, self.task, self.tolerance, self.stored_as, self.where)

    def _check_features(self, rows: slice, tile: Factors) -> None:
        good = tile.feature_squares < TOO_LARGE
        if not good.all():
            row = int(np.argmin(good))
            values = tile.features[[row]]
            values = values.toarray()[0] if self.sparse else values[0]
            refuse_features(values, self.first_row + rows.start + row, self.where)

    def tiles(self, rows: slice, columns: int) -> list[slice]:
        """Cut rows into tiles whose temporaries, `columns` numbers a row included, fit a cache.

        Parameters
        ----------
        rows : slice
            The rows.
        columns : int
            How many float64 a row the work on the tile needs beside the factors.
        """
        width = self.proba.shape[1] + (0 if self.sparse else self.features.shape[1]) + columns
        size = min(SPAN, max(16, TILE_BYTES // (8 * width)))
        return [slice(lo, min(lo + size, rows.stop)) for lo in range(rows.start, rows.stop, size)]

    def factors(self, rows: slice | NDArray[np.int64]) -> Factors:
        """Return the factors of some rows in float64; only these rows are converted."""
        labels = self.pseudo_labels[rows] if self.task == "multiclass" else None
        stored = StoredRows(self.proba[rows], self.features[rows])
        return plain_factors(stored, labels, bias=self.bias, task=self.task)

    @property
    def form(self) -> PlainForm:
        return PlainForm(self.bias, self.task)

    def fingerprint(self) -> str:
        return self._digest(self.squared_norms)

    def gather(self, rows: NDArray[np.int64]) -> Factors:
        return self.factors(rows)

    def stored(self, rows: NDArray[np.int64]) -> StoredRows:
        # Plain arrays in C order, whatever the pool's are.
        features = self.features[rows]
        if not self.sparse:
            features = np.ascontiguousarray(features)
        return StoredRows(np.ascontiguousarray(self.proba[rows]), features)

    def factors_of(self, stored: StoredRows) -> Factors:
        return self.form.factors_of(stored)

    def start(self, exclude: NDArray[np.int64]) -> D2:
        return MemoryD2(self, exclude)


def labels_dtype(n_columns: int) -> np.dtype[Any]:
    """Return what pseudo-labels are kept in: two bytes do for most pools."""
    return np.dtype(np.uint16 if n_columns <= np.iinfo(np.uint16).max else np.int32)


def own_rows(rows: NDArray[np.int64], n_rows: int) -> NDArray[np.int64]:
    """Return the rows that are among `n_rows`; the others are those of other parts of a pool."""
    return rows[(rows >= 0) & (rows < n_rows)]


def largest_of(
    d2: NDArray[np.float64], m: int, n_available: int
) -> tuple[NDArray[np.int64], NDArray[np.float64], float]:
    """Do what `D2.largest` does, where D² is an array that is −1 where nothing is available."""
    m = min(m, n_available)
    last = np.partition(d2, len(d2) - m)[len(d2) - m]
    above, equal = np.flatnonzero(d2 > last), np.flatnonzero(d2 == last)
    rows = np.sort(np.concatenate([above, equal[: m - len(above)]])).astype(np.int64)
    if m == n_available:
        return rows, d2[rows], -1.0
    rest = last if len(above) + len(equal) > m else d2[d2 < last].max()
    return rows, d2[rows], float(rest)


class MemoryD2(D2):
    """D² of a `MemoryGradients`: one float64 and one bool a row."""

    def __init__(self, pool: MemoryGradients, exclude: NDArray[np.int64]) -> None:
        self.pool = pool
        self.values = np.full(pool.n_rows, np.inf)
        # False while the values are infinite or upper bounds, before the first pass.
        self.exact = False
        self.is_available = np.ones(pool.n_rows, dtype=bool)
        self._take(exclude)
        self.total, self.exponent, self.scale = 0, 0, Scale(pool.n_rows)
        self._group_totals = np.zeros(-(-pool.n_rows // GROUP), dtype=np.int64)

    def _take(self, rows: NDArray[np.int64]) -> None:
        rows = own_rows(rows, self.pool.n_rows)
        self.values[rows] = 0.0
        self.is_available[rows] = False
        self.n_available = int(np.count_nonzero(self.is_available))

    def largest(self, m: int) -> tuple[NDArray[np.int64], NDArray[np.float64], float]:
        # The largest of the rows so far and of the next ones are the largest of both.
        rows, largest, rest = np.empty(0, dtype=np.int64), np.empty(0), -1.0
        for at in self._chunks():
            own = np.where(self.is_available[at], self.values[at], -1.0)
            both = np.concatenate([largest, own])
            n_available = len(largest) + int(np.count_nonzero(self.is_available[at]))
            if n_available == 0:
                continue
            places, largest, left = largest_of(both, m, n_available)
            rows = np.concatenate([rows, np.arange(at.start, at.stop)])[places]
            rest = max(rest, left)
        return rows, largest, rest

    def _chunks(self) -> Iterator[slice]:
        """Cut the rows into pieces of which a copy is small."""
        n = self.pool.n_rows
        return (slice(lo, min(lo + CHUNK, n)) for lo in range(0, n, CHUNK))

    def withdraw(self, rows: NDArray[np.int64]) -> None:
        self._take(rows)
        self._weigh()

    def largest_norm(self) -> int | None:
        norms, found, most = self.pool.squared_norms, None, 0.0
        for at in self._chunks():
            row = at.start + int(np.where(self.is_available[at], norms[at], -1.0).argmax())
            if self.is_available[row] and norms[row] > most:
                found, most = row, float(norms[row])
        return found

    def available(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        counts = [int(np.count_nonzero(self.is_available[at])) for at in self._chunks()]
        ends = np.cumsum(counts)
        rows = np.empty(len(places), dtype=np.int64)
        for at, count, end in zip(self._chunks(), counts, ends, strict=True):
            here = (places >= end - count) & (places < end)
            if here.any():
                own = np.flatnonzero(self.is_available[at])
                rows[here] = at.start + own[places[here] - (end - count)]
        return rows

    def bound(self, norm: float) -> None:
        def lower(span: int) -> None:
            rows = slice(span * SPAN, (span + 1) * SPAN)
            limit = (np.sqrt(self.pool.squared_norms[rows]) + norm) ** 2 * (1 + ROUNDING)
            # Not 0, where all norms are: before the first pass that marks what cannot be picked.
            limit = np.maximum(limit, np.finfo(np.float64).tiny)
            np.minimum(self.values[rows], limit, out=self.values[rows])

        for_each_span(lower, self.pool.n_rows)
        self._weigh()

    def min_update(
        self,
        centres: Factors,
        rows: NDArray[np.int64],
        trace: NDArray[np.float64] | None = None,
    ) -> PassReport:
        potentials, bytes_read = InOrder(len(centres)), [0]
        order = np.argsort(rows)

        def update(stretch: int, within: slice) -> None:
            sums = np.zeros((1, len(centres)))
            for part, own in self.pool.parts(within):
                bytes_read.append(part.bytes_read)
                for tile in part.tiles(own, columns=3 * len(centres)):
                    at = slice(part.offset + tile.start, part.offset + tile.stop)
                    values = self.values[at]
                    if not self.exact:
                        values = np.where(values > 0, np.inf, 0.0)
                    d2 = centres.squared_distances(part.factors(tile), below=values)
                    first, last = np.searchsorted(rows, [at.start, at.stop], sorter=order)
                    for centre in order[first:last]:
                        d2[centre, rows[centre] - at.start] = 0.0
                    np.minimum(d2[0], values, out=d2[0])
                    np.minimum.accumulate(d2, axis=0, out=d2)
                    if trace is not None:
                        trace[:, at] = d2
                    sums += d2.sum(axis=1)
                    self.values[at] = d2[-1]
            potentials.add(stretch, sums)

        self.pool.for_each_stretch(update)
        self.exact = True
        self._take(rows)
        self._weigh()
        # Plain products: each pair goes all the way.
        pairs = self.pool.n_rows * len(centres)
        ways = ("pairs", "pairs_tested", "residual_products", "feature_products")
        counters = {**dict.fromkeys(ways, pairs), **self.pool.count_bytes(bytes_read)}
        return PassReport(potentials.total, counters)

    def _weigh(self) -> None:
        """Choose the scale of the integer weights and sum them, group by group."""
        self.weigh(self.scale.choose(float(self.values.max())))

    def weigh(self, exponent: int) -> None:
        self.exponent = exponent
        self._sum_groups()
        self.total = int(self._group_totals.sum())

    def _sum_groups(self) -> None:
        def weigh(span: int) -> None:
            weights = self._weights(slice(span * SPAN, (span + 1) * SPAN))
            sums = np.add.reduceat(weights, np.arange(0, len(weights), GROUP))
            start = span * (SPAN // GROUP)
            self._group_totals[start : start + len(sums)] = sums

        for_each_span(weigh, self.pool.n_rows)

    def _weights(self, rows: slice | NDArray[np.int64]) -> NDArray[np.int64]:
        scaled = np.ldexp(self.values[rows], self.exponent)
        weights: NDArray[np.int64] = np.ceil(scaled).astype(np.int64)
        return weights

    def find(
        self, tickets: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
        ends = np.cumsum(self._group_totals)
        groups = np.searchsorted(ends, tickets, side="right")
        # The last group may be short; its last row, said again, comes after every ticket's row.
        members = np.minimum(groups[:, None] * GROUP + np.arange(GROUP), self.pool.n_rows - 1)
        weights = self._weights(members)
        within = tickets - (ends[groups] - self._group_totals[groups])
        # The first that reaches the ticket: sums after the last row, said again, may overflow.
        places = (np.cumsum(weights, axis=1) > within[:, None]).argmax(axis=1)
        picked = np.arange(len(tickets))
        rows = members[picked, places]
        return rows, self.values[rows], weights[picked, places]
