"""What the results say: over all settings, and over groups of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from labelnext.experiment._results import holm, paired_p
from labelnext.utils.interval import mean_interval

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from benchmarks.quality.settings import Place
    from labelnext.experiment import Curves, Results

HERO, REFERENCE = "Badge", "random"
GROUPS: dict[str, Callable[[Place], bool]] = {
    "all": lambda place: True,
    "batches of 10": lambda place: place.budget.batch == 10,
    "batches of 100": lambda place: place.budget.batch == 100,
    "batches of 1,000": lambda place: place.budget.batch == 1_000,
    "digits and tables": lambda place: place.data.name in ("digits", "satellite", "letter"),
    "imbalanced": lambda place: place.data.name == "shuttle",
    "pictures, network": lambda place: place.data.name == "fashion",
    "fixed features": lambda place: place.model == "logistic",
    "fixed features, batches of 10": lambda place: (
        place.model == "logistic" and place.budget.batch == 10
    ),
    "fixed features, larger batches": lambda place: (
        place.model == "logistic" and place.budget.batch > 10
    ),
}


@dataclass(frozen=True)
class Summary:
    """All results there are, by setting."""

    results: Mapping[Place, Results]

    def strategies(self) -> list[str]:
        """Return the strategies of all settings, in the order of the first that has them all."""
        by_number = sorted(self.results.values(), key=lambda results: -len(results.strategies))
        return list(dict.fromkeys(name for of in by_number for name in of.strategies))

    def group(self, name: str) -> Summary:
        """Return those of one group of settings."""
        chosen = {place: of for place, of in self.results.items() if GROUPS[name](place)}
        return Summary(chosen)

    def curves(self) -> Iterator[tuple[Place, Curves]]:
        """Yield the learning curves of each setting."""
        for place, results in self.results.items():
            (curves,) = results.curves().values()
            yield place, curves

    def penalties(self) -> tuple[list[str], NDArray[np.float64]]:
        """Return the penalty matrix of the BADGE paper, least beaten strategies first.

        Strategies that were run in less than half of the settings are not in it. A pair that did
        not meet in all settings counts by its share of those in which it did, so that leaving a
        strategy out where it is too slow neither helps nor harms it.
        """
        names = [
            name
            for name in self.strategies()
            if 2 * sum(name in of.strategies for of in self.results.values()) >= len(self.results)
        ]
        found = np.full((len(self.results), len(names), len(names)), np.nan)
        for part, results in zip(found, self.results.values(), strict=True):
            kept = [i for i, name in enumerate(results.strategies) if name in names]
            rows = [names.index(results.strategies[i]) for i in kept]
            part[np.ix_(rows, rows)] = results.penalties().matrix[np.ix_(kept, kept)]
        met = np.isfinite(found).sum(axis=0)
        matrix = np.nansum(found, axis=0) / np.maximum(met, 1) * len(self.results)
        order = np.lexsort((-matrix.sum(axis=1), matrix.sum(axis=0)))
        return [names[i] for i in order], matrix[np.ix_(order, order)]

    def errors(self) -> dict[str, NDArray[np.float64]]:
        """Return errors as multiples of those of random choice, at the compared label counts."""
        found: dict[str, list[float]] = {name: [] for name in self.strategies()}
        for results in self.results.values():
            for name, values in results.normalized_errors().items():
                found[name].extend(values.tolist())
        return {name: np.sort(values) for name, values in found.items() if values}

    def error_by_place(self) -> dict[str, dict[Place, float]]:
        """Return the mean of these in each setting."""
        found: dict[str, dict[Place, float]] = {name: {} for name in self.strategies()}
        for place, results in self.results.items():
            for name, values in results.normalized_errors().items():
                if len(values):
                    found[name][place] = float(np.mean(values))
        return found

    def mean_error(self) -> dict[str, float]:
        """Return the geometric mean over the settings, for those that were run in all of them."""
        return {
            name: float(np.exp(np.mean(np.log([max(value, 1e-6) for value in found.values()]))))
            for name, found in self.error_by_place().items()
            if len(found) == len(self.results)
        }

    def against_hero(self) -> list[Test]:
        """Hold BADGE against each other strategy in each setting, corrected for all these tests."""
        tests = []
        for place, curves in self.curves():
            hero = curves.accuracy[HERO].mean(axis=1)
            for name, accuracy in curves.accuracy.items():
                differences = hero - accuracy.mean(axis=1)
                differences = differences[np.isfinite(differences)]
                if name != HERO and len(differences) > 1:
                    mean, half = map(float, mean_interval(differences))
                    tests.append(Test(place, name, mean, half, paired_p(differences), np.nan))
        corrected = holm([test.p for test in tests])
        return [test._replace(p_holm=float(p)) for test, p in zip(tests, corrected, strict=True)]

    def overall_tests(self) -> dict[str, Overall]:
        """Hold BADGE's errors against those of each other strategy, over data sets and models.

        What counts as one observation is a data set with a model, the mean over its batch sizes:
        settings that share their data are not independent.
        """
        errors = self.error_by_place()
        found = {}
        for name, of in errors.items():
            units: dict[tuple[str, str], list[float]] = {}
            for place, value in of.items():
                both = min(value, errors[HERO].get(place, 0.0))
                if name != HERO and both > 0:
                    ratio = float(np.log(errors[HERO][place] / value))
                    units.setdefault((place.data.name, place.model), []).append(ratio)
            logs = np.array([np.mean(ratios) for ratios in units.values()])
            if len(logs) > 2:
                mean, half = map(float, mean_interval(logs))
                found[name] = Overall(
                    *(float(np.exp(mean + side * half)) for side in (0, -1, 1)),
                    paired_p(logs),
                    np.nan,
                    len(logs),
                )
        return correct(found)

    def ratios(self) -> dict[str, Overall]:
        """Divide each strategy's errors by BADGE's, on these very data.

        Logarithms of the ratios are averaged over the batch sizes of a data set and model, seed by
        seed, as these share the data; how they vary over the seeds gives the error of the mean
        over all settings, and Welch and Satterthwaite its degrees of freedom. A strategy that was
        not run in all settings is left out. The intervals say nothing of other data.
        """
        by_data: dict[tuple[str, str], list[Curves]] = {}
        for place, curves in self.curves():
            by_data.setdefault((place.data.name, place.model), []).append(curves)
        found = {}
        for name in self.strategies():
            parts = [_log_ratios(name, of) for of in by_data.values()]
            if name != HERO and all(len(part) > 1 for part in parts):
                weights = [len(of) / len(self.results) for of in by_data.values()]
                mean = sum(w * part.mean() for w, part in zip(weights, parts, strict=True))
                found[name] = _overall(float(mean), weights, parts)
        return found

    def labels_needed(self) -> dict[Place, tuple[float, dict[str, Any]]]:
        """Count the labels to where random choice is in the end, a whole percent."""
        found = {}
        for place, curves in self.curves():
            final = float(np.nanmean(curves.accuracy[REFERENCE][:, -1]))
            level = int(100 * final + 1e-9) / 100
            found[place] = level, curves.labels_needed(level)
        return found

    def share_of_labels(self) -> dict[str, float]:
        """Return these as shares of those of random choice, averaged over the settings."""
        shares: dict[str, list[float]] = {name: [] for name in self.strategies()}
        for _, needed in self.labels_needed().values():
            for name, count in needed.items():
                shares[name].append(count.mean / needed[REFERENCE].mean)
        n = len(self.results)
        return {name: float(np.mean(of)) for name, of in shares.items() if len(of) == n}

    def seconds(self) -> dict[Place, dict[str, float]]:
        """Return the median time for a batch."""
        return {
            place: next(iter(of.select_seconds().values())) for place, of in self.results.items()
        }

    def classes_found(self) -> dict[Place, dict[str, float]]:
        """Return of how many classes the labels are in the end, on average."""
        return {
            place: {
                name: float(np.mean([run[-1].classes for run in of.complete(setting, name)] or 0))
                for name in of.strategies
            }
            for place, of in self.results.items()
            for setting in of.budgets
        }

    def standings(self) -> list[Standing]:
        """Say for each setting which strategy came first, and where BADGE stands."""
        found = []
        for place, curves in self.curves():
            means = {name: accuracy.mean(axis=1) for name, accuracy in curves.accuracy.items()}
            known = {name: np.nanmean(of) for name, of in means.items() if np.isfinite(of).any()}
            order = sorted(known, key=lambda name: -known[name])
            best = next(name for name in order if name != HERO)
            behind = means[HERO] - means[best]
            mean, half = map(float, mean_interval(behind[np.isfinite(behind)]))
            found.append(
                Standing(
                    place,
                    len(curves.seeds),
                    order[0],
                    order.index(HERO) + 1,
                    len(order),
                    best,
                    mean,
                    half,
                )
            )
        return found


class Test(NamedTuple):
    """BADGE against another strategy in one setting, in accuracy averaged over the curve."""

    place: Place
    other: str
    difference: float
    half: float
    p: float
    p_holm: float

    @property
    def verdict(self) -> str:
        """Whether BADGE is clearly better, clearly worse, or neither."""
        if not self.p_holm < 0.05:
            return "neither"
        return "better" if self.difference > 0 else "worse"


class Overall(NamedTuple):
    """A ratio of errors, BADGE's and another strategy's, with its 95 % interval."""

    ratio: float
    low: float
    high: float
    p: float
    p_holm: float
    n: int


class Standing(NamedTuple):
    """Where BADGE stands in one setting."""

    place: Place
    n_seeds: int
    first: str
    rank: int
    n_strategies: int
    best_other: str
    difference: float
    half: float


def _log_ratios(name: str, of: Sequence[Curves]) -> NDArray[np.float64]:
    """Return how errors compare with BADGE's, for each seed the mean over several curves."""
    seeds = sorted(set.intersection(*(set(curves.seeds) for curves in of)))
    per_curve = []
    for curves in of:
        rows = [curves.seeds.index(seed) for seed in seeds]
        if name not in curves.accuracy:
            return np.empty(0)
        # The start is the same for all.
        errors, own = (1 - curves.accuracy[which][rows, 1:].mean(axis=1) for which in (name, HERO))
        per_curve.append(np.log(np.maximum(errors, 1e-6) / np.maximum(own, 1e-6)))
    means = np.mean(per_curve, axis=0)
    return np.asarray(means[np.isfinite(means)])


