"""The pictures of a report."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from labelnext.experiment.tables import levels_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from labelnext.experiment._experiment import Setting
    from labelnext.experiment._results import Results


def make_pictures(results: Results) -> dict[str, bytes]:
    """Draw all that a report shows, as the contents of .png files by their names."""
    from labelnext.visualization import plot_error_distribution, plot_penalties, plot_seconds

    penalties = results.penalties()
    pictures = {"learning-curves": _learning_curves(results)}
    if len(results.strategies) > 1:
        side = 2.6 + 0.62 * len(results.strategies)
        pictures["penalties"] = _draw(
            (side + 0.8, side),
            lambda figure: plot_penalties(
                penalties.matrix,
                penalties.strategies,
                n_settings=penalties.n_settings,
                axes=figure.add_subplot(),
            ),
        )
        errors = results.normalized_errors()
        pictures["normalized-errors"] = _draw(
            (7.5, 4.6),
            lambda figure: plot_error_distribution(
                errors, reference=results.reference, axes=figure.add_subplot()
            ),
        )
    seconds = results.select_seconds()
    if len(seconds) <= 12:  # beyond that the table is clearer
        pictures["seconds"] = _draw(
            (9, 1.4 + 0.25 * len(results.strategies) * len(seconds)),
            lambda figure: plot_seconds(
                {str(setting): found for setting, found in seconds.items()},
                axes=figure.add_subplot(),
            ),
        )
    pictures["stability"] = _stability(results)
    return pictures


def _learning_curves(results: Results) -> bytes:
    from labelnext.visualization import plot_learning_curves

    curves = results.curves()
    columns = min(2, len(curves))
    rows = -(-len(curves) // columns)

    def draw(figure: Any) -> None:
        panels = figure.subplots(rows, columns, squeeze=False).ravel()
        for panel in panels[len(curves) :]:
            panel.set_axis_off()
        for panel, (setting, curve) in zip(panels, curves.items(), strict=False):
            plot_learning_curves(curve.labels, curve.accuracy, axes=panel)
            low, high = panel.get_ylim()
            for level in levels_of(results, curve):
                if low <= level <= high:  # a line far from all curves would flatten them
                    panel.axhline(level, color="#1f2937", lw=0.8, ls=(0, (2, 3)), zorder=1)
            panel.set_title(str(setting), loc="left", weight="bold", fontsize=11)

        _one_legend(figure)

    return _draw((6.6 * columns, 4.4 * rows + 0.4), draw)


def _stability(results: Results) -> bytes:
    from labelnext.visualization import plot_stability

    def draw(figure: Any) -> None:
        panels = figure.subplots(len(results.budgets), 2, squeeze=False)
        for row, setting in zip(panels, results.budgets, strict=True):
            agreement, potential = (
                {
                    name: _values(results, setting, name, measure)
                    for name in results.strategies
                    if results.complete(setting, name)
                }
                for measure in ("agreement", "potential")
            )
            budget = results.budgets[setting]
            labels = budget.start + budget.batch * np.arange(budget.rounds + 1)
            plot_stability(labels, agreement, potential, axes=row)
            row[0].set_title(str(setting), loc="left", weight="bold", fontsize=11)

        _one_legend(figure)

    return _draw((13.2, 3.8 * len(results.budgets) + 0.4), draw)


def _one_legend(figure: Any) -> None:
    """Put one legend below all panels; in them it would hide curves."""
    found: dict[str, Any] = {}
    for panel in figure.axes:
        for line, label in zip(*panel.get_legend_handles_labels(), strict=True):
            # Of how many seeds a curve is, which a label may add, differs between panels.
            found.setdefault(re.sub(r" \(\d+ of \d+\)$", "", label), line)
        if panel.get_legend() is not None:
            panel.get_legend().remove()
    if found:
        columns = min(len(found), 8)
        figure.legend(
            found.values(), found, loc="outside lower center", ncols=columns, frameon=False
        )


def _values(results: Results, setting: Setting, name: str, measure: str) -> list[list[float]]:
    return [[getattr(step, measure) for step in run] for run in results.complete(setting, name)]


def _draw(size: tuple[float, float], draw: Callable[[Any], object]) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    draw(figure)
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=130, metadata={"Software": None})
    return content.getvalue()
