"""MaxHerding: the samples that are typical of most of the pool, softly counted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from labelnext.strategies._base import QueryStrategy
from labelnext.strategies._checks import check_flag, check_positive
from labelnext.strategies._herding import herd
from labelnext.strategies._tiles import Points, place
from labelnext.utils import MISSING_LABEL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from labelnext.strategies._query import Choice, Query


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
    clf_embedding_flag_name : str, dict or None, default=None
        What makes the classifier's `predict_proba` return features, as in `Badge`.
    missing_label : scalar, str or None, default=numpy.nan
        What stands for a missing label.
    random_state : int, RandomState, Generator or None, default=None
        The seed of lots among equals; see `QueryStrategy`. With the same seed, the batch for a
        smaller `batch_size` is the start of that for a larger one.

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
        clf_embedding_flag_name: str | Mapping[str, Any] | None = None,
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
        features = place(query.features(with_labeled=True), self.normalize)
        points = Points.lay_out(features, self.radius)
        return herd(query, points, np.ones(query.n_candidates), self.radius)
