"""Class frequencies from a kernel over the labelled samples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from scipy import sparse
from sklearn.metrics.pairwise import PAIRWISE_KERNEL_FUNCTIONS, pairwise_kernels
from sklearn.utils import check_array, gen_batches
from sklearn.utils.sparsefuncs import mean_variance_axis
from sklearn.utils.validation import check_is_fitted

from labelnext.estimators._classifier import PartlyLabelledClassifier
from labelnext.utils import MISSING_LABEL
from labelnext.utils.given import check_integer, refuse_masked, shown

KERNEL_VALUES = 2**23  # at once, 64 MiB


class ParzenWindowClassifier(PartlyLabelledClassifier):
    """
    Classify by the labels nearby, weighted by a kernel.

    Each labelled sample spreads its label by a kernel: the frequency of a class at a point is the
    sum of the kernel between the point and the samples of that class. Probabilities are
    frequencies made to sum to one. Where there is no frequency at all, as without any labels, all
    classes are equally likely.

    Parameters
    ----------
    n_neighbors : int, default=None
        Only so many training samples of the highest kernel value have a say. Samples without a
        label compete for these places as well, and add nothing. None gives all a say.
    metric : str or callable, default='rbf'
        The kernel: a name that `sklearn.metrics.pairwise.pairwise_kernels` knows, a function of
        two samples, or 'precomputed', where `predict` takes the kernel between its samples and
        all training samples. It must not be negative.
    metric_dict : dict, default=None
        Arguments of the kernel. For 'rbf', `{'gamma': 'mean'}` computes the bandwidth from the
        data, see Notes.
    classes, missing_label, cost_matrix : optional
        As in `SklearnClassifier`.
    class_prior : float or array-like of shape (n_classes,), default=0.0
        Frequencies to add everywhere, in the order of `classes_`: the more, the closer the
        probabilities far from all labels come to equal ones.
    random_state : int, RandomState, Generator or None, default=None
        As in `SklearnClassifier`.

    Attributes
    ----------
    classes_, cost_matrix_ : numpy.ndarray
        As in `SklearnClassifier`.
    class_prior_ : numpy.ndarray of shape (n_classes,)
        The frequencies added.
    metric_dict_ : dict
        The arguments of the kernel, its bandwidth as a number.
    X_ : numpy.ndarray or scipy.sparse.csr_array of shape (n_kept, n_features)
        The training samples that may have a say: the labelled ones, or with `n_neighbors` or a
        precomputed kernel all of them.
    V_ : numpy.ndarray of shape (n_kept, n_classes)
        For each of them its weight in the column of its class; zeros without a label.
    n_features_in_ : int
        The number of features in `fit`.

    See Also
    --------
    SklearnClassifier : Any other classifier, with missing labels.

    Notes
    -----
    The classifier is the one of [1]_. The mean criterion of [2]_ chooses the bandwidth of the
    Gaussian kernel such that the kernel matrix of N samples is about as far from the identity
    as from all ones: with the sum of the features' variances v and a tolerance δ = √2 · 10⁻⁶,
    gamma = (N - 1) ln((N - 1) / δ²) / (4 N v). Here N is the number of labelled samples, but
    at least 2, and v is taken over all samples of `fit`, labelled or not, since those without a
    label tell of the scale of the data too. Data without any variance get 1 / n_features.

    References
    ----------
    .. [1] O. Chapelle, "Active Learning for Parzen Window Classifier", International Workshop on
       Artificial Intelligence and Statistics (AISTATS), 2005.
    .. [2] A. Chaudhuri, D. Kakde, C. Sadek, L. Gonzalez, S. Kong, "The Mean and Median Criteria
       for Kernel Bandwidth Selection for Support Vector Data Description", IEEE International
       Conference on Data Mining Workshops (ICDMW), 2017.

    Examples
    --------
    >>> from labelnext.classifier import ParzenWindowClassifier
    >>> X = [[0.0], [1.0], [5.0]]
    >>> y = [0, float("nan"), 1]
    >>> clf = ParzenWindowClassifier(classes=[0, 1], metric_dict={"gamma": 0.1}).fit(X, y)
    >>> clf.predict_proba([[1.0]]).round(2)
    array([[0.82, 0.18]])
    >>> clf.predict([[1.0], [4.0]])
    array([0, 1])
    """

    # Not all kernels take sparse matrices with 64-bit indices.
    _checks: ClassVar = {
        "accept_sparse": "csr",
        "accept_large_sparse": False,
        "dtype": (np.float64, np.float32),
    }

    def __init__(
        self,
        n_neighbors: int | None = None,
        metric: str | Callable[..., float] = "rbf",
        metric_dict: dict[str, Any] | None = None,
        classes: npt.ArrayLike | None = None,
        missing_label: Any = MISSING_LABEL,
        cost_matrix: npt.ArrayLike | None = None,
        class_prior: float | npt.ArrayLike = 0.0,
        random_state: Any = None,
    ) -> None:
        self._keep(locals())

    def fit(self, X: Any, y: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None) -> Self:
        samples = self._samples(X, reset=True)
        codes, weights = self._labels(X, y, sample_weight)
        _check_kernel(self.metric, self.metric_dict)
        if self.n_neighbors is not None:
            check_integer("n_neighbors", self.n_neighbors, least=1)
        self.class_prior_ = self._check_class_prior()
        self.metric_dict_ = dict(self.metric_dict or {})
        labelled = codes >= 0
        if _wants_mean_gamma(self.metric_dict):
            self.metric_dict_["gamma"] = _mean_gamma(samples, int(labelled.sum()))

        votes = np.zeros((len(codes), len(self.classes_)))
        votes[labelled, codes[labelled]] = 1 if weights is None else weights[labelled]
        if self.n_neighbors is not None or self.metric == "precomputed":
            kept = np.arange(len(codes))
        else:
            kept = np.flatnonzero(votes.any(axis=1))
        self.X_ = samples[kept]
        self.V_ = votes[kept]
        return self

    def predict_freq(self, X: Any) -> npt.NDArray[np.float64]:
        """
        Estimate how often each class occurs near each sample.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Samples; with a precomputed kernel its values between them and all training samples.

        Returns
        -------
        numpy.ndarray of float64, of shape (n_samples, n_classes)
            The sum of the kernel over the training samples of each class, without `class_prior`.

        Raises
        ------
        ValueError
            If `X` is not finite or has another number of columns than expected.
        """
        check_is_fitted(self)
        X = self._check_samples(X)
        frequencies = np.zeros((X.shape[0], len(self.classes_)))
        if len(self.V_) == 0:
            return frequencies
        # The kernel of a whole pool may not fit into memory: a few rows at a time.
        for rows in gen_batches(X.shape[0], max(1, KERNEL_VALUES // len(self.V_))):
            kernel = X[rows]
            if self.metric != "precomputed":
                kernel = pairwise_kernels(kernel, self.X_, metric=self.metric, **self.metric_dict_)
            if self.n_neighbors is not None:
                kernel = _keep_highest(kernel, self.n_neighbors)
            frequencies[rows] = kernel @ self.V_
        return frequencies

    def predict_proba(self, X: Any) -> npt.NDArray[np.float64]:
        frequencies = self.predict_freq(X) + self.class_prior_
        if (frequencies < 0).any():
            raise ValueError(
                f"metric={shown(self.metric)} gives negative frequencies, of which no "
                "probabilities can be made; choose a kernel that is never negative, such as 'rbf'"
            )
        total = frequencies.sum(axis=1, keepdims=True)
        proba = np.full(frequencies.shape, 1.0 / len(self.classes_))
        np.divide(frequencies, total, out=proba, where=total > 0)
        return proba

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.pairwise = self.metric == "precomputed"
        return tags

    def _check_class_prior(self) -> npt.NDArray[np.float64]:
        prior = np.asarray(self.class_prior, dtype=np.float64)
        n_classes = len(self.classes_)
        if prior.shape not in ((), (n_classes,)) or not (np.isfinite(prior) & (prior >= 0)).all():
            raise ValueError(
                f"class_prior must be a number of 0 or more, or {n_classes} of them, one for each "
                f"class, not {shown(self.class_prior)}"
            )
        return np.broadcast_to(prior, n_classes).copy()

    def _check_samples(self, X: Any) -> Any:
        if self.metric != "precomputed":
            return self._samples(X)
        refuse_masked(X, "X")
        X = check_array(X, dtype=self._checks["dtype"])
        if X.shape[1] != len(self.V_):
            raise ValueError(
                f"a precomputed kernel must have a column for each of the {len(self.V_)} training "
                f"samples, but X has {X.shape[1]} columns"
            )
        return X


def _check_kernel(metric: Any, metric_dict: Any) -> None:
    """Check the name of a kernel and that its arguments go with it."""
    known = {*PAIRWISE_KERNEL_FUNCTIONS, "precomputed"}
    if not callable(metric) and metric not in known:
        raise ValueError(
            f"metric must be a function or one of {sorted(known)}, not {shown(metric)}"
        )
    if metric_dict is not None and not isinstance(metric_dict, dict):
        raise TypeError(f"metric_dict must be a dict or None, not {shown(metric_dict)}")
    if metric != "rbf" and _wants_mean_gamma(metric_dict):
        raise ValueError(
            f"gamma='mean' is a bandwidth of metric='rbf', not of metric={shown(metric)}"
        )


def _wants_mean_gamma(metric_dict: dict[str, Any] | None) -> bool:
    """Tell whether the bandwidth is to be computed from the data."""
    gamma = (metric_dict or {}).get("gamma")
    return isinstance(gamma, str) and gamma == "mean"


def _mean_gamma(X: Any, n_labelled: int) -> float:
    """Compute the bandwidth of the mean criterion: see ParzenWindowClassifier's Notes."""
    if sparse.issparse(X):
        variance = float(mean_variance_axis(X, axis=0)[1].sum())
    else:
        variance = float(np.var(X, axis=0, dtype=np.float64).sum())
    if variance <= 0:
        return float(1.0 / X.shape[1])
    n = max(2, n_labelled)
    tolerance = np.sqrt(2) * 1e-6
    return float((n - 1) * np.log((n - 1) / tolerance**2) / (4 * n * variance))


def _keep_highest(kernel: npt.NDArray[Any], k: int) -> npt.NDArray[Any]:
    """Return the kernel with all but the k highest values of each row set to zero."""
    if k >= kernel.shape[1]:
        return kernel
    highest = np.argpartition(kernel, -k, axis=1)[:, -k:]
    kept = np.zeros_like(kernel)
    np.put_along_axis(kept, highest, np.take_along_axis(kernel, highest, axis=1), axis=1)
    return kept
