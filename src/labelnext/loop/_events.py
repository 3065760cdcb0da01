"""Events, append-only: who said what of which sample; and labels, which are a view of them."""

from __future__ import annotations

import json
import statistics
import uuid
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

import numpy as np

from labelnext.loop import _schema
from labelnext.loop._check import is_missing, value_checker
from labelnext.pools.known import some
from labelnext.utils.text import counted, counted_of

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

# What a person can do with a sample; undo and import have methods of their own.
Action = Literal["label", "skip", "cannot-tell", "flag", "comment", "adjudicate"]
ACTIONS: tuple[Action, ...] = get_args(Action)
Rule = Literal["majority", "unanimous", "adjudicated"]
RULES: tuple[Rule, ...] = get_args(Rule)
LoopTask = Literal["multiclass", "multilabel", "regression"]
LOOP_TASKS: tuple[LoopTask, ...] = get_args(LoopTask)
VALUED = ("label", "adjudicate", "import")

# How many answers a pick still needs: none if its round is closed or somebody has adjudicated.
NEED = """
UPDATE picks SET need = CASE
    WHEN (SELECT closed_at FROM rounds WHERE number = round) IS NOT NULL THEN 0
    WHEN EXISTS (
        SELECT 1 FROM events AS e WHERE e.sample = picks.sample AND e.action = 'adjudicate'
        AND NOT EXISTS (SELECT 1 FROM events WHERE supersedes = e.number)
    ) THEN 0
    ELSE max(0, want - (
        SELECT count(*) FROM standing WHERE standing.sample = picks.sample AND action <> 'skip'
    )) END
WHERE sample = ?
"""
EVENTS = """
SELECT e.number, e.at, e.annotator, s.id AS sample, e.round, e.action, e.value, e.comment,
    e.milliseconds, e.source, e.client, e.supersedes,
    EXISTS (SELECT 1 FROM events WHERE supersedes = e.number) AS undone
FROM events AS e JOIN samples AS s ON s.key = e.sample
"""


class Event(NamedTuple):
    """
    What somebody did: a line of the list that only grows.

    Parameters
    ----------
    number : int
        Its place in the list. Order depends on it alone, never on the clock.
    at : float
        When, in seconds since 1970 (UTC).
    annotator : str
        Who.
    sample : str
        The id of the sample.
    round : int or None
        The round that had asked for it; None if none had.
    action : str
        "label", "skip", "cannot-tell", "flag", "comment", "adjudicate", "undo" or "import".
    value : str, list of str, float or None
        The label: a class, the sorted classes of a multilabel task, or a number.
    comment : str or None
        What the person wrote.
    milliseconds : int or None
        How long the person took.
    source : str
        Where it came from, such as "python", "page" or a tool.
    client : str
        The unique text of whoever sent it.
    supersedes : int or None
        Of an undo the number of the event that it takes back.
    undone : bool
        Whether it was taken back.

    Examples
    --------
    >>> from labelnext.loop import Event
    >>> Event._fields[:4]
    ('number', 'at', 'annotator', 'sample')
    """

    number: int
    at: float
    annotator: str
    sample: str
    round: int | None
    action: str
    value: Any
    comment: str | None
    milliseconds: int | None
    source: str
    client: str
    supersedes: int | None
    undone: bool


class Labels(NamedTuple):
    """
    A label for each sample of a loop, in the loop's order, None or NaN where it is missing.

    Parameters
    ----------
    ids : ndarray of shape (n_samples,), object
        The ids of all samples.
    y : ndarray of shape (n_samples,)
        Classes as strings or None; of a multilabel task lists of classes or None; of regression
        numbers or NaN.

    Examples
    --------
    >>> import numpy as np
    >>> from labelnext.loop import Labels
    >>> labels = Labels(np.array(["a", "b"], object), np.array([None, "cat"], object))
    >>> labels.labeled
    array([1])
    """

    ids: NDArray[Any]
    y: NDArray[Any]

    @property
    def labeled(self) -> NDArray[np.int64]:
        """The rows that have a label, in ascending order."""
        if self.y.dtype.kind == "f":
            return np.flatnonzero(~np.isnan(self.y)).astype(np.int64, copy=False)
        return np.array([row for row, value in enumerate(self.y) if value is not None], np.int64)


