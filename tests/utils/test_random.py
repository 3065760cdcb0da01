"""Ties are decided fairly, repeatably, and without the caller's generator noticing."""

import copy
import subprocess
import sys

import numpy as np
import pytest
import sklearn.utils
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats
from skactiveml import utils as theirs

from labelnext.utils import check_random_state, rand_argmax
from labelnext.utils.random import as_generator


@settings(deadline=None)  # the machine may be busy
@given(
    hnp.arrays(
        float,
        hnp.array_shapes(min_dims=1, max_dims=3, max_side=5),
        elements=st.sampled_from([-1.0, 0.0, 2.0, -np.inf]),
    ),
    st.integers(0, 2**32 - 1),
    st.data(),
)
def test_the_same_as_scikit_activeml_draws(a, seed, data):
    axis = data.draw(st.sampled_from([None, *range(a.ndim)]))
    ours = rand_argmax(a, random_state=seed, axis=axis)
    np.testing.assert_array_equal(ours, theirs.rand_argmax(a, random_state=seed, axis=axis))
    assert ours.dtype == np.int64


def test_each_tied_value_is_as_likely_as_the_others():
    tied = np.tile([1.0, 3.0, 2.0, 3.0, np.nan, 3.0], (6000, 1))
    counts = np.bincount(rand_argmax(tied, random_state=0, axis=1), minlength=6)
    assert counts[[0, 2, 4]].tolist() == [0, 0, 0]
    assert stats.chisquare(counts[[1, 3, 5]]).pvalue > 1e-3


def test_nothing_to_choose_from():
    with pytest.raises(ValueError, match="empty"):
        rand_argmax([])
    with pytest.raises(ValueError, match="NaN"):
        rand_argmax([[1.0, 2.0], [np.nan, np.nan]], axis=1)
    assert rand_argmax([[1.0, 2.0], [np.nan, np.nan]]).tolist() == [0, 1]
    assert rand_argmax(4.0).tolist() == [0]


@pytest.mark.parametrize("make", [np.random.RandomState, np.random.default_rng])
def test_a_generator_is_copied_not_advanced(make):
    mine, twin = make(3), make(3)
    first = check_random_state(mine).random_sample(5)
    again = check_random_state(mine).random_sample(5)
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(mine.normal(size=3), twin.normal(size=3))


def test_without_a_seed_the_global_one_rules():
    np.random.seed(7)  # noqa: NPY002
    first, second = check_random_state(None).random_sample(), check_random_state().random_sample()
    np.random.seed(7)  # noqa: NPY002
    assert check_random_state(None).random_sample() == first != second


def test_seeds():
    expected = np.random.RandomState(5).random_sample(3)
    np.testing.assert_array_equal(check_random_state(5).random_sample(3), expected)
    with pytest.raises(TypeError, match="'five', of type str"):
        check_random_state("five")
    with pytest.raises(TypeError, match="bool"):
        check_random_state(True)
    with pytest.raises(ValueError, match="-1"):
        check_random_state(-1)


GIVEN = [0, np.int64(7), 2**32 - 1, np.random.RandomState(3), np.random.default_rng(3)]


@pytest.mark.parametrize("random_state", GIVEN, ids=lambda given: type(given).__name__)
def test_the_generator_of_a_selection(random_state):
    seed = check_random_state(random_state).randint(2**32, dtype=np.uint32)
    expected = np.random.Generator(np.random.PCG64([int(seed), 50])).random(4)
    for _ in range(2):  # nothing was advanced
        np.testing.assert_array_equal(as_generator(random_state, 50).random(4), expected)
    assert (as_generator(random_state, 49).random(4) != expected).all()


def test_scikit_learn_draws_the_same_seed():
    for seed in [*GIVEN[:3], np.random.RandomState(3)]:
        theirs = copy.deepcopy(sklearn.utils.check_random_state(seed))
        np.testing.assert_array_equal(
            check_random_state(seed).randint(99, size=5), theirs.randint(99, size=5)
        )


def test_the_global_generator_seeds_a_selection():
    np.random.seed(7)  # noqa: NPY002
    first, second = as_generator(None, 9).random(), as_generator(None, 9).random()
    np.random.seed(7)  # noqa: NPY002
    assert as_generator(None, 9).random() == first != second


def test_seeds_of_more_than_32_bits_differ():
    draws = {as_generator(seed, 9).random() for seed in (5, 2**32 + 5, 2**64 + 5, 2**128 + 5)}
    assert len(draws) == 4


@pytest.mark.parametrize("wrong", [1.0, "1", True, [1], np.array(1)], ids=str)
def test_what_is_no_seed(wrong):
    with pytest.raises(TypeError, match=type(wrong).__name__):
        as_generator(wrong, 9)
    with pytest.raises(ValueError, match="negative, got -3"):
        as_generator(-3, 9)


@pytest.mark.parametrize("seed", [0, 7, np.int64(7), 2**32 - 1, 2**32, 2**70])
def test_seeds_mean_what_numpy_makes_of_them(seed):
    first = int(check_random_state(seed).randint(2**32, dtype=np.uint32))
    expected = np.random.Generator(np.random.PCG64([first, 9])).random(3)
    as_generator(1, 9).random(3)
    assert as_generator(seed, 9).random(3).tolist() == expected.tolist()


def test_it_takes_no_scikit_learn():
    code = (
        "import sys, labelnext.utils.random as r; r.as_generator(0, 9); r.as_generator(None, 9); "
        "sys.exit('sklearn' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
