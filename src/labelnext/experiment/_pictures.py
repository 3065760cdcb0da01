"""The pictures of a report."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np

from labelnext.experiment._tables import levels_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from labelnext.experiment._experiment import Setting
    from labelnext.experiment._results import Results


def make_pictures(results: Results) -> dict[str, bytes]:
    """Draw all that a report shows, as the contents of .png files by their names."""
    from labelnext.visualization import plot_error_distribution, plot_penalties

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
            if any(np.isfinite(values).all(axis=1).any() for values in curve.accuracy.values()):
                levels = levels_of(results, curve)
                plot_learning_curves(curve.labels, curve.accuracy, levels=levels, axes=panel)
            else:
                panel.text(0.5, 0.5, "no run came to its end", ha="center")
            panel.set_title(str(setting), loc="left", weight="bold", fontsize=11)

    return _draw((6.6 * columns, 4.4 * rows), draw)


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

    return _draw((13.2, 3.8 * len(results.budgets)), draw)


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
