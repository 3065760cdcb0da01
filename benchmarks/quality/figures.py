"""The figures of the report: a few strategies in colour, the others in grey."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.quality.models import TITLES
from benchmarks.quality.summary import HERO, REFERENCE, Summary, order_by
from labelnext.utils.interval import mean_interval
from labelnext.visualization import plot_penalties

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from benchmarks.quality.settings import Place
    from labelnext.experiment import Curves

INK, QUIET, GRID, OTHERS = "#1f2937", "#6b7280", "#e5e7eb", "#c3c9d1"
# Okabe and Ito's colours; the same strategy has the same colour in all figures.
FIXED = {HERO: "#0072B2", "margin": "#E69F00", REFERENCE: "#1f2937"}
FREE = ("#009E73", "#D55E00", "#CC79A7")


def make_figures(summary: Summary) -> dict[str, Figure]:
    """Draw all figures, by the names of their files."""
    colors = _colors(summary)
    figures = {
        f"curves-{data}-{model}": _learning_curves(Summary(dict(of)), colors)
        for (data, model), of in groupby(
            summary.results.items(), key=lambda item: (item[0].data.name, item[0].model)
        )
    }
    return figures | {
        "errors": _error_distributions(summary, colors),
        "penalties": _penalties(summary),
        "overview": _overview(summary),
        "seconds": _seconds(summary, colors),
    }


def _colors(summary: Summary) -> dict[str, str]:
    """Give colours to BADGE, margin, random choice, and the three that were best besides."""
    means = summary.mean_error()
    best = [name for name in order_by(means, list(means)) if name not in FIXED]
    return FIXED | dict(zip(best, FREE, strict=False))


def _learning_curves(summary: Summary, colors: dict[str, str]) -> Figure:
    figure = _figure((4.6 * len(summary.results) + 0.4, 4.3))
    panels = figure.subplots(1, len(summary.results), squeeze=False)[0]
    for panel, (place, curves) in zip(panels, summary.curves(), strict=True):
        _draw_curves(panel, curves, colors)
        seeds = len(curves.seeds)
        panel.set_title(
            f"batches of {place.budget.batch:,}", loc="left", fontsize=11, weight="bold", color=INK
        )
        panel.set_title(_of_seeds(place, seeds), loc="right", fontsize=9, color=QUIET)
        panel.set(xlabel="labels")
    panels[0].set(ylabel="accuracy on the test set, %")
    place = next(iter(summary.results))
    figure.suptitle(
        f"{place.data.title}: {TITLES[place.model]}", x=0.01, ha="left", weight="bold", color=INK
    )
    _legend(figure, panels[0])
    return figure


def _draw_curves(panel: Axes, curves: Curves, colors: dict[str, str]) -> None:
    tops, lows = [], []
    for name, accuracy in curves.accuracy.items():
        whole = 100 * accuracy[np.isfinite(accuracy).all(axis=1)]
        if not len(whole):
            continue
        mean, half = mean_interval(whole)
        color = colors.get(name, OTHERS)
        tops.append(mean.max())
        # From the first batch on: the start is the same for all.
        lows.append(mean[1] if len(mean) > 1 else mean[0])
        panel.plot(
            curves.labels,
            mean,
            color=color,
            lw=2.6 if name == HERO else 1.8 if name in colors else 1.0,
            ls="--" if name == REFERENCE else "-",
            zorder=5 if name == HERO else 4 if name in colors else 2,
            label=name if name in colors else "the others",
        )
        if name == HERO and len(whole) >= 4:  # with fewer it covers everything
            panel.fill_between(
                curves.labels, mean - half, mean + half, color=color, alpha=0.15, lw=0, zorder=3
            )
    # The worst of them must not press the others into a line.
    low = max(min(lows), float(np.median(lows)) - 1.2 * (max(tops) - float(np.median(lows))))
    panel.set_ylim(low - 0.04 * (max(tops) - low), max(tops) + 0.05 * (max(tops) - low))
    _plain(panel)


def _error_distributions(summary: Summary, colors: dict[str, str]) -> Figure:
    batches = sorted({place.budget.batch for place in summary.results})
    figure = _figure((4.3 * (len(batches) + 1) + 0.4, 4.3))
    panels = figure.subplots(1, len(batches) + 1, squeeze=False, sharey=True)[0]
    parts = {"all settings": summary} | {
        f"batches of {batch:,}": Summary(
            {place: of for place, of in summary.results.items() if place.budget.batch == batch}
        )
        for batch in batches
    }
    for panel, (title, part) in zip(panels, parts.items(), strict=True):
        everywhere = part.mean_error()
        for name, values in part.errors().items():
            if name == REFERENCE or name not in everywhere:
                continue
            panel.step(
                [values[0], *values],
                np.arange(len(values) + 1) / len(values),
                where="post",
                color=colors.get(name, OTHERS),
                lw=2.6 if name == HERO else 1.8 if name in colors else 1.0,
                zorder=5 if name == HERO else 4 if name in colors else 2,
                label=name if name in colors else "the others",
            )
        panel.axvline(1, color=INK, lw=0.9, ls=(0, (2, 3)))
        panel.set(xlim=(0.3, 1.6), xlabel=f"error, as a multiple of that of {REFERENCE}")
        panel.set_title(title, loc="left", fontsize=11, weight="bold", color=INK)
        _plain(panel)
    panels[0].set(ylabel="share of settings and label counts", ylim=(0, 1.02))
    _legend(figure, panels[0])
    return figure


def _penalties(summary: Summary) -> Figure:
    names, matrix = summary.penalties()
    side = 2.6 + 0.5 * len(names)
    figure = _figure((side + 0.8, side))
    axes = figure.add_subplot()
    plot_penalties(np.round(matrix, 1), names, n_settings=len(summary.results), axes=axes)
    seeds = sorted(len(of.seeds) for of in summary.results.values())
    axes.set_title(
        f"{len(summary.results)} settings, {_range(seeds)} seeds", loc="left", color=QUIET
    )
    return figure


def _overview(summary: Summary) -> Figure:
    """Draw mean errors by strategy and setting: blue is better than random choice."""
    errors = summary.error_by_place()
    places = list(summary.results)
    names = order_by(summary.mean_error(), list(errors))
    values = np.array([[errors[name].get(place, np.nan) for place in places] for name in names])
    figure = _figure((2.8 + 0.5 * len(places), 2.9 + 0.31 * len(names)))
    axes = figure.add_subplot()
    logs = np.log2(np.maximum(values, 1e-3))
    axes.imshow(logs, cmap="RdBu_r", vmin=-1, vmax=1, aspect="auto")
    for i, row in enumerate(values):
        for j, value in enumerate(row):
            best = np.isfinite(value) and value <= np.nanmin(values[:, j]) + 5e-4
            dark = np.isfinite(value) and abs(logs[i, j]) > 0.7
            axes.text(
                j,
                i,
                f"{value:.2f}" if np.isfinite(value) else "–",
                ha="center",
                va="center",
                fontsize=7.5,
                weight="bold" if best else "normal",
                color="white" if dark else INK,
            )
    axes.set_xticks(range(len(places)), [f"{place.budget.batch:,}" for place in places], fontsize=8)
    axes.set_yticks(range(len(names)), names)
    for label in axes.get_yticklabels():
        if label.get_text() == HERO:
            label.set_weight("bold")
    start = 0
    for (data, model), of in groupby(places, key=lambda place: (place.data.name, place.model)):
        n = len(list(of))
        if start:
            axes.axvline(start - 0.5, color="white", lw=3)
        axes.text(
            start + (n - 1) / 2,
            -0.75,
            "\n".join([*data.split("-"), TITLES[model].removesuffix(" regression")]),
            ha="center",
            va="bottom",
            fontsize=8,
            color=INK,
        )
        start += n
    axes.set(xlabel="batch size")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return figure


def _seconds(summary: Summary, colors: dict[str, str]) -> Figure:
    batches = sorted({place.budget.batch for place in summary.results})
    seconds = summary.seconds()
    medians: dict[str, list[float]] = {}
    for name in summary.strategies():
        per_batch = [
            [
                of[name]
                for place, of in seconds.items()
                if place.budget.batch == batch and name in of
            ]
            for batch in batches
        ]
        medians[name] = [float(np.median(of)) if of else float("nan") for of in per_batch]
    names = order_by(
        {name: float(np.nanmean(np.log(of))) for name, of in medians.items()}, list(medians)
    )
    figure = _figure((8.5, 1.4 + 0.3 * len(names)))
    axes = figure.add_subplot()
    marks = ("o", "s", "D")
    for place, batch in enumerate(batches):
        axes.scatter(
            [medians[name][place] for name in names],
            range(len(names)),
            marker=marks[place % 3],
            s=36,
            facecolor=["white", "#9bbfd9", "#0072B2"][place % 3],
            edgecolor="#0072B2",
            label=f"batches of {batch:,}",
            zorder=3,
        )
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda value, _: _time(value))
    axes.xaxis.set_minor_formatter(lambda *_: "")
    axes.set_yticks(range(len(names)), names)
    for label in axes.get_yticklabels():
        if label.get_text() == HERO:
            label.set_weight("bold")
    axes.invert_yaxis()
    axes.set(xlabel="seconds for a batch on one core, median over settings")
    axes.legend(frameon=False, loc="upper right")
    axes.grid(axis="both", color=GRID, lw=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def _legend(figure: Figure, panel: Axes) -> None:
    found: dict[str, Any] = {}
    for line, label in zip(*panel.get_legend_handles_labels(), strict=True):
        found.setdefault(label, line)
    names = sorted(found, key=lambda name: (name == "the others", name == REFERENCE, name != HERO))
    figure.legend(
        [found[name] for name in names],
        names,
        loc="outside lower center",
        ncols=len(names),
        frameon=False,
    )


def _plain(panel: Axes) -> None:
    panel.grid(color=GRID, lw=0.8)
    panel.set_axisbelow(True)
    panel.spines[["top", "right"]].set_visible(False)


def _time(seconds: float) -> str:
    return f"{seconds:g} s" if seconds >= 1 else f"{1e3 * seconds:g} ms"


def _of_seeds(place: Place, done: int) -> str:
    return f"{done} seeds" if done == place.seeds else f"{done} of {place.seeds} seeds"


def _range(numbers: list[int]) -> str:
    return str(numbers[0]) if numbers[0] == numbers[-1] else f"{numbers[0]} to {numbers[-1]}"


def _figure(size: tuple[float, float]) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    return figure
