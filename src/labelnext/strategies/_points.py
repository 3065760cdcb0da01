"""Features laid out as points, wherever they are, and what greedy picks among points share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp
from sklearn.preprocessing import normalize as to_unit_length
from sklearn.utils.extmath import row_norms

from labelnext.strategies._tiles import FINE, Points
from labelnext.utils.libraries import is_tensor

if TYPE_CHECKING:
    from numpy.typing import NDArray


def lay_out(features: Any, radius: float = np.inf) -> Points:
    """Lay features out, in float32 only if they are and it is fine enough for a radius.

    Tensors on a device stay there, and so do the distances.
    """
    if is_tensor(features):
        from labelnext.strategies._device_tiles import lay_out_tensor

        return lay_out_tensor(features, radius)
    norms = row_norms(features, squared=True).astype(np.float64)
    largest = float(norms.max())
    fine = features.dtype == np.float64 or radius**2 < FINE * largest
    dtype = np.dtype(np.float64 if fine else np.float32)
    if fine and features.dtype != np.float64:
        norms = row_norms(features.astype(np.float64), squared=True)
    ends = np.stack([norms, np.ones(len(norms))], axis=1)
    if sp.issparse(features):
        return Points(sp.hstack([features, sp.csr_array(ends)], "csr", dtype), largest)
    rows = np.empty((len(norms), features.shape[1] + 2), dtype=dtype)
    rows[:, :-2], rows[:, -2:] = features, ends
    return Points(rows, largest)


def place(features: Any, normalize: bool) -> Any:
    """Scale features to length 1, or else move the middle of all to the origin.

    Distances are the same from the middle, and squared norms no larger than need be beside them.
    Sparse ones stay where they are, and a feature vector of zeros stays what it is.
    """
    if is_tensor(features):
        from labelnext.strategies._device_tiles import place_tensor

        return place_tensor(features, normalize)
    if normalize:
        return to_unit_length(features)
    if sp.issparse(features):
        return features
    return features - features.mean(axis=0, dtype=np.float64).astype(features.dtype)


def first_by_lot(values: NDArray[Any], lots: NDArray[np.int64], rounding: float = 0.0) -> int:
    """Return the largest value's place; of those that differ by rounding only, by lot."""
    best = values.max()
    equal = np.flatnonzero(values >= best - rounding * abs(best))
    return int(equal[lots[equal].argmin()])
