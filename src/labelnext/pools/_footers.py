"""What the footers of Parquet files say: which columns there are, and whether files are alike."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from labelnext.pools._files import StoreError, told
from labelnext.pools.columns import ColumnError, dtype_of, is_listed, numbered
from labelnext.pools.names import FEATURES, IDS, PROBA, pick

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from labelnext.pools._files import Files
    from labelnext.pools.names import Wanted

# The dtype of the numbers in a column, and whether they are in lists.
Kind = tuple[np.dtype[Any], bool]


@dataclass(frozen=True)
class ParquetFile:
    """A file, and what its footer says.

    Parameters
    ----------
    path : str
        Where it is.
    metadata : pyarrow.parquet.FileMetaData
        Its row groups and columns.
    schema : pyarrow.Schema
        The types of its columns.
    """

    path: str
    metadata: Any
    schema: Any


@contextmanager
def reading(path: str) -> Iterator[None]:
    """Say of a file that is damaged what to do about it."""
    try:
        with told(path):
            yield
    except (FileNotFoundError, PermissionError, ColumnError, StoreError):
        raise
    except (pa.ArrowException, OSError) as error:
        raise ValueError(
            f"Cannot read {path}: {' '.join(str(error).split()).rstrip('.')}; the file may be cut "
            "short or of another format: write or copy it again."
        ) from None


def read_footer(files: Files, path: str) -> ParquetFile:
    """Read the footer of a file."""
    with reading(path), files.arrow(path) as opened:
        file = pq.ParquetFile(opened)
        return ParquetFile(path, file.metadata, file.schema_arrow)


def find_columns(found: Sequence[ParquetFile], wanted: Wanted) -> dict[str, Sequence[str]]:
    """Find the columns of proba, features and maybe ids, in the same way in all files.

    Raises
    ------
    ValueError
        If a column is missing, or is not of one type in all files.
    """
    first = found[0]
    names = first.schema.names
    columns = {
        "proba": _find(wanted[0], PROBA, names, first.path),
        "features": _find(wanted[1], FEATURES, names, first.path),
    }
    if wanted[2] is not None or set(names) & set(IDS):
        columns["ids"] = [pick(wanted[2], IDS, names, first.path)]
    for file in found:
        for name in (name for each in columns.values() for name in each):
            if name not in file.schema.names:
                raise ValueError(
                    f"{file.path} has no column '{name}', and {first.path} has one; all files must "
                    "have the same columns."
                )
    for name in columns.get("ids", ()):
        types = {pa.types.is_integer(file.schema.field(name).type): file.path for file in found}
        if len(types) > 1:
            raise ValueError(
                f"column '{name}' holds integers in {types[True]} and others in {types[False]}; "
                "ids must be all integers or all strings."
            )
    return columns


def kind_of(found: Sequence[ParquetFile], columns: Sequence[str]) -> Kind:
    """Return the kind that the columns of a part have in all files, or refuse them."""
    kinds: dict[Kind, str] = {}
    for file in found:
        for column in columns:
            kind = file.schema.field(column).type
            where = f"column '{column}' of {file.path}"
            if is_listed(kind) and len(columns) > 1:
                raise ColumnError(f"{where} holds {kind}; expected a number, one dimension")
            kinds.setdefault((dtype_of(kind, where), is_listed(kind)), f"{where} ({kind})")
    if len(kinds) > 1:
        one, other, *_ = kinds.values()
        raise ValueError(f"{one} and {other} differ; all must be of one type.")
    return next(iter(kinds))


def _find(
    wanted: str | None, usual: tuple[str, ...], names: Sequence[str], where: str
) -> Sequence[str]:
    """Find the column that is wanted, or those that are its dimensions."""
    looked_for = usual if wanted is None else (wanted,)
    if not set(looked_for) & set(names):
        for name in looked_for:
            if columns := numbered(name, names):
                return columns
    return [pick(wanted, usual, names, where)]
