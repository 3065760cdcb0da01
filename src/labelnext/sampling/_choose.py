"""Choosing from a pool, wherever it is, once its number of rows is known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from labelnext.sampling._d2 import NO_ROWS, d2_sample
from labelnext.sampling._random import as_generator

if TYPE_CHECKING:
    import os

    from numpy.typing import ArrayLike, NDArray

    from labelnext.engine import Gradients
    from labelnext.sampling._batch import Batch
    from labelnext.sampling._picks import Progress
    from labelnext.sampling._random import RandomState


def choose(
    pool: Gradients,
    k: int,
    exclude: NDArray[np.int64],
    *,
    random_state: RandomState,
    progress: Progress | None,
    checkpoint: str | os.PathLike[str] | None,
) -> Batch:
    """Choose a batch, from a checkpoint on if there is one.

    Parameters
    ----------
    pool : Gradients
        The pool.
    k : int
        How many; checked.
    exclude : ndarray of int64
        Rows that are not candidates; checked.
    random_state, progress, checkpoint
        As those of `select`.
    """
    rng, saved = as_generator(random_state), None
    if checkpoint is not None:
        from labelnext.sampling._checkpoint import Checkpoint

        saved = Checkpoint(checkpoint, pool, exclude, rng, seeded=random_state is not None)
    return d2_sample(
        pool, k, exclude=exclude, random_state=rng, progress=progress, checkpoint=saved
    )


def check_k(k: Any, n_candidates: int) -> int:
    """Return k, or say why so many cannot be chosen."""
    if not isinstance(k, int | np.integer) or isinstance(k, bool):
        raise TypeError(f"k must be an integer, got {k!r} of type {type(k).__name__}.")
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}.")
    if k > n_candidates:
        raise ValueError(
            f"k must be at most the number of candidates, {n_candidates}, got {k}; choose a "
            f"smaller k or exclude fewer rows."
        )
    return int(k)


def check_exclude(exclude: ArrayLike | None, n_rows: int) -> NDArray[np.int64]:
    """Return the excluded rows, each once, ascending."""
    if exclude is None:
        return NO_ROWS
    # A tensor on a device has to be fetched.
    rows = np.asarray(exclude.cpu() if hasattr(exclude, "cpu") else exclude)
    if rows.dtype == np.bool_:
        if rows.shape != (n_rows,):
            raise ValueError(
                f"exclude as a mask must have shape ({n_rows},), one value for each row of the "
                f"pool, got {rows.shape}."
            )
        return np.flatnonzero(rows).astype(np.int64)
    if rows.size == 0:
        return NO_ROWS
    if rows.dtype.kind not in "iu" or rows.ndim != 1:
        raise TypeError(
            f"exclude must be a list of row numbers or a boolean mask, got an array of shape "
            f"{rows.shape} and dtype {rows.dtype}."
        )
    unknown = rows[(rows < 0) | (rows >= n_rows)]
    if len(unknown):
        raise ValueError(
            f"exclude must hold rows from 0 to {n_rows - 1}, got {int(unknown[0])}"
            + (f" and {len(unknown) - 1} more out of range." if len(unknown) > 1 else ".")
        )
    return np.unique(rows).astype(np.int64)
