"""Herding: greedy picks for the largest coverage under a kernel that fades with distance."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any

import numpy as np

from labelnext.engine.threads import SPAN
from labelnext.strategies._base import QueryStrategy, checked, parameters
from labelnext.strategies._points import first_by_lot, lay_out
from labelnext.strategies._query import Choice, Query
from labelnext.strategies._uncertainty import check_method, uncertainty
from labelnext.utils.given import check_flag, check_positive

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from labelnext.strategies._points import Points
    from labelnext.strategies._query import Free

    Picks = NDArray[np.int64]

# Stale gains that are computed again at a time: so many at first, doubling up to the most.
FEWEST, MOST = 64, 2048
# As in the code of Bae, Oliveira and Sutherland (see `UncertaintyHerding`).
TEMPERATURES = np.arange(10, 200) / 10
HELD_OUT = 0.3


class Herding:
    """Coverage Σ_x w_x max_c k(x, c), and how much more of it each candidate brings.

    The points are the candidates, which it counts `weights` to cover, and after them the centres
    that are there from the start. The kernel is k(x, c) = exp(-‖x - c‖² / radius²).
    """

    def __init__(self, points: Points, weights: NDArray[np.float64], radius: float) -> None:
        n = len(weights)
        self.points, self.weights, self.scale = points.take(slice(n)), weights, -1 / radius**2
        self.nearest = self.points.nearest(points.take(slice(n, None)))
        self.look()

    def look(self) -> None:
        """Find the pairs that bring coverage, and keep them if they are not too many."""
        self.within, self.n_looked_at = self.points.within(self.nearest), 0

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
            # Fewer pairs with each pick: by now, it might be, not too many.
            if self.n_looked_at > self.points.n:
                self.look()
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
        floor = np.exp(self.nearest * self.scale)
        if self.within is None:
            others = self.points.take(rows)
            self.n_looked_at += others.n
            return self.points.sums(others, self.scale, self.weights, floor)
        gains, rows = [], np.arange(self.points.n)[rows]
        for block in np.split(rows, range(SPAN, len(rows), SPAN)):
            more = self.within[block]
            more.data = np.maximum(np.exp(more.data * self.scale) - floor[more.indices], 0)
            gains.append(more @ self.weights)
        return np.concatenate(gains)

    def add(self, row: int) -> None:
        """Make a candidate a centre."""
        self.nearest = self.nearest.copy()
        if self.within is None:
            d2 = self.points.nearest(self.points.take([row]))
            np.minimum(self.nearest, d2, out=self.nearest)
        else:
            near = self.within[[row]]
            self.nearest[near.indices] = np.minimum(self.nearest[near.indices], near.data)

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


@parameters
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
        whose lengths mean something, such as a few measurements, and a radius that fits them.
    clf_embedding_flag_name, missing_label, random_state : optional
        As in `Badge`.

    Notes
    -----
    Utilities are by how much a candidate would have raised the coverage. Labelled samples cover
    themselves, so that the mean may leave them out.

    The coverage is monotone and submodular: what a candidate adds can only fall. Most candidates
    are therefore not looked at again for a pick, and the picks are those of looking at all.
    Distances between all pairs are computed once, each for both. Pairs that can add coverage,
    nearer than one of them is to its nearest label, are kept if they are few, 200 a sample at most;
    picks and utilities then cost little. Without labels they are all pairs: the candidates in
    question are held against the pool again for each pick, until coverage makes the pairs few.

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
    >>> picks = MaxHerding(radius=0.5, random_state=0).query(
    ...     X, np.full(len(X), np.nan), batch_size=10
    ... )
    >>> len(set(y[picks]))
    10
    """

    needs = ("features",)
    looks_at_labeled = True
    paper = "Bae et al., ECCV 2024"

    radius: float = checked(check_positive, default=1.0)
    normalize: bool = checked(check_flag, default=True)
    clf_embedding_flag_name: Any = None

    def _choose(self, query: Query) -> Choice:
        # In one line: the features are not held beside the points.
        points = lay_out(
            query.features(with_labeled=True, on_device=True), self.radius, normalize=self.normalize
        )
        return herd(query, points, np.ones(query.n_candidates), self.radius)