def event(row: sqlite3.Row) -> Event:
    """Make an event of a row of `EVENTS`."""
    fields = dict(row)
    value = None if row["value"] is None else json.loads(row["value"])
    return Event(**fields | {"value": value, "undone": bool(row["undone"])})


def find(db: sqlite3.Connection, number: int) -> Event:
    """Return an event by its number."""
    return event(db.execute(f"{EVENTS} WHERE e.number = ?", (number,)).fetchone())


def sent_before(
    db: sqlite3.Connection, client: str | None, annotator: str, action: str, sample: str | None
) -> Event | None:
    """Return the event that a client id has written before, if it has."""
    if client is None:
        return None
    row = db.execute(f"{EVENTS} WHERE e.client = ?", (client,)).fetchone()
    if row is None:
        return None
    found = event(row)
    asked = (annotator, action, found.sample if sample is None else sample)
    if asked != (found.annotator, found.action, found.sample):
        raise ValueError(
            f"The client id {client!r} was used before, for {found.action!r} of {found.sample!r} "
            f"by {found.annotator!r}; each event needs a unique one, such as str(uuid.uuid4())."
        )
    return found


def append(
    db: sqlite3.Connection,
    sample: int,
    action: str,
    value: Any = None,
    *,
    annotator: str,
    source: str,
    client: str | None = None,
    milliseconds: int | None = None,
    comment: str | None = None,
    supersedes: int | None = None,
) -> int:
    """Write an event, and what it changes in the queue; return its number."""
    now = _schema.now()
    # Of the rounds that have asked for it the last, one that is not closed before all others.
    asked = db.execute(
        "SELECT p.key, p.round, r.state FROM picks AS p JOIN rounds AS r ON r.number = p.round "
        "WHERE p.sample = ? ORDER BY r.closed_at IS NULL DESC, p.round DESC LIMIT 1",
        (sample,),
    ).fetchone()
    number = db.execute(
        "INSERT INTO events (at, annotator, sample, round, action, value, comment, milliseconds, "
        "source, client, supersedes) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            now,
            annotator,
            sample,
            asked and asked["round"],
            action,
            None if value is None else json.dumps(value, ensure_ascii=False),
            comment,
            milliseconds,
            source,
            client or uuid.uuid4().hex,
            supersedes,
        ),
    ).lastrowid
    if asked is not None and action not in ("flag", "comment"):
        db.execute(NEED, (sample,))
        if action != "undo":
            # Nor is anybody else asked for what needs no more answers, but to say again what was
            # undone, whose turn is below 0.
            db.execute(
                "DELETE FROM leases WHERE pick IN (SELECT key FROM picks WHERE sample = ?1) AND "
                "(annotator = ?2 OR turn >= 0 AND (SELECT need FROM picks WHERE key = pick) = 0)",
                (sample, annotator),
            )
        if asked["state"] == "selected":
            db.execute(
                "UPDATE rounds SET state = 'open', opened_at = ? WHERE number = ?",
                (now, asked["round"]),
            )
    return number  # type: ignore[return-value]


