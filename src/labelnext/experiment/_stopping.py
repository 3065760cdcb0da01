"""When one could have stopped: advice from what needs no labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from labelnext.experiment._experiment import Setting
    from labelnext.experiment._rounds import Round

# Bloodgood and Vijay-Shanker's threshold, and over how many comparisons they average.
AGREEMENT, WINDOW = 0.99, 3
# No paper says where the potential is low enough. A tenth of what it was at its highest.
FALL = 0.1


class StoppingAdvice(NamedTuple):
    """When one strategy could have stopped in one setting, on average over the seeds.

    Two rules, which see no labels but those that were bought. Predictions are stable when the
    agreement (Cohen's kappa) of each model's predictions with those of the model before is at
    least 0.99 on average over three rounds [1]_. The potential has fallen when the mean D² that a
    batch leaves is at most a tenth of the most that any batch so far has left, two rounds in a
    row.

    Parameters
    ----------
    setting : Setting
        What it was run in.
    strategy : str
        The strategy.
    rule : {"agreement", "potential"}
        The rule.
    reached : int
        At how many seeds the rule would have stopped the run.
    n_seeds : int
        Of how many.
    labels : float
        The mean number of labels at that point, over the seeds at which there was one.
    accuracy : float
        The mean accuracy there.
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
    """Return the first round at which predictions were stable, or None.

    Examples
    --------
    >>> stable_at([float("nan"), 0.9, 0.985, 0.995, 1.0])
    4
    """
    values = np.asarray(agreement, dtype=np.float64)
    for place in range(WINDOW, len(values)):
        if np.mean(values[place - WINDOW + 1 : place + 1]) >= AGREEMENT:
            return place
    return None


def fallen_at(potential: Sequence[float]) -> int | None:
    """Return the first round at which the potential had fallen, or None.

    Examples
    --------
    >>> fallen_at([2.0, 4.0, 0.3, 1.0, 0.3, 0.2, float("nan")])
    5
    """
    values = np.asarray(potential, dtype=np.float64)
    values = values[np.isfinite(values)]
    low = values <= FALL * np.maximum.accumulate(values)
    twice = np.flatnonzero(low[1:] & low[:-1])
    return int(twice[0]) + 1 if len(twice) else None


def advise(
    setting: Setting, strategy: str, runs: Sequence[Sequence[Round]]
) -> list[StoppingAdvice]:
    """Apply both rules to the runs of a strategy that came to their end."""
    advice = []
    for rule in ("agreement", "potential"):
        stops = []
        for steps in runs:
            at = (
                stable_at([step.agreement for step in steps])
                if rule == "agreement"
                else fallen_at([step.potential for step in steps])
            )
            if at is not None:
                stops.append((steps[at].labels, steps[at].accuracy, steps[-1].accuracy))
        means = np.mean(stops, axis=0) if stops else np.full(3, np.nan)
        labels, accuracy, final = map(float, means)
        advice.append(
            StoppingAdvice(setting, strategy, rule, len(stops), len(runs), labels, accuracy, final)
        )
    return advice
