"""Stochastic batches: uncertainty sampling with noise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import logsumexp

from labelnext.strategies._base import QueryStrategy
from labelnext.strategies._checks import check_number
from labelnext.strategies._measures import check_method, uncertainty
from labelnext.strategies._query import Choice
from labelnext.utils import MISSING_LABEL

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from labelnext.strategies._query import Free, Query


class PowerMargin(QueryStrategy):
    """
    Draw uncertain samples at random, the more likely the more uncertain they are.

    The most uncertain samples are often alike, so that a batch of them repeats itself. A little
    noise spreads it [1]_: with a measure s of uncertainty, the batch holds the candidates of the
    largest

        β log s_i + ε_i,    ε_i ~ Gumbel(0, 1),

    which is the same as drawing one after the other, without replacement, with probabilities
    proportional to s_i^β.

    Parameters
    ----------
    method : {"margin_sampling", "entropy", "least_confident"}, default="margin_sampling"
        The measure, as in `UncertaintySampling`.
    beta : float, default=1.0
        How much uncertainty counts: 0 is random sampling, and the larger it is, the nearer is the
        batch to that of `UncertaintySampling`.
    missing_label : scalar, str or None, default=numpy.nan
        What stands for a missing label.
    random_state : int, RandomState, Generator or None, default=None
        The seed; see `QueryStrategy`. With the same seed, the batch for a smaller `batch_size`
        is the start of that for a larger one.

    See Also
    --------
    UncertaintySampling : The same without noise.

    Notes
    -----
    Utilities are the law that each pick was drawn from: rows sum to 1. Candidates of which the
    classifier is certain (s = 0) come last, in random order.

    References
    ----------
    .. [1] A. Kirsch, S. Farquhar, P. Atighehchian, A. Jesson, F. Branchaud-Charron and Y. Gal,
       "Stochastic batch acquisition: a simple baseline for deep active learning", TMLR 2023.
       This is its power acquisition.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.linear_model import LogisticRegression
    >>> from labelnext.pool import PowerMargin
    >>> X, y_true = load_digits(return_X_y=True)
    >>> X = X / 16
    >>> y = np.full(len(X), np.nan)
    >>> y[:50] = y_true[:50]
    >>> PowerMargin(beta=4, random_state=0).query(X, y, LogisticRegression(), batch_size=3)
    array([1588,  993,  816])
    """

    needs = ("proba",)
    paper = "Kirsch et al., TMLR 2023"

    def __init__(
        self,
        method: str = "margin_sampling",
        beta: float = 1.0,
        missing_label: Any = MISSING_LABEL,
        random_state: Any = None,
    ) -> None:
        super().__init__(missing_label=missing_label, random_state=random_state)
        self.method = method
        self.beta = beta

    def _check_parameters(self) -> None:
        check_method(self.method)
        check_number("beta", self.beta)

    def _choose(self, query: Query) -> Choice:
        scores = uncertainty(query.proba(), self.method)
        certain = scores <= 0
        # 0 · log 0 would be NaN; certain ones are told apart by noise alone.
        logits = self.beta * np.log(np.where(certain, 1.0, scores))
        noise = query.rng.gumbel(size=query.n_candidates)
        picks = query.first(np.lexsort((-logits - noise, certain)))
        if not query.return_utilities:
            return Choice(picks, scores=scores[picks])
        law = np.exp(_log_law(np.where(certain, -np.inf, logits), picks, query.free()))
        return Choice(picks, law, scores[picks])


def _log_law(
    logits: NDArray[np.float64], picks: NDArray[np.int64], free: Free
) -> NDArray[np.float64]:
    """Return the logarithm of the law of each pick, NaN at what cannot be picked."""
    law = np.full((len(picks), len(logits)), np.nan)
    for t, pick in enumerate(picks):
        left = logits[free.mask]
        total = logsumexp(left)
        # When only certain ones are left, they are equally likely.
        law[t, free.mask] = left - total if np.isfinite(total) else -np.log(len(left))
        free.take(int(pick))
    return law
