"""Letter, Satellite and Shuttle: three tables of the UCI repository, as R's mlbench holds them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from labelnext.datasets._dataset import Dataset, Way, first_found, openml_way, resolve_home
from labelnext.utils.libraries import require

# Where Debian and R itself keep packages.
LIBRARIES = (
    Path("/usr/lib/R/site-library"),
    Path("/usr/local/lib/R/site-library"),
    Path("/usr/lib/R/library"),
)


def load_letter(*, data_home: str | Path | None = None, download: bool = True) -> Dataset:
    """Load Letter: printed capital letters by 16 numbers each, in 26 classes.

    An installed copy comes first: that of R's package mlbench (Debian: r-cran-mlbench), read by
    the Python package rdata (``pip install labelnext[datasets]``), also from the folder mlbench
    of scikit-learn's data home; then OpenML [1]_.

    Parameters
    ----------
    data_home : str or Path, default=None
        Where to look instead of scikit-learn's data home.
    download : bool, default=True
        Whether OpenML may be asked.

    Returns
    -------
    Dataset
        20,000 samples of 16 features.

    Raises
    ------
    DatasetNotFoundError
        If it is nowhere; the message lists the ways to get it.

    References
    ----------
    .. [1] P. W. Frey and D. J. Slate, "Letter recognition using Holland-style adaptive
       classifiers", Machine Learning 6, 1991.

    Examples
    --------
    >>> from labelnext.datasets import load_letter
    >>> load_letter()  # doctest: +SKIP
    Dataset 'Letter': 20000 samples of 16 features, 26 classes, from ...
    """
    return _load("Letter", "LetterRecognition", "lettr", 6, data_home, download)


def load_satellite(*, data_home: str | Path | None = None, download: bool = True) -> Dataset:
    """Load Satellite: 3 × 3 neighbourhoods of Landsat pixels by 36 numbers, in 6 classes.

    Parameters
    ----------
    data_home, download : str or Path, and bool
        As in `load_letter`, which says where it is looked for.

    Returns
    -------
    Dataset
        6,435 samples of 36 features (6,430 from OpenML).
    """
    return _load("Satellite", "Satellite", "classes", 182, data_home, download)


def load_shuttle(*, data_home: str | Path | None = None, download: bool = True) -> Dataset:
    """Load Shuttle: readings of a space shuttle by 9 numbers, in 7 classes, most of one.

    Parameters
    ----------
    data_home, download : str or Path, and bool
        As in `load_letter`, which says where it is looked for.

    Returns
    -------
    Dataset
        58,000 samples of 9 features.
    """
    return _load("Shuttle", "Shuttle", "Class", 40_685, data_home, download)


def _load(
    name: str, table: str, target: str, data_id: int, home: str | Path | None, download: bool
) -> Dataset:
    in_home = resolve_home(home) / "mlbench"
    folders = [*(library / "mlbench" / "data" for library in _libraries()), in_home]

    def load() -> Dataset | None:
        for folder in folders:
            path = folder / f"{table}.rda"
            if path.is_file():
                return _read_rda(path, name, table, target)
        return None

    advice = (
        f"apt install r-cran-mlbench (or put its {table}.rda in {in_home}) and "
        'pip install "labelnext[datasets]"'
    )
    ways = [Way(load, advice), openml_way(name, data_id, home, download=download)]
    return first_found(name, ways)


def _libraries() -> Iterator[Path]:
    # R's own settings for where packages are, then the usual places.
    for variable in ("R_LIBS", "R_LIBS_USER", "R_LIBS_SITE"):
        for folder in filter(None, os.environ.get(variable, "").split(os.pathsep)):
            yield Path(folder).expanduser()
    yield from LIBRARIES


def _read_rda(path: Path, name: str, table: str, target: str) -> Dataset:
    """Read a data frame's numbers, its target's codes and its target's levels."""
    rdata = require("rdata", extra="datasets", what=str(path))
    try:
        frame: Any = rdata.read_rda(path, default_encoding="utf-8").get(table)
        if frame is None or target not in frame:
            raise ValueError(f"it has no table {table} with a column {target!r}")
        # A factor becomes a categorical: R's codes and the names of its levels.
        classes = frame[target].cat
        X = frame.drop(columns=target).to_numpy(dtype=np.float64)
    except Exception as error:  # a damaged file raises errors of many kinds
        raise ValueError(
            f"{path} should hold a table {table} with a column {target!r}, but cannot be read "
            f"({error}); install or copy it again."
        ) from error
    y, names = classes.codes.to_numpy(dtype=np.int64), tuple(map(str, classes.categories))
    return Dataset(X, y, name, str(path), names)
