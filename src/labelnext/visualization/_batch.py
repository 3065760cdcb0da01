"""What was chosen, and what each pick brings, in one picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from labelnext.pools.pool import Pool
from labelnext.sampling.projection import (
    DENSE,
    halvings,
    known_potentials,
    project,
    rows_to_draw,
)
from labelnext.visualization.figures import INK, note, percent, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike, NDArray

    from labelnext.sampling import Batch

    Floats = NDArray[np.float64]

LIGHT, QUIET = "#c3c9d2", "#7d8797"
# So many picks are numbered; more numbers would hide the map, and a colour bar tells the order.
NUMBERED = 20
DIRECTIONS = np.deg2rad([45, 135, -45, -135, 0, 180, 90, -90])


def plot_batch(
    features: Any,
    batch: Batch,
    *,
    exclude: ArrayLike | None = None,
    max_background: int = 20_000,
    figure: Figure | None = None,
) -> Figure:
    """Draw a batch in its pool, and what each pick brings.

    On the left the pool, projected on the two directions along which the features of the rows
    drawn vary most (PCA), and the picks, dark to light from the first to the last, the first twenty
    numbered, their area by the norm of the gradient. Of a large pool the map shows how dense it is.
    On the right the potential that is left
    after each pick, as a share of that after the first. Of a strategy that knows no potential,
    the scores are there instead, if it has any, and without norms all picks have the same area.

    Parameters
    ----------
    features : array-like, torch.Tensor, SciPy sparse matrix or Pool
        The features that the batch was chosen from, shape (n_rows, n_features), or their pool.
        What lies in files is read only at the rows that are drawn.
    batch : Batch
        What `labelnext.select` chose from them.
    exclude : array-like of int, default=None
        Rows that were excluded, drawn as crosses.
    max_background : int, default=20000
        How many rows of the pool to draw, and to find the directions from, besides the picks.
        Of a larger pool an even sample is taken, a smaller one where there are more than 1,677
        features.
    figure : matplotlib.figure.Figure, default=None
        The figure to draw on; a new one by default.

    Returns
    -------
    matplotlib.figure.Figure
        The figure: the map, potential or score if there is one, and the colour bar if it is needed.

    Examples
    --------
    >>> import numpy as np
    >>> import labelnext
    >>> from labelnext.visualization import plot_batch
    >>> rng = np.random.default_rng(0)
    >>> features = rng.normal(size=(200, 8))
    >>> batch = labelnext.select(rng.dirichlet(np.ones(3), 200), features, 10, random_state=0)
    >>> figure = plot_batch(features, batch)
    >>> [axes.get_title(loc="left") for axes in figure.axes]
    ['10 picks in a pool of 200', 'How much is left to cover']
    """
    import matplotlib.pyplot as plt
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import ListedColormap, Normalize

    if figure is None:
        figure = plt.figure(figsize=(13, 6.5), layout="constrained")
    if not isinstance(features, Pool):
        features = Pool(features=features)
    rows = rows_to_draw(features, batch.indices, max_background)
    points, told = project(features, np.concatenate([rows, batch.indices]))
    others, picks = points[: len(rows)], points[len(rows) :]
    # Without the palest yellow, which can hardly be seen on white.
    colors = np.asarray(colormaps["viridis"](np.linspace(0.0, 0.88, len(batch))))
    areas = _areas(len(batch), batch.gradient_norms)
    potentials = known_potentials(batch.potentials)
    values = batch.scores if potentials is None else potentials
    if values is None:
        left = figure.subplots()
    else:
        left, right = figure.subplots(1, 2, width_ratios=(3, 2))
        if potentials is not None:
            _draw_potential(right, values, colors)
        else:
            right.set_title("What decided on each pick", loc="left", weight="bold")
            _draw_turns(right, np.arange(1, len(batch) + 1), values, colors)
            right.set(xlabel="picks", ylabel="score")
    crosses = np.isin(rows, np.asarray([] if exclude is None else exclude, dtype=np.int64))
    _draw_pool(left, others, crosses)
    # The first picks lie on top: they are the ones to look at.
    x, y = picks[::-1].T
    left.scatter(x, y, s=areas[::-1], c=colors[::-1], edgecolors="white", linewidths=0.7, zorder=3)
    norms = batch.gradient_norms
    for rank in dict.fromkeys([int(np.argmax(areas)), int(np.argmin(areas))]):
        label = "pick" if norms is None else f"pick with ‖gradient‖ {norms[rank]:.3g}"
        left.scatter([], [], s=areas[rank], c=INK, linewidths=0, label=label)
    # At a fixed place: matplotlib takes seconds to find the best among thousands of points.
    place: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (0, 0), "ncols": 4}
    left.legend(**place, frameon=False, fontsize=9, labelcolor=INK, handletextpad=0.4)
    plural = "s" * (len(batch) > 1)
    title = f"{len(batch):,} pick{plural} in a pool of {features.n_rows:,}"
    left.set_title(title, loc="left", weight="bold")
    left.set_xlabel(told, color=QUIET, fontsize=9, loc="left", labelpad=26)
    if len(batch) > NUMBERED:
        shades = ScalarMappable(Normalize(1, len(batch)), ListedColormap(colors))
        bar = figure.colorbar(shades, ax=left, fraction=0.03, pad=0.01)
        bar.set_label("pick, from the first to the last", color=QUIET, fontsize=9)
        bar.outline.set_visible(False)
    figure.draw_without_rendering()  # numbers are placed on the final layout
    _number(left, picks, np.sqrt(areas) / 2, colors)
    return figure


def _areas(k: int, norms: Floats | None) -> Floats:
    """Give each pick an area, in square points, by its norm; none too small to be seen."""
    full = float(np.clip(6_000 / k, 40, 260))
    if norms is None or not np.nanmax(norms, initial=0) > 0:
        return np.full(k, full)
    norms = np.nan_to_num(norms, nan=float(np.nanmedian(norms)))  # of picks drawn at random
    areas: Floats = np.maximum(full * norms / norms.max(), 8.0)
    return areas


def _draw_pool(axes: Axes, points: Floats, crosses: NDArray[np.bool_]) -> None:
    size = float(np.clip(20_000 / max(len(points), 1), 4, 22))
    x, y = points[~crosses].T
    if len(x) > DENSE:
        _draw_density(axes, x, y)
    else:
        axes.scatter(x, y, s=size, c=LIGHT, linewidths=0, label="pool", zorder=1)
    if crosses.any():
        x, y = points[crosses].T
        look: dict[str, Any] = {"c": QUIET, "marker": "x", "linewidths": 0.9, "zorder": 2}
        axes.scatter(x, y, s=size * 1.5, label="excluded (labelled already)", **look)
    axes.set(xticks=[], yticks=[])
    axes.set_aspect("equal", adjustable="datalim")
    axes.margins(0.06)
    axes.spines[:].set_visible(False)


def _draw_density(axes: Axes, x: Floats, y: Floats) -> None:
    """Draw hexagons, the darker the more rows lie there: one alone can still be seen."""
    from matplotlib.colors import LinearSegmentedColormap

    shades = LinearSegmentedColormap.from_list("pool", ["#e3e7ed", "#5f6b7c"])
    cells = axes.hexbin(x, y, gridsize=90, bins="log", mincnt=1, cmap=shades, linewidths=0)
    cells.set_zorder(1)
    axes.scatter([], [], s=22, c=LIGHT, marker="h", linewidths=0, label="pool")


def _number(axes: Axes, points: Floats, radii: Floats, colors: Floats) -> None:
    """Number points from 1, beside their markers or tied to them by lines, where there is room."""
    scale = 72 / axes.figure.dpi
    at = axes.transData.transform(points) * scale
    frame = np.asarray(axes.get_window_extent().extents) * scale
    reach = radii[: len(points), None]
    taken = np.column_stack([at - reach, at + reach])  # boxes of markers, then of numbers too
    for rank in range(min(len(points), NUMBERED)):
        half = np.array([3.2 * len(str(rank + 1)) + 1, 4.5])
        others = np.delete(taken, rank, axis=0)
        place, gap = _free_place(at[rank], half, float(radii[rank]), others, frame)
        if place is None:
            continue
        tie = {"arrowstyle": "-", "lw": 0.8, "color": colors[rank], "shrinkA": 0, "shrinkB": 0}
        look = {"ha": "center", "va": "center", "weight": "bold", "zorder": 5}
        offset = place - at[rank]
        text = note(
            axes, str(rank + 1), points[rank], offset, arrowprops=tie if gap else None, **look
        )
        text.set_in_layout(False)  # it lies on the map, and measuring it takes long
        taken = np.vstack([taken, np.concatenate([place - half, place + half])])


def _free_place(
    at: Floats, half: Floats, radius: float, taken: Floats, frame: Floats
) -> tuple[Floats | None, float]:
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


def _draw_turns(axes: Axes, rank: NDArray[np.int64], values: Floats, colors: Floats) -> None:
    from matplotlib.ticker import MaxNLocator

    k = len(colors)
    size = np.clip(2500 / k, 8, 46)
    axes.plot(rank, values, color=LIGHT, lw=1.5, zorder=1)
    axes.scatter(rank, values, c=colors[rank - 1], s=size, linewidths=0, zorder=3)
    axes.set_xlim(0, k * 1.03 + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    tidy(axes)


def _draw_potential(axes: Axes, potentials: Floats, colors: Floats) -> None:
    """Draw what is left after each pick, and where it has halved again.

    The potential falls by factors: on a linear scale most of a batch would be a flat line.
    """
    from matplotlib.ticker import LogLocator, NullLocator

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
    _draw_turns(axes, rank[some], share[some], colors)
    lowest = float(share[some].min())
    axes.set_ylim(lowest / 1.5, 1.4)
    axes.set_ylabel("potential left, as a share of that after the first pick")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if lowest > 1e-3 else (1,)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(percent)
    marks = halvings(share)
    for at in marks:
        axes.plot([at, at], [lowest / 1.5, share[at - 1]], color=INK, lw=0.7, ls=(0, (2, 3)))
    _label(axes, {at: share[at - 1] for at in marks if share[at - 1] > 0}, marks)
    notes = ["marked where what was left has halved again"] if marks else []
    if not some.all():
        notes.append(f"nothing is left from pick {int(rank[~some][0]):,} on")
    axes.set_xlabel("\n".join(["picks", " · ".join(notes)]) if notes else "picks")


def _label(axes: Axes, heights: dict[int, float], marks: dict[int, int]) -> None:
    """Write at the marks what is left; where two would overlap, at the later one."""
    fractions = {1: "half", 2: "a quarter", 3: "an eighth"}
    taken: list[tuple[float, float]] = []
    for at, height in reversed(heights.items()):
        x, y = axes.transAxes.inverted().transform(axes.transData.transform((at, height)))
        early = x < 0.66  # where there is room to the right of the curve
        left, middle = (x, y + 0.03) if early else (x - 0.36, y - 0.03)
        if any(abs(left - u) < 0.37 and abs(middle - v) < 0.035 for u, v in taken):
            continue
        taken.append((left, middle))
        note(
            axes,
            f"at most {fractions.get(marks[at], f'1/{2 ** marks[at]}')} left after {at:,}",
            (at, height),
            (7, 7) if early else (-6, -7),
            ha="left" if early else "right",
            va="bottom" if early else "top",
        )