def undo(
    db: sqlite3.Connection, annotator: str, source: str, client: str | None, seconds: float
) -> int | None:
    """Take back a person's last event that still counts, and give its sample back first."""
    last = db.execute(
        "SELECT number, sample, action FROM events AS e WHERE annotator = ? "
        "AND action NOT IN ('undo', 'import') "
        "AND NOT EXISTS (SELECT 1 FROM events WHERE supersedes = e.number) "
        "ORDER BY number DESC LIMIT 1",
        (annotator,),
    ).fetchone()
    if last is None:
        return None
    number = append(
        db,
        last["sample"],
        "undo",
        annotator=annotator,
        source=source,
        client=client,
        supersedes=last["number"],
    )
    if last["action"] in ("label", "skip", "cannot-tell"):
        now = _schema.now()
        # The later it was taken back, the earlier it is given again.
        db.execute(
            "INSERT OR REPLACE INTO leases SELECT key, ?, ?, ?, ? FROM picks WHERE sample = ? "
            "ORDER BY round DESC LIMIT 1",
            (annotator, now, now + seconds, -number, last["sample"]),
        )
    return number


def history(db: sqlite3.Connection, annotator: str, n: int) -> list[Event]:
    """Return a person's last events, the latest first."""
    rows = db.execute(
        f"{EVENTS} WHERE e.annotator = ? ORDER BY e.number DESC LIMIT ?", (annotator, n)
    )
    return [event(row) for row in rows]


def votes(db: sqlite3.Connection, splits: Sequence[str]) -> dict[int, dict[str, Any]]:
    """Return what each person says of each sample that somebody has labelled."""
    found: dict[int, dict[str, Any]] = defaultdict(dict)
    known: dict[str, Any] = {}  # a text is read once, however many say it
    rows = db.cursor()
    rows.row_factory = None  # a tuple takes half the time
    for sample, annotator, text in rows.execute(
        "SELECT sample, annotator, value FROM standing JOIN samples ON key = sample "
        f"WHERE action IN ('label', 'import') AND split IN ({_marks(splits)})",
        splits,
    ):
        value = known.get(text)
        if value is None:
            value = json.loads(text)
            if isinstance(value, str):
                known[text] = value
        found[sample][annotator] = value
    return found


def votes_by_id(db: sqlite3.Connection) -> dict[str, dict[str, Any]]:
    """Return the same of all samples, by their ids."""
    ids = dict(db.execute("SELECT key, id FROM samples").fetchall())
    return {ids[sample]: said for sample, said in votes(db, ("pool", "test")).items()}


def adjudications(db: sqlite3.Connection, splits: Sequence[str]) -> dict[int, Any]:
    """Return what was decided of samples, the last decision of each."""
    rows = db.execute(
        "SELECT sample, value FROM events AS e JOIN samples ON key = sample "
        f"WHERE action = 'adjudicate' AND split IN ({_marks(splits)}) "
        "AND NOT EXISTS (SELECT 1 FROM events WHERE supersedes = e.number) ORDER BY number",
        splits,
    )
    return {sample: json.loads(value) for sample, value in rows}


def _marks(values: Sequence[Any]) -> str:
    return ", ".join("?" * len(values))


def decide(said: Iterable[Any], rule: Rule, task: LoopTask) -> Any:  # noqa: PLR0911
    """Make one label of what people say; None if they do not agree as the rule asks."""
    said = list(said)
    if rule == "adjudicated":
        return None
    if all(value == said[0] for value in said):
        return said[0]
    if rule == "unanimous":
        return None
    if task == "regression":
        return statistics.median(said)
    if task == "multilabel":
        counts = Counter(name for names in said for name in names)
        if any(2 * count == len(said) for count in counts.values()):
            return None
        return sorted(name for name, count in counts.items() if 2 * count > len(said))
    (first, most), (_, second) = Counter(said).most_common(2)
    return first if most > second else None


def labels(db: sqlite3.Connection, task: LoopTask, rule: Rule, splits: Sequence[str]) -> Labels:
    """Return a label of each sample, missing where nobody has said or the rule does not decide."""
    names = db.cursor()
    names.row_factory = None
    ids = np.array(
        [name for (name,) in names.execute("SELECT id FROM samples ORDER BY key")], object
    )
    y = np.full(len(ids), np.nan) if task == "regression" else np.full(len(ids), None, object)
    for sample, said in votes(db, splits).items():
        value = decide(said.values(), rule, task)
        if value is not None:
            y[sample] = value
    for sample, value in adjudications(db, splits).items():
        y[sample] = value
    return Labels(ids, y)


