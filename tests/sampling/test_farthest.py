"""Farthest-first traversal against its definition."""

import numpy as np
import pytest

import oracle
import pools
from labelnext.engine import as_gradients
from labelnext.sampling import _farthest, farthest_first


def naive(d2, k, centres, exclude=()):
    """One look at all distances a pick; among equal ones the first row."""
    nearest = d2[:, list(centres)].min(axis=1)
    picks = []
    for _ in range(k):
        free = np.delete(np.arange(len(d2)), [*centres, *exclude, *picks])
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
