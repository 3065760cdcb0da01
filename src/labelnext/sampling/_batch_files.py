"""A batch as a file: the formats, and what each of them holds."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labelnext.pools.disk import check_place, write_whole, writing
from labelnext.utils.text import as_csv

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping, Sequence

    Columns = Mapping[str, Sequence[Any]]

FORMATS = (".csv", ".json", ".jsonl", ".parquet")


def file_of(columns: Columns, suffix: str) -> bytes:
    """Lay columns out as the content of a file of one of the `FORMATS`."""
    try:
        if suffix == ".parquet":
            return _parquet(columns)
        if suffix == ".csv":
            return as_csv({n: [_as_text(v) for v in values] for n, values in columns.items()})
        records = list(_records(columns))
        if suffix == ".jsonl":
            return "".join(f"{record}\n" for record in records).encode()
        return ("[\n" + ",\n".join(records) + "\n]\n").encode()
    except UnicodeEncodeError as error:
        near = error.object[max(0, error.start - 20) : error.end + 20]
        raise ValueError(
            f"{near!r} holds half of a character (a lone surrogate), which no file can; correct "
            "the text that it comes from."
        ) from None


def save(columns: Columns, path: str | os.PathLike[str], *, overwrite: bool) -> None:
    """Write columns in the format that the ending of the path names."""
    path = Path(path)
    if path.suffix.lower() not in FORMATS:
        raise ValueError(
            f"The name of a batch's file must end in {', '.join(FORMATS)}, got {str(path)!r}."
        )
    try:
        with writing(str(path), "make room, or choose another place."):
            check_place(path)
            if path.exists() and not overwrite:
                raise FileExistsError
            content = file_of(columns, path.suffix.lower())
            write_whole(path, content, overwrite=overwrite)
    except FileExistsError:
        raise FileExistsError(f"{path} exists already; replace it with overwrite=True.") from None


def _parquet(columns: Columns) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = io.BytesIO()
    pq.write_table(pa.table({name: _arrow(values) for name, values in columns.items()}), sink)
    return sink.getvalue()


def _arrow(values: Sequence[Any]) -> Any:
    """Return a column of Parquet: whole numbers in 64 bits, larger or mixed ones as texts."""
    import pyarrow as pa

    values = list(values)
    for kind in (None, pa.uint64()):
        try:
            return pa.array(values, kind)
        except (OverflowError, pa.ArrowInvalid, pa.ArrowTypeError):
            pass
    return pa.array([value if value is None else str(_as_text(value)) for value in values])


def _records(columns: Columns) -> Iterator[str]:
    return (
        json.dumps(dict(zip(columns, row, strict=True)), ensure_ascii=False, default=str)
        for row in zip(*columns.values(), strict=True)
    )


def _as_text(value: Any) -> Any:
    """Return one cell of CSV: of several labels their names, with a space between."""
    return " ".join(map(str, value)) if isinstance(value, list) else value
