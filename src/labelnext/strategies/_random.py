"""Random sampling, what every other strategy has to beat."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from labelnext.strategies._base import QueryStrategy

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from labelnext.strategies._base import Picks, Utilities
    from labelnext.strategies._query import Query


class RandomSampling(QueryStrategy):
    """
    Choose samples at random, all candidates being equally likely.

    Parameters
    ----------
    missing_label : scalar, str or None, default=numpy.nan
        What stands for a missing label.
    random_state : int, RandomState, Generator or None, default=None
        The seed; see `QueryStrategy`. With the same seed, the batch for a smaller `batch_size`
        is the start of that for a larger one.

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

    def query(
        self,
        X: Any,
        y: ArrayLike,
        candidates: Any = None,
        batch_size: int = 1,
        return_utilities: bool = False,
    ) -> Picks | tuple[Picks, Utilities]:
        """
        Choose the samples to be labelled next.

        Parameters
        ----------
        X : array-like, sparse matrix or frame of shape (n_samples, ...)
            All samples, labelled or not.
        y : array-like of shape (n_samples,)
            Their labels, some or all of them missing.
        candidates : array-like, default=None
            What to choose from, as in `Badge.query`.
        batch_size : int, default=1
            How many samples to choose; at most all candidates, with a warning.
        return_utilities : bool, default=False
            Whether to return the utilities too. They do not change the batch.

        Returns
        -------
        query_indices : numpy.ndarray of shape (batch_size,), int64
            The chosen samples, as in `Badge.query`.
        utilities : numpy.ndarray of shape (batch_size, n_samples) or (batch_size, n_candidates)
            Only if asked for. In row t the probability of each sample to be pick t, NaN at what
            could not be picked.

        Raises
        ------
        TypeError
            If an argument is of the wrong type.
        ValueError
            If an argument does not fit another, an index is no row of X, or there is no
            candidate.

        Warns
        -----
        UserWarning
            If there are fewer candidates than `batch_size`.
        """
        return self._query(
            X,
            y,
            candidates=candidates,
            batch_size=batch_size,
            return_utilities=return_utilities,
        )

    def _choose(self, query: Query) -> tuple[Picks, Utilities | None]:
        picks = query.rng.permutation(query.n_candidates)[: query.batch_size]
        if not query.return_utilities:
            return picks, None
        left = query.n_candidates - np.arange(query.batch_size)
        law = query.utilities_of_scores(np.ones(query.n_candidates), picks) / left[:, None]
        return picks, law
