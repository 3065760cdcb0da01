"""Uncertainty sampling by least confidence, margin or entropy: as it is, with noise, and spread."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import entr, logsumexp

from labelnext.strategies._base import QueryStrategy, checked, parameters
from labelnext.strategies._query import Choice, Free, Query
from labelnext.utils.given import check_number

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from labelnext.strategies._query import Mask

METHODS = ("least_confident", "margin_sampling", "entropy")


def check_method(name: str, method: Any) -> None:
    """Raise if a measure is not known."""
    if method not in METHODS:
        raise ValueError(f"{name} must be one of {', '.join(METHODS)}, got {method!r}.")


def uncertainty(proba: NDArray[np.float64], method: str) -> NDArray[np.float64]:
    """Measure the uncertainty of each row of probabilities; 0 where one class is certain.

    One minus the largest probability, one minus the gap between the two largest, or the entropy
    in nats.
    """
    if method == "entropy":
        return np.asarray(entr(proba).sum(axis=1))
    confidence = -two_smallest(-proba)
    if method == "least_confident":
        return 1 - confidence[:, 0]
    return 1 - (confidence[:, 0] - confidence[:, 1])


def two_smallest(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the two smallest of each row, in order."""
    return np.partition(values, 1, axis=1)[:, :2]


@parameters
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
    missing_label, random_state : optional
        As in `QueryStrategy`; the seed decides ties.

    Notes
    -----
    Utilities are the measure itself. The picks of a batch do not know of each other, so that
    near-duplicates are chosen together.

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
    >>> X, y = X / 16, np.where(np.arange(len(X)) < 50, y_true, np.nan)
    >>> UncertaintySampling("entropy").query(X, y, LogisticRegression(), batch_size=3)
    array([ 829, 1453,  309])
    """

    needs = ("proba",)
    paper = "Settles, 2009"

    method: str = checked(check_method, default="least_confident", kw_only=False)
    cost_matrix: ArrayLike | None = None

    def _check_parameters(self) -> None:
        super()._check_parameters()
        if self.cost_matrix is not None and self.method == "entropy":
            raise ValueError(
                "Entropy knows no costs; leave cost_matrix out, or choose least_confident or "
                "margin_sampling as the method."
            )

    def _choose(self, query: Query) -> Choice:
        if self.cost_matrix is not None and query.model is not None and query.model.is_cold:
            # No class is known from labels, but the costs tell how many there are.
            n_classes = len(np.asarray(self.cost_matrix))
            return query.largest(
                self._scores(np.full((query.n_candidates, n_classes), 1 / n_classes))
            )
        return query.largest(self._scores(query.proba()))

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


@parameters
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
    missing_label, random_state : optional
        As in `QueryStrategy`.

    Notes
    -----
    Utilities are the law that each pick was drawn from: rows sum to 1. Candidates of which the
    classifier is certain (s = 0) come last, in random order. The scores of a batch are s.

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
    >>> X, y = X / 16, np.where(np.arange(len(X)) < 50, y_true, np.nan)
    >>> PowerMargin(beta=4, random_state=0).query(X, y, LogisticRegression(), batch_size=3)
    array([1588,  993,  816])
    """

    needs = ("proba",)
    paper = "Kirsch et al., TMLR 2023"

    method: str = checked(check_method, default="margin_sampling", kw_only=False)
    beta: float = checked(check_number, default=1.0)

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


@parameters
class Falcun(QueryStrategy):
    """
    Draw samples that are uncertain and unlike the picks so far in their probabilities.

    With the class probabilities p and the margin uncertainty u_i = 1 − (p_i⁽¹⁾ − p_i⁽²⁾) of the
    two largest of them, candidate i is drawn with a probability proportional to [1]_

        (u_i + d_i)^γ.

    At first d_i = u_i. After a pick q it is lowered to min(d_i, ‖p_i − p_q‖₁), and all d are
    brought back to the range from 0 to 1 by (d_i − min d) / (max d − min d).

    Parameters
    ----------
    gamma : float, default=10
        How much it counts: 0 is random sampling, and the larger it is, the likelier the pick is
        the largest of all u + d.
    missing_label, random_state : optional
        As in `QueryStrategy`.

    Notes
    -----
    Utilities are the law that each pick was drawn from: rows sum to 1, as those of
    scikit-activeml, with which they agree. The scores of a batch are u + d.

    References
    ----------
    .. [1] S. Gilhuber, A. Beer, Y. Ma and T. Seidl, "FALCUN: a simple and efficient deep active
       learning strategy", ECML PKDD 2024.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.linear_model import LogisticRegression
    >>> from labelnext.pool import Falcun
    >>> X, y_true = load_digits(return_X_y=True)
    >>> X, y = X / 16, np.where(np.arange(len(X)) < 50, y_true, np.nan)
    >>> Falcun(random_state=0).query(X, y, LogisticRegression(), batch_size=3)
    array([574, 906, 469])
    """

    needs = ("proba",)
    paper = "Gilhuber et al., ECML PKDD 2024"

    gamma: float = checked(check_number, default=10)

    def _choose(self, query: Query) -> Choice:
        proba = query.proba()
        unsure = uncertainty(proba, "margin_sampling")
        distances = unsure

        def step(is_free: Mask) -> tuple[int, float, NDArray[np.float64]]:
            nonlocal distances
            law = self._law(unsure + distances, is_free)
            pick = _draw(law, query.rng)
            score = unsure[pick] + distances[pick]
            distances = np.minimum(distances, np.abs(proba - proba[pick]).sum(axis=1))
            distances = distances - distances.min()
            distances /= distances.max() or 1.0
            return pick, score, law

        return query.one_by_one(step)

    def _law(
        self, relevance: NDArray[np.float64], is_free: NDArray[np.bool_]
    ) -> NDArray[np.float64]:
        relevance = np.where(is_free, relevance, 0.0)
        largest = relevance.max()
        # Of the largest, so that no power overflows; 0 ** 0 must not bring picks back.
        law = (relevance / largest) ** self.gamma * is_free if largest > 0 else is_free * 1.0
        return np.asarray(law / law.sum())


def _draw(law: NDArray[np.float64], rng: np.random.Generator) -> int:
    ends = law.cumsum()
    place = int(np.searchsorted(ends, rng.random() * ends[-1], side="right"))
    # Rounding may take the ticket to the very end, past the last that can be drawn.
    return min(place, int(np.flatnonzero(law)[-1]))
