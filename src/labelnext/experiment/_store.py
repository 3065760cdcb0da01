"""The results file: every finished round, at once and for good, and how a run is known in it."""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import sqlite3
import types
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

import joblib
import numpy as np

from labelnext.experiment._records import Round
from labelnext.utils.text import one_line

# Another version of these may give other numbers.
LIBRARIES = ("numpy", "scipy", "scikit-learn")
WAIT = 3.0  # seconds for another process to let go of the file
OURS = 0x4C6E7874  # SQLite's application_id, by which a file tells whose it is
LAYOUT = 1
MEASURES = [field.name for field in fields(Round)][:-1]  # all but the picks
TABLES = {
    "runs": "CREATE TABLE runs (key TEXT PRIMARY KEY, settings TEXT NOT NULL)",
    "rounds": """CREATE TABLE rounds (
    key TEXT NOT NULL REFERENCES runs, place INTEGER NOT NULL, labels INTEGER NOT NULL,
    classes INTEGER NOT NULL, accuracy REAL NOT NULL, agreement REAL, potential REAL,
    fit_seconds REAL NOT NULL, select_seconds REAL NOT NULL, picks BLOB NOT NULL,
    PRIMARY KEY (key, place)
)""",
    "failures": """CREATE TABLE failures (
    key TEXT PRIMARY KEY REFERENCES runs, place INTEGER NOT NULL, error TEXT NOT NULL,
    details TEXT NOT NULL
)""",
}
# How what SQLite keeps beside a file begins: a killed run's changes, under way or taken back.
BESIDE = {
    "-journal": (b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7", bytes(12)),
    "-wal": (b"\x37\x7f\x06\x82", b"\x37\x7f\x06\x83"),  # after another program's changes
}
# Errors of the place, not of what is in the file.
OUTSIDE = {
    getattr(sqlite3, f"SQLITE_{name}")
    for name in ("FULL", "IOERR", "CANTOPEN", "READONLY", "PERM", "AUTH", "NOMEM", "NOLFS")
}


class ResultsFileError(RuntimeError):
    """A results file is damaged, not one of ours, or in use; the message says what to do.

    Examples
    --------
    >>> from labelnext.experiment import ResultsFileError
    >>> issubclass(ResultsFileError, RuntimeError)
    True
    """


class Store:
    """A results file, held by this process alone until it is closed.

    Every write is a transaction of its own, on disk when it returns. Of a process that is
    killed, SQLite takes back the write that was under way, and the system its lock. Without a
    path all is kept in memory. A file is taken for one of ours only if its header says so and it
    has our tables and nothing else, and a row only if it has what we write.
    """

    def __init__(self, path: str | Path | None) -> None:
        self._path = None if path is None else Path(path)
        with self._explained():
            if self._path is not None:
                _check_beside(self._path)
                _check_header(self._path)
            self._db = sqlite3.connect(self._path or ":memory:", timeout=WAIT, isolation_level=None)
        try:
            self._open()
        except BaseException:
            self._db.close()
            raise

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def begin(self, key: str, settings: Any) -> None:
        """Note the settings of a run, and forget that it failed before."""
        self._ask("INSERT OR IGNORE INTO runs VALUES (?, ?)", key, json.dumps(settings))
        self._ask("DELETE FROM failures WHERE key = ?", key)

    def add(self, key: str, place: int, step: Round) -> None:
        """Write a round; one that was the last before may now have picks, and takes its place."""
        measures = (getattr(step, name) for name in MEASURES)
        picks = step.picks.astype("<i8").tobytes()
        self._ask(
            f"INSERT OR REPLACE INTO rounds VALUES ({'?, ' * 9}?)", key, place, *measures, picks
        )

    def fail(self, key: str, place: int, error: str, details: str) -> None:
        """Write that a run failed."""
        self._ask("INSERT OR REPLACE INTO failures VALUES (?, ?, ?, ?)", key, place, error, details)

    def rounds(self, key: str) -> list[Round]:
        """Return the rounds of a run, from the first."""
        rows = self._ask(
            f"SELECT place, {', '.join(MEASURES)}, picks FROM rounds WHERE key = ? ORDER BY place",
            key,
        )
        found: list[Round] = []
        with self._explained():
            for row in rows:
                found.append(_round_of(row, found))
        return found

    def failure(self, key: str) -> list[Any]:
        """Return at which round a run failed, the error and the traceback, if it did."""
        rows = self._ask("SELECT place, error, details FROM failures WHERE key = ?", key)
        with self._explained():
            for row in rows:
                _check_types("failures", row, (int, str, str))
        return [value for row in rows for value in row]

    def _ask(self, statement: str, *values: Any) -> list[Any]:
        with self._explained():
            return self._db.execute(statement, values).fetchall()

    def _open(self) -> None:
        # The lock comes with the first write, and stays until the process ends.
        self._ask("PRAGMA locking_mode = EXCLUSIVE")
        self._ask("BEGIN EXCLUSIVE")
        found = dict(self._ask("SELECT name, sql FROM sqlite_master WHERE sql NOT NULL"))
        if not found:
            for statement in (f"PRAGMA application_id = {OURS}", f"PRAGMA user_version = {LAYOUT}"):
                self._ask(statement)
            for statement in TABLES.values():
                self._ask(statement)
        with self._explained():
            if found not in ({}, TABLES):
                raise sqlite3.DatabaseError(
                    f"its tables are not {', '.join(TABLES)} as we make them"
                )
            ((health,),) = self._ask("PRAGMA quick_check(1)")
            if health != "ok":
                raise sqlite3.DatabaseError(health)
        self._ask("COMMIT")

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Say what SQLite's errors mean for the user."""
        try:
            yield
        except (sqlite3.Error, OSError, OverflowError) as error:
            text = " ".join(str(error).split())
            code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
            if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise ResultsFileError(
                    f"{self._path} is in use by another process; wait until that one has ended, "
                    f"or name another file."
                ) from error
            if code in OUTSIDE or isinstance(error, OSError):
                raise ResultsFileError(
                    f"{self._path} cannot be opened or written: {text}; check the folder and the "
                    f"space on the disk."
                ) from error
            raise ResultsFileError(
                f"{self._path} is damaged or no results file: {text}. Move it away and run again; "
                "nothing in it was changed."
            ) from error


def _check_beside(path: Path) -> None:
    """Refuse what SQLite would take for its own beside a results file, and delete."""
    for end, begins in BESIDE.items():
        beside = path.with_name(path.name + end)
        if not os.path.lexists(beside):
            continue
        if path.exists() and beside.is_file() and not beside.is_symlink():
            with beside.open("rb") as file:
                start = file.read(max(map(len, begins)))
            if not start or start.startswith(begins):
                continue
        raise ResultsFileError(
            f"{beside} is there, which SQLite would delete, and no run of ours has left it; move "
            "it away, or put the results elsewhere."
        )


def _check_header(path: Path) -> None:
    """Refuse what is not ours before SQLite touches it: it would finish others' transactions."""
    if not path.exists():
        return
    if not path.is_file():
        raise OSError("this is no ordinary file")
    with path.open("rb") as file:
        header = file.read(100)
    if not header:
        return
    if len(header) < 100 or not header.startswith(b"SQLite format 3\0"):
        raise sqlite3.DatabaseError("it does not begin like one")
    layout, ours = (int.from_bytes(header[at : at + 4]) for at in (60, 68))
    if (ours, layout) != (OURS, LAYOUT):
        raise ResultsFileError(
            f"{path} was not written by this version of labelnext; name another file, or move it "
            "away."
        )


def _check_types(table: str, row: Sequence[Any], kinds: Sequence[Any]) -> None:
    for value, kind in zip(row, kinds, strict=True):
        if not isinstance(value, kind):
            raise sqlite3.DatabaseError(f"{value!r:.40} in {table} is none of what we write")


def _round_of(row: Sequence[Any], before: Sequence[Round]) -> Round:
    """Make a round of a row, if it is one and follows those before it."""
    real = (int, float)
    measure = (*real, type(None))  # SQLite keeps a NaN as NULL
    _check_types("rounds", row, (int, int, int, real, measure, measure, real, real, bytes))
    place, labels, classes, *numbers, picks = row
    last = before[-1] if before else None
    if (
        place != len(before)
        or len(picks) % 8
        or not 0 < classes <= labels < 2**63
        or not 0 <= numbers[0] <= 1
        or (last is not None and labels != last.labels + len(last.picks))
    ):
        raise sqlite3.DatabaseError(f"round {place} of a run does not follow the one before it")
    values = (float("nan") if value is None else value for value in row[1:-1])
    measures: dict[str, Any] = dict(zip(MEASURES, values, strict=True))
    return Round(**measures, picks=np.frombuffer(picks, "<i8").astype(np.int64))


def describe(value: Any) -> Any:
    """Describe a setting in what JSON can hold: estimators by class, source and parameters."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return [describe(item) for item in value]
    if isinstance(value, dict):
        return {str(key): describe(item) for key, item in sorted(value.items(), key=str)}
    if isinstance(value, type | types.FunctionType):
        return {"name": _name(value), "source": _source(value)}
    if hasattr(value, "get_params"):
        params = value.get_params(deep=False)
        return describe(type(value)) | {"parameters": describe(params)}
    return {"name": _name(type(value)), "hash": fingerprint(value)}


def fingerprint(*values: Any) -> str:
    """Hash the content of arrays and other values."""
    try:
        return str(joblib.hash(values))
    except Exception as error:
        # What cannot be pickled cannot be sent to another process either.
        raise ValueError(
            f"The settings of an experiment must be values that can be pickled, got "
            f"{values[0]!r}: {one_line(error)}."
        ) from error


def key_of(settings: Any) -> str:
    """Hash described settings."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:32]


def versions() -> dict[str, str]:
    """Return the versions that numbers depend on."""
    from labelnext._version import __version__

    return {"labelnext": __version__} | {name: version(name) for name in LIBRARIES}


def _name(item: Any) -> str:
    # A class of a script has another module's name when the script is imported.
    return f"{item.__module__}.{item.__qualname__}".removeprefix("__main__.")


def _source(item: Any) -> str | None:
    """Hash the code: that of one's own strategies and models changes without a new version."""
    try:
        text = inspect.getsource(item)
    except (OSError, TypeError):  # typed at a prompt, or compiled
        return None
    return hashlib.sha256(text.encode()).hexdigest()[:16]
