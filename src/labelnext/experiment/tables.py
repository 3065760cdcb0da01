"""The tables of a report: results as columns of plain values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from labelnext.experiment._curves import Curves
    from labelnext.experiment._results import Results

Columns = dict[str, list[Any]]


def make_tables(results: Results) -> dict[str, Columns]:
    """Lay out all that a report tells, by the names of its files."""
    curves = results.curves()
    tables = {
        "summary": _summary(results),
        "labels-needed": _labels_needed(results),
        "paired-tests": _columns(
            ("setting", "first", "second", "difference", "half", "p", "p_holm", "n_seeds"),
            ((str(test.setting), *test[1:]) for test in results.paired_tests()),
        ),
        "penalties": _penalties(results),
        "stopping": _columns(
            ("setting", "strategy", "rule", "reached", "n_seeds", "labels", "accuracy", "final"),
            ((str(advice.setting), *advice[1:]) for advice in results.stopping()),
        ),
        "seconds": _columns(
            ("setting", *results.strategies),
            (
                (str(setting), *seconds.values())
                for setting, seconds in results.select_seconds().items()
            ),
        ),
        "final-accuracy": _columns(
            ("setting", *results.strategies),
            ((str(setting), *_final(curve)) for setting, curve in curves.items()),
        ),
        "results": results.to_dict(),
    }
    if results.failures:
        tables["failures"] = _columns(
            ("setting", "strategy", "seed", "round", "error"),
            ((str(failure.setting), *failure[1:5]) for failure in results.failures),
        )
    return tables


def levels_of(results: Results, curve: Curves) -> tuple[float, ...]:
    """Return the levels asked for, or the highest whole percent that all reached in the end."""
    if results.levels:
        return results.levels
    final = [value for value in _final(curve) if np.isfinite(value)]
    return (max(1, int(100 * min(final) + 1e-9)) / 100,) if final else ()


def _summary(results: Results) -> Columns:
    """Sum up each strategy over all settings."""
    penalties, errors = results.penalties(), results.normalized_errors()
    curves = results.curves().values()
    seconds = results.select_seconds().values()
    return _columns(
        (
            "strategy",
            "mean accuracy",
            "beat others",
            "was beaten",
            f"error / {results.reference}",
            "seconds a batch",
            "runs",
            "failed",
        ),
        (
            (
                name,
                _mean(np.mean(rows) for curve in curves if len(rows := _whole(curve, name))),
                float(penalties.matrix[place].sum()),
                float(penalties.totals[place]),
                _mean(errors[name]),
                _mean(found[name] for found in seconds),
                len(results.budgets) * len(results.seeds),
                sum(failure.strategy == name for failure in results.failures),
            )
            for place, name in enumerate(results.strategies)
        ),
    )


def _labels_needed(results: Results) -> Columns:
    rows = []
    for setting, curve in results.curves().items():
        for level in levels_of(results, curve):
            needed = curve.labels_needed(level)
            rows.append((str(setting), level, *map(str, needed.values())))
    return _columns(("setting", "accuracy", *results.strategies), rows)


def _penalties(results: Results) -> Columns:
    penalties = results.penalties()
    rows = [
        (name, *map(float, row))
        for name, row in zip(penalties.strategies, penalties.matrix, strict=True)
    ]
    rows.append(("sum: was beaten", *map(float, penalties.totals)))
    return _columns(("beat", *penalties.strategies), rows)


def _final(curve: Curves) -> list[float]:
    return [_mean(_whole(curve, name)[:, -1]) for name in curve.accuracy]


def _whole(curve: Curves, name: str) -> Any:
    values = curve.accuracy[name]
    return values[np.isfinite(values).all(axis=1)]


def _mean(values: Iterable[float]) -> float:
    found = [value for value in values if np.isfinite(value)]
    return float(np.mean(found)) if found else float("nan")


def _columns(names: Iterable[str], rows: Iterable[Iterable[Any]]) -> Columns:
    lists = [list(row) for row in rows]
    return {name: [row[place] for row in lists] for place, name in enumerate(names)}
