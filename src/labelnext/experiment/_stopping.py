"""When one could have stopped: advice from what needs no labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from labelnext.engine import open_gradients
from labelnext.estimators import proba_and_features
from labelnext.estimators.rows import take_rows
from labelnext.pools.pool import Pool
from labelnext.utils.agreement import kappa

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from labelnext.experiment._records import Round, Setting

# As many as Bloodgood and Vijay-Shanker took.
STOP_SET = 2000
# Bloodgood and Vijay-Shanker's threshold, and over how many comparisons they average.
AGREEMENT, WINDOW = 0.99, 3
# No paper says where the potential is low enough. A tenth of what it was at its highest.
FALL = 0.1


class Watched:
    """A stop set: rows of the pool on which the models of a run are compared, without labels.

    The seed draws it, the same for all strategies; see `StoppingAdvice`.
    """

    def __init__(self, X: Any, seed: int) -> None:
        # Another stream than that of the start.
        rng = np.random.default_rng([seed, 1])
        n = X.shape[0]
        self.rows = np.sort(rng.choice(n, min(STOP_SET, n), replace=False))
        self._X = X
        self._before: NDArray[Any] | None = None

    def agreement(self, predict: Callable[[NDArray[np.int64]], NDArray[Any]]) -> float:
        """Compare predictions with those of the call before; NaN at the first."""
        now, before = predict(self.rows), self._before
        self._before = now
        return float("nan") if before is None else kappa(before, now)

    def potential(self, model: Any, labelled: NDArray[np.int64], picks: NDArray[np.int64]) -> float:
        """Measure the mean D² that a batch leaves on what is unlabelled of the stop set."""
        open_rows = np.setdiff1d(self.rows, labelled)
        rows = np.union1d(open_rows, picks)
        if not hasattr(model, "predict_proba") or not len(open_rows):
            return float("nan")
        try:
            pool = open_gradients(Pool(*proba_and_features(model, take_rows(self._X, rows))))
        except (TypeError, ValueError):
            # No numbers to make gradients of. The run itself can do without them.
            return float("nan")
        places = np.searchsorted(rows, picks)
        state = pool.start(np.empty(0, np.int64))
        state.min_update(pool.gather(places), places)
        return float(state.total * 2.0**-state.exponent / len(open_rows))


class StoppingAdvice(NamedTuple):
    """When one strategy could have stopped in one setting, on average over the seeds.

    Two rules, which see no labels but those that were bought. Predictions are stable when Cohen's
    kappa of successive models is at least 0.99 on average over three rounds [1]_. The potential
    has fallen when the mean D² that a batch leaves is at most a tenth of the most that any batch
    so far has left, two rounds in a row.

    Parameters
    ----------
    setting, strategy : Setting, str
        What was run.
    rule : {"agreement", "potential"}
        The rule.
    reached, n_seeds : int
        At how many seeds the rule would have stopped the run, of how many.
    labels, accuracy : float
        The mean number of labels and accuracy at that point, over the seeds at which there was one.
    final : float
        The mean accuracy of the same runs in the end: what stopping would have cost.

    References
    ----------
    .. [1] M. Bloodgood and K. Vijay-Shanker, "A method for stopping active learning based on
       stabilizing predictions and the need for user-adjustable stopping", CoNLL 2009.
    """

    setting: Setting
    strategy: str
    rule: str
    reached: int
    n_seeds: int
    labels: float
    accuracy: float
    final: float


def stable_at(agreement: Sequence[float]) -> int | None:
    """Return the first round at which predictions were stable, or None."""
    values = np.asarray(agreement, dtype=np.float64)
    for place in range(WINDOW, len(values)):
        if np.mean(values[place - WINDOW + 1 : place + 1]) >= AGREEMENT:
            return place
    return None


def fallen_at(potential: Sequence[float]) -> int | None:
    """Return the first round at which the potential had fallen, or None."""
    values = np.asarray(potential, dtype=np.float64)
    values = values[np.isfinite(values)]
    low = values <= FALL * np.maximum.accumulate(values)
    twice = np.flatnonzero(low[1:] & low[:-1])
    return int(twice[0]) + 1 if len(twice) else None


def advise(
    setting: Setting, strategy: str, runs: Sequence[Sequence[Round]]
) -> Iterator[StoppingAdvice]:
    """Apply both rules to the runs of a strategy that came to their end."""
    for rule, stop in (("agreement", stable_at), ("potential", fallen_at)):
        stops = []
        for steps in runs:
            at = stop([getattr(step, rule) for step in steps])
            if at is not None:
                stops.append((steps[at].labels, steps[at].accuracy, steps[-1].accuracy))
        means = np.mean(stops, axis=0) if stops else np.full(3, np.nan)
        labels, accuracy, final = map(float, means)
        yield StoppingAdvice(
            setting, strategy, rule, len(stops), len(runs), labels, accuracy, final
        )
