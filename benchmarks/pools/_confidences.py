"""How sure a model is of a pool, in a few numbers: what decides how much pruning can save."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

QUANTILES = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9)


def describe(proba: np.ndarray, features: Any, sample: int = 50_000) -> dict[str, Any]:
    """Return the spread of the highest probability, of ‖h‖ and of ‖G‖ over a pool."""
    rows = np.random.default_rng(0).permutation(len(proba))[:sample]
    rows.sort()
    p, h = np.asarray(proba[rows], dtype=np.float64), features[rows]
    highest = p.max(axis=1)
    p[np.arange(len(p)), p.argmax(axis=1)] -= 1
    if sp.issparse(h):
        norms = np.sqrt(np.asarray(h.multiply(h).sum(axis=1), dtype=np.float64)).ravel()
        some = h[:: max(1, len(rows) // 1_000)].toarray()
    else:
        norms = np.linalg.norm(np.asarray(h, dtype=np.float64), axis=1)
        some = np.asarray(h[:: max(1, len(rows) // 1_000)], dtype=np.float64)
    some = some / np.maximum(np.linalg.norm(some, axis=1, keepdims=True), 1e-30)
    gradient = np.linalg.norm(p, axis=1) * norms
    cosine = (some @ some.T)[np.triu_indices(len(some), 1)]
    return {
        "mean_max_proba": float(highest.mean()),
        "max_proba": _quantiles(highest),
        "feature_norm_over_median": _quantiles(_relative(norms, 0.5)),
        "gradient_norm_over_99th": _quantiles(_relative(gradient, 0.99)),
        "share_of_positive_features": float((some > 0).mean()),
        "feature_cosine": _quantiles(cosine),
    }


def _relative(values: np.ndarray, quantile: float) -> np.ndarray:
    unit = np.quantile(values, quantile)
    return values / unit if unit > 0 else values


def _quantiles(values: np.ndarray) -> dict[str, float]:
    return {f"{q:.0%}": float(np.quantile(values, q)) for q in QUANTILES}
