"""Reading a matrix from the list columns of a Parquet file."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from labelnext.cli._errors import InputError
from labelnext.cli._reading import pick_name, reading
from labelnext.cli._sources import Source
from labelnext.pools.columns import ColumnError, as_matrix, numbered


def read_column(source: Source) -> np.ndarray[Any, Any]:
    """Read a column of lists as (n, d), a column of numbers as (n,).

    Where there is no column ``NAME`` but ``NAME_0``, ``NAME_1``, ..., those are the dimensions.
    """
    file = _open(source)
    names = file.schema_arrow.names
    wanted = [source.name] if source.name is not None else list(source.usual)
    if not set(wanted) & set(names):
        for name in wanted:
            if columns := numbered(name, names):
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


def _read(file: pq.ParquetFile, source: Source, name: str) -> np.ndarray[Any, Any]:
    try:
        where = f"column '{name}' of {source.path}"
        return as_matrix(_chunks(file, source, name), file.metadata.num_rows, where)
    except ColumnError as error:
        raise InputError(f"{source.option}: {error}") from None


def _chunks(file: pq.ParquetFile, source: Source, name: str) -> Iterator[pa.Array]:
    for group in range(file.num_row_groups):
        with reading(source.path):
            chunks = file.read_row_group(group, columns=[name]).column(0).chunks
        yield from chunks
