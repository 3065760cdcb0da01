"""BAIT: the batch whose Fisher information serves the whole pool."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import combinations_with_replacement
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.linalg import helmert

from labelnext.engine.threads import SPAN, for_each, for_each_span, n_threads
from labelnext.strategies._base import QueryStrategy, checked, parameters
from labelnext.strategies._points import parts
from labelnext.strategies._query import Choice, Query
from labelnext.utils.given import check_positive

# Changes of the inverses that are made together.
LATE = 32
# Features on one side of a product, of whose symmetry only what is wider is made use of.
STRIP = 128


@dataclass
class Design:
    """The state of a greedy search: inverses, and what each candidate sees of them.

    With p the probabilities of a sample, diag(p) - p pᵀ takes 1 to 0. So all is in C - 1
    coordinates across it, and C below is one less than the classes are. Rows and columns of the
    matrices are weights of the last layer, those of one coordinate together. With M the information
    gathered so far and F that of the pool, N = M⁻¹ and Q = M⁻¹ F M⁻¹. A sample with features h
    looks at them through ``H = 1 ⊗ h``, shape (C·d, C). All but the first two change in place.
    """

    spreads: NDArray[np.float64]  # diag(p) - p pᵀ of the candidates, shape (n, C, C)
    features: NDArray[Any]  # theirs, shape (n, d)
    inverse: NDArray[np.float64]  # N but for what is `late`, shape (C·d, C·d)
    weighted: NDArray[np.float64]  # Q likewise
    seen_inverse: NDArray[np.float64]  # Hᵀ N H for each candidate, shape (n, C, C)
    seen_weighted: NDArray[np.float64]  # Hᵀ Q H likewise
    late: list[tuple[int, NDArray[np.float64], NDArray[Any]]] = field(default_factory=list)
    """s, W and Z of changes N - s W Wᵀ and Q - s (Z Wᵀ + W Zᵀ) that are yet to be made."""

    @classmethod
    def start(
        cls, proba: NDArray[Any], features: NDArray[Any], n_candidates: int, regularization: float
    ) -> Design:
        """Start from rows of candidates and, after them, of labelled samples."""
        spreads, n = spreads_of(proba), n_candidates
        gathered = fisher(spreads[n:], features[n:])
        gathered[np.diag_indices_from(gathered)] += regularization
        inverse = np.asarray(np.linalg.inv(gathered), dtype=np.float64)
        del gathered
        weighted = inverse @ fisher(spreads[:n], features[:n]) @ inverse
        return cls(
            spreads[:n], features[:n], inverse, weighted, *seen([inverse, weighted], features[:n])
        )

    def take(self, rows: list[int]) -> Design:
        """Return the same for some candidates only."""
        return Design(
            self.spreads[rows],
            self.features[rows],
            self.inverse,
            self.weighted,
            self.seen_inverse[rows],
            self.seen_weighted[rows],
            self.late,
        )

    def changes(self, sign: int) -> NDArray[np.float64]:
        """Return by how much tr(M⁻¹ F) falls with each candidate, or with -1 rises without it.

        By Woodbury's identity, with P = diag(p) - p pᵀ, that is
        tr(Hᵀ Q H (1 ± P Hᵀ N H)⁻¹ P).
        """
        n, size, _ = self.spreads.shape
        out = np.empty(n)

        def of_span(number: int) -> None:
            rows = slice(number * SPAN, (number + 1) * SPAN)
            spreads = self.spreads[rows]
            system = np.eye(size) + sign * spreads @ self.seen_inverse[rows]
            solved = np.linalg.solve(system, spreads)
            out[rows] = np.einsum("nij,nji->n", self.seen_weighted[rows], solved)

        for_each_span(of_span, n)
        return out

    def change(self, row: int, sign: int) -> None:
        """Add the information of a candidate, or with -1 take it away."""
        h = self.features[row].astype(np.float64)
        n, size, _ = self.spreads.shape
        values, vectors = np.linalg.eigh(self.spreads[row])
        # I(x) = V Vᵀ with V = H · root.
        root = vectors * np.sqrt(np.maximum(values, 0))
        of_inverse, of_weighted = (
            (matrix.reshape(-1, size, len(h)) @ h) @ root
            for matrix in (self.inverse, self.weighted)
        )
        for s, w, z in self.late:
            w_seen, z_seen = (_through(h[None], factor)[0].T @ root for factor in (w, z))
            of_inverse -= s * w @ w_seen
            of_weighted -= s * (z @ w_seen + w @ z_seen)
        seen = root.T @ self.seen_inverse[row] @ root
        triangle = np.linalg.cholesky(np.eye(size) + sign * seen)
        # N' = N - s W Wᵀ and Q' = Q - s (Z Wᵀ + W Zᵀ).
        w = np.linalg.solve(triangle, of_inverse.T).T
        y = np.linalg.solve(triangle, of_weighted.T).T
        inner = np.linalg.solve(triangle, root.T @ self.seen_weighted[row] @ root)
        z = y - sign / 2 * w @ np.linalg.solve(triangle, inner.T)
        self.late.append((sign, w, z))
        if len(self.late) == LATE:
            self.catch_up()
        both = np.hstack([w, z])

        def of_span(number: int) -> None:
            rows = slice(number * SPAN, (number + 1) * SPAN)
            w_seen, z_seen = np.split(_through(self.features[rows], both), 2, axis=2)
            self.seen_inverse[rows] -= sign * w_seen @ w_seen.transpose(0, 2, 1)
            products = z_seen @ w_seen.transpose(0, 2, 1)
            products += products.transpose(0, 2, 1)
            self.seen_weighted[rows] -= sign * products

        for_each_span(of_span, n)

    def catch_up(self) -> None:
        """Make in N and Q the changes that are late: all at once, which costs little more."""
        signs, *factors = zip(*self.late, strict=True)
        w, z = (np.hstack(parts) for parts in factors)
        signed = w * np.repeat(signs, w.shape[1] // len(signs))
        self.late.clear()
        for lo in range(0, len(w), SPAN // 4):
            rows = slice(lo, lo + SPAN // 4)
            self.inverse[rows] -= signed[rows] @ w.T
            self.weighted[rows] -= signed[rows] @ z.T + z[rows] @ signed.T


def spreads_of(proba: NDArray[Any]) -> NDArray[np.float64]:
    """Return diag(p) - p pᵀ for each row, in coordinates across 1."""
    across = helmert(proba.shape[1])
    means = proba @ across.T
    squares = (across[:, None] * across).reshape(-1, proba.shape[1])
    out = np.asarray(proba @ squares.T, dtype=np.float64).reshape(len(proba), *[len(across)] * 2)
    out -= means[:, :, None] * means[:, None, :]
    return out


def _through(features: NDArray[Any], factor: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return Hᵀ factor, shape (n, C, rank), for each row of features."""
    (n, d), rank = features.shape, factor.shape[1]
    by_feature = factor.reshape(-1, d, rank).transpose(1, 0, 2).reshape(d, -1)
    return (features.astype(np.float64, copy=False) @ by_feature).reshape(n, -1, rank)


