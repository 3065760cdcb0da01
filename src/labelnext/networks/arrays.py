"""What a network said, as arrays for scikit-learn's world."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from labelnext.utils.tensors import without_tensor

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray


def as_arrays(proba: torch.Tensor, features: torch.Tensor) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return arrays, with a column of probabilities for each of two classes of a single logit.

    To D² sampling it makes no difference: all gradients are longer by √2.
    """
    return with_both_classes(proba), without_tensor(features)


def with_both_classes(proba: torch.Tensor) -> NDArray[Any]:
    """Return probabilities as an array, of a single logit those of both classes."""
    columns: NDArray[Any] = without_tensor(proba)
    return np.hstack([1 - columns, columns]) if columns.shape[1] == 1 else columns
