"""The law that each pick was drawn from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from labelnext.sampling._d2 import NO_ROWS
from labelnext.sampling._picks import Room

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from labelnext.engine import Gradients
    from labelnext.sampling._picks import Groups

# Rows of the answer that one pass fills.
AT_ONCE = 64


def d2_utilities(
    gradients: Gradients,
    picks: NDArray[np.int64],
    *,
    exclude: NDArray[np.int64] = NO_ROWS,
    centres: NDArray[np.int64] = NO_ROWS,
    groups: Groups | None = None,
) -> NDArray[np.float64]:
    """Compute, for each pick of a batch, the law that it was drawn from.

    Parameters
    ----------
    gradients : Gradients
        The pool.
    picks : ndarray of shape (k,), int64
        The batch, in order.
    exclude, centres, groups : optional
        As those that `d2_sample` was given.

    Returns
    -------
    ndarray of shape (k, n_rows), float64
        Row t sums to 1 over the rows that pick t could have been and is NaN at the others:
        those excluded, the centres, those already picked and those of full groups. Row 0 is 1
        at the largest ‖G‖, if there were no centres.

    Examples
    --------
    >>> import numpy as np
    >>> from labelnext.engine import as_gradients
    >>> from labelnext.sampling import d2_utilities
    >>> pool = as_gradients(np.full((3, 2), 0.5), np.array([[1.0], [2.0], [4.0]]))
    >>> d2_utilities(pool, np.array([2, 0]))
    array([[0.        , 0.        , 1.        ],
           [0.69230769, 0.30769231,        nan]])
    """
    k, room = len(picks), Room(groups)
    law = np.zeros((k, gradients.n_rows))
    trace_d2(gradients, picks, exclude, centres, law)
    can_be_picked = np.ones(gradients.n_rows, dtype=bool)
    can_be_picked[exclude] = False
    can_be_picked[centres] = False
    for t in range(k):
        law[t, ~can_be_picked] = 0.0
        potential = law[t].sum()
        if potential > 0:
            law[t] /= potential
        else:
            law[t] = 1.0 / np.count_nonzero(can_be_picked)
        law[t, ~can_be_picked] = np.nan
        can_be_picked[picks[t]] = False
        room.admit(int(picks[t]))
        can_be_picked[room.filled()] = False
    return law


def trace_d2(
    gradients: Gradients,
    picks: NDArray[np.int64],
    exclude: NDArray[np.int64],
    centres: NDArray[np.int64],
    out: NDArray[np.float64],
) -> None:
    """Write every row's D² before each pick; before the first of all, 1 at the largest ‖G‖."""
    d2, k = gradients.start(exclude), len(picks)
    if k == 0:
        return
    if len(centres):
        for lo in range(0, len(centres), AT_ONCE):
            block = centres[lo : lo + AT_ONCE]
            trace = np.empty((len(block), gradients.n_rows))
            d2.min_update(gradients.gather(block), block, trace=trace)
        out[0] = trace[-1]
    else:
        first = d2.largest_norm()
        if first is None:
            return
        out[0, first] = 1.0
    for lo in range(0, k - 1, AT_ONCE):
        block = picks[lo : min(lo + AT_ONCE, k - 1)]
        d2.min_update(gradients.gather(block), block, trace=out[lo + 1 : lo + 1 + len(block)])
