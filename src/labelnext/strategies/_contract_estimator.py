"""Checks of a strategy as an estimator."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

from sklearn.base import clone

from labelnext.strategies._contract_asker import scattered

if TYPE_CHECKING:
    from labelnext.strategies._contract_asker import Asker


def cloned(asker: Asker) -> None:
    """It can be cloned and printed, with the same parameters and the same batch."""
    X, y = scattered()
    strategy = asker.make(random_state=3)
    expected = asker.ask(X, y, strategy, batch_size=5).tolist()
    copy = clone(strategy)
    assert repr(copy) == repr(strategy), f"the clone is {copy!r}, not {strategy!r}"
    batch = asker.ask(X, y, copy, batch_size=5).tolist()
    assert batch == expected, f"the clone gives {batch}, the strategy itself {expected}"
    assert "random_state=3" in repr(strategy), f"the seed is not in {strategy!r}"


def stateless(asker: Asker) -> None:
    """A query leaves the strategy as it was."""
    X, y = scattered()
    strategy = asker.make()
    # Attributes alone: a class made in a session or a function cannot be pickled.
    before = pickle.dumps(vars(strategy))
    asker.ask(X, y, strategy, batch_size=5, return_utilities=True)
    assert pickle.dumps(vars(strategy)) == before, "its attributes have changed"


CHECKS = (cloned, stateless)
