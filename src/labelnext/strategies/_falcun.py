"""FALCUN: uncertain samples, spread in the space of probabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from labelnext.strategies._base import QueryStrategy
from labelnext.strategies._checks import check_number
from labelnext.strategies._measures import uncertainty
from labelnext.utils import MISSING_LABEL

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from labelnext.strategies._base import Picks, Utilities
    from labelnext.strategies._query import Query


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
    missing_label : scalar, str or None, default=numpy.nan
        What stands for a missing label.
    random_state : int, RandomState, Generator or None, default=None
        The seed; see `QueryStrategy`. With the same seed, the batch for a smaller `batch_size`
        is the start of that for a larger one.

    See Also
    --------
    Badge : Uncertain samples, spread in the space of gradients.

    Notes
    -----
    Utilities are the law that each pick was drawn from: rows sum to 1, as those of
    scikit-activeml, with which they agree. Each pick takes one look at all probabilities.

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

    def _choose(self, query: Query) -> tuple[Picks, Utilities | None]:
        proba = query.proba()
        unsure = uncertainty(proba, "margin_sampling")
        distances = unsure
        free = query.free()
        is_free = free.mask
        picks = np.empty(query.k, dtype=np.int64)
        laws = []
        for t in range(query.k):
            law = self._law(unsure + distances, is_free)
            picks[t] = _draw(law, query.rng)
            if query.return_utilities:
                laws.append(np.where(is_free, law, np.nan))
            free.take(int(picks[t]))
            distances = np.minimum(distances, np.abs(proba - proba[picks[t]]).sum(axis=1))
            distances = distances - distances.min()
            distances /= distances.max() or 1.0
        return picks, np.array(laws) if query.return_utilities else None

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
