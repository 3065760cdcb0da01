"""Core-set: the samples farthest from all that is labelled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from labelnext.engine import open_gradients
from labelnext.pools import Pool
from labelnext.sampling import farthest_first
from labelnext.sampling.utilities import trace_d2
from labelnext.strategies._base import QueryStrategy, parameters
from labelnext.strategies._query import Choice, Query

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from labelnext.engine import Gradients


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
        return Choice(picks, _distances(points, batch.indices, exclude, query), scores)


def _distances(
    points: Gradients, rows: NDArray[np.int64], exclude: NDArray[np.int64], query: Query
) -> NDArray[np.float64]:
    """Return the distance of each candidate to the nearest centre before each pick."""
    d2 = np.zeros((len(rows), points.n_rows))
    trace_d2(points, rows, exclude, query.labeled, d2)
    if len(query.labeled) == 0:
        d2[0] = 0.0
    picks = np.searchsorted(query.candidates, rows)
    return query.without_taken(np.sqrt(d2[:, query.candidates]), picks)
