"""The default model of a loop: linear, on features that stay as they are, and how right it is."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Rows = NDArray[np.float32]

# For features of length 1 on average: the best of 1, 10 and 100 or next to it, for 50 to 600
# labels of 20 Newsgroups and of Fashion-MNIST.
C = 30.0
NEVER = -1e4  # what a class without a label is worth, before the softmax


def measure(task: str, labels: NDArray[Any], predicted: NDArray[Any]) -> dict[str, float]:
    """Return how right predictions are, where there are labels; nothing where there are none.

    >>> measure("multiclass", np.array(["a", None, "b"], object), np.array(["a", "a", "a"]))
    {'accuracy': 0.5, 'macro_f1': 0.333...}
    """
    from sklearn.metrics import f1_score, r2_score

    there = _labeled(labels)
    if not len(there):
        return {}
    if task == "regression":
        y, guess = labels[there].astype(float), predicted[there].astype(float)
        found = {"rmse": float(np.sqrt(np.mean((y - guess) ** 2)))}
        return found | ({"r2": float(r2_score(y, guess))} if len(y) > 1 else {})
    if task == "multilabel":
        names = sorted({name for row in there for name in (*labels[row], *predicted[row])})
        y, guess = (_indicators(each[there], names) for each in (labels, predicted))
        right = float((y == guess).all(axis=1).mean())
        return {"accuracy": right, "micro_f1": float(f1_score(y, guess, average="micro"))}
    y, guess = labels[there].astype(str), predicted[there].astype(str)
    f1 = f1_score(y, guess, average="macro", labels=np.unique(y), zero_division=0)
    return {"accuracy": float(np.mean(y == guess)), "macro_f1": float(f1)}


def _labeled(y: NDArray[Any]) -> NDArray[np.intp]:
    return np.flatnonzero([value is not None and value == value for value in y])  # noqa: PLR0124


def _indicators(values: NDArray[Any], names: Sequence[str]) -> NDArray[np.int64]:
    """Return a column for each name: whether a sample has it."""
    return np.array([[name in value for name in names] for value in values], np.int64).reshape(
        len(values), len(names)
    )


def scaled(features: Any) -> Rows:
    """Return features around 0, of length 1 on average; in place of what was read."""
    X: Rows = np.array(features, np.float32)
    X -= X.mean(axis=0)
    length = float(np.sqrt(np.mean(np.einsum("ij,ij->i", X, X, dtype=np.float64))))
    if length > 0:
        X /= np.float32(length)
    return X


def _multiclass(X: Rows, y: NDArray[Any], classes: list[str]) -> tuple[dict[str, Any], Any]:
    rows = _labeled(y)
    place = {name: at for at, name in enumerate(classes)}
    known = np.array([place[name] for name in y[rows]], np.int64)
    seen = np.unique(known)
    if len(seen) < 2:
        return {"classes": classes}, None
    model = _logistic(X[rows], known)
    weights = np.zeros((len(classes), X.shape[1]))
    offsets = np.full(len(classes), NEVER)
    if len(seen) == 2:  # a single row says by how much the second is more likely
        weights[seen[1]], offsets[seen] = model.coef_[0], [0, model.intercept_[0]]
    else:
        weights[seen], offsets[seen] = model.coef_, model.intercept_
    proba = _softmax(X @ weights.T.astype(np.float32) + offsets)
    predicted = np.array(classes, object)[proba.argmax(axis=1)]
    found = {"proba": proba, "classes": classes, "last_layer": (weights, offsets)}
    return {**found, "labels": y, "missing_label": None}, predicted


def _multilabel(X: Rows, y: NDArray[Any], classes: list[str]) -> tuple[dict[str, Any], Any]:
    rows = _labeled(y)
    if not len(rows):
        return {"classes": classes}, None
    known = _indicators(y[rows], classes)
    proba = np.empty((len(X), len(classes)))
    for at, column in enumerate(known.T):
        if column.min() == column.max():  # nothing to tell them apart by
            proba[:, at] = (column.sum() + 1) / (len(column) + 2)
        else:
            proba[:, at] = _logistic(X[rows], column).predict_proba(X)[:, 1]
    predicted = np.empty(len(X), object)
    predicted[:] = [[n for n, p in zip(classes, row, strict=True) if p >= 0.5] for row in proba]
    return {"proba": proba, "classes": classes, "task": "multilabel"}, predicted


def _regression(X: Rows, y: NDArray[Any], classes: None) -> tuple[dict[str, Any], Any]:
    from sklearn.linear_model import RidgeCV

    rows = _labeled(y)
    if len(rows) < 2:
        return {}, None
    model = RidgeCV(np.logspace(-4, 2, 7)).fit(X[rows], y[rows])
    return {"task": "regression"}, model.predict(X)


FITS: dict[str, Callable[..., tuple[dict[str, Any], Any]]] = {
    "multiclass": _multiclass,
    "multilabel": _multilabel,
    "regression": _regression,
}


def _logistic(X: Rows, y: NDArray[np.int64]) -> Any:
    from sklearn.linear_model import LogisticRegression

    with warnings.catch_warnings(action="ignore"):  # it need not be at the very best
        return LogisticRegression(C=C, max_iter=200).fit(X, y)


def _softmax(scores: NDArray[Any]) -> NDArray[np.float64]:
    scores = np.exp(scores - scores.max(axis=1, keepdims=True), dtype=np.float64)
    return scores / scores.sum(axis=1, keepdims=True)  # type: ignore[no-any-return]
