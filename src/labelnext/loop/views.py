"""What the page shows of a loop beyond what a `Loop` says: the grid, and what is asked."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from labelnext.loop import _events, _rounds, _schema

if TYPE_CHECKING:
    from labelnext.loop._rounds import Item
    from labelnext.loop.loop import Loop

# Those drawn at random and the test set are left out of the grid, where the guess shows: what is
# said of them must not depend on it.
PREDICTED = f"""
SELECT p.key, p.pseudo_label FROM picks AS p
WHERE p.kind = 'strategy' AND p.pseudo_label IS NOT NULL AND (
    p.key IN (SELECT key FROM ({_rounds.FREE}))
    OR p.key IN (SELECT pick FROM leases WHERE annotator = :me)
) ORDER BY p.round, p.rank
"""
# What a person has answered and others are asked for, too.
WAITING = """
SELECT count(*) FROM picks AS p WHERE need > 0 AND need < want AND EXISTS (
    SELECT 1 FROM standing AS s WHERE s.sample = p.sample AND s.annotator = ?
    AND s.action <> 'skip'
)
"""


def guesses(loop: Loop, person: str) -> dict[str, int]:
    """Return how many samples of each predicted class wait for a person, most first."""
    with loop._database.reading() as db:
        rows = db.execute(PREDICTED, {"me": person, "n": -1}).fetchall()
    counts: dict[str, int] = {}
    for row in rows:
        guess = json.loads(row["pseudo_label"])
        if isinstance(guess, str):
            counts[guess] = counts.get(guess, 0) + 1
    return dict(sorted(counts.items(), key=lambda pair: -pair[1]))


def take_predicted(loop: Loop, person: str, guess: str, n: int, seconds: float) -> list[Item]:
    """Lease to a person the next picks that the model takes for one class."""
    with loop._database.writing() as db:
        now = _schema.now()
        _rounds.expire(db, now)
        rows = db.execute(PREDICTED, {"me": person, "n": -1}).fetchall()
        keys = [row["key"] for row in rows if json.loads(row["pseudo_label"]) == guess][:n]
        db.executemany(
            "INSERT INTO leases VALUES (?1, ?2, ?3, ?4, ?1) "
            "ON CONFLICT DO UPDATE SET since = ?3, until = ?4",
            ((key, person, now, now + seconds) for key in keys),
        )
        wanted = ", ".join(map(str, keys))
        mine = {
            row["sample"] for row in db.execute(f"SELECT sample FROM picks WHERE key IN ({wanted})")
        }
        items = [_rounds._item(row) for row in db.execute(_rounds.ITEMS, (person, -1))]
        return [item for item in items if item.key in mine]


def asked_now(loop: Loop) -> dict[str, Any]:
    """Return the round that is asked for now, how many answers it wants, and how many it lacks.

    Where none lacks any, it is the latest. Also all `rounds` that are open, and whether there was
    none yet but the test set. Cheap, as each tab asks for it again and again.
    """
    with loop._database.reading() as db:
        rows = db.execute(
            "SELECT number AS round, kind, picks, want AS total, need AS left, want - need AS "
            "decided FROM rounds JOIN asked ON round = number WHERE closed_at IS NULL ORDER BY 1"
        ).fetchall()
        first = db.execute("SELECT 1 FROM rounds WHERE kind <> 'test' LIMIT 1").fetchone() is None
    rounds = [dict(row) for row in rows]
    none = {"round": None, "kind": None, "picks": 0, "total": 0, "left": 0, "decided": 0}
    at = next((each for each in rounds if each["left"]), rounds[-1] if rounds else none)
    return {**at, "rounds": rounds, "first": first}


def waiting(loop: Loop, person: str) -> int:
    """Return how many samples that a person has answered wait for somebody else."""
    with loop._database.reading() as db:
        return int(db.execute(WAITING, (person,)).fetchone()[0])


def version(loop: Loop) -> str:
    """Return what differs once somebody has changed what people see beside the samples."""
    with loop._database.reading() as db:
        rows = db.execute(
            "SELECT value FROM about WHERE name IN ('classes', 'guidelines') ORDER BY name"
        ).fetchall()
    return hashlib.sha256(json.dumps([*map(tuple, rows)]).encode()).hexdigest()[:12]


def event(loop: Loop, number: int) -> _events.Event:
    """Return an event by its number."""
    with loop._database.reading() as db:
        return _events.find(db, number)


def was_sent(loop: Loop, client: str) -> bool:
    """Tell whether an event with this client id was written."""
    with loop._database.reading() as db:
        return bool(db.execute("SELECT 1 FROM events WHERE client = ?", (client,)).fetchone())
