"""DropQuery: diverse samples whose predictions do not survive dropout."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from labelnext.strategies._base import QueryStrategy, check_count, checked, parameters
from labelnext.strategies._clusters import nearest_to_centres
from labelnext.strategies._query import Choice, Query
from labelnext.utils.given import check_number
from labelnext.utils.libraries import is_tensor

# Rows that are copied at a time.
_BLOCK = 4096


def _check_dropout(name: str, value: Any) -> None:
    check_number(name, value)
    if value >= 1:
        raise ValueError(f"{name} must be below 1, got {value}: nothing would be left.")


@parameters
class DropQuery(QueryStrategy):
    """
    Choose, from clusters, samples whose predictions change when features are dropped.

    The features h of a candidate are dropped at random, `n_passes` times, and the classifier's
    last step predicts from what is left. The candidate is disputed if more than half of these
    predictions differ from the one that all features give [1]_, ::

        Z = {h : Σ_m [ŷ(dropout_m(h)) ≠ ŷ(h)] > n_passes / 2}.

    K-means finds as many clusters of Z as there are picks, and pick t is the candidate of Z
    nearest to the centre of cluster t that has not been picked.

    Parameters
    ----------
    n_passes : int, default=3
        How often features are dropped.
    dropout : float, default=0.75
        The probability of each feature to be set to 0; the others are divided by the probability
        to stay. From 0, and below 1.
    max_iter : int, default=100
        At most so many iterations of k-means.
    missing_label, random_state : optional
        As in `QueryStrategy`.

    Notes
    -----
    If Z holds fewer candidates than are to be picked, or more of them than may be from one group,
    those of the most different predictions join it, by lot among equals, as the paper leaves open.
    Features and last step are those that `Badge` names; a classifier whose own `predict_proba`
    returns its features will not do, as nobody knows what follows them. Utilities are as in
    `KMeansSampling`, minus infinity for candidates that are not in Z, and a smaller batch is not
    the start of a larger one.

    References
    ----------
    .. [1] S. R. Gupte, J. Aklilu, J. J. Nirschl and S. Yeung-Levy, "Revisiting active learning in
       the era of vision foundation models", TMLR 2024.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.linear_model import LogisticRegression
    >>> from labelnext.pool import DropQuery
    >>> X, y_true = load_digits(return_X_y=True)
    >>> X, y = X / 16, np.where(np.arange(len(X)) < 50, y_true, np.nan)
    >>> picks = DropQuery(random_state=0).query(X, y, LogisticRegression(), batch_size=10)
    >>> len(set(y_true[picks]))
    8
    """

    needs = ("features", "last_layer")
    paper = "Gupte et al., TMLR 2024"
    batches_are_prefixes = False

    n_passes: int = checked(check_count, default=3)
    dropout: float = checked(_check_dropout, default=0.75)
    max_iter: int = checked(check_count, default=100)

    def _choose(self, query: Query) -> Choice:
        features = query.features(on_device=True)
        differ = disagreements(query.last_step(), features, self.n_passes, self.dropout, query.rng)
        disputed = np.flatnonzero(2 * differ > self.n_passes)
        if len(query.first(disputed)) < query.k:
            # By rank, so far down that groups leave enough.
            order = np.lexsort((query.rng.random(query.n_candidates), -differ))
            enough = np.isin(order, query.first(order)).nonzero()[0][-1] + 1
            disputed = np.sort(order[:enough])
        found = nearest_to_centres(query, features[disputed], query.free(disputed), self.max_iter)
        picks = disputed[found.picks]
        if found.utilities is None:
            return Choice(picks, scores=found.scores)
        utilities = query.utilities_of_scores(np.full(query.n_candidates, -np.inf), picks)
        utilities[:, disputed] = found.utilities
        return Choice(picks, utilities, found.scores)


def disagreements(
    scores: Callable[[Any], NDArray[Any]],
    features: Any,
    n_passes: int,
    dropout: float,
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Count for each row the passes with dropout that predict another class than without.

    `scores` makes of features a score for each class.
    """
    blocks = [np.empty(0, dtype=np.int64)]
    for start in range(0, features.shape[0], _BLOCK):
        block = features[start : start + _BLOCK]
        predicted = scores(block).argmax(axis=1)
        differ = np.zeros(len(predicted), dtype=np.int64)
        for _ in range(n_passes):
            differ += scores(_drop(block, dropout, rng)).argmax(axis=1) != predicted
        blocks.append(differ)
    return np.concatenate(blocks)


def _drop(features: Any, dropout: float, rng: np.random.Generator) -> Any:
    if sp.issparse(features):
        kept = features.copy()
        kept.data = _drop(kept.data, dropout, rng)
        return kept
    stays: Any = rng.random(tuple(features.shape), dtype=np.float32) >= dropout
    if is_tensor(features):
        return features.where(features.new_tensor(stays).bool(), 0) / (1 - dropout)
    return np.where(stays, features / features.dtype.type(1 - dropout), 0)
