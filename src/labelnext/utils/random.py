"""Randomness that can be repeated, and leaves the caller's generator where it was."""

from __future__ import annotations

import copy
import random
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt


class _Spare(threading.local):
    """A generator for each thread, to be seeded: a new one takes longer than a small selection."""

    def __init__(self) -> None:
        self.bits = np.random.MT19937(0)
        self.generator = np.random.RandomState(self.bits)


_spare = _Spare()


def as_generator(random_state: Any, n_candidates: int) -> np.random.Generator:
    """Make the generator of one selection: the rule for `random_state` in all of labelnext.

    `PCG64([seed, n_candidates])`, of a seed of 32 bits that `check_random_state` draws: the rounds
    of a loop, each with fewer candidates, differ although `random_state` stays the same.

    >>> as_generator(0, 100).integers(10, size=3)
    array([9, 1, 0])
    """
    generators = np.random.RandomState, np.random.Generator
    if isinstance(random_state, generators) or (given := _seed_of(random_state)) >= 2**32:
        seed = int(check_random_state(random_state).randint(2**32, dtype=np.uint32))
    else:
        _spare.generator.seed(given)
        seed = int(_spare.bits.random_raw())  # 32 bits, as randint's
    words: Any = [seed, n_candidates]
    if n_candidates < 2**32:
        words = np.array(words, dtype=np.uint32)  # the same, which a list becomes step by step
    # The bit generator is named, so that a seed keeps its batch when NumPy's default changes.
    return np.random.Generator(np.random.PCG64(words))


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


class RandomStates:
    """Remember the states of the global generators, torch's if it is loaded, and of one beside."""

    def __init__(self, generator: Any = None) -> None:
        self._generator = generator
        self._own = None if generator is None else generator.get_state()
        self._python = random.getstate()
        # The legacy generator: transforms of older data sets draw from it.
        self._numpy = np.random.get_state()  # noqa: NPY002
        self._torch = torch = sys.modules.get("torch")
        if torch is not None:
            self._cpu = torch.get_rng_state()
            # Asking starts CUDA, which the process may not want.
            self._cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
            self._mps = torch.mps.get_rng_state() if torch.backends.mps.is_available() else None

    def restore(self) -> None:
        """Put all generators where they were."""
        if self._generator is not None:
            self._generator.set_state(self._own)
        random.setstate(self._python)
        np.random.set_state(self._numpy)  # noqa: NPY002
        if self._torch is not None:
            self._torch.set_rng_state(self._cpu)
            if self._cuda:
                self._torch.cuda.set_rng_state_all(self._cuda)
            if self._mps is not None:
                self._torch.mps.set_rng_state(self._mps)


@contextmanager
def seeded(seed: int | None = None) -> Iterator[None]:
    """Draw from a seed, or else on from where things are, and put all generators back."""
    before, torch = RandomStates(), sys.modules.get("torch")
    try:
        if seed is not None:
            random.seed(seed)
            np.random.seed(seed)  # noqa: NPY002
        if seed is not None and torch is not None:
            # torch.manual_seed would reach CUDA even where it has not started.
            torch.default_generator.manual_seed(seed)
            if torch.cuda.is_initialized():
                torch.cuda.manual_seed_all(seed)
            if torch.backends.mps.is_available():
                torch.mps.manual_seed(seed)
        yield
    finally:
        before.restore()
