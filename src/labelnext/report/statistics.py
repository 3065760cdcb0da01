"""What a loop's labels say: of the model, of the labels saved, of the people, and when to stop."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from labelnext.estimators import linear
from labelnext.experiment import fallen_at, stable_at
from labelnext.pools import open_pool
from labelnext.report import told
from labelnext.report.read import Read
from labelnext.report.told import Point
from labelnext.utils.agreement import kappa
from labelnext.utils.interval import first_reached, wilson

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from labelnext.report.told import Agreement

    Floats = NDArray[np.float64]
    Rows = NDArray[np.int64]

# With fewer nothing is estimated, which could only mislead.
FEW_RANDOM = 10
# Models along the loop, resamples, and models on resamples of the random slice.
ALONG, RESAMPLES, REDRAWN = 12, 1000, 20
STOP_SET = 2000
AGAIN = (
    "Remove its folder `features`: `labelnext loop report --features --force` computes them again."
)


@dataclass
class Saved:
    """What the loop's order saved, against the labels of its random slices alone."""

    random: int
    accuracy: float
    needed: int
    saved: tuple[float, float]
    along: list[Point]
    at_random: list[Point]


@dataclass
class Statistics:
    """All that a report tells; empty or None where it cannot be told, and `why` says so."""

    curves: dict[str, dict[str, list[Point]]]
    right: dict[str, list[Point]]
    saved: Saved | None
    agreement: Agreement | None
    times: dict[str, tuple[int, float, float, float]]
    stability: list[Point]
    potential: list[Point]
    advice: dict[str, int | None]
    why: dict[str, str] = field(default_factory=dict)


def statistics(loop: Any) -> Statistics:
    """
    Read all that a loop's labels say.

    Parameters
    ----------
    loop : Loop
        The loop.

    Returns
    -------
    Statistics
        The numbers of its report.

    Examples
    --------
    >>> import tempfile
    >>> from labelnext.loop import Loop
    >>> from labelnext.report.statistics import statistics
    >>> folder = tempfile.TemporaryDirectory()
    >>> loop = Loop.create(folder.name + "/loop", ["fine", "broke"], classes=["good", "bad"])
    >>> _ = loop.add_labels(["0", "1"], ["good", "bad"], annotator="ann", source="memory")
    >>> statistics(loop).why["saved"][:32]
    "It takes the loop's features, wh"
    >>> folder.cleanup()
    """
    return statistics_of(Read(loop))


def statistics_of(of: Read) -> Statistics:
    """Return the statistics of a loop that is being read."""
    why: dict[str, str] = {}
    models = _models(of, why)
    stability, potential = _stability(of, models), _potential(of)
    advice = {}
    if len(stability) > 1:
        at = stable_at([np.nan, *(point.value for point in stability[1:])])
        advice["agreement"] = None if at is None else stability[at].round
    if len(potential) > 1:
        at = fallen_at([point.value for point in potential])
        advice["potential"] = None if at is None else potential[at].round
    return Statistics(
        curves=_curves(of, models, why),
        right=_right(of),
        saved=_saved(of, models, why),
        agreement=told.agreement(of),
        times=told.times(of),
        stability=stability,
        potential=potential,
        advice=advice,
        why=why,
    )


def _curves(
    of: Read, models: _Models | None, why: dict[str, str]
) -> dict[str, dict[str, list[Point]]]:
    """Return what each model reached on the test set, by metric, over the labels.

    Where nobody has said what a model reached, it is what the default model would have.
    """
    if (found := told.curves(of)) or models is None:
        return found
    n = len(of.test.labeled)
    computed = [
        (number, labels, name, value, n)
        for number, labels, predicted in models.rounds
        for name, value in linear.measure(of.task, of.test.y, predicted).items()
    ]
    if computed:
        why["curves"] = (
            "The loop was told no metrics, so these are of the default model on the loop's "
            "features, computed for this report."
        )
    return {"default": told.with_intervals(computed)} if computed else {}


def _right(of: Read) -> dict[str, list[Point]]:
    """Return how often the last model was right before it saw the labels, by kind of pick."""
    found: dict[str, list[Point]] = {}
    for kind in ("random", "strategy") if of.task == "multiclass" else ():
        points = []
        for each in of.comparable:
            right = [
                pick["pseudo_label"] == of.labels.y[of.row[pick["id"]]]
                for pick in of.picks[each["number"]]
                if pick["kind"] == kind
                and pick["pseudo_label"] is not None
                and pick["id"] in of.labeled
            ]
            if right:
                low, high = map(float, wilson(sum(right), len(right)))
                before = of.labels_until(each["number"] - 1)
                share = sum(right) / len(right)
                points.append(Point(each["number"], before, share, low, high, len(right)))
        if points:
            found[kind] = points
    return found


def no_features(of: Read) -> str:
    """Say how to get the loop's features."""
    if not of.chosen:
        return "It takes the loop's features, which `labelnext loop next` computes."
    return (
        "It takes the loop's features, and the rounds were chosen without: "
        "`labelnext loop report --features --force` computes them, and chooses nothing."
    )


class _Models(NamedTuple):
    """Features and labels to train the default model on, and what it says of all samples."""

    fit: Any
    rounds: list[tuple[int, int, NDArray[Any]]]


