"""The law that each pick was drawn from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from labelnext.sampling._d2 import NO_ROWS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from labelnext.gradients import Gradients

# Rows of the answer that one pass fills.
AT_ONCE = 64


def d2_utilities(
    gradients: Gradients, picks: NDArray[np.int64], *, exclude: NDArray[np.int64] = NO_ROWS
) -> NDArray[np.float64]:
    """Compute, for each pick of a batch, the law that it was drawn from.

    Parameters
    ----------
    gradients : Gradients
        The pool.
    picks : ndarray of shape (k,), int64
        The batch, in order.
    exclude : ndarray of int64, default=none
        Rows that were not candidates.

    Returns
    -------
    ndarray of shape (k, n_rows), float64
        Row t sums to 1 over the rows that pick t could have been and is NaN at the others:
        those excluded and those already picked. Row 0 is 1 at the largest ‖G‖.

    Examples
    --------
    >>> import numpy as np
    >>> from labelnext.gradients import as_gradients
    >>> from labelnext.sampling import d2_utilities
    >>> pool = as_gradients(np.full((3, 2), 0.5), np.array([[1.0], [2.0], [4.0]]))
    >>> d2_utilities(pool, np.array([2, 0]))
    array([[0.        , 0.        , 1.        ],
           [0.69230769, 0.30769231,        nan]])
    """
    k = len(picks)
    law = np.zeros((k, gradients.n_rows))
    d2 = gradients.start(exclude)
    first = d2.largest_norm()
    if first is not None and k:
        law[0, first] = 1.0
        # Row t is the law after the first t picks.
        for lo in range(0, k - 1, AT_ONCE):
            block = picks[lo : min(lo + AT_ONCE, k - 1)]
            d2.min_update(gradients.gather(block), block, trace=law[lo + 1 : lo + 1 + len(block)])
    can_be_picked = np.ones(gradients.n_rows, dtype=bool)
    can_be_picked[exclude] = False
    for t in range(k):
        potential = law[t].sum()
        if potential > 0:
            law[t] /= potential
        else:
            law[t] = 1.0 / np.count_nonzero(can_be_picked)
        law[t, ~can_be_picked] = np.nan
        can_be_picked[picks[t]] = False
    return law
