"""Which labels are there, and which are missing."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from labelnext.utils.given import refuse_masked, shown
from labelnext.utils.libraries import without_tensor

MISSING_LABEL = np.nan


def is_unlabeled(y: npt.ArrayLike, missing_label: Any = MISSING_LABEL) -> npt.NDArray[np.bool_]:
    """
    Tell which labels are missing.

    Parameters
    ----------
    y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        Labels: numbers or strings, as a list, an array, or a pandas or polars series.
    missing_label : scalar, str or None, default=numpy.nan
        What stands for a missing label. NaN and None both stand for every null value: NaN, None
        and `pandas.NA`.

    Returns
    -------
    numpy.ndarray of bool, of the shape of `y`
        True where the label is missing.

    Raises
    ------
    TypeError
        If numbers and strings are mixed, or `missing_label` is a string and the labels are
        numbers, or the other way round: nothing could ever be missing.
    ValueError
        If `y` has other than one or two dimensions, or holds the text 'nan' where a null was
        meant.

    Examples
    --------
    >>> from labelnext.utils import is_unlabeled
    >>> is_unlabeled([0, float("nan"), 1])
    array([False,  True, False])
    >>> is_unlabeled(["cat", "", "dog"], missing_label="")
    array([False,  True, False])
    """
    return split_labels(y, missing_label)[1]


def is_labeled(y: npt.ArrayLike, missing_label: Any = MISSING_LABEL) -> npt.NDArray[np.bool_]:
    """
    Tell which labels are there.

    Parameters
    ----------
    y, missing_label : array-like and scalar, str or None
        As in `is_unlabeled`, which says what is missing and what raises.

    Returns
    -------
    numpy.ndarray of bool, of the shape of `y`
        True where there is a label.

    Examples
    --------
    >>> from labelnext.utils import is_labeled
    >>> is_labeled([0, float("nan"), 1])
    array([ True, False,  True])
    """
    return ~is_unlabeled(y, missing_label)


def unlabeled_indices(
    y: npt.ArrayLike, missing_label: Any = MISSING_LABEL
) -> npt.NDArray[np.int64]:
    """
    Find the missing labels.

    Parameters
    ----------
    y, missing_label : array-like and scalar, str or None
        As in `is_unlabeled`, which says what is missing and what raises.

    Returns
    -------
    numpy.ndarray of int64, of shape (n_missing,) or (n_missing, 2)
        Where labels are missing, in ascending order: for a 1-D `y` the positions, for a 2-D `y`
        the pairs of row and column.

    Examples
    --------
    >>> from labelnext.utils import unlabeled_indices
    >>> unlabeled_indices([0, float("nan"), 1, float("nan")])
    array([1, 3])
    """
    return _places(is_unlabeled(y, missing_label))


def labeled_indices(y: npt.ArrayLike, missing_label: Any = MISSING_LABEL) -> npt.NDArray[np.int64]:
    """
    Find the labels that are there.

    Parameters
    ----------
    y, missing_label : array-like and scalar, str or None
        As in `is_unlabeled`, which says what is missing and what raises.

    Returns
    -------
    numpy.ndarray of int64, of shape (n_labelled,) or (n_labelled, 2)
        Where labels are, as from `unlabeled_indices`.

    Examples
    --------
    >>> from labelnext.utils import labeled_indices
    >>> labeled_indices([0, float("nan"), 1])
    array([0, 2])
    >>> labeled_indices([["a", None], [None, "b"]], missing_label=None)
    array([[0, 0],
           [1, 1]])
    """
    return _places(is_labeled(y, missing_label))


def split_labels(
    y: npt.ArrayLike, missing_label: Any, name: str = "y"
) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
    """Return `y` as an array, its values untouched, and the mask of its missing labels."""
    fill = "np.nan" if is_null(missing_label) else repr(missing_label)
    filled = f"fill them, with np.ma.filled({{}}.astype(object), {fill}) say"
    refuse_masked(y, name, f"{filled}, or leave those samples out")
    labels = _as_array(y)
    if labels.ndim not in (1, 2):
        raise ValueError(
            f"{name} must have the shape (n_samples,) or (n_samples, n_outputs), "
            f"but it has {labels.ndim} dimensions"
        )
    if is_null(missing_label):
        missing = nulls(labels)
        _refuse_text_nan(labels, name)
    elif np.ndim(missing_label) > 0:
        raise TypeError(
            f"missing_label must be a scalar, a string or None, not {shown(missing_label)}"
        )
    else:
        # Of objects, one at a time: numpy would compare 1 == "1" as text, or give up on the array.
        missing = _equal(labels, missing_label)
    present = {_kind(value) for value in _samples_of_each_type(labels[~missing])}
    if len(present) > 1:
        held = " and ".join(sorted(f"{kind}s" for kind in present))
        raise TypeError(f"labels must be all numbers or all strings, but {name} holds {held}")
    fits = is_null(missing_label) or missing.any() or _kind(missing_label) in present
    if present and not fits:
        raise TypeError(
            f"missing_label={shown(missing_label)} can't stand for a missing label in {name}, "
            f"whose labels are {present.pop()}s; give the value that marks missing labels"
        )
    return labels, missing


def is_null(value: Any) -> bool:
    """Tell whether a scalar is NaN, None or a missing value of another library."""
    if value is None or type(value).__name__ == "NAType":  # pandas.NA, without pandas
        return True
    # NaN and NaT differ from themselves; an array would not compare to a single truth.
    return np.ndim(value) == 0 and bool(value != value)  # noqa: PLR0124


def _as_array(y: Any) -> npt.NDArray[Any]:
    """Turn lists and series into an array, without turning None or NaN into text."""
    array = np.asarray(without_tensor(y))
    held_as_text = array.dtype.kind in "US" and not hasattr(y, "dtype")
    if held_as_text or array.dtype.kind == "T":  # numpy's strings of any length may hold nulls
        return np.asarray(y, dtype=object)
    return array


def nulls(labels: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Tell which values of an array are null."""
    if labels.dtype.kind == "O":
        return _map(is_null, labels)
    # Text, integers and booleans equal themselves; only NaN and NaT do not.
    return np.asarray(labels != labels, dtype=bool)  # noqa: PLR0124


