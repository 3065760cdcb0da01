"""Pools to test with: the ways to store one, and tiny ones whose law can be enumerated.

A new place for pools to live is tested by adding one line to `STORAGES`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import cycle, pairwise
from typing import TYPE_CHECKING
from unittest import mock

import numpy as np
import pytest
import scipy.sparse as sp

import oracle
from labelnext.engine import _open, as_gradients, memory_limit, open_gradients
from labelnext.engine._plain import PlainGradients
from labelnext.engine._rows import ArrayRows, FactorsInFiles, FileRows
from labelnext.pools import ArraySource, Pool, Source, open_source
from labelnext.sampling import d2_sample
from labelnext.utils.random import as_generator

if TYPE_CHECKING:
    from collections.abc import Callable


class InFiles(ArraySource):
    """Arrays that are read as files are."""

    in_memory = False


def opened(path=None, *, memory_limit=None, **given):
    """The gradients of a pool in files, or of a source; what is said of the pool wins."""
    names = ("proba", "features")
    source = path if isinstance(path, Source) else None
    source = source or open_source(path, **{name: given.pop(name, None) for name in names})
    return open_gradients(Pool.of(source, **given), memory_limit=memory_limit)


def choose(gradients, k, *, random_state=None, exclude=(), **options):
    """What `labelnext.select` chooses of a pool with these gradients."""
    exclude = np.asarray(exclude, dtype=np.int64)
    rng = as_generator(random_state, gradients.n_rows - len(exclude))
    return d2_sample(gradients, k, exclude=exclude, random_state=rng, **options)


def plainly(proba, features, *, bias=False, task="multiclass"):
    """What `as_gradients` makes where nothing is compiled."""
    nothing = ImportError("left out by a test")
    with mock.patch.object(_open, "compiled_pass", return_value=nothing):
        return as_gradients(proba, features, bias=bias, task=task)


def _dense(order):
    def store(proba, features, bias, folder, task):
        arrays = (np.array(x, order=order) for x in (proba, features))
        return plainly(*arrays, bias=bias, task=task)

    return store


def _memmap(proba, features, bias, folder, task):
    np.save(folder / "proba.npy", proba)
    np.save(folder / "features.npy", features)
    return plainly(
        np.load(folder / "proba.npy", mmap_mode="r"),
        np.load(folder / "features.npy", mmap_mode="r"),
        bias=bias,
        task=task,
    )


def _strided(proba, features, bias, folder, task):
    proba, features = np.repeat(proba, 2, axis=0)[::2], np.repeat(features, 3, 1)[:, ::3]
    return plainly(proba, features, bias=bias, task=task)


def _csr(proba, features, bias, folder, task):
    return plainly(proba, sp.csr_array(features), bias=bias, task=task)


def _csc(proba, features, bias, folder, task):
    return plainly(proba, sp.csc_matrix(features), bias=bias, task=task)


def _torch(dtype):
    """Tensors of the CPU, as a pool of tensors on any device."""

    def store(proba, features, bias, folder, task):
        if task == "vectors":
            proba = np.zeros((len(features), 1))
        return _as_tensors(proba, features, bias=bias, task=task, dtype=dtype)

    return store


def plain(proba, features, *, bias=False, task="multiclass", stored_as=None):
    """The plain pass over arrays of any size."""
    return PlainGradients(ArrayRows(proba, features, stored_as=stored_as), bias=bias, task=task)


def compiled_kind():
    """The compiled pass. Where there is no compiler the test that asks for it is left out."""
    import labelnext.engine._kernels  # noqa: F401
    from labelnext.engine._pruned import PrunedGradients

    return PrunedGradients


def pruned(proba, features, *, bias=False, task="multiclass"):
    """The compiled pass over arrays of any size."""
    return compiled_kind()(ArrayRows(proba, features), bias=bias, task=task)


def _compiled(store):
    """The compiled pass over what another way to store holds."""

    def store_pruned(proba, features, bias, folder, task):
        pool = store(proba, features, bias, folder, task)
        return pruned(pool.proba, pool.features, bias=bias, task=task)

    return store_pruned


def cut(pool, places, kinds):
    """A pool of arrays in parts that begin at some places, each of the kind whose turn it is."""
    from labelnext.engine import ShardedGradients

    ends = [0, *(place for place in places if place < pool.n_rows), pool.n_rows]
    cuts = pairwise(ends)
    return ShardedGradients(
        [
            kind(pool.proba[lo:hi], pool.features[lo:hi], bias=pool.bias, task=pool.task)
            for (lo, hi), kind in zip(cuts, cycle(kinds), strict=False)
        ]
    )


# Where parts begin: one row alone, and parts of very different sizes.
CUTS = (1, 5, 33)


def _shards(store, *kinds):
    """Parts of unequal sizes of what another way to store holds: plain, pruned and tensors."""

    def store_in_shards(proba, features, bias, folder, task):
        types = {"plain": plain, "pruned": pruned, "torch": _as_tensors}
        return cut(store(proba, features, bias, folder, task), CUTS, [types[k] for k in kinds])

    return store_in_shards


def _as_tensors(proba, features, *, bias, task, dtype=None):
    import torch

    from labelnext.engine._torch import TorchGradients

    to = None if dtype is None else getattr(torch, dtype)
    tensors = (torch.tensor(x).to(dtype=to) for x in (proba, features))
    return TorchGradients(*tensors, bias=bias, task=task)


def on_disk(source, *, bias=False, task="multiclass", pruned=False, stretch=2000, kept=0):
    """A pool that reads its source in stretches of so many bytes, and keeps a few of them."""
    kind = compiled_kind() if pruned else PlainGradients
    files = FactorsInFiles(source, task)
    state = kind.state_bytes(files.n_columns, task)
    small = {"STRETCH": stretch, "LEAST_STRETCH": stretch, "GAP": stretch // 4}
    with mock.patch.multiple(memory_limit, **small):
        rows = FileRows(files, memory_limit.least_limit(files, state) + kept, state)
    return kind(rows, bias=bias, task=task)


def _disk(*, pruned, shards=True):
    """Shards of a pool folder that are cut unevenly, or two .npy files of which a part is kept."""

    def store(proba, features, bias, folder, task):
        from labelnext.pools import PoolWriter

        n = len(proba)
        if shards:
            writer = PoolWriter(folder / "pool", task=task, bias=bias)
            cuts = sorted({0, *(cut for cut in (1, n // 7, n // 3, n - 2) if 0 < cut < n), n})
            for number, (lo, hi) in enumerate(pairwise(cuts)):
                writer.write(number, proba[lo:hi], features[lo:hi])
            writer.finish()
            source, kept = open_source(folder / "pool"), 0
        else:
            paths = {"proba": folder / "p.npy", "features": folder / "h.npy"}
            for path, array in zip(paths.values(), (proba, features), strict=True):
                np.save(path, array)
            source = open_source(**paths)
            kept = n * source.row_bytes // 2
        return on_disk(source, bias=bias, task=task, pruned=pruned, kept=kept)

    return store


@dataclass(frozen=True)
class Storage:
    """A place for a pool to live, and what its probabilities are of.

    ``store(proba, features, bias, folder, task)`` makes the pool.
    """

    name: str
    dtype: type
    store: Callable
    task: str = "multiclass"

    def __str__(self):
        return self.name if self.task == "multiclass" else f"{self.name}-{self.task}"

    def of(self, proba):
        """Probabilities of the storage's task, made from those of classes."""
        return proba[:, :1] if self.task == "binary" else proba

    def make(self, proba, features, folder, *, bias=False):
        """The pool, and its factors as float64 after rounding to the storage's dtype."""
        proba, features = (np.asarray(x).astype(self.dtype) for x in (self.of(proba), features))
        pool = self.store(proba, features, bias, folder, self.task)
        return pool, proba.astype(np.float64), features.astype(np.float64)

    def gradients(self, proba, features, *, bias=False):
        """The oracle's gradients of what `make` has made."""
        return oracle.gradients(proba, features, bias=bias, task=self.task)


