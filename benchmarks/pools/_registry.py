"""Pools by name, and their files."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

from benchmarks.pools import _real, _synthetic

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

FOLDER = Path(".benchmarks") / "pools"

# A maker writes proba.npy and features.npy (or features.npz if sparse) to a folder and returns
# what is worth knowing of the pool.
POOLS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "fashion-200": lambda folder: _real.fashion_mnist(folder, 200),
    "fashion-2000": lambda folder: _real.fashion_mnist(folder, 2_000),
    "fashion-20000": lambda folder: _real.fashion_mnist(folder, 20_000),
    "newsgroups-signed": _real.newsgroups_signed,
    "newsgroups-tfidf": _real.newsgroups_tfidf,
    "letter": _real.letter,
    # As sure as a network that names three of four held-out pictures right.
    "imagenet-shape": lambda folder: _synthetic.write(
        folder, 1_281_167, 512, 1_000, confidence=0.80
    ),
    "tiny": _real.notebook,
}


@dataclass(frozen=True)
class Pool:
    """Probabilities and features of a pool, in memory, and what is known of it."""

    name: str
    proba: NDArray[Any]
    features: Any
    about: dict[str, Any]

    def __len__(self) -> int:
        return len(self.proba)

    @property
    def nbytes(self) -> int:
        """Bytes of both factors."""
        if sp.issparse(self.features):
            features = sum(
                part.nbytes
                for part in (self.features.data, self.features.indices, self.features.indptr)
            )
        else:
            features = self.features.nbytes
        return int(self.proba.nbytes + features)


def synthetic_name(n: int, n_features: int, n_classes: int) -> str:
    """Return the name of a synthetic pool, by which `make_pool` knows how to make it."""
    return f"synthetic-{n}x{n_features}x{n_classes}"


def make_pool(name: str) -> Path:
    """Make a pool unless its files are there, and return their folder."""
    folder = FOLDER / name
    if (folder / "about.json").is_file():
        return folder
    if name in POOLS:
        maker = POOLS[name]
    elif name.startswith("synthetic-"):
        shape = map(int, name.removeprefix("synthetic-").split("x"))
        n, n_features, n_classes = shape
        maker = lambda folder: _synthetic.write(folder, n, n_features, n_classes)  # noqa: E731
    else:
        raise ValueError(f"No pool is called {name!r}; there are {', '.join(POOLS)}.")
    unfinished = folder.with_name(folder.name + ".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    about = maker(unfinished)
    (unfinished / "about.json").write_text(json.dumps(about, indent=1))
    unfinished.rename(folder)
    return folder


def load_pool(name: str) -> Pool:
    """Load a pool into memory, making it first if need be."""
    folder = make_pool(name)
    sparse = folder / "features.npz"
    return Pool(
        name=name,
        proba=np.load(folder / "proba.npy"),
        features=sp.load_npz(sparse) if sparse.is_file() else np.load(folder / "features.npy"),
        about=json.loads((folder / "about.json").read_text()),
    )
