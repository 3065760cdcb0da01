"""Curves over the number of labels: how good a model is, and what tells when to stop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from labelnext.utils.interval import first_reached, mean_interval
from labelnext.visualization._mesh import check_axes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike, NDArray

# Okabe and Ito's colours, which colour-blind people can tell apart; the first is the hero's.
COLORS = ("#0072B2", "#E69F00", "#6b7280", "#009E73", "#CC79A7", "#D55E00", "#56B4E9")
STYLES = ("-", "--", ":")  # for more strategies than colours
INK, QUIET, GRID = "#1f2937", "#6b7280", "#e5e7eb"


def plot_learning_curves(
    labels: ArrayLike,
    accuracy: Mapping[str, ArrayLike],
    *,
    levels: Sequence[float] = (),
    axes: Axes | None = None,
) -> Axes:
    """Draw the mean accuracy of each strategy against the number of labels, with 95 % bands.

    Parameters
    ----------
    labels : array-like of shape (n_points,)
        How many labels the model had.
    accuracy : dict of str to array-like of shape (n_seeds, n_points)
        Accuracies by strategy, the one to look at first. Seeds with a NaN are left out, and the
        legend says of how many.
    levels : sequence of float, default=()
        Accuracies to mark. Where the first strategy reached one at every seed, the labels that
        it and the last needed are written beside it: the mean over the seeds of the labels at
        which it was first measured, which may be right of where the mean curves cross it.
    axes : matplotlib.axes.Axes, default=None
        Where to draw; the current axes by default.

    Returns
    -------
    matplotlib.axes.Axes
        The axes.

    Raises
    ------
    ValueError
        If there is no strategy or a curve has not one value for each entry of `labels`.

    Examples
    --------
    >>> from labelnext.visualization import plot_learning_curves
    >>> axes = plot_learning_curves(
    ...     [10, 20, 30],
    ...     {"badge": [[0.8, 0.9, 0.96], [0.7, 0.9, 0.94]], "random": [[0.7, 0.8, 0.9]]},
    ...     levels=[0.85],
    ... )
    >>> [text.get_text() for text in axes.get_legend().get_texts()]
    ['badge', 'random']
    """
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    if not accuracy:
        raise ValueError("accuracy must hold at least one strategy's curves, got none.")
    axes = check_axes(axes, "axes")
    labels = np.asarray(labels)
    means = draw_means(axes, labels, accuracy)
    for level in levels:
        axes.axhline(level, color=INK, lw=0.8, ls=(0, (2, 3)), zorder=1)
        _mark_gain(axes, labels, [accuracy[name] for name in means], level)
    axes.set(xlabel="labels", ylabel="accuracy on the test set")
    axes.yaxis.set_major_locator(MaxNLocator(steps=[1, 2, 5, 10]))  # whole percents, mostly
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g} %"))
    tidy(axes)
    if means:
        many = len(means) > 8
        size = "small" if many else None
        axes.legend(loc="lower right", frameon=False, ncols=2 if many else 1, fontsize=size)
    return axes


def plot_stability(
    labels: ArrayLike,
    agreement: Mapping[str, ArrayLike],
    potential: Mapping[str, ArrayLike],
    *,
    threshold: float = 0.99,
    axes: Sequence[Axes] | None = None,
) -> Sequence[Axes]:
    """Draw the agreement of predictions between rounds, and the potential that batches leave.

    Parameters
    ----------
    labels : array-like of shape (n_points,)
        How many labels the model had.
    agreement : dict of str to array-like of shape (n_seeds, n_points)
        Cohen's kappa with the round before, by strategy; none at the first point.
    potential : dict of str to array-like of shape (n_seeds, n_points)
        The mean D² that the batch left, by strategy; none at the last point.
    threshold : float, default=0.99
        The agreement from which predictions count as stable.
    axes : sequence of two matplotlib.axes.Axes, default=None
        Where to draw; by default the current figure is divided.

    Returns
    -------
    sequence of matplotlib.axes.Axes
        The two axes.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from labelnext.visualization import plot_stability
    >>> nan = float("nan")
    >>> left, right = plot_stability(
    ...     [10, 20, 30],
    ...     {"badge": [[nan, 0.8, 0.95]]},
    ...     {"badge": [[2.0, 0.1, nan]]},
    ...     axes=Figure().subplots(1, 2),
    ... )
    >>> right.get_yscale()
    'log'
    """
    import matplotlib.pyplot as plt
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    if axes is None:
        axes = plt.gcf().subplots(1, 2)
    labels = np.asarray(labels)
    left, right = axes
    kappas, left_over = (
        {name: np.atleast_2d(np.asarray(values, dtype=np.float64)) for name, values in of.items()}
        for of in (agreement, potential)
    )
    draw_means(left, labels[1:], {name: values[:, 1:] for name, values in kappas.items()})
    left.axhline(threshold, color=INK, lw=0.8, ls=(0, (2, 3)), zorder=1)
    left.set(xlabel="labels", ylabel="agreement with the round before (kappa)")
    means = draw_means(
        right, labels[:-1], {name: values[:, :-1] for name, values in left_over.items()}
    )
    drawn = np.concatenate([*means.values(), []])
    if len(drawn) and drawn.min() > 0 and drawn.max() > 10 * drawn.min():
        right.set_yscale("log")
        right.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        right.yaxis.set_minor_locator(NullLocator())
        right.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    right.set(xlabel="labels", ylabel="potential left by the batch (mean D²)")
    for panel in axes:
        tidy(panel)
    if left.get_legend_handles_labels()[0]:
        left.legend(loc="lower right", frameon=False, fontsize="small")
    return axes


def draw_means(
    axes: Axes, labels: NDArray[np.int64], values: Mapping[str, ArrayLike]
) -> dict[str, NDArray[np.float64]]:
    """Draw a line for the mean of each strategy, with a band for its 95 % interval.

    Returns the means of those that came to their end at a seed at least.
    """
    means = {}
    for place, (name, given) in enumerate(values.items()):
        curves = np.atleast_2d(np.asarray(given, dtype=np.float64))
        if curves.shape[1] != len(labels):
            raise ValueError(
                f"The curves of {name!r} must have one value for each of the {len(labels)} "
                f"entries of labels, got shape {curves.shape}."
            )
        kept = curves[np.isfinite(curves).all(axis=1)]
        if not len(kept):
            continue
        means[name], half = mean_interval(kept)
        look = line_look(
            place, name if len(kept) == len(curves) else f"{name} ({len(kept)} of {len(curves)})"
        )
        axes.plot(
            labels,
            means[name],
            marker="o",
            ms=4 if place == 0 else 3,
            solid_capstyle="round",
            **look,
        )
        if np.isfinite(half).all():
            low, high = means[name] - half, means[name] + half
            below = look["zorder"] - 0.05
            axes.fill_between(
                labels, low, high, color=look["color"], alpha=0.16, lw=0, zorder=below
            )
    return means


def _mark_gain(
    axes: Axes, labels: NDArray[np.int64], curves: Sequence[ArrayLike], level: float
) -> None:
    """Span the labels that the first strategy saves against the last, at a level."""
    from matplotlib.patheffects import withStroke

    needed = [first_reached(labels, of, level) for of in curves]
    if not needed or not needed[0][1].all():
        return
    first, last = needed[0][0].mean(), needed[-1][0].mean()
    if round(first) == round(last):
        return
    over = "" if needed[-1][1].all() else "over "
    axes.annotate(
        "",
        xy=(first, level),
        xytext=(last, level),
        arrowprops={"arrowstyle": "<->", "color": INK, "lw": 1.2, "shrinkA": 0, "shrinkB": 0},
        zorder=12,
    )
    # Between the curves where there is room, else beside the slower one.
    wide = abs(last - first) > 0.25 * (labels[-1] - labels[0])
    axes.annotate(
        f"{100 * level:g} %: {first:.0f} instead of {over}{last:.0f} labels",
        xy=(max(first, last), level),
        xytext=(-4, 4) if wide else (8, -4),
        textcoords="offset points",
        ha="right" if wide else "left",
        va="bottom" if wide else "top",
        fontsize=9,
        color=INK,
        zorder=12,
        path_effects=[withStroke(linewidth=2.5, foreground="white")],
    )


def line_look(place: int, label: str) -> dict[str, Any]:
    """Return how the line of a strategy looks, by its place: the first is the one to look at."""
    return {
        "color": COLORS[place % len(COLORS)],
        "ls": STYLES[place // len(COLORS) % len(STYLES)],
        "lw": 2.6 if place == 0 else 1.8,
        "zorder": 10 - 0.1 * place if place else 10.5,
        "label": plain(label),
    }


def plain(text: str) -> str:
    """Escape a name, which matplotlib would else read as mathematics."""
    return text.replace("$", r"\$")


def tidy(axes: Axes, grid: Literal["both", "x", "y"] = "y") -> None:
    """Draw a faint grid behind everything, and no frame above and at the right."""
    axes.grid(axis=grid, color=GRID, lw=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
