"""What a model makes of a loop's samples: the default, or a classifier of the user's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from labelnext.estimators.linear import FITS, measure, scaled
from labelnext.loop._check import check_pool
from labelnext.pools import Pool
from labelnext.pools.known import some
from labelnext.samples.encode import encode
from labelnext.utils.given import shown

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from labelnext.loop._events import Labels

# Up to so many samples all pairs are compared, in some seconds; on 100,000 it would be minutes.
PAIRS = 5_000


@dataclass(frozen=True)
class Fitted:
    """A pool as a model sees it, what it reaches on the test set, the labels that it was trained
    on, what the user is told, and what the model is called.
    """

    pool: Pool
    metrics: dict[str, float]
    labels: Labels
    said: tuple[str, ...] = ()
    model: str = "default"


def fit(
    loop: Any,
    classifier: Any = None,
    *,
    encoder: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Fitted:
    """Train the default model on the labels of a loop, and measure it on the test set.

    It is a logistic regression on features that are computed once, see `labelnext.samples.encode`;
    of several labels one for each, and for numbers a ridge regression. While it has nothing to
    learn from, because fewer than two classes have a label, the pool has features alone. A
    classifier of the user's, fitted on the features, takes its place.

    >>> import tempfile
    >>> from labelnext.loop import Loop
    >>> from labelnext.loop.model import fit
    >>> texts = ["a good film", "a fine film", "bad sound", "bad play"]
    >>> folder = tempfile.TemporaryDirectory()
    >>> loop = Loop.create(folder.name + "/loop", texts, classes=["good", "bad"])
    >>> _ = loop.add_labels(["0", "2"], ["good", "bad"], annotator="ann", source="memory")
    >>> fit(loop).pool.proba.argmax(axis=1)
    array([0, 0, 1, 1])
    >>> folder.cleanup()
    """
    samples = loop.samples()
    encoded = encode(samples, loop.folder / "features", encoder=encoder, progress=progress)
    said = encoded.told()
    X, ids = encoded.pool.features[:], samples.ids
    train, test = (loop.labels(split=split) for split in ("pool", "test"))
    found: dict[str, Any]
    if classifier is not None:
        found = _of_classifier(classifier, X, loop.classes)
        predicted = np.asarray(found["classes"], object)[found["proba"].argmax(axis=1)]
    else:
        X = scaled(X)
        found, predicted = FITS[loop.task](X, train.y, loop.classes)
    if predicted is None:
        said.append(f"No model yet: {_lack(train, test, loop.task)}.")
        return Fitted(Pool(features=X, ids=ids, **found), {}, train, tuple(said))
    metrics = measure(loop.task, test.y, predicted)
    name = "default" if classifier is None else type(classifier).__name__
    return Fitted(Pool(features=X, ids=ids, **found), metrics, train, tuple(said), name)


def _lack(train: Labels, test: Labels, task: str) -> str:
    """Say why nothing can be learned."""
    given = train.y[train.labeled]
    if not len(given):
        only = ", and nothing is trained on those of the test set" if len(test.labeled) else ""
        return f"there are too few labels to learn from{only}"
    if task == "multiclass" and len(set(given)) == 1:
        many = "all labels are" if len(given) > 1 else "the only label is"
        return f"{many} {given[0]!r}, and a model needs two classes"
    return "there are too few labels to learn from"


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


def measure_pool(loop: Any, pool: Pool) -> dict[str, float]:
    """Return how right a pool's probabilities are on the test set, as far as they can be told.

    >>> measure_pool(None, Pool(features=np.eye(2)))
    {}
    """
    names = pool.classes
    if "proba" not in pool.source.parts:
        return {}
    check_pool(pool, loop.task, loop.classes)
    if pool.ids is None or names is None or pool.n_members:
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


def _of_classifier(
    classifier: Any, X: NDArray[np.float32], classes: list[str] | None
) -> dict[str, Any]:
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
