"""CVAT and Argilla by files: what each imports, and what of its exports counts as an answer."""

from __future__ import annotations

import io
import json
import re
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from labelnext.loop.receive import Answer, Heard
from labelnext.pools.known import some
from labelnext.tools.entries import listed, number_of
from labelnext.tools.studio_json import content_of, unreadable

if TYPE_CHECKING:
    from labelnext.loop.loop import Loop
    from labelnext.loop.receive import Asked
    from labelnext.tools.entries import Entries

# How a picture is called in CVAT: loop, round and rank, in the order of which it shows pictures.
NAME = re.compile(r"([0-9a-f]{12})/(\d+)-(\d+)\.\w+$")
READABLE = 1_000_000_000  # bytes of an XML file
# Whose tags nobody has given in CVAT: a model's, and what came in by a file, maybe a model's, too.
NOBODYS = ("auto", "file")


def cvat_archive(loop: Loop, tasks: list[Asked], identity: str) -> bytes:
    """Return a .zip of pictures, from which CVAT makes a task, with its labels beside them."""
    if loop.kind != "image" or loop.task == "regression":
        raise ValueError(
            f"CVAT has classes for pictures, and this loop has {loop.task} for the kind "
            f"{loop.kind!r}; take another tool."
        )
    labels = [{"name": name, "type": "tag", "attributes": []} for name in loop.classes or ()]
    root, content = loop.root, io.BytesIO()
    # Pictures are compressed already; some archives make all files of 1970, which .zip lacks.
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED, strict_timestamps=False) as archive:
        archive.writestr("labels.json", json.dumps(labels, ensure_ascii=False, indent=1))
        for task in tasks:
            path = (root or Path()) / task.content
            name = f"{identity}/{task.round:04}-{task.rank:06}{PurePosixPath(task.content).suffix}"
            try:
                archive.write(path, name)
            except OSError as error:
                raise unreadable(path, error) from None
    return content.getvalue()


def cvat_answers(content: bytes, loop: Loop, identity: str) -> Heard:
    """Return the tags that people gave in an export "CVAT for images 1.1".

    What a model or a file has put there is no answer, nor is a picture without a tag: whether
    anybody has looked at it is not said. They are those of the person whose job was exported, if
    it says so.
    """
    if zipfile.is_zipfile(io.BytesIO(content)):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = [name for name in archive.namelist() if name.endswith("annotations.xml")]
            if len(names) != 1 or archive.getinfo(names[0]).file_size > READABLE:
                raise ValueError(
                    "expected one annotations.xml, of an export 'CVAT for images 1.1', in it"
                )
            try:
                content = archive.read(names[0])
            except (zipfile.BadZipFile, zlib.error, RuntimeError, EOFError):
                raise ValueError("the .zip is damaged, or locked with a password") from None
    try:
        root = ElementTree.fromstring(content)
    except ElementTree.ParseError as error:
        raise ValueError(f"expected an export 'CVAT for images 1.1', {error}") from None
    if root.tag != "annotations":
        raise ValueError(f"expected an export 'CVAT for images 1.1', got <{root.tag}>")
    who = root.findtext("meta/job/assignee/username") or ""
    picks: dict[int, dict[int, str]] = {}
    rounds = {each["number"] for each in loop.rounds()}
    heard = Heard()
    for image in root.iter("image"):
        found = NAME.search(image.get("name", ""))
        if found is None or found[1] != identity or int(found[2]) not in rounds:
            heard.of_others += 1
            continue
        number, rank = int(found[2]), int(found[3])
        if number not in picks:
            picks[number] = {pick["rank"]: pick["id"] for pick in loop.picks(number)}
        sample = picks[number].get(rank)
        if sample is None:
            heard.of_others += 1
            continue
        tags = [tag for tag in image.iter("tag") if tag.get("source") not in NOBODYS]
        names = list(dict.fromkeys(tag.get("label", "") for tag in tags))
        heard.unanswered += not names
        if names:
            heard.answers.append(Answer(sample, who, "label", _one(names, sample, loop.task)))
    return heard


def argilla_lines(tasks: list[Asked], root: Path | None, media: str | None, guess: bool) -> bytes:
    """Return records as `dataset.records.log` takes them, one on a line."""
    lines = []
    for task in tasks:
        if task.kind == "audio":
            raise ValueError("Argilla plays no sounds; take another tool.")
        record = {"id": task.key, task.kind: content_of(task, root, media)}
        record |= {"round": task.round, "rank": task.rank, **task.extra}
        if guess and task.guess is not None:
            record["label"] = task.guess
        lines.append(json.dumps(record, ensure_ascii=False) + "\n")
    return "".join(lines).encode()


def argilla_answers(records: list[dict[str, Any]], known: Entries, task: str) -> Heard:
    """Return what people have submitted; drafts and suggestions are no answers."""
    heard = Heard()
    for number, record in enumerate(records, 1):
        said_as = {"labelnext": record.get("id"), known.kind: record.get(known.kind)}
        sample = known.sample_of(said_as, f"record {number}")
        if sample is None:
            heard.of_others += 1
            continue
        if record.get("responses"):
            raise ValueError(
                "the status of responses is missing; export with to_list(flatten=True)"
            )
        values, users, states = (
            listed(record.get(name), f"record {number}: {name}")
            for name in ("label.responses", "label.responses.users", "label.responses.status")
        )
        if not len(values) == len(users) == len(states):
            raise ValueError(
                f"record {number} has {len(values)} responses of {len(users)} people and "
                f"{len(states)} states; expected as many of each"
            )
        heard.unanswered += not ("submitted" in states or "discarded" in states)
        for value, user, state in zip(values, users, states, strict=True):
            if state == "discarded":
                heard.answers.append(Answer(sample, str(user), "skip"))
            elif state == "submitted":
                names = value if isinstance(value, list) else [value]
                said = number_of(value) if task == "regression" else _one(names, sample, task)
                heard.answers.append(Answer(sample, str(user), "label", said))
    return heard


def _one(names: list[str], sample: str, task: str) -> Any:
    """Return names as the label of a task: all of them, or the one there may be."""
    if task == "multilabel":
        return names
    if len(names) != 1:
        raise ValueError(f"{sample!r} has {some(names)}, and a label is one")
    return names[0]
