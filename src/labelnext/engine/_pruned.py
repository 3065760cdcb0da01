"""The pass over a large pool: compiled, and pruned by bounds that cost a few numbers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

from labelnext.engine import _kernels
from labelnext.engine._base import PassReport
from labelnext.engine._factors import ROUNDING, Factors, PlainForm, plain_factors
from labelnext.engine._plain import TILE, PlainD2, PlainGradients, labels_dtype
from labelnext.engine.threads import SPAN, InOrder, spans

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from labelnext.engine._base import D2
    from labelnext.engine._factors import Floats, Ints, StoredRows
    from labelnext.engine._rows import Stretch
    from labelnext.utils.given import Task

COUNTERS = ("pairs_tested", "residual_products", "feature_products", "differences")
# Five scalars of each row that bounds are made of.
SCALAR_BYTES = 40


class PrunedGradients(PlainGradients):
    """Gradients whose passes are compiled, and skip what bounds rule out; see `PlainGradients`.

    Stretches of rows in files that no centre of a block can change, by what is in memory, are not
    read.
    """

    @staticmethod
    def state_bytes(n_columns: int, task: Task) -> float:
        labels = labels_dtype(n_columns).itemsize
        return PlainGradients.state_bytes(n_columns, task) + SCALAR_BYTES + labels

    def _read(self) -> None:
        mean = np.asarray(self.rows.sample().mean(axis=0, dtype=np.float64)).ravel()
        norm = np.linalg.norm(mean)
        # Any unit vector gives true bounds. Features that are NaN or far too large are found by
        # the checks of the rows.
        usable = np.isfinite(norm) and norm > 0
        self.direction = mean / norm if usable else np.full(len(mean), len(mean) ** -0.5)
        self.scalars = np.empty((self.n_rows, 5))
        self.runners_up = np.empty(self.n_rows, dtype=self.pseudo_labels.dtype)
        self.has_negative = False
        super()._read()
        self.least_product = -np.inf if self.has_negative else float(self.bias)

    def _read_stretch(self, stretch: Stretch) -> None:
        rows, own = stretch.all, stretch.own
        bad, n_negative = _kernels.read_span(
            own.start,
            own.stop,
            _store(stretch.proba),
            _store(stretch.features),
            _signs(stretch.features),
            self.direction,
            float(self.bias),
            self.tolerance,
            self.pseudo_labels[rows],
            self.runners_up[rows],
            self.squared_norms[rows],
            self.scalars[rows],
            (np.empty(self.n_classes), np.zeros(len(self.direction))),
        )
        if bad >= 0:
            # The plain reading of the same rows says what is wrong.
            super()._read_stretch(stretch)
        if n_negative:
            self.has_negative = True

    @property
    def form(self) -> PrunedForm:
        return PrunedForm(self.bias, self.task, self.direction, self.least_product)

    def fingerprint(self) -> str:
        return self._digest(self.squared_norms, self.pseudo_labels, self.runners_up, self.scalars)

    def as_rows(self, rows: slice, proba: Any, features: Any) -> _kernels.Rows:
        """Return what `update_span` reads of some rows."""
        return _kernels.Rows(
            proba,
            features,
            float(self.bias),
            self.least_product,
            self.pseudo_labels[rows],
            self.runners_up[rows],
            self.squared_norms[rows],
            self.scalars[rows],
            nobody(self.pseudo_labels.dtype),
        )

    def gather(self, rows: Ints) -> Factors:
        return PrunedFactors.of(
            super().gather(rows),
            scalars=self.scalars[rows],
            runners_up=self.runners_up[rows],
            least_product=self.least_product,
            dtypes=(self.proba.dtype, self.features.dtype),
        )

    def start(self, exclude: Ints) -> D2:
        return PrunedD2(self, exclude)


def nobody(labels: np.dtype[Any]) -> Any:
    """Return a label that no row and no centre has, in the dtype of labels."""
    return labels.type(np.iinfo(labels).max)


def _compact(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """In what dtype centres are kept: the pool's, so that more of them stay in cache."""
    return np.dtype(np.float32) if dtype == np.float16 else dtype


