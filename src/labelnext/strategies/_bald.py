"""BALD: the samples that a committee disagrees about although its members are sure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import entr

from labelnext.strategies._committee import CommitteeQueryStrategy
from labelnext.strategies._query import Choice

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from labelnext.strategies._query import Query


class Bald(CommitteeQueryStrategy):
    """
    Choose the samples that the members of a committee disagree about most.

    The score of a sample x is the mutual information of its label y and the member ω of the
    committee, in nats: how uncertain the committee is as a whole, less how uncertain its members
    are by themselves [1]_, ::

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
    missing_label : scalar, str or None, default=numpy.nan
        What stands for a missing label.
    random_state : int, RandomState, Generator or None, default=None
        Draws labels, what is dropped, and lots for ties; see `QueryStrategy`. With the same
        seed, the batch for a smaller `batch_size` is the start of that for a larger one.

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
        scores = mutual_information(query.members())
        # Sorted by score, ties in random order, so that a batch is the start of a larger one.
        lots = query.rng.random(query.n_candidates)
        picks = query.first(np.lexsort((lots, -scores)))
        if not query.return_utilities:
            return Choice(picks, scores=scores[picks])
        return Choice(picks, query.utilities_of_scores(scores, picks))


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
