"""What was chosen, and how many of the picks are worth it, in one picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

from labelnext.visualization._numbers import INK, number_points
from labelnext.visualization._potential import draw_potential

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike, NDArray

    from labelnext.sampling import Batch

POOL, LABELLED = "#c3c9d2", "#7d8797"


def plot_batch(
    features: Any,
    batch: Batch,
    *,
    exclude: ArrayLike | None = None,
    max_background: int = 5000,
    figure: Figure | None = None,
) -> Figure:
    """Draw a batch in its pool, and the fall of the potential.

    On the left the pool, projected on its two main directions (PCA of the features), and the
    picks: numbered in order as far as there is room, dark to light from the first to the last,
    their area by the norm of the gradient. On the right the potential that is left after each
    pick, as a share of that after the first: where it has become flat, further picks resemble
    earlier ones.

    Parameters
    ----------
    features : array-like or SciPy sparse matrix of shape (n_rows, n_features)
        The features that the batch was chosen from. Memory-mapped arrays are read only at the
        rows that are drawn.
    batch : Batch
        What `labelnext.select` chose from them.
    exclude : array-like of int, default=None
        Rows that were excluded, drawn as crosses.
    max_background : int, default=5000
        How many rows of the pool to draw, and to find the directions from, besides the picks.
        Of a larger pool an even sample is taken.
    figure : matplotlib.figure.Figure, default=None
        The figure to draw on; a new one by default.

    Returns
    -------
    matplotlib.figure.Figure
        The figure, with two axes.

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

    if figure is None:
        figure = plt.figure(figsize=(13, 6.5), layout="constrained")
    n_rows = features.shape[0] if hasattr(features, "shape") else len(features)
    excluded = np.asarray([] if exclude is None else exclude, dtype=np.int64)
    background = _even_sample(np.setdiff1d(np.arange(n_rows), batch.indices), max_background)
    place, picks = _project(features, background, batch.indices)
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    colors, areas = _by_rank(len(batch)), _areas(batch.gradient_norms)
    draw_potential(right, batch.potentials, colors)
    crosses = np.isin(background, excluded)
    _draw_pool(left, place, crosses, picks=picks, areas=areas, colors=colors)
    _explain(left, batch.gradient_norms, areas)
    left.set_title(
        f"{len(batch):,} pick{'s' * (len(batch) > 1)} in a pool of {n_rows:,}",
        loc="left",
        weight="bold",
    )
    figure.draw_without_rendering()  # numbers are placed on the final layout
    shown = number_points(left, picks, np.sqrt(areas) / 2, colors)
    note = "first pick dark, last pick light"
    if shown < len(batch):
        note += f" · {shown:,} of {len(batch):,} numbered, where there is room"
    left.set_xlabel(note, color=LABELLED, fontsize=9, loc="left")
    return figure


def _even_sample(rows: NDArray[np.int64], limit: int) -> NDArray[np.int64]:
    """Thin out rows at random, always the same ones, in ascending order for mapped files."""
    if len(rows) <= limit:
        return rows
    return np.sort(np.random.default_rng(0).choice(rows, limit, replace=False))


def _project(
    features: Any, background: NDArray[np.int64], picks: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Project rows on the two directions along which they vary most."""
    from sklearn.decomposition import PCA

    rows = np.concatenate([background, picks])
    order = np.argsort(rows)  # a file is read from front to back
    sample = (features if hasattr(features, "shape") else np.asarray(features))[rows[order]]
    if sp.issparse(sample) and min(sample.shape) <= 2:
        sample = sample.toarray()
    sparse = sp.issparse(sample)
    sample = sample.astype(np.float64)
    points = np.zeros((len(rows), 2))
    if len(rows) > 1:
        pca = PCA(
            n_components=min(2, *sample.shape),
            svd_solver="arpack" if sparse else "auto",
            random_state=0,
        )
        with np.errstate(invalid="ignore", divide="ignore"):  # all rows may be the same
            projected = pca.fit_transform(sample)
        points[order, : projected.shape[1]] = projected
    return points[: len(background)], points[len(background) :]


def _by_rank(k: int) -> NDArray[np.float64]:
    from matplotlib import colormaps

    # Without the palest yellow, which can hardly be seen on white.
    return np.asarray(colormaps["viridis"](np.linspace(0.0, 0.88, k)))


def _areas(norms: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give each pick an area, in square points, by its norm; none too small to be seen."""
    largest = float(norms.max())
    share = norms / largest if largest > 0 else np.ones_like(norms)
    full = float(np.clip(6_000 / len(norms), 40, 260))
    return np.maximum(full * share, 8.0)


def _draw_pool(
    axes: Axes,
    place: NDArray[np.float64],
    labelled: NDArray[np.bool_],
    *,
    picks: NDArray[np.float64],
    areas: NDArray[np.float64],
    colors: NDArray[np.float64],
) -> None:
    size = float(np.clip(20_000 / (len(place) + len(picks)), 4, 22))
    axes.scatter(
        place[~labelled, 0],
        place[~labelled, 1],
        s=size,
        c=POOL,
        linewidths=0,
        label="pool",
        zorder=1,
    )
    if labelled.any():
        axes.scatter(
            place[labelled, 0],
            place[labelled, 1],
            s=size * 1.5,
            c=LABELLED,
            marker="x",
            linewidths=0.9,
            label="excluded (labelled already)",
            zorder=2,
        )
    # The first picks lie on top: they are the ones to look at.
    back_to_front = slice(None, None, -1)
    axes.scatter(
        picks[back_to_front, 0],
        picks[back_to_front, 1],
        s=areas[back_to_front],
        c=colors[back_to_front],
        edgecolors="white",
        linewidths=0.7,
        zorder=3,
    )
    axes.set(xticks=[], yticks=[])
    axes.set_aspect("equal", adjustable="datalim")
    axes.margins(0.06)
    axes.spines[:].set_visible(False)


def _explain(axes: Axes, norms: NDArray[np.float64], areas: NDArray[np.float64]) -> None:
    """Add the legend, with the largest and the smallest gradient as measures."""
    for rank in dict.fromkeys([int(np.argmax(areas)), int(np.argmin(areas))]):
        axes.scatter(
            [],
            [],
            s=areas[rank],
            c=INK,
            linewidths=0,
            label=f"pick with ‖gradient‖ {norms[rank]:.3g}",
        )
    axes.legend(loc="best", framealpha=0.85, edgecolor="none", fontsize=9, labelcolor=INK)
