"""The SQLite file of a loop: its tables, its version, and how it is opened, read and written."""

from __future__ import annotations

import errno
import json
import os
import re
import sqlite3
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labelnext.pools.disk import draft, publish, sync_folder, writing
from labelnext.utils.text import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FILE = "loop.sqlite"
OURS = 0x4C6E4C70  # SQLite's application_id, by which a file tells whose it is
WAIT = 30.0  # seconds for another process to finish its write
BESIDE = ("-wal", "-shm", "-journal")

# What brings a file from one version to the next, the first from nothing. What is released here
# never changes: a change of the tables is one more entry.
MIGRATIONS = (
    """
CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE samples (
    key INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, content TEXT NOT NULL,
    sha256 TEXT, grp TEXT, split TEXT NOT NULL, extra TEXT
);
CREATE TABLE rounds (
    number INTEGER PRIMARY KEY, kind TEXT NOT NULL, state TEXT NOT NULL, strategy TEXT,
    parameters TEXT NOT NULL, seed INTEGER, fingerprint TEXT, version TEXT NOT NULL,
    selected_at REAL NOT NULL, opened_at REAL, closed_at REAL, trained_at REAL
);
-- want: from how many people it wants an answer; need: how many of these are missing.
CREATE TABLE picks (
    key INTEGER PRIMARY KEY, round INTEGER NOT NULL REFERENCES rounds, rank INTEGER NOT NULL,
    sample INTEGER NOT NULL REFERENCES samples, kind TEXT NOT NULL, pseudo_label TEXT, score REAL,
    norm REAL, d2 REAL, potential REAL, nearest INTEGER REFERENCES samples, want INTEGER NOT NULL,
    need INTEGER NOT NULL, UNIQUE (round, rank), UNIQUE (round, sample)
);
CREATE INDEX picks_of_sample ON picks (sample);
CREATE INDEX queue ON picks (round, rank) WHERE need > 0;
CREATE TABLE events (
    number INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, annotator TEXT NOT NULL,
    sample INTEGER NOT NULL REFERENCES samples, round INTEGER REFERENCES rounds,
    action TEXT NOT NULL, value TEXT, comment TEXT, milliseconds INTEGER, source TEXT NOT NULL,
    client TEXT NOT NULL UNIQUE, supersedes INTEGER REFERENCES events
);
CREATE INDEX events_of_sample ON events (sample, annotator, number, action);
CREATE INDEX events_of_annotator ON events (annotator, number);
CREATE INDEX adjudicated ON events (sample, number) WHERE action = 'adjudicate';
CREATE UNIQUE INDEX undone ON events (supersedes) WHERE supersedes IS NOT NULL;
CREATE TRIGGER events_stay BEFORE DELETE ON events
    BEGIN SELECT RAISE(ABORT, 'events are never deleted'); END;
CREATE TRIGGER events_keep BEFORE UPDATE ON events
    BEGIN SELECT RAISE(ABORT, 'events never change'); END;
-- What each person thinks of each sample now: the last that was not undone.
CREATE VIEW standing AS SELECT * FROM events AS e
    WHERE action IN ('label', 'cannot-tell', 'skip', 'import')
    AND NOT EXISTS (SELECT 1 FROM events WHERE supersedes = e.number)
    AND NOT EXISTS (
        SELECT 1 FROM events AS later
        WHERE later.sample = e.sample AND later.annotator = e.annotator
        AND later.number > e.number
        AND later.action IN ('label', 'cannot-tell', 'skip', 'import')
        AND NOT EXISTS (SELECT 1 FROM events WHERE supersedes = later.number)
    );
-- Whoever holds a pick, until when; the lowest turn is given first.
CREATE TABLE leases (
    pick INTEGER NOT NULL REFERENCES picks, annotator TEXT NOT NULL, since REAL NOT NULL,
    until REAL NOT NULL, turn INTEGER NOT NULL, PRIMARY KEY (pick, annotator)
) WITHOUT ROWID;
CREATE INDEX leases_of_annotator ON leases (annotator, turn);
CREATE TABLE metrics (
    round INTEGER NOT NULL REFERENCES rounds, split TEXT NOT NULL, name TEXT NOT NULL,
    value REAL, PRIMARY KEY (round, split, name)
) WITHOUT ROWID;
""",
    """
-- What is asked of each round, kept as picks change: pages ask for it all the time.
CREATE TABLE asked (
    round INTEGER PRIMARY KEY REFERENCES rounds, picks INTEGER NOT NULL, want INTEGER NOT NULL,
    need INTEGER NOT NULL
);
INSERT INTO asked SELECT round, count(*), sum(want), sum(need) FROM picks GROUP BY round;
CREATE TRIGGER pick_asked AFTER INSERT ON picks
    BEGIN INSERT INTO asked VALUES (new.round, 1, new.want, new.need) ON CONFLICT DO UPDATE SET
        picks = picks + 1, want = want + excluded.want, need = need + excluded.need; END;
CREATE TRIGGER pick_answered AFTER UPDATE OF need ON picks WHEN new.need <> old.need
    BEGIN UPDATE asked SET need = need + new.need - old.need WHERE round = new.round; END;
""",
    """
-- labels: on how many the model was trained; tested: on how many of the test set it was measured.
-- It has row ids, which tell what was told last.
ALTER TABLE metrics RENAME TO told;
CREATE TABLE metrics (
    round INTEGER NOT NULL REFERENCES rounds, split TEXT NOT NULL, name TEXT NOT NULL,
    value REAL, labels INTEGER NOT NULL, tested INTEGER, model TEXT NOT NULL,
    PRIMARY KEY (round, split, name, labels, model)
);
-- Those with a label: what most say, or what was adjudicated; of classes a tie is none.
CREATE TEMP TABLE settled AS SELECT sample, split FROM (
        SELECT sample FROM events AS e WHERE action = 'adjudicate'
        AND NOT EXISTS (SELECT 1 FROM events WHERE supersedes = e.number)
        UNION
        SELECT sample FROM (
            SELECT sample, n, max(n) OVER (PARTITION BY sample) AS most FROM (
                SELECT sample, value, count(*) AS n FROM standing
                WHERE action IN ('label', 'import') GROUP BY sample, value
            )
        ) WHERE n = most GROUP BY sample HAVING count(*) = 1
        OR NOT EXISTS (SELECT 1 FROM about WHERE name = 'task' AND value LIKE '%multiclass%')
    ) JOIN samples ON key = sample;
INSERT INTO metrics SELECT round, t.split, name, t.value, (
        SELECT count(*) FROM settled AS e WHERE e.split = 'pool' AND coalesce(
            (SELECT min(p.round) FROM picks AS p WHERE p.sample = e.sample), -1
        ) <= t.round
    ), CASE t.split WHEN 'test' THEN (SELECT count(*) FROM settled AS e WHERE e.split = 'test')
    END, 'unnamed' FROM told AS t ORDER BY round, t.split, name;
DROP TABLE settled;
DROP TABLE told;
""",
)
# Errors of the place, not of what is in the file.
OUTSIDE = {
    getattr(sqlite3, f"SQLITE_{name}")
    for name in ("IOERR", "CANTOPEN", "READONLY", "PERM", "AUTH", "NOMEM", "NOLFS")
}
# File systems whose locks and shared memory do not hold between machines.
NETWORK = {
    *("nfs", "nfs4", "cifs", "smbfs", "smb3", "afs", "ceph", "glusterfs", "lustre", "gpfs"),
    *("beegfs", "pvfs2", "orangefs", "ncpfs", "davfs", "drvfs", "acfs", "ocfs2"),
    *("fuse.sshfs", "fuse.s3fs", "fuse.gcsfuse", "fuse.rclone", "fuse.glusterfs", "fuse.ceph"),
    *(
        "fuse.goofys",
        "fuse.blobfuse",
        "fuse.blobfuse2",
        "fuse.davfs",
        "fuse.mount-s3",
        "fuse.juicefs",
    ),
}
MOUNTS = "/proc/self/mountinfo"
# Connections of a process that forked: the child must not close what the parent uses.
_LEFT_ALONE: list[Any] = []
# Files that were looked at, by device and inode.
_HELD: dict[tuple[int, int], int] = {}


