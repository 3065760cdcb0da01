"""D² sampling with one pass a pick over the two factors, in plain NumPy and float32.

The published implementations work like this, with arrays in place of the materialised gradient:
the best that one gets without a new algorithm. All buffers are made once, and the two matrix
products of a pass run on all threads of BLAS.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp


def sample(proba: np.ndarray, features: Any, k: int, seed: int) -> np.ndarray:
    """Pick k rows; the first has the largest gradient."""
    rng = np.random.default_rng(seed)
    rows = np.arange(len(proba))
    residuals = proba.astype(np.float32)
    residuals[rows, proba.argmax(axis=1)] -= 1
    squared_norms = np.einsum("ij,ij->i", residuals, residuals) * _squared_norms(features)
    d2 = np.full(len(rows), np.inf, dtype=np.float32)
    to_centre = np.empty_like(d2)
    of_features = np.empty_like(d2)
    cumulated = np.empty(len(rows), dtype=np.float64)
    picks = np.empty(k, dtype=np.int64)
    centre = int(squared_norms.argmax())
    for rank in range(k):
        picks[rank] = centre
        np.matmul(residuals, residuals[centre], out=to_centre)
        if sp.issparse(features):
            of_features = features @ features[[centre]].toarray()[0]
        else:
            np.matmul(features, features[centre], out=of_features)
        to_centre *= of_features
        to_centre *= -2
        to_centre += squared_norms
        to_centre += squared_norms[centre]
        np.maximum(to_centre, 0, out=to_centre)
        np.minimum(d2, to_centre, out=d2)
        d2[picks[: rank + 1]] = 0
        np.cumsum(d2, dtype=np.float64, out=cumulated)
        ticket = rng.random() * cumulated[-1]
        centre = min(int(np.searchsorted(cumulated, ticket, side="right")), len(rows) - 1)
    return picks


def _squared_norms(features: Any) -> np.ndarray:
    if sp.issparse(features):
        return np.asarray(features.multiply(features).sum(axis=1), dtype=np.float32).ravel()
    return np.einsum("ij,ij->i", features, features)
