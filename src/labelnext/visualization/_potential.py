"""The fall of the potential: how many picks are worth it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

LINE, GRID, INK = "#c3c9d2", "#e5e7eb", "#1f2937"


def draw_potential(
    axes: Axes, potentials: NDArray[np.float64], colors: NDArray[np.float64]
) -> None:
    """Draw what is left after each pick, on a logarithmic scale, and where it has halved again.

    The potential falls by factors: the first pick is the longest gradient and often lies far
    from all others, so that the second alone may take nine tenths of it. On a linear scale the
    rest of the batch would be a flat line.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        Where to draw.
    potentials : ndarray of shape (k,), float64
        The potential after each pick.
    colors : ndarray of shape (k, 4), float64
        A colour for each pick.
    """
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

    k, first = len(potentials), float(potentials[0])
    axes.set_title("How much is left to cover", loc="left", weight="bold")
    if k == 1 or not first > 0:
        words = (
            f"After one pick the potential is {first:.4g}.\nPick more to see it fall."
            if first > 0
            else "Nothing: one pick covers the pool,\nall candidates have the same gradient."
        )
        axes.set_axis_off()
        axes.text(0.5, 0.5, words, transform=axes.transAxes, ha="center", va="center", color=INK)
        return
    rank, share = np.arange(1, k + 1), potentials / first
    some = share > 0
    axes.set_yscale("log")
    axes.plot(rank[some], share[some], color=LINE, lw=1.5, zorder=1)
    size = np.clip(2500 / k, 8, 46)
    axes.scatter(rank[some], share[some], c=colors[some], s=size, linewidths=0, zorder=3)
    lowest = float(share[some].min())
    axes.set(xlim=(0, k * 1.03 + 0.5), ylim=(lowest / 1.5, 1.4))
    axes.set_ylabel("potential left, as a share of that after the first pick")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if lowest > 1e-3 else (1,)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g} %"))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(axis="y", color=GRID, lw=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    marks = halvings(share)
    for at in marks:
        axes.plot([at, at], [lowest / 1.5, share[at - 1]], color=INK, lw=0.7, ls=(0, (2, 3)))
    _label(axes, {at: share[at - 1] for at in marks if share[at - 1] > 0}, marks)
    notes = ["marked where what was left has halved again"] if marks else []
    if not some.all():
        notes.append(f"nothing is left from pick {int(rank[~some][0]):,} on")
    axes.set_xlabel("\n".join(["picks", " · ".join(notes)]) if notes else "picks")


def halvings(share: NDArray[np.float64], limit: int = 8) -> dict[int, int]:
    """Find the picks at which at most a half, a quarter, an eighth, ... is left.

    Parameters
    ----------
    share : ndarray of shape (k,), float64
        What is left after each pick, falling from 1.
    limit : int, default=8
        How often to halve.

    Returns
    -------
    dict of int to int
        For each such pick, counted from 1, how often what was left has halved by then.

    Examples
    --------
    >>> halvings(np.array([1.0, 0.6, 0.2, 0.19, 0.1]))
    {3: 2, 5: 3}
    """
    found = {}
    for level in range(1, limit + 1):
        reached = np.flatnonzero(share <= 0.5**level)
        if len(reached):
            found[int(reached[0]) + 1] = level
    return found


def _label(axes: Axes, heights: dict[int, float], marks: dict[int, int]) -> None:
    """Write at the marks what is left; where two would overlap, at the later one."""
    taken: list[tuple[float, float]] = []
    for at, height in reversed(heights.items()):
        x, y = axes.transAxes.inverted().transform(axes.transData.transform((at, height)))
        early = x < 0.66  # where there is room to the right of the curve
        left, middle = (x, y + 0.03) if early else (x - 0.36, y - 0.03)
        if any(abs(left - u) < 0.37 and abs(middle - v) < 0.035 for u, v in taken):
            continue
        taken.append((left, middle))
        axes.annotate(
            f"at most {_fraction(marks[at])} left after {at:,}",
            xy=(at, height),
            xytext=(7, 7) if early else (-6, -7),
            textcoords="offset points",
            ha="left" if early else "right",
            va="bottom" if early else "top",
            fontsize=9,
            color=INK,
        )


def _fraction(level: int) -> str:
    return {1: "half", 2: "a quarter", 3: "an eighth"}.get(level, f"1/{2**level}")
