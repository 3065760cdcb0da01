"""Strategies, models and data sets by name."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.model_selection import train_test_split

from labelnext import datasets, strategies
from labelnext.estimators.rows import as_samples, take_rows
from labelnext.pools.known import some
from labelnext.utils.given import check_integer
from labelnext.utils.libraries import imported
from labelnext.utils.text import no_such, one_line

Rows = NDArray[np.int64]


def find_strategy(name: str, options: Mapping[str, Any] | None = None) -> Any:
    """Make the strategy of a name that `labelnext.select` takes, or ``"module:name"``."""
    if ":" in name:
        make = _imported("strategy", name, ("query",))
    else:
        try:
            make = strategies.find(name)
        except ValueError as error:
            raise ValueError(f"{str(error)[:-1]}, or module:name for your own.") from None
    return _make("strategy", name, make, options)


def find_model(name: str, options: Mapping[str, Any] | None = None) -> Any:
    """Make the model of that name, or ``"module:name"``."""
    if ":" in name:
        make = _imported("model", name, ("fit", "predict"))
    else:
        make = _lookup("model", name, _models())
    return _make("model", name, make, options)


def find_data(name: str, options: Mapping[str, Any] | None = None) -> Data:
    """Name a data set, or a function ``"module:name"`` that returns samples and labels."""
    load = _imported("data set", name) if ":" in name else _lookup("data set", name, DATA)
    try:
        check_integer("samples", (options or {}).get("samples", 1), least=1)
    except (TypeError, ValueError) as error:
        raise ValueError(f"data set {name!r}: {error}") from None
    return Data(load, dict(options or {}), name)


def check_known(what: str, names: Iterable[str], known: Sequence[str], where: str) -> None:
    """Refuse settings that nothing reads, and offer the nearest that something does."""
    for name in names:
        if name not in known:
            raise ValueError(f"{where}: {no_such(what, name, known)}")


def _models() -> dict[str, Callable[..., Any]]:
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.naive_bayes import GaussianNB
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.neural_network import MLPClassifier

    network = {"hidden_layer_sizes": (64,), "solver": "lbfgs", "alpha": 0.1, "max_iter": 60}
    return {
        "logistic": partial(LogisticRegression, C=10.0, max_iter=300),
        "mlp": partial(MLPClassifier, **network),
        "forest": RandomForestClassifier,
        "naive-bayes": GaussianNB,
        "neighbours": KNeighborsClassifier,
    }


def _plain(name: str) -> str:
    """Spell a name without case and hyphens, so that core-set and CoreSet are one."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _lookup(kind: str, name: str, known: Mapping[str, Any]) -> Any:
    plain = {_plain(key): value for key, value in known.items()}
    if _plain(name) not in plain:
        raise ValueError(no_such(kind, name, sorted(known), ", or module:name for your own"))
    return plain[_plain(name)]


def _make(kind: str, name: str, make: Callable[..., Any], options: Mapping[str, Any] | None) -> Any:
    options = dict(options or {})
    try:
        return make(**options)
    except (ValueError, datasets.DatasetNotFoundError):
        raise
    except Exception as error:  # whatever the code of a user's raises
        raise ValueError(
            f"{kind} {name!r} does not take {options}: {type(error).__name__}: {one_line(error)}."
        ) from error


def _imported(kind: str, name: str, methods: Sequence[str] = ()) -> Any:
    """Import ``module:name``: a class that has the methods, or a function written in Python."""
    found = imported(kind, name)
    if isinstance(found, type):
        right = bool(methods) and all(callable(getattr(found, method, None)) for method in methods)
    else:
        right = inspect.isfunction(inspect.unwrap(found)) if callable(found) else False
    if not right:
        wanted = f"a class with {' and '.join(methods)}, or a function" if methods else "a function"
        gives = "samples and labels" if not methods else "an object of one"
        raise ValueError(
            f"{kind} {name!r} must be {wanted} that returns {gives}, got {found!r:.60}."
        )
    return found


