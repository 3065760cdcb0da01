"""What a model makes of a loop's samples: the default, or a classifier of the user's."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from labelnext.pools import Pool
from labelnext.pools.known import some
from labelnext.samples.encode import encode
from labelnext.utils.given import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Rows = NDArray[np.float32]

# Up to so many samples all pairs are compared, in some seconds; on 100,000 it would be minutes.
PAIRS = 5_000
# For features of length 1 on average: the best of 1, 10 and 100 or next to it, for 50 to 600
# labels of 20 Newsgroups and of Fashion-MNIST.
C = 30.0
NEVER = -1e4  # what a class without a label is worth, before the softmax


@dataclass(frozen=True)
class Fitted:
    """A pool as a model sees it, what it reaches on the test set, and what the user is told."""

    pool: Pool
    metrics: dict[str, float]
    said: tuple[str, ...] = ()


def pool_of(loop: Any, classifier: Any = None) -> Pool:
    """
    Return the pool that a classifier, or the default model, makes of a loop's samples.

    Parameters
    ----------
    loop : Loop
        The loop.
    classifier : fitted classifier, default=None
        Anything with `predict_proba` that was fitted on the loop's features; None for the default,
        see `fit`.

    Returns
    -------
    Pool
        With the samples' ids.

    Examples
    --------
    >>> import tempfile
    >>> from labelnext.loop import Loop
    >>> from labelnext.loop.model import pool_of
    >>> texts = ["a good film", "a fine film", "bad sound", "bad play"]
    >>> folder = tempfile.TemporaryDirectory()
    >>> loop = Loop.create(folder.name + "/loop", texts, classes=["good", "bad"])
    >>> _ = loop.add_labels(["0", "2"], ["good", "bad"], annotator="ann", source="memory")
    >>> pool_of(loop).proba.argmax(axis=1)
    array([0, 0, 1, 1])
    >>> folder.cleanup()
    """
    return fit(loop, classifier).pool


def fit(
    loop: Any,
    classifier: Any = None,
    *,
    encoder: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Fitted:
    """
    Train the default model on the labels of a loop, and measure it on the test set.

    It is a logistic regression on features that are computed once, see `labelnext.samples.encode`;
    of several labels one for each, and for numbers a ridge regression. While it has nothing to
    learn from, because fewer than two classes have a label, the pool has features alone.

    Parameters
    ----------
    loop : Loop
        The loop.
    classifier : fitted classifier, default=None
        One to use in its place.
    encoder, progress : optional
        As for `labelnext.samples.encode.encode`.

    Returns
    -------
    Fitted
        The pool, metrics by name, and what to tell.

    Examples
    --------
    >>> import tempfile
    >>> from labelnext.loop import Loop
    >>> from labelnext.loop.model import fit
    >>> folder = tempfile.TemporaryDirectory()
    >>> loop = Loop.create(folder.name + "/loop", ["a good film", "bad"], classes=["good", "bad"])
    >>> fit(loop).pool.proba is None
    True
    >>> folder.cleanup()
    """
    samples = loop.samples()
    encoded = encode(samples, loop.folder / "features", encoder=encoder, progress=progress)
    said = [f"Features: {encoded.said}."]
    if encoded.broken:
        said.append(f"{encoded.broken:,} of {len(samples):,} samples could not be read.")
    X, ids = encoded.pool.features[:], samples.ids
    train, test = (loop.labels(split=split).y for split in ("pool", "test"))
    found: dict[str, Any]
    if classifier is not None:
        found = _of_classifier(classifier, X, loop.classes)
        predicted = np.asarray(found["classes"], object)[found["proba"].argmax(axis=1)]
    else:
        X = scaled(X)
        found, predicted = FITS[loop.task](X, train, loop.classes)
    if predicted is None:
        said.append("No model yet: too few labels to learn from.")
        return Fitted(Pool(features=X, ids=ids, **found), {}, tuple(said))
    metrics = measure(loop.task, test, predicted)
    return Fitted(Pool(features=X, ids=ids, **found), metrics, tuple(said))


def without_features(loop: Any) -> Pool:
    """Return a pool that is good for random choice alone, and costs nothing."""
    ids = loop.samples().ids
    return Pool(features=np.zeros((len(ids), 1), np.float32), ids=ids)


def strategy_for(pool: Pool) -> str:
    """Return the strategy for features that stay as they are, by the guide "Which strategy?".

    >>> strategy_for(Pool(features=np.eye(3)))
    'max-herding'
    """
    few = pool.n_rows <= PAIRS
    if "proba" not in pool.source.parts:
        return "max-herding" if few else "typi-clust"
    if pool.task not in ("multiclass", "binary"):
        return "badge"
    if few:
        return "uncertainty-herding"
    return "badge" if pool.last_layer is None else "drop-query"


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


def measure_pool(loop: Any, pool: Pool) -> dict[str, float]:
    """Return how right a pool's probabilities are on the test set, as far as they can be told.

    >>> measure_pool(None, Pool(features=np.eye(2)))
    {}
    """
    names = pool.classes
    if pool.ids is None or names is None or "proba" not in pool.source.parts or pool.n_members:
        return {}
    if pool.task == "binary":
        return {}
    labels = loop.labels(split="test")
    rows = {str(name): row for row, name in enumerate(pool.ids.tolist())}
    there = [row for row in labels.labeled.tolist() if labels.ids[row] in rows]
    if not there:
        return {}
    proba = np.asarray(pool.read("proba", np.array([rows[labels.ids[row]] for row in there])))
    predicted = np.empty(len(there), object)
    if pool.task == "multilabel":
        predicted[:] = [[str(names[at]) for at in np.flatnonzero(row >= 0.5)] for row in proba]
    else:
        predicted[:] = [str(names[at]) for at in proba.argmax(axis=1)]
    return measure(loop.task, labels.y[there], predicted)


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


def _of_classifier(classifier: Any, X: Rows, classes: list[str] | None) -> dict[str, Any]:
    """Ask a classifier of the user's."""
    for name in ("predict_proba", "classes_"):
        if not hasattr(classifier, name):
            raise TypeError(
                f"pool must be a Pool, a fitted classifier with predict_proba and classes_, or "
                f"None, got {shown(classifier)}; it has no {name}."
            )
    names = [str(name) for name in classifier.classes_]
    unknown = [name for name in names if name not in (classes or ())]
    if unknown:
        raise ValueError(
            f"The classifier has classes that the loop does not know: {some(unknown)}; fit it on "
            "loop.labels()."
        )
    return {"proba": np.asarray(classifier.predict_proba(X)), "classes": names}
