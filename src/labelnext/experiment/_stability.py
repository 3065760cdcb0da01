"""What tells when to stop: how much predictions still change, and what a batch leaves to cover."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from labelnext.estimators.rows import take_rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from labelnext.experiment._split import Split

# As many as Bloodgood and Vijay-Shanker took.
STOP_SET = 2000


class Watched:
    """A stop set: rows of the pool on which the models of a run are compared, without labels.

    Bloodgood and Vijay-Shanker, "A method for stopping active learning based on stabilizing
    predictions and the need for user-adjustable stopping" (CoNLL 2009), section 3.

    Parameters
    ----------
    parts : Split
        The pool; its seed draws the set, the same for all strategies.
    """

    def __init__(self, parts: Split) -> None:
        n = len(parts.y)
        # Another stream than that of the start.
        rng = np.random.default_rng([parts.seed, 1])
        self._parts = parts
        self._rows = np.sort(rng.choice(n, min(STOP_SET, n), replace=False))
        self._before: NDArray[Any] | None = None

    def agreement(self, predict: Callable[[NDArray[np.int64]], NDArray[Any]]) -> float:
        """Compare predictions with those of the call before; NaN at the first."""
        now, before = predict(self._rows), self._before
        self._before = now
        return float("nan") if before is None else kappa(before, now)

    def potential(self, model: Any, labelled: NDArray[np.int64], picks: NDArray[np.int64]) -> float:
        """Measure the mean D² that a batch leaves on what is unlabelled of the stop set."""
        from labelnext.engine import as_gradients
        from labelnext.estimators import proba_and_features

        open_rows = np.setdiff1d(self._rows, labelled)
        rows = np.union1d(open_rows, picks)
        if not hasattr(model, "predict_proba") or not len(open_rows):
            return float("nan")
        try:
            pool = as_gradients(*proba_and_features(model, take_rows(self._parts.X, rows)))
        except (TypeError, ValueError):
            # No numbers to make gradients of. The run itself can do without them.
            return float("nan")
        places = np.searchsorted(rows, picks)
        state = pool.start(np.empty(0, np.int64))
        state.min_update(pool.gather(places), places)
        return float(state.total * 2.0**-state.exponent / len(open_rows))


def kappa(first: NDArray[Any], second: NDArray[Any]) -> float:
    """Return Cohen's kappa of two lists of labels: 1 if they are equal, 0 if by chance as equal.

    Examples
    --------
    >>> import numpy as np
    >>> kappa(np.array([0, 0, 1, 1]), np.array([0, 0, 1, 0]))
    0.5
    >>> kappa(np.array([1, 1]), np.array([1, 1]))
    1.0
    """
    observed = float(np.mean(first == second))
    if observed == 1.0:
        return 1.0  # also where both know one class only, for which kappa is not defined
    by_chance = sum(
        float(np.mean(first == label) * np.mean(second == label)) for label in np.unique(first)
    )
    return (observed - by_chance) / (1 - by_chance)
