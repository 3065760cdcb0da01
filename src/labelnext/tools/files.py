"""Tools by their files: tables, and what Label Studio, Prodigy, CVAT and Argilla read and write."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labelnext.loop.receive import (
    RESERVED,
    Answer,
    Heard,
    Pushed,
    asked,
    identity,
    opened,
    receive,
)
from labelnext.pools.disk import check_place, write_whole, writing
from labelnext.pools.known import some
from labelnext.pools.table import records_in
from labelnext.tools import exchange, studio_json
from labelnext.tools.entries import Entries, listed, number_of
from labelnext.tools.export import as_it_was, safe
from labelnext.utils.text import as_csv

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from labelnext.loop.loop import Loop
    from labelnext.loop.receive import Asked, Pulled

FORMATS = {
    "csv": "a table; people fill in the column label, and annotator",
    "jsonl": "a JSON object on each line; fill in label, and annotator",
    "label-studio": "what Label Studio imports, and what it exports as JSON",
    "prodigy": "JSON Lines for Prodigy's choice interface, and what its db-out writes",
    "cvat": "a .zip of pictures for a task of CVAT, and its export CVAT for images 1.1",
    "argilla": "JSON Lines for Argilla's records, and its records as JSON",
}
# The columns that are read of a table that people have filled in.
READ = ("id", "label", "annotator", "labelnext")
ENDINGS = {".csv": "csv", ".jsonl": "jsonl", ".json": "label-studio"}


class File:
    """
    A labelling tool that is reached by files.

    Parameters
    ----------
    path : str or path-like
        The file: `push` writes it, `pull` reads it.
    format : {"csv", "jsonl", "label-studio", "prodigy", "cvat", "argilla"}, default=None
        What it is; None is by the ending, ``.csv``, ``.jsonl`` or ``.json`` (Label Studio).
    media : str, default=None
        What comes before the path of a picture or sound to make an address of it. None puts the
        files themselves there, and into tables the paths. CVAT always gets the files.
    guesses : bool, default=False
        Whether people see what the model takes a sample for, which biases what they say.
    annotator : str, default=None
        Whose labels they are where the file does not say so. None is the name of the file; whoever
        is named later, when the same file is pulled again, takes these over.
    label : str, default=None
        With Label Studio the name of the control that holds the label, where there are several.
    columns : sequence of str, default=()
        Columns of the table that samples are from, which people see, too. No others are sent, as
        they may hold what is asked for.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from labelnext.loop import Loop
    >>> from labelnext.tools import File
    >>> folder = Path(tempfile.mkdtemp())
    >>> loop = Loop.create(folder / "loop", ["Fine", "Broke"], classes=["good", "bad"], test=1)
    >>> file = File(folder / "batch.csv")
    >>> file.push(loop)
    1
    >>> text = file.path.read_text()
    >>> _ = file.path.write_text(text.replace(",,\\n", ",good,ann\\n"))
    >>> file.pull(loop), file.pull(loop)
    (1, 0)
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        format: str | None = None,  # noqa: A002
        *,
        media: str | None = None,
        guesses: bool = False,
        annotator: str | None = None,
        label: str | None = None,
        columns: Sequence[str] = (),
    ) -> None:
        self.path = Path(path)
        self.format = format or ENDINGS.get(self.path.suffix.lower(), "")
        if self.format not in FORMATS:
            raise ValueError(
                f"format must be one of {', '.join(FORMATS)}, or the file must end in "
                f"{', '.join(ENDINGS)}; got {format or str(path)!r}."
            )
        self.media, self.guesses, self.label = media, guesses, label
        self.annotator, self.columns = annotator, columns

    def push(self, loop: Loop, round: int | None = None, *, overwrite: bool = False) -> Pushed:  # noqa: A002
        """
        Write what people are to be asked for.

        Parameters
        ----------
        loop : Loop
            The loop.
        round : int, default=None
            Of which round; None is every round that is not closed.
        overwrite : bool, default=False
            Whether to replace a file that exists.

        Returns
        -------
        int
            How many samples; it also says which were `left_out`, as their files cannot be read.
        """
        tasks = asked(loop, round, self.columns)
        left_out: dict[str, str] = {}
        if self.format not in ("csv", "jsonl") and self.media is None:
            tasks, left_out = studio_json.readable(tasks, loop.root)
        content = self._written(loop, tasks)
        try:
            with writing(str(self.path), "make room, or choose another place."):
                check_place(self.path)
                write_whole(self.path, content, overwrite=overwrite)
        except FileExistsError:
            raise FileExistsError(
                f"{self.path} exists already, and may hold labels; pull it, then replace it with "
                "overwrite=True, or name another file."
            ) from None
        opened(loop, (task.round for task in tasks))
        return Pushed(len(tasks), left_out)

    def pull(self, loop: Loop) -> Pulled:
        """
        Write the labels of the file to a loop, all that are new or, if one is wrong, none.

        A table or JSON Lines that `push` has not written is read by its columns ``id`` and
        ``label``: so labels that are there already come in. Of what `export` has written, only
        labels that are others than the loop's do.

        Parameters
        ----------
        loop : Loop
            The loop.

        Returns
        -------
        int
            How many were new; it also says how many were `known`, and what was `left_out` and why.
        """
        try:
            content = self.path.read_bytes()
        except OSError as error:
            raise OSError(f"{self.path} cannot be read: {error.strerror}.") from None
        known = Entries(loop)
        name = known.identity
        try:
            if self.format in ("csv", "jsonl"):
                is_csv = self.format == "csv"
                records = records_in(content, str(self.path)) if is_csv else _lines_of(content)
                heard = self._filled(records, known, loop)
            elif self.format == "prodigy":
                heard = self._of_prodigy(_lines_of(content), known, loop.task)
            elif self.format == "cvat":
                heard = exchange.cvat_answers(content, loop, name)
            elif self.format == "argilla":
                records = _listed_or_lines(content)
                heard = exchange.argilla_answers(records, known, loop.task)
            else:
                tasks = json.loads(content)
                if not isinstance(tasks, list):
                    raise ValueError("expected a list of tasks, as Label Studio exports as JSON")
                heard = studio_json.answers_of(tasks, known, loop.task, label=self.label, users={})
        except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
            raise ValueError(
                f"{self.path} cannot be read as {self.format}: {_why(error, self.path)}. Nothing "
                "was written."
            ) from None
        if not (heard or heard.of_others):
            raise ValueError(f"{self.path} has no row, task or record in it; nothing was written.")
        if not heard:
            raise ValueError(
                f"{self.path} has nothing of this loop: nothing in it is named {name}/..., as "
                "`push` names tasks, and it is no table of id and label. Was it pushed from "
                "another loop, or were columns left out?"
            )
        return receive(loop, heard, self.format, annotator=self.annotator, file=self.path.name)

    def _written(self, loop: Loop, tasks: list[Asked]) -> bytes:
        root = loop.root
        if self.format == "label-studio":
            guess = (
                {"from_name": studio_json.LABEL, "to_name": studio_json.SHOWN}
                if self.guesses
                else None
            )
            made = [
                studio_json.task_of(
                    task, studio_json.content_of(task, root, self.media), guess=guess
                )
                for task in tasks
            ]
            return (json.dumps(made, ensure_ascii=False, indent=1) + "\n").encode()
        if self.format == "cvat":
            if self.guesses or self.media is not None or self.columns:
                raise ValueError(
                    "CVAT is given pictures alone: leave media, guesses and columns out."
                )
            return exchange.cvat_archive(loop, tasks, identity(loop))
        if self.format == "argilla":
            return exchange.argilla_lines(tasks, root, self.media, self.guesses)
        if self.format == "prodigy":
            options = [{"id": name, "text": name} for name in loop.classes or ()]
            records = [self._for_prodigy(task, root, options) for task in tasks]
        else:
            records = [self._record(task, root) for task in tasks]
        if self.format == "csv":
            names = list(dict.fromkeys(name for record in records for name in record))
            last = ("labelnext", "label", "annotator")
            names = [*(name for name in names if name not in last), *last]
            columns = {
                name: [_cell(name, record.get(name)) for record in records] for name in names
            }
            return as_csv(columns)
        return "".join(
            json.dumps(record, ensure_ascii=False, default=str) + "\n" for record in records
        ).encode()

    def _record(self, task: Asked, root: Path | None) -> dict[str, Any]:
        content = task.content
        if task.kind in ("image", "audio"):
            content = (
                str((root or Path()) / content)
                if self.media is None
                else studio_json.content_of(task, root, self.media)
            )
        guess = {"predicted": task.guess} if self.guesses else {}
        row = json.loads(content) if task.kind == "row" else {}
        return {
            "round": task.round,
            "rank": task.rank,
            "id": task.id,
            task.kind: content,
            **{name: value for name, value in row.items() if name not in RESERVED},
            **task.extra,
            **guess,
            "labelnext": task.key,
            "label": None,
            "annotator": None,
        }

    def _for_prodigy(
        self, task: Asked, root: Path | None, options: list[dict[str, str]]
    ) -> dict[str, Any]:
        meta: dict[str, Any] = {"rank": task.rank, "round": task.round, **task.extra}
        if self.guesses and task.guess is not None:
            meta["predicted"] = task.guess
        kind = "html" if task.kind == "row" else task.kind
        content = studio_json.content_of(task, root, self.media)
        if task.kind == "row":
            from html import escape

            rows = json.loads(content).items()
            content = "".join(f"<p>{escape(str(k))}: {escape(str(v))}</p>" for k, v in rows)
        return {kind: content, "options": options, "meta": meta, "labelnext": task.key}

    def _filled(self, records: list[dict[str, Any]], entries: Entries, loop: Loop) -> Heard:
        """Read records whose label and annotator people have filled in."""
        heard = Heard()
        if records:
            _check_names(list(records[0]), table=self.format == "csv")
        # What a loop has exported, nobody has said anew: only what was changed in it is an answer.
        exported = bool(records) and {"annotators", "votes"} <= records[0].keys()
        known = dict(zip(*loop.labels(split="all"), strict=True))
        # Labels that one has from elsewhere name their samples by id alone.
        pushed = any("labelnext" in record for record in records)
        classes = loop.classes or ()
        said: dict[tuple[str, str], Any] = {}
        for number, record in enumerate(records):
            own, label = record.get("id"), record.get("label")
            where = f"entry {number + 1}"
            if self.format == "csv":
                where = f"row {number + 2}, counted with the names,"
            if pushed:
                sample = entries.sample_of(record, where)
            else:
                sample = None if own is None else as_it_was(str(own), known)
                entries.check_content(sample or "", record, where, "id")
            if sample is None:
                heard.of_others += 1
                continue
            if label in (None, "") or label != label:  # noqa: PLR0124 — NaN
                heard.unanswered += 1
                continue
            if isinstance(label, str):
                label = _label(as_it_was(label.strip(), classes), loop.task)
            if exported and label == known.get(sample):
                heard.known += 1
                continue
            who = str(record.get("annotator") or "")
            if said.setdefault((sample, who), label) != label:
                raise ValueError(
                    f"{sample!r} has two labels of {who or self.annotator or self.path.name!r}, "
                    f"{some([said[sample, who], label])}; "
                    "leave one of them"
                )
            heard.answers.append(Answer(sample, who, "label", label))
        return heard

    def _of_prodigy(self, records: list[dict[str, Any]], entries: Entries, task: str) -> Heard:
        """Read what Prodigy has saved: accepted options are labels, nothing else is."""
        heard = Heard()
        for number, record in enumerate(records, 1):
            sample = entries.sample_of({**record, "id": None}, f"entry {number}")
            said = record.get("answer")
            if sample is None:
                heard.of_others += 1
                continue
            if said is None:
                heard.unanswered += 1
                continue
            who = str(record.get("_annotator_id") or "")
            when = record.get("_timestamp")
            client = None if when is None else f"prodigy:{record['labelnext']}:{who}:{when}"
            chosen = listed(record.get("accept"), f"entry {number}: accept")
            if said == "accept" and (chosen or task == "multilabel"):
                if task != "multilabel" and len(chosen) > 1:
                    raise ValueError(f"{sample!r} has {some(chosen)}, and a label is one")
                label = chosen if task == "multilabel" else chosen[0]
                heard.answers.append(Answer(sample, who, "label", label, client))
            else:
                action: Any = "skip" if said == "ignore" else "cannot-tell"
                heard.answers.append(Answer(sample, who, action, None, client))
        return heard


