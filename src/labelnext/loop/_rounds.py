"""Rounds: which samples were picked, who is asked next, and what came of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from labelnext._version import __version__
from labelnext.loop import _events, _schema

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

# Nobody is asked twice at once: what others hold counts as answered while their lease lives.
FREE = """
SELECT p.key, p.key AS turn FROM picks AS p WHERE p.need > 0
    AND p.need > (SELECT count(*) FROM leases WHERE pick = p.key AND annotator <> :me)
    AND NOT EXISTS (SELECT 1 FROM leases WHERE pick = p.key AND annotator = :me)
    AND NOT EXISTS (
        SELECT 1 FROM standing AS s WHERE s.sample = p.sample AND s.annotator = :me
    )
ORDER BY p.round, p.rank LIMIT :n
"""
# What a person has skipped comes back when nothing else is left, in the order of skipping.
SKIPPED = """
SELECT p.key, (1 << 40) + s.number AS turn FROM picks AS p
CROSS JOIN standing AS s ON s.sample = p.sample AND s.annotator = :me AND s.action = 'skip'
WHERE p.need > 0 AND p.need > (SELECT count(*) FROM leases WHERE pick = p.key AND annotator <> :me)
    AND NOT EXISTS (SELECT 1 FROM leases WHERE pick = p.key AND annotator = :me)
ORDER BY s.number LIMIT :n
"""
# What stands of what people have said; whoever has decided twice has decided once.
DECISIONS = """
SELECT annotator, at FROM standing
UNION ALL SELECT annotator, max(at) FROM events AS a WHERE action = 'adjudicate'
    AND NOT EXISTS (SELECT 1 FROM events WHERE supersedes = a.number) GROUP BY annotator, sample
"""
ITEMS = """
SELECT s.id, s.key, s.kind, s.content, s.extra, p.round, p.rank, p.kind AS pick, p.pseudo_label,
    p.score, p.norm, p.d2, near.id AS nearest, l.until
