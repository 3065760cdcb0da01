"""Farthest-first traversal (greedy k-centre) in a few passes instead of one a pick."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from labelnext.engine import blas_on_one_thread
from labelnext.sampling._d2 import NO_ROWS
from labelnext.sampling._picks import Picks, Room

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from labelnext.engine import D2, Gradients
    from labelnext.sampling._batch import Batch
    from labelnext.sampling._picks import Groups

# Rows whose D² is kept up to date between passes, and centres that wait for a pass.
WATCHED, LARGEST_BLOCK = 1024, 256


def farthest_first(
    gradients: Gradients,
    k: int,
    centres: NDArray[np.int64],
    *,
    first: NDArray[np.int64] = NO_ROWS,
    exclude: NDArray[np.int64] = NO_ROWS,
    groups: Groups | None = None,
) -> Batch:
    """Pick k rows, each the farthest from all centres and earlier picks.

    D² can only fall. So as long as the largest D² among some watched rows is above what all
    others had at the latest pass, it is the largest of all, and no pass is needed.

    Parameters
    ----------
    gradients : Gradients
        The pool.
    k : int
        How many rows to pick, at most the candidates; trusted.
    centres : ndarray of shape (n_centres,), int64
        Rows that are centres from the start, and no candidates.
    first : ndarray of int64, default=none
        The first picks, where something else decides on them: needed if there is no centre.
    exclude, groups : optional
        As those of `d2_sample`.

    Returns
    -------
    Batch
        The picks in order; of equal ones the first row. That for k is the start of that for any
        larger k.

    References
    ----------
    .. [1] T. F. Gonzalez, "Clustering to minimize the maximum intercluster distance",
       Theoretical Computer Science 38, 1985.

    Examples
    --------
    >>> import numpy as np
    >>> from labelnext.engine import as_gradients
    >>> from labelnext.sampling import farthest_first
    >>> pool = as_gradients(np.full((4, 2), 0.5), np.array([[1.0], [2.0], [5.0], [3.0]]))
    >>> farthest_first(pool, 2, np.array([0])).indices
    array([2, 3])
    """
    picks = Picks(gradients, gradients.start(exclude), k, room=Room(groups))
    with blas_on_one_thread():
        picks.condition_on(centres, LARGEST_BLOCK)
        if len(first):
            for row in first.tolist():
                picks.room.admit(row)
            picks.add(gradients.gather(first), first.tolist(), [0.0] * len(first))
            picks.make_pass()
        while len(picks) < k:
            if not _pick_watched(picks, picks.d2):
                _pick_the_first(picks)
                break
            picks.make_pass()
    return picks.batch()


def _pick_watched(picks: Picks, d2: D2) -> bool:
    """Pick until another row might be farther than the watched ones; False if all D² are 0."""
    rows, stale, rest = d2.largest(WATCHED)
    if len(picks) <= 1:
        picks.refuse_too_small(float(stale.max()))
    if stale.max() == 0:
        return False
    now, factors = stale.copy(), picks.gradients.gather(rows)
    while picks.n_waiting < LARGEST_BLOCK and len(picks) < picks.k:
        place = int(now.argmax())
        # Where others had the same D² at the pass, the watched ones are the first.
        if now[place] < rest or (now[place] == rest and stale[place] > rest) or now[place] == 0:
            break
        # Rows of a group that has become full are withdrawn by the next pass.
        if picks.room.admit(int(rows[place])):
            one = np.array([place])
            picks.add(factors[one], rows[one].tolist(), now[one].tolist())
            factors.lower(now, factors[one])
        now[place] = 0.0
    return True


def _pick_the_first(picks: Picks) -> None:
    """Pick the rest in the order of the rows: all are at a centre."""
    admitted: list[int] = []
    lo, need = 0, picks.k - len(picks)
    while len(admitted) < need:
        found = picks.d2.available(np.arange(lo, min(lo + need, picks.d2.n_available)))
        lo += need
        admitted += [row for row in found.tolist() if picks.room.admit(row)]
    picks.add_rest(admitted[:need])
