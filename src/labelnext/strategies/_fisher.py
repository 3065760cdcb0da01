"""The Fisher information of a last linear layer, and how samples change its inverse."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from labelnext.strategies._pairs import fisher, seen

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

# Numbers in a block of rows, 128 MB of them.
_BLOCK = 16_000_000


@dataclass
class Design:
    """The state of a greedy search: inverses, and what each candidate sees of them.

    Rows and columns of the matrices are weights of the last layer, those of one class together.
    With M the information gathered so far and F that of the pool, N = M⁻¹ and Q = M⁻¹ F M⁻¹. A
    sample with features h looks at them through ``H = 1 ⊗ h``, shape (C·d, C).

    Parameters
    ----------
    proba : ndarray of shape (n, C)
        Probabilities of the candidates.
    features : ndarray of shape (n, d)
        Their features.
    inverse, weighted : ndarray of shape (C·d, C·d)
        N and Q; changed in place.
    seen_inverse, seen_weighted : ndarray of shape (n, C, C)
        Hᵀ N H and Hᵀ Q H for each candidate; changed in place.
    """

    proba: NDArray[np.float64]
    features: NDArray[Any]
    inverse: NDArray[np.float64]
    weighted: NDArray[np.float64]
    seen_inverse: NDArray[np.float64]
    seen_weighted: NDArray[np.float64]

    @classmethod
    def start(
        cls, proba: NDArray[Any], features: NDArray[Any], n_candidates: int, regularization: float
    ) -> Design:
        """Start from rows of candidates and, after them, of labelled samples."""
        proba = np.asarray(proba, dtype=np.float64)
        n = n_candidates
        gathered = fisher(proba[n:], features[n:])
        gathered[np.diag_indices_from(gathered)] += regularization
        inverse = np.asarray(np.linalg.inv(gathered), dtype=np.float64)
        del gathered
        weighted = inverse @ fisher(proba[:n], features[:n]) @ inverse
        return cls(
            proba[:n],
            features[:n],
            inverse,
            weighted,
            *seen([inverse, weighted], features[:n], proba.shape[1]),
        )

    def take(self, rows: list[int]) -> Design:
        """Return the same for some candidates only."""
        return Design(
            self.proba[rows],
            self.features[rows],
            self.inverse,
            self.weighted,
            self.seen_inverse[rows],
            self.seen_weighted[rows],
        )

    def changes(self, sign: int) -> NDArray[np.float64]:
        """Return by how much tr(M⁻¹ F) falls with each candidate, or with -1 rises without it.

        By Woodbury's identity, with P = diag(p) - p pᵀ, that is
        tr(Hᵀ Q H (1 ± P Hᵀ N H)⁻¹ P).
        """
        n, n_classes = self.proba.shape
        out = np.empty(n)
        for rows in _blocks(n, n_classes**2):
            spread = _spread(self.proba[rows])
            system = np.eye(n_classes) + sign * spread @ self.seen_inverse[rows]
            solved = np.linalg.solve(system, spread)
            out[rows] = np.einsum("nij,nji->n", self.seen_weighted[rows], solved)
        return out

    def change(self, row: int, sign: int) -> None:
        """Add the information of a candidate, or with -1 take it away."""
        h = self.features[row].astype(np.float64)
        n_classes = self.proba.shape[1]
        values, vectors = np.linalg.eigh(_spread(self.proba[row : row + 1])[0])
        # I(x) = V Vᵀ with V = H · root.
        root = vectors * np.sqrt(np.maximum(values, 0))
        of_inverse, of_weighted = (
            (matrix.reshape(-1, n_classes, len(h)) @ h) @ root
            for matrix in (self.inverse, self.weighted)
        )
        seen = root.T @ self.seen_inverse[row] @ root
        triangle = np.linalg.cholesky(np.eye(n_classes) + sign * seen)
        # N' = N - s W Wᵀ and Q' = Q - s (Z Wᵀ + W Zᵀ).
        w = np.linalg.solve(triangle, of_inverse.T).T
        y = np.linalg.solve(triangle, of_weighted.T).T
        inner = np.linalg.solve(triangle, root.T @ self.seen_weighted[row] @ root)
        z = y - sign / 2 * w @ np.linalg.solve(triangle, inner.T)
        self.inverse -= sign * w @ w.T
        product = z @ w.T
        self.weighted -= sign * product
        self.weighted -= sign * product.T
        for rows in _blocks(len(self.features), n_classes**2 + len(h)):
            features = self.features[rows].astype(np.float64, copy=False)
            w_seen, z_seen = (_through(features, factor, n_classes) for factor in (w, z))
            self.seen_inverse[rows] -= sign * w_seen @ w_seen.transpose(0, 2, 1)
            products = z_seen @ w_seen.transpose(0, 2, 1)
            self.seen_weighted[rows] -= sign * (products + products.transpose(0, 2, 1))


def _spread(proba: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return diag(p) - p pᵀ for each row."""
    out = np.asarray(-proba[:, :, None] * proba[:, None, :], dtype=np.float64)
    classes = np.arange(proba.shape[1])
    out[:, classes, classes] += proba
    return out


def _through(
    features: NDArray[np.float64], factor: NDArray[np.float64], n_classes: int
) -> NDArray[np.float64]:
    """Return Hᵀ factor, shape (n, C, rank), for each row of features."""
    d, rank = features.shape[1], factor.shape[1]
    by_feature = factor.reshape(n_classes, d, rank).transpose(1, 0, 2).reshape(d, -1)
    return (features @ by_feature).reshape(-1, n_classes, rank)


def _blocks(n: int, width: int) -> Iterator[slice]:
    step = max(1, _BLOCK // width)
    return (slice(start, start + step) for start in range(0, n, step))
