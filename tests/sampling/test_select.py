"""The public edge of selection: k, exclude and random_state; what is refused and how."""

import subprocess
import sys

import numpy as np
import pytest

import labelnext
import pools
from labelnext import select
from labelnext.engine import as_gradients

POOL = pools.confident(12)


def test_it_is_where_users_look():
    assert labelnext.select is labelnext.sampling.select
    assert {"select", "Batch", "pool", "utils"} <= set(dir(labelnext))
    with pytest.raises(AttributeError, match="no attribute 'selects'"):
        labelnext.selects  # noqa: B018


class TestK:
    @pytest.mark.parametrize("k", [1, 12, np.int8(3), np.uint64(4), np.int64(5)])
    def test_whole_numbers(self, k):
        batch = select(*POOL, k, random_state=0)
        assert len(batch) == int(k)

    @pytest.mark.parametrize("k", [True, False, np.True_, 2.0, np.float64(3), "3", None, [3]])
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
        pool = as_gradients(proba, features, bias=bias, task=task)
        batch = select(proba, features, 5, bias=bias, task=task, exclude=[3], random_state=2)
        for again in (
            select(pool, 5, exclude=[3], random_state=2),
            select(pool, k=5, exclude=[3], random_state=2),
            select(
                proba=proba,
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
        pool = as_gradients(*POOL)
        with pytest.raises(TypeError, match=r"select\(pool, k\) needs k"):
            select(pool)
        with pytest.raises(TypeError, match=r"A pool has its features: call select\(pool, k\)"):
            select(pool, POOL[1], 5)
        with pytest.raises(TypeError, match=r"takes no bias.*pool\.bias.*bias=True"):
            select(pool, 5, bias=True)
        with pytest.raises(TypeError, match=r"takes no task.*as_gradients.*task='binary'"):
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
            np.isin(np.arange(12), [1, 5]),
            np.isin(np.arange(12), [1, 5]).tolist(),
        ],
        ids=str,
    )
    def test_row_numbers_or_a_mask(self, exclude):
        for seed in range(3):
            batch = select(*POOL, 10, exclude=exclude, random_state=seed)
            assert sorted([*batch.indices, 1, 5]) == list(range(12))

    def test_a_range(self):
        assert select(*POOL, 2, exclude=range(10), random_state=0).indices.min() == 10

    @pytest.mark.parametrize("exclude", [None, [], (), np.zeros(12, dtype=bool), np.array([])])
    def test_none(self, exclude):
        batch = select(*POOL, 12, exclude=exclude, random_state=0)
        np.testing.assert_array_equal(batch.indices, select(*POOL, 12, random_state=0).indices)

    @pytest.mark.parametrize("exclude", [range(12), np.ones(12, dtype=bool)], ids=["rows", "mask"])
    def test_not_everything(self, exclude):
        with pytest.raises(ValueError, match=r"number of candidates, 0, got 1; "):
            select(*POOL, 1, exclude=exclude)

    def test_not_rows_that_there_are_not(self):
        with pytest.raises(ValueError, match=r"rows from 0 to 11, got 12\.$"):
            select(*POOL, 1, exclude=[3, 12])
        with pytest.raises(ValueError, match=r"rows from 0 to 11, got -1 and 1 more out of range"):
            select(*POOL, 1, exclude=[3, -1, 99])

    @pytest.mark.parametrize(
        "exclude",
        [[1.0, 2.0], [0.5], ["1"], [[1, 2]], 3, [None], {1, 2}],
        ids=str,
    )
    def test_nothing_else(self, exclude):
        with pytest.raises(TypeError, match="list of row numbers or a boolean mask"):
            select(*POOL, 1, exclude=exclude)

    @pytest.mark.parametrize("shape", [(11,), (13,), (12, 1)])
    def test_a_mask_as_long_as_the_pool(self, shape):
        with pytest.raises(ValueError, match=r"mask must have shape \(12,\)"):
            select(*POOL, 1, exclude=np.zeros(shape, dtype=bool))

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
    def test_what_is_handed_in_moves_on(self, kind):
        state = kind(3)
        batches = {tuple(select(*POOL, 10, random_state=state).indices) for _ in range(5)}
        assert len(batches) > 1

    def test_none_is_another_batch_each_time(self):
        assert len({tuple(select(*POOL, 10).indices) for _ in range(5)}) > 1

    def test_numpys_global_state_is_left_alone(self):
        before = np.random.get_state()[1].copy()  # noqa: NPY002
        select(*POOL, 10)
        np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002

    def test_a_seed_below_0(self):
        with pytest.raises(ValueError, match="must not be negative, got -1"):
            select(*POOL, 3, random_state=-1)

    def test_a_seed_of_any_size(self):
        assert len(select(*POOL, 3, random_state=2**200)) == 3

    @pytest.mark.parametrize("state", [1.0, "1", True, [1], np.random.PCG64(1)])
    def test_nothing_else(self, state):
        with pytest.raises(TypeError, match="random_state must be None, an integer"):
            select(*POOL, 3, random_state=state)


def test_selecting_imports_nothing_heavy():
    code = """
import sys
import numpy as np
import labelnext
rng = np.random.default_rng(0)
labelnext.select(np.full((400, 2), 0.5), rng.normal(size=(400, 2)), 4, random_state=0)
heavy = {"matplotlib.pyplot", "pandas", "polars", "pyarrow", "numba", "torch"}
print(sorted(heavy & set(sys.modules)))
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