MULTICLASS = [
    Storage("float64-C", np.float64, _dense("C")),
    Storage("float64-F", np.float64, _dense("F")),
    Storage("float32-C", np.float32, _dense("C")),
    Storage("float32-F", np.float32, _dense("F")),
    Storage("float16-C", np.float16, _dense("C")),
    Storage("float32-strided", np.float32, _strided),
    Storage("float32-memmap", np.float32, _memmap),
    Storage("float64-csr", np.float64, _csr),
    Storage("float32-csr", np.float32, _csr),
    Storage("float32-csc", np.float32, _csc),
    Storage("float64-pruned", np.float64, _compiled(_dense("C"))),
    Storage("float32-pruned", np.float32, _compiled(_dense("C"))),
    Storage("float32-strided-pruned", np.float32, _compiled(_strided)),
    Storage("float16-pruned", np.float16, _compiled(_dense("C"))),
    Storage("float32-memmap-pruned", np.float32, _compiled(_memmap)),
    Storage("float64-csr-pruned", np.float64, _compiled(_csr)),
    Storage("float64-disk", np.float64, _disk(pruned=False)),
    Storage("float32-disk", np.float32, _disk(pruned=False)),
    Storage("float16-disk", np.float16, _disk(pruned=False, shards=False)),
    Storage("float64-disk-pruned", np.float64, _disk(pruned=True)),
    Storage("float32-disk-pruned", np.float32, _disk(pruned=True, shards=False)),
    Storage("float16-disk-pruned", np.float16, _disk(pruned=True)),
    Storage("float64-torch", np.float64, _torch("float64")),
    Storage("float32-torch", np.float32, _torch("float32")),
    Storage("float16-torch", np.float16, _torch("float16")),
    Storage("float64-shards", np.float64, _shards(_dense("C"), "plain")),
    Storage("float16-shards", np.float16, _shards(_dense("C"), "plain", "pruned")),
    Storage("float32-memmap-shards", np.float32, _shards(_memmap, "pruned")),
    Storage("float64-csr-shards", np.float64, _shards(_csr, "pruned", "plain")),
    Storage("float32-torch-shards", np.float32, _shards(_dense("C"), "plain", "torch", "pruned")),
]
# Rounded labels live where residuals are not taken apart, so not in a pruned pool. One of each
# kind of array: orders and dtypes are read alike for all tasks.
KINDS = (
    "float64-C",
    "float16-C",
    "float32-strided",
    "float32-memmap",
    "float32-csr",
    "float32-torch",
    "float64-shards",
    "float32-disk",
)
# Where the features are the gradients a pass is that of one class.
VECTOR_KINDS = (*KINDS, "float32-pruned", "float16-disk-pruned")
STORAGES = MULTICLASS + [
    replace(storage, task=task)
    for storage in MULTICLASS
    for task in ("multilabel", "binary", "vectors")
    if storage.name in (VECTOR_KINDS if task == "vectors" else KINDS)
]
# One of each place, order and pass, in any dtype: what goes wrong with the others goes wrong there
# or in how a dtype is read, of which one of each is here, too. The others are slow tests.
QUICK = {
    *("float64-C", "float32-F", "float16-C", "float32-strided", "float32-memmap", "float32-csr"),
    *("float64-pruned", "float32-pruned", "float16-pruned", "float64-csr-pruned"),
    *("float64-disk", "float32-disk-pruned", "float16-disk-pruned"),
    *("float32-torch", "float16-torch", "float16-shards", "float32-torch-shards"),
}
QUICK_OF_TASKS = {"float64-C", "float32-csr", "float32-torch", "float32-disk", "float32-pruned"}


