"""Pools of real data: a model is trained on some labels and looks at the rest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.datasets import make_blobs
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler

from benchmarks.pools._confidences import describe
from labelnext.datasets import load_20newsgroups, load_fashion_mnist, load_letter


def fashion_mnist(folder: Path, n_labels: int) -> dict[str, Any]:
    """Features of a network with one hidden layer of 512 units, trained on a few labels."""
    train, test = load_fashion_mnist("train"), load_fashion_mnist("test")
    labelled, pool = _split(len(train), n_labels)
    X, X_test = (part.X.astype(np.float32) / 255 for part in (train, test))
    network = _trained_network(X[labelled], train.y[labelled])
    return {
        "source": train.source,
        "model": "MLPClassifier(hidden_layer_sizes=(512,))",
        "labels": n_labels,
        "label_accuracy": float(network.score(X[labelled], train.y[labelled])),
        "test_accuracy": float(network.score(X_test, test.y)),
        **_write(folder, network.predict_proba(X[pool]), _hidden_layer(network, X[pool])),
    }


def letter(folder: Path) -> dict[str, Any]:
    """Features of a network with 128 hidden units, trained on 2,000 letters."""
    data = load_letter()
    labelled, pool = _split(len(data), 2_000)
    X = StandardScaler().fit_transform(data.X).astype(np.float32)
    network = _trained_network(X[labelled], data.y[labelled], n_hidden=128)
    return {
        "source": data.source,
        "model": "MLPClassifier(hidden_layer_sizes=(128,))",
        "labels": len(labelled),
        **_write(folder, network.predict_proba(X[pool]), _hidden_layer(network, X[pool])),
    }


def notebook(folder: Path) -> dict[str, Any]:
    """400 points in two dimensions under a logistic regression on 20 labels, as in a notebook."""
    X, y = make_blobs(420, centers=[[0, 1], [-3, 0.5], [-1, -1], [2, 1]], random_state=0)
    labelled, pool = _split(len(X), 20)
    model = LogisticRegression().fit(X[labelled], y[labelled] % 2)
    return {
        "source": "scikit-learn's make_blobs",
        "model": "LogisticRegression()",
        "labels": 20,
        **_write(folder, model.predict_proba(X[pool]), X[pool]),
    }


def newsgroups_signed(folder: Path) -> dict[str, Any]:
    """Text embeddings of 256 signed numbers under a logistic regression on 400 labels."""
    import wordllama
    from wordllama import WordLlama

    data = load_20newsgroups("train")
    # The weights come with the wheel: nothing is downloaded.
    embed = WordLlama.load(cache_dir=Path(wordllama.__file__).parent, disable_download=True)
    X = np.asarray(embed.embed(data.X.tolist(), norm=True), dtype=np.float32)
    labelled, pool = _split(len(data), 400)
    model = LogisticRegression(C=100, max_iter=2_000).fit(X[labelled], data.y[labelled])
    return {
        "source": data.source,
        "model": "LogisticRegression(C=100) on WordLlama embeddings",
        "labels": len(labelled),
        "pool_accuracy": float(model.score(X[pool], data.y[pool])),
        **_write(folder, model.predict_proba(X[pool]), X[pool]),
    }


def newsgroups_tfidf(folder: Path) -> dict[str, Any]:
    """TF-IDF, sparse, under a logistic regression on 400 labels."""
    data = load_20newsgroups("train")
    X = TfidfVectorizer(sublinear_tf=True, min_df=2, dtype=np.float32).fit_transform(data.X)
    labelled, pool = _split(len(data), 400)
    model = LogisticRegression(C=100, max_iter=2_000).fit(X[labelled], data.y[labelled])
    return {
        "source": data.source,
        "model": "LogisticRegression(C=100) on TF-IDF",
        "labels": len(labelled),
        "pool_accuracy": float(model.score(X[pool], data.y[pool])),
        **_write(folder, model.predict_proba(X[pool]), X[pool]),
    }


def _split(n: int, n_labels: int) -> tuple[np.ndarray, np.ndarray]:
    order = np.random.default_rng(0).permutation(n)
    return np.sort(order[:n_labels]), np.sort(order[n_labels:])


def _trained_network(X: np.ndarray, y: np.ndarray, n_hidden: int = 512) -> MLPClassifier:
    """Train until 99 % of the labels are learnt, as the paper does, or for 60 epochs."""
    batch_size = 64 if len(X) <= 2_000 else 256
    network = MLPClassifier((n_hidden,), batch_size=batch_size, random_state=0)
    for _ in range(60):
        network.partial_fit(X, y, classes=np.unique(y))
        if network.score(X, y) > 0.99:
            break
    return network


def _hidden_layer(network: MLPClassifier, X: np.ndarray) -> np.ndarray:
    return np.maximum(X @ network.coefs_[0] + network.intercepts_[0], 0)


def _write(folder: Path, proba: np.ndarray, features: Any) -> dict[str, Any]:
    proba = np.ascontiguousarray(proba, dtype=np.float32)
    np.save(folder / "proba.npy", proba)
    if sp.issparse(features):
        sp.save_npz(folder / "features.npz", features.tocsr(), compressed=False)
    else:
        features = np.ascontiguousarray(features, dtype=np.float32)
        np.save(folder / "features.npy", features)
    return {
        "n": proba.shape[0],
        "n_features": features.shape[1],
        "n_classes": proba.shape[1],
        **describe(proba, features),
    }
