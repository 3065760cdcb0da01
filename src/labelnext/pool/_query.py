"""What a query strategy gets to choose from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Query:
    """
    A query, checked: what a strategy gets to choose from.

    Parameters
    ----------
    X : array, sparse matrix or frame of n_candidates rows
        The candidates, as the classifier takes them.
    n_candidates : int
        How many candidates there are, at least 1.
    batch_size : int
        How many of them to choose, from 1 to `n_candidates`.
    clf : classifier or None
        The fitted classifier, if the strategy asks for one.
    rng : numpy.random.Generator
        Where all randomness is to come from.
    return_utilities : bool
        Whether the utilities are wanted. The choice must not depend on it.

    See Also
    --------
    QueryStrategy : What is done before and after the choice.

    Examples
    --------
    >>> import numpy as np
    >>> from labelnext.pool import Query
    >>> query = Query(np.eye(3), 3, 2, None, np.random.default_rng(0), True)
    >>> query.utilities_of_scores(np.array([0.1, 0.9, 0.5]), np.array([1, 2]))
    array([[0.1, 0.9, 0.5],
           [0.1, nan, 0.5]])
    """

    X: Any
    n_candidates: int
    batch_size: int
    clf: Any
    rng: np.random.Generator
    return_utilities: bool

    def utilities_of_scores(
        self, scores: NDArray[np.float64], picks: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """
        Repeat scores that no pick changes, without the candidates already picked.

        Parameters
        ----------
        scores : numpy.ndarray of shape (n_candidates,)
            A score for each candidate.
        picks : numpy.ndarray of shape (batch_size,)
            The picks, in their order.

        Returns
        -------
        numpy.ndarray of shape (batch_size, n_candidates)
            In row t the scores, NaN at the first t picks.
        """
        utilities = np.tile(scores, (len(picks), 1))
        for t, pick in enumerate(picks):
            utilities[t + 1 :, pick] = np.nan
        return utilities
