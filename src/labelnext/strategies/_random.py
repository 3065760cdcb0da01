"""Random sampling, what every other strategy has to beat."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from labelnext.strategies._base import QueryStrategy, parameters

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from labelnext.strategies._base import Picks, Utilities
    from labelnext.strategies._query import Query


@parameters
class RandomSampling(QueryStrategy):
    """
    Choose samples at random, all candidates being equally likely.

    Parameters
    ----------
    missing_label, random_state : optional
        As in `QueryStrategy`.

    See Also
    --------
    Badge : Uncertain and diverse samples.

    Examples
    --------
    >>> import numpy as np
    >>> from labelnext.pool import RandomSampling
    >>> X, y = np.arange(10.0).reshape(5, 2), [0, np.nan, np.nan, 1, np.nan]
    >>> picks, utilities = RandomSampling(random_state=0).query(
    ...     X, y, batch_size=2, return_utilities=True
    ... )
    >>> picks
    array([2, 1])
    >>> utilities.round(2)
    array([[ nan, 0.33, 0.33,  nan, 0.33],
           [ nan, 0.5 ,  nan,  nan, 0.5 ]])
    """

    def query(  # type: ignore[override]
        self,
        X: Any,
        y: ArrayLike,
        candidates: Any = None,
        batch_size: int = 1,
        return_utilities: bool = False,
        groups: ArrayLike | None = None,
        max_per_group: int | None = None,
    ) -> Picks | tuple[Picks, Utilities]:
        # As `QueryStrategy.query`; a classifier would not be asked.
        return super().query(
            X,
            y,
            candidates=candidates,
            batch_size=batch_size,
            return_utilities=return_utilities,
            groups=groups,
            max_per_group=max_per_group,
        )

    def _choose(self, query: Query) -> tuple[Picks, Utilities | None]:
        picks = query.first(query.rng.permutation(query.n_candidates))
        if not query.return_utilities:
            return picks, None
        law = query.utilities_of_scores(np.ones(query.n_candidates), picks)
        return picks, law / np.nansum(law, axis=1, keepdims=True)
