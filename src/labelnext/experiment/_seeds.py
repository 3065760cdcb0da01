"""One seed for all that is random in a run, whoever draws it and in whatever process."""

from __future__ import annotations

import random
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import clone

if TYPE_CHECKING:
    from collections.abc import Iterator


def with_seed(estimator: Any, seed: int) -> Any:
    """Copy a strategy or model, with the seed in each `random_state`, those of parts too."""
    estimator = clone(estimator, safe=False)
    if hasattr(estimator, "get_params"):
        names = [
            name for name in estimator.get_params() if name.rpartition("__")[2] == "random_state"
        ]
        estimator.set_params(**dict.fromkeys(names, seed))
    return estimator


@contextmanager
def global_seed(seed: int) -> Iterator[None]:
    """Seed the global generators for a while: some models draw from them and take no seed."""
    torch = sys.modules.get("torch")
    if torch is None:
        python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    else:
        from labelnext.networks.untouched import RandomStates

        states = RandomStates()
        torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    try:
        yield
    finally:
        if torch is None:
            random.setstate(python)
            np.random.set_state(numpy)  # noqa: NPY002
        else:
            states.restore()
