"""A pool as a map: which of its rows are drawn, and where."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from labelnext.utils.libraries import is_sparse, without_tensor

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from labelnext.pools import Pool

    Floats = NDArray[np.float64]

# Squares of numbers up to here, and their sums, are finite.
LARGEST = 1e140
# From so many rows on a map shows how dense they lie, not each.
DENSE = 4000
# Numbers that are read to draw a map: 256 MB as float64.
READ = 1 << 25


def rows_to_draw(pool: Pool, picks: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """Return the rows to draw beside the picks: all, or of a large pool an even sample."""
    rows = np.setdiff1d(np.arange(pool.n_rows), picks)
    most = min(most, max(READ // (pool.n_features or 1), 1))
    if len(rows) > most:  # always the same, in ascending order for files
        rows = np.sort(np.random.default_rng(0).choice(rows, most, replace=False))
    return rows


def project(pool: Pool, rows: NDArray[np.int64]) -> tuple[Floats, str]:
    """Project rows on the two directions along which they vary most; say how much that is."""
    from sklearn.decomposition import PCA

    order = np.argsort(rows)  # a file is read from front to back
    sample = without_tensor(pool.read("features", rows[order]))
    sparse = is_sparse(sample) and min(sample.shape) > 2
    if is_sparse(sample) and not sparse:
        sample = sample.toarray()
    with np.errstate(over="ignore"):
        sums = abs(sample.astype(np.float64)).sum(axis=1)
    wrong = np.flatnonzero(~(np.asarray(sums).ravel() < LARGEST))
    if len(wrong):
        row = rows[order[wrong[0]]]
        raise ValueError(
            f"The features must be finite and below {LARGEST:g} to be drawn, and those of row "
            f"{row:,} are not; replace them, or leave the picture out."
        )
    points = np.zeros((len(rows), 2))
    if len(rows) == 1:
        return points, "a single sample"
    solver = "arpack" if sparse else "auto"
    pca = PCA(n_components=min(2, *sample.shape), svd_solver=solver, random_state=0)
    with np.errstate(invalid="ignore", divide="ignore"):  # all rows may be the same
        projected = pca.fit_transform(sample.astype(np.float64))
    points[order, : projected.shape[1]] = projected
    shares = pca.explained_variance_ratio_
    if not np.isfinite(shares).all():
        return points, "all features are alike"
    parts = [
        f"{share:.0%}".replace("%", " %") if share >= 0.01 else "under 1 %" for share in shares
    ]
    told = f"PCA of the features: {parts[0]} of their variance from left to right"
    if len(shares) > 1:
        told += f", {parts[1]} from bottom to top"
    if len(rows) < pool.n_rows:
        told += f"\nfound from and drawn for {len(rows):,} rows: the picks and a sample of the pool"
    return points, told


def halvings(share: Floats, limit: int = 8) -> dict[int, int]:
    """Find the picks, from 1, at which a half, a quarter, ... is left; how often it has halved."""
    found = {}
    for level in range(1, limit + 1):
        reached = np.flatnonzero(share <= 0.5**level)
        if len(reached):
            found[int(reached[0]) + 1] = level
    return found


def known_potentials(potentials: Any) -> Floats | None:
    """Return potentials without gaps: a pick drawn at random leaves what was left before it."""
    if potentials is None:
        return None
    values: Floats = np.asarray(potentials, dtype=np.float64)
    known = np.flatnonzero(np.isfinite(values))
    if not len(known):
        return None
    # Of each place the last that is known, of those before the first the first.
    last = np.searchsorted(known, np.arange(len(values)), side="right") - 1
    return values[known[np.maximum(last, 0)]]
