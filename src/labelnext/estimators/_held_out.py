"""Which labelled samples to hold out for validation, when there are few."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt


def hold_out(
    codes: npt.NDArray[np.int64], fraction: float, rng: np.random.RandomState
) -> npt.NDArray[np.int64] | None:
    """Choose samples for validation, each class in proportion, none without its last sample.

    Parameters
    ----------
    codes : ndarray of shape (n_samples,), int64
        The class of each sample, from 0.
    fraction : float
        The share to hold out, between 0 and 1.
    rng : RandomState
        Draws within the classes; it is advanced.

    Returns
    -------
    ndarray of int64, or None
        The rows held out, ascending; None if they would be fewer than two, whose loss says
        nothing.
    """
    counts = np.bincount(codes)
    share = fraction * counts
    # Shares are rounded down, and what is missing goes to the largest remainders.
    most = np.maximum(counts - 1, 0)
    take = np.minimum(share.astype(np.int64), most)
    for c in np.argsort(take - share, kind="stable"):
        if take.sum() >= round(fraction * len(codes)):
            break
        take[c] = min(take[c] + 1, most[c])
    if take.sum() < 2:
        return None
    rows = [rng.permutation(np.flatnonzero(codes == c))[:k] for c, k in enumerate(take)]
    return np.sort(np.concatenate(rows))
