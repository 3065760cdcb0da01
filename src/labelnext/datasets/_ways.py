"""Finding a data set: an installed copy, then scikit-learn's data home, then a download."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from labelnext.datasets._dataset import Dataset


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
            dataset = way.load()
        # Offline is what no network looks like: the next way, or the message below.
        except (OSError, ImportError) as error:
            reasons.append(f"{way.advice} (tried: {error})")
        else:
            if dataset is not None:
                return dataset
            reasons.append(way.advice)
    lines = "".join(f"\n  - {reason}" for reason in reasons)
    raise DatasetNotFoundError(f"{name} was not found. Any of these ways gets it:{lines}")


def resolve_home(folder: str | Path | None) -> Path:
    """Return scikit-learn's data home, or the folder given instead of it, without making it."""
    import os

    chosen = folder or os.environ.get("SCIKIT_LEARN_DATA") or Path("~") / "scikit_learn_data"
    return Path(chosen).expanduser()
