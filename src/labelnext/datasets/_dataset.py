"""What every loader hands back, and the ways to it: installed, in the data home, or online."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """A data set in memory, and where it came from.

    Parameters
    ----------
    X : ndarray
        The samples, one a row: numbers of shape (n_samples, n_features), or texts of shape
        (n_samples,) and dtype object.
    y : ndarray of shape (n_samples,), int64
        The class of each sample, as a place in `target_names`.
    name : str
        What the set is called.
    source : str
        The file or the service that it was read from.
    target_names : tuple of str
        The names of the classes.

    Examples
    --------
    >>> import numpy as np
    >>> from labelnext.datasets import Dataset
    >>> Dataset(np.zeros((3, 2)), np.array([0, 1, 1]), "Toy", "memory", ("no", "yes"))
    Dataset 'Toy': 3 samples of 2 features, 2 classes, from memory
    """

    X: NDArray[Any]
    y: NDArray[np.int64]
    name: str
    source: str
    target_names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.y)

    def __repr__(self) -> str:
        kind = f"{self.X.shape[1]} features" if self.X.ndim == 2 else "text"
        return (
            f"Dataset {self.name!r}: {len(self)} samples of {kind}, "
            f"{len(self.target_names)} classes, from {self.source}"
        )


class DatasetNotFoundError(FileNotFoundError):
    """A data set is neither installed nor to be downloaded; the message says how to get it.

    Examples
    --------
    >>> from labelnext.datasets import DatasetNotFoundError
    >>> issubclass(DatasetNotFoundError, FileNotFoundError)
    True
    """


@dataclass(frozen=True)
class Way:
    """One way to a data set: `load` returns None where there is nothing to load."""

    load: Callable[[], Dataset | None]
    advice: str


def first_found(name: str, ways: Sequence[Way]) -> Dataset:
    """Return the set by the first way that has it, or say all the ways to get it."""
    reasons = []
    for way in ways:
        try:
            # What a way that leads nowhere warns of is told below.
            with warnings.catch_warnings(action="ignore"):
                dataset = way.load()
        except ValueError:
            raise  # a file that is there and damaged; the message says so
        except Exception as error:  # no network, no package, a service that answers otherwise
            reasons.append(f"{way.advice} (tried: {error or type(error).__name__})")
        else:
            if dataset is not None:
                return dataset
            reasons.append(way.advice)
    lines = "".join(f"\n  - {reason}" for reason in reasons)
    raise DatasetNotFoundError(f"{name} was not found. Any of these ways gets it:{lines}")


def resolve_home(folder: str | Path | None) -> Path:
    """Return scikit-learn's data home, or the folder given instead of it, without making it."""
    chosen = folder or os.environ.get("SCIKIT_LEARN_DATA") or Path("~") / "scikit_learn_data"
    return Path(chosen).expanduser()


def openml_way(name: str, data_id: int, home: str | Path | None, *, download: bool) -> Way:
    """The way through OpenML: what an earlier download left, or a new one if that's allowed."""

    def load() -> Dataset | None:
        # scikit-learn caches the service's answers under its data home, by their address.
        cached = any((resolve_home(home) / "openml").glob(f"**/data/{data_id}.gz"))
        if not (cached or download):
            return None
        from sklearn.datasets import fetch_openml

        options: dict[str, Any] = {"as_frame": False, "parser": "liac-arff", "n_retries": 1}
        bunch = fetch_openml(data_id=data_id, data_home=home, **options)
        names, y = np.unique(bunch.target.astype(str), return_inverse=True)
        source = f"OpenML, data set {data_id}"
        return Dataset(
            np.asarray(bunch.data), y.astype(np.int64), name, source, tuple(names.tolist())
        )

    return Way(
        load,
        "go online once: scikit-learn then fetches it from OpenML "
        f"(sklearn.datasets.fetch_openml(data_id={data_id}))"
        + ("" if download else ", which download=False forbids"),
    )
