"""Sums over pairs of features and pairs of classes, each pair once.

The blocks of a Fisher information are symmetric, in classes and in features. So a quarter of the
products will do, those of two features being made a strip at a time for all pairs of classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from labelnext.engine.threads import SPAN, for_each_span

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

# Products of two features that a strip has for one row, and rows that are taken at a time: 8 MB.
STRIP, ROWS = 4096, 256


def fisher(proba: NDArray[np.float64], features: NDArray[Any]) -> NDArray[np.float64]:
    """Return the mean of (diag(p) - p pᵀ) ⊗ h hᵀ over rows, 0 for none."""
    n, n_classes = proba.shape
    d = features.shape[1]
    one, other = np.tril_indices(n_classes)
    total = np.zeros((n_classes, d, n_classes, d))
    strips = list(_strips(d))

    def of_strip(number: int) -> None:
        strip = strips[number]
        sums = np.zeros((len(one), (strip.stop - strip.start) * (d - strip.start)))
        for rows, products in _products(features, strip, 0, n):
            p = proba[rows]
            weights = np.where(one == other, p[:, one], 0.0) - p[:, one] * p[:, other]
            sums += weights.T @ products
        blocks = (sums / max(n, 1)).reshape(len(one), strip.stop - strip.start, -1)
        for i, j, block in zip(one, other, blocks, strict=True):
            for a, b in {(i, j), (j, i)}:
                total[a, strip, b, strip.start :] = block
                total[a, strip.start :, b, strip] = block.T

    # Each strip has its own place in the total, so they go side by side as spans of rows do.
    for_each_span(of_strip, len(strips) * SPAN)
    return total.reshape(n_classes * d, n_classes * d)


def seen(
    matrices: Sequence[NDArray[np.float64]], features: NDArray[Any], n_classes: int
) -> list[NDArray[np.float64]]:
    """Return Hᵀ M H with H = 1 ⊗ h for each row of features, for symmetric matrices M."""
    n, d = features.shape
    one, other = np.tril_indices(n_classes)
    found = np.zeros((n, len(matrices) * len(one)))
    for strip in _strips(d):
        factors = _factors(matrices, strip, n_classes)

        def of_span(span: int, strip: slice = strip, factors: Any = factors) -> None:
            end = min((span + 1) * SPAN, n)
            for rows, products in _products(features, strip, span * SPAN, end):
                found[rows] += products @ factors

        for_each_span(of_span, n)
    out = []
    for part in np.split(found, len(matrices), axis=1):
        square = np.empty((n, n_classes, n_classes))
        square[:, one, other] = square[:, other, one] = part
        out.append(square)
    return out


def _factors(
    matrices: Sequence[NDArray[np.float64]], strip: slice, n_classes: int
) -> NDArray[np.float64]:
    """Return what the products of a strip are to be multiplied by, a column for each sum."""
    columns = []
    for matrix in matrices:
        d = len(matrix) // n_classes
        blocks = matrix.reshape(n_classes, d, n_classes, d)
        for i, j in zip(*np.tril_indices(n_classes), strict=True):
            block = blocks[i, strip, j, strip.start :].copy()
            # The products of a strip with what follows it stand for those the other way, too.
            block[:, strip.stop - strip.start :] += blocks[i, strip.stop :, j, strip].T
            columns.append(block.ravel())
    return np.stack(columns, axis=1)


def _products(
    features: NDArray[Any], strip: slice, lo: int, hi: int
) -> Iterator[tuple[slice, NDArray[np.float64]]]:
    """Yield products of the features of a strip with its own and all that follow, some rows a time.

    All are in one place: each is lost with the next.
    """
    size, d = strip.stop - strip.start, features.shape[1]
    place = np.empty((min(ROWS, hi - lo), size, d - strip.start))
    for start in range(lo, hi, ROWS):
        rows = slice(start, min(start + ROWS, hi))
        h = features[rows].astype(np.float64, copy=False)
        products = place[: len(h)]
        np.multiply(h[:, strip, None], h[:, None, strip.start :], out=products)
        yield rows, products.reshape(len(h), -1)


def _strips(d: int) -> Iterator[slice]:
    start = 0
    while start < d:
        stop = min(d, start + max(1, STRIP // (d - start)))
        yield slice(start, stop)
        start = stop
