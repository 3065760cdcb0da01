"""Herding: greedy picks for the largest coverage under a kernel that fades with distance."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any

import numpy as np

from labelnext.strategies._arguments import check_flag, check_positive
from labelnext.strategies._base import QueryStrategy
from labelnext.strategies._points import first_by_lot, lay_out, place
from labelnext.strategies._query import Choice, Free, Query
from labelnext.utils import MISSING_LABEL

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from labelnext.strategies._tiles import Points

    Picks = NDArray[np.int64]

# Stale gains that are computed again at a time: so many at first, doubling up to the most.
FEWEST, MOST = 64, 2048


class Herding:
    """Coverage Σ_x w_x max_c k(x, c), and how much more of it each candidate brings.

    The points are the candidates, which it counts `weights` to cover, and after them the centres
    that are there from the start. The kernel is k(x, c) = exp(-‖x - c‖² / radius²).
    """

    def __init__(self, points: Points, weights: NDArray[np.float64], radius: float) -> None:
        n = len(weights)
        self.points, self.weights, self.scale = points.take(slice(n)), weights, -1 / radius**2
        self.floor = self._coverage(points.take(slice(n, None)))

    def pick(self, k: int, lots: NDArray[np.int64], free: Free) -> tuple[Picks, NDArray[Any]]:
        """Pick k candidates, each the one that brings most; return them and what they bring.

        What a candidate brings can only fall. So those whose gain, as it was when last made, is
        below the largest of now need not be looked at: the picks are those of looking at all.
        """
        # In float32 the two of a pair of duplicates may differ by so much.
        rounding = 1e-5 if self.points.in_float32 else 1e-9
        gains = self.gains()
        is_new = np.ones(self.points.n, dtype=bool)
        picks, at_pick = np.empty(k, dtype=np.int64), np.empty(k)
        for t in range(k):
            n_at_once = FEWEST
            while len(stale := self._might_be_largest(gains, is_new, n_at_once, rounding)):
                gains[stale] = self.gains(stale)
                is_new[stale] = True
                n_at_once = min(2 * n_at_once, MOST)
            picks[t] = first_by_lot(np.where(is_new, gains, -np.inf), lots, rounding)
            at_pick[t] = gains[picks[t]]
            self.add(picks[t])
            free.take(int(picks[t]))
            gains[~free.mask] = -np.inf
            is_new[:] = False
        return picks, at_pick

    def gains(self, rows: Any = slice(None)) -> NDArray[np.float64]:
        """Return how much more coverage some candidates would bring."""
        return self.points.sums(self.points.take(rows), self.scale, self.weights, self.floor)

    def add(self, row: int) -> None:
        """Make a candidate a centre."""
        self.floor = np.maximum(self.floor, self._coverage(self.points.take([row])))

    @staticmethod
    def _might_be_largest(
        gains: NDArray[np.float64], is_new: NDArray[np.bool_], most: int, rounding: float
    ) -> NDArray[np.int64]:
        """Return the largest of the gains that are not new and may yet be the largest of all."""
        least = gains[is_new].max(initial=-np.inf)
        least -= rounding * abs(least) if np.isfinite(least) else 0
        stale = np.flatnonzero(~is_new & (gains >= least) & (gains > -np.inf))
        if len(stale) > most:
            stale = stale[np.argpartition(-gains[stale], most)[:most]]
        return stale

    def _coverage(self, centres: Points) -> NDArray[np.float64]:
        return np.exp(self.points.nearest(centres) * self.scale)


def herd(query: Query, points: Points, weights: NDArray[np.float64], radius: float) -> Choice:
    """Choose a batch; utilities are by how much each candidate would raise the mean coverage."""
    start = Herding(points, weights, radius)
    lots = query.rng.permutation(query.n_candidates)
    picks, gains = copy(start).pick(query.k, lots, query.free())
    scores = gains / query.n_candidates
    if not query.return_utilities:
        return Choice(picks, scores=scores)
    utilities = np.empty((len(picks), query.n_candidates))
    for row, pick in zip(utilities, picks, strict=True):
        row[:] = start.gains() / query.n_candidates
        start.add(pick)
    return Choice(picks, query.without_taken(utilities, picks), scores)


class MaxHerding(QueryStrategy):
    """
    Choose the samples to which most of the pool is near, softly counted.

    As `ProbCover`, with a ball that fades out instead of one that ends at a radius, which makes
    less of the choice of the radius [1]_. With features h of length 1, the labelled samples L, the
    picks S so far and the kernel k(i, j) = exp(−‖h_i − h_j‖² / σ²), the next pick is the greedy
    choice for the largest generalised coverage of the candidates x,

        mean_x  max_{j ∈ L ∪ S} k(x, j).

    Parameters
    ----------
    radius : float, default=1.0
        The radius σ.
    normalize : bool, default=True
        Whether features are scaled to length 1, as in the authors' code. Say False for features
        whose lengths mean something, and a radius that fits them.
    clf_embedding_flag_name, missing_label, random_state : optional
        As in `Badge`; the seed of lots among equals.

    See Also
    --------
    UncertaintyHerding : The same, uncertain samples being more worth to cover.

    Notes
    -----
    Utilities are by how much a candidate would have raised the coverage. Labelled samples cover
    themselves, so that the mean may leave them out.

    The coverage is monotone and submodular: what a candidate adds can only fall. Most candidates
    are therefore not looked at again for a pick, and the picks are those of looking at all. A
    batch takes the distances between all pairs once, in tiles, and again for as many candidates
    as might be the best; utilities take them once more for each pick.

    References
    ----------
    .. [1] W. Bae, J. Noh and D. J. Sutherland, "Generalized coverage for more robust low-budget
       active learning", ECCV 2024.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_digits
    >>> from labelnext.pool import MaxHerding
    >>> X, y = load_digits(return_X_y=True)
    >>> picks, utilities = MaxHerding(radius=0.5, random_state=0).query(
    ...     X, np.full(len(X), np.nan), batch_size=10, return_utilities=True
    ... )
    >>> len(set(y[picks]))
    10
    >>> utilities[range(3), picks[:3]].round(3)
    array([0.209, 0.047, 0.04 ])
    """

    needs = ("features",)
    looks_at_labeled = True
    paper = "Bae et al., ECCV 2024"

    def __init__(
        self,
        radius: float = 1.0,
        normalize: bool = True,
        clf_embedding_flag_name: Any = None,
        missing_label: Any = MISSING_LABEL,
        random_state: Any = None,
    ) -> None:
        super().__init__(missing_label=missing_label, random_state=random_state)
        self.radius = radius
        self.normalize = normalize
        self.clf_embedding_flag_name = clf_embedding_flag_name

    def _check_parameters(self) -> None:
        check_positive("radius", self.radius)
        check_flag("normalize", self.normalize)

    def _choose(self, query: Query) -> Choice:
        features = place(query.features(with_labeled=True, on_device=True), self.normalize)
        points = lay_out(features, self.radius)
        return herd(query, points, np.ones(query.n_candidates), self.radius)