def _store(array: Any) -> Any:
    """Give an array the form that the kernels read: float16 by its bits, CSR as a tuple."""
    if sp.issparse(array):
        return array.data, array.indices, array.indptr
    # Not a subclass: a memory map is an array to the compiler, too.
    array = np.asarray(array)
    return array.view(np.uint16) if array.dtype == np.float16 else array


def _signs(features: Any) -> NDArray[np.signedinteger[Any]]:
    """Integers that are negative where features may be, in the features' own memory."""
    if sp.issparse(features):
        return np.empty((0, 0), dtype=np.int8)  # the kernel looks at the entries themselves
    features = np.asarray(features)
    if features.dtype.kind == "u":
        return np.empty((len(features), 0), dtype=np.int8)
    signs: NDArray[np.signedinteger[Any]] = features.view(f"i{features.dtype.itemsize}")
    return signs


@dataclass(frozen=True)
class PrunedForm(PlainForm):
    """How stored rows of any part of a pool become factors with what bounds are made of.

    Any unit vector does for the bounds, so each part may have its own; what is made of the factors
    of one form can be compared with those of the same form only.
    """

    direction: Floats
    least_product: float

    def factors_of(self, stored: StoredRows) -> PrunedFactors:
        n = stored.proba.shape[0]
        scalars, squared_norms = np.empty((n, 5)), np.empty(n)
        dtype = labels_dtype(stored.proba.shape[1])
        labels, runners_up = np.empty(n, dtype=dtype), np.empty(n, dtype=dtype)
        _, n_negative = _kernels.read_span(
            0,
            n,
            _store(stored.proba),
            _store(stored.features),
            _signs(stored.features),
            self.direction,
            float(self.bias),
            np.inf,  # they have been checked where they are at home
            labels,
            runners_up,
            squared_norms,
            scalars,
            (np.empty(stored.proba.shape[1]), np.zeros(len(self.direction))),
        )
        return PrunedFactors.of(
            plain_factors(stored, labels, bias=self.bias, task=self.task),
            scalars=scalars,
            runners_up=runners_up,
            least_product=-np.inf if n_negative else self.least_product,
            dtypes=(stored.proba.dtype, stored.features.dtype),
        )

    def joined(self, others: list[PlainForm]) -> PlainForm:
        # Of the features of plain parts it is not known whether any is negative.
        least = [f.least_product if isinstance(f, PrunedForm) else -np.inf for f in others]
        return replace(self, least_product=min(self.least_product, *least))


