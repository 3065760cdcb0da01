"""Curves over repetitions: a mean and how sure of it one may be, and where a level is reached."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def mean_interval(values: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Estimate a mean over the first axis, and half the width of Student's 95 % interval for it.

    Values have shape (n_repetitions, ...). Of one repetition the width is NaN.

    >>> mean, half = mean_interval([1.0, 2.0, 3.0])
    >>> f"{mean:.2f} ± {half:.2f}"
    '2.00 ± 2.48'
    """
    from scipy.stats import t

    values = np.asarray(values, dtype=np.float64)
    n = len(values)
    mean = values.mean(axis=0)
    if n < 2:
        return mean, np.full_like(mean, np.nan)
    return mean, t.ppf(0.975, n - 1) * values.std(axis=0, ddof=1) / np.sqrt(n)


def wilson(right: ArrayLike, n: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return Wilson's 95 % interval of a share: `right` of n.

    >>> low, high = wilson(80, 100)
    >>> f"{low:.3f} to {high:.3f}"
    '0.711 to 0.867'
    """
    z = 1.959964
    right, n = np.asarray(right, dtype=np.float64), np.asarray(n, dtype=np.float64)
    share = right / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return np.maximum(middle - half, 0.0), np.minimum(middle + half, 1.0)


def first_reached(
    counts: NDArray[np.int64], curves: ArrayLike, level: float
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Find, for each curve without NaN, the first count at which it reached a level, and if it did.

    Nothing is interpolated. A curve that never gets there has the last count, so that a mean is
    then a lower bound: leaving it out would flatter.

    >>> first_reached(np.array([10, 20, 30]), [[0.5, 0.9, 0.8], [0.1, 0.2, 0.3]], 0.9)
    (array([20, 30]), array([ True, False]))
    """
    values = np.atleast_2d(np.asarray(curves, dtype=np.float64))
    above = values[np.isfinite(values).all(axis=1)] >= level
    reached = np.asarray(above.any(axis=1))
    return np.where(reached, counts[above.argmax(axis=1)], counts[-1]), reached
