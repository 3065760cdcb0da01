"""Euclidean distances between features, by the machinery for gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from labelnext.engine import as_gradients
from labelnext.sampling.utilities import trace_d2

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from labelnext.engine import Gradients


def as_points(features: Any) -> Gradients:
    """Return a pool whose squared distances are half of those between features.

    With equal probabilities all residuals are the same a, ‖a‖² = 1/2, so that
    ‖G_i − G_j‖² = ‖h_i − h_j‖² / 2.
    """
    return as_gradients(np.full((features.shape[0], 2), 0.5), features)


def distances_at_picks(
    points: Gradients, picks: NDArray[np.int64], n_candidates: int
) -> NDArray[np.float64]:
    """Return the distance of each candidate to the nearest centre before each pick.

    The rows after the candidates are centres from the start. NaN at earlier picks; 0 where there
    is no centre yet.
    """
    d2 = np.zeros((len(picks), points.n_rows))
    centres = np.arange(n_candidates, points.n_rows)
    trace_d2(points, picks, np.empty(0, dtype=np.int64), centres, d2)
    distances: NDArray[np.float64] = np.sqrt(2 * d2[:, :n_candidates])
    if len(centres) == 0:
        distances[0] = 0.0
    for t, pick in enumerate(picks):
        distances[t + 1 :, pick] = np.nan
    return distances
