"""All that came out of an experiment, and what can be read from it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelnext.experiment._records import (
    Budget,
    Columns,
    Curves,
    Failure,
    Needed,
    PairedTest,
    Penalties,
    Round,
    Setting,
    as_columns,
    whole,
)
from labelnext.experiment._stopping import StoppingAdvice, advise
from labelnext.utils.interval import mean_interval
from labelnext.utils.libraries import require

MEASURES = ("labels", "classes", "accuracy", "agreement", "potential", "fit_seconds")


@dataclass(frozen=True)
class Findings:
    """All of `Results` but the report, which is made of it."""

    rounds: Mapping[tuple[Setting, str, int], tuple[Round, ...]]
    failures: tuple[Failure, ...]
    budgets: Mapping[Setting, Budget]
    strategies: tuple[str, ...]
    seeds: tuple[int, ...]
    reference: str
    levels: tuple[float, ...] = ()

    def to_dict(self) -> Columns:
        """Return all rounds as lists by column, one entry for each round.

        The columns are those of `Setting`, strategy, seed, round, and those of `Round`.
        """
        rows = [
            (
                *setting,
                strategy,
                seed,
                place,
                *(getattr(step, name) for name in MEASURES),
                # No batch is chosen in the last round: that is no choice in no time.
                step.select_seconds if len(step.picks) else float("nan"),
            )
            for (setting, strategy, seed), steps in self.rounds.items()
            for place, step in enumerate(steps)
        ]
        setting = ("data", "model", "start", "batch")
        return as_columns(
            (*setting, "strategy", "seed", "round", *MEASURES, "select_seconds"), rows
        )

    def to_frame(self) -> Any:
        """Return `to_dict` as a frame, one row for each round; needs pandas."""
        pandas = require("pandas", extra="pandas", what="to_frame")
        return pandas.DataFrame(self.to_dict())

    def curves(self) -> dict[Setting, Curves]:
        """Return the learning curves of each setting, NaN where a run failed."""
        found = {}
        for setting, budget in self.budgets.items():
            shape = (len(self.seeds), budget.rounds + 1)
            accuracy = {name: np.full(shape, np.nan) for name in self.strategies}
            for name, curves in accuracy.items():
                for curve, seed in zip(curves, self.seeds, strict=True):
                    steps = self.rounds[setting, name, seed]
                    curve[: len(steps)] = [step.accuracy for step in steps]
            found[setting] = Curves(budget.labels, accuracy, self.seeds)
        return found

    def labels_needed(self, level: float) -> dict[Setting, dict[str, Needed]]:
        """Count the labels at which each strategy first measured at least an accuracy.

        Parameters
        ----------
        level : float
            The accuracy, from 0 to 1.

        Returns
        -------
        dict of Setting to dict of str to Needed
            Mean and interval by setting and strategy; see `Curves.labels_needed`.
        """
        return {setting: curve.labels_needed(level) for setting, curve in self.curves().items()}

    def paired_tests(self) -> list[PairedTest]:
        """Compare all pairs of strategies in all settings, seed by seed.

        These are two-sided paired t-tests on the accuracy averaged over the curve, with p-values
        corrected for their number by Holm's method.
        """
        found = []
        for setting, curve in self.curves().items():
            for first, second in combinations(curve.accuracy, 2):
                means = (curve.accuracy[first] - curve.accuracy[second]).mean(axis=1)
                means = means[np.isfinite(means)]
                mean, half = map(float, mean_interval(means)) if len(means) else (np.nan, np.nan)
                test = (mean, half, paired_p(means), np.nan, len(means))
                found.append(PairedTest(setting, first, second, *test))
        corrected = holm([test.p for test in found]).tolist()
        return [test._replace(p_holm=p) for test, p in zip(found, corrected, strict=True)]

    def penalties(self) -> Penalties:
        """Count how often one strategy beats another, as the BADGE paper does [1]_.

        In each setting, label counts that double (1, 2, 4, ... batches after the start) are
        compared, up to where the reference strategy is at 99 % of its final accuracy. At each, a
        strategy beats another if a two-sided paired t-test over the seeds says so with p < 0.05,
        which adds one over their number to the matrix: each setting counts alike.

        The paper divides the sums of columns by the number of strategies, which leaves their order
        as it is.

        References
        ----------
        .. [1] J. T. Ash et al., "Deep batch active learning by diverse, uncertain gradient lower
           bounds", ICLR 2020, section 4.
        """
        matrix = np.zeros((len(self.strategies), len(self.strategies)))
        for curve in self.curves().values():
            points = compared_points(curve, self.reference)
            for (i, winner), (j, loser) in permutations(enumerate(self.strategies), 2):
                for column in (curve.accuracy[winner] - curve.accuracy[loser])[:, points].T:
                    known = column[np.isfinite(column)]
                    if len(known) and known.mean() > 0 and paired_p(known) < 0.05:
                        matrix[i, j] += 1 / len(points)
        return Penalties(self.strategies, matrix, len(self.budgets), matrix.sum(axis=0))

    def normalized_errors(self) -> dict[str, NDArray[np.float64]]:
        """Divide mean errors by those of the reference strategy, as the BADGE paper does.

        For each strategy the quotients are sorted, one for each label count that `penalties`
        compares: below 1 it did better than the reference.
        """
        found: dict[str, list[float]] = {name: [] for name in self.strategies}
        for curve in self.curves().values():
            points = compared_points(curve, self.reference)
            both = np.isfinite(curve.accuracy[self.reference]).all(axis=1)
            for name, errors in found.items():
                rows = both & np.isfinite(curve.accuracy[name]).all(axis=1)
                if rows.any():
                    error, measure = (
                        1 - curve.accuracy[which][rows][:, points].mean(axis=0)
                        for which in (name, self.reference)
                    )
                    # A reference without any error leaves nothing to divide by.
                    errors.extend((error[measure > 0] / measure[measure > 0]).tolist())
        return {name: np.sort(values) for name, values in found.items()}

    def stopping(self) -> list[StoppingAdvice]:
        """Say when each strategy could have stopped, by two rules. No run was stopped by them."""
        return [
            advice
            for setting in self.budgets
            for strategy in self.strategies
            for advice in advise(setting, strategy, self.complete(setting, strategy))
        ]

    def complete(self, setting: Setting, strategy: str) -> list[tuple[Round, ...]]:
        """Return the runs of a strategy that came to their end, in the order of the seeds."""
        runs = (self.rounds[setting, strategy, seed] for seed in self.seeds)
        return [steps for steps in runs if len(steps) > self.budgets[setting].rounds]

    def select_seconds(self) -> dict[Setting, dict[str, float]]:
        """Return how many seconds choosing a batch took on one core, the median; NaN for none."""
        return {
            setting: {
                strategy: _mean(
                    (
                        step.select_seconds
                        for seed in self.seeds
                        for step in self.rounds[setting, strategy, seed]
                        if len(step.picks)
                    ),
                    of=np.median,
                )
                for strategy in self.strategies
            }
            for setting in self.budgets
        }

    def tables(self) -> dict[str, Columns]:
        """Lay out all that a report tells, as columns by the names of its files.

        These are ``summary``, ``labels-needed``, ``paired-tests``, ``penalties``, ``stopping``,
        ``seconds``, ``final-accuracy``, ``results``, and ``failures`` if there are any.
        """
        tables = {
            "summary": self._summary(),
            "labels-needed": self._labels_needed(),
            "paired-tests": _of_records(PairedTest, self.paired_tests()),
            "penalties": self._penalties(),
            "stopping": _of_records(StoppingAdvice, self.stopping()),
            "seconds": self._by_setting(self.select_seconds()),
            "final-accuracy": self._by_setting(
                {setting: _final(curve) for setting, curve in self.curves().items()}
            ),
            "results": self.to_dict(),
        }
        if self.failures:
            tables["failures"] = _of_records(Failure, self.failures)
            del tables["failures"]["details"]
        return tables

    def _by_setting(self, found: Mapping[Setting, Mapping[str, float]]) -> Columns:
        rows = ((str(setting), *values.values()) for setting, values in found.items())
        return as_columns(("setting", *self.strategies), rows)

    def _summary(self) -> Columns:
        """Sum up each strategy over all settings."""
        penalties, errors = self.penalties(), self.normalized_errors()
        curves = self.curves().values()
        seconds = self.select_seconds().values()
        names = self.strategies
        whole_curves = {name: [whole(curve, name) for curve in curves] for name in names}
        return {
            "strategy": list(names),
            "mean accuracy": [
                _mean(float(np.mean(rows)) for rows in whole_curves[name] if len(rows))
                for name in names
            ],
            "beat others": list(map(float, penalties.matrix.sum(axis=1))),
            "was beaten": list(map(float, penalties.totals)),
            f"error / {self.reference}": [_mean(errors[name]) for name in names],
            "seconds a batch": [_mean(found[name] for found in seconds) for name in names],
            "runs": [len(self.budgets) * len(self.seeds)] * len(names),
            "failed": [
                sum(failure.strategy == name for failure in self.failures) for name in names
            ],
        }

    def _labels_needed(self) -> Columns:
        rows = []
        for setting, curve in self.curves().items():
            for level in levels_of(self, curve):
                needed = curve.labels_needed(level)
                rows.append((str(setting), level, *map(str, needed.values())))
        return as_columns(("setting", "accuracy", *self.strategies), rows)

    def _penalties(self) -> Columns:
        penalties = self.penalties()
        rows = [
            (name, *map(float, row))
            for name, row in zip(penalties.strategies, penalties.matrix, strict=True)
        ]
        rows.append(("sum: was beaten", *map(float, penalties.totals)))
        return as_columns(("beat", *penalties.strategies), rows)


def levels_of(findings: Findings, curve: Curves) -> tuple[float, ...]:
    """Return the levels asked for, or the highest whole percent that all reached in the end."""
    if findings.levels:
        return findings.levels
    final = [value for value in _final(curve).values() if np.isfinite(value)]
    return (max(1, int(100 * min(final) + 1e-9)) / 100,) if final else ()


def _of_records(kind: Any, records: Iterable[Any]) -> Columns:
    """Lay out records whose first field is a setting."""
    return as_columns(kind._fields, ((str(record[0]), *record[1:]) for record in records))


def _final(curve: Curves) -> dict[str, float]:
    return {name: _mean(whole(curve, name)[:, -1]) for name in curve.accuracy}


def _mean(values: Iterable[float], of: Callable[..., Any] = np.mean) -> float:
    found = [value for value in values if np.isfinite(value)]
    return float(of(found)) if found else float("nan")


def paired_p(differences: NDArray[np.float64]) -> float:
    """Return the p-value of a two-sided paired t-test."""
    from scipy.stats import t

    n = len(differences)
    if n < 2:
        return float("nan")
    mean, spread = float(np.mean(differences)), float(np.std(differences, ddof=1))
    # Rounding in a mean of equal numbers is no spread.
    if spread <= 1e-12 * max(abs(mean), 1e-300):
        return 1.0 if mean == 0 else 0.0
    return float(2 * t.sf(abs(mean) / (spread / np.sqrt(n)), n - 1))


def holm(p_values: Sequence[float]) -> NDArray[np.float64]:
    """Correct p-values for their number by Holm's step-down method (1979); NaN stays, uncounted."""
    p = np.asarray(p_values, dtype=np.float64)
    corrected = np.full(len(p), np.nan)
    known = np.flatnonzero(np.isfinite(p))
    order = known[np.argsort(p[known], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * factors))
    return corrected


def compared_points(curve: Curves, reference: str) -> NDArray[np.int64]:
    """Choose the points of a curve that `Findings.penalties` compares.

    The authors' script counts the start among them, too, where nobody can beat anybody.
    """
    values = whole(curve, reference)
    n_points = len(curve.labels)
    last = n_points - 1
    if len(values):
        mean = values.mean(axis=0)
        last = int(np.argmax(mean >= 0.99 * mean[-1]))
    doubling = 2 ** np.arange(int(np.log2(max(n_points - 1, 1))) + 1)
    # Where the reference learns nothing more, there is still the first batch.
    return doubling[doubling < max(last, 2)]
