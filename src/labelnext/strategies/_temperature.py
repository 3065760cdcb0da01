"""The temperature at which a classifier's probabilities are calibrated."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from labelnext.estimators import proba_of
from labelnext.estimators.rows import take_rows

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
    clf = _fit_quietly(query, query.labeled[held]) if n_held else None
    classes = getattr(clf, "classes_", None)
    if clf is None or classes is None:
        return 1.0
    proba = proba_of(clf, take_rows(query.pool, query.labeled[held]))
    predicted = np.asarray(classes, dtype=object)[proba.argmax(axis=1)]
    return best_temperature(proba, predicted == query.labels[held].astype(object))


def _fit_quietly(query: Query, rows: NDArray[np.int64]) -> Any:
    with warnings.catch_warnings():
        # Said of the fit that counts, if there is anything to say.
        warnings.simplefilter("ignore")
        try:
            return query.fit_without(rows)
        except ValueError:
            # All the labels are enough for it, as for a cross-validation, and most of them not.
            return None
