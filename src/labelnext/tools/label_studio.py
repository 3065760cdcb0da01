"""Label Studio over HTTP: batches there, submitted annotations back."""

from __future__ import annotations

import http.client
import json
import os
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from labelnext.loop.receive import Pushed, asked, identity, opened, receive, sample_of
from labelnext.pools.known import some
from labelnext.tools import studio_json
from labelnext.tools.entries import Entries

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from labelnext.loop.loop import Loop
    from labelnext.loop.receive import Pulled

# Tasks in one answer, and in one import.
PAGE, CHUNK = 200, 100


class ToolError(ConnectionError):
    """A labelling tool cannot be reached, refuses, or says what cannot be understood.

    Examples
    --------
    >>> from labelnext.tools import ToolError
    >>> issubclass(ToolError, OSError)
    True
    """


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follow nothing: the token would go along."""

    def redirect_request(self, *_: Any) -> None:
        return None


class LabelStudio:
    """
    A Label Studio server.

    Parameters
    ----------
    url : str
        Its address, such as ``http://localhost:8080``.
    project : int, default=None
        The number of the project; None is the one that an earlier `push` of the loop has made,
        else a new one.
    token : str, default=None
        A personal access token (it is refreshed as needed) or a legacy token; None is what the
        environment variable ``LABEL_STUDIO_API_KEY`` holds.
    media : str, default=None
        What comes before the path of a picture or sound to make an address of it. None puts the
        files into the tasks.
    guesses : bool, default=False
        Whether people see what the model takes a sample for, which biases what they say.
    label : str, default=None
        The name of the control that holds the label, where a project of yours has several.
    columns : sequence of str, default=()
        Columns of the table that samples are from, which go into the tasks' data. No others do, as
        they may hold what is asked for.
    timeout : float, default=60
        Seconds to wait for an answer.

    Notes
    -----
    Each task has the prediction of a model `labelnext` whose score puts tasks in the order of
    their ranks, the lowest first, which is what Label Studio's "Uncertainty sampling" asks for;
    tasks are imported in that order, too. Only submitted annotations are read: no prediction and
    no draft is ever a label. An annotation that was changed is written again and counts from then
    on; one that was deleted there stays in the loop.

    Examples
    --------
    >>> from labelnext.tools import LabelStudio
    >>> tool = LabelStudio("http://localhost:8080", project=3, token="secret")
    >>> tool
    LabelStudio('http://localhost:8080', project=3)
    """

    def __init__(
        self,
        url: str,
        project: int | None = None,
        *,
        token: str | None = None,
        media: str | None = None,
        guesses: bool = False,
        label: str | None = None,
        columns: Sequence[str] = (),
        timeout: float = 60.0,
    ) -> None:
        if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
            raise ValueError(f"url must be like http://localhost:8080, got {url!r}.")
        token = token or os.environ.get("LABEL_STUDIO_API_KEY")
        if not token:
            raise ValueError(
                "Label Studio wants a token: create one there, in Account & Settings, and give it "
                "as token=... or in the environment variable LABEL_STUDIO_API_KEY."
            )
        if not token.isascii() or not token.isprintable() or " " in token:
            raise ValueError("The token has characters that no token has; copy it again.")
        if token.startswith("eyJ") and token.count(".") != 2:
            raise ValueError(
                "This is the beginning of a personal access token, as Label Studio lists it; the "
                "whole token is shown once, when it is created: create another there."
            )
        self.url, self.project = url.rstrip("/"), project
        self.media, self.guesses, self.label, self.timeout = media, guesses, label, timeout
        self.columns = columns
        self._token, self._access = token, ""
        self._opener = urllib.request.build_opener(_NoRedirect)

    def __repr__(self) -> str:
        return f"LabelStudio({self.url!r}, project={self.project})"

    def push(self, loop: Loop, round: int | None = None) -> Pushed:  # noqa: A002
        """
        Import what people are to be asked for; what is there already is left out.

        Parameters
        ----------
        loop : Loop
            The loop.
        round : int, default=None
            Of which round; None is every round that is not closed.

        Returns
        -------
        int
            How many tasks were new; it also says which samples were `left_out`, as their files
            cannot be read.

        Raises
        ------
        ToolError
            If the server refuses. What it had imported before stays, and the next `push` sends
            the rest.
        """
        name = identity(loop)
        wanted = asked(loop, round, self.columns)
        project = self._find_project(loop, name) or self._create_project(loop, name)
        control = self._control(loop, project)
        there = {
            key
            for task in self._tasks(project)
            if sample_of(key := task["data"].get("labelnext"), name) is not None
        }
        new = [task for task in wanted if task.key not in there]
        left_out: dict[str, str] = {}
        guess = control if self.guesses else None
        root = loop.root
        if self.media is None:
            new, left_out = studio_json.readable(new, root)
        made = [
            studio_json.task_of(task, studio_json.content_of(task, root, self.media), guess=guess)
            for task in new
        ]
        for start in range(0, len(made), CHUNK):
            part = made[start : start + CHUNK]
            said = self._ask("POST", f"/api/projects/{project}/import", part)
            if not isinstance(said, dict) or said.get("task_count") != len(part):
                raise ToolError(
                    f"Label Studio was sent {len(part)} tasks and says {said!r:.200}; look at the "
                    f"project, then push again: what is there is not sent twice."
                )
        opened(loop, (task.round for task in wanted))
        self.project = project
        return Pushed(len(new), left_out)

    def pull(self, loop: Loop) -> Pulled:
        """
        Write what people have submitted to a loop, all that is new, or nothing.

        Parameters
        ----------
        loop : Loop
            The loop.

        Returns
        -------
        int
            How many answers were new; it also says how many were `known`, and `left_out`.

        Raises
        ------
        ToolError
            If the server refuses, or its answers are not whole.
        ValueError
            If a label is none of the loop's, or the project has no task of it.
        """
        name = identity(loop)
        project = self._find_project(loop, name)
        if project is None:
            raise ValueError(
                f"{self.url} has no project of this loop; push first, or give project=... "
                "with its number."
            )
        control = self._control(loop, project)
        users = {user["id"]: user.get("email") for user in self._list("/api/users/")}
        tasks = self._tasks(project)
        try:
            heard = studio_json.answers_of(
                tasks, Entries(loop), loop.task, label=control["from_name"], users=users
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ToolError(
                f"Label Studio says what cannot be understood, {error!r:.100}: nothing was written."
            ) from None
        if not heard:
            raise ValueError(
                f"Project {project} has {len(tasks):,} tasks, and none is of this loop; push "
                "first, or give project=... with another number."
            )
        self.project = project
        return receive(loop, heard, "label-studio")

    def _find_project(self, loop: Loop, name: str) -> int | None:
        """Return the project that was named, or the one that was made for the loop."""
        if self.project is not None:
            return self.project
        mark = _mark(name)
        for project in self._pages("/api/projects/", "results", {}):
            if mark in str(project.get("description")):
                return int(project["id"])
        return None

    def _create_project(self, loop: Loop, name: str) -> int:
        made = self._ask(
            "POST",
            "/api/projects/",
            {
                "title": f"labelnext {loop.folder.name}"[:50],
                "description": _mark(name),
                "label_config": studio_json.interface(loop),
                "expert_instruction": loop.guidelines or "",
                "show_collab_predictions": self.guesses,
            },
        )
        if not isinstance(made, dict) or not isinstance(made.get("id"), int):
            raise ToolError(f"Label Studio has made no project, and says {made!r:.200}.")
        return int(made["id"])

    def _control(self, loop: Loop, project: int) -> dict[str, str]:
        """Find the control of a project that takes the labels of the loop."""
        said = self._ask("GET", f"/api/projects/{project}/")
        parsed = said.get("parsed_label_config") if isinstance(said, dict) else None
        if not isinstance(parsed, dict):
            raise ToolError(f"Label Studio does not say what project {project} asks people for.")
        kind, classes = ("Number", []) if loop.task == "regression" else ("Choices", loop.classes)
        found = {
            name: control
            for name, control in parsed.items()
            if control.get("type") == kind and (self.label is None or name == self.label)
        }
        fits = {
            name: control
            for name, control in found.items()
            if set(classes or ()) <= set(control.get("labels") or ())
        }
        if len(fits) > 1 and studio_json.LABEL in fits:
            fits = {studio_json.LABEL: fits[studio_json.LABEL]}
        if len(fits) != 1:
            what = f"a control {kind}" + (f" named {self.label!r}" if self.label else "")
            choices = f" with the choices {some(classes, 9)}" if classes else ""
            raise ValueError(
                f"Project {project} must have {what}{choices}, and has {len(fits)} of them; "
                f"set its labelling interface to: {studio_json.interface(loop)}"
                if not fits
                else f"Project {project} has {some(list(fits))}; give label=... to say which "
                "holds the label."
            )
        ((name, control),) = fits.items()
        inputs = {each.get("value") for each in control.get("inputs") or ()}
        if loop.kind not in inputs:
            raise ValueError(
                f"Project {project} shows {some(sorted(map(str, inputs)))}, and this loop's "
                f"samples are called {loop.kind!r}; set its labelling interface to: "
                f"{studio_json.interface(loop)}"
            )
        return {"from_name": name, "to_name": str(control["to_name"][0])}

    def _tasks(self, project: int) -> list[Any]:
        """Return all tasks with their annotations; half of them is an error."""
        query = {"project": project, "fields": "all"}
        tasks = list(self._pages("/api/tasks/", "tasks", query))
        for task in tasks:
            if not isinstance(task.get("data"), dict):
                raise ToolError(f"Label Studio sends a task without data: {task!r:.100}.")
        return tasks

    def _pages(self, path: str, name: str, query: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield what a list has, page by page, until there is as much as it says."""
        page, seen = 1, set[Any]()
        while True:
            asked_for = {**query, "page": page, "page_size": PAGE}
            said = self._ask("GET", f"{path}?{urlencode(asked_for)}")
            items = said.get(name) if isinstance(said, dict) else None
            total = said.get("total", said.get("count")) if isinstance(said, dict) else None
            if not isinstance(items, list) or not isinstance(total, int):
                raise ToolError(f"{self.url}{path} has no list of {name}: {said!r:.120}.")
            new = [each for each in items if isinstance(each, dict) and each.get("id") not in seen]
            seen |= {each.get("id") for each in new}
            yield from new
            if len(seen) >= total:
                return
            if not new:
                raise ToolError(
                    f"{self.url}{path} says that it has {total:,} {name} and sends {len(seen):,}; "
                    "nothing was written. Try again when nobody imports or deletes tasks."
                )
            page += 1

    def _list(self, path: str) -> list[Any]:
        said = self._ask("GET", path)
        if not isinstance(said, list):
            raise ToolError(f"{self.url}{path} sends no list: {said!r:.120}.")
        return said

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        """Send a request with the token; one of a short life is renewed."""
        is_personal = self._token.count(".") == 2
        if not is_personal:
            return self._send(method, path, body, f"Token {self._token}")
        if self._access:
            try:
                return self._send(method, path, body, f"Bearer {self._access}")
            except _UnauthorizedError:
                pass
        said = self._send("POST", "/api/token/refresh/", {"refresh": self._token}, None)
        self._access = str(said.get("access") or "") if isinstance(said, dict) else ""
        if not self._access.isascii() or not self._access.isprintable() or not self._access:
            raise ToolError(f"{self.url} gives no access for the token; create another there.")
        return self._send(method, path, body, f"Bearer {self._access}")

    def _send(self, method: str, path: str, body: Any, authorization: str | None) -> Any:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if authorization is not None:
            headers["Authorization"] = authorization
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        try:
            with self._opener.open(request, timeout=self.timeout) as answer:
                content = answer.read()
        except urllib.error.HTTPError as error:
            with error:
                raise self._refused(error, method, path) from None
        except http.client.IncompleteRead:
            raise ToolError(
                f"{self.url}{path}: the answer broke off half way; nothing was written. Try again."
            ) from None
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            reason = getattr(reason, "strerror", None) or str(reason) or type(error).__name__
            raise ToolError(
                f"{self.url} does not answer: {reason}; is it running, and is the address right?"
            ) from None
        try:
            return json.loads(content)
        except ValueError:
            raise ToolError(
                f"{self.url}{path} sends no JSON but {content[:60]!r}; is it the address of a "
                "Label Studio server, without a path of its pages?"
            ) from None

    def _refused(self, error: urllib.error.HTTPError, method: str, path: str) -> ToolError:
        """Say what a status means, and what to do."""
        try:
            said = json.loads(error.read(100_000))
            reason = str(said.get("detail") or said)
            if said.get("validation_errors"):
                reason = str(said["validation_errors"])
        except (ValueError, AttributeError, OSError, http.client.HTTPException):
            reason = str(error.reason)
        where = f"{method} {self.url}{path.split('?', maxsplit=1)[0]}"
        status, reason = error.code, " ".join(reason.split())[:300]
        if 300 <= status < 400:
            to = error.headers.get("Location", "elsewhere")
            return ToolError(
                f"{where} leads to {to}; give that address itself, so that the token goes nowhere "
                "else."
            )
        advice = {
            401: "the token is wrong, or was revoked, or legacy tokens are switched off there: "
            "create a personal access token in Account & Settings.",
            403: "the token's owner may not do this; ask for access to the project.",
            404: "there is no such project, or this is no Label Studio; check project=... "
            "and the address.",
            413: "the tasks are too large for the server; serve the files and say where: "
            "media='https://.../'.",
            429: "too many requests; wait a minute and do it again.",
        }.get(status, "nothing was written here; try again, or see the server's log.")
        kind = _UnauthorizedError if status == 401 else ToolError
        return kind(f"{where} says {status}: {reason.removesuffix('.')}; {advice}")


class _UnauthorizedError(ToolError):
    """The token does not count, or no longer."""


def _mark(name: str) -> str:
    return f"Loop {name} of labelnext. Please keep this line."
