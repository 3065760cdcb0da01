"""Pools of any size that imitate the confidences of a trained network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib.format import open_memmap
from scipy.special import logsumexp

from benchmarks.pools._confidences import describe

if TYPE_CHECKING:
    from pathlib import Path

# Rows made at a time. Each chunk has a seed of its own: a smaller pool is the start of a larger.
CHUNK = 8_192

# The mean of the highest probability: that of the network on Fashion-MNIST with 2,000 labels.
CONFIDENCE = 0.93

# The directions in which samples of all classes vary.
N_DIRECTIONS = 16


@dataclass(frozen=True)
class Network:
    """The features that a trained network would see, and its last layer.

    A sample lies between the prototypes of its class and of a near one, mostly near its own,
    varies in a few directions that all classes share, and passes a ReLU; its scale varies as
    that of real features does. The last layer reads each class along its prototype, less the
    mean of all, so sharply that the mean confidence is the one wanted.
    """

    prototypes: np.ndarray
    neighbours: np.ndarray
    directions: np.ndarray
    weights: np.ndarray
    sharpness: float
    seed: int

    def chunk(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the logits and the features of one chunk of rows."""
        n_classes, n_features = self.prototypes.shape
        rng = np.random.default_rng([self.seed, number])
        own = rng.integers(n_classes, size=CHUNK)
        other = self.neighbours[own, rng.integers(self.neighbours.shape[1], size=CHUNK)]
        # Most samples are typical, some are half of another class.
        share = (0.5 * rng.beta(0.35, 0.7, size=CHUNK)).astype(np.float32)[:, None]
        h = (1 - share) * self.prototypes[own] + share * self.prototypes[other]
        h += rng.standard_normal((CHUNK, N_DIRECTIONS), dtype=np.float32) @ self.directions
        h += 0.3 * rng.standard_normal((CHUNK, n_features), dtype=np.float32)
        np.maximum(h, 0, out=h)
        h *= rng.lognormal(0, 0.35, size=CHUNK).astype(np.float32)[:, None]
        return h @ self.weights.T * np.float32(self.sharpness), h


def network(n_features: int, n_classes: int, confidence: float, seed: int) -> Network:
    """Draw a network, with the sharpness that gives the mean confidence wanted."""
    rng = np.random.default_rng([seed, n_features, n_classes])
    # Classes share what all pictures share, the mean, and come in families of about ten.
    n_families = max(1, n_classes // 10)
    mean = 0.5 * rng.standard_normal(n_features)
    families = 0.3 * rng.standard_normal((n_families, n_features))
    family = np.arange(n_classes) % n_families
    prototypes = mean + families[family] + 0.5 * rng.standard_normal((n_classes, n_features))
    prototypes = prototypes.astype(np.float32)
    directions = rng.standard_normal((N_DIRECTIONS, n_features)) * (1.2 / N_DIRECTIONS**0.5)
    seen = np.maximum(prototypes, 0)
    weights = seen - seen.mean(axis=0)
    weights /= np.linalg.norm(weights, axis=1, keepdims=True)
    distances = ((seen**2).sum(axis=1)[:, None] + (seen**2).sum(axis=1)) - 2 * seen @ seen.T
    np.fill_diagonal(distances, np.inf)
    neighbours = np.argsort(distances, axis=1)[:, : min(5, n_classes - 1)]
    fixed = (prototypes, neighbours, directions.astype(np.float32), weights)
    logits, _ = Network(*fixed, sharpness=1.0, seed=seed).chunk(0)
    low, high = -10.0, 10.0
    for _ in range(40):
        middle = (low + high) / 2
        if _softmax(logits * np.float32(np.exp(middle))).max(axis=1).mean() < confidence:
            low = middle
        else:
            high = middle
    return Network(*fixed, sharpness=float(np.exp(high)), seed=seed)


def write(
    folder: Path,
    n: int,
    n_features: int,
    n_classes: int,
    *,
    confidence: float = CONFIDENCE,
    seed: int = 0,
) -> dict[str, Any]:
    """Write a pool chunk by chunk; no more than a few chunks are in memory at any time."""
    model = network(n_features, n_classes, confidence, seed)
    proba = open_memmap(folder / "proba.npy", "w+", np.float32, (n, n_classes))
    features = open_memmap(folder / "features.npy", "w+", np.float32, (n, n_features))
    for number, lo in enumerate(range(0, n, CHUNK)):
        logits, h = model.chunk(number)
        rows = slice(lo, min(lo + CHUNK, n))
        proba[rows] = _softmax(logits)[: n - lo]
        features[rows] = h[: n - lo]
    about = describe(proba, features)
    proba.flush()
    features.flush()
    return {
        "source": "made by benchmarks/pools/_synthetic.py",
        "n": n,
        "n_features": n_features,
        "n_classes": n_classes,
        "confidence": confidence,
        **about,
    }


def _softmax(logits: np.ndarray) -> np.ndarray:
    return np.exp(logits - logsumexp(logits, axis=1, keepdims=True))