def now() -> float:
    """Return the time, in seconds since 1970; nothing but leases depends on it."""
    return time.time()


class LoopError(RuntimeError):
    """A loop's file is missing, damaged, in use or of another version; the message says what to do.

    Examples
    --------
    >>> from labelnext.loop import LoopError
    >>> issubclass(LoopError, RuntimeError)
    True
    """


class _Connection(sqlite3.Connection):
    """A connection that is closed with the thread that it is for."""

    def __del__(self) -> None:
        self.close()


class Database:
    """The file of a loop: a connection for each thread; each write is one short transaction.

    A write is on the disk when the block ends. A read sees one moment.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._local = threading.local()
        with self._explained():
            _check_header(path)
        self._migrate()

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Read in a block, which sees the file as it is at its first statement."""
        with self._transaction("BEGIN") as db:
            yield db

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Write in a block: all of it or nothing, on the disk when it ends."""
        with self._transaction("BEGIN IMMEDIATE") as db:
            yield db

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[sqlite3.Connection]:
        with self._explained():
            db = self._connection()
            try:
                db.execute(begin)
                yield db
                db.execute("COMMIT")
            finally:
                if db.in_transaction:
                    with suppress(sqlite3.Error):
                        db.execute("ROLLBACK")
                if not hasattr(self._local, "open"):  # for reading alone
                    db.close()

    def _connection(self) -> sqlite3.Connection:
        pid, db = getattr(self._local, "open", (0, None))
        if pid == os.getpid():
            return db  # type: ignore[return-value]
        if db is not None:
            _LEFT_ALONE.append(db)
        if not self.path.is_file():
            raise LoopError(f"{self.path} is gone; put it back, or create the loop again.")
        where, may_write = self.path.absolute().as_uri(), self._may_write()
        if not may_write:
            # Somebody else's log is read along; where there is none, none could be begun, and the
            # file is as nobody changes it.
            where += "?mode=ro" + "&immutable=1" * (not self._beside("-wal").exists())
        db = sqlite3.connect(
            where,
            timeout=WAIT,
            isolation_level=None,
            check_same_thread=False,
            factory=_Connection,
            uri=True,
        )
        db.row_factory = sqlite3.Row
        db.execute("PRAGMA foreign_keys = ON")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA trusted_schema = OFF")  # the file may be somebody else's
        if may_write:  # what is read alone is opened each time: its owner may begin to write
            self._local.open = os.getpid(), db
        return db

    def _may_write(self) -> bool:
        return os.access(self.path, os.W_OK) and os.access(self.path.parent, os.W_OK)

    def _beside(self, end: str) -> Path:
        return self.path.with_name(self.path.name + end)

    def _migrate(self) -> None:
        """Bring a file of an older version to this one's, in one transaction."""
        with self.reading() as db:
            (version,) = db.execute("PRAGMA user_version").fetchone()
        if version > len(MIGRATIONS):
            raise LoopError(
                f"{self.path} was written by a newer labelnext: its tables have version {version}, "
                f"and this one knows {len(MIGRATIONS)}. Update it: pip install --upgrade labelnext"
            )
        if version == len(MIGRATIONS):
            return
        with self.writing() as db:
            (version,) = db.execute("PRAGMA user_version").fetchone()  # another may have been first
            migrate(db, version)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Say what SQLite's errors mean for the user."""
        try:
            yield
        except sqlite3.Error as error:
            text = " ".join(str(error).split())
            code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
            if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise LoopError(
                    f"{self.path} is in use: another process has been writing for {WAIT:g} "
                    "seconds; try again, or end that one."
                ) from error
            if code == sqlite3.SQLITE_FULL:
                raise LoopError(
                    f"Cannot write {self.path}: the disk is full; free some space and do it again. "
                    "All that was recorded before is there."
                ) from error
            if code == sqlite3.SQLITE_READONLY and not self._may_write():
                raise LoopError(
                    f"{self.path} can be read, but not changed: you may not write to it or its "
                    "folder; ask whoever may, or copy the folder and work with the copy."
                ) from error
            if code in OUTSIDE:
                raise LoopError(
                    f"{self.path} cannot be opened or written: {text}; check the permissions of "
                    "the folder and the space on the disk."
                ) from error
            if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
                raise LoopError(
                    f"{self.path} is damaged: {text}. Put a copy of it back, or save what can be "
                    f"read with: sqlite3 {FILE} .recover"
                ) from error
            raise


