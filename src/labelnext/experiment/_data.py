"""The data sets of experiments: samples as numbers of one scale, and their labels."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from labelnext.estimators.rows import as_samples, take_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray


@dataclass(frozen=True)
class Data:
    """Where samples and labels come from, and how many of them to take.

    Parameters
    ----------
    load : callable
        Returns samples and labels; gets what `options` holds besides ``samples``.
    options : dict of str to object
        ``samples``: how many to take, drawn with the classes in their proportions.
    """

    load: Callable[..., Any]
    options: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self) -> tuple[Any, NDArray[Any]]:
        options = dict(self.options)
        samples = options.pop("samples", None)
        X, y = self.load(**options)
        X, y = as_samples(X), np.asarray(y)
        if samples is None or samples >= len(y):
            return X, y
        from sklearn.model_selection import train_test_split

        rows, _ = train_test_split(
            np.arange(len(y)), train_size=samples, stratify=y, random_state=0
        )
        return take_rows(X, np.sort(rows)), y[np.sort(rows)]


def _digits() -> tuple[Any, Any]:
    from sklearn.datasets import load_digits

    X, y = load_digits(return_X_y=True)
    return X / 16, y


def _table(loader: str) -> Callable[[], tuple[Any, Any]]:
    def load() -> tuple[Any, Any]:
        from labelnext import datasets

        dataset = getattr(datasets, loader)()
        low, high = dataset.X.min(axis=0), dataset.X.max(axis=0)
        # Each column from 0 to 1. No label has a part in it.
        return (dataset.X - low) / np.where(high > low, high - low, 1), dataset.y

    return load


def _fashion() -> tuple[Any, Any]:
    from labelnext.datasets import load_fashion_mnist

    dataset = load_fashion_mnist()
    return dataset.X.reshape(len(dataset.X), -1) / np.float32(255), dataset.y


def _newsgroups() -> tuple[Any, Any]:
    from sklearn.feature_extraction.text import TfidfVectorizer

    from labelnext.datasets import load_20newsgroups

    posts = load_20newsgroups()
    words = TfidfVectorizer(
        max_features=10_000, sublinear_tf=True, stop_words="english", dtype=np.float32
    )
    return words.fit_transform(posts.X), posts.y


def load_file(file: str) -> tuple[Any, Any]:
    """Load samples ``X`` and labels ``y`` from an .npz file."""
    path = Path(file)
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
            return arrays["X"], arrays["y"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{file}: expected an .npz file with the arrays X and y, as numpy.savez(file, X=X, "
            f"y=y) writes it: {error}."
        ) from error


DATA: dict[str, Callable[..., tuple[Any, Any]]] = {
    "digits": _digits,
    "letter": _table("load_letter"),
    "satellite": _table("load_satellite"),
    "shuttle": _table("load_shuttle"),
    "fashion-mnist": _fashion,
    "newsgroups": _newsgroups,
    "file": load_file,
}
