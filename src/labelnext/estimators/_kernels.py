"""Kernels between samples: which there are, how wide, and the nearest only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse
from sklearn.metrics.pairwise import PAIRWISE_KERNEL_FUNCTIONS
from sklearn.utils.sparsefuncs import mean_variance_axis

if TYPE_CHECKING:
    import numpy.typing as npt


def check_kernel(metric: Any, metric_dict: Any) -> None:
    """Check the name of a kernel and that its arguments go with it."""
    known = {*PAIRWISE_KERNEL_FUNCTIONS, "precomputed"}
    if not callable(metric) and metric not in known:
        raise ValueError(f"metric must be a function or one of {sorted(known)}, not {metric!r}")
    if metric_dict is not None and not isinstance(metric_dict, dict):
        raise TypeError(f"metric_dict must be a dict or None, not {metric_dict!r}")
    if metric != "rbf" and wants_mean_gamma(metric_dict):
        raise ValueError(f"gamma='mean' is a bandwidth of metric='rbf', not of metric={metric!r}")


def wants_mean_gamma(metric_dict: dict[str, Any] | None) -> bool:
    """Tell whether the bandwidth is to be computed from the data."""
    gamma = (metric_dict or {}).get("gamma")
    return isinstance(gamma, str) and gamma == "mean"


def mean_gamma(X: Any, n_labelled: int) -> float:
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


def keep_highest(kernel: npt.NDArray[Any], k: int) -> npt.NDArray[Any]:
    """Return the kernel with all but the k highest values of each row set to zero."""
    if k >= kernel.shape[1]:
        return kernel
    highest = np.argpartition(kernel, -k, axis=1)[:, -k:]
    kept = np.zeros_like(kernel)
    np.put_along_axis(kept, highest, np.take_along_axis(kernel, highest, axis=1), axis=1)
    return kept
