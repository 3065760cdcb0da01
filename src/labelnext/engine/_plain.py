"""The plain pass: all products of a tile of rows with a block of centres, in NumPy."""

from __future__ import annotations

from functools import cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from labelnext.engine._base import D2, Gradients, PassReport, Scale
from labelnext.engine._factors import (
    ROUNDING,
    Factors,
    PlainForm,
    StoredRows,
    has_one_label,
    plain_factors,
)
from labelnext.engine.threads import SPAN, InOrder, for_each_span
from labelnext.pools.check import TOLERANCE, TOLERANCES, TOO_LARGE, refuse_features, refuse_proba
from labelnext.utils.given import CLASSIFICATION
from labelnext.utils.libraries import is_sparse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from labelnext.engine._factors import Floats, Ints
    from labelnext.engine._rows import Rows, Stretch
    from labelnext.utils.given import Task

# Rows of a tile whose integer weights are kept as one sum; a draw finds the tile, then the row.
TILE = 64
# Rows of which something is copied at a time.
AT_ONCE = 1 << 18
# D², the squared norm, whether a row is available, and a sum for each `TILE` of rows.
STATE_BYTES = 8 + 8 + 1 + 8 / TILE


class PlainGradients(Gradients):
    """Gradients whose factors are arrays, wherever their rows come from; plain passes.

    They are read once, and checked as `open_gradients` says. What passes need of each row stays
    in memory.
    """

    device = "cpu"

    def __init__(self, rows: Rows, *, bias: bool, task: Task = "multiclass") -> None:
        self.rows = rows
        self.proba, self.features = rows.proba, rows.features
        self.bias, self.task = bias, task
        self.n_rows, n_columns = self.proba.shape
        self.n_classes = 2 if task == "binary" else n_columns
        # Where the features are the gradients, probabilities are 0: their sum says nothing.
        known = task in CLASSIFICATION
        self.tolerance = TOLERANCES.get(rows.stored_as, TOLERANCE) if known else np.inf
        # Rounded labels are read off the probabilities again when they are wanted.
        self.pseudo_labels = np.empty(
            self.n_rows * has_one_label(task), dtype=labels_dtype(n_columns)
        )
        self.squared_norms = np.empty(self.n_rows)
        self._read()

    @staticmethod
    def state_bytes(n_columns: int, task: Task) -> float:
        """Return how many bytes of each row are in memory during a selection."""
        return STATE_BYTES + has_one_label(task) * labels_dtype(n_columns).itemsize

    def _place(self) -> str:
        return self.rows.place

    def _read(self) -> None:
        # What is made of each row is added as integers, which may come in any order.
        self._checksums: list[int] = []

        def read(number: int, rows: slice) -> None:
            for stretch in self.rows.stretches(rows):
                self._read_stretch(stretch)

        self.rows.for_each_stretch(read)

    # What overflows or is not a number is found by its result, and said better than by a warning.
    @np.errstate(over="ignore", invalid="ignore")
    def _read_stretch(self, stretch: Stretch) -> None:
        """Check some rows and keep what passes need of them."""
        for tile in stretch.tiles(columns=0):
            stored = stretch.stored(tile)
            self._check_proba(tile.start, stored.proba)
            if has_one_label(self.task):
                self.pseudo_labels[tile] = stored.proba.argmax(axis=1)
            factors = self._factors(stored, tile)
            self.squared_norms[tile] = factors.squared_norms
            self._check_features(tile.start, factors)
            self._checksums.append(_checksum(factors, tile))

    def _check_proba(self, start: int, proba: NDArray[Any]) -> None:
        # A NaN or an infinity fails a comparison; the causes are told apart only then.
        if has_one_label(self.task):
            off = proba.sum(axis=1, dtype=np.float64) - 1.0
            good = (np.abs(off) <= self.tolerance).all()
        else:
            good = proba.max() <= 1
        if not (good and proba.min() >= 0):
            rows = self.rows
            refuse_proba(proba, start, self.task, self.tolerance, rows.stored_as, rows.where)

    def _check_features(self, start: int, tile: Factors) -> None:
        good = tile.feature_squares < TOO_LARGE
        if not good.all():
            row = int(np.argmin(good))
            values = tile.features[[row]]
            values = values.toarray()[0] if is_sparse(values) else values[0]
            refuse_features(values, start + row, partial(self.rows.where, part="features"))

    def _factors(self, stored: StoredRows, rows: slice | Ints) -> Factors:
        """Return the factors of rows that are stored so; only these rows are converted."""
        labels = self.pseudo_labels[rows] if has_one_label(self.task) else None
        return plain_factors(stored, labels, bias=self.bias, task=self.task)

    @property
    def form(self) -> PlainForm:
        return PlainForm(self.bias, self.task)

    def fingerprint(self) -> str:
        total = sum(self._checksums) & (1 << 64) - 1
        return self._digest(self.squared_norms, np.array([total], dtype=np.uint64))

    def gather(self, rows: Ints) -> Factors:
        return self._factors(self.rows.take(rows), rows)

    def stored(self, rows: Ints) -> StoredRows:
        # Plain arrays in C order, whatever the pool's are.
        proba, features = self.rows.take(rows)
        if not is_sparse(features):
            features = np.ascontiguousarray(features)
        return StoredRows(np.ascontiguousarray(proba), features)

    def factors_of(self, stored: StoredRows) -> Factors:
        return self.form.factors_of(stored)

    def start(self, exclude: Ints) -> D2:
        return PlainD2(self, exclude)