def is_slow(storage):
    """Whether tests on a storage are left to `make test-all`."""
    return storage.name not in (QUICK if storage.task == "multiclass" else QUICK_OF_TASKS)


# For tests that cost much on each storage, as that of the law: that a storage picks what the plain
# pool picks, seed by seed, is tested with all of them.
FEW = [
    s
    if str(s) in {"float64-C", "float16-disk-pruned", "float32-csr-binary"}
    else pytest.param(s, marks=pytest.mark.slow)
    for s in STORAGES
]


@dataclass(frozen=True)
class Tiny:
    """A pool whose numbers every storage holds exactly, with a batch size to enumerate."""

    name: str
    proba: np.ndarray
    features: np.ndarray
    k: int
    exclude: tuple = ()
    bias: bool = False
    task: str = "multiclass"
    squared_norms: np.ndarray = field(init=False)
    d2: np.ndarray = field(init=False)

    def __post_init__(self):
        g = oracle.gradients(self.proba, self.features, bias=self.bias, task=self.task)
        object.__setattr__(self, "squared_norms", (g**2).sum(axis=1))
        object.__setattr__(self, "d2", oracle.squared_distances(g))

    def __str__(self):
        return self.name

    def gradients(self):
        return as_gradients(self.proba, self.features, bias=self.bias, task=self.task)

    def batches(self, k=None):
        return oracle.enumerate_batches(self.squared_norms, self.d2, k or self.k, self.exclude)


