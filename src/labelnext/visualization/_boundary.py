"""Where a classifier decides otherwise, and how sure it is there."""

from __future__ import annotations

import numbers
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from labelnext.estimators import proba_of
from labelnext.visualization._feature_space import FLAT, Mesh, check_bound, merge
from labelnext.visualization.figures import check_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from numpy.typing import ArrayLike, NDArray

BOUNDARY = {"colors": "k", "linewidths": 2, "zorder": 1}
CONFIDENCE = {"linewidths": 2, "linestyles": "--", "alpha": 0.9, "zorder": 1}


def plot_decision_boundary(
    clf: Any,
    feature_bound: ArrayLike,
    ax: Axes | None = None,
    res: int = 21,
    boundary_dict: dict[str, Any] | None = None,
    confidence: float | None = 0.75,
    cmap: str | Colormap = "coolwarm",
    confidence_dict: dict[str, Any] | None = None,
) -> Axes:
    """
    Draw where the prediction of a classifier changes, and where it becomes confident.

    Solid lines part the regions of the predicted classes. Inside the region of each class a
    dashed line in its colour marks where its probability p leaves that of the runner-up q behind
    so far that p / (p + q) is `confidence`. Lines that do not cross the plot are left out: a
    classifier that has seen no label yet, or knows one class only, draws nothing.

    Parameters
    ----------
    clf : classifier
        A fitted classifier over two features, with `predict_proba` or, for boundaries alone,
        `predict`.
    feature_bound : array-like of shape (2, 2)
        The rectangle to draw in, `[[xmin, ymin], [xmax, ymax]]`.
    ax : matplotlib.axes.Axes, default=None
        Where to draw; the current axes by default.
    res : int, default=21
        How many points to ask the classifier at, along each feature.
    boundary_dict : dict, default=None
        Arguments of `Axes.contour` for the solid lines.
    confidence : float or None, default=0.75
        Where the dashed lines run, between 0.5 and 1. None leaves them out.
    cmap : str or matplotlib.colors.Colormap, default="coolwarm"
        The colours of the dashed lines, from the first class to the last.
    confidence_dict : dict, default=None
        Arguments of `Axes.contour` for the dashed lines; their colours come from `cmap`.

    Returns
    -------
    matplotlib.axes.Axes
        The axes drawn on.

    Warns
    -----
    UserWarning
        If `confidence` is asked of a classifier without `predict_proba`.

    Examples
    --------
    >>> import numpy as np
    >>> from matplotlib.figure import Figure
    >>> from labelnext.classifier import ParzenWindowClassifier
    >>> from labelnext.visualization import plot_decision_boundary
    >>> clf = ParzenWindowClassifier().fit([[-1.0, 0.0], [1.0, 0.0]], [0, 1])
    >>> ax = Figure().add_subplot()
    >>> ax = plot_decision_boundary(clf, [[-2, -1], [2, 1]], ax=ax, confidence=None)
    >>> (boundary,) = ax.collections
    >>> bool(np.allclose(boundary.get_paths()[0].vertices[:, 0], 0))  # half-way
    True
    """
    from matplotlib import colormaps

    mesh = Mesh.over(check_bound(feature_bound), res)
    confidence = _check_confidence(confidence)
    colors = colormaps.get_cmap(cmap)
    boundary_arguments = merge("boundary_dict", boundary_dict, BOUNDARY)
    confidence_arguments = merge("confidence_dict", confidence_dict, CONFIDENCE)
    if {"colors", "cmap"} & confidence_arguments.keys():
        raise ValueError("confidence_dict must leave the colours to cmap: drop 'colors' and 'cmap'")
    lead = _lead(_probabilities(clf, mesh, confidence is not None)).reshape(-1, *mesh.shape)
    ax = check_axes(ax)
    # Each boundary lies between two classes, so those of all classes but one are all there are.
    for one in lead[:-1]:
        _draw_line(ax, mesh, one, 0.5, boundary_arguments)
    if confidence is not None and hasattr(clf, "predict_proba"):
        for place, one in zip(np.linspace(0, 1, len(lead)), lead, strict=True):
            _draw_line(
                ax, mesh, one, confidence, confidence_arguments | {"colors": [colors(place)]}
            )
    return ax


def _check_confidence(confidence: Any) -> float | None:
    if confidence is None:
        return None
    if isinstance(confidence, bool) or not isinstance(confidence, numbers.Real):
        raise TypeError(f"confidence must be a number or None, got {confidence!r}.")
    if not 0.5 < float(confidence) < 1:
        raise ValueError(
            f"confidence must lie between 0.5 (the boundary itself) and 1, both excluded, got "
            f"{confidence}; None leaves its lines out."
        )
    return float(confidence)


def _probabilities(clf: Any, mesh: Mesh, confident: bool) -> NDArray[np.float64]:
    """Ask for probabilities at the nodes; predictions are certain."""
    if hasattr(clf, "predict_proba"):
        return proba_of(clf, mesh.points)
    if not hasattr(clf, "predict"):
        raise TypeError(f"clf must have predict_proba or predict, got {type(clf).__name__}.")
    if confident:
        warnings.warn(
            f"{type(clf).__name__} has no predict_proba, so how confident it is cannot be drawn; "
            f"pass confidence=None to draw its boundaries alone.",
            UserWarning,
            stacklevel=3,
        )
    classes, predicted = np.unique(clf.predict(mesh.points), return_inverse=True)
    certain: NDArray[np.float64] = np.eye(len(classes))[predicted]
    return certain


def _lead(proba: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weigh each class against the best of the others: p / (p + q), shape (n_classes, n)."""
    if proba.shape[1] == 1:
        return np.ones_like(proba.T)
    first = proba.argmax(axis=1)
    second = np.partition(proba, -2, axis=1)[:, -2]
    rival = np.repeat(proba.max(axis=1, keepdims=True), proba.shape[1], axis=1)
    rival[np.arange(len(proba)), first] = second
    lead: NDArray[np.float64] = (proba / (proba + rival)).T
    return lead


def _draw_line(
    ax: Axes, mesh: Mesh, field: NDArray[np.float64], level: float, arguments: dict[str, Any]
) -> None:
    # matplotlib warns of a level that the field does not reach, and one that only rounding crosses
    # would be drawn as a scribble.
    if field.min() + FLAT < level < field.max() - FLAT:
        ax.contour(mesh.x, mesh.y, field, [level], **arguments)
