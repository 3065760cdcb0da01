"""The temperature at which a classifier's probabilities are calibrated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from labelnext.strategies._query import Query

# As in the code of Bae, Oliveira and Sutherland (see `UncertaintyHerding`).
TEMPERATURES = np.arange(10, 200) / 10
HELD_OUT = 0.3


def temper(proba: NDArray[Any], temperature: float) -> NDArray[np.float64]:
    """Return softmax(z / T) where the probabilities are softmax(z).

    Examples
    --------
    >>> temper(np.array([[0.8, 0.2], [1.0, 0.0]]), 2.0).round(3)
    array([[0.667, 0.333],
           [1.   , 0.   ]])
    """
    scaled = np.asarray(proba, dtype=np.float64)
    # The largest becomes 1, so that not all vanish.
    scaled = (scaled / scaled.max(axis=1, keepdims=True)) ** (1 / temperature)
    return np.asarray(scaled / scaled.sum(axis=1, keepdims=True))


def calibration_error(proba: NDArray[np.float64], is_right: NDArray[np.bool_]) -> float:
    """Return the expected calibration error, with as many bins as there are classes.

    Examples
    --------
    >>> calibration_error(np.array([[0.9, 0.1], [0.7, 0.3]]), np.array([True, False]))
    0.3
    """
    confidence = proba.max(axis=1)
    bins = np.ceil(confidence * proba.shape[1]).astype(np.int64)
    gaps = np.bincount(bins, weights=confidence - is_right)
    return float(np.abs(gaps).sum() / len(confidence))


def best_temperature(proba: NDArray[Any], is_right: NDArray[np.bool_]) -> float:
    """Return the temperature of the least calibration error, the lowest of equals."""
    errors = [calibration_error(temper(proba, t), is_right) for t in TEMPERATURES]
    return float(TEMPERATURES[int(np.argmin(np.round(errors, 12)))])


def held_out_temperature(query: Query) -> float:
    """Return the temperature of a copy of the classifier on labels that it was not given.

    It is 1 where nothing can be held out: too few labels, or a classifier that is not to be
    fitted, cannot be with fewer labels, or does not know its classes.
    """
    n_held = int(HELD_OUT * len(query.labeled))
    held = np.sort(query.rng.permutation(len(query.labeled))[:n_held])
    found = query.model.right_without(held) if n_held and query.model is not None else None
    return 1.0 if found is None else best_temperature(*found)
