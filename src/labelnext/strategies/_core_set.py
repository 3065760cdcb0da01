"""Core-set: the samples farthest from all that is labelled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from labelnext.sampling import farthest_first
from labelnext.strategies._base import QueryStrategy
from labelnext.strategies._euclidean import as_points, distances_at_picks
from labelnext.utils import MISSING_LABEL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from labelnext.strategies._base import Picks, Utilities
    from labelnext.strategies._query import Query


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
    clf_embedding_flag_name : str, dict or None, default=None
        What makes the classifier's `predict_proba` return features, as in `Badge`.
    missing_label : scalar, str or None, default=numpy.nan
        What stands for a missing label.
    random_state : int, RandomState, Generator or None, default=None
        Decides the first pick if there is no label yet; see `QueryStrategy`. With the same seed,
        the batch for a smaller `batch_size` is the start of that for a larger one.

    See Also
    --------
    Badge : Far from one another, too, but among the uncertain.
    labelnext.sampling.farthest_first : The greedy choice.

    Notes
    -----
    Utilities are the distances to the nearest of L ∪ S, or 0 where there is none yet: the first
    pick is then random. Among equal ones the pick is the first of X; scikit-activeml, with which
    the picks agree otherwise, draws it. A pool is passed over a few times for a batch, not once a
    pick.

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
    >>> y = np.full(len(X), np.nan)
    >>> y[:50] = y_true[:50]
    >>> picks, utilities = CoreSet().query(X, y, batch_size=3, return_utilities=True)
    >>> picks
    array([1572,  756, 1495])
    >>> utilities[[0, 1, 2], picks].round(2)
    array([49.78, 43.87, 43.43])
    """

    needs = ("features",)
    looks_at_labeled = True
    paper = "Sener and Savarese, ICLR 2018"
    takes_groups = False

    def __init__(
        self,
        clf_embedding_flag_name: str | Mapping[str, Any] | None = None,
        missing_label: Any = MISSING_LABEL,
        random_state: Any = None,
    ) -> None:
        super().__init__(missing_label=missing_label, random_state=random_state)
        self.clf_embedding_flag_name = clf_embedding_flag_name

    def _choose(self, query: Query) -> tuple[Picks, Utilities | None]:
        points = as_points(query.features(with_labeled=True))
        centres = np.arange(query.n_candidates, points.n_rows)
        picks = np.empty(0, dtype=np.int64)
        if len(centres) == 0:
            centres = picks = query.rng.integers(query.n_candidates, size=1)
        if len(picks) < query.k:
            rest = farthest_first(points, query.k - len(picks), centres)
            picks = np.concatenate([picks, rest.indices])
        if not query.return_utilities:
            return picks, None
        return picks, distances_at_picks(points, picks, query.n_candidates)
