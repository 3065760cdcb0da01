"""The public edge of selection: k, exclude and random_state; what is refused and how."""

import subprocess
import sys

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch

import labelnext
import pools
from labelnext import Pool, select

POOL = pools.confident(12)


def test_it_is_where_users_look():
    assert labelnext.select is labelnext.strategies.select
    assert {"select", "Batch", "Pool", "Ray", "pool", "utils"} <= set(dir(labelnext))
    with pytest.raises(AttributeError, match="no attribute 'selects'"):
        labelnext.selects  # noqa: B018


class TestK:
    @pytest.mark.parametrize("k", [1, 12, np.int8(3), np.uint64(4), np.int64(5)])
    def test_whole_numbers(self, k):
        batch = select(*POOL, k, random_state=0)
        assert len(batch) == int(k)

    @pytest.mark.parametrize("k", [True, False, np.True_, 2.0, np.float64(3), "3", [3]])
    def test_nothing_else(self, k):
        with pytest.raises(TypeError, match=r"k must be an integer, got .* of type"):
            select(*POOL, k)

    @pytest.mark.parametrize("k", [0, -1, np.int64(-5)])
    def test_at_least_1(self, k):
        with pytest.raises(ValueError, match=rf"k must be at least 1, got {k}\."):
            select(*POOL, k)

    def test_at_most_the_pool(self):
        with pytest.raises(ValueError, match=r"number of candidates, 12, got 13; choose"):
            select(*POOL, 13)

    def test_at_most_the_candidates(self):
        with pytest.raises(ValueError, match=r"number of candidates, 9, got 10; .*exclude fewer"):
            select(*POOL, 10, exclude=[0, 1, 2])


class TestPool:
    """``select(pool, k)`` beside ``select(proba, features, k)``."""

    @pytest.mark.parametrize("task", ["multiclass", "multilabel", "binary"])
    @pytest.mark.parametrize("bias", [False, True])
    def test_it_is_the_same_batch(self, task, bias):
        proba, features = POOL
        proba = proba[:, :1] if task == "binary" else proba
        pool = Pool(proba, features, bias=bias, task=task)
        batch = select(proba, features, 5, bias=bias, task=task, exclude=[3], random_state=2)
        for again in (
            select(pool, 5, exclude=[3], random_state=2),
            select(pool, k=5, exclude=[3], random_state=2),
            select(
                proba,
                features=features,
                k=5,
                bias=bias,
                task=task,
                exclude=[3],
                random_state=2,
            ),
        ):
            np.testing.assert_array_equal(again.indices, batch.indices)
            np.testing.assert_array_equal(again.pseudo_labels, batch.pseudo_labels)
        shape = (5, 4) if task == "multilabel" else (5,)
        assert batch.pseudo_labels.shape == shape

    def test_what_it_cannot_take(self):
        pool = Pool(*POOL)
        with pytest.raises(TypeError, match=r"select\(pool, k\) needs k"):
            select(pool)
        with pytest.raises(TypeError, match=r"A pool has its features: call select\(pool, k\)"):
            select(pool, POOL[1], 5)
        with pytest.raises(TypeError, match=r"takes no bias.*pool\.bias.*Pool.*bias=True"):
            select(pool, 5, bias=True)
        with pytest.raises(TypeError, match=r"takes no task.*Pool.*task='binary'"):
            select(pool, 5, task="binary")
        with pytest.raises(TypeError, match=r"k must be an integer, got array"):
            select(pool, POOL[1])
        with pytest.raises(ValueError, match="k must be at most the number of candidates, 12"):
            select(pool, 13)

    def test_arrays_need_all_three(self):
        for arguments in ((POOL[0],), POOL):
            with pytest.raises(TypeError, match=r"select\(proba, features, k\), or a pool and k"):
                select(*arguments)


