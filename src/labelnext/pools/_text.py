"""Ids, groups and labels in files of text: .txt, .csv, .json and .jsonl."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any

from labelnext.pools.known import some
from labelnext.utils.names import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SUFFIXES = (".txt", ".csv", ".json", ".jsonl")


def parse_text(
    content: bytes, suffix: str, path: str, name: str | None, usual: Sequence[str]
) -> list[Any]:
    """Return the values in a file, one for each sample: those of a column, if it has several.

    `name` is the column, or key of records, that was asked for; None looks for the usual ones.
    """
    readers: dict[str, Callable[..., list[Any]]] = {
        ".txt": _of_text,
        ".csv": _of_csv,
        ".json": _of_json,
        ".jsonl": _of_lines,
    }
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise broken(path, error) from None
    return readers[suffix](text, path, name, usual)


def broken(path: str, error: object) -> ValueError:
    """Return the error of a file that is no file of its kind."""
    reason = " ".join(str(error).split()).rstrip(".") or "the file is broken"
    return ValueError(
        f"Cannot read {path}: {reason}; the file may be cut short or of another format: write or "
        "copy it again."
    )


def _of_text(text: str, path: str, name: str | None, usual: Sequence[str]) -> list[Any]:
    if name is not None:
        raise ValueError(f"{path}:{name}: a .txt file has no columns; leave out :{name}.")
    return [line.strip() for line in text.rstrip().split("\n")] if text.strip() else []


def _of_csv(text: str, path: str, name: str | None, usual: Sequence[str]) -> list[Any]:
    rows = list(csv.reader(io.StringIO(text, newline="")))
    header = rows[0] if rows else []
    found = [each for each in (usual if name is None else (name,)) if each in header]
    if not found and name is None:
        # A lone column is not taken as it stands: its first line may be a value, or a heading.
        raise ValueError(
            f"{path} has no column '{usual[0]}' in its first line "
            f"({some(header, 12) or 'empty'}); name a column with {path}:NAME, or use a .txt file "
            "with one value on each line."
        )
    if not found:
        raise ValueError(
            f"{path} has no column '{name}'; it has {some(header, 12) or 'none'}"
            f"{did_you_mean(str(name), header)}."
        )
    column = header.index(found[0])
    return [row[column] if column < len(row) else "" for row in rows[1:] if row]


def _of_json(text: str, path: str, name: str | None, usual: Sequence[str]) -> list[Any]:
    try:
        values = json.loads(text)
    except ValueError as error:
        raise broken(path, error) from None
    if not isinstance(values, list):
        raise ValueError(f"{path}: expected a list of values or of records.")
    return _of_records(values, path, name, usual)


def _of_lines(text: str, path: str, name: str | None, usual: Sequence[str]) -> list[Any]:
    values = []
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                values.append(json.loads(line))
            except ValueError as error:
                raise broken(path, f"line {number}: {error}") from None
    return _of_records(values, path, name, usual)


def _of_records(values: list[Any], path: str, name: str | None, usual: Sequence[str]) -> list[Any]:
    records = [value for value in values if isinstance(value, dict)]
    if not records:
        return values
    keys = dict.fromkeys(key for record in records for key in record)
    found = [each for each in (usual if name is None else (name,)) if each in keys]
    if not found:
        wanted = usual[0] if name is None else name
        raise ValueError(
            f"{path} has no '{wanted}' in its records; they have {some(keys, 12)}"
            f"{did_you_mean(wanted, keys)}; name one with {path}:NAME."
        )
    return [value.get(found[0]) if isinstance(value, dict) else value for value in values]
