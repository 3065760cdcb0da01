"""Values of samples as a map of the plane."""

from __future__ import annotations

from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.spatial import KDTree
from sklearn.utils import check_consistent_length, column_or_1d

from labelnext.visualization._mesh import (
    bound_of,
    check_axes,
    check_options,
    check_samples,
    make_mesh,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike, NDArray


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
    Colour the plane by values of samples, such as one row of utilities.

    A point of the plane takes the value of the sample nearest to it. The highest value is always
    seen, even if its sample lies so close among others that no mesh point is nearest to it.

    Parameters
    ----------
    X : array-like of shape (n_samples, 2)
        Samples.
    values : array-like of shape (n_samples,)
        Their values. NaN is for samples without one; infinity counts as NaN.
    replace_nan : float or None, default=0.0
        The value in place of NaN. None leaves those samples out, and the plane around them is
        coloured by their neighbours.
    feature_bound : array-like of shape (2, 2), default=None
        The area to colour, `[[xmin, ymin], [xmax, ymax]]`. None takes that of all samples.
    ax : matplotlib.axes.Axes, default=None
        The axes to draw on. None takes the current ones.
    res : int, default=21
        The number of mesh points a side.
    contour_dict : dict, default=None
        Arguments for `matplotlib.axes.Axes.contourf`.

    Returns
    -------
    matplotlib.axes.Axes
        The axes drawn on. If all values are equal the area has one even tone, and if there is
        none nothing is drawn.

    Raises
    ------
    TypeError
        If an argument has the wrong type.
    ValueError
        If `X` does not have two features, lengths differ, or the area is empty.

    See Also
    --------
    plot_utilities : Ask a query strategy for the values and draw them.

    Examples
    --------
    >>> import numpy as np
    >>> from matplotlib.figure import Figure
    >>> from labelnext.visualization import plot_contour_for_samples
    >>> X = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    >>> ax = Figure().subplots()
    >>> ax = plot_contour_for_samples(X, [0.2, 1.0, np.nan], replace_nan=None, ax=ax)
    >>> contours = ax.collections[0]
    >>> print(contours.zmin, contours.zmax)
    0.2 1.0
    """
    samples = check_samples(X)
    numbers = _check_values(values, samples, replace_nan)
    options = check_options(contour_dict, "contour_dict")
    mesh = make_mesh(bound_of(samples) if feature_bound is None else feature_bound, res)
    ax = check_axes(ax)
    valued = np.isfinite(numbers)
    if valued.any():
        mesh.fill(ax, _nearest_values(samples[valued], numbers[valued], mesh.samples), options)
    return ax


def _check_values(
    values: ArrayLike, samples: NDArray[np.float64], replace_nan: Any
) -> NDArray[np.float64]:
    numbers = np.array(column_or_1d(values), dtype=np.float64)
    check_consistent_length(samples, numbers)
    if replace_nan is not None:
        if not isinstance(replace_nan, Real):
            raise TypeError(f"replace_nan must be a number or None, got {replace_nan!r}.")
        numbers[~np.isfinite(numbers)] = replace_nan
    return numbers


def _nearest_values(
    samples: NDArray[np.float64], values: NDArray[np.float64], points: NDArray[np.float64]
) -> NDArray[np.float64]:
    drawn: NDArray[np.float64] = values[KDTree(samples).query(points)[1]]
    if drawn.max() < values.max():
        # A one-hot row of utilities would look like an empty one.
        inside = ((samples >= points.min(axis=0)) & (samples <= points.max(axis=0))).all(axis=1)
        peaks = samples[inside & (values == values.max())]
        if len(peaks):
            drawn[KDTree(points).query(peaks)[1]] = values.max()
    return drawn
