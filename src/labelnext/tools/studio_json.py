"""Label Studio's JSON: its labelling interface, its tasks, and what its annotations say."""

from __future__ import annotations

import base64
import json
import mimetypes
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

from labelnext.loop.receive import Answer, Heard
from labelnext.pools.known import some
from labelnext.tools.entries import IN_FILES, objects

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from labelnext.loop.loop import Loop
    from labelnext.loop.receive import Asked
    from labelnext.tools.entries import Entries

# The tag that shows each kind of sample; its name is that of the data, too.
TAGS = {"text": "Text", "image": "Image", "audio": "Audio", "html": "HyperText", "row": "Table"}
# The names of what is shown and of the label, in an interface that is ours.
SHOWN, LABEL = "sample", "label"
# A file that is put into the task has at most so many bytes.
LARGEST = 10_000_000


def interface(loop: Loop) -> str:
    """Return the labelling interface of a loop: the sample, and its classes or a number."""
    sample = f'<{TAGS[loop.kind]} name="{SHOWN}" value="${loop.kind}"/>'
    names = f'name="{LABEL}" toName="{SHOWN}"'
    if loop.task == "regression":
        return f"<View>{sample}<Number {names}/></View>"
    choices = "".join(f"<Choice value={quoteattr(name)}/>" for name in loop.classes or ())
    several = "multiple" if loop.task == "multilabel" else "single"
    names += f' choice="{several}" showInline="true"'
    return f"<View>{sample}<Choices {names}>{choices}</Choices></View>"


def content_of(task: Asked, root: Path | None, media: str | None) -> Any:
    """Return what a tool is to show: a text, or where a file is found, or the file itself."""
    if task.kind not in IN_FILES:
        return task.content
    if media is not None:
        return media + quote(task.content.replace("\\", "/"))
    path = (root or Path()) / task.content
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    try:
        content = path.read_bytes()
    except OSError as error:
        raise unreadable(path, error) from None
    if len(content) > LARGEST:
        raise ValueError(
            f"{path} has {len(content):,} bytes, too many to put into a task; serve the files and "
            "say where: media='https://.../'."
        )
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def readable(tasks: list[Asked], root: Path | None) -> tuple[list[Asked], dict[str, str]]:
    """Return the tasks whose files can be sent, and why others cannot, by their ids."""
    found, left_out, first = [], {}, None
    for task in tasks:
        path = (root or Path()) / task.content
        try:
            if task.kind in IN_FILES:
                path.open("rb").close()
        except OSError as error:
            first = first or unreadable(path, error)
            left_out[task.id] = f"{path}: {error.strerror}"
        else:
            found.append(task)
    if first is not None and not found:
        raise first
    return found, left_out


def unreadable(path: Path, error: OSError) -> OSError:
    """Return what to say of a file that is to be sent and cannot be read."""
    return OSError(
        f"{path} cannot be read: {error.strerror}; nothing was sent. Put it back, say that you "
        "cannot tell on the page, or say where the files are now: loop.change(root=...)."
    )


def task_of(task: Asked, content: Any, *, guess: Mapping[str, str] | None) -> dict[str, Any]:
    """Return a task: its data, and a prediction whose score gives our order, lowest first.

    With `guess`, the names of the control and of what it labels, the prediction holds the
    predicted class; without, people see no guess.
    """
    if task.kind == "row":
        content = json.loads(content)
    data = {task.kind: content, "id": task.id, "round": task.round, "rank": task.rank}
    data |= task.extra
    result = []
    if guess and task.guess is not None:
        if isinstance(task.guess, int | float):
            said: dict[str, Any] = {"type": "number", "value": {"number": task.guess}}
        else:
            names = [task.guess] if isinstance(task.guess, str) else list(task.guess)
            said = {"type": "choices", "value": {"choices": names}}
        result = [{**guess, **said}]
    prediction = {"model_version": "labelnext", "score": round(task.order, 6), "result": result}
    return {"data": {**data, "labelnext": task.key}, "predictions": [prediction]}


def answers_of(
    tasks: Iterable[Any],
    known: Entries,
    task: str,
    *,
    label: str | None,
    users: Mapping[int, str],
) -> Heard:
    """Return what people have submitted, the earlier first.

    Predictions and drafts are no answers; what was skipped is a skip; an empty annotation says
    "cannot tell", or of several classes none.
    """
    heard, found = Heard(), []
    for number, each in enumerate(tasks, 1):
        if not isinstance(each, dict) or not isinstance(each.get("data"), dict):
            raise ValueError(f"task {number} is no task of Label Studio: it has no data")
        sample = known.sample_of(each["data"], f"task {number}")
        if sample is None:
            heard.of_others += 1
            continue
        given = objects(each.get("annotations"), f"task {number}: annotations")
        heard.unanswered += not given
        for annotation in given:
            when = str(annotation.get("updated_at") or annotation.get("created_at") or "")
            own = annotation.get("id")
            if isinstance(own, bool) or not isinstance(own, int | str):
                raise ValueError(f"task {number}: an annotation must have an id")
            action, value = _said(annotation, sample, task, label)
            answer = Answer(
                sample,
                _who(annotation.get("completed_by"), users),
                action,
                value,
                f"label-studio:{each.get('project')}.{own}:{when}",
                _milliseconds(annotation.get("lead_time")),
            )
            found.append(((when, isinstance(own, str), own), answer))
    heard.answers += [answer for _, answer in sorted(found, key=lambda each: each[0])]
    return heard


def _milliseconds(seconds: Any) -> int | None:
    """Return how long somebody took, where that can be."""
    known = isinstance(seconds, int | float) and 0 <= seconds < 1e9
    return round(1000 * seconds) if known else None


def _said(annotation: Any, sample: str, task: str, label: str | None) -> tuple[Any, Any]:
    if annotation.get("was_cancelled"):
        return "skip", None
    kind = "number" if task == "regression" else "choices"
    what = f"the annotation of {sample!r}: result"
    results = [each for each in objects(annotation.get("result"), what) if each.get("type") == kind]
    names = {each.get("from_name") for each in results}
    label = label or (LABEL if LABEL in names else None)
    if label is not None:
        results = [each for each in results if each.get("from_name") == label]
    elif len(names) > 1:
        raise ValueError(
            f"The annotation of {sample!r} has {some(sorted(map(str, names)))}; give label=... "
            "to say which holds the label."
        )
    values: list[Any] = []
    for each in results:
        said = each.get("value")
        if not isinstance(said, dict) or kind not in said:
            raise ValueError(f"{what} must have a value with {kind}")
        values += said[kind] if isinstance(said[kind], list) else [said[kind]]
    if task == "multilabel":
        return "label", values
    if not values:
        return "cannot-tell", None
    if len(values) > 1:
        raise ValueError(f"The annotation of {sample!r} has {some(values)}, and a label is one.")
    return "label", values[0]


def _who(user: Any, users: Mapping[int, str]) -> str:
    """Return who has annotated: an address where it is known."""
    if isinstance(user, dict):
        return str(user.get("email") or f"label-studio-{user.get('id')}")
    known = users.get(user) if isinstance(user, int) else None
    return known or f"label-studio-{user}"
