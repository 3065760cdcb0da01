"""BADGE: batch active learning by diverse gradient embeddings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from labelnext.engine import open_gradients
from labelnext.sampling import d2_utilities
from labelnext.strategies._base import QueryStrategy, checked, parameters
from labelnext.strategies._query import badge_needs, choose_badge
from labelnext.utils.given import check_flag

if TYPE_CHECKING:
    from collections.abc import Mapping

    from labelnext.pools import Pool
    from labelnext.sampling import Batch
    from labelnext.strategies._base import Picks, Utilities
    from labelnext.strategies._query import Query


@parameters
class Badge(QueryStrategy):
    """
    Batch active learning by diverse gradient embeddings.

    Each candidate stands for the gradient that it would send to the classifier's last linear
    layer, were its most probable class its label [1]_. Long gradients mean uncertain samples.
    The first pick is the longest; each further one is drawn with a probability proportional to
    D², its squared distance to the nearest pick so far, which spreads the batch. The draws
    follow this law exactly, and no gradient is ever built.

    The features, the last layer's input, are those that `predict_proba` returns beside the
    probabilities. If it returns none, they are the output of the transformers for a `Pipeline`,
    the last hidden layer for an `MLPClassifier`, for a network of torch what its last linear
    layer is given, and else X itself. For a classifier that knows fewer than two classes yet,
    the features alone decide.

    Parameters
    ----------
    clf_embedding_flag_name : str, dict or None, default=None
        What makes the classifier's `predict_proba` return `(proba, features)`: the name of an
        argument, which is set to True, or a dict of arguments. Not needed if it does so anyway.
    condition_on_labeled : bool, default=False
        Whether the labelled samples are centres from the start, by their gradients at their
        pseudo-labels as well, so that the batch keeps away from them too. The first pick is then
        drawn by D² as the others are.
    max_per_group : int or None, default=None
        How many picks at most are of one group (a video, patient or document) by the argument
        `groups` of `query`.
    missing_label, random_state : optional
        As in `QueryStrategy`.

    Notes
    -----
    Utilities are the law that each pick was drawn from: rows sum to 1, and the first is 1 at the
    longest gradient. If all D² are 0 the rest of the batch is drawn uniformly. Samples of a
    full group cannot be picked: their utilities are NaN.

    References
    ----------
    .. [1] J. T. Ash, C. Zhang, A. Krishnamurthy, J. Langford and A. Agarwal, "Deep batch active
       learning by diverse, uncertain gradient lower bounds", ICLR 2020.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.linear_model import LogisticRegression
    >>> from labelnext.pool import Badge
    >>> X, y_true = load_digits(return_X_y=True)
    >>> X, y = X / 16, np.where(np.arange(len(X)) < 50, y_true, np.nan)
    >>> Badge(random_state=0).query(X, y, LogisticRegression(), batch_size=5)
    array([1747,  536,  429, 1479,   99])

    No more than one sample from each six hundred:

    >>> Badge(max_per_group=1, random_state=0).query(
    ...     X, y, LogisticRegression(), batch_size=3, groups=np.arange(len(X)) // 600
    ... )
    array([1747,  536,  782])
    """

    needs = ("proba", "features")
    paper = "Ash et al., ICLR 2020"
    counts_bias = True

    clf_embedding_flag_name: str | Mapping[str, Any] | None = None
    condition_on_labeled: bool = checked(check_flag, default=False)
    max_per_group: int | None = None  # type: ignore[assignment]

    @property
    def looks_at_labeled(self) -> bool:  # type: ignore[override]
        """Whether labelled samples are centres."""
        return bool(self.condition_on_labeled)

    def _needs_of(self, pool: Pool) -> tuple[str, ...]:
        return badge_needs(pool)

    def _select(self, query: Query) -> Batch:
        return choose_badge(query, condition_on_labeled=self.looks_at_labeled)

    def _choose(self, query: Query) -> tuple[Picks, Utilities | None]:
        try:
            batch = self._select(query)
        except ValueError as error:
            raise ValueError(f"{error} (Rows are counted among the candidates.)") from error
        picks = np.searchsorted(query.candidates, batch.indices)
        if not query.return_utilities:
            return picks, None
        centres = query.labeled if self.looks_at_labeled else query.labeled[:0]
        law = d2_utilities(
            open_gradients(query.pool, memory_limit=query.memory_limit),
            batch.indices,
            exclude=np.setdiff1d(query.excluded, centres),
            centres=centres,
            groups=query.groups,
        )
        return picks, law[:, query.candidates]
