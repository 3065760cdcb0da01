"""Farthest-first traversal against its definition."""

import numpy as np
import pytest

import oracle
import pools
from labelnext.engine import as_gradients
from labelnext.sampling import Groups, _farthest, farthest_first


def naive(d2, k, centres, exclude=(), first=(), groups=None):
    """One look at all distances a pick; among equal ones the first row."""
    picks = list(first)
    nearest = d2[:, [*centres, *picks]].min(axis=1)
    for _ in range(k - len(picks)):
        taken = [*centres, *exclude, *picks]
        if groups is not None:
            counts = np.bincount(groups.of_row[picks], minlength=groups.of_row.max() + 1)
            taken += np.flatnonzero(counts[groups.of_row] >= groups.limit).tolist()
        free = np.delete(np.arange(len(d2)), taken)
        picks.append(int(free[nearest[free].argmax()]))
        nearest = np.minimum(nearest, d2[:, picks[-1]])
    return picks


@pytest.fixture(params=[1, 3, 1024], autouse=True)
def _watched(request, monkeypatch):
    """Watch so few rows that passes are many, or all."""
    monkeypatch.setattr(_farthest, "WATCHED", request.param)


@pytest.mark.parametrize("seed", range(3))
def test_picks_are_the_farthest(seed):
    proba, features = pools.confident(90, seed=seed)
    d2 = oracle.squared_distances(oracle.gradients(proba, features))
    gradients = as_gradients(proba, features)
    for centres, exclude in (([0], []), ([5, 80], [1, 2, 3])):
        batch = farthest_first(gradients, 60, np.array(centres), exclude=np.array(exclude, int))
        assert batch.indices.tolist() == naive(d2, 60, centres, exclude)
        np.testing.assert_allclose(
            batch.d2[1], d2[batch.indices[1], [*centres, batch.indices[0]]].min()
        )
        short = farthest_first(gradients, 9, np.array(centres), exclude=np.array(exclude, int))
        np.testing.assert_array_equal(short.indices, batch.indices[:9])


@pytest.mark.parametrize("seed", range(9))
def test_ties_go_to_the_first_row(seed):
    # Whole numbers: many distances are equal, to the last bit.
    points = np.random.default_rng(seed).integers(-2, 3, size=(60, 2)).astype(float)
    proba = np.full((60, 2), 0.5)
    if seed > 2:
        points = np.random.default_rng(seed).integers(-30, 31, size=(60, 1)).astype(float)
    d2 = oracle.squared_distances(oracle.gradients(proba, points))
    batch = farthest_first(as_gradients(proba, points), 59, np.array([7]))
    assert batch.indices.tolist() == naive(d2, 59, [7])


@pytest.mark.one_of(2)
def test_on_every_storage(storage, tmp_path):
    gradients, p, h = storage.make(*pools.confident(80), tmp_path)
    plain = as_gradients(p, h, task=storage.task)
    np.testing.assert_array_equal(
        farthest_first(gradients, 30, np.array([3])).indices,
        farthest_first(plain, 30, np.array([3])).indices,
    )


def test_all_at_the_centres():
    proba, features = np.full((6, 2), 0.5), np.ones((6, 3))
    batch = farthest_first(as_gradients(proba, features), 5, np.array([2]))
    assert batch.indices.tolist() == [0, 1, 3, 4, 5]
    assert batch.d2.tolist() == [0] * 5


@pytest.mark.parametrize("limit", [1, 2])
@pytest.mark.parametrize(("centres", "first"), [([5, 80], []), ([], [7]), ([3], [9, 60])])
def test_groups_become_full(centres, first, limit):
    proba, features = pools.confident(90, seed=4)
    d2 = oracle.squared_distances(oracle.gradients(proba, features))
    groups = Groups(np.arange(90) % 13, limit)
    gradients = as_gradients(proba, features)
    centres, first = (np.array(rows, dtype=np.int64) for rows in (centres, first))
    for k in (groups.most(), 4):
        batch = farthest_first(gradients, k, centres, first=first, groups=groups)
        assert batch.indices.tolist() == naive(d2, k, centres, (), first, groups)
        assert (batch.d2[: len(first)] == 0).all()
        assert len(batch.potentials) == k


def test_groups_of_samples_all_at_the_centres():
    proba, features = np.full((8, 2), 0.5), np.ones((8, 3))
    groups = Groups(np.array([0, 0, 1, 0, 1, 2, 1, 0]), 1)
    gradients = as_gradients(proba, features)
    batch = farthest_first(gradients, 2, np.array([5]), exclude=np.array([0]), groups=groups)
    assert batch.indices.tolist() == [1, 2]
    batch = farthest_first(
        gradients, 3, np.array([], dtype=np.int64), first=np.array([4]), groups=groups
    )
    assert batch.indices.tolist() == [4, 0, 5]
