"""Rows of a pool as they are stored, and how they become factors, whichever pool they are of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from labelnext.engine._factors import Factors

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from labelnext.engine.task import Task


class StoredRows(NamedTuple):
    """Some rows of a pool in the dtype that it is kept in: what travels between its parts.

    ``proba`` has shape (m, n_columns), ``features`` (m, n_features), dense or CSR.
    """

    proba: NDArray[Any]
    features: Any

    def take(self, places: NDArray[Any] | slice) -> StoredRows:
        """Return some of the rows."""
        return StoredRows(self.proba[places], self.features[places])

    @staticmethod
    def concatenate(blocks: list[StoredRows]) -> StoredRows:
        """Put the rows of several blocks one below the other."""
        if len(blocks) == 1:
            return blocks[0]
        features = [block.features for block in blocks]
        return StoredRows(
            np.concatenate([block.proba for block in blocks]),
            sp.vstack(features, format="csr")
            if sp.issparse(features[0])
            else np.concatenate(features),
        )


def plain_factors(
    stored: StoredRows, labels: NDArray[Any] | None, *, bias: bool, task: Task
) -> Factors:
    """Return the factors of stored rows in float64.

    Parameters
    ----------
    stored : StoredRows
        The rows; copied.
    labels : ndarray of shape (m,) or None
        The pseudo-labels of classes, where they are known already.
    bias : bool
        Whether h is followed by a 1.
    task : str
        What the columns of the probabilities are.
    """
    # The residuals are a copy in any case: 1 is taken from the pseudo-labels' entries.
    residuals = np.array(stored.proba, dtype=np.float64, order="C")
    if task == "multiclass":
        labels = (residuals.argmax(axis=1) if labels is None else labels).astype(np.int64)
        residuals[np.arange(len(labels)), labels] -= 1.0
    else:
        labels = residuals >= 0.5
        residuals -= labels
        if task == "binary":
            labels = labels[:, 0].astype(np.int64)
    features = stored.features
    if sp.issparse(features):
        features = features.astype(np.float64)
        features.sum_duplicates()
    else:
        features = np.asarray(features, dtype=np.float64)
    return Factors(residuals, features, labels, bias)


@dataclass(frozen=True)
class PlainForm:
    """How stored rows of any part of a pool become the factors that plain passes take."""

    bias: bool
    task: Task

    def factors_of(self, stored: StoredRows) -> Factors:
        """Return the factors of stored rows."""
        return plain_factors(stored, None, bias=self.bias, task=self.task)

    def joined(self, others: list[PlainForm]) -> PlainForm:
        """Return the form for the rows of all parts: any of the plain ones."""
        del others
        return self
