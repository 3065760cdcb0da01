"""One kind of randomness inside, whatever the caller hands in."""

from __future__ import annotations

import numpy as np

RandomState = int | np.integer | np.random.Generator | np.random.RandomState | None


def as_generator(random_state: RandomState) -> np.random.Generator:
    """Make a generator of a seed; a caller's Generator or RandomState is drawn from.

    Raises
    ------
    TypeError, ValueError
        If `random_state` is not None, a Generator, a RandomState or an integer from 0.
    """
    if isinstance(random_state, np.random.Generator):
        return random_state
    if isinstance(random_state, np.random.RandomState):
        seed: int | None = int(random_state.randint(2**31 - 1, dtype=np.int64))
    elif random_state is None:
        seed = None
    elif isinstance(random_state, int | np.integer) and not isinstance(random_state, bool):
        seed = int(random_state)
        if seed < 0:
            raise ValueError(f"random_state must not be negative, got {seed}.")
    else:
        raise TypeError(
            "random_state must be None, an integer, a numpy Generator or a numpy RandomState, "
            f"got {type(random_state).__name__}."
        )
    # The bit generator is named, so that a seed keeps its batch when NumPy's default changes.
    return np.random.Generator(np.random.PCG64(seed))