def migrate(db: sqlite3.Connection, version: int) -> None:
    """Bring the tables from a version to this one's; the caller has begun a transaction."""
    for script in MIGRATIONS[version:]:
        for statement in _statements(script):
            db.execute(statement)
    db.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")


def _statements(script: str) -> Iterator[str]:
    """Cut a script into its statements; `executescript` would end the transaction."""
    statement = ""
    for line in script.splitlines():
        statement += line + "\n"
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def create(folder: Path, fill: Callable[[sqlite3.Connection], None]) -> Path:
    """Make the file of a loop, which appears whole or not at all; return its path."""
    path = folder / FILE
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"{folder} is no folder; choose another name for the loop's.")
    _refuse_existing(path)
    refuse_network(folder)
    with writing(str(path), "free some space, or choose another place."):
        folder.mkdir(parents=True, exist_ok=True)
        with draft(path) as new:
            _fill(new, fill)
            try:
                publish(new, path)
            except FileExistsError:  # another process was faster
                _refuse_existing(path)
                raise
        sync_folder(folder)
    return path


def _fill(path: Path, fill: Callable[[sqlite3.Connection], None]) -> None:
    db = sqlite3.connect(path, isolation_level=None, factory=_Connection)
    try:
        # Nobody sees the draft: what is left of a killed process is no loop.
        db.execute("PRAGMA journal_mode = OFF")
        db.execute("BEGIN")
        db.execute(f"PRAGMA application_id = {OURS}")
        migrate(db, 0)
        fill(db)
        db.execute("COMMIT")
    except sqlite3.OperationalError as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL:
            raise OSError(errno.ENOSPC, str(error)) from error
        raise LoopError(
            f"Cannot write {path.with_name(FILE)}: {one_line(error)}; free some space on the "
            "disk, or choose another place."
        ) from error
    finally:
        db.close()
    with path.open("r+b") as file:
        # The format's versions: 2 stands for WAL. Two processes may be the first to open it, and
        # one of them could not change that while the other reads.
        file.seek(18)
        file.write(b"\2\2")
        file.flush()
        os.fsync(file.fileno())


