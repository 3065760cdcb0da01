"""Columns of numbers, or of lists of numbers, as matrices: what reading Parquet files shares."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray


class ColumnError(ValueError):
    """A column that is no matrix: null, uneven, or not of numbers."""


def numbered(name: str, names: Sequence[str]) -> list[str]:
    """Return the columns ``NAME_0``, ``NAME_1``, ... in their order, none if one is missing."""
    found = {
        int(match[1]): column
        for column in names
        if (match := re.fullmatch(re.escape(name) + r"_(\d+)", column))
    }
    # Embeddings are numbered from 0 or from 1; a gap means that a dimension is missing.
    start = min(found, default=0)
    if start > 1 or sorted(found) != list(range(start, start + len(found))):
        return []
    return [found[number] for number in sorted(found)]


def is_listed(kind: pa.DataType) -> bool:
    """Tell whether values of a type are lists."""
    is_kind = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    return any(is_one(kind) for is_one in is_kind)


def dtype_of(kind: pa.DataType, where: str) -> np.dtype[Any]:
    """Return the dtype of the numbers in a column, or refuse one that holds no numbers."""
    number = kind.value_type if is_listed(kind) else kind
    if not (pa.types.is_floating(number) or pa.types.is_integer(number)):
        raise ColumnError(f"{where} holds {kind}; expected numbers, or lists of numbers")
    dtype: np.dtype[Any] = np.dtype(number.to_pandas_dtype())
    return dtype


def as_matrix(chunks: Iterable[pa.Array], n_rows: int, where: str, first: int = 0) -> NDArray[Any]:
    """Put the chunks of a column into one array, so that no second copy is ever held.

    Parameters
    ----------
    chunks : iterable of pyarrow.Array
        The column, piece by piece.
    n_rows : int
        How many rows they have together.
    where : str
        Which column that is, for messages.
    first : int, default=0
        The number of the first row, for messages.

    Returns
    -------
    ndarray of shape (n_rows, width) or (n_rows,)
        A matrix of a column of lists; of a column of numbers, these.
    """
    out: NDArray[Any] | None = None
    row = 0
    for chunk in filter(len, chunks):
        part = _matrix(chunk, where, first + row)
        if len(part) == n_rows:
            return part
        if out is None:
            out = np.empty((n_rows, *part.shape[1:]), part.dtype)
        if out.shape[1:] != part.shape[1:]:
            raise uneven(where, first + row, part.shape[1], out.shape[1])
        out[row : row + len(part)] = part
        row += len(part)
    return np.empty((0, 0)) if out is None else out


def uneven(where: str, row: int, length: int, usual: int) -> ColumnError:
    """Return the error of lists that are not all of one length."""
    return ColumnError(
        f"{where} has lists of different lengths: {length} at row {row}, {usual} before; "
        "every row must have the same length"
    )


def refuse_nulls(chunk: pa.Array, where: str, first: int) -> None:
    """Refuse a column with holes."""
    if chunk.null_count:
        row = first + int(np.argmax(chunk.is_null().to_numpy(zero_copy_only=False)))
        raise ColumnError(
            f"{where} is empty in {chunk.null_count:,} rows, the first is row {row}; "
            "fill them or leave these rows out"
        )


def _matrix(chunk: pa.Array, where: str, first: int) -> NDArray[Any]:
    refuse_nulls(chunk, where, first)
    dtype_of(chunk.type, where)
    listed = is_listed(chunk.type)
    values = chunk.flatten() if listed else chunk
    if values.null_count:
        raise ColumnError(f"{where} has lists with empty entries; every entry must be a number")
    array: NDArray[Any] = values.to_numpy(zero_copy_only=False)
    if not listed:
        return array
    lengths = pc.list_value_length(chunk).to_numpy(zero_copy_only=False)
    odd = np.flatnonzero(lengths != lengths[0])
    if len(odd):
        raise uneven(where, first + int(odd[0]), lengths[odd[0]], lengths[0])
    return array.reshape(len(chunk), int(lengths[0]))
