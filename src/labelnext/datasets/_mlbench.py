"""Letter, Satellite and Shuttle: three tables of the UCI repository, as R's mlbench holds them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from labelnext.datasets._dataset import Dataset
from labelnext.datasets._openml import openml_way
from labelnext.datasets._rda import read_rda
from labelnext.datasets._ways import Way, first_found, resolve_home

if TYPE_CHECKING:
    from collections.abc import Iterator

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

    See Also
    --------
    load_satellite, load_shuttle : Two more tables, found in the same places.

    References
    ----------
    .. [1] P. W. Frey and D. J. Slate, "Letter recognition using Holland-style adaptive
       classifiers", Machine Learning 6, 1991.

    Examples
    --------
    .. code-block:: python

        letters = load_letter()
        letters.X.shape  # (20000, 16)
    """
    return _load("Letter", "LetterRecognition", "lettr", 6, home=data_home, download=download)


def load_satellite(*, data_home: str | Path | None = None, download: bool = True) -> Dataset:
    """Load Satellite: 3 × 3 neighbourhoods of Landsat pixels by 36 numbers, in 6 classes.

    Found in the places that `load_letter` tells.

    Parameters
    ----------
    data_home : str or Path, default=None
        Where to look instead of scikit-learn's data home.
    download : bool, default=True
        Whether OpenML may be asked.

    Returns
    -------
    Dataset
        6,435 samples of 36 features (6,430 from OpenML).

    Raises
    ------
    DatasetNotFoundError
        If it is nowhere; the message lists the ways to get it.

    See Also
    --------
    load_letter, load_shuttle : Two more tables, found in the same places.

    Examples
    --------
    .. code-block:: python

        pixels = load_satellite()
        pixels.X.shape  # (6435, 36)
    """
    return _load("Satellite", "Satellite", "classes", 182, home=data_home, download=download)


def load_shuttle(*, data_home: str | Path | None = None, download: bool = True) -> Dataset:
    """Load Shuttle: readings of a space shuttle by 9 numbers, in 7 classes, most of one.

    Found in the places that `load_letter` tells.

    Parameters
    ----------
    data_home : str or Path, default=None
        Where to look instead of scikit-learn's data home.
    download : bool, default=True
        Whether OpenML may be asked.

    Returns
    -------
    Dataset
        58,000 samples of 9 features.

    Raises
    ------
    DatasetNotFoundError
        If it is nowhere; the message lists the ways to get it.

    See Also
    --------
    load_letter, load_satellite : Two more tables, found in the same places.

    Examples
    --------
    .. code-block:: python

        readings = load_shuttle()
        readings.X.shape  # (58000, 9)
    """
    return _load("Shuttle", "Shuttle", "Class", 40_685, home=data_home, download=download)


def _load(
    name: str,
    table: str,
    target: str,
    data_id: int,
    *,
    home: str | Path | None,
    download: bool,
) -> Dataset:
    in_home = resolve_home(home) / "mlbench"
    folders = [*(library / "mlbench" / "data" for library in _libraries()), in_home]

    def load() -> Dataset | None:
        for folder in folders:
            path = folder / f"{table}.rda"
            if path.is_file():
                X, y, target_names = read_rda(path, table, target)
                return Dataset(X, y, name, str(path), target_names)
        return None

    installed = Way(
        load,
        "apt install r-cran-mlbench (or put its "
        f"{table}.rda in {in_home}) and pip install labelnext[datasets]",
    )
    return first_found(name, [installed, openml_way(name, data_id, home, download=download)])


def _libraries() -> Iterator[Path]:
    # R's own settings for where packages are, then the usual places.
    for variable in ("R_LIBS", "R_LIBS_USER", "R_LIBS_SITE"):
        for folder in filter(None, os.environ.get(variable, "").split(os.pathsep)):
            yield Path(folder).expanduser()
    yield from LIBRARIES
