"""Ids, groups and labels in files of text: .txt, .csv, .tsv, .json and .jsonl; and tables there."""

from __future__ import annotations

import codecs
import csv
import io
import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelnext.pools.arrays import ArraySource
from labelnext.pools.files import FileError, reading
from labelnext.pools.known import USUAL, is_text, numbered, some, stems_of, whole_numbers
from labelnext.pools.source import KNOWN, PARTS, Known, Source
from labelnext.utils.given import shown
from labelnext.utils.text import counted, did_you_mean

TABLES = (".csv", ".tsv")
SUFFIXES = (".txt", *TABLES, ".json", ".jsonl")
CLASSES = "\0"  # no name of a column


class Table:
    """A .csv or .tsv file with a header, whose columns are its arrays."""

    def __init__(self, name: str, content: bytes) -> None:
        self.name = name
        text = text_of(content, name)
        header = text.partition("\n")[0]
        # What Excel writes has semicolons where a comma is the decimal sign.
        delimiter = max("\t,;" if name.lower().endswith(".tsv") else ",;\t", key=header.count)
        limit = csv.field_size_limit(len(text) + 4)
        try:
            with reading(name):
                # A quote that is open at the end takes the line that is added into its text.
                lines = csv.reader(io.StringIO(f"{text}\nend", newline=""), delimiter=delimiter)
                rows = [row for row in lines if row]
        finally:
            csv.field_size_limit(limit)
        if rows.pop() != ["end"]:
            where = f"row {len(rows) - 1:,}" if rows else "the first line"
            raise FileError(
                f"{name}: a quote that opens in {where} is never closed, so all that comes after "
                'would be one text; close it, and write "" for a quote inside a quoted text.'
            )
        if not rows:
            raise FileError(f"{name} is empty; write the names of its columns into its first line.")
        self.names: list[str] = rows[0]
        self.stems = stems_of(self.names)
        self._rows = rows[1:]
        longer = (i for i, row in enumerate(self._rows) if len(row) > len(self.names))
        if (row := next(longer, None)) is not None:
            raise FileError(
                f"{name}: row {row:,} has {counted(len(self._rows[row]), 'cell')} and the first "
                "line has "
                f"{len(self.names):,}; put texts with {delimiter!r} inside into double quotes, and "
                "write numbers with a point before the decimals."
            )

    def source(self, names: Mapping[str, str]) -> Source:
        """Make a source of some columns; `CLASSES` stands for one for each class."""
        parts: dict[str, Any] = {}
        for part in (part for part in PARTS if part in names):
            name = names[part]
            columns = self._classes() if name == CLASSES else numbered(self.names, name) or [name]
            parts[part] = np.column_stack([self._numbers(column) for column in columns])
            if part == "proba" and columns == [name]:
                parts[part] = parts[part][:, 0]
        where = {what: f"{self.name}:{name}" for what, name in names.items()}
        known: dict[Any, Any] = {
            what: check_listed(what, self.column(names[what]), where[what])
            for what in (what for what in KNOWN if what in names)
        }
        if not parts:
            ((what, values),) = known.items()
            return ArraySource.of_known(what, values, where[what])
        source = ArraySource(**parts, name=self.name).with_known(known)
        if names.get("proba") == CLASSES:
            source.classes = np.array(whole_numbers(self._classes()), dtype=object)
        return source

    def column(self, name: str) -> list[str]:
        """Return the texts of a column."""
        if self.names.count(name) > 1:
            raise FileError(
                f"{self.name} has {self.names.count(name)} columns '{name}'; give each a name of "
                "its own."
            )
        return self.cells(self.names.index(name))

    def cells(self, at: int) -> list[str]:
        return [row[at] if at < len(row) else "" for row in self._rows]

    def _classes(self) -> list[str]:
        """Name the columns that hold numbers, and are no ids, groups or labels."""
        other = {"", *(name for what in KNOWN for name in USUAL[what])}
        found = [at for at in range(len(self.names)) if any(map(_is_number, self.cells(at)))]
        kept = [at for at in found if self.names[at].lower() not in other]
        names = [self.names[at] for at in kept]
        if not kept or all(_is_number(name) and not name.isdecimal() for name in names):
            for at in range(len(self.names)):
                if any(
                    _is_number(text.replace(",", ".", 1)) for text in self.cells(at) if "," in text
                ):
                    self._numbers(self.names[at])  # which says that points are needed
            raise FileError(
                f"{self.name} has no columns of numbers with names in its first line "
                f"({some(self.names, 12)}); write the name of a class above each."
            )
        unsure = [at for at in found if at not in kept and self._may_be_proba(at)]
        if unsure and not self._sum_to_one(kept):
            raise FileError(
                f"{self.name}: column '{self.names[unsure[0]]}' holds numbers from 0 to 1 and may "
                "be a class, but that name is one of ids, groups or labels; give it another name "
                "if it is a class, and leave it out of the file if it is none."
            )
        return names

    def _may_be_proba(self, at: int) -> bool:
        """Tell whether all numbers of a column are from 0 to 1; cells may be empty."""
        return all(_is_number(text) and 0 <= float(text) <= 1 for text in self.cells(at) if text)

    def _sum_to_one(self, columns: list[int]) -> bool:
        """Tell whether these columns alone are probabilities of classes, about."""
        cells = [self.cells(at) for at in columns]
        if not all(_is_number(text) for column in cells for text in column):
            return True  # which is refused for that
        sums = np.sum(np.array(cells, dtype=np.float64), axis=0)
        return bool(np.all(np.abs(sums - 1) < 0.05))

    def _numbers(self, name: str) -> NDArray[np.float64]:
        values = self.column(name)
        for row, value in enumerate(values):
            if not _is_number(value):
                raise FileError(
                    f"{self.name}: column '{name}' holds {value[:40]!r} in row {row}; expected "
                    "numbers, with a point before the decimals."
                )
        return np.array(values, dtype=np.float64)


