"""A batch as a file: the formats, and what each of them holds."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labelnext.pools.disk import write_whole, writing
from labelnext.utils.csv import as_csv

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Mapping, Sequence

    Columns = Mapping[str, Sequence[Any]]


def as_json(columns: Columns) -> bytes:
    """Lay columns out as a list of records, one on each line."""
    return ("[\n" + ",\n".join(_records(columns)) + "\n]\n").encode()


def as_json_lines(columns: Columns) -> bytes:
    """Lay columns out as records, one on each line."""
    return "".join(f"{record}\n" for record in _records(columns)).encode()


def as_parquet(columns: Columns) -> bytes:
    """Lay columns out as a Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = io.BytesIO()
    pq.write_table(pa.table({name: list(values) for name, values in columns.items()}), sink)
    return sink.getvalue()


FORMATS: dict[str, Callable[[Columns], bytes]] = {
    ".csv": lambda columns: as_csv({n: [*map(_text, v)] for n, v in columns.items()}),
    ".json": as_json,
    ".jsonl": as_json_lines,
    ".parquet": as_parquet,
}


def save(columns: Columns, path: str | os.PathLike[str], *, overwrite: bool) -> None:
    """Write columns in the format that the ending of the path names."""
    path = Path(path)
    if path.suffix.lower() not in FORMATS:
        raise ValueError(
            f"The name of a batch's file must end in {', '.join(FORMATS)}, got {str(path)!r}."
        )
    if path.exists() and not overwrite:
        raise _exists(path)
    content = FORMATS[path.suffix.lower()](columns)
    try:
        with writing(str(path), "make room, or choose another place."):
            write_whole(path, content, overwrite=overwrite)
    except FileExistsError:
        raise _exists(path) from None


def _exists(path: Path) -> FileExistsError:
    return FileExistsError(f"{path} exists already; replace it with overwrite=True.")


def _records(columns: Columns) -> Iterator[str]:
    return (
        json.dumps(dict(zip(columns, row, strict=True)), ensure_ascii=False)
        for row in zip(*columns.values(), strict=True)
    )


def _text(value: Any) -> Any:
    """Return one cell of CSV: of several labels their names, with a space between."""
    return " ".join(map(str, value)) if isinstance(value, list) else value
