"""What the page asks for, and what answers it."""

from __future__ import annotations

import contextlib
import json
import shlex
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from math import isnan
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import quote

from markdown_it import MarkdownIt
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from labelnext.loop import LoopError, views
from labelnext.page import _media
from labelnext.page._security import Guard
from labelnext.report import told
from labelnext.report.read import Read
from labelnext.report.summary import (
    beside,
    called,
    headline,
    is_share,
    measured,
    of_model,
    told_as,
    without_command,
)

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from starlette.requests import Request
    from starlette.types import ASGIApp

    from labelnext.loop import Item
    from labelnext.loop.loop import Loop
    from labelnext.page._security import Keys

PAGE = Path(__file__).parent / "web"
FILES = {"/": "index.html", "/page.js": "page.js", "/page.css": "page.css", "/icon.svg": "icon.svg"}
SOURCE = "page"
VERSION = "Labelnext-Classes"
AT_ONCE = 100  # events of a request, and samples that a tab may hold
HELD = 100.0  # seconds after which a tab that is not heard of holds nothing
LEASE = 600.0
LOG_SHOWN = 4000
MODELS = 3  # whose curves are shown


# What a score was measured on, by its split.
ON = {"test": "on the test set", "random": "on random picks"}


class Page:
    """What the page asks for: each method answers one request of one person with JSON."""

    def __init__(
        self, loop: Loop, people: Sequence[str], keys: Keys, train: Sequence[str] | None = None
    ) -> None:
        self.loop, self.people, self._keys = loop, list(people), keys
        self._train = list(train) if train is not None else _default_training(loop)
        self._training: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        # What each tab of a person holds, and when it last asked: two tabs show different samples.
        self._tabs: dict[tuple[str, str], tuple[float, set[int]]] = {}

    def app(self, host: str, port: int, *, alone: bool) -> ASGIApp:
        """Return the page as an application, behind its guard."""
        asked: dict[str, Callable[[str, dict[str, Any]], dict[str, Any]]] = {
            "start": self.start,
            "progress": self.progress,
            "history": self.history,
            "conflicts": self.conflicts,
            "guesses": self.guesses,
        }
        sent = {
            "take": self.take,
            "record": self.record,
            "release": self.release,
            "item": self.item,
            "train": self.train,
        }

        def route(name: str, work: Any, method: str) -> Route:
            async def endpoint(request: Request) -> Response:
                given = request.scope.get("data", dict(request.query_params))
                try:
                    found = await run_in_threadpool(work, request.scope["person"], given)
                except (ValueError, TypeError, KeyError) as error:
                    return JSONResponse({"error": _words(error)}, 400)
                except (LoopError, OSError) as error:
                    return JSONResponse({"error": str(error)}, 503)
                # By which a tab learns that it shows old classes.
                return JSONResponse(found, headers={VERSION: views.version(self.loop)})

            return Route(f"/api/{name}", endpoint, methods=[method])

        async def enter(request: Request) -> Response:
            response = JSONResponse({})
            if guard.admit(str(request.scope["data"].get("token", "")), response):
                return response
            return JSONResponse(
                {"error": "This token is not, or no longer, one of this page."}, 401
            )

        async def file(request: Request) -> Response:
            headers = {"Cache-Control": "no-cache"}
            return FileResponse(PAGE / FILES[request.url.path], headers=headers)

        async def media(request: Request) -> Response:
            try:
                return await run_in_threadpool(self._media, request.query_params["sample"])
            except (ValueError, KeyError, OSError) as error:
                return JSONResponse({"error": _words(error)}, 404)

        app = Starlette(
            routes=[
                *(Route(path, file) for path in FILES),
                Route("/media", media),
                Route("/api/enter", enter, methods=["POST"]),
                *(route(name, work, "GET") for name, work in asked.items()),
                *(route(name, work, "POST") for name, work in sent.items()),
            ]
        )
        guard = Guard(app, keys=self._keys, people=self.people, host=host, port=port, alone=alone)
        return guard

    def stop(self) -> None:
        """End what this has started."""
        if self._training is not None and self._training.poll() is None:
            self._training.terminate()
            try:
                self._training.wait(5)
            except subprocess.TimeoutExpired:
                self._training.kill()
                self._training.wait()

    # --- what a tab asks for

    def start(self, person: str, _: dict[str, Any]) -> dict[str, Any]:
        guidelines = self.loop.guidelines
        return {
            "me": person,
            "name": called(self.loop),
            "loop": self._keys.sign("loop")[:12],
            "task": self.loop.task,
            "classes": self.loop.classes or [],
            "version": views.version(self.loop),
            "with_another": self._with_another(person),
            "guidelines": guidelines and MarkdownIt("js-default").render(guidelines),
        }

    def _with_another(self, person: str) -> str | None:
        """Return the command that asks a second person, too; None where there are several."""
        if len(self.people) > 1:
            return None
        return f"labelnext loop label{beside(self.loop)} --people {shlex.quote(person)},NAME"

    def take(self, person: str, data: dict[str, Any]) -> dict[str, Any]:
        """Lease what a tab shows next, less what other tabs of the person show."""
        n, tab, guess = min(int(data["n"]), AT_ONCE), str(data["tab"]), data.get("guess")
        have = {int(key) for key in data.get("have", [])[:AT_ONCE]}
        now = time.monotonic()
        with self._lock:
            self._tabs = {k: v for k, v in self._tabs.items() if now - v[0] < HELD}
            others = set().union(
                *(held for (who, t), (_, held) in self._tabs.items() if who == person and t != tab)
            )
            wanted = n + len(have | others)
            if guess is None:
                leased = self.loop.take(person, wanted)
            else:
                leased = views.take_predicted(self.loop, person, str(guess), wanted, LEASE)
            leased = [item for item in leased if item.key not in have]
            # Where nothing else is left, better twice than waiting for a tab that is forgotten.
            items = [item for item in leased if item.key not in others][:n] or leased[:n]
            self._tabs[person, tab] = now, {item.key for item in items} | have
        # Where nothing is left for a person, it is said why.
        waiting = {} if items else {"waiting": views.waiting(self.loop, person)}
        return {"items": [self._shown(item) for item in items], **waiting}

    def release(self, person: str, data: dict[str, Any]) -> dict[str, Any]:
        """Let a tab's samples go to the person's other tabs."""
        with self._lock:
            self._tabs.pop((person, str(data["tab"])), None)
        return {}

    def record(self, person: str, data: dict[str, Any]) -> dict[str, Any]:
        """Write decisions, in order; each one is on the disk when this answers."""
        events = data["events"]
        if not isinstance(events, list) or len(events) > AT_ONCE:
            raise ValueError(f"events must be a list of at most {AT_ONCE}.")
        return {"results": [self._event(person, event) for event in events]}

    def _event(self, person: str, event: dict[str, Any]) -> dict[str, Any]:
        try:
            client = event["client"]
            if event["action"] == "undo":
                # Of a decision that was refused there is nothing to take back, nor an earlier one.
                of = event.get("of")
                there = of is None or views.was_sent(self.loop, of)
                return {"undone": self._undo(person, client) if there else None}
            self.loop.record(
                event["sample"],
                event["action"],
                event.get("value"),
                annotator=person,
                client=client,
                milliseconds=event.get("milliseconds"),
                comment=event.get("comment"),
                source=SOURCE,
            )
        except (ValueError, TypeError, KeyError) as error:
            return {"error": _words(error)}
        return {}

    def _undo(self, person: str, client: str) -> dict[str, Any] | None:
        undo = self.loop.undo(person, client=client, source=SOURCE)
        if undo is None:
            return None
        first = self.loop.take(person, 1)  # what was taken back comes before all else
        item = next((item for item in first if item.id == undo.sample), None)
        back = views.event(self.loop, undo.supersedes or undo.number)
        return {
            "item": self._shown(item or self.loop.sample(undo.sample)),
            "action": back.action,
            "value": back.value,
        }

    def item(self, person: str, data: dict[str, Any]) -> dict[str, Any]:
        return {"item": self._shown(self.loop.sample(data["sample"]))}

    def history(self, person: str, data: dict[str, Any]) -> dict[str, Any]:
        """What a person has decided, 50 at a time, the latest first."""
        skip = min(int(data.get("skip", 0)), 100_000)
        events = self.loop.history(person, skip + 51)[skip:]
        now = time.time()
        return {
            "events": [
                {
                    "action": event.action,
                    "value": event.value,
                    "comment": event.comment,
                    "undone": event.undone,
                    "at": max(0.0, now - event.at),
                    "item": self._shown(self.loop.sample(event.sample)),
                }
                for event in events[:50]
                if event.action not in ("undo", "import")
            ],
            "more": skip + 50 if len(events) > 50 else None,
        }

    def conflicts(self, person: str, _: dict[str, Any]) -> dict[str, Any]:
        """Samples of which people say different things, and how often they agree."""
        odd = self.loop.disagreements()
        return {
            "n": len(odd),
            "conflicts": [
                {
                    "item": self._shown(self.loop.sample(sample)),
                    "votes": [{"annotator": a, "value": v} for a, v in sorted(said.items())],
                }
                for sample, said in odd[:1]
            ],
            "pairs": _pairs(Read(self.loop)),
        }

    def guesses(self, person: str, _: dict[str, Any]) -> dict[str, Any]:
        """Return how many samples of each predicted class wait for this person."""
        found = views.guesses(self.loop, person)
        return {"classes": [{"name": name, "left": n} for name, n in found.items()]}

    # --- how it goes

    def progress(self, person: str, data: dict[str, Any]) -> dict[str, Any]:
        """How the round stands, and with `all` the loop; a tab that asks is alive."""
        with self._lock:
            tab = person, str(data.get("tab"))
            if tab in self._tabs:
                self._tabs[tab] = time.monotonic(), self._tabs[tab][1]
        at = views.asked_now(self.loop)
        if "all" in data:
            at |= self._all(person)
        return {"progress": at, "training": self._training_state()}

    def _all(self, person: str) -> dict[str, Any]:
        of = Read(self.loop)
        at, y = of.at, [*of.labels.y[of.labels.labeled], *of.test.y[of.test.labeled]]
        classes = Counter(name for value in y for name in _classes(value))
        mine = self.loop.history(person, 500)
        now = time.time()
        seconds = [e.milliseconds / 1000 for e in mine[:100] if e.milliseconds]
        known = {one["annotator"]: one for one in at["people"]}
        return {
            "labelled": len(y),
            "classes": {name: classes[name] for name in self.loop.classes or []},
            "rate": sum(now - event.at < 3600 for event in mine),
            "seconds": statistics.median(seconds) if seconds else None,
            "measured": without_command(measured(of)),
            "curve": _curve(of),
            "people": [
                {
                    "name": name,
                    "decided": known[name]["decisions"] if name in known else 0,
                    "at": max(0.0, now - known[name]["last"]) if name in known else None,
                }
                for name in dict.fromkeys([*self.people, *known])
            ],
        }

    def train(self, person: str, data: dict[str, Any]) -> dict[str, Any]:
        """Start what trains and chooses the next batch, in a process of its own, once.

        Whoever asks names the round that they see: when it is over, somebody else was first.
        """
        with self._lock:
            seen = data.get("round", ...)
            if seen is ... or seen == views.asked_now(self.loop)["round"]:
                with open(self._log, "ab") as log, contextlib.suppress(BlockingIOError):
                    # The lock is of the process that is started: it outlives a server that dies.
                    _lock(log)
                    log.truncate(0)
                    self._training = subprocess.Popen(
                        self._train, stdin=subprocess.DEVNULL, stdout=log, stderr=log
                    )
        return self._training_state()

    @property
    def _log(self) -> Path:
        return self.loop.folder / "next.log"

    def _training_state(self) -> dict[str, Any]:
        if self._training is not None:
            state = {None: "running", 0: "done"}.get(self._training.poll(), "failed")
        else:
            state = "none"
        if state != "running" and self._log.exists():  # one that another server has started?
            with open(self._log, "rb") as log:
                try:
                    _lock(log)
                except BlockingIOError:
                    state = "running"
        if state == "none":
            return {"state": "none", "log": ""}
        text = self._log.read_bytes()[-LOG_SHOWN:].decode(errors="replace")
        return {"state": state, "log": text}

    # --- samples

    def _shown(self, item: Item | dict[str, Any]) -> dict[str, Any]:
        """Return what the page shows of a sample, and of the pick if it is one."""
        known = item if isinstance(item, dict) else item._asdict()
        shown: dict[str, Any] = {
            "key": known["key"],
            "id": known["id"],
            "kind": known["kind"],
            "content": known["content"] if known["kind"] == "text" else None,
            "round": known.get("round"),
            "rank": known.get("rank"),
            "pick": known.get("pick"),
            "guess": known.get("pseudo_label"),
            "d2": known.get("d2"),
            "nearest": known.get("nearest"),
        }
        if known["kind"] == "row":
            shown["content"] = json.loads(known["content"])
        elif known["kind"] != "text":
            shown["media"] = f"media?sample={quote(known['id'], safe='')}"
            if known["kind"] != "html":
                try:
                    _media.locate(known["content"], self._roots)
                except _media.MediaError as error:
                    shown["error"] = str(error)
        return shown

    @property
    def _roots(self) -> list[Path]:
        """The folders that files may be in; they may move while people label."""
        root = self.loop.root
        return [] if root is None else [root]

    def _media(self, sample_id: str) -> Response:
        sample = self.loop.sample(sample_id)
        if sample["kind"] not in ("image", "audio", "html"):
            raise _media.MediaError("This sample has no file.")
        return _media.answer(sample["kind"], sample["content"], self._roots)


