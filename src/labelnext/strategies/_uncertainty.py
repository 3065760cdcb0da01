"""Uncertainty sampling by least confidence, margin or entropy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from labelnext.strategies._base import QueryStrategy
from labelnext.strategies._measures import check_method, two_smallest, uncertainty
from labelnext.strategies._query import Choice
from labelnext.utils import MISSING_LABEL

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from labelnext.strategies._query import Query


class UncertaintySampling(QueryStrategy):
    """
    Choose the samples that the classifier is least sure of.

    How unsure it is of a sample [1]_ is, of its class probabilities, one minus the largest
    ("least_confident"), one minus the gap between the two largest ("margin_sampling"), or the
    entropy in nats ("entropy"). With costs it is the least expected cost
    ("least_confident"), or minus the gap between the two least ("margin_sampling") [2]_.

    Parameters
    ----------
    method : {"least_confident", "margin_sampling", "entropy"}, default="least_confident"
        The measure.
    cost_matrix : array-like of shape (n_classes, n_classes), default=None
        What it costs to predict class j for a sample of class i. Entropy knows no costs.
    missing_label : scalar, str or None, default=numpy.nan
        What stands for a missing label.
    random_state : int, RandomState, Generator or None, default=None
        Decides ties; see `QueryStrategy`. With the same seed, the batch for a smaller
        `batch_size` is the start of that for a larger one.

    See Also
    --------
    Badge : Uncertain and diverse samples.

    Notes
    -----
    Utilities are the measure itself; among equal ones the pick is random. The picks of a batch
    do not know of each other, so that near-duplicates are chosen together.

    References
    ----------
    .. [1] B. Settles, "Active learning literature survey", University of Wisconsin-Madison, 2009.
    .. [2] P.-L. Chen and H.-T. Lin, "Active learning for multiclass cost-sensitive
       classification using probabilistic models", TAAI 2013.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.linear_model import LogisticRegression
    >>> from labelnext.pool import UncertaintySampling
    >>> X, y_true = load_digits(return_X_y=True)
    >>> X = X / 16
    >>> y = np.full(len(X), np.nan)
    >>> y[:50] = y_true[:50]
    >>> picks, utilities = UncertaintySampling("entropy").query(
    ...     X, y, LogisticRegression(), batch_size=3, return_utilities=True
    ... )
    >>> picks
    array([ 829, 1453,  309])
    >>> utilities[0, picks].round(3)
    array([2.222, 2.222, 2.221])
    """

    needs = ("proba",)
    paper = "Settles, 2009"

    def __init__(
        self,
        method: str = "least_confident",
        cost_matrix: ArrayLike | None = None,
        missing_label: Any = MISSING_LABEL,
        random_state: Any = None,
    ) -> None:
        super().__init__(missing_label=missing_label, random_state=random_state)
        self.method = method
        self.cost_matrix = cost_matrix

    def _check_parameters(self) -> None:
        check_method(self.method)
        if self.cost_matrix is not None and self.method == "entropy":
            raise ValueError(
                "Entropy knows no costs; leave cost_matrix out, or choose least_confident or "
                "margin_sampling as the method."
            )

    def _choose(self, query: Query) -> Choice:
        scores = self._scores(self._ask(query))
        # Sorted by score, ties in random order, so that a batch is the start of a larger one.
        lots = query.rng.random(query.n_candidates)
        picks = query.first(np.lexsort((lots, -scores)))
        if not query.return_utilities:
            return Choice(picks, scores=scores[picks])
        return Choice(picks, query.utilities_of_scores(scores, picks))

    def _ask(self, query: Query) -> NDArray[np.float64]:
        if self.cost_matrix is not None and query.model is not None and query.model.is_cold:
            # No class is known from labels, but the costs tell how many there are.
            n_classes = len(np.asarray(self.cost_matrix))
            return np.full((query.n_candidates, n_classes), 1 / n_classes)
        return query.proba()

    def _scores(self, proba: NDArray[np.float64]) -> NDArray[np.float64]:
        if self.cost_matrix is not None:
            costs = two_smallest(proba @ _check_costs(self.cost_matrix, proba.shape[1]))
            if self.method == "least_confident":
                return costs[:, 0]
            return costs[:, 0] - costs[:, 1]
        return uncertainty(proba, self.method)


def _check_costs(cost_matrix: ArrayLike, n_classes: int) -> NDArray[np.float64]:
    costs = np.asarray(cost_matrix, dtype=np.float64)
    if costs.shape != (n_classes, n_classes) or not np.isfinite(costs).all():
        raise ValueError(
            f"cost_matrix must hold a finite cost for each pair of the classifier's classes, "
            f"shape ({n_classes}, {n_classes}), got shape {costs.shape}."
        )
    return costs
