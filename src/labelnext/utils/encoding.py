"""Labels as numbers from 0, with the missing ones as -1, and one of those of several people."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from labelnext.utils.given import refuse_masked, shown
from labelnext.utils.labels import MISSING_LABEL, is_labeled, is_null, nulls, split_labels
from labelnext.utils.random import rand_argmax


def check_classes(classes: npt.ArrayLike, missing_label: Any = MISSING_LABEL) -> npt.NDArray[Any]:
    """
    Check the classes that a caller gave.

    Parameters
    ----------
    classes : array-like of shape (n_classes,)
        One label for each class, in any order.
    missing_label : scalar, str or None, default=numpy.nan
        What stands for a missing label. It can't be a class.

    Returns
    -------
    numpy.ndarray of shape (n_classes,)
        The classes in the order given.

    Raises
    ------
    TypeError, ValueError
        If `classes` is empty or not 1-D, mixes numbers and strings, repeats a class, holds the
        missing label, or does not go with it.

    Examples
    --------
    >>> from labelnext.utils import check_classes
    >>> check_classes(["dog", "cat"])
    array(['dog', 'cat'], dtype=object)
    """
    if np.ndim(classes) != 1 or np.size(classes) == 0:
        raise ValueError(f"classes must be a list of at least one label, not {shown(classes)}")
    refuse_masked(classes, "classes", "give each class its name")
    labels, missing = split_labels(classes, missing_label)
    if missing.any():
        raise ValueError(
            f"classes {shown(labels.tolist())} holds missing_label={shown(missing_label)}; "
            "leave it out, or mark missing labels with another value"
        )
    labels = narrow(labels)
    if len(set(labels.tolist())) < len(labels):
        raise ValueError(f"classes {shown(labels.tolist())} names a class twice")
    return labels


def encode_labels(
    y: npt.ArrayLike, classes: npt.ArrayLike | None = None, missing_label: Any = MISSING_LABEL
) -> tuple[npt.NDArray[np.int64], npt.NDArray[Any]]:
    """
    Turn labels into places in the sorted classes.

    Parameters
    ----------
    y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        Labels, some or all of them missing.
    classes : array-like of shape (n_classes,), default=None
        All classes there are. None takes those that occur in `y`.
    missing_label : scalar, str or None, default=numpy.nan
        What stands for a missing label.

    Returns
    -------
    codes : numpy.ndarray of int64, of the shape of `y`
        For each label its place in the sorted classes, and -1 for a missing one.
    classes : numpy.ndarray of shape (n_classes,)
        The classes, sorted, so that `classes[codes]` are the labels again.

    Raises
    ------
    TypeError, ValueError
        If numbers and strings are mixed among labels, classes and missing label; if `y` has a
        label that is not among `classes`, or a null or infinity that is not the missing label;
        or if there is no class: all labels are missing and `classes` is None.

    Examples
    --------
    >>> from labelnext.utils import encode_labels
    >>> codes, classes = encode_labels(["dog", None, "cat"], missing_label=None)
    >>> codes, classes
    (array([ 1, -1,  0]), array(['cat', 'dog'], dtype=object))
    """
    labels, missing = split_labels(y, missing_label)
    _refuse_what_is_no_label(labels, missing, missing_label)
    present = narrow(labels[~missing])
    if classes is not None:
        known = check_classes(classes, missing_label)
        if present.size and (known.dtype.kind in "OU") != (present.dtype.kind in "OU"):
            raise TypeError(
                f"y and classes must both be numbers or both be strings, but y holds "
                f"{present.tolist()[0]!r} and classes holds {known.tolist()[0]!r}"
            )
        unknown = sorted(set(present.tolist()) - set(known.tolist()))
        if unknown:
            more = ", ..." if len(unknown) > 5 else ""
            listed = ", ".join(map(repr, unknown[:5])) + more
            raise ValueError(f"y holds labels that are not among the classes: {listed}")
    elif present.size:
        known = present
    else:
        raise ValueError(
            "no class is known, since all labels in y are missing; give classes=[...], "
            "or check that missing_label is what you meant"
        )
    codes = np.full(labels.shape, -1, dtype=np.int64)
    known = np.unique(known)
    codes[~missing] = np.searchsorted(known, present)
    return codes, known


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
    TypeError, ValueError
        As `encode_labels`; or if `w` has another shape than `y`, or a label has a negative,
        infinite or NaN weight.

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
    codes, weights = codes.reshape(n_samples, -1), weights.reshape(n_samples, -1)
    columns = [np.where(codes == code, weights, 0.0).sum(axis=1) for code in range(len(known))]
    votes = np.column_stack(columns)
    voted = votes.any(axis=1)
    winners = np.full(n_samples, missing_label, dtype=label_dtype(known, missing_label))
    if voted.any():
        winners[voted] = known[rand_argmax(votes[voted], random_state, axis=1)]
    return winners


def label_dtype(classes: npt.NDArray[Any], missing_label: Any) -> np.dtype[Any]:
    """Return a type that holds the classes and the missing label, whatever is missing."""
    if classes.dtype.kind in "biuf" and is_null(missing_label) and missing_label is not None:
        return np.result_type(classes.dtype, np.float64)
    both_text = classes.dtype.kind == "U" and isinstance(missing_label, str)
    both_numbers = classes.dtype.kind in "biuf" and isinstance(missing_label, int | float)
    if both_text or both_numbers:
        return np.append(classes, missing_label).dtype
    return np.dtype(object)


def narrow(labels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Turn numbers held as objects, as beside a None, into an array of numbers."""
    if labels.dtype.kind == "O" and labels.size and not isinstance(labels.flat[0], str | bytes):
        return np.array(labels.tolist())
    return labels


def _refuse_what_is_no_label(
    labels: npt.NDArray[Any], missing: npt.NDArray[np.bool_], missing_label: Any
) -> None:
    if labels.dtype.kind not in "fO":
        return
    no_label = nulls(labels)
    if labels.dtype.kind == "f":
        no_label |= np.isinf(labels)
    stray = np.argwhere(no_label & ~missing)
    if len(stray):
        place = tuple(stray[0].tolist())
        raise ValueError(
            f"y has {labels[place]} at {place if len(place) > 1 else place[0]}, which is no "
            f"label, and the missing label is {shown(missing_label)}; mark all missing labels alike"
        )
