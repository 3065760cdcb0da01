"""Strategies compared: learning curves, who beats whom, what tells when to stop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from labelnext.utils.interval import first_reached, mean_interval
from labelnext.visualization.figures import (
    BESIDE,
    COLORS,
    DOTTED,
    INK,
    check_axes,
    line_look,
    note,
    percent,
    plain,
    tidy,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike, NDArray


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
    from matplotlib.ticker import MaxNLocator

    if not accuracy:
        raise ValueError("accuracy must hold at least one strategy's curves, got none.")
    axes = check_axes(axes, "axes")
    labels = np.asarray(labels)
    means = _draw_means(axes, labels, accuracy)
    for level in levels:
        axes.axhline(level, **DOTTED)
        _mark_gain(axes, labels, [accuracy[name] for name in means], level)
    axes.set(xlabel="labels", ylabel="accuracy on the test set")
    axes.yaxis.set_major_locator(MaxNLocator(steps=[1, 2, 5, 10]))  # whole percents, mostly
    axes.yaxis.set_major_formatter(percent)
    tidy(axes)
    if means:
        many = {"ncols": 2, "fontsize": "small"} if len(means) > 8 else {}
        axes.legend(loc="lower right", frameon=False, **many)
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
    >>> agreement = {"badge": [[float("nan"), 0.8, 0.95]]}
    >>> potential = {"badge": [[2.0, 0.1, float("nan")]]}
    >>> axes = Figure().subplots(1, 2)
    >>> left, right = plot_stability([10, 20, 30], agreement, potential, axes=axes)
    >>> right.get_yscale()
    'log'
    """
    import matplotlib.pyplot as plt
    from matplotlib.ticker import LogLocator, NullLocator

    if axes is None:
        axes = plt.gcf().subplots(1, 2)
    left, right = axes
    _draw_means(left, labels, agreement, slice(1, None))
    left.axhline(threshold, **DOTTED)
    left.set(xlabel="labels", ylabel="agreement with the round before (kappa)")
    means = _draw_means(right, labels, potential, slice(-1))
    drawn = np.concatenate([*means.values(), []])
    if len(drawn) and drawn.min() > 0 and drawn.max() > 10 * drawn.min():
        right.set_yscale("log")
        right.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        right.yaxis.set_minor_locator(NullLocator())
        right.yaxis.set_major_formatter("{x:g}")
    right.set(xlabel="labels", ylabel="potential left by the batch (mean D²)")
    for panel in axes:
        tidy(panel)
    if left.get_legend_handles_labels()[0]:
        left.legend(loc="lower right", frameon=False, fontsize="small")
    return axes


def plot_penalties(
    matrix: ArrayLike,
    strategies: Sequence[str],
    *,
    n_settings: int | None = None,
    axes: Axes | None = None,
) -> Axes:
    """Draw a pairwise penalty matrix, with the sums of its columns below.

    Parameters
    ----------
    matrix : array-like of shape (n_strategies, n_strategies)
        In row i and column j, how often strategy i beat strategy j.
    strategies : sequence of str
        The strategies.
    n_settings : int, default=None
        The most that an entry can be; by default the largest that there is.
    axes : matplotlib.axes.Axes, default=None
        Where to draw; the current axes by default.

    Returns
    -------
    matplotlib.axes.Axes
        The axes.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from labelnext.visualization import plot_penalties
    >>> axes = Figure().add_subplot()
    >>> axes = plot_penalties([[0, 1.5], [0.25, 0]], ["badge", "random"], axes=axes)
    >>> [text.get_text() for text in axes.texts]
    ['–', '1.5', '0.25', '–', '0.25', '1.5']
    """
    values = np.asarray(matrix, dtype=np.float64)
    n = len(strategies)
    if values.shape != (n, n):
        raise ValueError(
            f"matrix must have a row and a column for each of the {n} strategies, got shape "
            f"{values.shape}."
        )
    axes = check_axes(axes, "axes")
    top = float(n_settings if n_settings is not None else max(values.max(), 1e-9))
    # The sums have a row of their own, apart and on a scale of their own.
    sums = values.sum(axis=0)
    axes.imshow(values, cmap="Blues", vmin=0, vmax=top * 1.4, extent=(-0.5, n - 0.5, n - 0.5, -0.5))
    most = max(sums.max(), 1e-9)
    below = (-0.5, n - 0.5, n + 0.8, n - 0.2)
    axes.imshow(sums[None], cmap="Oranges", vmin=0, vmax=most * 1.4, extent=below)
    middle: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 10 if n <= 8 else 7}
    for (i, j), value in np.ndenumerate(values):
        axes.text(j, i, "–" if i == j else f"{value:.3g}", color=INK, **middle)
    for j, value in enumerate(sums):
        weight = "bold" if value == sums.min() else "normal"
        axes.text(j, n + 0.3, f"{value:.3g}", weight=weight, **middle)
    axes.set(xlim=(-0.5, n - 0.5), ylim=(n + 0.8, -0.5))
    names = list(map(plain, strategies))
    axes.set_xticks(range(n), names, rotation=40 if n > 3 else 0, ha="right" if n > 3 else "center")
    axes.set_yticks([*range(n), n + 0.3], [*names, "sum"])
    axes.set(xlabel="was beaten", ylabel="beat")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return axes