def parse_text(content: bytes, suffix: str, path: str, name: str | None, what: Known) -> list[Any]:
    """Return the values in a file: of records those of the key `name`, or of a usual one."""
    if suffix == ".txt":
        text = text_of(content, path)
        if name is not None:
            raise ValueError(f"{path}:{name}: a .txt file has no columns; leave out :{name}.")
        # An empty line is a label that is missing, and never an id.
        text = text.rstrip() if what == "ids" else text.removesuffix("\n")
        values = [line.strip() for line in text.split("\n")] if text else []
        return check_listed(what, values, path)
    values = _of_records(json_values(content, suffix, path), path, name, what)
    where = path if name is None else f"{path}:{name}"
    for number, value in enumerate(values):
        if isinstance(value, str) and not is_text(value):
            raise FileError(
                f"{where}: what is at row {number:,} is no text that UTF-8 can hold: "
                f"{value[:40]!r} lacks half of a character; correct what it was made from."
            )
    return check_listed(what, values, where)


def json_values(content: bytes, suffix: str, path: str) -> list[Any]:
    text, values = text_of(content, path), None
    if suffix == ".json" and not text.strip():
        raise FileError(f"{path} is empty; write a list into it, [] for one of nothing.")
    if suffix == ".json":
        with reading(path):
            try:
                values = json.loads(text)
            except json.JSONDecodeError as error:
                if error.msg != "Extra data":  # that of a value on each line
                    raise
    if values is None:
        values = []
        for number, line in enumerate(text.split("\n"), 1):
            if line.strip():
                with reading(f"{path}, line {number}"):
                    values.append(json.loads(line))
    if not isinstance(values, list):
        raise FileError(f"{path}: expected a list of values or of records.")
    return values


def check_listed(what: Known, values: list[Any], where: str) -> list[Any]:
    """Refuse ids in a file of text that are empty or no ids; numbers beside texts are texts."""
    if what != "ids":
        for number, value in enumerate(values):
            several = value if isinstance(value, list) and what == "labels" else [value]
            if any(isinstance(each, dict | list) for each in several):
                raise TypeError(
                    f"{where}: {what} must be numbers or strings, got {type(value).__name__} "
                    f"{shown(value)} at row {number:,}; name what is meant in it, as FILE:key.key."
                )
        return values
    for number, value in enumerate(values):
        if value is None or value == "":
            raise FileError(f"{where}: id number {number} is empty; fill it in.")
        if type(value) not in (int, str):
            raise TypeError(
                f"{where}: ids must be integers or strings, got {type(value).__name__} "
                f"{value!r}; convert them first."
            )
    return [*map(str, values)] if any(type(value) is str for value in values) else values


def ids_of_records(content: bytes, suffix: str, path: str) -> list[Any]:
    """Return the ids that all records of a .json or .jsonl file have beside what was asked for."""
    values = [] if suffix == ".txt" else json_values(content, suffix, path)
    for name in USUAL["ids"]:
        found = [value.get(name) if isinstance(value, dict) else None for value in values]
        if found and all(type(value) in (int, str) and value != "" for value in found):
            return check_listed("ids", found, path)
    return []


def text_of(content: bytes, path: str) -> str:
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return content.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise FileError(
            f"Cannot read {path}: it is no text in UTF-8 (byte {error.start:,} is "
            f"0x{content[error.start]:02x}); save it as UTF-8, in Excel as 'CSV UTF-8'."
        ) from None


def _is_number(text: str) -> bool:
    with suppress(ValueError):
        float(text)
        return "_" not in text
    return False


def _of_records(values: list[Any], path: str, name: str | None, what: Known) -> list[Any]:
    records = [value for value in values if isinstance(value, dict)]
    if not records:
        if name is not None:
            raise ValueError(
                f"{path} lists values without names, so it has no '{name}'; leave out :{name}."
            )
        return values
    wanted = USUAL[what] if name is None else (name,)
    for each in wanted:
        found = [_inside(value, each) if isinstance(value, dict) else (value,) for value in values]
        if sum(map(bool, found)) > len(values) - len(records):
            if what == "ids" and () in found:
                raise ValueError(
                    f"{path}: record {found.index(()):,}, counted from 0, has no '{each}'; every "
                    "sample needs an id."
                )
            return [value[0] if value else None for value in found]
    keys = dict.fromkeys(key for record in records for key in _keys(record))
    raise ValueError(
        f"{path} has no '{wanted[0]}' in its records; they have {some(keys, 12)}"
        f"{did_you_mean(wanted[0], keys) or ';'} name one with {path}:NAME."
    )


def _inside(record: Any, name: str) -> tuple[Any, ...]:
    """Find what a key leads to, or keys with dots between; one value, or none."""
    if isinstance(record, dict) and name in record:
        return (record[name],)
    first, dot, rest = name.partition(".")
    if isinstance(record, list) and first.isdecimal() and int(first) < len(record):
        return _inside(record[int(first)], rest) if dot else (record[int(first)],)
    if dot and isinstance(record, dict) and first in record:
        return _inside(record[first], rest)
    return ()


def _keys(record: dict[str, Any]) -> Iterable[str]:
    for key, value in record.items():
        yield from (f"{key}.{inside}" for inside in value) if isinstance(value, dict) else (key,)
