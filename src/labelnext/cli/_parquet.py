"""Reading a matrix from the list columns of a Parquet file."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from labelnext.cli._errors import InputError
from labelnext.cli._reading import pick_name, reading
from labelnext.cli._sources import Source


def read_column(source: Source) -> np.ndarray[Any, Any]:
    """Read a column of lists as (n, d), a column of numbers as (n,).

    Where there is no column ``NAME`` but ``NAME_0``, ``NAME_1``, ..., those are the dimensions.
    """
    file = _open(source)
    names = file.schema_arrow.names
    wanted = [source.name] if source.name is not None else list(source.usual)
    if not set(wanted) & set(names):
        for name in wanted:
            if columns := _numbered(name, names):
                return np.column_stack([_read(file, source, column) for column in columns])
    return _read(file, source, pick_name(source, names, "column"))


def read_values(source: Source) -> list[Any]:
    """Read a column as Python objects, None where it is null."""
    file = _open(source)
    column = pick_name(source, file.schema_arrow.names, "column")
    with reading(source.path):
        values: list[Any] = file.read(columns=[column]).column(0).to_pylist()
    return values


def column_names(source: Source) -> list[str]:
    """Name the columns of the file."""
    names: list[str] = _open(source).schema_arrow.names
    return names


def _open(source: Source) -> pq.ParquetFile:
    with reading(source.path):
        return pq.ParquetFile(source.path, memory_map=True, page_checksum_verification=True)


def _numbered(name: str, names: Sequence[str]) -> list[str]:
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


def _read(file: pq.ParquetFile, source: Source, name: str) -> np.ndarray[Any, Any]:
    """Read row group by row group into one array, so that no second copy is ever held."""
    out: np.ndarray[Any, Any] | None = None
    row = 0
    for group in range(file.num_row_groups):
        with reading(source.path):
            chunks = file.read_row_group(group, columns=[name]).column(0).chunks
        for chunk in filter(len, chunks):
            part = _matrix(chunk, source, name, row)
            if len(part) == file.metadata.num_rows:
                return part
            if out is None:
                out = np.empty((file.metadata.num_rows, *part.shape[1:]), part.dtype)
            if out.shape[1:] != part.shape[1:]:
                raise _uneven(source, name, row, part.shape[1], out.shape[1])
            out[row : row + len(part)] = part
            row += len(part)
    return np.empty((0, 0)) if out is None else out


def _matrix(chunk: pa.Array, source: Source, name: str, first: int) -> np.ndarray[Any, Any]:
    kind = chunk.type
    where = f"{source.option}: column '{name}' of {source.path}"
    if chunk.null_count:
        row = first + int(np.argmax(chunk.is_null().to_numpy(zero_copy_only=False)))
        raise InputError(
            f"{where} is empty in {chunk.null_count:,} rows, the first is row {row}; "
            "fill them or leave these rows out"
        )
    listed = any(
        is_kind(kind) for is_kind in (pa.types.is_list, pa.types.is_large_list)
    ) or pa.types.is_fixed_size_list(kind)
    values = chunk.flatten() if listed else chunk
    number = values.type
    if not (pa.types.is_floating(number) or pa.types.is_integer(number)):
        raise InputError(f"{where} holds {kind}; expected numbers, or lists of numbers")
    if values.null_count:
        raise InputError(f"{where} has lists with empty entries; every entry must be a number")
    array: np.ndarray[Any, Any] = values.to_numpy(zero_copy_only=False)
    if not listed:
        return array
    lengths = pc.list_value_length(chunk).to_numpy(zero_copy_only=False)
    odd = np.flatnonzero(lengths != lengths[0])
    if len(odd):
        raise _uneven(source, name, first + int(odd[0]), lengths[odd[0]], lengths[0])
    return array.reshape(len(chunk), int(lengths[0]))


def _uneven(source: Source, name: str, row: int, length: int, usual: int) -> InputError:
    return InputError(
        f"{source.option}: column '{name}' of {source.path} has lists of different lengths: "
        f"{length} at row {row}, {usual} before; every row must have the same length"
    )
