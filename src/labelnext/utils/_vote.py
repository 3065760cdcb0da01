"""One label a sample, from the labels of several people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from labelnext.utils.encoding import encode_labels, label_dtype
from labelnext.utils.labels import MISSING_LABEL, is_labeled
from labelnext.utils.random import rand_argmax

if TYPE_CHECKING:
    import numpy.typing as npt


def majority_vote(
    y: npt.ArrayLike,
    w: npt.ArrayLike | None = None,
    classes: npt.ArrayLike | None = None,
    missing_label: Any = MISSING_LABEL,
    random_state: Any = None,
) -> npt.NDArray[Any]:
    """
    Give each sample the label that most people gave it.

    Parameters
    ----------
    y : array-like of shape (n_samples,) or (n_samples, n_annotators)
        Labels, a column for each person. Missing ones don't vote.
    w : array-like of the shape of `y`, default=None
        What each vote counts, not negative; None counts every vote once. The weights of missing
        labels are not read.
    classes : array-like of shape (n_classes,), default=None
        All classes there are. None takes those that occur in `y`.
    missing_label : scalar, str or None, default=numpy.nan
        What stands for a missing label.
    random_state : int, RandomState, Generator or None, default=None
        Decides ties between the classes of most votes.

    Returns
    -------
    numpy.ndarray of shape (n_samples,)
        The labels. A sample without a vote, or with votes of no weight only, gets
        `missing_label`.

    Raises
    ------
    TypeError
        If numbers and strings are mixed among labels, classes and missing label.
    ValueError
        If `w` has another shape than `y`, or a label has a negative, infinite or NaN weight, or
        a label is not among `classes`.

    Examples
    --------
    >>> from labelnext.utils import majority_vote
    >>> nan = float("nan")
    >>> majority_vote([[0, 1, 1], [2, nan, nan], [nan, nan, nan]])
    array([ 1.,  2., nan])
    >>> majority_vote([["a", "b"]], w=[[1.0, 2.5]], missing_label="")
    array(['b'], dtype=object)
    """
    if classes is None and not is_labeled(y, missing_label).any():
        return np.full(len(np.asarray(y)), missing_label)
    codes, known = encode_labels(y, classes, missing_label)
    weights = np.ones(codes.shape) if w is None else np.array(w, dtype=np.float64)
    if weights.shape != codes.shape:
        raise ValueError(
            f"w must have the shape of y, {codes.shape}, but it has the shape {weights.shape}"
        )
    weights[codes < 0] = 0.0
    if not (np.isfinite(weights).all() and (weights >= 0).all()):
        raise ValueError("w must be finite and not negative wherever there is a label")

    n_samples = len(codes)
    rows, columns = np.nonzero(codes.reshape(n_samples, -1) >= 0)
    votes = np.zeros((n_samples, len(known)))
    np.add.at(
        votes,
        (rows, codes.reshape(n_samples, -1)[rows, columns]),
        weights.reshape(n_samples, -1)[rows, columns],
    )
    voted = votes.any(axis=1)
    winners = np.full(n_samples, missing_label, dtype=label_dtype(known, missing_label))
    if voted.any():
        winners[voted] = known[rand_argmax(votes[voted], random_state, axis=1)]
    return winners
