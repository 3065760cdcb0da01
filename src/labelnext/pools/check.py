"""What a pool is made of, checked where it comes in: two arrays of numbers, and ids."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from labelnext.utils.tensors import without_tensor

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from labelnext.pools.source import Part

LARGEST_ID = 2**63 - 1


def as_part(part: Part, values: Any) -> NDArray[Any]:
    """Return probabilities or features as an array of two dimensions, or one of probabilities."""
    array = np.asarray(without_tensor(values))
    refuse_dtype(array.dtype, part)
    check_shape(array.shape, part)
    return array


def refuse_dtype(dtype: np.dtype[Any], what: str) -> None:
    """Refuse what are no real numbers of a fixed size."""
    if dtype.kind not in "fiub":
        raise TypeError(
            f"{what} must hold real numbers, got dtype {dtype}; convert it with "
            "np.asarray(..., dtype=np.float32), and sparse features with .toarray()."
        )


def check_shape(shape: tuple[int, ...], part: Part, where: str = "") -> None:
    """Refuse what is no matrix with rows and columns; probabilities may have one dimension."""
    flat = len(shape) == 1 and part == "proba"
    if (len(shape) == 2 or flat) and 0 not in shape:
        return
    expected = "(n_rows, n_features)" if part == "features" else "(n_rows, n_columns) or (n_rows,)"
    raise ValueError(
        f"{part}{where} must have the shape {expected}, with at least one row and column, "
        f"got {shape}."
    )


def check_lengths(proba: NDArray[Any], features: NDArray[Any]) -> None:
    """Refuse parts that do not line up."""
    if len(proba) != len(features):
        raise ValueError(
            f"proba has {len(proba):,} rows and features has {len(features):,}; "
            "they must have one for each sample, in the same order."
        )


def check_ids_length(ids: NDArray[Any] | None, n_rows: int) -> None:
    """Refuse ids that do not line up with the rows."""
    if ids is not None and len(ids) != n_rows:
        raise ValueError(
            f"ids has {len(ids):,} entries and proba has {n_rows:,} rows; "
            "they must have one for each sample, in the same order."
        )


def as_ids(ids: Any) -> NDArray[Any]:
    """Return ids as an array of int64, or of Python strings in an array of objects.

    Parameters
    ----------
    ids : array-like of shape (n_rows,)
        All integers, or all strings or UTF-8 bytes.
    """
    # Of a list as it is: numpy would write a mixture as text, and drop zero bytes.
    array = np.asarray(without_tensor(ids), dtype=None if hasattr(ids, "dtype") else object)
    if array.ndim != 1:
        raise ValueError(f"ids must have one dimension, one for each sample, got {array.shape}.")
    if array.dtype.kind == "O":
        array = _of_one_kind(array)
    if array.dtype.kind == "S":
        array = np.char.decode(array, "utf-8")
    if array.dtype.kind in "UTO":
        return array.astype(object, copy=False)
    if array.dtype.kind not in "iu":
        raise TypeError(f"ids must be integers or strings, got dtype {array.dtype}; convert them.")
    if array.dtype == np.uint64 and array.max(initial=0) > LARGEST_ID:
        raise _too_large(array.max())
    return array.astype(np.int64, copy=False)


def _of_one_kind(array: NDArray[Any]) -> NDArray[Any]:
    """Tell objects that are all integers from strings; a mixture, or a hole, is refused."""
    for kinds in ((int, np.integer), (str,), (bytes,)):
        good = [isinstance(value, kinds) and not isinstance(value, bool) for value in array]
        if all(good):
            break
        if good[0]:
            raise _odd(array, good.index(False))
    else:
        raise _odd(array, 0)
    if kinds == (str,):
        return array
    if kinds != (bytes,) and max(array) > LARGEST_ID:
        raise _too_large(max(array))
    return np.array(array.tolist())


def _odd(array: NDArray[Any], row: int) -> TypeError:
    return TypeError(
        f"ids must be all integers or all strings, got {type(array[row]).__name__} "
        f"{array[row]!r} at row {row}; convert them first."
    )


def _too_large(value: int) -> ValueError:
    return ValueError(f"ids must be below 2**63, got {value}; give such large ones as strings.")