@dataclass(frozen=True)
class Data:
    """Where samples and labels come from; ``samples`` in `options` says how many to take.

    They are drawn with the classes in their proportions. `load` gets the other options.
    """

    load: Callable[..., Any]
    options: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""

    def __call__(self) -> tuple[Any, NDArray[Any]]:
        options = dict(self.options)
        samples = options.pop("samples", None)
        X, y = _make("data set", self.name, self.load, options)
        X, y = as_samples(X), np.asarray(y)
        if samples is None or samples >= len(y):
            return X, y
        rows = np.sort(cut(y, seed=0, train_size=samples)[1])
        return take_rows(X, rows), y[rows]


def cut(y: ArrayLike, *, seed: int, **sizes: Any) -> tuple[Rows, Rows, Rows]:
    """Return labels as class numbers, and the rows of two parts with each class in proportion.

    The first part gets what is alone in its class.
    """
    y = np.asarray(y)
    try:
        names, classes, counts = np.unique(y, return_inverse=True, return_counts=True)
    except TypeError:
        raise ValueError(f"labels must be all of one type, got {y.ravel()[:3].tolist()}.") from None
    if names.dtype.kind == "f" and np.isnan(names).any():
        raise ValueError("all labels must be known, and some are NaN; leave those samples out.")
    rare = names[counts < 2].tolist()
    if len(rare) > len(names) / 2:
        raise ValueError(
            f"most classes have one sample alone: {some(rare, 3)}; these look like measurements or "
            "names, not classes: group them (numbers with numpy.digitize)."
        )
    alone = counts[classes] < 2
    if isinstance(sizes.get("train_size"), int):
        sizes["train_size"] -= int(alone.sum())
    rest = np.flatnonzero(~alone)
    first, second = train_test_split(rest, random_state=seed, stratify=classes[rest], **sizes)
    return classes.astype(np.int64), np.concatenate([first, np.flatnonzero(alone)]), second


def _digits() -> tuple[Any, Any]:
    from sklearn.datasets import load_digits

    X, y = load_digits(return_X_y=True)
    return X / 16, y


def _table(load: Callable[[], datasets.Dataset]) -> tuple[Any, Any]:
    dataset = load()
    low, high = dataset.X.min(axis=0), dataset.X.max(axis=0)
    # Each column from 0 to 1. No label has a part in it.
    return (dataset.X - low) / np.where(high > low, high - low, 1), dataset.y


def _fashion() -> tuple[Any, Any]:
    dataset = datasets.load_fashion_mnist()
    return dataset.X.reshape(len(dataset.X), -1) / np.float32(255), dataset.y


def _newsgroups() -> tuple[Any, Any]:
    from sklearn.feature_extraction.text import TfidfVectorizer

    posts = datasets.load_20newsgroups()
    words = TfidfVectorizer(
        max_features=10_000, sublinear_tf=True, stop_words="english", dtype=np.float32
    )
    return words.fit_transform(posts.X), posts.y


def load_file(file: str) -> tuple[Any, Any]:
    """Load samples ``X`` and labels ``y`` from an .npz file."""
    path = Path(file)
    try:
        if path.exists() and not path.is_file():
            raise ValueError("this is no ordinary file")
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
            return arrays["X"], arrays["y"]
    except Exception as error:  # a damaged archive raises errors of many kinds
        reason = str(error)
        if "pickle" in reason:  # numpy advises to run what may be in the file
            reason = "this is no .npz file"
            if is_zipfile(path):
                reason = "it holds Python objects; save y.astype(str), or numbers"
        raise ValueError(
            f"{file}: expected an .npz file with the arrays X and y, as numpy.savez(file, X=X, "
            f"y=y) writes it: {reason}."
        ) from error


DATA: dict[str, Callable[..., tuple[Any, Any]]] = {
    "digits": _digits,
    "letter": partial(_table, datasets.load_letter),
    "satellite": partial(_table, datasets.load_satellite),
    "shuttle": partial(_table, datasets.load_shuttle),
    "fashion-mnist": _fashion,
    "newsgroups": _newsgroups,
    "file": load_file,
}
