"""A mean over repetitions, and how sure of it one may be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def mean_interval(
    values: ArrayLike, confidence: float = 0.95
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Estimate a mean over the first axis, and half the width of Student's interval for it.

    Values have shape (n_repetitions, ...); such an interval covers the true mean with probability
    `confidence`. Of one repetition the width is NaN.

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
    quantile = float(t.ppf((1 + confidence) / 2, n - 1))
    return mean, quantile * values.std(axis=0, ddof=1) / np.sqrt(n)