class TestExclude:
    @pytest.mark.parametrize(
        "exclude",
        [
            [1, 5],
            (5, 1),
            np.array([5, 1], dtype=np.uint8),
            np.array([5, 1], dtype=np.uint64),
            [1, 5, 5, 1, 1],
            {5, 1},
            frozenset([np.int64(1), np.int64(5)]),
            {5: "cat", 1: "dog"},
            {5: "cat", 1: "dog"}.keys(),
            {"a": 5, "b": 1}.values(),
            range(1, 6, 4),
            iter([1, 5]),
            pd.Series([5, 1], index=[7, 8]),
            pd.Series([5, 1], dtype="Int64"),
            pd.Index([5, 1]),
            pl.Series([5, 1]),
            torch.tensor([5, 1]),
            np.isin(np.arange(12), [1, 5]),
            np.isin(np.arange(12), [1, 5]).tolist(),
            pd.Series(np.isin(np.arange(12), [1, 5]), index=np.arange(12)[::-1]),
            pd.Series(np.isin(np.arange(12), [1, 5]), dtype="boolean"),
            torch.tensor(np.isin(np.arange(12), [1, 5])),
        ],
        ids=lambda exclude: type(exclude).__name__,
    )
    def test_row_numbers_or_a_mask(self, exclude):
        rest = np.setdiff1d(np.arange(12), [1, 5])
        batch = select(*POOL, 10, exclude=exclude, random_state=0)
        assert sorted(batch.indices) == rest.tolist()

    def test_a_range(self):
        assert select(*POOL, 2, exclude=range(10), random_state=0).indices.min() == 10

    @pytest.mark.parametrize(
        "exclude", [None, [], (), {}, set(), np.zeros(12, dtype=bool), np.array([])]
    )
    def test_none(self, exclude):
        batch = select(*POOL, 12, exclude=exclude, random_state=0)
        np.testing.assert_array_equal(batch.indices, select(*POOL, 12, random_state=0).indices)

    @pytest.mark.parametrize("exclude", [range(12), np.ones(12, dtype=bool)], ids=["rows", "mask"])
    def test_not_everything(self, exclude):
        with pytest.raises(ValueError, match=r"number of candidates, 0, got 1; "):
            select(*POOL, 1, exclude=exclude)

    def test_not_rows_that_there_are_not(self):
        with pytest.raises(ValueError, match=r"exclude must be from 0 to 11, got 12\.$"):
            select(*POOL, 1, exclude=[3, 12])
        with pytest.raises(
            ValueError, match=r"exclude must be from 0 to 11, got -1 and 1 more out of range"
        ):
            select(*POOL, 1, exclude=[3, -1, 99])

    @pytest.mark.parametrize(
        "exclude",
        [[1.0, 2.0], [0.5], ["1"], {"a", "b"}, {"a": 1}, 3, "rows", object()],
        ids=[
            "floats",
            "a float",
            "text",
            "a set of texts",
            "a dict of texts",
            "3",
            "rows",
            "object",
        ],
    )
    def test_nothing_else(self, exclude):
        with pytest.raises(
            TypeError, match="exclude takes row numbers or a mask, and exclude_ids takes ids: "
        ):
            select(*POOL, 1, exclude=exclude)

    @pytest.mark.parametrize("exclude", [[None], [1, None], {None}])
    def test_no_row_is_missing(self, exclude):
        with pytest.raises(ValueError, match="exclude has a missing value at place"):
            select(*POOL, 1, exclude=exclude)

    def test_one_dimension(self):
        with pytest.raises(ValueError, match=r"exclude must have one dimension, got shape \(1, 2"):
            select(*POOL, 1, exclude=[[1, 2]])

    @pytest.mark.parametrize("length", [11, 13])
    def test_a_mask_as_long_as_the_pool(self, length):
        with pytest.raises(ValueError, match=rf"mask of {length} entries, and there are 12 rows"):
            select(*POOL, 1, exclude=np.zeros(length, dtype=bool))

    def test_the_largest_gradient_may_be_excluded(self):
        first = select(*POOL, 1).indices[0]
        second = select(*POOL, 1, exclude=[first])
        assert second.indices[0] != first
        assert second.gradient_norms[0] <= select(*POOL, 1).gradient_norms[0]


