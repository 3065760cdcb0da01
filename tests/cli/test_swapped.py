"""Probabilities and features that are given in each other's place, and what is none of either."""

import numpy as np
import pyarrow.parquet as pq
import pytest
from tests.cli.conftest import table

from labelnext.pools import open_pool, open_source, write_in_shards

OUT = "made"


@pytest.fixture
def swapped(folder, arrays, ids):
    proba, features = arrays
    np.savez("other.npz", proba=features, embedding=proba)
    pq.write_table(table(ids, features, proba), "other.parquet")
    return folder


FILES = ("--proba", "probs.npy", "--features", "emb.npy")


@pytest.mark.parametrize("option", [(), ("--force",), ("--resume",)], ids=str)
@pytest.mark.parametrize(
    ("before", "after", "advice"),
    [
        (("emb.npy", "probs.npy"), (), ("probs.npy", "emb.npy")),
        (("emb.npy", "probs.npy", "ids.npy"), (), ("probs.npy", "emb.npy", "ids.npy")),
        ((), ("-p", "emb.npy", "-f", "probs.npy"), FILES),
        (("pool.npz",), ("-p", "embedding", "-f", "proba"), ("--proba", "proba", "--features")),
        (("other.npz",), (), ("--proba and --features",)),
        (("other.parquet",), (), ("--proba and --features",)),
    ],
)
def test_convert_says_so(swapped, ids, run, complaint, option, before, after, advice):
    np.save("ids.npy", np.array(ids))
    if option == ("--force",):
        assert run("convert", "pool.parquet", OUT).exit_code == 0
        content = (swapped / OUT / "pool.json").read_bytes()
    words = complaint("convert", *before, OUT, *after, *option)
    assert " ".join(advice) in words
    if option == ("--force",):
        assert (swapped / OUT / "pool.json").read_bytes() == content
    else:
        assert not (swapped / OUT).exists()
    if len(advice) > 1:
        said = words.partition(": ")[2].strip().rpartition(": ")[2].split()
        names = [] if said[0].startswith("-") and not before else before[:1]
        names = said if not said[0].startswith("-") else names
        options = said if said[0].startswith("-") else []
        assert run("convert", *names, OUT, *options, *option).exit_code == 0
        assert open_pool(OUT).n_classes == 3


def test_select_says_so_too(swapped, complaint):
    words = complaint("select", "-p", "emb.npy", "-f", "probs.npy", "-k", 2)
    assert "--proba probs.npy --features emb.npy" in words
    words = complaint("select", "-p", "emb.npy", "-f", "probs.npy", "-k", 2, "--strategy", "random")
    assert "--proba probs.npy --features emb.npy" in words


def test_features_from_0_to_1(swapped, arrays, run, complaint):
    np.save("unit.npy", np.abs(np.tanh(arrays[1])))
    assert "in this order: probs.npy unit.npy" in complaint("convert", "unit.npy", "probs.npy", OUT)
    np.save("rounded.npy", arrays[0] * 0.99)
    for pair in (["probs.npy", "probs.npy"], ["rounded.npy", "probs.npy"]):
        assert "in this order" not in run("convert", *pair, f"{OUT}-{pair[0]}").stderr
    assert run("convert", "probs.npy", "unit.npy", f"{OUT}3").exit_code == 0


def test_one_column(swapped, arrays, complaint):
    np.save("one.npy", arrays[0][:, :1])
    assert "in this order: one.npy emb.npy" in complaint("convert", "emb.npy", "one.npy", OUT)


@pytest.mark.parametrize("option", [(), ("--force",), ("--resume",)], ids=str)
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda p: -p, "must not be negative; apply softmax to logits"),
        (lambda p: 2 * p, "Each row of proba must sum to 1"),
        (lambda p: np.nan * p, "must be a finite number"),
    ],
)
@pytest.mark.parametrize("row", [0, 39])
def test_convert_writes_no_other_numbers(
    folder, arrays, run, complaint, option, change, words, row
):
    proba = arrays[0].copy()
    proba[row] = change(proba[row])
    np.save("odd.npy", proba)
    if option == ("--force",):
        assert run("convert", "pool.parquet", OUT).exit_code == 0
        before = (folder / OUT / "pool.json").read_bytes()
    said = complaint("convert", "odd.npy", "emb.npy", OUT, "--rows-per-shard", 9, *option)
    assert words in said
    assert f"row {row} of" in said
    if option == ("--force",):
        assert (folder / OUT / "pool.json").read_bytes() == before
    else:
        assert not (folder / OUT).exists()
    # What the library writes is as it is given.
    write_in_shards("kept", open_pool(proba="odd.npy", features="emb.npy"))
    assert np.array_equal(open_source("kept").read("proba", 0, 40), proba, equal_nan=True)


def test_a_pool_that_is_there_is_said_before_all_is_read(folder, run, complaint, monkeypatch):
    assert run("convert", "pool.parquet", OUT).exit_code == 0
    np.save("probs.npy", -np.load("probs.npy"))
    assert "holds a pool already" in complaint("convert", "probs.npy", "emb.npy", OUT)


@pytest.mark.parametrize(
    ("proba", "task"),
    [
        (lambda p: (p > 0.3) * 1.0, ("--task", "multilabel")),
        (lambda p: p[:, :1], ("--task", "binary")),
        (lambda p: p[:, 0], ()),
        (lambda p: p.astype(np.float16), ()),
        (lambda p: p * (1 + 9e-4), ()),
    ],
)
def test_what_a_task_takes_is_written(folder, arrays, run, proba, task):
    np.save("probs.npy", proba(arrays[0]))
    result = run("convert", "probs.npy", "emb.npy", OUT, *task)
    assert result.exit_code == 0, result.output
    assert run("select", OUT, "-k", 3).exit_code == 0


def test_logits_are_features(folder, run):
    """Where a task has no probabilities, what else there is under that name does not matter."""
    np.savez("logits.npz", proba=np.load("emb.npy"), embedding=np.load("probs.npy"))
    for task in ("regression", "vectors"):
        assert run("convert", "logits.npz", task, "--task", task).exit_code == 0
        assert run("select", task, "-k", 3).exit_code == 0


def test_features_that_sum_to_1_are_no_sign_alone(folder, arrays, run, complaint):
    np.save("same.npy", arrays[0] * 0.99)
    words = complaint("select", "-p", "same.npy", "-f", "probs.npy", "-k", 3)
    assert "must sum to 1" in words
    assert run("select", "-p", "probs.npy", "-f", "probs.npy", "-k", 3).exit_code == 0