@dataclass(frozen=True)
class PrunedFactors(Factors):
    """Factors with the scalars that their bounds are made of."""

    scalars: Floats
    runners_up: NDArray[Any]
    least_product: float
    dtypes: tuple[np.dtype[Any], np.dtype[Any]]

    @classmethod
    def of(cls, plain: Factors, **bounds: Any) -> PrunedFactors:
        """Add what bounds are made of to plain factors."""
        return cls(plain.residuals, plain.features, plain.pseudo_labels, plain.bias, **bounds)

    def __getitem__(self, rows: slice | NDArray[Any]) -> PrunedFactors:
        return PrunedFactors.of(
            super().__getitem__(rows),
            scalars=self.scalars[rows],
            runners_up=self.runners_up[rows],
            least_product=self.least_product,
            dtypes=self.dtypes,
        )

    @classmethod
    def concatenate(cls, blocks: list[Any]) -> PrunedFactors:
        return cls.of(
            Factors.concatenate(blocks),
            scalars=np.concatenate([b.scalars for b in blocks]),
            runners_up=np.concatenate([b.runners_up for b in blocks]),
            least_product=min(b.least_product for b in blocks),
            dtypes=blocks[0].dtypes,
        )

    @cached_property
    def as_centres(self) -> _kernels.Centres:
        """What `update_span` reads of a block of centres."""
        (labels, bounds), norms = self._for_bounds, np.sqrt(self.squared_norms)
        n_classes = self.residuals.shape[1]
        rest = self.residuals.copy()
        own = np.flatnonzero(labels >= 0)
        rest[own, labels[own]] = 0.0
        q, t, x = (bounds[:, column] for column in (_kernels.Q, _kernels.T, _kernels.X))
        scalars = np.stack([self.squared_norms, q, t, x, self._perp], axis=1)
        many = n_classes >= _kernels.MANY_CLASSES
        by_class = np.lexsort((norms, labels))
        return _kernels.Centres(
            labels,
            self.pseudo_labels,
            scalars,
            self.residuals,
            np.empty((0, 0, 0)) if many else _in_words(self.residuals),
            rest.astype(_compact(self.dtypes[0])),
            _store(self.features.astype(_compact(self.dtypes[1]))),
            _table(np.arange(len(self)), norms, labels, scalars),
            _table(by_class, norms, labels, scalars),
            np.searchsorted(labels[by_class], np.arange(n_classes + 1)),
            _table(np.argsort(norms), norms, labels, scalars),
            self._reach(),
        )

    def _reach(self) -> Floats:
        """What bounds ⟨G_i, G_c⟩ for all centres c of the block and rows i of other classes.

        With β = t h and γ = q h, and ‖G‖² = β² + γ²: ⟨a_i, a_c⟩ is between −(q_i t_c + q_c t_i)
        and t_i t_c, so ⟨G_i, G_c⟩ ≤ β_i β_c if no ⟨h_i, h_c⟩ is negative, and else at most
        β_i (β_c + γ_c) + γ_i β_c. Divided by ‖G_c‖, the largest over the block.
        """
        _, bounds = self._for_bounds
        q, t = bounds[:, _kernels.Q], bounds[:, _kernels.T]
        a = np.maximum(np.hypot(q, t), np.finfo(float).tiny)
        if self.least_product >= 0:
            return np.array([(t / a).max(), 0.0])
        return np.array([((t + q) / a).max(), (t / a).max()])

    def distances_within(self, below: Floats) -> Floats:
        out = np.empty((len(self), len(self)))
        labels, bounds = self._for_bounds
        _kernels.distances_below(
            float(self.bias),
            self.least_product,
            labels,
            self.squared_norms,
            bounds,
            self._perp,
            self.residuals,
            _store(self.features),
            below,
            out,
            (np.zeros(self.features.shape[1]), np.zeros(self.features.shape[1])),
        )
        return out

    @cached_property
    def _for_bounds(self) -> tuple[Ints, Floats]:
        """Labels and scalars as bounds take them; see `_kernels`."""
        above = self.scalars[:, _kernels.Q] < 0
        if not above.any():
            return self.pseudo_labels, self.scalars
        bounds = self.scalars.copy()
        bounds[above, _kernels.Q] = 0.0
        # Nobody's, each another.
        return np.where(above, -1 - np.arange(len(self)), self.pseudo_labels), bounds

    @cached_property
    def _perp(self) -> Floats:
        squares = self.feature_squares - self.bias
        along = self.scalars[:, _kernels.X]
        # As `_kernels.leg`: never below the truth.
        rest: Floats = np.sqrt(np.maximum(squares - along * along, 0.0) + 1e-13 * squares)
        return rest

    @cached_property
    def _as_rows(self) -> _kernels.Rows:
        # As the pool stores them, which is exact but for the pseudo-labels' entries, not read
        # here: so the passes' compiled code will do.
        return _kernels.Rows(
            _store(self.residuals.astype(self.dtypes[0])),
            _store(self.features.astype(self.dtypes[1])),
            float(self.bias),
            self.least_product,
            self.pseudo_labels.astype(self.runners_up.dtype),
            self.runners_up,
            self.squared_norms,
            self.scalars,
            nobody(self.runners_up.dtype),
        )

    def lower(self, d2: Floats, centres: Any) -> None:
        rows = self._as_rows
        _kernels.update_span(
            0,
            len(self),
            rows,
            d2,
            False,
            centres.as_centres,
            np.zeros(len(centres)),
            np.zeros(len(COUNTERS), dtype=np.int64),
            _scratch(rows, len(centres), self.features.shape[1]),
        )


