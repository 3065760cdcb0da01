"""Parquet files as a source: columns of numbers, or of lists of numbers, by row groups."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from labelnext.pools._blocks import BlockSource
from labelnext.pools.files import FileError, Files, broken, reading, some_bytes
from labelnext.pools.known import as_ids, decoded, numbered, stems_of
from labelnext.pools.source import PARTS, Part, digest_of
from labelnext.utils.text import counted

# The dtype of the numbers in a column, and whether they are in lists.
Kind = tuple[np.dtype[Any], bool]


class ColumnError(FileError):
    """A column that is no matrix: null, uneven, or not of numbers."""


@dataclass(frozen=True)
class ParquetFile:
    """A file, and what its footer says."""

    path: str
    metadata: Any
    schema: Any


class ParquetFiles:
    """A file, or the files of a folder in the order of their names; their footers are read."""

    def __init__(self, name: str, files: Files, paths: Sequence[str]) -> None:
        self.name, self.files = name, files
        with ThreadPoolExecutor(files.threads) as threads:
            self.found = list(threads.map(lambda path: _footer(files, path), paths))
        self.names: list[str] = self.found[0].schema.names
        self.stems = stems_of(self.names)
        if not sum(file.metadata.num_rows for file in self.found):
            raise ValueError(f"The pool is empty: {name} has no rows.")

    def source(self, names: Mapping[str, str]) -> ParquetSource:
        """Make a source of some columns: those of each part, and of ids, groups and labels."""
        columns = {
            what: [name] if name in self.names else numbered(self.names, name)
            for what, name in names.items()
        }
        first = self.found[0]
        for file in self.found:
            for name in (name for each in columns.values() for name in each):
                if name not in file.schema.names:
                    raise ValueError(
                        f"{file.path} has no column '{name}', and {first.path} has one; all files "
                        "must have the same columns."
                    )
        for name in columns.get("ids", ()):
            types = {_kind_of_ids(f.schema.field(name).type): f.path for f in self.found}
            if len(types) > 1:
                (one, path), (other, second), *_ = sorted(types.items())
                raise ValueError(
                    f"column '{name}' holds {one} in {path} and {other} in {second}; ids must be "
                    "all integers of one type or all strings."
                )
        return ParquetSource(self.name, self.files, self.found, columns)


class ParquetSource(BlockSource):
    """Columns of Parquet files, row group by row group; several where each is one dimension."""

    def __init__(
        self,
        name: str,
        files: Files,
        found: Sequence[ParquetFile],
        columns: Mapping[str, Sequence[str]],
    ) -> None:
        self.name = name
        self._files, self._found, self._columns = files, found, dict(columns)
        groups = [
            (file, group, found[file].metadata.row_group(group).num_rows)
            for file in range(len(found))
            for group in range(found[file].metadata.num_row_groups)
        ]
        groups = [each for each in groups if each[2]]
        # Of each block: its file, its row group there, and the file's row that it begins with.
        lengths = np.array([n_rows for _, _, n_rows in groups], dtype=np.int64)
        edges = np.concatenate([[0], np.cumsum(lengths)])
        self._groups = [(file, group) for file, group, _ in groups]
        starts = {file: int(edges[i]) for i, (file, _) in reversed([*enumerate(self._groups)])}
        self._first = [int(edges[i]) - starts[file] for i, (file, _) in enumerate(self._groups)]
        super().__init__(dict.fromkeys(self._columns, edges))
        there: list[Part] = [part for part in PARTS if part in columns]
        kinds = {part: _kind_of(found, columns[part]) for part in there}
        self.dtypes = {part: kinds[part][0] for part in there}
        self._widths: dict[str, int] = dict.fromkeys(PARTS, 0)
        for part in there:
            self._widths[part] = self._find_width(part, listed=kinds[part][1])
        self.n_columns, self.n_features = (self._widths[part] for part in PARTS)
        self.one_dimensional = (
            "proba" in kinds and len(columns["proba"]) == 1 and not kinds["proba"][1]
        )

    def where(self, row: int, part: Part | None = None) -> str:
        block = int(np.searchsorted(self.cuts, row, "right")) - 1
        inside = row - int(self.cuts[block]) + self._first[block]
        return f"row {inside} of {self._found[self._groups[block][0]].path}"

    def fingerprint(self) -> str:
        """Return a digest of the columns' names, and of some of the files' bytes."""
        sums = [some_bytes(self._files, file.path) for file in self._found]
        return digest_of(sorted(self._columns.items()), self.cuts.tolist(), sums)

    def _decode(self, part: str, block: int) -> NDArray[Any]:
        number, group = self._groups[block]
        file, first = self._found[number], self._first[block]
        # Only what the file really has is decoded: a footer may say anything.
        with reading(file.path), self._files.arrow(file.path) as opened:
            table = pq.ParquetFile(
                opened, metadata=file.metadata, page_checksum_verification=True
            ).read_row_group(group, columns=self._columns[part])
            table.validate(full=True)
        if len(table) != self._edges[part][block + 1] - self._edges[part][block]:
            raise broken(file.path, f"row group {group} has {counted(len(table), 'row')}")
        columns = [(name, f"column '{name}' of {file.path}") for name in self._columns[part]]
        if part not in self.dtypes:
            (name, where), *_ = columns
            chunks = table.column(name).chunks
            return np.concatenate([_known(part, chunk, where, first) for chunk in chunks])
        arrays = [as_matrix(table.column(n).chunks, w, first) for n, w in columns]
        out = arrays[0] if len(columns) == 1 else np.column_stack(arrays)
        out = out.reshape(len(table), -1)
        if self._widths[part] not in (0, out.shape[1]):
            raise _uneven(columns[0][1], first, out.shape[1], self._widths[part])
        return out

    def _find_width(self, part: Part, *, listed: bool) -> int:
        """Find the width of a part from the number of values that footers count."""
        columns, width = self._columns[part], 0
        if not listed:
            return len(columns)
        for block, (number, group) in enumerate(self._groups):
            counted = self._found[number].metadata.row_group(group)
            with reading(self._found[number].path):
                n_values = next(
                    counted.column(i).num_values
                    for i in range(counted.num_columns)
                    if counted.column(i).path_in_schema.startswith(f"{columns[0]}.")
                )
            self._widths[part] = width = width or n_values // counted.num_rows
            if n_values != width * counted.num_rows:
                self._decode(part, block)  # which finds the row and says it
        return width


def as_matrix(chunks: Iterable[pa.Array], where: str, first: int) -> NDArray[Any]:
    """Put the chunks of a column, whose first row is `first`, into one array; one is not copied."""
    parts: list[NDArray[Any]] = []
    for chunk in filter(len, chunks):
        part = _matrix(chunk, where, first)
        if parts and part.shape[1:] != parts[0].shape[1:]:
            raise _uneven(where, first, part.shape[1], parts[0].shape[1])
        parts.append(part)
        first += len(chunk)
    return parts[0] if len(parts) == 1 else np.concatenate(parts) if parts else np.empty((0, 0))


def _footer(files: Files, path: str) -> ParquetFile:
    with reading(path), files.arrow(path) as opened:
        file = pq.ParquetFile(opened)
        [str(field) for field in file.schema_arrow]  # which decodes all names and types
        return ParquetFile(path, file.metadata, file.schema_arrow)


def _kind_of(found: Sequence[ParquetFile], columns: Sequence[str]) -> Kind:
    """Return the kind that the columns of a part have in all files, or refuse them."""
    kinds: dict[Kind, str] = {}
    for file in found:
        for column in columns:
            kind = file.schema.field(column).type
            where = f"column '{column}' of {file.path}"
            if _is_listed(kind) and len(columns) > 1:
                raise ColumnError(f"{where} holds {kind}; expected a number, one dimension")
            kinds.setdefault((_dtype_of(kind, where), _is_listed(kind)), f"{where} ({kind})")
    if len(kinds) > 1:
        one, other, *_ = kinds.values()
        raise ValueError(f"{one} and {other} differ; all must be of one type.")
    return next(iter(kinds))


def _kind_of_ids(kind: pa.DataType) -> str:
    if pa.types.is_integer(kind):
        return "unsigned integers" if pa.types.is_uint64(kind) else "integers"
    return "others"


def _is_listed(kind: pa.DataType) -> bool:
    is_kind = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    return any(is_one(kind) for is_one in is_kind)


def _dtype_of(kind: pa.DataType, where: str) -> np.dtype[Any]:
    """Return the dtype of the numbers in a column, or refuse one that holds no numbers."""
    number = kind.value_type if _is_listed(kind) else kind
    if not (pa.types.is_floating(number) or pa.types.is_integer(number)):
        raise ColumnError(f"{where} holds {kind}; expected numbers, or lists of numbers")
    # Not to_pandas_dtype, which asks for pandas.
    return np.dtype(
        {"halffloat": "f2", "float": "f4", "double": "f8"}.get(str(number), str(number))
    )


def _matrix(chunk: pa.Array, where: str, first: int) -> NDArray[Any]:
    _refuse_nulls(chunk, where, first)
    _dtype_of(chunk.type, where)
    listed = _is_listed(chunk.type)
    values = chunk.flatten() if listed else chunk
    if values.null_count:
        raise ColumnError(f"{where} has lists with empty entries; every entry must be a number")
    array: NDArray[Any] = values.to_numpy(zero_copy_only=False)
    if not listed:
        return array
    lengths = pc.list_value_length(chunk).to_numpy(zero_copy_only=False)
    odd = np.flatnonzero(lengths != lengths[0])
    if len(odd):
        raise _uneven(where, first + int(odd[0]), lengths[odd[0]], lengths[0])
    return array.reshape(len(chunk), int(lengths[0]))


def _uneven(where: str, row: int, length: int, usual: int) -> ColumnError:
    return ColumnError(
        f"{where} has lists of different lengths: {length} at row {row}, {usual} before; "
        "every row must have the same length"
    )


def _refuse_nulls(chunk: pa.Array, where: str, first: int) -> None:
    if chunk.null_count:
        row = first + int(np.argmax(chunk.is_null().to_numpy(zero_copy_only=False)))
        raise ColumnError(
            f"{where} is empty in {counted(chunk.null_count, 'row')}, the first is row {row}; "
            "fill them or leave these rows out"
        )


def _known(what: Any, chunk: pa.Array, where: str, first: int) -> NDArray[Any]:
    """Return ids, groups or labels; of the last two some may be missing."""
    if pa.types.is_dictionary(chunk.type):
        chunk = chunk.dictionary_decode()
    listed = _is_listed(chunk.type) and what == "labels"
    if pa.types.is_nested(chunk.type) and not listed:
        kinds = "all integers or all strings" if what == "ids" else "numbers or strings"
        raise TypeError(f"{where}: {what} must be {kinds}, got {chunk.type}.")
    if what == "ids":
        _refuse_nulls(chunk, where, first)
        if pa.types.is_integer(chunk.type):
            return as_ids(chunk.to_numpy(zero_copy_only=False), where, whole=False)
        values = np.empty(len(chunk), dtype=object)
        with reading(where):
            values[:] = chunk.to_pylist()
        return as_ids(values, where)
    if listed:
        return as_matrix([chunk], where, first)
    if pa.types.is_floating(chunk.type) or (pa.types.is_integer(chunk.type) and _fits(what, chunk)):
        return chunk.to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]
    values = np.empty(len(chunk), dtype=object)
    with reading(where):
        values[:] = chunk.to_pylist()
    return decoded(what, values, where)


def _fits(what: Any, chunk: pa.Array) -> bool:
    """Tell whether integers stay what they are in NumPy: floats where some are missing."""
    if what == "groups":
        return not chunk.null_count
    ends = pc.min_max(chunk).as_py().values()
    return all(end is None or abs(end) <= 1 << 53 for end in ends)
