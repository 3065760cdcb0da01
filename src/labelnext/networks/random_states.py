"""The states of the generators that a pass over a data set may draw from."""

from __future__ import annotations

import random

import numpy as np
import torch


class RandomStates:
    """Remember the states of the global generators, to bring them back.

    Parameters
    ----------
    generator : torch.Generator, optional
        A generator beside the global ones.
    """

    def __init__(self, generator: torch.Generator | None = None) -> None:
        self._generator = generator
        self._own = None if generator is None else generator.get_state()
        self._python = random.getstate()
        # The legacy generator: transforms of older data sets draw from it.
        self._numpy = np.random.get_state()  # noqa: NPY002
        self._cpu = torch.get_rng_state()
        # Asking starts CUDA, which the process may not want.
        started = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
        self._cuda = torch.cuda.get_rng_state_all() if started else []
        self._mps = torch.mps.get_rng_state() if torch.backends.mps.is_available() else None

    def restore(self) -> None:
        """Put all generators where they were."""
        if self._generator is not None and self._own is not None:
            self._generator.set_state(self._own)
        random.setstate(self._python)
        np.random.set_state(self._numpy)  # noqa: NPY002
        torch.set_rng_state(self._cpu)
        if self._cuda:
            torch.cuda.set_rng_state_all(self._cuda)
        if self._mps is not None:
            torch.mps.set_rng_state(self._mps)