def _table(order: NDArray[np.intp], norms: Any, labels: Any, scalars: Any) -> _kernels.Table:
    """Make a table of a block of centres in some order."""
    in_words = _in_words(scalars[order])
    # What fills up the last word is infinitely far from everything.
    in_words[-1, 0, len(order) - (len(in_words) - 1) * _kernels.WORD :] = np.inf
    return _kernels.Table(order, norms[order], _in_words(labels[order, None])[:, 0], in_words)


def _in_words(columns: NDArray[Any]) -> NDArray[Any]:
    """Cut an array of shape (n, m) into one of shape (n_words, m, 64), filled up with 0."""
    n, m = columns.shape
    n_words = -(-n // _kernels.WORD)
    filled = np.zeros((n_words * _kernels.WORD, m), dtype=columns.dtype)
    filled[:n] = columns
    return filled.reshape(n_words, _kernels.WORD, m).transpose(0, 2, 1).copy()


def _scratch(rows: Any, n_centres: int, n_features: int) -> Any:
    """Working memory for one call of `update_span`."""
    n_classes = rows.proba.shape[1]
    return _kernels.Scratch(
        np.empty(n_classes),
        np.zeros(n_features),
        np.zeros(n_features),
        np.empty(_kernels.WORD),
        np.empty(_kernels.WORD),
        np.zeros(-(-n_centres // _kernels.WORD), dtype=np.int64),
    )


class PrunedD2(PlainD2):
    """D² of a `PrunedGradients`."""

    pool: PrunedGradients

    # A number or two a row: over before other threads have started.

    def bound(self, norm: float) -> None:
        _kernels.lower_to_bound(self.pool.squared_norms, norm, 1 + ROUNDING, self.values)
        self._weigh()

    def _sum_tiles(self) -> None:
        s = self.exponent // 2
        factors = 2.0**s, 2.0 ** (self.exponent - s)
        _kernels.sum_weights(self.values, factors, TILE, self._tile_totals)

    def min_update(self, centres: Factors, rows: Ints, trace: Floats | None = None) -> PassReport:
        if trace is not None:
            # Whoever wants every row's D² after every centre wants every pair.
            return super().min_update(centres, rows, trace)
        assert isinstance(centres, PrunedFactors)
        pool, n_centres = self.pool, len(centres)
        block, fresh = centres.as_centres, not self.exact
        # Of another part's centres it may be known only now that a product can be negative.
        least_product = centres.least_product
        falls, counters, bytes_read = InOrder(n_centres), InOrder(len(COUNTERS), int), [0]

        def changing(cuts: Ints) -> NDArray[np.bool_]:
            wanted = np.ones(len(cuts) - 1, dtype=bool)
            if not fresh:
                nothing = np.empty(0)
                known = pool.as_rows(slice(None), nothing, nothing)
                known = known._replace(least_product=least_product)
                bounds = np.empty(_kernels.WORD)
                _kernels.mark_changing(cuts, known, self.values, block, bounds, wanted)
            return wanted

        def update(number: int, within: slice) -> None:
            # What the centres took, span by span: so it does not depend on the stretches.
            first = within.start // SPAN
            fall = np.zeros((-(-within.stop // SPAN) - first, n_centres))
            counts = np.zeros((1, len(COUNTERS)), dtype=np.int64)
            for stretch in pool.rows.stretches(within, changing):
                bytes_read.append(stretch.bytes_read)
                known = pool.as_rows(
                    stretch.all, _store(stretch.proba), _store(stretch.features)
                )._replace(least_product=least_product)
                values = self.values[stretch.all]
                scratch = _scratch(known, n_centres, len(pool.direction))
                for lo, hi in spans(stretch.rows.start, stretch.rows.stop):
                    _kernels.update_span(
                        lo - stretch.start,
                        hi - stretch.start,
                        known,
                        values,
                        fresh,
                        block,
                        fall[lo // SPAN - first],
                        counts[0],
                        scratch,
                    )
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