FROM leases AS l JOIN picks AS p ON p.key = l.pick JOIN samples AS s ON s.key = p.sample
LEFT JOIN samples AS near ON near.key = p.nearest
WHERE l.annotator = ? ORDER BY l.turn LIMIT ?
"""


class Item(NamedTuple):
    """
    A sample that somebody is asked to label.

    Parameters
    ----------
    id : str
        The id of the sample.
    key : int
        Its row in the loop, from 0.
    kind : str
        "text", "image", "audio", "row" or "html".
    content : str
        The text, the path of a file, or the values of a row as JSON.
    extra : dict
        What else the samples' table says of it.
    round, rank : int
        The round that asks for it, and its place there, from 1.
    pick : str
        Why it was picked: "strategy", "random" or "test".
    pseudo_label : str, list of str, float or None
        What the model takes it for.
    score, norm, d2 : float or None
        What the strategy says of it: utility, gradient norm and D².
    nearest : str or None
        The id of the nearest earlier pick of its round.
    until : float
        When the lease ends, in seconds since 1970.

    Examples
    --------
    >>> from labelnext.loop import Item
    >>> Item._fields[:4]
    ('id', 'key', 'kind', 'content')
    """

    id: str
    key: int
    kind: str
    content: str
    extra: dict[str, Any]
    round: int
    rank: int
    pick: str
    pseudo_label: Any
    score: float | None
    norm: float | None
    d2: float | None
    nearest: str | None
    until: float


class Picks(NamedTuple):
    """What is written of the picks of a round, in their order."""

    samples: Sequence[int]
    kinds: Sequence[str]
    wants: Sequence[int]
    pseudo_labels: Sequence[Any]
    scores: Sequence[float | None]
    norms: Sequence[float | None]
    d2: Sequence[float | None]
    potentials: Sequence[float | None]
    nearest: Sequence[int | None]


def add(
    db: sqlite3.Connection,
    number: int,
    kind: str,
    picks: Picks,
    *,
    strategy: str | None,
    parameters: Mapping[str, Any],
    seed: int | None,
    fingerprint: str | None,
) -> None:
    """Write a round and its picks."""
    db.execute(
        "INSERT INTO rounds (number, kind, state, strategy, parameters, seed, fingerprint, "
        "version, selected_at) VALUES (?, ?, 'selected', ?, ?, ?, ?, ?, ?)",
        (
            *(number, kind, strategy, json.dumps(parameters), seed, fingerprint, __version__),
            _schema.now(),
        ),
    )
    labels = (None if label is None else json.dumps(label) for label in picks.pseudo_labels)
    columns = picks._replace(pseudo_labels=list(labels))
    db.executemany(
        "INSERT INTO picks (round, rank, sample, kind, want, pseudo_label, score, norm, d2, "
        f"potential, nearest, need) VALUES ({number}, {', '.join('?' * 11)})",
        ((rank, *values, values[2]) for rank, values in enumerate(zip(*columns, strict=True), 1)),
    )


def take(db: sqlite3.Connection, annotator: str, n: int, seconds: float) -> list[Item]:
    """Lease the next n picks to a person: first those held already, then new ones."""
    now = _schema.now()
    expire(db, now)
    held = db.execute("SELECT count(*) FROM leases WHERE annotator = ?", (annotator,)).fetchone()[0]
    for queue in (FREE, SKIPPED):
        if held < n:
            found = db.execute(queue, {"me": annotator, "n": n - held}).fetchall()
            db.executemany(
                "INSERT INTO leases VALUES (?, ?, ?, ?, ?)",
                ((key, annotator, now, now + seconds, turn) for key, turn in found),
            )
            held += len(found)
    items = [_item(row) for row in db.execute(ITEMS, (annotator, n))]
    until = now + seconds
    db.execute(
        "UPDATE leases SET since = ?, until = ? WHERE annotator = ? AND pick IN "
        "(SELECT pick FROM leases WHERE annotator = ? ORDER BY turn LIMIT ?)",
        (now, until, annotator, annotator, n),
    )
    db.execute(
        "UPDATE rounds SET state = 'open', opened_at = ? WHERE state = 'selected' AND number IN "
        "(SELECT round FROM picks JOIN leases ON pick = key WHERE annotator = ?)",
        (now, annotator),
    )
    return [item._replace(until=until) for item in items]


def expire(db: sqlite3.Connection, now: float) -> None:
    """Forget leases that are over; and those of the future, after a clock has gone backwards.

    What was leased for ten minutes lives for twenty at most.
    """
    db.execute("DELETE FROM leases WHERE until <= ?1 OR 2 * since - until > ?1", (now,))


def _item(row: sqlite3.Row) -> Item:
    extra, guess = json.loads(row["extra"] or "{}"), json.loads(row["pseudo_label"] or "null")
    return Item(**{**dict(row), "extra": extra, "pseudo_label": guess})


def release(db: sqlite3.Connection, annotator: str) -> int:
    """Give back all that a person holds; return how many."""
    return db.execute("DELETE FROM leases WHERE annotator = ?", (annotator,)).rowcount


def out_of_choice(db: sqlite3.Connection) -> NDArray[np.int64]:
    """Return the samples that are not to be picked: test, answered, or being asked for."""
    rows = db.execute(
        "SELECT key FROM samples WHERE split <> 'pool' "
        "UNION SELECT sample FROM standing WHERE action <> 'skip' "
        "UNION SELECT sample FROM events AS e WHERE action = 'adjudicate' "
        "AND NOT EXISTS (SELECT 1 FROM events WHERE supersedes = e.number) "
        "UNION SELECT sample FROM picks WHERE need > 0 "
        "UNION SELECT sample FROM picks JOIN leases ON pick = picks.key WHERE until > ?",
        (_schema.now(),),
    )
    return np.array([row[0] for row in rows], np.int64)


def close(db: sqlite3.Connection, number: int | None) -> int | None:
    """Close a round, and those before it in which nothing is missing; return its number."""
    now = _schema.now()
    if number is None:
        row = db.execute(
            "SELECT number FROM rounds WHERE closed_at IS NULL "
            "ORDER BY kind = 'test', number LIMIT 1"
        ).fetchone()
        if row is None:
            return None
        number = row[0]
    done = db.execute(
        "SELECT number FROM rounds AS r WHERE closed_at IS NULL AND (number = ?1 OR number < ?1 "
        "AND NOT EXISTS (SELECT 1 FROM picks WHERE round = r.number AND need > 0))",
        (number,),
    ).fetchall()
    for (each,) in done:
        db.execute(
            "DELETE FROM leases WHERE pick IN (SELECT key FROM picks WHERE round = ?)", (each,)
        )
        db.execute("UPDATE picks SET need = 0 WHERE round = ? AND need > 0", (each,))
        db.execute(
            "UPDATE rounds SET state = 'closed', closed_at = ? WHERE number = ?", (now, each)
        )
    return number


def reopen_test(db: sqlite3.Connection) -> int:
    """Ask again for what the test set lacks, after it was closed; return how many answers."""
    found = db.execute("SELECT number, closed_at FROM rounds WHERE kind = 'test'").fetchone()
    if found is None:
        raise ValueError("This loop has no test set: one is drawn when a loop is made.")
    if found["closed_at"] is None:
        raise ValueError("The test set is not closed: people are asked for what it lacks.")
    number = found["number"]
    db.execute("UPDATE rounds SET state = 'open', closed_at = NULL WHERE number = ?", (number,))
    for (sample,) in db.execute("SELECT sample FROM picks WHERE round = ?", (number,)).fetchall():
        db.execute(_events.NEED, (sample,))
    return int(db.execute("SELECT need FROM asked WHERE round = ?", (number,)).fetchone()[0])


def score(
    db: sqlite3.Connection,
    metrics: Sequence[tuple[str, str, float]],
    labeled: Sequence[int],
    tested: int,
    model: str,
    number: int | None = None,
) -> int:
    """Write what a model reaches that was trained on these samples; return the round it is of.

    Without a number that is the newest round which has asked for one of them.
    """
    first = dict(db.execute("SELECT sample, min(round) FROM picks GROUP BY sample").fetchall())
    asked = [first.get(sample, -1) for sample in labeled]
    if number is None:
        (start,) = db.execute("SELECT min(number) FROM rounds").fetchone()
        if start is None:
            raise ValueError("There is no round that metrics may be of; choose one: loop.next().")
        number = max([start, *asked])
    known = sum(each <= number for each in asked)
    db.executemany(
        "INSERT OR REPLACE INTO metrics VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            (number, split, name, value, known, tested if split == "test" else None, model)
            for split, name, value in metrics
        ),
    )
    if metrics:
        db.execute(
            "UPDATE rounds SET state = 'trained', trained_at = ? "
            "WHERE number = ? AND closed_at IS NOT NULL",
            (_schema.now(), number),
        )
    return number


def table(db: sqlite3.Connection) -> list[dict[str, Any]]:
    """Return what is known of each round, from the first."""
    rows = db.execute(
        "SELECT r.*, count(p.key) AS picks, "
        "coalesce(sum(EXISTS (SELECT 1 FROM standing WHERE sample = p.sample "
        "AND action IN ('label', 'import'))), 0) AS labeled, coalesce(sum(p.need), 0) AS missing "
        "FROM rounds AS r LEFT JOIN picks AS p ON p.round = r.number GROUP BY r.number"
    )
    return [{**dict(row), "parameters": json.loads(row["parameters"])} for row in rows]


def asked_now(db: sqlite3.Connection) -> tuple[int | None, str | None, int, int, int]:
    """Return the round that is asked for now: number, kind, picks, answers wanted, and missing.

    It reads what is kept of each round, and no pick.
    """
    row = db.execute(
        "SELECT number, kind, picks, want, need FROM rounds JOIN asked ON round = number "
        "WHERE closed_at IS NULL ORDER BY need = 0, number"
    ).fetchone()
    return (None, None, 0, 0, 0) if row is None else tuple(row)


def progress(db: sqlite3.Connection) -> dict[str, Any]:
    """Return where the loop stands, in numbers."""

    def count(query: str, *values: Any) -> int:
        return int(db.execute(query, values).fetchone()[0])

    now = _schema.now()
    labeled = dict(
        db.execute(
            "SELECT split, count(DISTINCT sample) FROM standing JOIN samples ON key = sample "
            "WHERE action IN ('label', 'import') GROUP BY split"
        ).fetchall()
    )
    number, kind, picks, _, missing = asked_now(db)
    return {
        "samples": count("SELECT count(*) FROM samples"),
        "test": count("SELECT count(*) FROM samples WHERE split = 'test'"),
        "labeled": labeled.get("pool", 0),
        "test_labeled": labeled.get("test", 0),
        "round": number,
        "kind": kind,
        "picks": picks,
        "unanswered": count("SELECT count(*) FROM picks WHERE round = ? AND need > 0", number),
        "missing": missing,
        "missing_in_all": count("SELECT coalesce(sum(need), 0) FROM asked"),
        "waiting": count("SELECT count(*) FROM picks WHERE need > 0 AND need < want"),
        "people": [
            dict(row)
            for row in db.execute(
                "SELECT annotator, count(*) AS decisions, max(at) AS last, (SELECT count(*) "
                "FROM leases AS l WHERE l.annotator = e.annotator AND until > ?) AS holds "
                f"FROM ({DECISIONS}) AS e GROUP BY annotator ORDER BY annotator",
                (now,),
            )
        ],
    }
