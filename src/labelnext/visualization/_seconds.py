"""How long choosing takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from labelnext.visualization._curves import COLORS, INK

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes


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
    import matplotlib.pyplot as plt

    axes = plt.gca() if axes is None else axes
    ticks, at, known = [], 0.0, set()
    for by_strategy in seconds.values():
        ticks.append(at + (len(by_strategy) - 1) / 2)
        for place, (name, value) in enumerate(by_strategy.items()):
            if np.isfinite(value) and value > 0:
                label = None if name in known else name
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
    axes.set_yticks(ticks, list(seconds))
    axes.invert_yaxis()
    axes.set_xlabel("seconds for a batch (median)")
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    return axes