def _why(error: Exception, path: Path) -> str:
    """Say what is wrong with a file."""
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if not isinstance(error, ValueError):
        return "an entry in it has another form than the tool writes"
    what = f"{error}".split("\n")[0].removesuffix(".")
    return what.removeprefix("Cannot read ").removeprefix(f"{path}: ")


def _cell(name: str, value: Any) -> Any:
    """Return a cell that a spreadsheet takes for no formula; nothing of it is read back."""
    if isinstance(value, list | dict):
        value = json.dumps(value, ensure_ascii=False, default=str)
    return value if name == "labelnext" else safe(value)


def _label(text: str, task: str) -> Any:
    if task == "regression":
        return number_of(text)
    if task == "multilabel":
        if text.startswith("["):
            try:
                return json.loads(text)
            except ValueError:
                raise ValueError(
                    f"a label must be names, or a list in JSON, not {text!r}"
                ) from None
        return [name.strip() for name in text.split(";") if name.strip()]
    return text


def _check_names(names: list[str], *, table: bool) -> None:
    """Refuse names of columns that would not be read."""
    for name in names:
        meant = name.strip().lower()
        if meant in READ and meant not in names:
            raise ValueError(f"the column {name!r} is read as {meant!r} alone; name it so")
    if table and "label" not in names:
        raise ValueError(f"there is no column label, only {some(names)}")


def _listed_or_lines(content: bytes) -> list[dict[str, Any]]:
    """Read a list of records, or one on each line."""
    if not content.lstrip().startswith(b"["):
        return _lines_of(content)
    records = json.loads(content)
    if not all(isinstance(record, dict) for record in records):
        raise ValueError("expected a list of records")
    return list(records)


def _lines_of(content: bytes) -> list[dict[str, Any]]:
    records = []
    for number, line in enumerate(content.decode("utf-8-sig").split("\n"), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from None
        if not isinstance(record, dict):
            raise ValueError(f"line {number} is no object")
        records.append(record)
    return records
