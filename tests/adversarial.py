"""Pools that make bounds tight, to hunt for one that rules out too much."""

import numpy as np
from hypothesis import strategies as st


@st.composite
def adversarial(draw):
    """Pools that make bounds tight: parallel rows, one class, huge and tiny norms, near ties."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    # From 128 classes on the long residuals are looked at last.
    n, n_classes = draw(st.integers(2, 120)), draw(st.sampled_from([1, 2, 3, 10, 40, 130]))
    n_features = draw(st.integers(1, 12))
    logits = rng.normal(size=(n, n_classes)) * draw(st.sampled_from([0.0, 0.3, 3.0, 30.0]))
    if draw(st.booleans()):  # one pseudo-label for most
        logits[:, 0] += 2.0
    proba = np.exp(logits - logits.max(axis=1, keepdims=True))
    proba /= proba.sum(axis=1, keepdims=True)
    if draw(st.booleans()):  # a little more or less than 1, as is allowed: 1 - p[y] may be negative
        proba *= 1 + rng.uniform(-9e-4, 9e-4, size=(n, 1))
    features = rng.normal(size=(n, n_features))
    if draw(st.booleans()):
        features = np.maximum(features, 0.0)
    if draw(st.booleans()):  # all along one direction, which is the one projected on
        features = rng.uniform(0.5, 2, size=(n, 1)) * features[:1]
    if draw(st.booleans()):  # copies, exact and almost
        copies = rng.integers(n, size=n // 2)
        proba[: len(copies)], features[: len(copies)] = proba[copies], features[copies]
        features[: len(copies)] *= 1 + draw(st.sampled_from([0, 1e-12, 1e-6])) * rng.normal(
            size=(len(copies), 1)
        )
    if draw(st.booleans()):
        features *= 10.0 ** rng.integers(-6, 6, size=(n, 1))
    if draw(st.booleans()):  # all norms alike: no range of norms rules anything out
        norms = np.linalg.norm(features, axis=1) * np.linalg.norm(
            proba - np.eye(n_classes)[proba.argmax(axis=1)], axis=1
        )
        features /= np.where(norms > 0, norms, 1.0)[:, None]
    features *= draw(st.sampled_from([1.0, 1e-20, 1e20]))
    fits = np.abs(features).max() < 1e38
    dtype = draw(st.sampled_from([np.float32, np.float64])) if fits else np.float64
    proba, features = proba.astype(dtype), features.astype(dtype)
    order = rng.permutation(n)
    cuts = np.sort(rng.integers(1, n, size=draw(st.integers(0, 3)))) if n > 2 else []
    blocks = [b for b in np.split(order[: max(1, n - 1)], cuts) if len(b)]
    return proba, features, blocks


def tight_bounds(seed):
    """Rows in which bounds are tight: parallel, nearly alike, of like or very unlike norms."""
    rng = np.random.default_rng(seed)
    n, n_classes = 300, int(rng.choice([2, 3, 30]))
    proba = rng.dirichlet(np.full(n_classes, rng.choice([0.02, 0.3, 5])), size=n)
    features = rng.normal(size=(n, int(rng.choice([1, 6, 90]))))
    if rng.random() < 0.5:  # all in one direction
        features = rng.uniform(0.5, 2, size=(n, 1)) * features[:1]
    copies = rng.integers(n, size=n // 2)
    proba[: n // 2], features[: n // 2] = proba[copies], features[copies]
    features[: n // 2] *= 1 + rng.choice([0, 1e-7, 1e-3]) * rng.normal(size=(n // 2, 1))
    if rng.random() < 0.3:
        proba[: n // 2] = proba[0]
    if rng.random() < 0.3:
        features *= 10.0 ** rng.integers(-19, 19, size=(n, 1))
    return proba, features * rng.choice([1e-18, 1.0, 1e18])
