"""Values of samples, and utilities of query strategies, as colour over two features."""

from __future__ import annotations

import inspect
import numbers
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from labelnext.utils import unlabeled_indices
from labelnext.utils.given import check_integer
from labelnext.visualization.figures import check_axes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

# Differences below this share of the values are rounding, not something to look at.
FLAT = 1e-9
LOOK = ("replace_nan", "feature_bound", "ax", "res", "contour_dict")


def plot_contour_for_samples(
    X: ArrayLike,
    values: ArrayLike,
    replace_nan: float | None = 0.0,
    feature_bound: ArrayLike | None = None,
    ax: Axes | None = None,
    res: int = 21,
    contour_dict: dict[str, Any] | None = None,
) -> Axes:
    """
    Colour the plane by values of samples: each point has that of the sample nearest to it.

    The largest value is always to be seen: if its sample is nearest to no node of the mesh, as
    may happen among many neighbours, the node nearest to it gets that value. So the first
    utilities of a BADGE batch, 1 at one sample and 0 elsewhere, are one spot. Equal values are
    one even tone.

    Parameters
    ----------
    X : array-like of shape (n_samples, 2)
        The samples.
    values : array-like of shape (n_samples,)
        A number for each. Infinite ones are taken as NaN.
    replace_nan : float or None, default=0.0
        What to put in the place of NaN; None leaves these samples out.
    feature_bound : array-like of shape (2, 2), default=None
        The rectangle to draw in, `[[xmin, ymin], [xmax, ymax]]`; by default the smallest that
        holds all samples.
    ax : matplotlib.axes.Axes, default=None
        Where to draw; the current axes by default.
    res : int, default=21
        How many nodes the mesh has along each feature.
    contour_dict : dict, default=None
        Arguments of `Axes.contourf`.

    Returns
    -------
    matplotlib.axes.Axes
        The axes drawn on.

    Raises
    ------
    ValueError
        If shapes do not match, or no value is left to draw.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from labelnext.visualization import plot_contour_for_samples
    >>> ax = Figure().add_subplot()
    >>> ax = plot_contour_for_samples([[0, 0], [1, 0], [1, 1]], [0.2, float("nan"), 0.9], ax=ax)
    >>> ax.collections[0].zmin.item(), ax.collections[0].zmax.item()
    (0.0, 0.9)
    """
    points = check_plane(X)
    array = np.asarray(values, dtype=np.float64)
    if array.shape != (len(points),):
        raise ValueError(
            f"values must have one number for each of the {len(points)} samples in X, got shape "
            f"{array.shape}; of the utilities of a batch, draw one row at a time."
        )
    mesh = Mesh.over(check_bound(feature_bound, points), res)
    known = np.isfinite(array)
    if replace_nan is not None:
        array = np.where(known, array, _check_replacement(replace_nan))
    elif known.any():
        points, array = points[known], array[known]
    else:
        raise ValueError(
            "values are all NaN, so with replace_nan=None nothing is left to draw; give a number "
            "to draw in their place."
        )
    ax = check_axes(ax)
    fill(ax, mesh, _nearest(mesh, points, array), contour_dict)
    return ax