def _overall(
    mean: float, weights: Sequence[float], parts: Sequence[NDArray[np.float64]]
) -> Overall:
    """Test a weighted mean of the means of independent parts."""
    from scipy.stats import t

    variances = np.array(
        [w**2 * part.var(ddof=1) / len(part) for w, part in zip(weights, parts, strict=True)]
    )
    total = float(variances.sum())
    n = min(map(len, parts))
    if total == 0:
        return Overall(*(float(np.exp(mean)),) * 3, 1.0 if mean == 0 else 0.0, np.nan, n)
    freedom = total**2 / sum(
        v**2 / (len(part) - 1) for v, part in zip(variances, parts, strict=True)
    )
    half = float(t.ppf(0.975, freedom)) * total**0.5
    p = float(2 * t.sf(abs(mean) / total**0.5, freedom))
    return Overall(*(float(np.exp(mean + side * half)) for side in (0, -1, 1)), p, np.nan, n)


def correct(tests: Mapping[Any, Overall]) -> dict[Any, Overall]:
    """Correct the p-values for the number of tests."""
    corrected = holm([test.p for test in tests.values()])
    return {
        key: test._replace(p_holm=float(p))
        for (key, test), p in zip(tests.items(), corrected, strict=True)
    }


def order_by(values: Mapping[str, float], names: Sequence[str]) -> list[str]:
    """Sort strategies by a number, those without one last."""
    return sorted(names, key=lambda name: (name not in values, values.get(name, 0.0)))
