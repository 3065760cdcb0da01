"""Fashion-MNIST: 70,000 pictures of clothes."""

from __future__ import annotations

import gzip
import math
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from labelnext.datasets._dataset import Dataset, Way, first_found, openml_way, resolve_home

DEBIAN = Path("/usr/share/datasets/fashion-mnist")
N_TRAIN = 60_000
NAMES = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)
BYTES = b"\0\0\x08"  # so begins an IDX file of an array of bytes


def load_fashion_mnist(
    subset: Literal["train", "test", "all"] = "train",
    *,
    data_home: str | Path | None = None,
    download: bool = True,
) -> Dataset:
    """Load Fashion-MNIST: 28 × 28 pictures of clothes in 10 classes.

    An installed copy comes first (Debian's package dataset-fashion-mnist), then the files of
    its authors in the folder fashion-mnist of scikit-learn's data home, then OpenML [1]_.

    Parameters
    ----------
    subset : {"train", "test", "all"}, default="train"
        The first 60,000 pictures, the other 10,000, or both in this order.
    data_home : str or Path, default=None
        Where to look instead of scikit-learn's data home.
    download : bool, default=True
        Whether OpenML may be asked.

    Returns
    -------
    Dataset
        X has shape (n_samples, 784) and dtype uint8, from 0 to 255.

    Raises
    ------
    DatasetNotFoundError
        If it is nowhere; the message lists the ways to get it.
    ValueError
        If `subset` is none of the three, or a file is not whole.

    References
    ----------
    .. [1] H. Xiao, K. Rasul and R. Vollgraf, "Fashion-MNIST: a novel image dataset for
       benchmarking machine learning algorithms", arXiv:1708.07747, 2017.

    Examples
    --------
    >>> from labelnext.datasets import load_fashion_mnist
    >>> load_fashion_mnist("test").X.shape  # doctest: +SKIP
    (10000, 784)
    """
    if subset not in ("train", "test", "all"):
        raise ValueError(f"subset must be 'train', 'test' or 'all', got {subset!r}.")
    in_home = resolve_home(data_home) / "fashion-mnist"
    dataset = first_found(
        "Fashion-MNIST",
        [
            Way(lambda: _read(DEBIAN), "on Debian and Ubuntu: apt install dataset-fashion-mnist"),
            Way(
                lambda: _read(in_home),
                "put the four *-ubyte.gz files of github.com/zalandoresearch/fashion-mnist in "
                f"{in_home}",
            ),
            openml_way("Fashion-MNIST", 40_996, data_home, download=download),
        ],
    )
    rows = {"train": slice(N_TRAIN), "test": slice(N_TRAIN, None), "all": slice(None)}[subset]
    return replace(
        dataset, X=dataset.X[rows].astype(np.uint8), y=dataset.y[rows], target_names=NAMES
    )


def _read(folder: Path) -> Dataset | None:
    paths = [
        folder / f"{part}-{kind}-ubyte.gz"
        for kind in ("images-idx3", "labels-idx1")
        for part in ("train", "t10k")
    ]
    if not all(path.is_file() for path in paths):
        return None
    train, test, y_train, y_test = map(read_idx, paths)
    X = np.concatenate([train, test]).reshape(len(train) + len(test), -1)
    y = np.concatenate([y_train, y_test]).astype(np.int64)
    return Dataset(X, y, "Fashion-MNIST", str(folder), NAMES)


def read_idx(path: Path) -> NDArray[np.uint8]:
    """Read an array of bytes from a gzipped IDX file, or raise ValueError."""
    try:
        content = gzip.decompress(path.read_bytes())
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(f"{path} is not a whole gzip file ({error}); get it again.") from error
    if len(content) < 4 or not content.startswith(BYTES):
        raise ValueError(f"{path} does not start like an IDX file of bytes; get it again.")
    start = 4 + 4 * content[3]  # the number of dimensions
    shape = np.frombuffer(content[4:start], dtype=">u4").tolist()
    expected = start + math.prod(shape)
    if len(shape) != content[3] or len(content) != expected:
        raise ValueError(
            f"{path} should hold {expected} bytes for an array of shape {tuple(shape)}, got "
            f"{len(content)}; get it again."
        )
    return np.frombuffer(content, dtype=np.uint8, offset=start).reshape(shape)
