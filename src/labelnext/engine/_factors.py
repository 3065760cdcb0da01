"""Gradients by their two factors: rows as they are stored, norms, and squared distances."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from labelnext.utils.libraries import is_sparse

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from labelnext.utils.given import Task

    Ints = NDArray[np.int64]
    Floats = NDArray[np.float64]
    # Dense rows, or CSR rows where the caller's features are sparse.
    Features = Any

# Below this share of the sum of the squared norms, ‖G_i‖² + ‖G_j‖² − 2⟨G_i, G_j⟩ has cancelled
# so far that fewer than about nine digits are left, and d² is computed from differences instead.
CANCELLED = 1e-6
# Rounding of the expanded formula against the sum of the squared norms, with a wide margin.
ROUNDING = 1e-12


def _row_products(x: Features, y: Features) -> Floats:
    """⟨x_i, y_i⟩ of each row i."""
    sums = x.multiply(y).sum(axis=1) if is_sparse(x) else np.einsum("ij,ij->i", x, y)
    return np.asarray(sums, dtype=np.float64)


def _square_rows(rows: Features) -> Floats:
    """‖x_i‖² of each row i."""
    return _row_products(rows, rows)


def _scale_rows(scale: Floats, rows: Features) -> Features:
    if is_sparse(rows):
        import scipy.sparse as sp

        data = np.repeat(scale, np.diff(rows.indptr)) * rows.data  # SciPy 1.11 has no diags_array
        return sp.csr_array((data, rows.indices, rows.indptr), shape=rows.shape)
    return scale[:, None] * rows


def _stacked(blocks: list[Features]) -> Features:
    if is_sparse(blocks[0]):
        import scipy.sparse as sp

        # SciPy 1.11 stacks arrays to a matrix, whose sums over rows are matrices, too.
        return sp.csr_array(sp.vstack(blocks))
    return np.concatenate(blocks)


def _ratios(x: Floats, y: Floats) -> Floats:
    """x_i / y_i, or 0 where y_i is 0."""
    return np.divide(x, y, out=np.zeros_like(x), where=y > 0)


def products(x: Features, y: Features) -> Floats:
    """⟨x_i, y_j⟩ of all pairs, dense."""
    out = x @ y.T
    dense: Floats = out.toarray() if is_sparse(out) else out
    return dense


@dataclass(frozen=True)
class Factors:
    """The factors of `m` gradients G_i = a_i h_iᵀ, in float64.

    Parameters
    ----------
    residuals : ndarray of shape (m, n_classes), float64
        The rows a_i = p_i − onehot(pseudo-label), or p_i − [p_i ≥ 0.5].
    features : ndarray or csr_array of shape (m, n_features), float64
        The rows h_i, without the constant column of a bias.
    pseudo_labels : ndarray of shape (m,), int64, or (m, n_labels), bool
        The class of highest probability of each row; 0 or 1 for a single logit; for labels that
        are each alone, which of them are at least half probable.
    bias : bool
        Whether h_i is followed by a 1.

    Examples
    --------
    >>> import numpy as np
    >>> from labelnext.engine import as_gradients
    >>> pool = as_gradients(np.array([[0.5, 0.5], [0.5, 0.5]]), np.array([[2.0], [4.0]]))
    >>> rows = pool.gather(np.array([0, 1]))
    >>> rows.squared_norms
    array([2., 8.])
    >>> rows.squared_distances(rows)
    array([[0., 2.],
           [2., 0.]])
    """

    residuals: Floats
    features: Features
    pseudo_labels: NDArray[Any]
    bias: bool

    def __len__(self) -> int:
        return len(self.residuals)

    def __getitem__(self, rows: slice | NDArray[Any]) -> Factors:
        return Factors(
            self.residuals[rows], self.features[rows], self.pseudo_labels[rows], self.bias
        )

    @classmethod
    def concatenate(cls, blocks: list[Factors]) -> Factors:
        """Put the rows of several blocks one below the other."""
        if len(blocks) == 1:
            return blocks[0]
        return cls(
            np.concatenate([b.residuals for b in blocks]),
            _stacked([b.features for b in blocks]),
            np.concatenate([b.pseudo_labels for b in blocks]),
            blocks[0].bias,
        )

    @cached_property
    def residual_squares(self) -> Floats:
        """‖a_i‖², shape (m,)."""
        return _square_rows(self.residuals)

    @cached_property
    def feature_squares(self) -> Floats:
        """‖h_i‖², shape (m,), the bias's 1 counted in."""
        return _square_rows(self.features) + self.bias

    @cached_property
    def squared_norms(self) -> Floats:
        """‖G_i‖² = ‖a_i‖² ‖h_i‖², shape (m,)."""
        return self.residual_squares * self.feature_squares

    def lower(self, d2: Floats, centres: Factors) -> None:
        """Lower D² of these rows, shape (m,), in place, to their distances to some centres."""
        np.minimum(d2, self.squared_distances(centres).min(axis=1), out=d2)

    def thin(self, d2: Floats, blocks: list[Any]) -> Floats:
        """Lower D² of these rows, in place, to their distances to several blocks of centres.

        Returns
        -------
        ndarray of shape (m, m), float64
            What `distances_within` says of what is left of D², or all distances among the rows.
        """
        for block in blocks:
            self.lower(d2, block)
        return self.distances_within(d2)

    def accept(
        self,
        rows: Ints,
        bars: Floats,
        d2: Floats,
        waiting: list[Any],
        most: int,
        admit: Callable[[int], bool] | None = None,
    ) -> tuple[list[int], int]:
        """Accept these rows one after the other, as far as their D² is above their bar.

        Parameters
        ----------
        rows : ndarray of shape (m,), int64
            Their rows in the pool; one may come more than once.
        bars : ndarray of shape (m,), float64
            The bars, at least 0.
        d2 : ndarray of shape (m,), float64
            Their D² at the latest pass. That of rows that are accepted is lowered in place to their
            distances to `waiting` and to those that are accepted before them, 0 for a copy of
            these; that of others as far as decides on them.
        waiting : list of blocks
            Centres that wait for a pass.
        most : int
            How many may be accepted, at least 1.
        admit : callable, optional
            What has the last word on a row that would be accepted.

        Returns
        -------
        accepted : list of int
            The places of those that are accepted.
        n_seen : int
            How many were looked at: up to the last that may be accepted.
        """
        among = self.thin(d2, waiting)
        among[rows[:, None] == rows] = 0.0
        accepted: list[int] = []
        # D² only falls: who is not above the bar here never will be.
        for place in np.flatnonzero(bars < d2).tolist():
            if bars[place] < d2[place] and (admit is None or admit(int(rows[place]))):
                accepted.append(place)
                if len(accepted) == most:
                    return accepted, place + 1
                later = slice(place + 1, None)
                np.minimum(d2[later], among[place, later], out=d2[later])
        return accepted, len(rows)

    def distances_within(self, below: Floats) -> Floats:
        """Return d²(j, i) among these rows, or ∞ where it is not below `below[i]`.

        Parameters
        ----------
        below : ndarray of shape (m,), float64
            Distances that matter.

        Returns
        -------
        ndarray of shape (m, m), float64
            The distances, or ∞.
        """
        # A row is at 0 from itself, which no differences have to tell.
        return self._squared_distances(self, below, np.eye(len(self), dtype=bool))

    def squared_distances(self, other: Factors, *, below: Floats | None = None) -> Floats:
        """Squared Frobenius distances between all gradients of two blocks.

        Where the expanded form ‖G_i‖² + ‖G_j‖² − 2⟨a_i, a_j⟩⟨h_i, h_j⟩ cancels, the distance is
        computed from differences, so that duplicates are at exactly 0 and near-duplicates keep
        their digits.

        Parameters
        ----------
        other : Factors
            The other block, of `b` rows.
        below : ndarray of shape (b,), optional
            Distances that matter: a pair whose d² is above `below[j]` may keep the rounding
            of the expanded form, about 1e-15 of the sum of the squared norms.

        Returns
        -------
        ndarray of shape (m, b), float64
            The distances d²(i, j) ≥ 0.
        """
        return self._squared_distances(other, below, None)

    def _squared_distances(
        self, other: Factors, below: Floats | None, same: NDArray[np.bool_] | None
    ) -> Floats:
        scale = self.squared_norms[:, None] + other.squared_norms[None, :]
        d2 = products(self.features, other.features)
        if self.bias:
            d2 += 1.0
        d2 *= products(self.residuals, other.residuals)
        d2 *= -2.0
        d2 += scale
        cancelled = d2 < CANCELLED * scale
        if below is not None:
            cancelled &= d2 < below + ROUNDING * scale
        if same is not None:
            d2[same] = 0.0
            cancelled &= ~same
        i, j = np.nonzero(cancelled)
        if len(i):
            d2[i, j] = self._distances_of_pairs(i, other, j)
        return d2

    def _distances_of_pairs(
        self, i: NDArray[np.intp], other: Factors, j: NDArray[np.intp]
    ) -> Floats:
        """d²(i_t, j_t) from differences; a few pairs at a time, so that memory stays small."""
        at_once = max(1, (1 << 17) // (self.residuals.shape[1] + self.features.shape[1]))
        out = np.empty(len(i))
        for lo in range(0, len(i), at_once):
            part = slice(lo, lo + at_once)
            out[part] = _distances_from_differences(self[i[part]], other[j[part]])
        return out


def _distances_from_differences(x: Factors, y: Factors) -> Floats:
    """d²(x_t, y_t), row by row, as a sum of squares: nothing left to cancel.

    With Δa = a_x − a_y = s a_y + u (u ⟂ a_y) and Δh = h_x − h_y = t h_x + v (v ⟂ h_x),

        G_x − G_y = Δa h_xᵀ + a_y Δhᵀ = (s + t) a_y h_xᵀ + u h_xᵀ + a_y vᵀ,

    three matrices that are orthogonal to one another. The rounding of s + t counts ‖a_y‖‖h_x‖
    times, which the two orders of x and y may make far larger than the norms of the gradients, or
    smaller: the product of the two is that of the norms. So each pair is put into the order in
    which it is smaller.
    """
    turned = y.residual_squares * x.feature_squares > x.residual_squares * y.feature_squares
    if not turned.any():
        return _sums_of_squares(x, y)
    if turned.all():
        return _sums_of_squares(y, x)
    out = np.empty(len(x))
    out[~turned] = _sums_of_squares(x[~turned], y[~turned])
    out[turned] = _sums_of_squares(y[turned], x[turned])
    return out


def _sums_of_squares(x: Factors, y: Factors) -> Floats:
    # Where a norm is 0 the expanded form had nothing to cancel, but for factors below 1e-154,
    # whose squares underflow: they count as 0.
    a2, h2 = y.residual_squares, x.feature_squares
    da = x.residuals - y.residuals
    dh = x.features - y.features
    s = _ratios(_row_products(da, y.residuals), a2)
    t = _ratios(_row_products(dh, x.features), h2)
    u2 = _square_rows(da - s[:, None] * y.residuals)
    v2 = _square_rows(dh - _scale_rows(t, x.features))
    if x.bias:
        v2 = v2 + t * t
    return (s + t) ** 2 * (a2 * h2) + u2 * h2 + a2 * v2


class StoredRows(NamedTuple):
    """Some rows of a pool in the dtype that it is kept in: what travels between its parts.

    ``proba`` has shape (m, n_columns), ``features`` (m, n_features), dense or CSR.
    """

    proba: NDArray[Any]
    features: Any

    def take(self, places: NDArray[Any] | slice) -> StoredRows:
        """Return some of the rows."""
        return StoredRows(self.proba[places], self.features[places])

    @staticmethod
    def concatenate(blocks: list[StoredRows]) -> StoredRows:
        """Put the rows of several blocks one below the other."""
        if len(blocks) == 1:
            return blocks[0]
        return StoredRows(
            np.concatenate([block.proba for block in blocks]),
            _stacked([block.features for block in blocks]),
        )


def has_one_label(task: Task) -> bool:
    """Tell whether residuals are p − onehot(pseudo-label).

    Where the features are the gradients themselves, p is 0 for a single class: the residual is −1,
    and G = −h.
    """
    return task not in ("multilabel", "binary")


def plain_factors(
    stored: StoredRows, labels: NDArray[Any] | None, *, bias: bool, task: Task
) -> Factors:
    """Return the factors of stored rows in float64, copied; `labels` may be known already."""
    # The residuals are a copy in any case: 1 is taken from the pseudo-labels' entries.
    residuals = np.array(stored.proba, dtype=np.float64, order="C")
    if has_one_label(task):
        labels = (residuals.argmax(axis=1) if labels is None else labels).astype(np.int64)
        residuals[np.arange(len(labels)), labels] -= 1.0
    else:
        labels = residuals >= 0.5
        residuals -= labels
        if task == "binary":
            labels = labels[:, 0].astype(np.int64)
    features = stored.features
    if is_sparse(features):
        features = features.astype(np.float64)
        features.sum_duplicates()
    else:
        features = np.asarray(features, dtype=np.float64)
    return Factors(residuals, features, labels, bias)


@dataclass(frozen=True)
class PlainForm:
    """How stored rows of any part of a pool become the factors that plain passes take."""

    bias: bool
    task: Task

    def factors_of(self, stored: StoredRows) -> Factors:
        """Return the factors of stored rows."""
        return plain_factors(stored, None, bias=self.bias, task=self.task)

    def joined(self, others: list[PlainForm]) -> PlainForm:
        """Return the form for the rows of all parts: any of the plain ones."""
        del others
        return self
