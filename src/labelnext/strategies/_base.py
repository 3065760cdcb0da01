"""What all query strategies share."""

from __future__ import annotations

import numbers
import warnings
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import BaseEstimator

from labelnext.estimators.rows import as_samples
from labelnext.strategies._candidates import find_candidates
from labelnext.strategies._groups import group_candidates
from labelnext.strategies._query import Query
from labelnext.utils import MISSING_LABEL, check_random_state
from labelnext.utils.labels import split_labels

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray

    from labelnext.sampling import Groups

    Picks = NDArray[np.int64]
    Utilities = NDArray[np.float64]


class QueryStrategy(BaseEstimator, ABC):  # type: ignore[misc]
    """
    Base of all query strategies: all that does not depend on how samples are chosen.

    A strategy overrides `_choose`, and one that asks a classifier derives from
    `ClassifierQueryStrategy`. A `query` then goes through these steps:

    1. `_check_parameters`, for parameters of the strategy's own; the constructor keeps what it
       is given and checks nothing, as scikit-learn asks.
    2. The samples, labels, candidates and batch size are checked. A batch that is larger than
       the number of candidates is cut, with a warning.
    3. If the strategy asks a classifier, a copy is fitted.
    4. A generator is made of `random_state`.
    5. `_choose` gets all this as a `Query` and returns places among the candidates, and the
       utilities if they are wanted.
    6. Places become rows of `X`, and utilities get their columns, NaN where there is no
       candidate.

    A strategy keeps no state: a query changes neither it nor anything that it is given. Randomness
    is a function of `random_state` and of how many labels are missing. So the same query gives
    the same batch, and the rounds of a loop differ although the seed stays the same.

    Parameters
    ----------
    missing_label : scalar, str or None, default=numpy.nan
        What stands for a missing label.
    random_state : int, RandomState, Generator or None, default=None
        The seed; a generator is copied, not advanced. None gives another batch each time, under
        the rule of `numpy.random.seed`.

    See Also
    --------
    ClassifierQueryStrategy : Base of the strategies that ask a classifier.

    Examples
    --------
    A strategy that prefers samples far from the origin:

    >>> import numpy as np
    >>> from labelnext.pool import QueryStrategy
    >>> class Farthest(QueryStrategy):
    ...     def query(self, X, y, candidates=None, batch_size=1, return_utilities=False):
    ...         return self._query(
    ...             X,
    ...             y,
    ...             candidates=candidates,
    ...             batch_size=batch_size,
    ...             return_utilities=return_utilities,
    ...         )
    ...
    ...     def _choose(self, query):
    ...         norms = np.linalg.norm(query.X, axis=1)
    ...         picks = np.argsort(-norms)[: query.batch_size]
    ...         return picks, query.utilities_of_scores(norms, picks)
    >>> X = np.array([[3.0, 4.0], [1.0, 0.0], [6.0, 8.0]])
    >>> picks, utilities = Farthest().query(
    ...     X, y=[np.nan, 0, np.nan], batch_size=2, return_utilities=True
    ... )
    >>> picks
    array([2, 0])
    >>> utilities
    array([[ 5., nan, 10.],
           [ 5., nan, nan]])
    """

    batches_are_prefixes = True
    """Whether the batch for a smaller size is the start of that for a larger one."""

    def __init__(self, missing_label: Any = MISSING_LABEL, random_state: Any = None) -> None:
        self.missing_label = missing_label
        self.random_state = random_state

    @abstractmethod
    def _choose(self, query: Query) -> tuple[Picks, Utilities | None]:
        """Choose among the candidates.

        Parameters
        ----------
        query : Query
            What to choose from.

        Returns
        -------
        picks : ndarray of shape (batch_size,), int64
            Distinct places among the candidates, in the order of the picks. They should be the
            start of those for any larger batch.
        utilities : ndarray of shape (batch_size, n_candidates), float64, or None
            Row t is what decided on pick t, NaN at those already picked. Not looked at unless
            `query.return_utilities`.
        """

    def _check_parameters(self) -> None:
        """Raise if a parameter of the strategy's own is not as it should be."""

    def _query(
        self,
        X: Any,
        y: ArrayLike,
        *,
        candidates: Any,
        batch_size: int,
        return_utilities: bool,
        fit: Callable[[Any, ArrayLike], Any] | None = None,
        groups: ArrayLike | None = None,
        max_per_group: int | None = None,
    ) -> Picks | tuple[Picks, Utilities]:
        """Go through the steps of a query.

        Parameters
        ----------
        X, y, candidates, batch_size, return_utilities
            As in the strategies' `query`.
        fit : callable of (X, y), optional
            Returns the fitted classifier; called when all else is known to be right.
        groups : array-like of shape (n_samples,) or (n_candidates,), optional
            The group of each sample, of each candidate if these are samples.
        max_per_group : int, optional
            How many picks a group may have.
        """
        self._check_parameters()
        X = as_samples(X)
        labels, missing = _split_labels(X, y, self.missing_label)
        unlabelled = np.flatnonzero(missing).astype(np.int64)
        rng = self._generator(len(unlabelled))
        found = find_candidates(X, unlabelled, candidates)
        batch_size = _check_batch_size(batch_size)
        if not isinstance(return_utilities, bool | np.bool_):
            raise TypeError(f"return_utilities must be True or False, got {return_utilities!r}.")
        grouped = group_candidates(groups, max_per_group, found)
        batch_size = _cut(batch_size, len(found), grouped)
        clf = None if fit is None else fit(X, y)
        picks, utilities = self._choose(
            Query(
                found.X,
                len(found),
                batch_size,
                clf,
                rng,
                bool(return_utilities),
                X,
                np.flatnonzero(~missing).astype(np.int64),
                labels[~missing],
                grouped,
                getattr(self, "clf_embedding_flag_name", None),
                fit,
                labels,
                self.missing_label,
            )
        )
        if not return_utilities:
            return found.rows[picks]
        assert utilities is not None, f"{type(self).__name__}._choose returned no utilities"
        return found.rows[picks], found.spread(utilities)

    def _generator(self, n_unlabelled: int) -> np.random.Generator:
        # With the seed alone, every round of a loop would draw at the same quantiles of the pool.
        seed = check_random_state(self.random_state).randint(2**32, dtype=np.uint32)
        return np.random.Generator(np.random.PCG64([int(seed), n_unlabelled]))


