"""The pass over a large pool in memory: compiled, and pruned by bounds that cost a few numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from labelnext.gradients import _kernels
from labelnext.gradients._base import PassReport
from labelnext.gradients._memory import MemoryD2, MemoryGradients
from labelnext.gradients._threads import SPAN, for_each_span

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from labelnext.gradients._base import D2
    from labelnext.gradients._factors import Factors

# Rows, evenly spread, whose mean gives the direction that features are projected on.
SAMPLE = 1024

COUNTERS = ("pairs_tested", "residual_products", "feature_products", "differences")


class PrunedGradients(MemoryGradients):
    """A `MemoryGradients` whose passes skip what bounds rule out; made by `as_gradients`."""

    def _read(self) -> None:
        n = self.n_rows
        sample = self.features[np.linspace(0, n - 1, min(n, SAMPLE)).astype(np.int64)]
        mean = np.asarray(sample.mean(axis=0, dtype=np.float64)).ravel()
        norm = np.linalg.norm(mean)
        # Any unit vector gives a true bound; a bad one, from features that are NaN or far too
        # large, is met by the checks of the rows.
        usable = np.isfinite(norm) and norm > 0
        self.direction = mean / norm if usable else np.zeros(len(mean))
        self.scalars = np.empty((n, 5))
        self.stores = _store(self.proba), _store(self.features)
        smallest = np.zeros(-(-n // SPAN))
        tolerance = self.tolerance

        def read(span: int) -> None:
            lo, hi = span * SPAN, min(n, (span + 1) * SPAN)
            bad = _kernels.read_span(
                lo,
                hi,
                *self.stores,
                self.direction,
                float(self.bias),
                tolerance,
                self.pseudo_labels,
                self.squared_norms,
                self.scalars,
                smallest,
                span,
            )
            if bad >= 0:
                # The plain reading of the same rows says what is wrong.
                self._read_span(span)

        for_each_span(read, n)
        self.least_product = float(self.bias) if smallest.min() >= 0 else -np.inf

    def start(self, exclude: NDArray[np.int64]) -> D2:
        return PrunedD2(self, exclude)


def _store(array: Any) -> Any:
    """Give an array the form that the kernels read: float16 by its bits, CSR as a tuple."""
    if hasattr(array, "indptr"):
        return array.data, array.indices, array.indptr
    array = np.asarray(array)
    return array.view(np.uint16) if array.dtype == np.float16 else array


class PrunedD2(MemoryD2):
    """D² of a `PrunedGradients`."""

    pool: PrunedGradients

    def min_update(
        self,
        centres: Factors,
        rows: NDArray[np.int64],
        trace: NDArray[np.float64] | None = None,
    ) -> PassReport:
        if trace is not None:
            # Whoever wants every row's D² after every centre wants every pair.
            return super().min_update(centres, rows, trace)
        pool, n_centres = self.pool, len(centres)
        labels = centres.pseudo_labels
        members = np.argsort(labels, kind="stable")
        class_starts = np.searchsorted(labels[members], np.arange(pool.n_classes + 1))
        scalars = _centre_scalars(centres, pool.direction)
        arguments = (
            *pool.stores,
            len(pool.direction),
            float(pool.bias),
            pool.least_product,
            pool.pseudo_labels,
            pool.squared_norms,
            pool.scalars,
            self.values,
            not self.exact,
            labels,
            centres.squared_norms,
            scalars,
            centres.residuals,
            _store(centres.features),
            class_starts,
            members,
            _reach(scalars, pool.least_product >= 0),
        )
        n_spans = len(self._group_totals)
        n_spans = -(-pool.n_rows // SPAN)
        fall = np.zeros((n_spans, n_centres))
        left = np.zeros(n_spans)
        counters = np.zeros((n_spans, len(COUNTERS)), dtype=np.int64)

        def update(span: int) -> None:
            lo, hi = span * SPAN, min(pool.n_rows, (span + 1) * SPAN)
            _kernels.update_span(lo, hi, *arguments, fall[span], counters[span])
            left[span] = self.values[lo:hi].sum()

        for_each_span(update, pool.n_rows)
        self.exact = True
        self._take(rows)
        self._weigh()
        # From the end: what each centre took is added, nothing cancels.
        taken = np.concatenate([fall.sum(axis=0)[1:], [left.sum()]])
        potentials = np.cumsum(taken[::-1])[::-1].copy()
        counts = dict(zip(COUNTERS, counters.sum(axis=0).tolist(), strict=True))
        return PassReport(potentials, {"pairs": pool.n_rows * n_centres, **counts})


def _centre_scalars(centres: Factors, direction: NDArray[np.float64]) -> NDArray[np.float64]:
    """The table of scalars of `_kernels` for a block of centres."""
    q = -centres.residuals[np.arange(len(centres)), centres.pseudo_labels]
    t = np.sqrt(np.maximum(centres.residual_squares - q * q, 0))
    rest = centres.residuals.copy()
    rest[np.arange(len(centres)), centres.pseudo_labels] = 0.0
    t = np.sqrt(np.einsum("ij,ij->i", rest, rest))
    x = centres.features @ direction
    squares = centres.feature_squares - centres.bias
    perp = np.sqrt(np.maximum(squares - x * x, 0) + 1e-13 * squares)
    return np.column_stack([q, t, np.sqrt(centres.feature_squares), x, perp])


def _reach(scalars: NDArray[np.float64], nonnegative: bool) -> NDArray[np.float64]:
    """What bounds ⟨G_i, G_c⟩ for all centres c of a block and rows i of other classes.

    With β = t h and γ = q h, and ‖G‖² = β² + γ²: ⟨a_i, a_c⟩ is between −(q_i t_c + q_c t_i) and
    t_i t_c, so ⟨G_i, G_c⟩ ≤ β_i β_c if no ⟨h_i, h_c⟩ is negative, and else at most
    β_i (β_c + γ_c) + γ_i β_c. Divided by ‖G_c‖, the largest over the block.
    """
    q, t, h = scalars[:, 0], scalars[:, 1], scalars[:, 2]
    norms = h * np.hypot(q, t)
    with np.errstate(invalid="ignore", divide="ignore"):
        own = np.nan_to_num(h * t / norms)
        both = np.nan_to_num(h * (t + q) / norms)
    if nonnegative:
        return np.array([norms.min(), own.max(), 0.0])
    return np.array([norms.min(), both.max(), own.max()])
