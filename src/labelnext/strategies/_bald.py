"""BALD: the samples that a committee disagrees about although its members are sure, and batches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import entr

from labelnext.strategies._arguments import check_integer
from labelnext.strategies._committee import CommitteeQueryStrategy
from labelnext.strategies._query import Choice, Query
from labelnext.utils import MISSING_LABEL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import ArrayLike, NDArray

# Candidates that are looked at together.
_BLOCK = 512
_ZERO = 1e-12


class Bald(CommitteeQueryStrategy):
    """
    Choose the samples that the members of a committee disagree about most.

    The score of a sample x is the mutual information of its label y and the member ω of the
    committee, in nats: how uncertain the committee is as a whole, less how uncertain its members
    are alone [1]_, ::

        I(y; ω | x) = H(E_ω p(y | x, ω)) - E_ω H(p(y | x, ω)).

    The committee is found in the classifier. A list of classifiers is one; so are the members of
    a `RandomForestClassifier`, `ExtraTreesClassifier`, `BaggingClassifier` or `VotingClassifier`,
    and `n_members` passes of a network with its layers of dropout at work [2]_, also at the end
    of a pipeline. Of any other classifier `n_members` copies are fitted to labels drawn with
    replacement, within each class.

    Parameters
    ----------
    committee : callable, default=None
        A function of the fitted classifier and the candidates that returns the probabilities of
        all members, shape (n_members, n_samples, n_classes), from samples of a posterior say.
        It is not called while the labels are of fewer than two classes.
    n_members : int, default=10
        How many copies are fitted, or how often a network is asked; at least 2.
    missing_label, random_state : optional
        As in `QueryStrategy`; draws labels, what is dropped, and lots for ties.

    See Also
    --------
    BatchBald : The same for a batch as a whole.

    Notes
    -----
    Utilities are the score. The picks of a batch do not know of each other, so that
    near-duplicates are chosen together. Members are asked one by one, and only sums are kept.
    Calls of ``torch.nn.functional.dropout`` in a network cannot be found; layers can.

    References
    ----------
    .. [1] N. Houlsby, F. Huszár, Z. Ghahramani and M. Lengyel, "Bayesian active learning for
       classification and preference learning", 2011, equation 2.
    .. [2] Y. Gal, R. Islam and Z. Ghahramani, "Deep Bayesian active learning with image data",
       ICML 2017.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.ensemble import RandomForestClassifier
    >>> from labelnext.pool import Bald
    >>> X, y_true = load_digits(return_X_y=True)
    >>> y = np.full(len(X), np.nan)
    >>> y[:50] = y_true[:50]
    >>> forest = RandomForestClassifier(20, min_samples_leaf=3, random_state=0)
    >>> picks, utilities = Bald(random_state=0).query(
    ...     X, y, forest, batch_size=3, return_utilities=True
    ... )
    >>> picks
    array([ 332, 1564, 1673])
    >>> utilities[0, picks].round(3)
    array([1.9  , 1.855, 1.827])
    """

    paper = "Houlsby et al., 2011; Gal et al., ICML 2017"

    def _choose(self, query: Query) -> Choice:
        return query.largest(mutual_information(query.members()))


def mutual_information(opinions: Iterable[NDArray[Any]]) -> NDArray[np.float64]:
    """Return the mutual information of label and member, from each member's probabilities."""
    total: NDArray[Any] | float = 0.0
    entropies: NDArray[Any] | float = 0.0
    n_members = 0
    for proba in opinions:
        total = total + proba
        entropies = entropies + entr(proba).sum(axis=1)
        n_members += 1
    # Rounding could make it negative.
    return np.asarray(np.maximum(entr(total / n_members).sum(axis=1) - entropies / n_members, 0))


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
    missing_label, random_state : optional
        As in `QueryStrategy`; draws the committee, configurations, and lots for ties.

    See Also
    --------
    Bald : The same for each sample alone; faster.

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


@dataclass(frozen=True)
class Configurations:
    """Labels that the picks may turn out to have, and what each tells of the members.

    `mass` is the probability of each, together 1. `members` are those of the members once these
    are the labels, shape (n_members, n_configurations): a column sums to 1. `drawn` is the member
    that each was drawn from, or None if they are all that there are.
    """

    mass: NDArray[np.float64]
    members: NDArray[np.float64]
    drawn: NDArray[np.int64] | None = None

    @classmethod
    def of_nothing(cls, n_members: int) -> Configurations:
        """Return the one configuration of no labels."""
        return cls(np.ones(1), np.full((n_members, 1), 1 / n_members))

    def mean_entropy(self, opinions: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the expected entropy of each sample's label once those of the picks are known."""
        total = np.zeros(len(opinions))
        for c in range(opinions.shape[1]):
            proba = opinions[:, c] @ self.members
            # As scipy's entr, three times as fast; 0 counts as 0.
            total -= (proba * np.log(np.maximum(proba, 1e-300))) @ self.mass
        return total

    def extend(
        self, picked: NDArray[np.float64], limit: int, rng: np.random.Generator
    ) -> Configurations:
        """Return the configurations that have a label of the last pick too, up to a limit of them.

        `picked` has the probabilities of all picks, of shape (n_picks, n_classes, n_members).
        Configurations are drawn if there would be more.
        """
        last = picked[-1]
        if self.drawn is None and len(self.mass) * len(last) <= limit:
            # Each goes on with each of the classes.
            members = self.members[:, :, None] * last.T[:, None, :]
            members = (self.mass[:, None] * members).reshape(len(self.members), -1)
            mass = members.sum(axis=0)
            possible = mass > 0
            return Configurations(mass[possible], members[:, possible] / mass[possible])
        if self.drawn is None:
            return Configurations.draw(picked, limit, rng)
        labels = _draw(last[:, self.drawn], rng)
        members = self.members * last[labels].T
        return Configurations(self.mass, members / members.sum(axis=0), self.drawn)

    @classmethod
    def draw(
        cls, picked: NDArray[np.float64], n_configurations: int, rng: np.random.Generator
    ) -> Configurations:
        """Draw configurations of labels of the picks, shape (n_picks, n_classes, n_members)."""
        n_members = picked.shape[2]
        # The same number from each member, whatever is left from some.
        drawn = rng.permutation(np.arange(n_configurations) % n_members)
        drawn_from = np.full((n_members, n_configurations), 1 / n_members)
        out = cls(np.full(n_configurations, 1 / n_configurations), drawn_from, drawn)
        for t in range(len(picked)):
            out = out.extend(picked[: t + 1], n_configurations, rng)
        return out


def _draw(law: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw a class from each column."""
    levels = law.cumsum(axis=0)
    drawn = (levels < rng.random(law.shape[1]) * levels[-1]).sum(axis=0)
    # A draw of 0 must not end at a class of probability 0.
    possible = np.take_along_axis(law, drawn[None], 0)[0] > 0
    return np.asarray(np.where(possible, drawn, law.argmax(axis=0)), dtype=np.int64)