def _split_labels(
    X: Any, y: ArrayLike, missing_label: Any
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    labels, missing = split_labels(y, missing_label)
    if missing.ndim != 1:
        raise ValueError(
            f"y must have one label for each sample, got shape {missing.shape}; "
            f"labelnext.utils.majority_vote makes one label of those of several people, and "
            f"np.ravel one dimension of a single column."
        )
    if len(missing) != X.shape[0]:
        raise ValueError(
            f"X and y must have the same length, got {X.shape[0]} samples and {len(missing)} "
            f"labels; mark labels that are missing with missing_label={missing_label!r}."
        )
    return labels, missing


def _cut(batch_size: int, n_candidates: int, groups: Groups | None) -> int:
    """Return the batch size, or with a warning the largest that can be had."""
    most = n_candidates if groups is None else groups.most()
    if batch_size <= most:
        return batch_size
    if most == n_candidates:
        message = f"the number of candidates; all {most} of them are returned."
    else:
        message = f"what max_per_group leaves of the candidates; {most} of them are returned."
    # Seen from where `query` is called.
    warnings.warn(f"batch_size={batch_size} is larger than {message}", UserWarning, stacklevel=4)
    return most


def _check_batch_size(batch_size: Any) -> int:
    if isinstance(batch_size, bool) or not isinstance(batch_size, numbers.Integral):
        raise TypeError(
            f"batch_size must be an integer, got {batch_size!r} of type "
            f"{type(batch_size).__name__}."
        )
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}.")
    return int(batch_size)
