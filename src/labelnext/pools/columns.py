"""Columns as matrices; for the command's old readers, to go with them."""

from types import SimpleNamespace
from typing import Any

from labelnext.pools._parquet import ColumnError, ParquetFiles, as_matrix

__all__ = ["ColumnError", "as_matrix", "numbered"]


def numbered(name: str, names: list[str]) -> list[str]:
    """Return the columns ``NAME_0``, ``NAME_1``, ... in their order, none if one is missing."""
    of: Any = SimpleNamespace(names=names)
    return ParquetFiles._numbered(of, name)