def _equal(labels: npt.NDArray[Any], value: Any) -> npt.NDArray[np.bool_]:
    if _kind(value) == "number" and labels.dtype.kind in "biuf":
        return np.asarray(labels == value, dtype=bool)
    if _kind(value) == "string" and labels.dtype.kind == "U":
        return np.asarray(labels == value, dtype=bool)
    return _map(lambda label: not is_null(label) and bool(label == value), labels)


def _map(function: Any, labels: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    found = (function(label) for label in labels.flat)
    return np.fromiter(found, dtype=bool, count=labels.size).reshape(labels.shape)


def _kind(value: Any) -> str:
    if isinstance(value, str | bytes):
        return "string"
    if isinstance(value, int | float | np.number | np.bool_):
        return "number"
    return type(value).__name__


def _samples_of_each_type(labels: npt.NDArray[Any]) -> list[Any]:
    if labels.dtype.kind != "O":
        return list(labels[:1].flat)
    # A null that is no missing label is for the encoder to name, with its place.
    return list({type(label): label for label in labels.flat if not is_null(label)}.values())


def _refuse_text_nan(labels: npt.NDArray[Any], name: str) -> None:
    """Catch numpy.array(["a", numpy.nan]), in which the missing label has become text."""
    if labels.dtype.kind == "U" and (labels == "nan").any():
        raise ValueError(
            f"{name} holds the text 'nan', but the missing label is a null; build {name} with "
            "dtype=object, or give missing_label='nan'"
        )


def _places(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    places = np.argwhere(mask).astype(np.int64, copy=False)
    return places[:, 0] if mask.ndim == 1 else places
