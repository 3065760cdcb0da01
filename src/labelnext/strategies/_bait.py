"""BAIT: the batch whose Fisher information serves the whole pool."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

from labelnext.strategies._arguments import check_number
from labelnext.strategies._base import QueryStrategy
from labelnext.strategies._fisher import Design
from labelnext.strategies._query import Choice, Query
from labelnext.utils import MISSING_LABEL

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Bait(QueryStrategy):
    """
    Choose the batch that leaves the classifier's last layer least uncertain about the pool.

    The Fisher information of the last linear layer at a sample with probabilities p and features
    h is ``I(x) = (diag(p) - p pᵀ) ⊗ h hᵀ``; it needs no label. With the mean information I_U of
    the candidates, and that of the labelled samples to start from, the batch B is to minimise
    [1]_ ::

        tr((M_0 + Σ_{x in B} I(x))⁻¹ I_U),    M_0 = λ 1 + mean of I(x) over labelled x.

    Twice as many candidates as are wanted are added one by one, each the one that lowers the
    trace most, and then one by one those removed that raise it least.

    Parameters
    ----------
    regularization : float, default=1.0
        The λ above, over 0.
    clf_embedding_flag_name, missing_label, random_state : optional
        As in `Badge`; of no effect: nothing is drawn, and of equals the first is picked.

    See Also
    --------
    Badge : Gradients of the same layer, without a matrix of all weights.

    Notes
    -----
    Utilities are by how much a candidate would have lowered the trace, of those already added,
    when a pick was added. As picks may be removed again, a batch is not the start of a larger
    one. Of a group no more are added than may be picked.

    The authors' code, whose λ is 1 unless set, differs in weights: there the mean over m
    labelled samples counts m / (m + b), and what a sample adds to a batch of b counts
    b / (m + b). I_U is there the mean over labelled samples as well.

    With C classes and d features, memory holds three matrices of (C·d)² floats and 2·C² floats a
    candidate. The start takes time in n·(C·d)² + (C·d)³, each of the 3·`batch_size` steps in
    n·C²·(d + C): the rank of what a sample adds is C at most, so that inverses follow from
    Woodbury's identity. Nothing is n × n. It is feasible for C·d up to some thousands: at 5,000
    and with 100,000 candidates of 10 classes it takes 2 GB, about ten minutes on two busy cores
    to start, and 2 to 5 seconds for each candidate added. With more, shorten the features first,
    with a `sklearn.decomposition.PCA` before the classifier in a pipeline, or choose `Badge`.

    References
    ----------
    .. [1] J. T. Ash, S. Goel, A. Krishnamurthy and S. Kakade, "Gone fishing: neural active
       learning with Fisher embeddings", NeurIPS 2021.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.linear_model import LogisticRegression
    >>> from labelnext.pool import Bait
    >>> X, y_true = load_digits(return_X_y=True)
    >>> X = X / 16
    >>> y = np.full(len(X), np.nan)
    >>> y[:50] = y_true[:50]
    >>> picks, utilities = Bait().query(
    ...     X, y, LogisticRegression(), batch_size=3, return_utilities=True
    ... )
    >>> picks
    array([ 424, 1747,  649])
    >>> utilities[range(3), picks].round(3)
    array([2.222, 0.818, 0.403])
    """

    needs = ("proba", "features")
    looks_at_labeled = True
    paper = "Ash et al., NeurIPS 2021"
    batches_are_prefixes = False

    def __init__(
        self,
        regularization: float = 1.0,
        clf_embedding_flag_name: Any = None,
        missing_label: Any = MISSING_LABEL,
        random_state: Any = None,
    ) -> None:
        super().__init__(missing_label=missing_label, random_state=random_state)
        self.regularization = regularization
        self.clf_embedding_flag_name = clf_embedding_flag_name

    def _check_parameters(self) -> None:
        check_number("regularization", self.regularization)
        if self.regularization == 0:
            raise ValueError(
                "regularization must be over 0: what no sample tells of has no inverse."
            )

    def _choose(self, query: Query) -> Choice:
        proba, features = query.proba_and_features(with_labeled=True)
        if sp.issparse(features):
            features = features.toarray()
        design = Design.start(proba, features, query.n_candidates, self.regularization)
        free = query.free()
        added: list[int] = []
        gains: list[NDArray[np.float64]] = []
        scores: list[float] = []
        while len(added) < 2 * query.k and free.mask.any():
            gain = design.changes(1)
            best = int(np.argmax(np.where(free.mask, gain, -np.inf)))
            added.append(best)
            scores.append(gain[best])
            if query.return_utilities:
                gains.append(gain)
            free.take(best)
            design.change(best, 1)
        kept = list(range(len(added)))
        design = design.take(added)
        while len(kept) > query.k:
            least = kept[int(np.argmin(design.changes(-1)[kept]))]
            design.change(least, -1)
            kept.remove(least)
        picks = np.array(added, dtype=np.int64)[kept]
        choice = Choice(picks, scores=np.array(scores)[kept])
        if not query.return_utilities:
            return choice
        utilities = np.array([gains[t] for t in kept])
        return choice._replace(utilities=query.without_taken(utilities, picks))
