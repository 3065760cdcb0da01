"""How unsure a classifier is of a sample, from its probabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import entr

if TYPE_CHECKING:
    from numpy.typing import NDArray

METHODS = ("least_confident", "margin_sampling", "entropy")


def check_method(method: Any) -> None:
    """Raise if a measure is not known."""
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, got {method!r}.")


def uncertainty(proba: NDArray[np.float64], method: str) -> NDArray[np.float64]:
    """Measure the uncertainty of each row of probabilities; 0 where one class is certain.

    One minus the largest probability, one minus the gap between the two largest, or the entropy
    in nats.
    """
    if method == "entropy":
        return np.asarray(entr(proba).sum(axis=1))
    confidence = -two_smallest(-proba)
    if method == "least_confident":
        return 1 - confidence[:, 0]
    return 1 - (confidence[:, 0] - confidence[:, 1])


def two_smallest(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the two smallest of each row, in order."""
    return np.partition(values, 1, axis=1)[:, :2]
