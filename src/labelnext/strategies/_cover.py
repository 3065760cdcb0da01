"""Balls around samples that cover the pool: all of it, or most of it with one radius."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from labelnext.engine import open_gradients
from labelnext.pools import Pool
from labelnext.sampling import farthest_first
from labelnext.sampling.utilities import trace_d2
from labelnext.strategies._base import QueryStrategy, checked, parameters
from labelnext.strategies._clusters import k_means
from labelnext.strategies._points import first_by_lot, lay_out
from labelnext.strategies._query import Choice, Query
from labelnext.utils.given import check_flag, check_integer, check_positive

if TYPE_CHECKING:
    import scipy.sparse as sp
    from numpy.typing import NDArray

    from labelnext.strategies._points import Points
    from labelnext.strategies._query import Mask

# Of so many points one is looked at for a bound of the radius.
THIN = 4


@parameters
class CoreSet(QueryStrategy):
    """
    Choose the samples that are farthest from all labelled ones.

    This is the greedy form of core-set selection [1]_. With the labelled samples L, the picks S
    so far and Euclidean distances between features h, the next pick is

        argmax_i  min_{j ∈ L ∪ S} ‖h_i − h_j‖,

    which keeps the largest distance of any candidate to its nearest labelled sample within twice
    the least that is possible.

    Parameters
    ----------
    clf_embedding_flag_name, missing_label, random_state : optional
        As in `Badge`; the seed decides the first pick if there is no label yet.

    Notes
    -----
    Utilities are the distances to the nearest of L ∪ S, or 0 where there is none yet. Among equal
    ones the pick is the first of X; scikit-activeml, with which the picks agree otherwise, draws
    it. A pool is passed over a few times for a batch (`labelnext.sampling.farthest_first`), and
    stays where it is: in files, or on a GPU.

    References
    ----------
    .. [1] O. Sener and S. Savarese, "Active learning for convolutional neural networks: a
       core-set approach", ICLR 2018.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_digits
    >>> from labelnext.pool import CoreSet
    >>> X, y_true = load_digits(return_X_y=True)
    >>> y = np.where(np.arange(len(X)) < 50, y_true, np.nan)
    >>> picks, utilities = CoreSet().query(X, y, batch_size=3, return_utilities=True)
    >>> picks, utilities[range(3), picks].round(2)
    (array([1572,  756, 1495]), array([49.78, 43.87, 43.43]))
    """

    needs = ("features",)
    looks_at_labeled = True
    paper = "Sener and Savarese, ICLR 2018"

    clf_embedding_flag_name: Any = None

    def _choose(self, query: Query) -> Choice:
        # Features that are the gradients: D² is their squared distance.
        points = open_gradients(
            Pool.of(query.pool.source, task="vectors", bias=False), memory_limit=query.memory_limit
        )
        exclude = np.setdiff1d(query.excluded, query.labeled)
        first = np.empty(0, dtype=np.int64)
        if len(query.labeled) == 0:
            first = query.candidates[query.rng.integers(query.n_candidates, size=1)]
        batch = farthest_first(
            points, query.k, query.labeled, first=first, exclude=exclude, groups=query.groups
        )
        picks = np.searchsorted(query.candidates, batch.indices)
        assert batch.d2 is not None  # which it always tells
        scores = np.sqrt(batch.d2)
        if not query.return_utilities:
            return Choice(picks, scores=scores)
        d2 = np.zeros((query.k, points.n_rows))
        trace_d2(points, batch.indices, exclude, query.labeled, d2)
        if len(query.labeled) == 0:
            d2[0] = 0.0
        distances = np.sqrt(d2[:, query.candidates])
        return Choice(picks, query.without_taken(distances, picks), scores)


def _check_share(name: str, value: Any) -> None:
    check_positive(name, value)
    if value > 1:
        raise ValueError(f"{name} must be a share, at most 1, got {value}.")


@parameters
class ProbCover(QueryStrategy):
    """
    Choose the samples whose neighbourhoods cover most of the pool.

    With few labels, a labelled sample is to stand for those around it [1]_. With balls
    B_δ(i) = {j : ‖h_i − h_j‖ < δ} between features h of length 1, the labelled samples L and the
    picks S so far, the next pick is

        argmax_i  size( B_δ(i) \\ ⋃_{j ∈ L ∪ S} B_δ(j) ),

    the greedy choice for the largest coverage, which comes within 1 − 1/e of the best there is.

    Parameters
    ----------
    delta : float or None, default=None
        The radius δ. None estimates it as the paper does: k-means clusters stand for the classes,
        a ball is pure if all in it are of one cluster, and δ is the largest radius at which the
        share `alpha` of all balls is pure.
    alpha : float, default=0.95
        That share, over 0 and at most 1.
    n_classes : int or None, default=None
        How many clusters. None takes as many as there are classes among the labels, at least 2;
        for the first batch better say it.
    normalize : bool, default=True
        As in `MaxHerding`.
    clf_embedding_flag_name, missing_label, random_state : optional
        As in `Badge`.

    Notes
    -----
    Utilities are the numbers of samples that a candidate would newly cover, itself among them.
    When all are covered the rest of the batch is drawn by lot. Candidates and labelled samples
    are covered, other samples of X are not. The paper tries radii on a grid; the estimate here is
    the radius itself.

    Distances between all pairs are computed once, each for both, and those of neighbours are kept,
    200 of a sample at most. If there are more they are computed up to three times: for the radius,
    for how many each ball holds, and for what each pick newly covers, no sample being covered
    twice. In float32 a pair whose squared distance is that of δ to within a millionth may count
    for either.

    References
    ----------
    .. [1] O. Yehuda, A. Dekel, G. Hacohen and D. Weinshall, "Active learning through a covering
       lens", NeurIPS 2022.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_digits
    >>> from labelnext.pool import ProbCover
    >>> X, y = load_digits(return_X_y=True)
    >>> picks, utilities = ProbCover(n_classes=10, random_state=0).query(
    ...     X, np.full(len(X), np.nan), batch_size=10, return_utilities=True
    ... )
    >>> len(set(y[picks])), utilities[range(3), picks[:3]]
    (6, array([66., 39., 36.]))
    """

    needs = ("features",)
    looks_at_labeled = True
    paper = "Yehuda et al., NeurIPS 2022"

    delta: float | None = checked(check_positive, default=None)
    alpha: float = checked(_check_share, default=0.95)
    n_classes: int | None = checked(partial(check_integer, least=2), default=None)
    normalize: bool = checked(check_flag, default=True)
    clf_embedding_flag_name: Any = None

    def _choose(self, query: Query) -> Choice:
        features = query.features(with_labeled=True, on_device=True)
        n = query.n_candidates
        lots = query.rng.permutation(n)
        balls = Balls(*self._radius(features, query))
        is_open = balls.points.nearest(balls.points.take(slice(n, None))) >= balls.limit
        n_new = balls.count(is_open)[:n]

        def step(is_free: Mask) -> tuple[int, float, NDArray[np.int64]]:
            nonlocal n_new, is_open
            before, pick = n_new, first_by_lot(np.where(is_free, n_new, -1), lots)
            covered = is_open & balls.around(pick)
            is_open = is_open & ~covered
            # Each sample is covered once, so all these counts together are no more than one of all.
            n_new = before - balls.count(covered)[:n]
            return pick, before[pick], before

        return query.one_by_one(step)

    def _radius(self, features: Any, query: Query) -> tuple[Points, float, Any]:
        """Return points in the precision that the radius asks for, the radius, and pairs in it."""
        if self.delta is not None:
            return lay_out(features, self.delta, normalize=self.normalize), float(self.delta), None
        if self.n_classes is None and query.pool.task in ("multilabel", "regression"):
            raise ValueError(
                f"{query.asker} needs n_classes or delta, as labels of a pool of task "
                f"{query.pool.task!r} don't tell how many classes there are."
            )
        n_classes = self.n_classes or max(2, len(set(query.labels.tolist())))
        n_clusters = min(n_classes, features.shape[0])
        points = lay_out(features, normalize=self.normalize)
        clusters = k_means(points, n_clusters, query.rng, max_iter=50)[1]
        delta, near = largest_pure_radius(points, clusters, self.alpha)
        if points.too_coarse_for(delta):
            points = lay_out(features, delta, normalize=self.normalize)
            delta, near = largest_pure_radius(points, clusters, self.alpha)
        return points, delta, near


class Balls:
    """Balls of one radius around points, and how many of some points each of them holds.

    `near` are the squared distances of pairs at that radius or farther, None if they are not known.
    """

    def __init__(self, points: Points, radius: float, near: sp.csr_array | None) -> None:
        self.points = points
        # A pair just at the radius is out, and a duplicate in, whatever the rounding.
        self.limit = max(radius**2 - points.rounding, points.rounding)
        near = points.within(np.full(points.n, self.limit)) if near is None else near
        self.holds = near
        if near is not None:
            near.data = (near.data < self.limit).astype(np.float32)

    def count(self, rows: Mask) -> NDArray[np.int64]:
        """Return how many of the points in a mask each ball holds."""
        if self.holds is None:
            return self.points.count(self.points.take(rows), self.limit)
        return np.asarray(self.holds @ rows.astype(np.float64), dtype=np.int64)

    def around(self, row: int) -> Mask:
        """Return a mask of the points in the ball around one."""
        if self.holds is None:
            return self.points.nearest(self.points.take([row])) < self.limit
        return np.asarray(self.holds[[row]].toarray()[0] > 0)


def largest_pure_radius(
    points: Points, clusters: NDArray[Any], alpha: float
) -> tuple[float, sp.csr_array | None]:
    """Return the largest radius at which a share alpha of open balls hold one cluster only.

    A ball is pure as long as its radius is at most the distance from its middle to the nearest
    point of another cluster: the radius is a quantile of these. A larger one, that of some of the
    points, tells which pairs to look at; these are returned too, None if they are too many to keep.
    """
    some = slice(None, None, THIN)
    bound = _quantile(points.take(some).nearest_of_another(clusters[some]), alpha)
    near = points.within(np.full(points.n, bound + points.rounding))
    if near is not None:
        kinds = clusters.astype(np.int32)
        is_same = np.repeat(kinds, np.diff(near.indptr)) == kinds[near.indices]
        d2 = np.minimum.reduceat(np.where(is_same, np.inf, near.data), near.indptr[:-1])
        if (least := _quantile(d2, alpha)) <= bound + points.rounding:
            return float(np.sqrt(least)), near
    return float(np.sqrt(_quantile(points.nearest_of_another(clusters), alpha))), None


def _quantile(d2: NDArray[np.float64], alpha: float) -> float:
    n_impure = int((1 - alpha) * len(d2) + 1e-9)
    return float(np.partition(d2, n_impure)[n_impure])
