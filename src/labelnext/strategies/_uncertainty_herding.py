"""Uncertainty herding: coverage of the pool in which uncertain samples weigh more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from labelnext.strategies._base import QueryStrategy
from labelnext.strategies._checks import check_flag, check_positive
from labelnext.strategies._herding import herd, least_distance
from labelnext.strategies._measures import check_method, uncertainty
from labelnext.strategies._query import finite
from labelnext.strategies._temperature import held_out_temperature, temper
from labelnext.strategies._tiles import Points, place
from labelnext.utils import MISSING_LABEL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from labelnext.strategies._query import Choice, Query


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
    clf_embedding_flag_name : str, dict or None, default=None
        What makes the classifier's `predict_proba` return features, as in `Badge`.
    missing_label : scalar, str or None, default=numpy.nan
        What stands for a missing label.
    random_state : int, RandomState, Generator or None, default=None
        The seed of lots among equals, and of which labels are held out; see `QueryStrategy`. With
        the same seed, the batch for a smaller `batch_size` is the start of that for a larger one.

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
        clf_embedding_flag_name: str | Mapping[str, Any] | None = None,
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
        proba, features = query.proba_and_features(with_labeled=True)
        temperature = self.temperature or held_out_temperature(query)
        unsure = uncertainty(temper(proba[:n], temperature), self.method)
        features = place(finite(features), self.normalize)
        radius = self.radius or self._radius(features[n:])
        points = Points.lay_out(features, radius)
        # Rounding may leave a certain sample a little below 0.
        return herd(query, points, np.maximum(unsure, 0.0), radius)

    def _radius(self, labeled: Any) -> float:
        if labeled.shape[0] < 2:
            return 1.0
        least = least_distance(Points.lay_out(labeled.astype(np.float64)))
        return least if np.isfinite(least) else 1.0