class TestRandomState:
    @pytest.mark.parametrize(
        "make",
        [
            lambda: 3,
            lambda: np.int64(3),
            lambda: np.random.default_rng(3),
            lambda: np.random.RandomState(3),
        ],
        ids=["int", "numpy int", "Generator", "RandomState"],
    )
    def test_what_is_seeded_alike_picks_alike(self, make):
        batches = [select(*POOL, 10, random_state=make()) for _ in range(2)]
        np.testing.assert_array_equal(batches[0].indices, batches[1].indices)

    @pytest.mark.parametrize("kind", [np.random.default_rng, np.random.RandomState])
    def test_what_is_handed_in_is_never_advanced(self, kind):
        state, same = kind(3), kind(3)
        first = select(*POOL, 10, random_state=state).indices.tolist()
        assert select(*POOL, 10, random_state=state).indices.tolist() == first
        draw = "integers" if kind is np.random.default_rng else "randint"
        assert getattr(state, draw)(1 << 30) == getattr(same, draw)(1 << 30)

    def test_none_is_another_batch_each_time(self):
        assert len({tuple(select(*POOL, 10).indices) for _ in range(5)}) > 1

    def test_none_takes_a_seed_from_numpys_global_generator(self):
        state = np.random.get_state()  # noqa: NPY002
        try:
            batches = []
            for _ in range(2):
                np.random.seed(3)  # noqa: NPY002
                batches.append([tuple(select(*POOL, 10).indices) for _ in range(3)])
        finally:
            np.random.set_state(state)  # noqa: NPY002
        assert batches[0] == batches[1]
        assert len(set(batches[0])) > 1

    def test_the_rounds_of_a_loop_differ(self):
        # The seed alone would draw at the same quantiles of what is left, round after round.
        some = pools.confident(40)
        first = select(*some, 8, exclude=[0], random_state=0)
        assert select(*some, 8, exclude=[0, 1], random_state=0).indices.tolist() != (
            first.indices.tolist()
        )

    def test_a_seed_below_0(self):
        with pytest.raises(ValueError, match="must not be negative, got -1"):
            select(*POOL, 3, random_state=-1)

    def test_a_seed_of_any_size(self):
        assert len(select(*POOL, 3, random_state=2**200)) == 3

    @pytest.mark.parametrize("state", [1.0, "1", True, [1], np.random.PCG64(1)])
    def test_nothing_else(self, state):
        with pytest.raises(TypeError, match="random_state must be None, an integer"):
            select(*POOL, 3, random_state=state)


def test_labels_are_no_probabilities():
    labels = np.array([0, 1, 2, 1])
    with pytest.raises(
        ValueError, match=r"row 2, .* \(P\(y = 1\) is 2\): .* in place of labels pass"
    ):
        select(labels, np.eye(4), 2)


def test_selecting_imports_nothing_heavy():
    code = """
import sys
import numpy as np
import labelnext
rng = np.random.default_rng(0)
labelnext.select(np.full((400, 2), 0.5), rng.normal(size=(400, 2)), 4, random_state=0)
heavy = {"matplotlib", "sklearn", "pandas", "polars", "pyarrow", "torch", "ray"}
print(sorted(heavy & set(sys.modules)))
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


@pytest.mark.parametrize("cluster", ["x", {"num_shards": 2}, 2])
def test_a_cluster_is_a_ray(cluster):
    with pytest.raises(TypeError, match=r"cluster must be a labelnext\.Ray"):
        select(*POOL, 3, cluster=cluster)


@pytest.mark.parametrize("exclude", [3, True, 1.0])
def test_one_row_to_exclude_goes_into_a_list(exclude):
    with pytest.raises(TypeError, match="put one row into a list"):
        select(*POOL, 3, exclude=exclude)
