"""Strategies compared over many settings: who beats whom, by how much, and how long it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from labelnext.visualization._curves import COLORS, INK, line_look, plain, tidy
from labelnext.visualization._mesh import check_axes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike


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

    Raises
    ------
    ValueError
        If the matrix is not square, or not of as many rows as there are strategies.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from labelnext.visualization import plot_penalties
    >>> axes = plot_penalties(
    ...     [[0, 1.5], [0.25, 0]], ["badge", "random"], axes=Figure().add_subplot()
    ... )
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
    axes.imshow(
        sums[None],
        cmap="Oranges",
        vmin=0,
        vmax=max(sums.max(), 1e-9) * 1.4,
        extent=(-0.5, n - 0.5, n + 0.8, n - 0.2),
    )
    size = 10 if n <= 8 else 7
    for i in range(n):
        for j in range(n):
            text = "–" if i == j else f"{values[i, j]:.3g}"
            axes.text(j, i, text, ha="center", va="center", fontsize=size, color=INK)
    for j, value in enumerate(sums):
        weight = "bold" if value == sums.min() else "normal"
        axes.text(
            j, n + 0.3, f"{value:.3g}", ha="center", va="center", fontsize=size, weight=weight
        )
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
    >>> axes = plot_error_distribution(
    ...     {"badge": [0.7, 0.8], "random": [1.0, 1.0]},
    ...     reference="random",
    ...     axes=Figure().add_subplot(),
    ... )
    >>> axes.get_xlabel()
    'error, as a multiple of that of random'
    """
    axes = check_axes(axes, "axes")
    for place, (name, given) in enumerate(errors.items()):
        values = np.sort(np.asarray(given, dtype=np.float64))
        if not len(values):
            continue
        share = np.arange(len(values) + 1) / len(values)
        axes.step(
            [values[0], *values],
            share,
            where="post",
            **line_look(place, name),
        )
    axes.axvline(1.0, color=INK, lw=0.8, ls=(0, (2, 3)), zorder=1)
    axes.set(
        xlabel=f"error, as a multiple of that of {plain(reference)}",
        ylabel="share of label counts and settings",
        ylim=(0, 1.02),
    )
    tidy(axes, "both")
    if axes.get_legend_handles_labels()[0]:
        # Beside the curves: anywhere among them it would hide some.
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
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
    >>> axes = plot_seconds(
    ...     {"digits": {"badge": 0.02, "random": 0.001}}, axes=Figure().add_subplot()
    ... )
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
                axes.barh(at, value, height=0.8, color=COLORS[place % len(COLORS)], label=label)
                axes.annotate(
                    f"{value:.2g} s",
                    (value, at),
                    xytext=(4, 0),
                    textcoords="offset points",
                    va="center",
                    fontsize=8,
                    color=INK,
                )
            at += 1
        at += 0.7  # a gap between settings
    if known:
        axes.set_xscale("log")
        axes.margins(x=0.12)
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    axes.set_yticks(ticks, [plain(setting) for setting in seconds])
    axes.invert_yaxis()
    axes.set_xlabel("seconds for a batch (median)")
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    return axes
