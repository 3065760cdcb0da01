"""Which strategy beats which: tests over seeds, and the comparison of the BADGE paper."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from labelnext.experiment._records import whole

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from labelnext.experiment._records import Curves, Setting


class PairedTest(NamedTuple):
    """Two strategies in one setting, compared seed by seed.

    Parameters
    ----------
    setting : Setting
        What they were run in.
    first, second : str
        The strategies.
    difference, half : float
        The mean over the seeds by which the accuracy of the first, averaged over its curve, is
        above that of the second, and half the width of its 95 % interval.
    p, p_holm : float
        The p-value of a two-sided paired t-test, and the same corrected for all tests of the
        experiment by Holm's method.
    n_seeds : int
        At how many seeds both came to the end.
    """

    setting: Setting
    first: str
    second: str
    difference: float
    half: float
    p: float
    p_holm: float
    n_seeds: int


class Penalties(NamedTuple):
    """The pairwise penalty matrix of the BADGE paper.

    Parameters
    ----------
    strategies : tuple of str
        What rows and columns stand for.
    matrix : ndarray of shape (n_strategies, n_strategies), float64
        In row i and column j, how often strategy i beat strategy j: the share of the compared
        label counts of a setting, summed over the settings.
    n_settings : int
        How many settings there were: the most that an entry can be.
    totals : ndarray of shape (n_strategies,), float64
        The sums of the columns, how often a strategy was beaten: the smaller the better.
    """

    strategies: tuple[str, ...]
    matrix: NDArray[np.float64]
    n_settings: int
    totals: NDArray[np.float64]


def paired_p(differences: NDArray[np.float64]) -> float:
    """Return the p-value of a two-sided paired t-test."""
    from scipy.stats import t

    n = len(differences)
    if n < 2:
        return float("nan")
    mean, spread = float(np.mean(differences)), float(np.std(differences, ddof=1))
    # Rounding in a mean of equal numbers is no spread.
    if spread <= 1e-12 * max(abs(mean), 1e-300):
        return 1.0 if mean == 0 else 0.0
    return float(2 * t.sf(abs(mean) / (spread / np.sqrt(n)), n - 1))


def holm(p_values: Sequence[float]) -> NDArray[np.float64]:
    """Correct p-values for their number by Holm's step-down method; NaN stays, uncounted.

    S. Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of
    Statistics 6, 1979.
    """
    p = np.asarray(p_values, dtype=np.float64)
    corrected = np.full(len(p), np.nan)
    known = np.flatnonzero(np.isfinite(p))
    order = known[np.argsort(p[known], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * factors))
    return corrected


def compared_points(curve: Curves, reference: str) -> NDArray[np.int64]:
    """Choose the points of a curve that the BADGE paper compares.

    They double: 1, 2, 4, ... batches after the start, as long as the reference strategy is not
    yet at 99 % of its final accuracy. From there on all have learned what there is to learn. The
    authors' script counts the start among the points, too, where nobody can beat anybody.
    """
    values = whole(curve, reference)
    n_points = len(curve.labels)
    last = n_points - 1
    if len(values):
        mean = values.mean(axis=0)
        last = int(np.argmax(mean >= 0.99 * mean[-1]))
    doubling = 2 ** np.arange(int(np.log2(max(n_points - 1, 1))) + 1)
    # Where the reference learns nothing more, there is still the first batch.
    return doubling[doubling < max(last, 2)]
