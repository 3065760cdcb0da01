"""The pass over a large pool: compiled, and pruned by bounds that cost a few numbers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from labelnext.engine._base import Drawn, PassReport
from labelnext.engine._factors import ROUNDING, Factors, PlainForm

# By name, so that one compiled of older code is found here, and not in a selection.
from labelnext.engine._kernels import COUNTERS, N_SCALARS, Block, Known, Matrix, mean_direction
from labelnext.engine._kernels import D2 as CompiledD2  # noqa: N811 a class
from labelnext.engine._plain import TILE, PlainD2, PlainGradients, labels_dtype
from labelnext.engine._rows import ArrayRows
from labelnext.engine.threads import SPAN, InOrder, spans
from labelnext.utils.libraries import is_sparse

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from labelnext.engine._base import D2
    from labelnext.engine._factors import Floats, Ints, StoredRows
    from labelnext.engine._rows import Stretch
    from labelnext.utils.given import Task


class PrunedGradients(PlainGradients):
    """Gradients whose passes are compiled, and skip what bounds rule out; see `PlainGradients`.

    Stretches of rows in files that no centre of a block can change, by what is in memory, are not
    read.
    """

    uses_blas = False

    @staticmethod
    def state_bytes(n_columns: int, task: Task) -> float:
        labels = labels_dtype(n_columns).itemsize
        return PlainGradients.state_bytes(n_columns, task) + 8 * N_SCALARS + labels

    def _read(self) -> None:
        in_memory = isinstance(self.rows, ArrayRows)
        self.matrices = _matrices(self.rows) if in_memory else None  # type: ignore[arg-type]
        # Any unit vector gives true bounds.
        self.direction = np.empty(self.features.shape[1])
        mean_direction(_matrix(self.rows.sample()), self.direction)
        self.scalars = np.empty((self.n_rows, N_SCALARS))
        self.runners_up = np.empty_like(self.pseudo_labels)
        self.known = Known(
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
            *self.where(stretch),
            self.direction,
            self.tolerance,
        )
        if bad >= 0:
            # The plain reading of the same rows says what is wrong.
            super()._read_stretch(stretch)
        if negative:
            self.has_negative = True

    def where(self, stretch: Stretch) -> tuple[Matrix, Matrix, int]:
        """Give both factors of a stretch the form that the kernels read, with its first row."""
        return *(self.matrices or _matrices(stretch)), stretch.start

    @property
    def form(self) -> PrunedForm:
        return PrunedForm(self.bias, self.task, self.direction, self.least_product)

    def fingerprint(self) -> str:
        return self._digest(self.squared_norms, self.pseudo_labels, self.runners_up, self.scalars)

    def gather(self, rows: Ints) -> Factors:
        stored, places = self.rows.having(rows)
        matrices = self.matrices or _matrices(stored)
        block = self.known.gather(rows, *matrices, places, self.least_product)
        return PrunedFactors(block, self.bias)

    def start(self, exclude: Ints) -> D2:
        return PrunedD2(self, exclude)


def _matrices(stored: StoredRows | Stretch | ArrayRows) -> tuple[Matrix, Matrix]:
    """Give both factors the form that the kernels read."""
    return Matrix(stored.proba), _matrix(stored.features)


def _matrix(rows: Any) -> Matrix:
    if is_sparse(rows):
        return Matrix(rows.data, rows.indices, rows.indptr, n_columns=rows.shape[1])
    return Matrix(rows)


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
        scalars, squared_norms = np.empty((n, N_SCALARS)), np.empty(n)
        labels, runners_up = np.empty((2, n), dtype=labels_dtype(n_columns))
        known = Known(labels, runners_up, squared_norms, scalars, self.bias)
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

    def __init__(self, block: Block, bias: bool) -> None:
        self.__dict__.update(block=block, bias=bias)

    block: Block

    def __len__(self) -> int:
        return len(self.block)

    def __getitem__(self, rows: slice | NDArray[Any]) -> PrunedFactors:
        return PrunedFactors(self.block.take(np.arange(len(self))[rows]), self.bias)

    @classmethod
    def concatenate(cls, blocks: list[Any]) -> PrunedFactors:
        if len(blocks) == 1:
            return blocks[0]  # type: ignore[no-any-return]
        return cls(Block.joined([b.block for b in blocks]), blocks[0].bias)

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

    def accept(
        self, rows: Ints, bars: Floats, d2: Floats, waiting: list[Any], most: int, admit: Any = None
    ) -> tuple[list[int], int]:
        return self.block.accept(rows, bars, d2, [each.block for each in waiting], most, admit)


class PrunedD2(PlainD2):
    """D² of a `PrunedGradients`."""

    pool: PrunedGradients

    def __init__(self, pool: PrunedGradients, exclude: Ints) -> None:
        super().__init__(pool, exclude[:0])
        self.compiled = CompiledD2(pool.known, self.values, self.is_available, TILE)
        self._take(exclude)

    # A number or two a row: over before other threads have started.

    def _take(self, rows: Ints) -> None:
        if len(rows):
            self.n_available -= self.compiled.take(rows)

    def largest_norm(self) -> int | None:
        row = self.compiled.largest_norm()
        return None if row < 0 else row

    def bound(self, norm: float) -> None:
        self.compiled.bound(norm, 1 + ROUNDING)
        self._weigh()

    def _weigh(self) -> None:
        self.weigh(self.scale.choose(self.compiled.largest()))

    def weigh(self, exponent: int) -> None:
        self.exponent = exponent
        self.total = self.compiled.weigh(exponent)

    def find(self, tickets: Ints) -> tuple[Ints, Floats, Ints]:
        rows, weights = np.empty((2, len(tickets)), dtype=np.int64)
        self.compiled.find(tickets, rows, weights)
        return rows, self.values[rows], weights

    def draw(
        self,
        bits: NDArray[np.uint64],
        lots: Floats,
        waiting: list[Any],
        most: int,
        admit: Any = None,
    ) -> Drawn:
        pool = self.pool
        if pool.matrices is None:
            # Rows have to be read, all at once.
            return super().draw(bits, lots, waiting, most, admit)
        block, rows, d2, n_seen = self.compiled.draw(
            *pool.matrices,
            pool.least_product,
            bits,
            lots,
            [each.block for each in waiting],
            most,
            admit,
        )
        return Drawn(PrunedFactors(block, pool.bias), rows, d2, n_seen)

    def min_update(self, centres: Factors, rows: Ints, trace: Floats | None = None) -> PassReport:
        if trace is not None:
            # Whoever wants every row's D² after every centre wants every pair.
            return super().min_update(centres, rows, trace)
        assert isinstance(centres, PrunedFactors)
        pool, n_centres = self.pool, len(centres)
        block, fresh, compiled = centres.block, not self.exact, self.compiled
        falls, bytes_read = InOrder(n_centres), [0]

        def changing(cuts: Ints) -> NDArray[np.bool_]:
            wanted = np.ones(len(cuts) - 1, dtype=bool)
            if not fresh:
                compiled.changing(cuts, block, wanted)
            return wanted

        def update(number: int, within: slice) -> None:
            # What the centres took, span by span: so it does not depend on the stretches.
            first = within.start // SPAN
            fall = np.zeros((-(-within.stop // SPAN) - first, n_centres))
            for stretch in pool.rows.stretches(within, changing):
                bytes_read.append(stretch.bytes_read)
                where = pool.where(stretch)
                for lo, hi in spans(stretch.rows.start, stretch.rows.stop):
                    compiled.lower(lo, hi, *where, fresh, block, fall[lo // SPAN - first])
            falls.add(number, fall)

        pool.rows.for_each_stretch(update)
        compiled.potentials(falls.total, SPAN)
        self.exact = True
        self._take(rows)
        self._weigh()
        counts: dict[str, int] = dict(zip(COUNTERS, compiled.counted(), strict=True))
        counts |= {"pairs": pool.n_rows * n_centres, **pool.rows.counters(sum(bytes_read))}
        return PassReport(falls.total, counts)
