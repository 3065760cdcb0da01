"""Learning curves: how good a model is after how many labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from labelnext.utils.interval import mean_interval

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
        Accuracies to mark. Where the mean curves of the first strategy and of the last both
        reach one, the labels at which they do are written beside it.
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
    import matplotlib.pyplot as plt
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    if not accuracy:
        raise ValueError("accuracy must hold at least one strategy's curves, got none.")
    axes = plt.gca() if axes is None else axes
    labels = np.asarray(labels)
    means = draw_means(axes, labels, accuracy)
    for level in levels:
        axes.axhline(level, color=INK, lw=0.8, ls=(0, (2, 3)), zorder=1)
        if means:
            _mark_gain(axes, labels, means, level)
    axes.set(xlabel="labels", ylabel="accuracy on the test set")
    axes.yaxis.set_major_locator(MaxNLocator(steps=[1, 2, 5, 10]))  # whole percents, mostly
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g} %"))
    axes.grid(axis="y", color=GRID, lw=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    if means:
        many = len(means) > 8
        size = "small" if many else None
        axes.legend(loc="lower right", frameon=False, ncols=2 if many else 1, fontsize=size)
    return axes


def draw_means(
    axes: Axes, labels: NDArray[np.int64], values: Mapping[str, ArrayLike]
) -> dict[str, NDArray[np.float64]]:
    """Draw a line for the mean of each strategy, with a band for its 95 % interval.

    Returns
    -------
    dict of str to ndarray of shape (n_points,)
        The means of those that have one.
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
        color = COLORS[place % len(COLORS)]
        order = 10 - 0.1 * place if place else 10.5  # the first on top
        axes.plot(
            labels,
            means[name],
            color=color,
            lw=2.6 if place == 0 else 1.9,
            ls=STYLES[place // len(COLORS) % len(STYLES)],
            marker="o",
            ms=4 if place == 0 else 3,
            label=name if len(kept) == len(curves) else f"{name} ({len(kept)} of {len(curves)})",
            zorder=order,
            solid_capstyle="round",
        )
        if np.isfinite(half).all():
            low, high = means[name] - half, means[name] + half
            axes.fill_between(labels, low, high, color=color, alpha=0.16, lw=0, zorder=order - 0.05)
    return means


def _mark_gain(
    axes: Axes, labels: NDArray[np.int64], means: Mapping[str, NDArray[np.float64]], level: float
) -> None:
    """Span the labels that the first strategy saves against the last, at a level."""
    from matplotlib.patheffects import withStroke

    curves = list(means.values())
    first, last = (_crossing(labels, curve, level) for curve in (curves[0], curves[-1]))
    if first is None or last is None or round(first) == round(last):
        return
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
        f"{100 * level:g} %: {first:.0f} instead of {last:.0f} labels",
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


def _crossing(labels: NDArray[np.int64], mean: NDArray[np.float64], level: float) -> float | None:
    """Find where a curve first reaches a level, on the straight line between its points."""
    reached = np.flatnonzero(mean >= level)
    if not len(reached):
        return None
    at = int(reached[0])
    if at == 0:
        return float(labels[0])
    return float(np.interp(level, mean[at - 1 : at + 1], labels[at - 1 : at + 1]))
