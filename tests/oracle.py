"""The dense oracle: gradients materialised as vectors, and the law written down one pick at a time.

Everything is float64 and nothing is clever, so that it can be checked by reading.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from scipy import stats


def pseudo_labels(proba, task="multiclass"):
    """The class of each row, or which labels are at least half probable, or 0 or 1."""
    if task == "multiclass":
        return np.argmax(proba, axis=1)
    if task == "vectors":  # there are none
        return np.zeros(len(proba), dtype=int)
    rounded = np.asarray(proba) >= 0.5
    return rounded if task == "multilabel" else rounded[:, 0].astype(int)


def gradients(proba, features, *, bias=False, task="multiclass"):
    """Every gradient a hᵀ as a vector of length C·d, shape (n, C·d)."""
    p = np.asarray(proba, dtype=np.float64)
    h = np.asarray(features, dtype=np.float64)
    if bias:
        h = np.hstack([h, np.ones((len(h), 1))])
    if task == "vectors":
        return h
    a = p.copy()
    if task == "multiclass":
        a[np.arange(len(p)), p.argmax(axis=1)] -= 1.0
    else:
        a -= np.where(p >= 0.5, 1.0, 0.0)
    return (a[:, :, None] * h[:, None, :]).reshape(len(p), -1)


def squared_distances(x, y=None):
    """All d²(x_i, y_j) from the differences of the vectors."""
    y = x if y is None else y
    return np.stack([((row - y) ** 2).sum(axis=1) for row in x])


def exact_squared_distance(proba, features, i, j, *, bias=False):
    """d²(i, j) in rational arithmetic: nothing is rounded but p − 1, once, to float64."""

    def factors(row):
        a = [Fraction(float(v)) for v in proba[row]]
        label = int(np.argmax(proba[row]))
        a[label] = Fraction(float(proba[row, label]) - 1.0)
        h = [Fraction(float(v)) for v in features[row]] + [Fraction(1)] * bias
        return a, h

    (a_i, h_i), (a_j, h_j) = factors(i), factors(j)
    return sum(
        (x * u - y * v) ** 2
        for x, y in zip(a_i, a_j, strict=True)
        for u, v in zip(h_i, h_j, strict=True)
    )


def next_law(squared_norms, d2, picked, exclude=()):
    """Probability of each row to be the next pick, after the picks so far."""
    n = len(squared_norms)
    free = np.ones(n, dtype=bool)
    free[list(exclude)] = False
    if not picked:
        law = np.zeros(n)
        if not squared_norms[free].any():
            return free / free.sum()
        law[np.where(free, squared_norms, -1.0).argmax()] = 1.0
        return law
    nearest = np.where(free, d2[:, list(picked)].min(axis=1), 0.0)
    free[list(picked)] = False
    nearest[~free] = 0.0
    if not nearest.any():
        return free / free.sum()
    return nearest / nearest.sum()


def utilities(squared_norms, d2, picks, exclude=()):
    """Row t: the law of pick t, NaN where nothing can be picked."""
    rows = []
    for t in range(len(picks)):
        law = next_law(squared_norms, d2, list(picks[:t]), exclude)
        law[[*exclude, *picks[:t]]] = np.nan
        rows.append(law)
    return np.array(rows)


def enumerate_batches(squared_norms, d2, k, exclude=()):
    """Probability of every ordered batch of k rows that has any."""
    batches = {(): 1.0}
    for _ in range(k):
        longer = {}
        for picked, probability in batches.items():
            law = next_law(squared_norms, d2, picked, exclude)
            for row in np.flatnonzero(law):
                longer[(*picked, int(row))] = probability * law[row]
        batches = longer
    assert abs(sum(batches.values()) - 1) < 1e-12
    return batches


def chi_square(observed, expected, *, smallest=8.0):
    """p-value of observed batch counts against their probabilities; 0 if one was impossible.

    Cells that expect fewer than `smallest` are merged, the rarest first.
    """
    total = sum(observed.values())
    if any(batch not in expected for batch in observed):
        return 0.0
    seen, hoped = [], []
    pool_seen = pool_hoped = 0.0
    for batch, probability in sorted(expected.items(), key=lambda item: item[1]):
        pool_seen += observed.get(batch, 0)
        pool_hoped += probability * total
        if pool_hoped >= smallest:
            seen.append(pool_seen)
            hoped.append(pool_hoped)
            pool_seen = pool_hoped = 0.0
    if pool_hoped:
        seen[-1] += pool_seen
        hoped[-1] += pool_hoped
    if len(seen) == 1:
        return 1.0
    return float(stats.chisquare(seen, np.array(hoped) * (sum(seen) / sum(hoped))).pvalue)


def sample_many(squared_norms, d2, k, runs, rng):
    """Run the sequential law many times side by side; picks (runs, k) and potentials (runs, k).

    For pools in which D² does not run out before k.
    """
    picks = np.empty((runs, k), dtype=np.int64)
    potentials = np.empty((runs, k))
    picks[:, 0] = squared_norms.argmax()
    nearest = d2[picks[:, 0]].copy()
    potentials[:, 0] = nearest.sum(axis=1)
    for t in range(1, k):
        ends = nearest.cumsum(axis=1)
        tickets = rng.random(runs) * ends[:, -1]
        picks[:, t] = (ends <= tickets[:, None]).sum(axis=1)
        np.minimum(nearest, d2[picks[:, t]], out=nearest)
        potentials[:, t] = nearest.sum(axis=1)
    return picks, potentials
