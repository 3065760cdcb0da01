"""BatchBALD: the batch that tells most about which member of a committee is right."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import entr

from labelnext.strategies._checks import check_integer
from labelnext.strategies._committee import CommitteeQueryStrategy
from labelnext.strategies._configurations import Configurations
from labelnext.strategies._query import Choice
from labelnext.utils import MISSING_LABEL

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike

    from labelnext.strategies._query import Query

# Candidates that are looked at together.
_BLOCK = 512
_ZERO = 1e-12


class BatchBald(CommitteeQueryStrategy):
    """
    Choose the batch whose labels, together, a committee disagrees about most.

    The score of a batch is the mutual information of all its labels and the member ω of the
    committee [1]_, ::

        I(y_1, ..., y_b; ω) = H(y_1, ..., y_b) - E_ω H(y_1, ..., y_b | ω),

    and the batch grows greedily. By the chain rule a sample adds the expectation of its BALD
    score once the labels of the earlier picks are known, ::

        I(y; ω | y_1, ..., y_t) = E[H(Σ_ω p(ω | y_1, ..., y_t) p(y | ω))] - E_ω H(y | ω),

    the first expectation being over configurations of these labels. All configurations count
    while there are at most `n_configurations`. From then on that many are drawn from their law,
    a member first and then its labels, and each goes on with a label of every further pick, so
    that all candidates are measured by the same ones. A candidate never counts for more than its
    BALD score, which no knowledge of other labels can raise; so most are ruled out unmeasured.

    Parameters
    ----------
    committee : callable, default=None
        A function of the fitted classifier and the candidates that returns the probabilities of
        all members; see `Bald`, where it says what else may be a committee.
    n_members : int, default=10
        How many copies are fitted, or how often a network is asked; at least 2.
    n_configurations : int, default=1000
        How many configurations of labels are looked at.
    missing_label : scalar, str or None, default=numpy.nan
        What stands for a missing label.
    random_state : int, RandomState, Generator or None, default=None
        Draws the committee, configurations, and lots for ties; see `QueryStrategy`. With the
        same seed, the batch for a smaller `batch_size` is the start of that for a larger one.

    See Also
    --------
    Bald : The same for each sample by itself; faster.

    Notes
    -----
    Utilities are what each candidate adds, in nats; once configurations are drawn, an estimate.
    All labels together tell at most the logarithm of the number of members: when that is
    reached nothing can be added, and the rest of the batch is drawn by lot. A large batch needs
    many members.

    Memory holds a float for each member, candidate and class. Time goes into batch size times
    candidates times classes times configurations times members: 100,000 candidates of 10 classes
    and 10 members take 1 to 10 seconds a pick on two cores, the more the less sure the members
    are of the pool.

    References
    ----------
    .. [1] A. Kirsch, J. van Amersfoort and Y. Gal, "BatchBALD: efficient and diverse batch
       acquisition for deep Bayesian active learning", NeurIPS 2019.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.ensemble import RandomForestClassifier
    >>> from labelnext.pool import BatchBald
    >>> X, y_true = load_digits(return_X_y=True)
    >>> y = np.full(len(X), np.nan)
    >>> y[:50] = y_true[:50]
    >>> forest = RandomForestClassifier(20, min_samples_leaf=3, random_state=0)
    >>> picks, utilities = BatchBald(random_state=0).query(
    ...     X, y, forest, batch_size=3, return_utilities=True
    ... )
    >>> picks
    array([ 332,  317, 1512])
    >>> utilities[range(3), picks].round(3)
    array([1.9  , 1.007, 0.089])
    """

    paper = "Kirsch et al., NeurIPS 2019"

    def __init__(
        self,
        committee: Callable[[Any, Any], ArrayLike] | None = None,
        n_members: int = 10,
        n_configurations: int = 1000,
        missing_label: Any = MISSING_LABEL,
        random_state: Any = None,
    ) -> None:
        super().__init__(committee, n_members, missing_label, random_state)
        self.n_configurations = n_configurations

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_integer("n_configurations", self.n_configurations, least=1)

    def _choose(self, query: Query) -> Choice:
        # Sample, class, member, so that a product with the members' weights is one of matrices.
        opinions = np.stack(list(query.members()), axis=2)
        within = entr(opinions).sum(axis=(1, 2)) / opinions.shape[2]
        bound = np.maximum(entr(opinions.mean(axis=2)).sum(axis=1) - within, 0)
        # Ties in random order.
        order = np.lexsort((query.rng.random(query.n_candidates), -bound))
        configurations = Configurations.of_nothing(opinions.shape[2])
        free = query.free()
        picks: list[int] = []
        utilities, scores = [], []
        for _ in range(query.k):
            gains, pick = np.full(query.n_candidates, np.nan), -1
            for block in np.split(order, range(_BLOCK, len(order), _BLOCK)):
                # No label tells more once others are known, whatever the configurations say.
                if pick >= 0 and gains[pick] > bound[block[0]] and not query.return_utilities:
                    break
                found = configurations.mean_entropy(opinions[block]) - within[block]
                # What rounding leaves of 0 must not decide.
                gains[block] = np.where(found < _ZERO, 0, np.minimum(found, bound[block]))
                best = block[np.argmax(gains[block])]
                if pick < 0 or gains[best] > gains[pick]:
                    pick = best
            picks.append(int(pick))
            scores.append(gains[pick])
            free.take(int(pick))
            if query.return_utilities:
                utilities.append(gains)
            order = order[free.mask[order]]
            configurations = configurations.extend(
                opinions[picks], self.n_configurations, query.rng
            )
        laws = np.array(utilities) if query.return_utilities else None
        return Choice(np.array(picks, dtype=np.int64), laws, np.array(scores))
