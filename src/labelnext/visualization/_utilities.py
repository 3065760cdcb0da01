"""What a query strategy thinks of every place."""

from __future__ import annotations

import inspect
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from labelnext.utils import unlabeled_indices
from labelnext.visualization._contour import plot_contour_for_samples
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


def plot_utilities(
    qs: Any, X: ArrayLike, y: ArrayLike, candidates: ArrayLike | None = None, **kwargs: Any
) -> Axes:
    """
    Colour the plane by the utilities of a query strategy's first pick.

    Without candidates the points of a mesh are put to the strategy, so that the colours are its
    answers at those very places. A strategy that can't judge samples that are not in `X` is
    asked for the unlabelled ones instead.

    Parameters
    ----------
    qs : query strategy
        One of `labelnext.pool`, or any with such a `query`.
    X : array-like of shape (n_samples, 2)
        Samples, labelled and unlabelled.
    y : array-like of shape (n_samples,)
        Their labels, missing where there is none.
    candidates : None, array-like of int or array-like of shape (n_candidates, 2), default=None
        Rows of `X`, or samples, to ask for instead of a mesh.
    **kwargs
        For drawing: `feature_bound`, `ax`, `res` and `contour_dict`, and for candidates
        `replace_nan`, all as in `plot_contour_for_samples`. The rest goes to `qs.query`;
        `ignore_undefined_query_params=True` drops what that does not know.

    Returns
    -------
    matplotlib.axes.Axes
        The axes drawn on.

    Raises
    ------
    TypeError
        If `qs` has no `query`, or an argument has the wrong type.
    ValueError
        If `X` does not have two features, or the area is empty.

    Warns
    -----
    UserWarning
        If the strategy could not judge the mesh, with its reason.

    See Also
    --------
    plot_contour_for_samples : The same from utilities that are there already.

    Examples
    --------
    A logistic regression is least sure halfway between the two classes:

    >>> import numpy as np
    >>> from matplotlib.figure import Figure
    >>> from sklearn.linear_model import LogisticRegression
    >>> from labelnext.pool import UncertaintySampling
    >>> from labelnext.visualization import plot_utilities
    >>> X, y = [[-1.0, 0.0], [1.0, 0.0], [0.0, 1.0]], [0, 1, np.nan]
    >>> ax = plot_utilities(
    ...     UncertaintySampling(), X, y, clf=LogisticRegression(), ax=Figure().subplots()
    ... )
    >>> print(ax.collections[0].zmax)
    0.5
    """
    if not hasattr(qs, "query"):
        raise TypeError(f"qs must be a query strategy, got {type(qs).__name__}.")
    names = {"replace_nan", "feature_bound", "ax", "res", "contour_dict"}
    drawing = {name: kwargs.pop(name) for name in names & kwargs.keys()}
    drawing["ax"] = check_axes(drawing.get("ax"))
    samples = check_samples(X)
    if kwargs.pop("ignore_undefined_query_params", False):
        known = inspect.signature(qs.query).parameters
        kwargs = {name: value for name, value in kwargs.items() if name in known}

    def ask(candidates: Any) -> NDArray[np.float64]:
        query = {**kwargs, "candidates": candidates, "return_utilities": True}
        return np.asarray(qs.query(X=X, y=y, **query)[1][0], dtype=np.float64)

    if candidates is None:
        return _over_mesh(qs, samples, y, ask, drawing)
    asked = np.asarray(candidates)
    return plot_contour_for_samples(
        samples if asked.ndim == 1 else asked, ask(candidates), **drawing
    )


def _over_mesh(
    qs: Any, samples: NDArray[np.float64], y: ArrayLike, ask: Any, drawing: dict[str, Any]
) -> Axes:
    bound = drawing.get("feature_bound")
    mesh = make_mesh(bound_of(samples) if bound is None else bound, drawing.get("res", 21))
    options = check_options(drawing.get("contour_dict"), "contour_dict")
    try:
        utilities = ask(mesh.samples)
    except Exception as error:
        # Strategies of other libraries say in their own ways that they need rows of X. If that
        # was not the reason, asking again ends with the same error, and that one is let through.
        utilities = ask(unlabeled_indices(y, getattr(qs, "missing_label", np.nan)))
        if type(error).__name__ != "MappingError":  # scikit-activeml's: a known limit, no news
            warnings.warn(
                f"{type(qs).__name__} could not judge the points of a mesh, so the utilities are "
                f"those of the unlabelled samples: {error}",
                stacklevel=3,
            )
        return plot_contour_for_samples(samples, utilities, **drawing)
    mesh.fill(drawing["ax"], utilities, options)
    return drawing["ax"]  # type: ignore[no-any-return]
