"""What a loop was told, no model needed: what was reached, who agrees, how long a label takes."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from labelnext.utils.agreement import Pair, alpha, pairs
from labelnext.utils.interval import wilson

if TYPE_CHECKING:
    from collections.abc import Iterable

    from labelnext.report.read import Read

# With fewer common samples nothing is estimated of two people, which could only mislead.
FEW_COMMON = 10
# With fewer of the test set nothing is estimated, which could only mislead.
FEW_TEST = 20
# Endings of the names of metrics that are shares of something; of others nobody knows.
SHARES = ("accuracy", "f1", "precision", "recall")


class Point(NamedTuple):
    """A value at a number of labels, with a 95 % interval; NaN where none is known."""

    round: int
    labels: int
    value: float
    low: float = np.nan
    high: float = np.nan
    n: int = 0


class Agreement(NamedTuple):
    """Krippendorff's alpha with its interval, of how many samples, and each two people."""

    alpha: tuple[float, float, float]
    common: int
    pairs: list[Pair]


def with_test_set(n_samples: int) -> str:
    """Return the command that makes a loop with a test set: a tenth, of what can tell anything."""
    n = max(1, min(200, max(FEW_TEST, n_samples // 10), n_samples - 1))
    return f"`labelnext loop init SAMPLES --test {n} --loop NEW`"


def named_share(name: str) -> bool:
    """Tell whether a metric of that name is a share of something."""
    return name.endswith(SHARES)


def curves(of: Read, split: str = "test") -> dict[str, dict[str, list[Point]]]:
    """Return what each model reached, by metric, over the labels; the newest model is first."""
    told = [each for each in of.metrics if each["split"] == split and each["value"] is not None]
    found: dict[str, Any] = {each["model"]: [] for each in reversed(told)}
    for each in told:
        known = each["round"], each["labels"], each["name"], float(each["value"])
        found[each["model"]].append((*known, each["tested"] or 0))
    return {model: with_intervals(points) for model, points in found.items()}


def newest(of: Read) -> dict[str, list[Point]]:
    """Return the curves of the model that was measured last."""
    return next(iter(curves(of).values()), {})


def with_intervals(told: Iterable[tuple[int, int, str, float, int]]) -> dict[str, list[Point]]:
    """Return rounds, numbers of labels, metrics, values, and on how many measured, as curves."""
    found: dict[str, list[Point]] = defaultdict(list)
    for number, labels, name, value, n in sorted(told):
        low = high = np.nan
        # A share of right ones; of other metrics no interval is known.
        if name == "accuracy" and n and 0 <= value <= 1:
            low, high = map(float, wilson(value * n, n))
        found[name].append(Point(number, labels, value, low, high, n))
    return dict(found)


def agreement(of: Read) -> Agreement | None:
    """Compare what people say of the same samples, of each the latest; None if there are none."""
    if not (shared := _shared(of)):
        return None
    numbers = of.task == "regression"
    found = alpha([list(votes.values()) for votes in shared], numbers=numbers)
    return Agreement(found, len(shared), compared(of))


def compared(of: Read) -> list[Pair]:
    """Compare each two people; kappa is NaN where it could only mislead."""
    numbers = of.task == "regression"
    return [
        pair._replace(kappa=np.nan) if numbers or pair.n < FEW_COMMON else pair
        for pair in pairs(_shared(of))
    ]


def _shared(of: Read) -> list[dict[str, Any]]:
    """Return what people say of samples of which several do, in values that can be counted."""
    return [
        {who: json.dumps(v) if isinstance(v, list) else v for who, v in votes.items()}
        for votes in of.votes
        if len(votes) > 1
    ]


def times(of: Read) -> dict[str, tuple[int, float, float, float]]:
    """Return of each person how many labels were timed, and quartiles of the seconds for one."""
    spent: dict[str, list[float]] = defaultdict(list)
    for event in of.events:
        if event.action in ("label", "import") and event.milliseconds:
            spent[event.annotator].append(event.milliseconds / 1000)
    found = {}
    for who, values in sorted(spent.items()):
        low, middle, high = map(float, np.quantile(values, [0.25, 0.5, 0.75]))
        found[who] = (len(values), low, middle, high)
    return found