def _refuse_existing(path: Path) -> None:
    """Refuse a folder with a loop, and what SQLite would take for the new file's own."""
    if os.path.lexists(path):
        raise FileExistsError(
            f"{path} exists already: open the loop with labelnext.open_loop({str(path.parent)!r}), "
            "or choose another folder."
        )
    for end in BESIDE:
        beside = path.with_name(path.name + end)
        if os.path.lexists(beside):
            raise FileExistsError(
                f"{beside} is there, which SQLite would take for a part of the new loop; move it "
                "away, or choose another folder."
            )


def _check_header(path: Path) -> None:
    """Refuse what is not ours before SQLite touches it: it would finish others' transactions."""
    if not path.is_file():
        raise LoopError(
            f"{path.parent} is no loop: it has no file {FILE}. Make one with "
            "labelnext.loop.Loop.create(folder, samples), or name another folder."
        )
    try:
        header = os.pread(_held(path), 100, 0)
    except OSError as error:
        raise LoopError(f"{path} cannot be read: {error.strerror}; check who may.") from None
    ours = int.from_bytes(header[68:72])
    if len(header) < 100 or not header.startswith(b"SQLite format 3\0") or ours != OURS:
        raise LoopError(f"{path} is no file of a loop, or damaged; name another folder.")
    refuse_network(path.parent)


def _held(path: Path) -> int:
    """Open a file to look at it, and never close it.

    To close it would take away the locks that SQLite's connections of this process have on it
    (https://sqlite.org/howtocorrupt.html, 2.2): another process would take the loop for its own,
    and remove the log into which we go on writing.
    """
    found = path.stat()
    if (found.st_dev, found.st_ino) not in _HELD:
        number = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        opened = os.fstat(number)
        for key, other in [*_HELD.items()]:
            if not os.fstat(other).st_nlink:  # nobody finds that file any more
                os.close(_HELD.pop(key))
        _HELD[opened.st_dev, opened.st_ino] = number
        return number
    return _HELD[found.st_dev, found.st_ino]


def refuse_network(folder: Path) -> None:
    """Refuse a folder on a network file system, where two machines could both write."""
    kind = _file_system(Path(os.path.realpath(folder)))
    if kind in NETWORK:
        raise LoopError(
            f"{folder} is on a network file system ({kind}), where SQLite's locks do not hold and "
            "labels could be lost; put the loop on a disk of this machine."
        )


def _file_system(folder: Path) -> str:
    """Return the type of the file system that a folder is on, or nothing where that is unknown."""
    try:
        lines = Path(MOUNTS).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    found = {}
    for line in lines:
        before, _, after = line.partition(" - ")
        # Spaces in a path are written as \040.
        point = re.sub(r"\\(\d{3})", lambda code: chr(int(code[1], 8)), before.split()[4])
        # A drive of Windows, as WSL mounts it, is a 9p that says so.
        found[point] = "drvfs" if "drvfs" in after else after.split()[0]
    return next((found[str(p)] for p in (folder, *folder.parents) if str(p) in found), "")


def about(db: sqlite3.Connection, name: str) -> Any:
    """Return one of the loop's settings."""
    row = db.execute("SELECT value FROM about WHERE name = ?", (name,)).fetchone()
    return None if row is None else json.loads(row[0])
