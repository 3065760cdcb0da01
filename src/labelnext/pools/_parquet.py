"""Parquet files as a source, row group by row group."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from labelnext.pools._blocks import BlockSource
from labelnext.pools._files import some_bytes
from labelnext.pools._footers import find_columns, kind_of, read_footer, reading
from labelnext.pools.columns import as_matrix, refuse_nulls, uneven
from labelnext.pools.known import as_ids
from labelnext.pools.source import PARTS, digest_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from labelnext.pools._files import Files
    from labelnext.pools._footers import ParquetFile
    from labelnext.pools.names import Wanted


class ParquetSource(BlockSource):
    """A file, or the files of a folder in the order of their names.

    Parameters
    ----------
    name : str
        What messages call it.
    files : Files
        Where the files are.
    found : sequence of ParquetFile
        The files.
    columns : dict of lists of str
        The columns of proba, features and maybe ids; several if each holds one dimension.
    """

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
        self.dtypes = {part: kind_of(found, self._columns[part])[0] for part in PARTS}
        self._widths: dict[str, int] = {}
        for part in PARTS:
            self._widths[part] = self._width(part)
        self.n_columns, self.n_features = (self._widths[part] for part in PARTS)
        flat = len(columns["proba"]) == 1 and not kind_of(found, columns["proba"])[1]
        self.one_dimensional = flat

    def where(self, row: int) -> str:
        """Say in which file a row is, and which row of the file it is."""
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
        with reading(file.path), self._files.arrow(file.path) as opened:
            table = pq.ParquetFile(
                opened, metadata=file.metadata, page_checksum_verification=True
            ).read_row_group(group, columns=self._columns[part])
        columns = [(name, f"column '{name}' of {file.path}") for name in self._columns[part]]
        if part == "ids":
            (name, where), *_ = columns
            chunks = table.column(name).chunks
            return np.concatenate([_ids(chunk, where, first) for chunk in chunks])
        arrays = [as_matrix(table.column(n).chunks, len(table), w, first) for n, w in columns]
        out = arrays[0] if len(columns) == 1 else np.column_stack(arrays)
        out = out.reshape(len(table), -1)
        if out.shape[1] != self._widths[part]:
            raise uneven(columns[0][1], first, out.shape[1], self._widths[part])
        return out

    def _width(self, part: str) -> int:
        """Find the width of a part from the number of values that footers count."""
        columns = self._columns[part]
        if not kind_of(self._found, columns)[1]:
            return len(columns)
        for block, (number, group) in enumerate(self._groups):
            counted = self._found[number].metadata.row_group(group)
            n_values = next(
                counted.column(i).num_values
                for i in range(counted.num_columns)
                if counted.column(i).path_in_schema.startswith(f"{columns[0]}.")
            )
            width = self._widths.setdefault(part, n_values // counted.num_rows)
            if n_values != width * counted.num_rows:
                self._decode(part, block)  # which finds the row and says it
        return self._widths[part]


def open_parquet(name: str, files: Files, paths: Sequence[str], wanted: Wanted) -> ParquetSource:
    """Open Parquet files, of which only the footers are read.

    Raises
    ------
    FileNotFoundError
        If one is not there.
    ValueError
        If one is damaged, columns are missing or differ, or there are no rows.
    """
    with ThreadPoolExecutor(files.threads) as threads:
        found = list(threads.map(lambda path: read_footer(files, path), paths))
    columns = find_columns(found, wanted)
    if not sum(file.metadata.num_rows for file in found):
        raise ValueError(f"{name} has no rows; a pool needs at least one.")
    return ParquetSource(name, files, found, columns)


def _ids(chunk: pa.Array, where: str, first: int) -> NDArray[Any]:
    refuse_nulls(chunk, where, first)
    if pa.types.is_dictionary(chunk.type):
        chunk = chunk.dictionary_decode()
    if pa.types.is_integer(chunk.type):
        return as_ids(chunk.to_numpy(zero_copy_only=False))
    try:
        return as_ids(np.array(chunk.to_pylist(), dtype=object))
    except TypeError as error:
        raise TypeError(f"{where}: {error}") from None
