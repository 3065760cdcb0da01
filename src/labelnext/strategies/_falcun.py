"""FALCUN: uncertain samples, spread in the space of probabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from labelnext.strategies._arguments import check_number
from labelnext.strategies._base import QueryStrategy
from labelnext.strategies._query import Choice, Query
from labelnext.strategies._uncertainty import uncertainty
from labelnext.utils import MISSING_LABEL

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Falcun(QueryStrategy):
    """
    Draw samples that are uncertain and unlike the picks so far in their probabilities.

    With the class probabilities p and the margin uncertainty u_i = 1 − (p_i⁽¹⁾ − p_i⁽²⁾) of the
    two largest of them, candidate i is drawn with a probability proportional to [1]_

        (u_i + d_i)^γ.

    At first d_i = u_i. After a pick q it is lowered to min(d_i, ‖p_i − p_q‖₁), and all d are
    brought back to the range from 0 to 1 by (d_i − min d) / (max d − min d). Features are not
    looked at.

    Parameters
    ----------
    gamma : float, default=10
        How much it counts: 0 is random sampling, and the larger it is, the likelier the pick is
        the largest of all u + d.
    missing_label, random_state : optional
        As in `QueryStrategy`.

    See Also
    --------
    Badge : Uncertain samples, spread in the space of gradients.

    Notes
    -----
    Utilities are the law that each pick was drawn from: rows sum to 1, as those of
    scikit-activeml, with which they agree. The scores of a batch are u + d. Each pick takes one
    look at all probabilities.

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
    >>> X = X / 16
    >>> y = np.full(len(X), np.nan)
    >>> y[:50] = y_true[:50]
    >>> Falcun(random_state=0).query(X, y, LogisticRegression(), batch_size=3)
    array([574, 906, 469])
    """

    needs = ("proba",)
    paper = "Gilhuber et al., ECML PKDD 2024"

    def __init__(
        self, gamma: float = 10, missing_label: Any = MISSING_LABEL, random_state: Any = None
    ) -> None:
        super().__init__(missing_label=missing_label, random_state=random_state)
        self.gamma = gamma

    def _check_parameters(self) -> None:
        check_number("gamma", self.gamma)

    def _choose(self, query: Query) -> Choice:
        proba = query.proba()
        unsure = uncertainty(proba, "margin_sampling")
        distances, free = unsure, query.free()
        picks, scores = np.empty(query.k, dtype=np.int64), np.empty(query.k)
        laws = []
        for t in range(query.k):
            law = self._law(unsure + distances, free.mask)
            picks[t] = pick = _draw(law, query.rng)
            scores[t] = unsure[pick] + distances[pick]
            if query.return_utilities:
                laws.append(np.where(free.mask, law, np.nan))
            free.take(pick)
            distances = np.minimum(distances, np.abs(proba - proba[pick]).sum(axis=1))
            distances = distances - distances.min()
            distances /= distances.max() or 1.0
        return Choice(picks, np.array(laws) if query.return_utilities else None, scores)

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
