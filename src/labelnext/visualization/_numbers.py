"""Numbers beside points, none over another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

INK = "#1f2937"
DIRECTIONS = np.deg2rad([45, 135, -45, -135, 0, 180, 90, -90])


def number_points(
    axes: Axes,
    points: NDArray[np.float64],
    radii: NDArray[np.float64],
    colors: NDArray[np.float64],
    *,
    limit: int = 60,
) -> int:
    """Number points from 1, in their order, as far as there is room; say how many found it.

    Each number takes the first free place around its point, ever farther away, tied to it by a
    thin line where it is not beside it. All of up to 200 points are numbered if possible, of
    more only the first ``limit``: beyond that numbers hide more than they tell.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        Axes whose layout and limits are final.
    points : ndarray of shape (k, 2), float64
        In data coordinates.
    radii : ndarray of shape (k,), float64
        Of the markers, in points (1/72 inch).
    colors : ndarray of shape (k, 4), float64
        Of the lines that tie.
    limit : int, default=60
        How many to number where there are more than 200.

    Returns
    -------
    int
        How many were numbered.
    """
    from matplotlib.patheffects import withStroke

    count = len(points) if len(points) <= 200 else limit
    font = 10.0 if len(points) <= 30 else 8.0
    scale = 72 / axes.get_figure(root=True).dpi  # type: ignore[union-attr]
    at = axes.transData.transform(points[:count]) * scale
    reach = radii[:count, None]
    frame = np.asarray(axes.get_window_extent().extents) * scale
    taken = np.column_stack([at - reach, at + reach])
    shown = 0
    for rank in range(count):
        half = np.array([0.35 * font * len(str(rank + 1)) + 1, 0.5 * font])
        others = np.delete(taken, rank, axis=0)
        place, gap = _free_place(at[rank], half, float(radii[rank]), others, frame)
        if place is None:
            continue
        tie = {"arrowstyle": "-", "lw": 0.8, "color": colors[rank], "shrinkA": 0, "shrinkB": 0}
        axes.annotate(
            str(rank + 1),
            xy=tuple(points[rank]),
            xytext=tuple(place - at[rank]),
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=font,
            color=INK,
            weight="bold",
            path_effects=[withStroke(linewidth=2.2, foreground="white")],
            zorder=5,
            arrowprops=tie if gap > 0 else None,
        )
        taken = np.vstack([taken, np.concatenate([place - half, place + half])])
        shown += 1
    return shown


def _free_place(
    at: NDArray[np.float64],
    half: NDArray[np.float64],
    radius: float,
    taken: NDArray[np.float64],
    frame: NDArray[np.float64],
) -> tuple[NDArray[np.float64] | None, float]:
    """Find the middle of a free box of half-size ``half``, as near to a marker as may be."""
    for gap in (0.0, 6.0, 14.0, 24.0):
        # On an ellipse, so that a wide box keeps clear of the marker at its side.
        away = (radius * 0.75 + half + gap) * np.column_stack(
            [np.cos(DIRECTIONS), np.sin(DIRECTIONS)]
        )
        away *= np.where(np.abs(away).min(axis=1) < 1e-6, 1.15, 1.25)[:, None]
        for place in at + away:
            low, high = place - half, place + half
            inside = (low >= frame[:2]).all() and (high <= frame[2:]).all()
            hit = (low < taken[:, 2:]).all(axis=1) & (taken[:, :2] < high).all(axis=1)
            if inside and not hit.any():
                return place, gap
    return None, 0.0