def fisher(spreads: NDArray[np.float64], features: NDArray[Any]) -> NDArray[np.float64]:
    """Return the mean of spread ⊗ h hᵀ over rows, 0 for none."""
    (n, size, _), d = spreads.shape, features.shape[1]
    total = np.zeros((size, d, size, d))

    def of_pair(i: int, j: int) -> None:
        # Of a symmetric block: what is on the diagonal and after it.
        block = np.zeros((d, d))
        for rows in parts(n, SPAN):
            h = features[rows].astype(np.float64, copy=False)
            weighed = h * spreads[rows, i, j, None]
            for strip in parts(d, STRIP):
                block[strip, strip.start :] += weighed[:, strip].T @ h[:, strip.start :]
        block = np.triu(block) / max(n, 1)
        total[i, :, j] = total[j, :, i] = block + np.triu(block, 1).T

    _for_each_pair(of_pair, size)
    return total.reshape(size * d, size * d)


def seen(matrices: Sequence[NDArray[np.float64]], features: NDArray[Any]) -> NDArray[np.float64]:
    """Return Hᵀ M H with H = 1 ⊗ h for each row of features, for symmetric matrices M."""
    n, d = features.shape
    size = len(matrices[0]) // d
    out = np.zeros((len(matrices), n, size, size))

    def of_pair(i: int, j: int) -> None:
        blocks = np.stack([matrix.reshape(size, d, size, d)[i, :, j] for matrix in matrices])
        # What is before the diagonal counts after it.
        blocks = np.triu(blocks) + np.tril(blocks, -1).transpose(0, 2, 1)
        for rows in parts(n, SPAN):
            h = features[rows].astype(np.float64, copy=False)
            for strip in parts(d, STRIP):
                factors = blocks[:, strip, strip.start :].reshape(-1, d - strip.start).T
                products = (h[:, strip.start :] @ factors).reshape(len(h), len(matrices), -1)
                out[:, rows, i, j] += np.einsum("na,nma->mn", h[:, strip], products)
        out[:, :, j, i] = out[:, :, i, j]

    _for_each_pair(of_pair, size)
    return out


def _for_each_pair(work: Callable[[int, int], None], size: int) -> None:
    """Call ``work(i, j)`` for all i and j up to it, side by side: each has its own place."""
    pairs = list(combinations_with_replacement(range(size), 2))
    for_each(lambda number: work(*pairs[number][::-1]), len(pairs), n_threads)


@parameters
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
        As in `Badge`; nothing is drawn: of equals the first is picked.

    Notes
    -----
    Utilities are by how much a candidate would have lowered the trace, of those already added,
    when a pick was added. As picks may be removed again, a batch is not the start of a larger
    one. Of a group no more are added than may be picked. Tensors are fetched from their device: the
    work is algebra in float64.

    The authors' code, whose λ is 1 unless set, differs in weights: there the mean over m
    labelled samples counts m / (m + b), and what a sample adds to a batch of b counts
    b / (m + b). I_U is there the mean over labelled samples as well.

    With C classes and d features, memory holds three matrices of ((C - 1)·d)² floats and 3·(C - 1)²
    floats a candidate. The start takes time in n·(C·d)² + (C·d)³, each of the 3·`batch_size` steps
    in n·C²·(d + C), by Woodbury's identity. It is feasible for C·d up to some thousands: at 5,000
    and with 100,000 candidates of 10 classes it takes 1.4 GB, one to two minutes on two cores to
    start, and half a second to one for each candidate added. With more, shorten the features first,
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
    >>> X, y = X / 16, np.where(np.arange(len(X)) < 50, y_true, np.nan)
    >>> Bait().query(X, y, LogisticRegression(), batch_size=3)
    array([ 424, 1747,  649])
    """

    needs = ("proba", "features")
    looks_at_labeled = True
    paper = "Ash et al., NeurIPS 2021"
    batches_are_prefixes = False

    # What no sample tells of has no inverse without it.
    regularization: float = checked(check_positive, default=1.0)
    clf_embedding_flag_name: Any = None

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
