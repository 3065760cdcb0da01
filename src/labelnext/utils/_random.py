"""Randomness that leaves the caller's generator where it was."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt


def check_random_state(random_state: Any = None) -> np.random.RandomState:
    """
    Make a generator of our own from what a caller gave.

    Parameters
    ----------
    random_state : int, RandomState, Generator or None, default=None
        A seed; or a generator, which is copied, so that drawing from the result does not advance
        it and the same call twice gives the same numbers; or None for a generator seeded from
        numpy's global one, so that `numpy.random.seed` still rules.

    Returns
    -------
    numpy.random.RandomState
        A generator that nobody else holds.

    Raises
    ------
    ValueError
        If `random_state` is something else, or a seed outside 0 to 2**32 - 1.

    Examples
    --------
    >>> import numpy as np
    >>> from labelnext.utils import check_random_state
    >>> mine = np.random.RandomState(0)
    >>> check_random_state(mine).randint(100), check_random_state(mine).randint(100)
    (44, 44)
    """
    if isinstance(random_state, np.random.Generator):
        return np.random.RandomState(copy.deepcopy(random_state.bit_generator))
    # Late: see `encode_labels`.
    from sklearn.utils import check_random_state as sklearn_check_random_state

    generator: np.random.RandomState = sklearn_check_random_state(random_state)
    if random_state is None:  # the global generator: a copy would repeat itself call after call
        return np.random.RandomState(generator.randint(2**32, dtype=np.uint32))
    return copy.deepcopy(generator)


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
