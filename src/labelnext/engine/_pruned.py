"""The pass over a large pool: compiled, and pruned by bounds that cost a few numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from labelnext.engine import _kernels
from labelnext.engine._base import PassReport
from labelnext.engine._factors import ROUNDING, Factors, PlainForm
from labelnext.engine._plain import TILE, PlainD2, PlainGradients, labels_dtype
from labelnext.engine.threads import SPAN, InOrder, spans
from labelnext.utils.libraries import is_sparse

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from labelnext.engine._base import D2
    from labelnext.engine._factors import Floats, Ints, StoredRows
    from labelnext.engine._rows import Stretch
    from labelnext.utils.given import Task

COUNTERS = _kernels.COUNTERS


class PrunedGradients(PlainGradients):
    """Gradients whose passes are compiled, and skip what bounds rule out; see `PlainGradients`.

    Stretches of rows in files that no centre of a block can change, by what is in memory, are not
    read.
    """

    uses_blas = False

    @staticmethod
    def state_bytes(n_columns: int, task: Task) -> float:
        labels = labels_dtype(n_columns).itemsize
        return PlainGradients.state_bytes(n_columns, task) + 8 * _kernels.N_SCALARS + labels

    # Features that are NaN or far too large are found by the checks of the rows.
    @np.errstate(over="ignore", invalid="ignore")
    def _read(self) -> None:
        sample = self.rows.sample()
        mean = np.asarray(sample.sum(axis=0, dtype=np.float64)).ravel() / sample.shape[0]
        norm = math.sqrt(mean @ mean)
        # Any unit vector gives true bounds.
        usable = 0 < norm < math.inf
        self.direction = mean / norm if usable else np.full(len(mean), max(len(mean), 1) ** -0.5)
        self.scalars = np.empty((self.n_rows, _kernels.N_SCALARS))
        self.runners_up = np.empty_like(self.pseudo_labels)
        self.known = _kernels.Known(
            self.pseudo_labels,
            self.runners_up,
            self.squared_norms,
            self.scalars,
            self.bias,
        )
        self.has_negative = False
        super()._read()
        self.least_product = -np.inf if self.has_negative else float(self.bias)

    def _read_stretch(self, stretch: Stretch) -> None:
        rows = stretch.rows
        bad, negative = self.known.read(
            rows.start,
            rows.stop,
            *_matrices(stretch),
            stretch.start,
            self.direction,
            self.tolerance,
        )
        if bad >= 0:
            # The plain reading of the same rows says what is wrong.
            super()._read_stretch(stretch)
        if negative:
            self.has_negative = True

    @property
    def form(self) -> PrunedForm:
        return PrunedForm(self.bias, self.task, self.direction, self.least_product)

    def fingerprint(self) -> str:
        return self._digest(self.squared_norms, self.pseudo_labels, self.runners_up, self.scalars)

    def gather(self, rows: Ints) -> Factors:
        stored, places = self.rows.having(rows)
        return PrunedFactors(
            self.known.gather(rows, *_matrices(stored), places, self.least_product), self.bias
        )

    def start(self, exclude: Ints) -> D2:
        return PrunedD2(self, exclude)


def _matrices(stored: StoredRows | Stretch) -> tuple[_kernels.Matrix, _kernels.Matrix]:
    """Give both factors the form that the kernels read."""
    return _kernels.Matrix(stored.proba), _matrix(stored.features)


def _matrix(rows: Any) -> _kernels.Matrix:
    if is_sparse(rows):
        return _kernels.Matrix(rows.data, rows.indices, rows.indptr, n_columns=rows.shape[1])
    return _kernels.Matrix(rows)


@dataclass(frozen=True)
class PrunedForm(PlainForm):
    """How stored rows of any part of a pool become factors with what bounds are made of.

    Any unit vector does for the bounds, so each part may have its own; what is made of the factors
    of one form can be compared with those of the same form only.
    """

    direction: Floats
    least_product: float

    def factors_of(self, stored: StoredRows) -> PrunedFactors:
        n, n_columns = stored.proba.shape
        scalars, squared_norms = np.empty((n, _kernels.N_SCALARS)), np.empty(n)
        labels, runners_up = np.empty((2, n), dtype=labels_dtype(n_columns))
        known = _kernels.Known(labels, runners_up, squared_norms, scalars, self.bias)
        matrices = _matrices(stored)
        # They have been checked where they are at home.
        _, negative = known.read(0, n, *matrices, 0, self.direction, np.inf)
        least_product, rows = -np.inf if negative else self.least_product, np.arange(n)
        return PrunedFactors(known.gather(rows, *matrices, rows, least_product), self.bias)

    def joined(self, others: list[PlainForm]) -> PlainForm:
        # Of the features of plain parts it is not known whether any is negative.
        least = [f.least_product if isinstance(f, PrunedForm) else -np.inf for f in others]
        return replace(self, least_product=min(self.least_product, *least))


class PrunedFactors(Factors):
    """Factors that compiled code holds, with what their bounds are made of.

    Arrays are made of them when they are asked for.
    """

    def __init__(self, block: _kernels.Block, bias: bool) -> None:
        self.__dict__.update(block=block, bias=bias)

    block: _kernels.Block

    def __len__(self) -> int:
        return len(self.block)

    def __getitem__(self, rows: slice | NDArray[Any]) -> PrunedFactors:
        return PrunedFactors(self.block.take(np.arange(len(self))[rows]), self.bias)

    @classmethod
    def concatenate(cls, blocks: list[Any]) -> PrunedFactors:
        if len(blocks) == 1:
            return blocks[0]  # type: ignore[no-any-return]
        return cls(_kernels.Block.joined([b.block for b in blocks]), blocks[0].bias)

    @cached_property
    def residuals(self) -> Floats:
        return self.block.residuals

    @cached_property
    def features(self) -> Any:
        values = self.block.features.astype(np.float64)
        if values.ndim == 2:
            return values
        import scipy.sparse as sp

        places = self.block.columns, self.block.starts
        return sp.csr_array((values, *places), shape=(len(self), self.block.n_features))

    @cached_property
    def pseudo_labels(self) -> NDArray[np.int64]:
        return self.block.labels

    @cached_property
    def squared_norms(self) -> Floats:
        """‖G_i‖², shape (m,), as the pass has read them."""
        return self.block.squared_norms

    def lower(self, d2: Floats, centres: Any) -> None:
        self.block.lower(d2, centres.block)

    def distances_within(self, below: Floats) -> Floats:
        out = np.empty((len(self), len(self)))
        self.block.distances_within(below, out)
        return out

    def accept(
        self, rows: Ints, bars: Floats, d2: Floats, waiting: list[Any], most: int, admit: Any = None
    ) -> tuple[list[int], int]:
        return self.block.accept(rows, bars, d2, [each.block for each in waiting], most, admit)


class PrunedD2(PlainD2):
    """D² of a `PrunedGradients`."""

    pool: PrunedGradients

    # A number or two a row: over before other threads have started.

    def bound(self, norm: float) -> None:
        _kernels.lower_to_bound(self.pool.squared_norms, norm, 1 + ROUNDING, self.values)
        self._weigh()

    def _scale(self) -> tuple[float, float]:
        """2ˢ as two factors, for it may be too large for one."""
        s = self.exponent // 2
        return 2.0**s, 2.0 ** (self.exponent - s)

    def _sum_tiles(self) -> None:
        _kernels.sum_weights(self.values, *self._scale(), TILE, self._starts[1:])

    def find(self, tickets: Ints) -> tuple[Ints, Floats, Ints]:
        rows, weights = np.empty((2, len(tickets)), dtype=np.int64)
        _kernels.find(self.values, *self._scale(), TILE, self._starts, tickets, rows, weights)
        return rows, self.values[rows], weights

    def min_update(self, centres: Factors, rows: Ints, trace: Floats | None = None) -> PassReport:
        if trace is not None:
            # Whoever wants every row's D² after every centre wants every pair.
            return super().min_update(centres, rows, trace)
        assert isinstance(centres, PrunedFactors)
        pool, n_centres = self.pool, len(centres)
        block, fresh = centres.block, not self.exact
        falls, counters, bytes_read = InOrder(n_centres), InOrder(len(COUNTERS), int), [0]

        def changing(cuts: Ints) -> NDArray[np.bool_]:
            wanted = np.ones(len(cuts) - 1, dtype=bool)
            if not fresh:
                pool.known.changing(cuts, self.values, block, wanted)
            return wanted

        def update(number: int, within: slice) -> None:
            # What the centres took, span by span: so it does not depend on the stretches.
            first = within.start // SPAN
            fall = np.zeros((-(-within.stop // SPAN) - first, n_centres))
            counts = np.zeros((1, len(COUNTERS)), dtype=np.int64)
            for stretch in pool.rows.stretches(within, changing):
                bytes_read.append(stretch.bytes_read)
                where = *_matrices(stretch), stretch.start
                for lo, hi in spans(stretch.rows.start, stretch.rows.stop):
                    taken = fall[lo // SPAN - first]
                    pool.known.lower(lo, hi, *where, self.values, fresh, block, taken, counts[0])
            falls.add(number, fall)
            counters.add(number, counts)

        pool.rows.for_each_stretch(update)
        left = [self.values[lo:hi].sum() for lo, hi in spans(0, pool.n_rows)]
        self.exact = True
        self._take(rows)
        self._weigh()
        # From the end: what each centre took is added, nothing cancels.
        taken = np.concatenate([falls.total[1:], [np.sum(left)]])
        potentials = np.cumsum(taken[::-1])[::-1].copy()
        counts: dict[str, int] = dict(zip(COUNTERS, counters.total.tolist(), strict=True))
        counts |= {"pairs": pool.n_rows * n_centres, **pool.rows.counters(sum(bytes_read))}
        return PassReport(potentials, counts)
