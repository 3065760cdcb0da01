"""One seed, one batch: wherever a pool lives, with every option that `select` takes."""

import json
from functools import cache

import numpy as np
import pytest
import scipy.sparse as sp
import torch

import clusters
import labelnext
import pools
from labelnext import Pool, select
from labelnext.cluster import Ray

N, K, SEED = 1200, 330, 5
LABELED = np.arange(3, N, 90)
GROUPS = np.array([f"patient {i}" for i in np.random.default_rng(2).integers(600, size=N)])
# What a pool is told, and what `select` is asked for.
OPTIONS = {
    "nothing": ({}, {}),
    "bias": ({"bias": True}, {}),
    "exclude": ({}, {"exclude": {3, 17, *range(500, 900)}}),
    "labels": ({"labels": True}, {}),
    "groups": ({}, {"groups": GROUPS, "max_per_group": 1}),
    "groups of the pool": ({"groups": GROUPS}, {"max_per_group": 2}),
    "centres": ({"labels": True}, {"condition_on_labeled": True}),
    "checkpoint": ({}, {"checkpoint": "whole"}),
    "interrupted": ({}, {"checkpoint": "interrupted"}),
    "all": (
        {"bias": True, "labels": True, "groups": GROUPS},
        {
            "exclude": range(100, 300),
            "max_per_group": 2,
            "condition_on_labeled": True,
            "checkpoint": "interrupted",
        },
    ),
}
TASKS = ["multiclass", "multilabel", "binary", "regression", "vectors"]


@cache
def numbers(task):
    """Probabilities and features that float32 holds exactly, with zeros among the features."""
    proba, features = (x.astype(np.float32) for x in pools.confident(N, n_classes=3, seed=7))
    features[np.abs(features) < 0.7] = 0
    if task == "multilabel":
        proba = np.random.default_rng(1).random((N, 3)).astype(np.float32)
    if task == "binary":
        proba = proba[:, :1]
    return None if task in ("regression", "vectors") else proba, features


def labels_of(task, n=N, first=0):
    shape = (n, 3) if task == "multilabel" else (n,)
    labels = np.full(shape, np.nan)
    labels[LABELED + first] = 1.0
    return labels


def known(task, told, n=N, first=0):
    """What a pool is told, that of more rows for a pool of which these are a part."""
    told = {"bias": False, "task": task, **told}
    if told.pop("labels", False):
        told["labels"] = labels_of(task, n, first)
    if "groups" in told and n > N:
        told["groups"] = np.concatenate([["other"] * first, GROUPS, ["other"] * (n - N - first)])
    return told


def arrays(dtype, order="C", kind=np.asarray):
    def make(proba, features, folder, task, told):
        made = [
            None if x is None else kind(np.array(x, dtype, order=order)) for x in (proba, features)
        ]
        return Pool(*made, **known(task, told))

    return make


def sparse(proba, features, folder, task, told):
    return Pool(proba, sp.csr_array(features), **known(task, told))


def written(folder, proba, features):
    """Files that say nothing, or something else, of what the caller says."""
    if proba is None:
        np.save(folder / "features.npy", features)
        return labelnext.open_pool(features=folder / "features.npy")
    labelnext.write_pool(folder / "pool", proba, features, rows_per_shard=237, bias=True)
    return labelnext.open_pool(folder / "pool")


def pool_folder(proba, features, folder, task, told):
    return Pool.of(written(folder, proba, features), **known(task, told))


def npy_files(proba, features, folder, task, told):
    parts = {"features": features, "proba": proba}
    for name, values in parts.items():
        if values is not None:
            np.save(folder / f"{name}.npy", values)
    paths = {name: folder / f"{name}.npy" for name, x in parts.items() if x is not None}
    more = known(task, told)
    return labelnext.open_pool(**paths, **more)


def padded(values):
    """The values between others."""
    return None if values is None else np.concatenate([values[:7], values, values[-50:]])


def slice_of_arrays(proba, features, folder, task, told):
    return Pool(padded(proba), padded(features), **known(task, told, N + 57, 7))[7 : N + 7]


def slice_of_files(proba, features, folder, task, told):
    larger = written(folder, padded(proba), padded(features))
    return Pool.of(larger, **known(task, told, N + 57, 7)).part(7, N + 7)


def masked(proba, features, folder, task, told):
    mask = np.zeros(N + 57, dtype=bool)
    mask[7 : N + 7] = True
    return Pool(padded(proba), padded(features), **known(task, told, N + 57, 7))[mask]