def _lock(file: IO[bytes]) -> None:
    """Lock a file for as long as this or a process that inherits it has it open."""
    if fcntl is not None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _default_training(loop: Loop) -> list[str]:
    return [sys.executable, "-m", "labelnext", "loop", "next", "--loop", str(loop.folder)]


def _pairs(of: Read) -> list[dict[str, Any]]:
    """Return how often each two people say the same of samples that both have labelled."""
    return [
        pair._asdict() | {"kappa": None if isnan(pair.kappa) else pair.kappa}
        for pair in told.compared(of)
    ]


def _curve(of: Read) -> list[dict[str, Any]]:
    """Return what was reached over the number of labels, with intervals where they are known.

    Of the newest model all; of others what is told first.
    """
    series = [
        (split, name, f", {of_model(model)}" if len(models) > 1 else "", points)
        for split in ON
        for models in [told.curves(of, split)]
        for place, (model, curves) in enumerate(models.items())
        for name, points in curves.items()
        if place == 0 or (name == headline(curves) and place < MODELS)
    ]
    return [
        {"labels": point.labels, "round": point.round, "value": point.value}
        | {"name": f"{told_as(name)} {ON[split]}{whose}", "share": is_share(name, points)}
        | ({} if isnan(point.low) else {"low": point.low, "high": point.high})
        for split, name, whose, points in series
        for point in points
    ]


def _words(error: Exception) -> str:
    return f"{error.args[0]} is missing." if isinstance(error, KeyError) else str(error)


def _classes(value: Any) -> Sequence[str]:
    return [value] if isinstance(value, str) else value if isinstance(value, list) else []
