"""What labelling tools are told of a loop, and what they say: all of it is written, or nothing."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self

from labelnext.loop import _events, _schema
from labelnext.loop._check import name_of
from labelnext.pools.known import some
from labelnext.utils.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from labelnext.loop.loop import Loop


class Answer(NamedTuple):
    """
    What somebody has said of a sample in another tool.

    Parameters
    ----------
    sample : str
        The id of the sample.
    annotator : str
        Who.
    action : {"label", "cannot-tell", "skip"}
        What.
    value : str, list of str or float, default=None
        The label.
    client : str, default=None
        What names this answer, so that it is written once. Without, it is written if it is
        another than what the person is known to say.
    milliseconds : int, default=None
        How long the person took.

    Examples
    --------
    >>> from labelnext.loop.receive import Answer
    >>> Answer("img-1", "ann", "label", "cat").client is None
    True
    """

    sample: str
    annotator: str
    action: Literal["label", "cannot-tell", "skip"]
    value: Any = None
    client: str | None = None
    milliseconds: int | None = None


class Pulled(int):
    """
    How many answers of a tool were new; and what became of the others.

    Attributes
    ----------
    known : int
        How many the loop had already.
    left_out : mapping
        How many entries of the tool say nothing, by the reason.

    Examples
    --------
    >>> from labelnext.loop.receive import Pulled
    >>> found = Pulled(3, 1, {"without an answer": 2})
    >>> found, found.known
    (3, 1)
    >>> found.said()
    '3 new answers, 1 known already; left out: 2 without an answer'
    """

    known: int
    left_out: Mapping[str, int]

    def __new__(cls, new: int, known: int = 0, left_out: Mapping[str, int] | None = None) -> Self:
        """Count."""
        found = super().__new__(cls, new)
        found.known, found.left_out = known, {why: n for why, n in (left_out or {}).items() if n}
        return found

    def said(self) -> str:
        """Return it in words."""
        known = f", {self.known:,} known already" if self.known else ""
        out = ", ".join(f"{n:,} {why}" for why, n in self.left_out.items())
        return f"{counted(self, 'new answer')}{known}" + (f"; left out: {out}" if out else "")


@dataclass
class Heard:
    """What a tool says: answers, how many labels it has from the loop, and what says nothing."""

    answers: list[Answer] = field(default_factory=list)
    known: int = 0
    unanswered: int = 0
    of_others: int = 0

    def __bool__(self) -> bool:
        """Tell whether anything of it is of the loop."""
        return bool(self.answers or self.known or self.unanswered)


class Asked(NamedTuple):
    """A sample that a tool is to ask people for: `key` names loop, round and sample."""

    key: str
    id: str
    kind: str
    content: str
    extra: dict[str, Any]
    round: int
    rank: int
    guess: Any
    order: float


def identity(loop: Loop) -> str:
    """Return what tells a loop from all others, and stays when its folder is moved or copied."""
    with loop._database.reading() as db:
        created = db.execute("SELECT value FROM about WHERE name = 'created'").fetchone()
        first = db.execute("SELECT id FROM samples WHERE key = 0").fetchone()
    return hashlib.sha256(f"{created[0]} {first[0]}".encode()).hexdigest()[:12]


def sample_of(key: object, identity: str) -> str | None:
    """Return the id of the sample that a key names; None if it is of no or another loop."""
    parts = str(key).split("/", 2)
    return parts[2] if len(parts) == 3 and parts[0] == identity else None


def asked(loop: Loop, round: int | None = None) -> list[Asked]:  # noqa: A002
    """Return what people are to be asked for: the picks that lack answers, in their order.

    Of a round, or of every one that is not closed.
    """
    rounds = {each["number"]: each["closed_at"] is not None for each in loop.rounds()}
    if round is not None and round not in rounds:
        raise ValueError(f"round must be one of {some(list(rounds))}, got {round!r}.")
    wanted = [number for number in rounds if not rounds[number]] if round is None else [round]
    name, found = identity(loop), []
    for number in wanted:
        picks = loop.picks(number)
        for pick in picks:
            if not pick["need"]:
                continue
            sample = loop.sample(pick["id"])
            found.append(
                Asked(
                    key=f"{name}/{number}/{pick['id']}",
                    **{field: sample[field] for field in ("id", "kind", "content", "extra")},
                    round=number,
                    rank=pick["rank"],
                    guess=pick["pseudo_label"],
                    # Below 1, and in the order of rounds and ranks.
                    order=1 - 1 / (1 + number + pick["rank"] / (len(picks) + 1)),
                )
            )
    if not found:
        which = "No round is open" if round is None else f"Round {round} lacks no answers"
        raise ValueError(f"{which}: there is nothing to ask for. Choose a round with loop.next().")
    return found


def opened(loop: Loop, rounds: Iterable[int]) -> None:
    """Note that people are asked for the picks of rounds."""
    with loop._database.writing() as db:
        db.executemany(
            "UPDATE rounds SET state = 'open', opened_at = ? "
            "WHERE number = ? AND state = 'selected'",
            [(_schema.now(), number) for number in set(rounds)],
        )


def receive(loop: Loop, heard: Heard, source: str) -> Pulled:
    """Write answers of a tool, all of them or none; what was written before is left out.

    Of each person the earlier come before the later.
    """
    answers, written = heard.answers, 0
    for answer in answers:
        name_of("annotator", answer.annotator)
    with loop._database.writing() as db:
        given = {at: each.value for at, each in enumerate(answers) if each.action == "label"}
        keys, values = _events.checked_values(db, [each.sample for each in answers], given)
        standing = {
            (sample, annotator): ("label" if action == "import" else action, value)
            for sample, annotator, action, value in db.execute(
                "SELECT sample, annotator, action, value FROM standing"
            )
        }
        for at, (key, answer) in enumerate(zip(keys, answers, strict=True)):
            client, value = answer.client, values.get(at)
            if client and db.execute("SELECT 1 FROM events WHERE client = ?", (client,)).fetchone():
                continue
            text = None if value is None else json.dumps(value, ensure_ascii=False)
            now = (answer.action, text)
            if standing.get((key, answer.annotator)) == now:
                continue
            standing[key, answer.annotator] = now
            _events.append(
                db,
                key,
                "import" if answer.action == "label" else answer.action,
                value,
                annotator=answer.annotator,
                source=source,
                client=client,
                milliseconds=answer.milliseconds,
            )
            written += 1
    out = {"without an answer": heard.unanswered, "not of this loop": heard.of_others}
    return Pulled(written, heard.known + len(answers) - written, out)
