"""Randomness that can be repeated, and leaves the caller's generator where it was."""

from __future__ import annotations

import copy
import threading
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt


class _Spare(threading.local):
    """A generator for each thread, to be seeded: a new one takes longer than a small selection."""

    def __init__(self) -> None:
        self.generator = np.random.RandomState(0)


_spare = _Spare()


def as_generator(random_state: Any, n_candidates: int) -> np.random.Generator:
    """Make the generator of one selection: the rule for `random_state` in all of labelnext.

    `check_random_state` makes a `RandomState` of what the caller gave, which draws a seed of 32
    bits. The generator is `PCG64([seed, n_candidates])`: the same selection gives the same batch,
    and the rounds of a loop, each with fewer candidates, differ although `random_state` stays the
    same.

    >>> as_generator(0, 100).integers(10, size=3)
    array([9, 1, 0])
    >>> as_generator(0, 99).integers(10, size=3)
    array([7, 1, 5])
    """
    generators = np.random.RandomState, np.random.Generator
    if isinstance(random_state, generators) or (given := _seed_of(random_state)) >= 2**32:
        generator = check_random_state(random_state)
    else:
        generator = _spare.generator
        generator.seed(given)
    seed = int(generator.randint(2**32, dtype=np.uint32))
    # The bit generator is named, so that a seed keeps its batch when NumPy's default changes.
    return np.random.Generator(np.random.PCG64([seed, n_candidates]))


def check_random_state(random_state: Any = None) -> np.random.RandomState:
    """
    Make a generator of our own from what a caller gave.

    Parameters
    ----------
    random_state : int, RandomState, Generator or None, default=None
        A seed from 0; or a generator, which is copied, so that drawing from the result does not
        advance it and the same call twice gives the same numbers; or None for a generator seeded
        from numpy's global one, so that `numpy.random.seed` still rules.

    Returns
    -------
    numpy.random.RandomState
        A generator that nobody else holds.

    Raises
    ------
    TypeError
        If `random_state` is something else.
    ValueError
        If it is a negative integer.

    Examples
    --------
    >>> import numpy as np
    >>> from labelnext.utils import check_random_state
    >>> mine = np.random.RandomState(0)
    >>> check_random_state(mine).randint(100), check_random_state(mine).randint(100)
    (44, 44)
    """
    if isinstance(random_state, np.random.RandomState):
        return copy.deepcopy(random_state)
    if isinstance(random_state, np.random.Generator):
        return np.random.RandomState(copy.deepcopy(random_state.bit_generator))
    seed = _seed_of(random_state)
    if seed < 2**32:
        return np.random.RandomState(seed)
    return np.random.RandomState(np.random.MT19937(np.random.SeedSequence(seed)))


def _seed_of(random_state: Any) -> int:
    """Return the seed that was given; one of NumPy's global generator if none was."""
    if random_state is None or random_state is np.random:
        # A copy of the global generator would repeat itself call after call.
        return int(np.random.randint(2**32, dtype=np.uint32))  # noqa: NPY002
    if not isinstance(random_state, int | np.integer) or isinstance(random_state, bool):
        raise TypeError(
            f"random_state must be None, an integer from 0, a numpy Generator or a numpy "
            f"RandomState, got {random_state!r}, of type {type(random_state).__name__}."
        )
    seed = int(random_state)
    if seed < 0:
        raise ValueError(f"random_state must not be negative, got {seed}.")
    return seed


def rand_argmax(
    a: npt.ArrayLike, random_state: Any = None, *, axis: int | None = None
) -> npt.NDArray[np.int64]:
    """
    Find the largest value, and among equal ones choose at random.

    Parameters
    ----------
    a : array-like of numbers
        Where to look. NaN is never the largest.
    random_state : int, RandomState, Generator or None, default=None
        Decides ties, each of the tied values being equally likely. A generator is copied, not
        advanced: see `check_random_state`.
    axis : int, default=None
        Look along this axis; None for the whole array.

    Returns
    -------
    numpy.ndarray of int64
        With an axis, the indices along it, of the shape of `a` without that axis. Without one,
        the place in `a`: one index for each of its dimensions.

    Raises
    ------
    ValueError
        If there is nothing to choose from: an empty array, or NaN only.

    Examples
    --------
    >>> from labelnext.utils import rand_argmax
    >>> rand_argmax([1.0, 3.0, 2.0])
    array([1])
    >>> rand_argmax([[0.5, 0.5], [0.1, 0.9], [0.5, 0.5]], random_state=1, axis=1)
    array([1, 1, 0])
    """
    values = np.asarray(a)
    if values.ndim == 0:
        values = values.reshape(1)
    if values.size == 0:
        raise ValueError("there is no largest value in an empty array")
    unknown = np.isnan(values)
    if unknown.all(axis=axis).any():
        raise ValueError("there is no largest value where all values are NaN")
    largest = np.where(unknown, -np.inf, values).max(axis=axis, keepdims=True)
    generator = check_random_state(random_state)
    lots = np.where(values == largest, generator.random_sample(values.shape), -1.0)
    if axis is None:
        return np.array(np.unravel_index(np.argmax(lots), values.shape), dtype=np.int64)
    return np.atleast_1d(np.argmax(lots, axis=axis)).astype(np.int64, copy=False)
