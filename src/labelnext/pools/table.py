"""Tables of anything, texts above all: files of every format, frames and records, as one kind."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from labelnext.pools._open import content_of
from labelnext.pools._text import TABLES, Table, json_values, text_of
from labelnext.pools.files import FileError, reading
from labelnext.pools.known import natural, some

PARQUET = (".parquet", ".parq", ".pq")
JSON = (".json", ".jsonl", ".ndjson")
ARROW = (".arrow", ".feather")
HEADED = TABLES  # whose first line has the names of the columns
FOLDER_TABLES = (*PARQUET, ".arrow")  # the tables of which a folder is read
TABLE_SUFFIXES = (*TABLES, *JSON, *PARQUET, *ARROW, ".txt")
# What `datasets.save_to_disk` of Hugging Face leaves: of several sets, and of one.
HF_SETS, HF_STATE = "dataset_dict.json", "state.json"


def read_table(path: str | os.PathLike[str]) -> pa.Table | None:
    """Read a table from a file of any format, or from a folder of Parquet or Arrow files.

    A folder that Hugging Face's ``save_to_disk`` wrote is read in its order, and classes come by
    their names. Return None for a folder without a table.

    >>> import pathlib, tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> file = pathlib.Path(folder.name, "texts.csv")
    >>> _ = file.write_text("id,text\\n7,Well made\\n")
    >>> read_table(file).to_pylist()
    [{'id': '7', 'text': 'Well made'}]
    >>> folder.cleanup()
    """
    path = os.fspath(path)
    if os.path.isdir(path):
        return _of_folder(Path(path))
    suffix = os.path.splitext(path)[1].lower()
    if suffix in (*PARQUET, *ARROW):
        return _of_files([Path(path)])
    if suffix not in TABLE_SUFFIXES:
        *most, last = TABLE_SUFFIXES
        raise ValueError(
            f"{path}: expected a file that ends in {', '.join(most)} or {last}, or a folder."
        )
    content = content_of(path)
    if suffix == ".txt":
        return as_table([{"text": line} for line in text_of(content, path).splitlines()], path)
    if suffix in JSON:
        return as_table(_records(json_values(content, suffix, path), path), path)
    table = Table(path, content)
    names = [name or f"column {at}" for at, name in enumerate(table.names, 1)]
    _refuse_same(names, path)
    if not names:
        raise FileError(f"{path} is empty; expected names of columns in its first line.")
    return pa.table({name: table.cells(at) for at, name in enumerate(names)})


def records_in(content: bytes, where: str) -> list[dict[str, str]]:
    """Return the rows of a table with names in its first line, whatever is between its cells.

    >>> records_in(b"id;label\\ns1;good\\n", "a.csv")
    [{'id': 's1', 'label': 'good'}]
    """
    table = Table(where, content)
    cells = [table.cells(at) for at in range(len(table.names))]
    return [dict(zip(table.names, row, strict=True)) for row in zip(*cells, strict=True)]


def read_text(path: str) -> str:
    """Read a file of text, in UTF-8 or as Windows writes it."""
    return text_of(content_of(path), path)


def as_table(rows: Any, where: str) -> pa.Table:
    """Make a table of a frame, of one of Hugging Face's, or of records.

    >>> as_table([{"a": 1}, {"a": None, "b": "x"}], "records").to_pylist()
    [{'a': 1, 'b': None}, {'a': None, 'b': 'x'}]
    """
    if isinstance(rows, pa.Table):
        _refuse_same(rows.column_names, where)
        return _with_names(rows)
    if hasattr(rows, "with_format"):  # of `datasets`
        return as_table(rows.with_format("arrow")[:], where)
    if hasattr(rows, "columns"):  # of pandas or polars, by position
        names = [str(name) for name in rows.columns]
        _refuse_same(names, where)
        columns = [
            rows.iloc[:, i] if hasattr(rows, "iloc") else rows[name] for i, name in enumerate(names)
        ]
        return pa.table({n: _column(c.to_list()) for n, c in zip(names, columns, strict=True)})
    names = list(dict.fromkeys(key for row in rows for key in row))
    return pa.table({str(name): _column([row.get(name) for row in rows]) for name in names})


def _of_folder(folder: Path) -> pa.Table | None:
    if (folder / HF_SETS).is_file():
        found = sorted(each.name for each in folder.iterdir() if (each / HF_STATE).is_file())
        raise ValueError(
            f"{folder} holds several data sets of Hugging Face: {some(found)}; give one of them, "
            f"as {folder / (found[0] if found else 'train')}."
        )
    state = folder / HF_STATE
    if not state.is_file():
        shown = (each for each in folder.iterdir() if each.name[0] not in "._")
        files = [each for each in shown if each.suffix.lower() in FOLDER_TABLES]
        return _of_files(sorted(files, key=lambda each: natural(each.name)))
    with reading(str(state)):
        said = json.loads(state.read_text(encoding="utf-8"))
        table, rows = (
            _of_files([folder / each["filename"] for each in said.get(key) or ()])
            for key in ("_data_files", "_indices_data_files")
        )
    return table if table is None or rows is None else table.take(rows.column(0))


def _of_files(files: Sequence[Path]) -> pa.Table | None:
    tables = []
    for file in files:
        with reading(str(file)):
            tables.append(_of_file(file))
    if not tables:
        return None
    first = tables[0]
    for file, table in zip(files, tables, strict=True):
        if table.column_names != first.column_names:
            raise FileError(
                f"{file} has the columns {some(table.column_names)} and {files[0]} has "
                f"{some(first.column_names)}; all files must have the same."
            )
    with reading(str(files[0])):
        whole = pa.concat_tables(tables, promote_options="permissive")
    return as_table(whole, str(files[0]))


def _of_file(file: Path) -> pa.Table:
    import pyarrow.parquet as pq

    if file.suffix.lower() in PARQUET:
        with pa.OSFile(str(file)) as opened:
            table = pq.ParquetFile(opened).read()
    else:
        with pa.OSFile(str(file)) as opened:
            # A file, as Feather is, or a stream, as Hugging Face writes.
            kind = pa.ipc.open_file if opened.read(6) == b"ARROW1" else pa.ipc.open_stream
            opened.seek(0)
            table = kind(opened).read_all()
    table.validate(full=True)
    return table


def _records(values: Iterable[Any], path: str) -> list[Mapping[str, Any]]:
    """Return records as they are, texts alone as records of a text."""
    found: list[Mapping[str, Any]] = []
    for number, value in enumerate(values):
        if not isinstance(value, dict | str):
            raise FileError(
                f"{path}: expected records or texts, got {type(value).__name__} at row {number:,}."
            )
        found.append({"text": value} if isinstance(value, str) else value)
    return found


def _column(values: list[Any]) -> pa.Array:
    """Put values of one column into an array; of several kinds as texts."""
    try:
        return pa.array(values, from_pandas=True)
    except (pa.ArrowException, ValueError, TypeError, OverflowError):
        texts = [None if value is None else _as_text(value) for value in values]
        return pa.array(texts, pa.string())


def _as_text(value: Any) -> str:
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value).encode("utf-8", "backslashreplace").decode()


def _with_names(table: pa.Table) -> pa.Table:
    """Put the names of classes in place of Hugging Face's numbers, and plain values for codes."""
    said = (table.schema.metadata or {}).get(b"huggingface")
    features: Any = {}
    if said is not None:
        with reading("what the data set says of its columns"):
            features = json.loads(said)["info"].get("features") or {}
    for at, name in enumerate(table.column_names):
        about = features.get(name) if isinstance(features, dict) else None
        names = about.get("names") if isinstance(about, dict) else None
        column = table.column(at)
        if pa.types.is_dictionary(column.type):
            table = table.set_column(at, name, column.cast(column.type.value_type))
        elif isinstance(names, list) and pa.types.is_integer(column.type):
            numbers = column.to_pylist()
            known = [
                str(names[n]) if n is not None and 0 <= n < len(names) else None for n in numbers
            ]
            table = table.set_column(at, name, pa.array(known, pa.string()))
    return table


def _refuse_same(names: Sequence[str], where: str) -> None:
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if twice:
        raise ValueError(f"{where} has several columns {some(twice)}; give each its own name.")
