"""Uncertainty herding: coverage of the pool in which uncertain samples weigh more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from labelnext.strategies._arguments import check_flag, check_positive
from labelnext.strategies._base import QueryStrategy
from labelnext.strategies._herding import herd
from labelnext.strategies._points import lay_out, place
from labelnext.strategies._uncertainty import check_method, uncertainty
from labelnext.utils import MISSING_LABEL

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from labelnext.strategies._query import Choice, Query

# As in the code of Bae, Oliveira and Sutherland (see `UncertaintyHerding`).
TEMPERATURES = np.arange(10, 200) / 10
HELD_OUT = 0.3


class UncertaintyHerding(QueryStrategy):
    """
    Choose samples that are typical of what the classifier is uncertain of.

    With few labels it acts as `MaxHerding`, with many as uncertainty sampling [1]_. With features
    h of length 1, the labelled samples L, the picks S so far, the uncertainty U and the kernel
    k(i, j) = exp(−‖h_i − h_j‖² / σ²), the next pick is the greedy choice for the largest
    uncertainty coverage of the candidates x,

        mean_x  U(x) max_{j ∈ L ∪ S} k(x, j).

    The radius σ is the least distance between two labelled samples, so that it falls as they get
    more. U is of calibrated probabilities, softmax(z / T) of logits z: with few labels they are
    nearly even. The temperature T is that of the least expected calibration error on labelled
    samples that a copy of the classifier has not seen.

    Parameters
    ----------
    method : {"margin_sampling", "entropy", "least_confident"}, default="margin_sampling"
        The measure of uncertainty, as in `UncertaintySampling`.
    radius : float or None, default=None
        The radius σ. None stands for the least distance between labelled samples that are apart,
        and for 1 while there are no two of these.
    temperature : float or None, default=None
        The temperature T. None estimates it, which fits the classifier once more; 1 leaves the
        probabilities as they are.
    normalize : bool, default=True
        Whether features are scaled to length 1, as in the authors' code.
    clf_embedding_flag_name, missing_label, random_state : optional
        As in `Badge`; the seed of lots among equals, and of which labels are held out.

    See Also
    --------
    MaxHerding : The same with all samples equally worth to cover.
    Clue : Clusters in which uncertain samples weigh more.

    Notes
    -----
    Utilities are by how much a candidate would have raised the coverage. What is said of cost and
    exactness at `MaxHerding` holds here; the smaller the radius, the fewer candidates are looked
    at again.

    As in the authors' code, three labelled samples in ten are held out for T, which is searched
    from 1 to 19.9 in steps of 0.1, with as many bins of confidence as there are classes. Here they
    are drawn, there they are the last ones; here T stays 1 if there are too few, or if the
    classifier is used as it is (``fit_clf=False``). There, too, the candidates are a random
    35,000 at most; here they are all.

    References
    ----------
    .. [1] W. Bae, G. L. Oliveira and D. J. Sutherland, "Uncertainty herding: one active learning
       method for all label budgets", ICLR 2025.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.linear_model import LogisticRegression
    >>> from labelnext.pool import UncertaintyHerding
    >>> X, y_true = load_digits(return_X_y=True)
    >>> X = X / 16
    >>> y = np.full(len(X), np.nan)
    >>> y[:50] = y_true[:50]
    >>> UncertaintyHerding(random_state=0).query(X, y, LogisticRegression(), batch_size=3)
    array([1076, 1482, 1437])
    """

    needs = ("proba", "features")
    looks_at_labeled = True
    paper = "Bae et al., ICLR 2025"

    def __init__(
        self,
        method: str = "margin_sampling",
        radius: float | None = None,
        temperature: float | None = None,
        normalize: bool = True,
        clf_embedding_flag_name: Any = None,
        missing_label: Any = MISSING_LABEL,
        random_state: Any = None,
    ) -> None:
        super().__init__(missing_label=missing_label, random_state=random_state)
        self.method = method
        self.radius = radius
        self.temperature = temperature
        self.normalize = normalize
        self.clf_embedding_flag_name = clf_embedding_flag_name

    def _check_parameters(self) -> None:
        check_method(self.method)
        for name in ("radius", "temperature"):
            if getattr(self, name) is not None:
                check_positive(name, getattr(self, name))
        check_flag("normalize", self.normalize)

    def _choose(self, query: Query) -> Choice:
        n = query.n_candidates
        proba, features = query.proba_and_features(with_labeled=True, on_device=True)
        temperature = self.temperature or held_out_temperature(query)
        unsure = uncertainty(temper(proba[:n], temperature), self.method)
        features = place(features, self.normalize)
        radius = self.radius or self._radius(features[n:])
        # Rounding may leave a certain sample a little below 0.
        return herd(query, lay_out(features, radius), np.maximum(unsure, 0.0), radius)

    def _radius(self, labeled: Any) -> float:
        # In float64, as for a radius of 0.
        least = lay_out(labeled, 0.0).least_apart() if labeled.shape[0] > 1 else np.inf
        return float(np.sqrt(least)) if np.isfinite(least) else 1.0


def temper(proba: NDArray[Any], temperature: float) -> NDArray[np.float64]:
    """Return softmax(z / T) where the probabilities are softmax(z).

    Examples
    --------
    >>> temper(np.array([[0.8, 0.2], [1.0, 0.0]]), 2.0).round(3)
    array([[0.667, 0.333],
           [1.   , 0.   ]])
    """
    scaled = np.asarray(proba, dtype=np.float64)
    # The largest becomes 1, so that not all vanish.
    scaled = (scaled / scaled.max(axis=1, keepdims=True)) ** (1 / temperature)
    return np.asarray(scaled / scaled.sum(axis=1, keepdims=True))


def calibration_error(proba: NDArray[np.float64], is_right: NDArray[np.bool_]) -> float:
    """Return the expected calibration error, with as many bins as there are classes.

    Examples
    --------
    >>> calibration_error(np.array([[0.9, 0.1], [0.7, 0.3]]), np.array([True, False]))
    0.3
    """
    confidence = proba.max(axis=1)
    bins = np.ceil(confidence * proba.shape[1]).astype(np.int64)
    gaps = np.bincount(bins, weights=confidence - is_right)
    return float(np.abs(gaps).sum() / len(confidence))


def best_temperature(proba: NDArray[Any], is_right: NDArray[np.bool_]) -> float:
    """Return the temperature of the least calibration error, the lowest of equals."""
    errors = [calibration_error(temper(proba, t), is_right) for t in TEMPERATURES]
    return float(TEMPERATURES[int(np.argmin(np.round(errors, 12)))])


def held_out_temperature(query: Query) -> float:
    """Return the temperature of a copy of the classifier on labels that it was not given.

    It is 1 where nothing can be held out: too few labels, or a classifier that is not to be
    fitted, cannot be with fewer labels, or does not know its classes.
    """
    n_held = int(HELD_OUT * len(query.labeled))
    held = np.sort(query.rng.permutation(len(query.labeled))[:n_held])
    found = query.model.right_without(held) if n_held and query.model is not None else None
    return 1.0 if found is None else best_temperature(*found)
