"""What the plots over feature space share: a mesh, a field of colour on it, checks."""

from __future__ import annotations

import numbers
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

# Differences below this share of the values are rounding, not something to look at.
FLAT = 1e-9


@dataclass(frozen=True)
class Mesh:
    """A regular grid over a rectangle of feature space: the coordinates of columns and rows."""

    x: Floats
    y: Floats

    @classmethod
    def over(cls, bound: Floats, res: Any) -> Mesh:
        """Lay `res` columns and rows over a rectangle `[[xmin, ymin], [xmax, ymax]]`."""
        if isinstance(res, bool) or not isinstance(res, numbers.Integral):
            raise TypeError(f"res must be an integer, got {res!r} of type {type(res).__name__}.")
        if res < 2:
            raise ValueError(f"res must be at least 2, the corners of the plot, got {res}.")
        (left, low), (right, high) = bound
        return cls(np.linspace(left, right, int(res)), np.linspace(low, high, int(res)))

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns, as matplotlib wants its fields."""
        return len(self.y), len(self.x)

    @property
    def points(self) -> Floats:
        """The nodes, row by row: shape (res², 2)."""
        return np.column_stack([grid.ravel() for grid in np.meshgrid(self.x, self.y)])

    def contains(self, points: Floats) -> NDArray[np.bool_]:
        """Say which points lie in the rectangle, its edges included."""
        low, high = (self.x[0], self.y[0]), (self.x[-1], self.y[-1])
        return np.asarray(((points >= low) & (points <= high)).all(axis=1))


def check_plane(X: Any, name: str = "X") -> Floats:
    """Return samples as an array of shape (n_samples, 2), or say why they cannot be drawn."""
    points = np.asarray(X, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 2 or len(points) == 0:
        raise ValueError(
            f"{name} must have shape (n_samples, 2), one row for each sample and two features to "
            f"draw along, got shape {points.shape}."
        )
    if not np.isfinite(points).all():
        row = int(np.flatnonzero(~np.isfinite(points).all(axis=1))[0])
        raise ValueError(f"{name} must be finite, got {points[row].tolist()} in row {row}.")
    return points


def check_bound(feature_bound: ArrayLike | None, X: Floats | None = None) -> Floats:
    """Return `[[xmin, ymin], [xmax, ymax]]`, that of the samples if none is given."""
    if feature_bound is None and X is not None:
        bound = np.stack([X.min(axis=0), X.max(axis=0)])
        # One sample, or a column of them, still needs some room to be drawn in.
        narrow = bound[0] == bound[1]
        bound[0, narrow] -= 0.5 + FLAT * np.abs(bound[0, narrow])
        bound[1, narrow] += 0.5 + FLAT * np.abs(bound[1, narrow])
        return bound
    try:
        bound = np.array(feature_bound, dtype=np.float64)
    except (TypeError, ValueError):
        bound = np.array(np.nan)
    if bound.shape != (2, 2) or not np.isfinite(bound).all() or (bound[0] >= bound[1]).any():
        raise ValueError(
            f"feature_bound must be [[xmin, ymin], [xmax, ymax]], finite, with xmin < xmax and "
            f"ymin < ymax, got {feature_bound!r}."
        )
    return bound


def check_axes(ax: Any, name: str = "ax") -> Axes:
    """Return the axes given, or the current ones."""
    from matplotlib.axes import Axes

    if ax is None:
        import matplotlib.pyplot as plt

        return plt.gca()
    if not isinstance(ax, Axes):
        raise TypeError(
            f"{name} must be one matplotlib Axes or None for the current one, got "
            f"{type(ax).__name__}; call the function once for each of several."
        )
    return ax


def merge(name: str, given: Any, defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return matplotlib's arguments: what the caller gives, and defaults for the rest."""
    if given is None:
        return dict(defaults)
    if not isinstance(given, dict):
        raise TypeError(
            f"{name} must be a dict of arguments for matplotlib, got {type(given).__name__}."
        )
    # matplotlib takes colours or a colour map, not both: the caller's choice ousts the default.
    ousted = {"colors": "cmap", "cmap": "colors"}
    kept = {
        key: value
        for key, value in defaults.items()
        if key not in ousted or given.get(ousted[key]) is None
    }
    return kept | given


def fill(ax: Axes, mesh: Mesh, field: Floats, contour_dict: Any) -> None:
    """Colour the rectangle by a field of shape `mesh.shape`; what is not finite stays blank."""
    arguments = merge("contour_dict", contour_dict, {"cmap": "Greens", "alpha": 0.75})
    field = np.where(np.isfinite(field), field, np.nan)
    if np.isnan(field).all():
        raise ValueError("there is nothing to draw: at no node of the mesh is there a number.")
    low, high = float(np.nanmin(field)), float(np.nanmax(field))
    size = max(abs(low), abs(high))
    if high - low <= FLAT * size and np.ndim(arguments.get("levels", 0)) == 0:
        # matplotlib would find no levels, or draw the rounding. One even tone says it all.
        middle, half = low, 0.5 * (size or 1.0)
        field = np.where(np.isnan(field), np.nan, middle)
        arguments["levels"] = [middle - half, middle + half]
    ax.contourf(mesh.x, mesh.y, np.ma.masked_invalid(field), **arguments)
