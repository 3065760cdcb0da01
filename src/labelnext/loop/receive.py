"""What labelling tools are told of a loop, and what they say: all of it is written, or nothing."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self

from labelnext.loop import _events, _schema
from labelnext.loop._check import name_of, round_of
from labelnext.pools.known import some
from labelnext.utils.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from labelnext.loop.loop import Loop


# What is said of a sample in what is pushed, by these names.
RESERVED = (
    "id",
    "round",
    "rank",
    "label",
    "annotator",
    "predicted",
    "labelnext",
    "options",
    "meta",
)


class Answer(NamedTuple):
    """
    What somebody has said of a sample in another tool.

    Parameters
    ----------
    sample : str
        The id of the sample.
    annotator : str
        Who; empty where nobody is named.
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
    unnamed : int
        How many answers name nobody.
    whose : str
        In words, what became of these.

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
    unnamed: int = 0
    whose: str = ""

    def __new__(cls, new: int, known: int = 0, left_out: Mapping[str, int] | None = None) -> Self:
        """Count."""
        found = super().__new__(cls, new)
        found.known, found.left_out = known, {why: n for why, n in (left_out or {}).items() if n}
        return found

    def said(self) -> str:
        """Return it in words."""
        known = f", {self.known:,} known already" if self.known else ""
        out = ", ".join(f"{n:,} {why}" for why, n in self.left_out.items())
        more = f"; left out: {out}" if out else ""
        more += f"; {self.unnamed:,} that name nobody are {self.whose}" if self.unnamed else ""
        return f"{counted(self, 'new answer')}{known}{more}"


class Pushed(int):
    """
    How many samples were sent; and which were left out, as their files cannot be read.

    Attributes
    ----------
    left_out : mapping
        Why, by the samples' ids. They stay in the loop, and the next push sends them if it can.

    Examples
    --------
    >>> from labelnext.loop.receive import Pushed
    >>> sent = Pushed(3, {"img-1": "img-1.png: No such file or directory"})
    >>> sent, list(sent.left_out)
    (3, ['img-1'])
    """

    left_out: Mapping[str, str]

    def __new__(cls, n: int, left_out: Mapping[str, str]) -> Self:
        """Count."""
        sent = super().__new__(cls, n)
        sent.left_out = left_out
        return sent


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


def asked(
    loop: Loop,
    round: int | None = None,  # noqa: A002
    columns: Sequence[str] = (),
) -> list[Asked]:
    """Return what people are to be asked for: the picks that lack answers, in their order.

    Of a round, or of every one that is not closed. Of the table that samples are from they see
    these columns beside what is shown: others may hold what is asked for.
    """
    _check_columns(loop, columns)
    if round is None:
        wanted = [each["number"] for each in loop.rounds() if each["closed_at"] is None]
    else:
        with loop._database.reading() as db:
            wanted = [round_of(db, round)]
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
                    **{field: sample[field] for field in ("id", "kind", "content")},
                    extra={name: sample["extra"].get(name) for name in columns},
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


def _check_columns(loop: Loop, columns: Sequence[str]) -> None:
    """Refuse columns that there are not, and names that say something else in what is pushed."""
    if isinstance(columns, str):
        raise TypeError(f"columns must be a list of names, got {columns!r}.")
    if not columns:
        return
    table = loop.samples().table
    known = [] if table is None else table.column_names
    for name in columns:
        if name not in known:
            raise ValueError(
                f"columns {name!r} is not in the table of the samples; beside what is shown it has "
                f"{some(known, 12) or 'nothing'}."
            )
        if name in (*RESERVED, loop.kind):
            raise ValueError(f"columns {name!r} is a name that a push needs itself; leave it out.")


def opened(loop: Loop, rounds: Iterable[int]) -> None:
    """Note that people are asked for the picks of rounds."""
    with loop._database.writing() as db:
        db.executemany(
            "UPDATE rounds SET state = 'open', opened_at = ? "
            "WHERE number = ? AND state = 'selected'",
            [(_schema.now(), number) for number in set(rounds)],
        )


def _of(who: str, answer: Answer) -> Answer:
    """Return an answer that names nobody as somebody's."""
    return answer._replace(annotator=who, client=answer.client and f"{answer.client} {who}")


def receive(
    loop: Loop, heard: Heard, source: str, *, annotator: str | None = None, file: str = ""
) -> Pulled:
    """Write answers of a tool, all of them or none; what was written before is left out.

    Of each person the earlier come before the later. Answers that name nobody are the annotator's,
    who takes over what the same file has brought before without a name. Without an annotator they
    are the file's, but if somebody else says just the same: no person is made of a copy.
    """
    who = file if annotator is None else annotator
    answers = [each if each.annotator else _of(who, each) for each in heard.answers]
    unnamed = {at for at, each in enumerate(heard.answers) if not each.annotator}
    for answer in answers:
        name_of("annotator", answer.annotator)
    written = taken_over = 0
    with loop._database.writing() as db:
        given = {at: each.value for at, each in enumerate(answers) if each.action == "label"}
        keys, values = _events.checked_values(db, [each.sample for each in answers], given)
        texts = {at: json.dumps(value, ensure_ascii=False) for at, value in values.items()}
        said = [(each.action, texts.get(at)) for at, each in enumerate(answers)]
        standing: dict[int, dict[str, tuple[tuple[str, str | None], int]]] = defaultdict(dict)
        for number, sample, person, action, text in db.execute(
            "SELECT number, sample, annotator, action, value FROM standing"
        ):
            action = "label" if action == "import" else action  # noqa: PLW2901
            standing[sample][person] = (action, text), number
        same = Counter(
            person
            for at in unnamed
            for person, (now, _) in standing[keys[at]].items()
            if now == said[at] and person not in (who, file)
        )
        twin = next((person for person, n in same.items() if n == len(unnamed)), None)
        is_copy = twin and annotator is None and not any(file in each for each in standing.values())
        for at, (key, answer) in enumerate(zip(keys, answers, strict=True)):
            if is_copy and at in unnamed:
                continue
            now, number = standing[key].get(file, (None, 0))
            if at in unnamed and who != file and now == said[at]:
                _events.append(db, key, "undo", annotator=file, source=source, supersedes=number)
                taken_over += 1
            client = answer.client
            if client and db.execute("SELECT 1 FROM events WHERE client = ?", (client,)).fetchone():
                continue
            if standing[key].get(answer.annotator, (None, 0))[0] == said[at]:
                continue
            number = _events.append(
                db,
                key,
                "import" if answer.action == "label" else answer.action,
                values.get(at),
                annotator=answer.annotator,
                source=source,
                client=client,
                milliseconds=answer.milliseconds,
            )
            standing[key][answer.annotator] = said[at], number
            written += 1
    out = {"without an answer": heard.unanswered, "not of this loop": heard.of_others}
    found = Pulled(written, heard.known + len(answers) - written, out)
    found.unnamed = len(unnamed)
    if unnamed and is_copy:
        found.whose = f"what {twin!r} says, and count as theirs"
    elif unnamed:
        found.whose = f"of {who!r}"
        found.whose += f", and no longer of {file!r}" if taken_over else ""
        found.whose += f"; {twin!r} says just the same" if twin else ""
    return found