def refuse_unnamed(db: sqlite3.Connection, classes: list[str]) -> None:
    """Refuse classes among which one is missing that an event has."""
    used: Counter[str] = Counter()
    for value, n in db.execute(
        "SELECT value, count(*) FROM events WHERE value IS NOT NULL GROUP BY value"
    ):
        label = json.loads(value)
        used.update(dict.fromkeys(label if isinstance(label, list) else [label], n))
    if missing := sorted({*used}.difference(classes)):
        said = ", ".join(f"{name!r} ({counted(used[name], 'label')})" for name in missing[:12])
        raise ValueError(
            f"classes leaves out what people have used: {said}; name it, too, for labels are never "
            "changed or deleted."
        )


def disagreements(db: sqlite3.Connection) -> list[tuple[str, dict[str, Any]]]:
    """Return the samples of which people say different things, and nobody has decided yet."""
    both = ("pool", "test")
    decided, odd = adjudications(db, both), {}
    for sample, said in votes(db, both).items():
        if len(said) > 1 and sample not in decided:
            one, *others = said.values()
            if any(value != one for value in others):
                odd[sample] = said
    found = []
    for sample in sorted(odd):
        (name,) = db.execute("SELECT id FROM samples WHERE key = ?", (sample,)).fetchone()
        found.append((name, odd[sample]))
    return found


def checked_values(
    db: sqlite3.Connection, ids: Sequence[str], values: Mapping[int, Any]
) -> tuple[list[int], dict[int, Any]]:
    """Return the row of each id, and values as they are written, by their places among the ids.

    All of them are refused for one that cannot be taken.
    """
    known = dict(db.execute("SELECT id, key FROM samples").fetchall())
    unknown = [name for name in ids if name not in known]
    if unknown:
        raise ValueError(
            f"{counted_of(len(unknown), len(ids), 'id')} not in the loop: {some(unknown)}; it has "
            f"ids like {some(list(known)[:3])}. Nothing was written."
        )
    checked, odd, why, check = {}, [], "", value_checker(db)
    for at, value in values.items():
        try:
            checked[at] = check(value)
        except (TypeError, ValueError) as error:
            odd.append(ids[at])
            why = why or str(error)
    if odd:
        raise ValueError(
            f"{len(odd):,} of {counted(len(ids), 'label')} cannot be taken, the first of "
            f"{odd[0]!r}: {why} Nothing was written."
        )
    return [known[name] for name in ids], checked


def bring_in(
    db: sqlite3.Connection, ids: list[str], values: list[Any], annotator: str, source: str
) -> int:
    """Write labels from elsewhere, all of them or none; return how many are new."""
    given = {at: value for at, value in enumerate(values) if not is_missing(value)}
    keys, checked = checked_values(db, ids, given)
    mine = (
        "SELECT sample, value FROM {} WHERE annotator = ? AND action IN ('label', 'import')",
        "AND source = ? AND action = 'import' ORDER BY number",
    )
    stands = dict(db.execute(mine[0].format("standing"), (annotator,)).fetchall())
    brought = dict(
        db.execute(f"{mine[0].format('events')} {mine[1]}", (annotator, source)).fetchall()
    )
    twice = [name for name, count in Counter(ids).items() if count > 1]
    if twice:
        raise ValueError(
            f"{counted(len(twice), 'id is', 'ids are')} there more than once: {some(twice)}; "
            "nothing was written."
        )
    # What has not changed since it was brought in last must not undo what the person said later.
    new = [
        (key, value)
        for key, value in ((keys[at], value) for at, value in checked.items())
        if all(key not in old or json.loads(old[key]) != value for old in (stands, brought))
    ]
    for key, value in new:
        append(db, key, "import", value, annotator=annotator, source=source)
    return len(new)