@parameters
class UncertaintyHerding(QueryStrategy):
    """
    Choose samples that are typical of what the classifier is uncertain of.

    With few labels it acts as `MaxHerding`, with many as uncertainty sampling [1]_. With features
    h of length 1, the labelled samples L, the picks S so far, the uncertainty U and the kernel
    k(i, j) = exp(−‖h_i − h_j‖² / σ²), the next pick is the greedy choice for the largest
    uncertainty coverage of the candidates x,

        mean_x  U(x) max_{j ∈ L ∪ S} k(x, j).

    U is of calibrated probabilities, softmax(z / T) of logits z: with few labels they are nearly
    even.

    Parameters
    ----------
    method : {"margin_sampling", "entropy", "least_confident"}, default="margin_sampling"
        The measure of uncertainty, as in `UncertaintySampling`.
    radius : float or None, default=None
        The radius σ. None stands for the least distance between labelled samples that are apart,
        so that it falls as they get more, and for 1 while there are no two of these.
    temperature : float or None, default=None
        The temperature T; 1 leaves the probabilities as they are. None takes that of the least
        expected calibration error on labelled samples that a copy of the classifier, fitted once
        more, has not seen.
    normalize : bool, default=True
        As in `MaxHerding`.
    clf_embedding_flag_name, missing_label, random_state : optional
        As in `Badge`.

    Notes
    -----
    What is said of utilities, cost and exactness at `MaxHerding` holds here; the smaller the
    radius, the fewer candidates are looked at again.

    As in the authors' code, three labelled samples in ten are held out for T, which is searched
    from 1 to 19.9 in steps of 0.1, with as many bins of confidence as there are classes. Here they
    are drawn, there they are the last ones; here T stays 1 if there are too few, or if the
    classifier is used as it is (``fit_clf=False``). There, too, the candidates are a random
    35,000 at most; here they are all.

    References
    ----------
    .. [1] W. Bae, G. L. Oliveira and D. J. Sutherland, "Uncertainty herding: one active learning
       method for all label budgets", ICLR 2025.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.linear_model import LogisticRegression
    >>> from labelnext.pool import UncertaintyHerding
    >>> X, y_true = load_digits(return_X_y=True)
    >>> X, y = X / 16, np.where(np.arange(len(X)) < 50, y_true, np.nan)
    >>> UncertaintyHerding(random_state=0).query(X, y, LogisticRegression(), batch_size=3)
    array([1076, 1482, 1437])
    """

    needs = ("proba", "features")
    looks_at_labeled = True
    paper = "Bae et al., ICLR 2025"

    method: str = checked(check_method, default="margin_sampling", kw_only=False)
    radius: float | None = checked(check_positive, default=None)
    temperature: float | None = checked(check_positive, default=None)
    normalize: bool = checked(check_flag, default=True)
    clf_embedding_flag_name: Any = None

    def _choose(self, query: Query) -> Choice:
        n = query.n_candidates
        proba, features = query.proba_and_features(with_labeled=True, on_device=True)
        temperature = self.temperature or held_out_temperature(query)
        unsure = uncertainty(temper(proba[:n], temperature), self.method)
        radius = self.radius or self._radius(features[n:])
        points = lay_out(features, radius, normalize=self.normalize)
        del features  # not to be held beside the points
        # Rounding may leave a certain sample a little below 0.
        return herd(query, points, np.maximum(unsure, 0.0), radius)

    def _radius(self, labeled: Any) -> float:
        if labeled.shape[0] < 2:
            return 1.0
        # In float64, as for a radius of 0.
        least = lay_out(labeled, 0.0, normalize=self.normalize).least_apart()
        return float(np.sqrt(least)) if np.isfinite(least) else 1.0


def temper(proba: NDArray[Any], temperature: float) -> NDArray[np.float64]:
    """Return softmax(z / T) where the probabilities are softmax(z).

    >>> temper(np.array([[0.8, 0.2], [1.0, 0.0]]), 2.0).round(3)
    array([[0.667, 0.333],
           [1.   , 0.   ]])
    """
    scaled = np.asarray(proba, dtype=np.float64)
    # The largest becomes 1, so that not all vanish.
    scaled = (scaled / scaled.max(axis=1, keepdims=True)) ** (1 / temperature)
    return np.asarray(scaled / scaled.sum(axis=1, keepdims=True))


def calibration_error(proba: NDArray[np.float64], is_right: NDArray[np.bool_]) -> float:
    """Return the expected calibration error, with as many bins as there are classes.

    >>> calibration_error(np.array([[0.9, 0.1], [0.7, 0.3]]), np.array([True, False]))
    0.3
    """
    confidence = proba.max(axis=1)
    bins = np.ceil(confidence * proba.shape[1]).astype(np.int64)
    gaps = np.bincount(bins, weights=confidence - is_right)
    return float(np.abs(gaps).sum() / len(confidence))


def best_temperature(proba: NDArray[Any], is_right: NDArray[np.bool_]) -> float:
    """Return the temperature of the least calibration error, the lowest of equals."""
    errors = [calibration_error(temper(proba, t), is_right) for t in TEMPERATURES]
    return float(TEMPERATURES[int(np.argmin(np.round(errors, 12)))])


def held_out_temperature(query: Query) -> float:
    """Return the temperature of a copy of the classifier on labels that it was not given.

    It is 1 where nothing can be held out: too few labels, or a classifier that is not to be
    fitted, cannot be with fewer labels, or does not know its classes.
    """
    n_held = int(HELD_OUT * len(query.labeled))
    held = np.sort(query.rng.permutation(len(query.labeled))[:n_held])
    found = query.model.right_without(held) if n_held and query.model is not None else None
    return 1.0 if found is None else best_temperature(*found)
