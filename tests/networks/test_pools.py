"""What a pool has beside its two parts: ids and the like, a last layer, members of a committee."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, IterableDataset

import labelnext
import nets
from labelnext.networks import extract, proba_and_features

X = nets.rows()
IDS = [f"s{i}" for i in range(nets.N)]
GROUPS = [i // 3 for i in range(nets.N)]
LABELS = ["cat" if i % 4 == 0 else None for i in range(nets.N)]
CLASSES = ["cat", "cow", "dog", "fox"]
KNOWN = {"ids": IDS, "groups": GROUPS, "labels": LABELS, "classes": CLASSES}


class Stream(IterableDataset):
    def __iter__(self):
        return iter(X)


def several(kind="mlp", n=3):
    models = []
    for seed in range(n):
        torch.manual_seed(seed)
        models.append(nets.KINDS[kind][0]())
    return models


@pytest.mark.parametrize("in_files", [False, True], ids=["", "files"])
@pytest.mark.parametrize("data", [X, Stream()], ids=["tensor", "stream"])
def test_what_is_known_of_the_samples_goes_with_them(tmp_path, in_files, data):
    out = {"out": tmp_path / "pool", "rows_per_shard": 4} if in_files else {}
    model = nets.make("mlp")[0]
    pool = extract(model, data, **KNOWN, batch_size=4, **out)
    pools = [pool, labelnext.open_pool(tmp_path / "pool")] if in_files else [pool]
    for each in pools:
        assert each.ids.tolist() == IDS
        assert each.groups.tolist() == GROUPS
        assert each.labeled.tolist() == [0, 4, 8]
        assert each.labels[each.labeled].tolist() == ["cat"] * 3
        assert each.classes.tolist() == CLASSES
        assert (each.task, each.bias) == ("multiclass", False)
        batch = labelnext.select(each, 3, random_state=0)
        assert set(batch.ids) <= {*IDS}


def test_what_is_known_is_read_by_position(tmp_path):
    index = [*range(nets.N)][::-1]
    known = {
        name: pd.Series(values, index=index) for name, values in KNOWN.items() if name != "classes"
    }
    model = nets.make("mlp")[0]
    for number, out in enumerate((None, tmp_path / "pool")):
        pool = extract(model, X, **known, classes=CLASSES, out=out, batch_size=4)
        assert pool.ids.tolist() == IDS, number
        assert pool.groups.tolist() == GROUPS
        assert pool.labeled.tolist() == [0, 4, 8]


@pytest.mark.parametrize(
    ("known", "error", "said"),
    [
        ({"ids": IDS[:-1]}, ValueError, "ids has 10 entries"),
        ({"ids": [*IDS[:-1], "s0"]}, ValueError, "more than once"),
        ({"ids": [*IDS[:-1], 3]}, TypeError, "all integers or all strings"),
        ({"groups": GROUPS[:-1]}, ValueError, "groups has 10 entries"),
        ({"groups": [*GROUPS[:-1], None]}, ValueError, "groups is None"),
        ({"labels": LABELS[:-1]}, ValueError, "labels has 10 entries"),
    ],
)
def test_it_is_checked_before_anything_runs(tmp_path, known, error, said):
    class Runs(nets.Mlp):
        def forward(self, x):
            raise AssertionError

    for out in (None, tmp_path / "pool"):
        with pytest.raises(error, match=said):
            extract(Runs(), X, **known, out=out)
    assert not (tmp_path / "pool").exists()


@pytest.mark.parametrize("name", ["ids", "groups", "labels"])
@pytest.mark.parametrize("n", [nets.N - 1, nets.N + 1])
def test_of_a_stream_it_is_checked_when_it_ends(tmp_path, name, n):
    for out in (None, tmp_path / "pool"):
        with pytest.raises(ValueError, match=name):
            extract(nets.Mlp(), Stream(), **{name: [*range(n)]}, out=out, batch_size=4)
    assert not (tmp_path / "pool" / "pool.json").exists()


# The last layer


@pytest.mark.parametrize("in_files", [False, True], ids=["", "files"])
@pytest.mark.parametrize("kind", ["mlp", "no bias", "linear", "double", "bfloat16", "weight norm"])
def test_the_last_layer_goes_with_the_pool(tmp_path, kind, in_files):
    model, data, name = nets.make(kind)
    head = model.get_submodule(name)
    out = tmp_path / "pool" if in_files else None
    pools = [extract(model, data, out=out)]
    if in_files:
        pools.append(extract(model, data, out=out, resume=True))  # where nothing runs
    for pool in pools:
        weights, bias = pool.last_layer
        assert weights.dtype == (np.float64 if kind == "double" else np.float32)
        assert np.array_equal(weights, head.weight.detach().to(torch.float64).numpy())
        if kind == "no bias":
            assert bias is None
        else:
            assert np.array_equal(bias, head.bias.detach().to(torch.float64).numpy())
        if kind != "bfloat16":
            logits = pool.features[:] @ weights.T + (0 if bias is None else bias)
            proba = torch.as_tensor(logits).softmax(1)
            np.testing.assert_allclose(pool.proba[:], proba, atol=1e-5)


def test_the_last_layer_is_a_copy():
    model = nets.Mlp()
    pool = extract(model, X)
    before = pool.last_layer[0].copy()
    nn.init.zeros_(model.fc.weight)
    nn.init.zeros_(model.fc.bias)
    assert np.array_equal(pool.last_layer[0], before)
    assert pool.last_layer[1].any()


# Committees


@pytest.mark.parametrize("kind", [list, tuple, nn.ModuleList])
def test_several_networks_are_a_committee(kind):
    models = several()
    pool = extract(kind(models), X, **KNOWN, batch_size=4)
    assert (pool.n_members, pool.n_rows, pool.n_classes) == (3, nets.N, 4)
    assert pool.features is None
    assert pool.last_layer is None
    assert pool.ids.tolist() == IDS
    assert pool.classes.tolist() == CLASSES
    for member, model in zip(pool.proba, models, strict=True):
        np.testing.assert_allclose(member, proba_and_features(model, X)[0], atol=1e-6)


def test_networks_of_several_kinds_and_a_stream():
    models = [nets.Mlp(), nets.Ends(lambda z, h: z.softmax(1)), nn.Linear(6, 4)]
    pool = extract(models, DataLoader(Stream(), batch_size=4))
    assert pool.proba.shape == (3, nets.N, 4)
    assert extract([nets.Mlp(1), nets.Mlp(1)], X).task == "binary"


def test_passes_with_dropout():
    model = nets.make("mlp")[0].train()
    before = torch.get_rng_state()
    pool = extract(model, X, n_passes=5, dtype="float16", bias=True, ids=IDS)
    assert torch.equal(torch.get_rng_state(), before)
    assert model.training
    evaluated = extract(model, X, dtype="float16")
    np.testing.assert_array_equal(pool.features, evaluated.features)
    assert (pool.n_members, pool.bias, pool.ids.tolist()) == (5, True, IDS)
    assert np.array_equal(pool.last_layer[0], evaluated.last_layer[0])
    proba = np.asarray(pool.proba)
    assert len({member.tobytes() for member in proba}) == 5
    assert not np.allclose(proba[0], evaluated.proba)
    torch.rand(3)
    again = extract(model, X, n_passes=3, bias=True)
    np.testing.assert_array_equal(proba[:3], again.proba)


def test_the_bar_goes_once_over_all_members():
    told = []
    extract(several(), X, batch_size=6, progress=lambda done, total: told.append((done, total)))
    assert told == [(done, 33) for done in (6, 11, 17, 22, 28, 33)]


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda: extract([], X), ValueError, "two networks at least, got 0"),
        (lambda: extract([nets.Mlp()], X), ValueError, "got 1: of one alone pass the network"),
        (lambda: extract(torch.nn.ModuleList([nets.Mlp()]), X), ValueError, "at least, got 1"),
        (lambda: extract([nets.Mlp(), 3], X), TypeError, "must be a torch.nn.Module, got int"),
        (lambda: extract([nets.Mlp(), nets.Mlp(3)], X), ValueError, "11 samples × 3 classes"),
        (lambda: extract([nets.Mlp(1), nets.Mlp()], X), ValueError, "number 1 is multiclass"),
        (lambda: extract(several(), X, bias=True), TypeError, "bias is for features"),
        (lambda: extract(several(), X, dtype="float16"), TypeError, "dtype is for features"),
        (lambda: extract(several(), X, n_passes=3), TypeError, "n_passes is for one network"),
        (
            lambda: extract(several(), X, out="pool"),
            TypeError,
            "one network: of a committee pass no `out`",
        ),
        (
            lambda: extract(nets.Mlp(), X, n_passes=3, out="p"),
            TypeError,
            "one network: of a committee pass no `out`",
        ),
        (lambda: extract(nn.Linear(6, 4), X, n_passes=3), ValueError, "no dropout layer"),
        (lambda: extract(nets.Mlp(), X, n_passes=1), ValueError, "at least 2, got 1"),
        (lambda: extract(nets.Mlp(), X, n_passes=True), ValueError, "at least 2, got True"),
    ],
)
def test_what_makes_no_committee(call, error, said):
    with pytest.raises(error, match=said):
        call()


def test_a_strategy_asks_the_committee():
    batch = labelnext.select(extract(several(), X), 3, strategy="bald", random_state=0)
    assert len(batch) == 3