def _checksum(factors: Factors, rows: slice) -> int:
    """Sum up what tells these gradients, in these rows, from any others: ⟨G_i, R⟩, by its bits."""
    a, h = factors.residuals, factors.features
    weights = _spread(h.shape[1])
    along = h @ weights if is_sparse(h) else np.einsum("ij,j->i", h, weights)
    values = np.einsum("ij,j->i", a, _spread(a.shape[1])) * along
    places = np.arange(rows.start, rows.stop, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    return int((values.view(np.uint64) * places).sum(dtype=np.uint64))


@cache
def _spread(n: int) -> Floats:
    """Numbers between 1 and 2 in no particular order, always the same."""
    return 1.0 + (np.arange(1, n + 1) * 40503 % 65536) / 65536


def labels_dtype(n_columns: int) -> np.dtype[Any]:
    """Return what pseudo-labels are kept in: two bytes do for most pools."""
    return np.dtype(np.uint16 if n_columns < 1 << 16 else np.int32)


def own_rows(rows: Ints, n_rows: int) -> Ints:
    """Return the rows that are among `n_rows`; the others are those of other parts of a pool."""
    return rows[(rows >= 0) & (rows < n_rows)]


def largest_of(d2: Floats, m: int, n_available: int) -> tuple[Ints, Floats, float]:
    """Do what `D2.largest` does, where D² is an array that is −1 where nothing is available."""
    m = min(m, n_available)
    last = np.partition(d2, len(d2) - m)[len(d2) - m]
    above, equal = np.flatnonzero(d2 > last), np.flatnonzero(d2 == last)
    rows = np.sort(np.concatenate([above, equal[: m - len(above)]])).astype(np.int64)
    if m == n_available:
        return rows, d2[rows], -1.0
    rest = last if len(above) + len(equal) > m else d2[d2 < last].max()
    return rows, d2[rows], float(rest)


class PlainD2(D2):
    """D² of a `PlainGradients`: one float64 and one bool a row."""

    def __init__(self, pool: PlainGradients, exclude: Ints) -> None:
        self.pool = pool
        self.values = np.full(pool.n_rows, np.inf)
        # False while the values are infinite or upper bounds, before the first pass.
        self.exact = False
        self.is_available = np.ones(pool.n_rows, dtype=bool)
        self.n_available = pool.n_rows
        if len(exclude):
            self._take(exclude)
        self.total, self.exponent, self.scale = 0, 0, Scale(pool.n_rows)
        # Where the weights of each tile of rows start when all are cumulated, and where they end.
        self._starts = np.zeros(-(-pool.n_rows // TILE) + 1, dtype=np.int64)

    def _take(self, rows: Ints) -> None:
        rows = own_rows(rows, self.pool.n_rows)
        self.values[rows] = 0.0
        self.is_available[rows] = False
        self.n_available = int(np.count_nonzero(self.is_available))

    def largest(self, m: int) -> tuple[Ints, Floats, float]:
        # The largest of the rows so far and of the next ones are the largest of both.
        rows, largest, rest = np.empty(0, dtype=np.int64), np.empty(0), -1.0
        for at in self._stretches():
            own = np.where(self.is_available[at], self.values[at], -1.0)
            both = np.concatenate([largest, own])
            n_available = len(largest) + int(np.count_nonzero(self.is_available[at]))
            if n_available == 0:
                continue
            places, largest, left = largest_of(both, m, n_available)
            rows = np.concatenate([rows, np.arange(at.start, at.stop)])[places]
            rest = max(rest, left)
        return rows, largest, rest

    def _stretches(self) -> Iterator[slice]:
        """Cut the rows into stretches of which a copy is small."""
        n = self.pool.n_rows
        return (slice(lo, min(lo + AT_ONCE, n)) for lo in range(0, n, AT_ONCE))

    def withdraw(self, rows: Ints) -> None:
        self._take(rows)
        self._weigh()

    def largest_norm(self) -> int | None:
        norms, found, most = self.pool.squared_norms, None, 0.0
        for at in self._stretches():
            row = at.start + int(np.where(self.is_available[at], norms[at], -1.0).argmax())
            if self.is_available[row] and norms[row] > most:
                found, most = row, float(norms[row])
        return found

    def available(self, places: Ints) -> Ints:
        counts = [int(np.count_nonzero(self.is_available[at])) for at in self._stretches()]
        ends = np.cumsum(counts)
        rows = np.empty(len(places), dtype=np.int64)
        for at, count, end in zip(self._stretches(), counts, ends, strict=True):
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

    def min_update(self, centres: Factors, rows: Ints, trace: Floats | None = None) -> PassReport:
        potentials, bytes_read = InOrder(len(centres)), [0]
        order = np.argsort(rows)

        def lower(stretch: Stretch, tile: slice) -> Floats:
            values = self.values[tile]
            if not self.exact:
                values = np.where(values > 0, np.inf, 0.0)
            factors = self.pool._factors(stretch.stored(tile), tile)
            d2 = centres.squared_distances(factors, below=values)
            first, last = np.searchsorted(rows, [tile.start, tile.stop], sorter=order)
            for centre in order[first:last]:
                d2[centre, rows[centre] - tile.start] = 0.0
            np.minimum(d2[0], values, out=d2[0])
            np.minimum.accumulate(d2, axis=0, out=d2)
            if trace is not None:
                trace[:, tile] = d2
            self.values[tile] = d2[-1]
            total: Floats = d2.sum(axis=1)
            return total

        def update(number: int, within: slice) -> None:
            sums = np.zeros((1, len(centres)))
            for stretch in self.pool.rows.stretches(within):
                bytes_read.append(stretch.bytes_read)
                for tile in stretch.tiles(columns=3 * len(centres)):
                    sums += lower(stretch, tile)
            potentials.add(number, sums)

        self.pool.rows.for_each_stretch(update)
        self.exact = True
        self._take(rows)
        self._weigh()
        # Plain products: each pair goes all the way.
        pairs = self.pool.n_rows * len(centres)
        ways = ("pairs", "pairs_tested", "residual_products", "feature_products")
        read = self.pool.rows.counters(sum(bytes_read))
        return PassReport(potentials.total, {**dict.fromkeys(ways, pairs), **read})

    def _weigh(self) -> None:
        """Choose the scale of the integer weights and sum them."""
        self.weigh(self.scale.choose(float(self.values.max())))

    def weigh(self, exponent: int) -> None:
        self.exponent = exponent
        self._sum_tiles()
        self._starts.cumsum(out=self._starts)
        self.total = int(self._starts[-1])

    def _sum_tiles(self) -> None:
        """Write the sum of the weights of each tile in place of its end."""

        def weigh(span: int) -> None:
            weights = self._weights(slice(span * SPAN, (span + 1) * SPAN))
            sums = np.add.reduceat(weights, np.arange(0, len(weights), TILE))
            start = span * (SPAN // TILE) + 1
            self._starts[start : start + len(sums)] = sums

        for_each_span(weigh, self.pool.n_rows)

    def _weights(self, rows: slice | Ints) -> Ints:
        scaled = np.ldexp(self.values[rows], self.exponent)
        weights: Ints = np.ceil(scaled).astype(np.int64)
        return weights

    def find(self, tickets: Ints) -> tuple[Ints, Floats, Ints]:
        if self.pool.n_rows <= len(tickets) * TILE:
            weights = self._weights(slice(None))
            rows = weights.cumsum().searchsorted(tickets, side="right")
            return rows, self.values[rows], weights[rows]
        tiles = np.searchsorted(self._starts[1:], tickets, side="right")
        # The last tile may be short; its last row, said again, comes after every ticket's row.
        members = np.minimum(tiles[:, None] * TILE + np.arange(TILE), self.pool.n_rows - 1)
        weights = self._weights(members)
        within = tickets - self._starts[tiles]
        # The first that reaches the ticket: sums after the last row, said again, may overflow.
        places = (np.cumsum(weights, axis=1) > within[:, None]).argmax(axis=1)
        picked = np.arange(len(tickets))
        rows = members[picked, places]
        return rows, self.values[rows], weights[picked, places]