def _tiny():
    # Eighths and small whole numbers: exact in float16, so the law is one for all storages.
    p = np.array(
        [[4, 3, 1], [1, 5, 2], [3, 3, 2], [2, 2, 4], [6, 1, 1], [1, 3, 4], [3, 4, 1], [2, 5, 1]]
    )
    p = p / 8
    h = np.array([[3, 1], [-2, 2], [1, -3], [2, 2], [4, -1], [-1, -3], [0, 2], [-3, 0]], float)
    sure = np.array([[1.0, 0, 0], [0, 1, 0], [0, 0, 1]])
    repeat = np.array([0, 1, 0, 2, 1, 0, 3])
    # Three tight groups, a long way from one another: after one of a group is picked the others
    # are nearly worthless, so that a sampler that forgets this is soon found out.
    groups = np.array([[8, 0], [8, 1], [-8, 0], [-8, 1], [0, 8], [1, 8], [0, -8], [1, -8]], float)
    even = np.full((8, 2), 0.5)
    rounded = np.array(
        [[4, 0, 1], [1, 2, 3], [7, 6, 8], [5, 1, 5], [0, 0, 0], [3, 8, 2], [6, 3, 4.0]]
    )
    rounded = rounded / 8
    return [
        Tiny("generic", p[:7], h[:7], 4),
        Tiny("generic, k = 5", p[:6], h[:6], 5),
        Tiny("groups", even, groups, 4),
        Tiny("bias", p[:6], h[:6], 4, bias=True),
        Tiny("duplicates", p[repeat], h[repeat], 4),
        Tiny("zero gradients", np.vstack([p[:4], sure]), h[:7], 4),
        Tiny(
            "duplicates and zero gradients",
            np.vstack([p[[0, 1, 0, 1]], sure]),
            np.vstack([h[[0, 1, 0, 1]], h[:3]]),
            4,
        ),
        Tiny("one gradient and zeros", np.vstack([p[:1], sure, sure]), h[:7], 3),
        Tiny("n = k", p[:5], h[:5], 5),
        Tiny("fewer points than k", p[[0, 0, 1, 1, 0, 1]], h[[0, 0, 1, 1, 0, 1]], 4),
        Tiny("all gradients zero", sure[[0, 1, 2, 0, 1]], h[:5], 3),
        Tiny("one point", p[[1] * 5], h[[1] * 5], 3),
        Tiny("first pick tied", even[:6], np.array([[1], [4], [-4], [4], [2], [-1.0]]), 3),
        Tiny("exclusions", p, h, 4, exclude=(0, 4)),
        Tiny("exclusions of all but zeros", np.vstack([p[:2], sure]), h[:5], 2, exclude=(0, 1)),
        # Rows with no label, with one and with several; one of a half to the last bit.
        Tiny("labels", rounded[:7], h[:7], 4, task="multilabel"),
        Tiny("labels and a bias", rounded[:6], h[:6], 4, bias=True, task="multilabel"),
        Tiny("one logit", rounded[:7, :1], h[:7], 4, task="binary"),
        Tiny("sure of one logit", np.eye(8)[:7, :1], h[:7], 3, task="binary"),
        # Of a vector the opposite is as long.
        Tiny("vectors", p[:7], np.vstack([h[:5], -h[:1], 0 * h[:1]]), 4, task="vectors"),
    ]


TINY = _tiny()


def confident(n, n_classes=4, n_features=8, seed=0, *, signed=True):
    """A pool such as a trained network makes: mostly confident, features around class means."""
    rng = np.random.default_rng(seed)
    means = rng.normal(size=(n_classes, n_features))
    labels = rng.integers(n_classes, size=n)
    features = 2 * means[labels] + rng.normal(size=(n, n_features))
    if not signed:
        features = np.maximum(features, 0)
    logits = features @ means.T * rng.uniform(0.05, 1.0, size=(n, 1))
    proba = np.exp(logits - logits.max(axis=1, keepdims=True))
    return proba / proba.sum(axis=1, keepdims=True), features


def hostile(seed=0):
    """Duplicates, zero gradients, near-duplicates and norms of many sizes, side by side."""
    rng = np.random.default_rng(seed)
    proba, features = confident(60, seed=seed)
    proba[10:14] = proba[0]
    features[10:14] = features[0]
    proba[20:23] = np.eye(4)[[0, 1, 1]]
    features[30:32] = 0.0
    proba[40:44], features[40:44] = proba[1], features[1] * (1 + 1e-9 * rng.normal(size=(4, 8)))
    features[50:55] *= 10.0 ** np.arange(-8, 2, 2)[:, None]
    return proba, features