def plot_utilities(
    qs: Any, X: ArrayLike, y: ArrayLike, candidates: ArrayLike | None = None, **kwargs: Any
) -> Axes:
    """
    Colour the plane by the utilities that decide on the first pick of a query strategy.

    Without candidates every node of a mesh is one, as though a sample lay there. A strategy that
    needs rows of `X` is asked about the unlabelled samples instead. Utilities of samples are
    drawn as `plot_contour_for_samples` does.

    Parameters
    ----------
    qs : query strategy
        One of `labelnext.pool`, or any with the same `query`.
    X : array-like of shape (n_samples, 2)
        All samples, labelled and unlabelled.
    y : array-like of shape (n_samples,)
        Their labels, `qs.missing_label` where there is none.
    candidates : array-like of shape (n_candidates,) or (n_candidates, 2), default=None
        Rows of `X`, or samples, whose utilities are to be drawn.
    **kwargs
        `replace_nan`, `feature_bound`, `ax`, `res` and `contour_dict` are those of
        `plot_contour_for_samples`. With `ignore_undefined_query_params=True` arguments that
        `qs.query` does not know are dropped. All others, like `clf`, go to `qs.query`.

    Returns
    -------
    matplotlib.axes.Axes
        The axes drawn on.

    Raises
    ------
    ValueError
        If `X` has other than two features, or the strategy has no utility to draw.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from labelnext.classifier import ParzenWindowClassifier
    >>> from labelnext.pool import UncertaintySampling
    >>> from labelnext.visualization import plot_utilities
    >>> X, y = [[-1.0, 0.0], [1.0, 0.0], [0.0, 1.0]], [0, 1, float("nan")]
    >>> ax = plot_utilities(
    ...     UncertaintySampling(), X, y, clf=ParzenWindowClassifier(), ax=Figure().add_subplot()
    ... )
    >>> ax.collections[0].zmax.round(3).item()
    0.5
    """
    look = {key: kwargs.pop(key) for key in LOOK if key in kwargs}
    ignore = kwargs.pop("ignore_undefined_query_params", False)
    if not hasattr(qs, "query"):
        raise TypeError(f"qs must be a query strategy, got {type(qs).__name__}.")
    points = check_plane(X)
    if ignore:
        known = inspect.signature(qs.query).parameters
        kwargs = {key: value for key, value in kwargs.items() if key in known}

    def ask(candidates: NDArray[Any]) -> Floats:
        arguments = kwargs | {"candidates": candidates, "return_utilities": True}
        return np.asarray(qs.query(X=X, y=y, **arguments)[1][0], dtype=np.float64)

    if candidates is None:
        mesh = Mesh.over(check_bound(look.get("feature_bound"), points), look.get("res", 21))
        try:
            utilities = ask(mesh.points)
        except Exception as error:
            # scikit-activeml's way to say that candidates must be rows of X. By name, since it
            # need not be installed.
            if type(error).__name__ != "MappingError":
                raise
            candidates = unlabeled_indices(y, missing_label=qs.missing_label)
        else:
            ax = check_axes(look.get("ax"))
            fill(ax, mesh, utilities.reshape(mesh.shape), look.get("contour_dict"))
            return ax
    chosen = np.asarray(candidates)
    utilities = ask(chosen)
    where = points if chosen.ndim == 1 else check_plane(chosen, "candidates")
    return plot_contour_for_samples(where, utilities, **look)


def _check_replacement(replace_nan: Any) -> float:
    if isinstance(replace_nan, bool) or not isinstance(replace_nan, numbers.Real):
        raise TypeError(f"replace_nan must be a number or None, got {replace_nan!r}.")
    if not np.isfinite(float(replace_nan)):
        raise ValueError(f"replace_nan must be finite, got {replace_nan}; None leaves NaN out.")
    return float(replace_nan)


def _nearest(mesh: Mesh, points: Floats, values: Floats) -> Floats:
    """Give each node the value of its nearest sample, and the largest value a node at least."""
    from scipy.spatial import KDTree

    nodes = mesh.points
    _, owners = KDTree(points).query(nodes)
    field: Floats = values[owners]
    peaks = points[(values == values.max()) & mesh.contains(points)]
    if len(peaks) and field.max() < values.max():
        _, places = KDTree(nodes).query(peaks)
        field[places] = values.max()
    return field.reshape(mesh.shape)


@dataclass(frozen=True)
class Mesh:
    """A regular grid over a rectangle of feature space: the coordinates of columns and rows."""

    x: Floats
    y: Floats

    @classmethod
    def over(cls, bound: Floats, res: Any) -> Mesh:
        """Lay `res` columns and rows over a rectangle `[[xmin, ymin], [xmax, ymax]]`."""
        check_integer("res", res, least=2)
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