def as_on_a_device(proba, features, folder, task, told):
    """Tensors that are worked with as those of a GPU are."""
    from labelnext.engine._torch import TorchGradients

    pool = arrays(np.float32)(proba, features, folder, task, told)
    if proba is None:
        proba = np.zeros((N, 1), dtype=np.float32)
    tensors = torch.tensor(proba), torch.tensor(features)
    gradients = TorchGradients(*tensors, bias=pool.bias, task=task)
    pool.cache["gradients"] = None, gradients
    return pool


STORAGES = {
    "float64": arrays(np.float64),
    "float32": arrays(np.float32),
    "by columns": arrays(np.float32, "F"),
    "tensors": arrays(np.float32, kind=torch.tensor),
    "as on a device": as_on_a_device,
    "sparse": sparse,
    "folder": pool_folder,
    "npy": npy_files,
    "slice": slice_of_arrays,
    "slice of files": slice_of_files,
    "mask": masked,
}


class StoppedError(Exception):
    pass


def choose(pool, asked, folder, **more):
    """Select; if it is to be interrupted, after the first pass, and then go on."""
    asked = {"random_state": SEED, **asked, **more}
    how = asked.pop("checkpoint", None)
    if how is not None:
        asked["checkpoint"] = folder / "selection"
    if how == "interrupted":

        def stop(stats):
            if stats["picks"] > 280:  # some of them after a pass
                raise StoppedError

        with pytest.raises(StoppedError):
            select(pool, K, **asked, progress=stop)
        assert 50 < json.loads(asked["checkpoint"].read_text())["n_full"] < 280
    return select(pool, K, **asked)


@cache
def expected(task, option):
    """The batch of arrays in float64, chosen without a checkpoint."""
    told, asked = OPTIONS[option]
    asked = {name: value for name, value in asked.items() if name != "checkpoint"}
    return choose(arrays(np.float64)(*numbers(task), None, task, told), asked, None)


def same(batch, other):
    np.testing.assert_array_equal(batch.indices, other.indices)
    np.testing.assert_allclose(batch.d2, other.d2, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(batch.potentials, other.potentials, rtol=1e-6, atol=1e-9)
    if other.pseudo_labels is None:
        assert batch.pseudo_labels is None
    else:
        np.testing.assert_array_equal(batch.pseudo_labels, other.pseudo_labels)
    assert (batch.groups is None) == (other.groups is None)
    if batch.groups is not None:
        np.testing.assert_array_equal(batch.groups, other.groups)


# Each option of one task, and of each task none and all of them, find what goes wrong in any.
@pytest.mark.one_of(2, whole=2)
@pytest.mark.parametrize(
    ("option", "task"),
    [
        pytest.param(
            option,
            task,
            marks=[pytest.mark.slow] * (task != "multiclass" and option not in ("nothing", "all")),
        )
        for option in OPTIONS
        for task in TASKS
    ],
)
@pytest.mark.parametrize("storage", STORAGES)
def test_one_batch(storage, option, task, tmp_path):
    told, asked = OPTIONS[option]
    pool = STORAGES[storage](*numbers(task), tmp_path, task, told)
    limit = {} if pool.source.in_memory else {"memory_limit": "60MB"}
    batch = choose(pool, asked, tmp_path, **limit)
    same(batch, expected(task, option))


@pytest.mark.parametrize("task", TASKS)
def test_each_option_makes_a_difference(task):
    batches = {
        option: tuple(expected(task, option).indices)
        for option in OPTIONS
        if option not in ("checkpoint", "interrupted")
    }
    plain = batches.pop("nothing")
    assert plain not in batches.values()
    assert len(set(batches.values())) == len(batches)
    for option in ("labels", "centres", "all"):
        assert not np.isin(expected(task, option).indices, LABELED).any()
    for option, limit in (("groups", 1), ("groups of the pool", 2), ("all", 2)):
        picks = expected(task, option).indices
        assert np.unique(GROUPS[picks], return_counts=True)[1].max() == limit
    assert not np.isin(expected(task, "exclude").indices, [3, 17, *range(500, 900)]).any()


@pytest.fixture(scope="module")
def cluster():
    import ray  # noqa: F401

    with clusters.started():
        yield Ray(num_shards=2, num_cpus=0.1)


@pytest.mark.slow
@pytest.mark.xdist_group("ray")
@pytest.mark.parametrize(
    ("option", "task"),
    [
        *((o, "multiclass") for o in OPTIONS),
        ("all", "multilabel"),
        ("all", "binary"),
        ("all", "vectors"),
    ],
)
@pytest.mark.parametrize("storage", ["float32", "folder"])
def test_one_batch_on_a_cluster(storage, option, task, tmp_path, cluster):
    told, asked = OPTIONS[option]
    pool = STORAGES[storage](*numbers(task), tmp_path, task, told)
    batch = choose(pool, asked, tmp_path, cluster=cluster)
    same(batch, expected(task, option))
    assert batch.stats["shards"] == 2
