"""The results file: every finished round, at once and for good, and how a run is known in it."""

from __future__ import annotations

import hashlib
import inspect
import json
import sqlite3
import types
from contextlib import contextmanager
from dataclasses import fields
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import joblib
import numpy as np

from labelnext.experiment._records import Round

if TYPE_CHECKING:
    from collections.abc import Iterator

# Another version of these may give other numbers.
LIBRARIES = ("numpy", "scipy", "scikit-learn")
WAIT = 3.0  # seconds for another process to let go of the file
OURS = 0x4C6E7874  # SQLite's application_id, by which a file tells whose it is
LAYOUT = 1
MEASURES = [field.name for field in fields(Round)][:-1]  # all but the picks
TABLES = """
CREATE TABLE runs (key TEXT PRIMARY KEY, settings TEXT NOT NULL);
CREATE TABLE rounds (
    key TEXT NOT NULL REFERENCES runs, place INTEGER NOT NULL, labels INTEGER NOT NULL,
    classes INTEGER NOT NULL, accuracy REAL NOT NULL, agreement REAL, potential REAL,
    fit_seconds REAL NOT NULL, select_seconds REAL NOT NULL, picks BLOB NOT NULL,
    PRIMARY KEY (key, place)
);
CREATE TABLE failures (
    key TEXT PRIMARY KEY REFERENCES runs, place INTEGER NOT NULL, error TEXT NOT NULL,
    details TEXT NOT NULL
);
"""


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
    path all is kept in memory.
    """

    def __init__(self, path: str | Path | None) -> None:
        self._path = None if path is None else Path(path)
        with self._explained():
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
        with self._explained():
            self._db.execute(
                "INSERT OR IGNORE INTO runs VALUES (?, ?)", (key, json.dumps(settings))
            )
            self._db.execute("DELETE FROM failures WHERE key = ?", (key,))

    def add(self, key: str, place: int, step: Round) -> None:
        """Write a round; one that was the last before may now have picks, and takes its place."""
        measures = (getattr(step, name) for name in MEASURES)
        values = (key, place, *measures, step.picks.astype("<i8").tobytes())
        with self._explained():
            self._db.execute(f"INSERT OR REPLACE INTO rounds VALUES ({'?, ' * 9}?)", values)

    def fail(self, key: str, place: int, error: str, details: str) -> None:
        """Write that a run failed."""
        with self._explained():
            self._db.execute(
                "INSERT OR REPLACE INTO failures VALUES (?, ?, ?, ?)", (key, place, error, details)
            )

    def rounds(self, key: str) -> list[Round]:
        """Return the rounds of a run, from the first."""
        with self._explained():
            rows = self._db.execute(
                f"SELECT {', '.join(MEASURES)}, picks FROM rounds WHERE key = ? ORDER BY place",
                (key,),
            ).fetchall()
        # SQLite keeps a NaN as NULL.
        found = []
        for *numbers, picks in rows:
            values: list[Any] = [float("nan") if value is None else value for value in numbers]
            measures: dict[str, Any] = dict(zip(MEASURES, values, strict=True))
            found.append(Round(**measures, picks=np.frombuffer(picks, "<i8").astype(np.int64)))
        return found

    def failure(self, key: str) -> tuple[int, str, str] | None:
        """Return at which round a run failed, the error, and the traceback."""
        with self._explained():
            row: tuple[int, str, str] | None = self._db.execute(
                "SELECT place, error, details FROM failures WHERE key = ?", (key,)
            ).fetchone()
        return row

    def _open(self) -> None:
        with self._explained():
            # The lock comes with the first write, and stays until the process ends.
            self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._db.execute("BEGIN EXCLUSIVE")
            ours, layout, tables = (
                self._db.execute(question).fetchone()[0]
                for question in (
                    "PRAGMA application_id",
                    "PRAGMA user_version",
                    "SELECT count(*) FROM sqlite_master",
                )
            )
            if tables and (ours != OURS or layout != LAYOUT):
                raise ResultsFileError(
                    f"{self._path} was not written by this version of labelnext; name another "
                    f"file, or move it away."
                )
            if tables:
                (health,) = self._db.execute("PRAGMA quick_check(1)").fetchone()
                if health != "ok":
                    raise sqlite3.DatabaseError(health)
                self._db.execute("COMMIT")
                return
            self._db.execute(f"PRAGMA application_id = {OURS}")
            self._db.execute(f"PRAGMA user_version = {LAYOUT}")
            for statement in TABLES.split(";")[:-1]:
                self._db.execute(statement)
            self._db.execute("COMMIT")

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Say what SQLite's errors mean for the user."""
        try:
            yield
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                raise ResultsFileError(
                    f"{self._path} is in use by another process; wait until that one has ended, "
                    f"or name another file."
                ) from error
            raise ResultsFileError(
                f"{self._path} cannot be opened or written: {error}; check the folder and the "
                f"space on the disk."
            ) from error
        except sqlite3.DatabaseError as error:
            raise ResultsFileError(
                f"{self._path} is damaged or no results file: {' '.join(str(error).split())}. Move "
                f"it away and run again; nothing in it was changed."
            ) from error


def describe(value: Any) -> Any:
    """Describe a setting in what JSON can hold: estimators by class, source and parameters.

    Examples
    --------
    >>> describe({"alpha": 0.5, "sizes": (8, 8)})
    {'alpha': 0.5, 'sizes': [8, 8]}
    """
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
            f"{values[0]!r}: {error}."
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