def plot_error_distribution(
    errors: Mapping[str, ArrayLike], *, reference: str, axes: Axes | None = None
) -> Axes:
    """Draw how normalised errors are distributed: the farther left and up, the better.

    Parameters
    ----------
    errors : dict of str to array-like
        Errors divided by those of a reference strategy, by strategy, the one to look at first.
        None is NaN.
    reference : str
        That strategy.
    axes : matplotlib.axes.Axes, default=None
        Where to draw; the current axes by default.

    Returns
    -------
    matplotlib.axes.Axes
        The axes.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from labelnext.visualization import plot_error_distribution
    >>> errors = {"badge": [0.7, 0.8], "random": [1.0, 1.0]}
    >>> axes = Figure().add_subplot()
    >>> axes = plot_error_distribution(errors, reference="random", axes=axes)
    >>> axes.get_xlabel()
    'error, as a multiple of that of random'
    """
    axes = check_axes(axes, "axes")
    for place, (name, given) in enumerate(errors.items()):
        if np.isnan(given).any():
            raise ValueError(
                f"errors must be numbers, got NaN among those of {name!r}; leave out what was not "
                "measured, as in values[~np.isnan(values)]."
            )
        if np.size(given):
            axes.ecdf(given, **line_look(place, name))
    axes.axvline(1.0, **DOTTED)
    axes.set(
        xlabel=f"error, as a multiple of that of {plain(reference)}",
        ylabel="share of label counts and settings",
        ylim=(0, 1.02),
    )
    tidy(axes, "both")
    if axes.get_legend_handles_labels()[0]:
        axes.legend(**BESIDE)  # anywhere among the curves it would hide some
    return axes


def plot_seconds(seconds: Mapping[str, Mapping[str, float]], *, axes: Axes | None = None) -> Axes:
    """Draw how long each strategy took for a batch, as bars on a logarithmic scale.

    Parameters
    ----------
    seconds : dict of str to dict of str to float
        Seconds by setting and strategy. What is NaN or 0 has no bar.
    axes : matplotlib.axes.Axes, default=None
        Where to draw; the current axes by default.

    Returns
    -------
    matplotlib.axes.Axes
        The axes.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from labelnext.visualization import plot_seconds
    >>> axes = Figure().add_subplot()
    >>> axes = plot_seconds({"digits": {"badge": 0.02, "random": 0.001}}, axes=axes)
    >>> [text.get_text() for text in axes.texts]
    ['0.02 s', '0.001 s']
    """
    axes = check_axes(axes, "axes")
    ticks, at, known = [], 0.0, set()
    for by_strategy in seconds.values():
        ticks.append(at + (len(by_strategy) - 1) / 2)
        for place, (name, value) in enumerate(by_strategy.items()):
            if np.isfinite(value) and value > 0:
                label = None if name in known else plain(name)
                known.add(name)
                bar = axes.barh(at, value, color=COLORS[place % len(COLORS)], label=label)
                axes.bar_label(bar, fmt="{:.2g} s", padding=4, fontsize=8, color=INK)
            at += 1
        at += 0.7  # a gap between settings
    if known:
        axes.set_xscale("log")
        axes.margins(x=0.12)
        axes.legend(**BESIDE)
    axes.set_yticks(ticks, [plain(setting) for setting in seconds])
    axes.invert_yaxis()
    axes.set_xlabel("seconds for a batch (median)")
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    return axes


def _draw_means(
    axes: Axes, labels: ArrayLike, values: Mapping[str, ArrayLike], points: slice = slice(None)
) -> dict[str, NDArray[np.float64]]:
    """Draw and return each strategy's mean over the seeds that came to their end, with a band."""
    means = {}
    at = np.asarray(labels)[points]
    for place, (name, given) in enumerate(values.items()):
        curves = np.atleast_2d(np.asarray(given, dtype=np.float64))
        if curves.shape[1] != np.size(labels):
            raise ValueError(
                f"The curves of {name!r} must have one value for each of the {np.size(labels)} "
                f"entries of labels, got shape {curves.shape}."
            )
        kept = curves[:, points]
        kept = kept[np.isfinite(kept).all(axis=1)]
        if not len(kept):
            continue
        means[name], half = mean_interval(kept)
        look = line_look(
            place, name if len(kept) == len(curves) else f"{name} ({len(kept)} of {len(curves)})"
        )
        size = 4 if place == 0 else 3
        axes.plot(at, means[name], marker="o", ms=size, solid_capstyle="round", **look)
        if np.isfinite(half).all():
            band = {"color": look["color"], "alpha": 0.16, "zorder": look["zorder"] - 0.05}
            axes.fill_between(at, means[name] - half, means[name] + half, lw=0, **band)
    return means


def _mark_gain(
    axes: Axes, labels: NDArray[np.int64], curves: Sequence[ArrayLike], level: float
) -> None:
    """Span the labels that the first strategy saves against the last, at a level."""
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
    note(
        axes,
        f"{percent(level)}: {first:.0f} instead of {over}{last:.0f} labels",
        (max(first, last), level),
        (-4, 4) if wide else (8, -4),
        ha="right" if wide else "left",
        va="bottom" if wide else "top",
        zorder=12,
    )
