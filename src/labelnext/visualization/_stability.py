"""What tells when to stop: agreement between rounds, and the fall of the potential."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from labelnext.visualization._curves import GRID, INK, draw_means

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike


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
    draw_means(left, labels[1:], {name: _part(v, slice(1, None)) for name, v in agreement.items()})
    left.axhline(threshold, color=INK, lw=0.8, ls=(0, (2, 3)), zorder=1)
    left.set(xlabel="labels", ylabel="agreement with the round before (kappa)")
    means = draw_means(
        right, labels[:-1], {name: _part(v, slice(None, -1)) for name, v in potential.items()}
    )
    drawn = np.concatenate([*means.values(), []])
    if len(drawn) and drawn.min() > 0 and drawn.max() > 10 * drawn.min():
        right.set_yscale("log")
        right.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        right.yaxis.set_minor_locator(NullLocator())
        right.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    right.set(xlabel="labels", ylabel="potential left by the batch (mean D²)")
    for panel in axes:
        panel.grid(axis="y", color=GRID, lw=0.8)
        panel.set_axisbelow(True)
        panel.spines[["top", "right"]].set_visible(False)
    if left.get_legend_handles_labels()[0]:
        left.legend(loc="lower right", frameon=False, fontsize="small")
    return axes


def _part(values: ArrayLike, points: slice) -> ArrayLike:
    return np.atleast_2d(np.asarray(values, dtype=np.float64))[:, points]