def _models(of: Read, why: dict[str, str]) -> _Models | None:
    """Train the default model after each round, where there are features."""
    folder = of.loop.folder / "features"
    if not folder.is_dir():
        why["saved"] = no_features(of)
        return None
    try:
        X = linear.scaled(open_pool(folder).features[:])
    except (OSError, ValueError):  # which would tell where files are
        why["saved"] = f"The loop's features cannot be read. {AGAIN}"
        return None
    if len(X) != len(of.labels.y):
        why["saved"] = f"The loop's features are of other samples. {AGAIN}"
        return None

    def fit(rows: Sequence[int]) -> NDArray[Any]:
        known = of.labels.y
        y = np.full(len(known), np.nan if of.task == "regression" else None, known.dtype)
        y[list(rows)] = known[list(rows)]
        predicted = linear.FITS[of.task](X, y, of.loop.classes)[1]
        if predicted is None:  # one class, or number, is all that it has seen
            predicted = np.full(len(y), y[rows[0]], y.dtype)
        return predicted  # type: ignore[no-any-return]

    order = of.order(("strategy", "random"))
    rounds: list[tuple[int, int, NDArray[Any]]] = []
    for each in of.chosen:
        n = of.labels_until(each["number"])
        if 0 < n <= len(order) and (not rounds or n > rounds[-1][1]):
            rounds.append((each["number"], n, fit(order[:n])))
    return _Models(fit, rounds)


def _saved(of: Read, models: _Models | None, why: dict[str, str]) -> Saved | None:
    """Hold the loop's order against its random slices, with one model and on the test set."""
    if of.task != "multiclass":
        why["saved"] = "It is told for classes, of which a sample has one."
        return None
    if models is None:
        return None
    testing = of.test.labeled
    order, at_random = of.order(("strategy", "random")), of.order(("random",))
    lacks, how = [], []
    if len(testing) < told.FEW_TEST:
        lacks.append(f"{told.FEW_TEST} labels of the test set (there are {len(testing)})")
        large = of.at["test"] >= told.FEW_TEST
        larger = f"make a loop with a larger one, {told.with_test_set(of.at['samples'])}"
        how.append("`labelnext loop label`" if large else larger)
    if len(at_random) < FEW_RANDOM:
        lacks.append(f"{FEW_RANDOM} labels of random picks (there are {len(at_random)})")
        how.append(
            f"`labelnext loop next --strategy random`{of.as_before}, then `labelnext loop label`"
        )
    if lacks:
        why["saved"] = f"It takes {' and '.join(lacks)}: {'; '.join(how)}."
        return None
    truth, rng = of.test.y[testing], np.random.default_rng(0)

    def right(rows: Sequence[int]) -> NDArray[np.bool_]:
        return np.asarray(models.fit(rows)[testing] == truth, dtype=bool)

    counts = np.unique(np.geomspace(min(5, len(order)), len(order), ALONG).astype(np.int64))
    along = np.array([right(order[:n]) for n in counts])
    m = len(at_random)
    some = np.unique(np.geomspace(min(5, m), m, 5).astype(np.int64))
    sliced = np.array([right(at_random[:n]) for n in some])
    # The slices are one draw of many: others are like draws from them.
    drawn = np.array([right(rng.choice(at_random, m).tolist()) for _ in range(REDRAWN)])
    times = rng.multinomial(len(testing), np.full(len(testing), 1 / len(testing)), RESAMPLES)
    weights = times / len(testing)
    level = sliced[-1].mean()
    # Bootstrapped models see fewer samples: they tell the spread, not the level.
    levels = level + (weights @ drawn.T - drawn.mean())[np.arange(RESAMPLES), _turns()]
    needed = first_reached(counts, _from_there_on(along.mean(axis=1)[None]), level)[0][0]
    ahead = _from_there_on(weights @ along.T - levels[:, None])
    spread, _ = first_reached(counts, ahead, 0.0)
    low, high = np.quantile(m - spread, [0.025, 0.975])
    n = len(testing)

    def points(at: Rows, values: NDArray[np.bool_]) -> list[Point]:
        hits = values.sum(axis=1)
        lows, highs = wilson(hits, n)
        rows = zip(at, hits / n, lows, highs, strict=True)
        return [Point(-1, int(c), float(v), float(a), float(b), n) for c, v, a, b in rows]

    return Saved(
        *(m, float(level), int(needed), (float(low), float(high))),
        *(points(counts, along), points(some, sliced)),
    )


def _from_there_on(curves: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the least that each curve is from each point on: a lucky peak is no saving."""
    return np.minimum.accumulate(curves[:, ::-1], axis=1)[:, ::-1]


def _turns() -> Rows:
    return np.arange(RESAMPLES) % REDRAWN


def _stability(of: Read, models: _Models | None) -> list[Point]:
    """Return kappa of the predictions of successive models, on samples drawn from the pool."""
    if models is None or not models.rounds or of.task != "multiclass":
        return []
    rng, n = np.random.default_rng(1), len(of.labels.y)
    rows = np.sort(rng.choice(n, min(STOP_SET, n), replace=False))
    found, before = [], None
    for number, labels, predicted in models.rounds:
        now = predicted[rows].astype(str)
        found.append(Point(number, labels, np.nan if before is None else kappa(before, now)))
        before = now
    return found


def _potential(of: Read) -> list[Point]:
    """Return the mean D² that each batch left over what could still be picked.

    A round that has brought no label tells nothing new; another model has other distances.
    """
    n, found = of.at["samples"] - of.at["test"], list[Point]()
    for each in of.comparable:
        known = [p["potential"] for p in of.picks[each["number"]] if p["potential"] is not None]
        labels = of.labels_until(each["number"])
        if known and n > labels > (found[-1].labels if found else 0):
            found.append(Point(each["number"], labels, known[-1] / (n - labels)))
    return found
