"""Who may speak to the page: tokens and cookies, hosts and origins, sizes, rates and places."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import hmac
import ipaddress
import json
import os
import secrets
import socket
import time
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, Response
from uvicorn.protocols.http.h11_impl import H11Protocol

from labelnext.pools.disk import writing
from labelnext.utils.text import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

LARGEST_BODY = 256 * 1024
BODY_SECONDS = 10.0
KEY_FILE = "page.json"
# A screenful of pictures comes at once; a person decides a few times a second.
REQUESTS = (300, 50.0)
TRIES = (10, 0.2)  # of a token, from one address
CONNECTIONS = 200
FROM_ADDRESS = 64  # a browser has six; people behind a tunnel or a router share an address
REQUEST_SECONDS = 10.0

# Guidelines are the only HTML that the script puts in: Markdown that the server has rendered.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; "
    "connect-src 'self'; frame-src 'self'; form-action 'none'; base-uri 'none'; "
    "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types guidelines"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cache-Control": "no-store",
}


class Keys:
    """What the page of a loop signs with, its last port and people: a file for its owner alone.

    Tokens and cookies follow from it and a name, so a server that was killed and started again
    knows its people. Whoever removes the file makes all of them void.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / KEY_FILE
        if not self._path.exists():
            self._write({"secret": secrets.token_hex(32), "port": 0}, new=True)
        try:
            found = json.loads(self._path.read_text(encoding="utf-8"))
            self._secret = bytes.fromhex(found["secret"])
            self.port = int(found["port"])
            self.people: list[str] | None = found.get("people")
            if not isinstance(self.people, list | None):
                raise ValueError("people that are no list")
            if len(self._secret) < 32:
                raise ValueError("a short secret")
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"{self._path} is damaged: {one_line(error)}. Remove it; the page then makes a new "
                "one, and the addresses that were handed out before are void."
            ) from None

    def _write(self, content: dict[str, Any], *, new: bool = False) -> None:
        draft = self._path.with_name(f".{KEY_FILE}.{secrets.token_hex(4)}")
        with writing(str(self._path), "free some space and do it again."):
            try:
                with open(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
                    json.dump(content, file)
                if new:
                    with contextlib.suppress(FileExistsError):  # another server was first
                        os.link(draft, self._path)
                else:
                    draft.replace(self._path)
            finally:
                draft.unlink(missing_ok=True)

    def remember(self, *, port: int | None = None, people: list[str] | None = None) -> None:
        """Keep the port, so that an open page finds the server that is started again; and who."""
        before = self.port, self.people
        self.port = self.port if port is None else port
        self.people = self.people if people is None else people
        if before != (self.port, self.people):
            content = {"secret": self._secret.hex(), "port": self.port, "people": self.people}
            self._write(content)

    def sign(self, purpose: str, name: str = "") -> str:
        """Return the text that only this loop's server can make for a purpose and a name."""
        digest = hmac.digest(self._secret, f"{purpose}\0{name}".encode(), hashlib.sha256)
        return base64.urlsafe_b64encode(digest[:24]).decode()

    def who(self, purpose: str, text: str, people: Iterable[str]) -> str | None:
        """Return the one of these people whom a signature belongs to, if any."""
        given = text.encode(errors="replace")
        found = None
        for name in people:
            if hmac.compare_digest(given, self.sign(purpose, name).encode()):
                found = name
        return found


class Rate:
    """So many requests at once, and so many a second, for each who asks."""

    def __init__(self, burst: int, per_second: float) -> None:
        self._burst, self._per_second = burst, per_second
        self._left: dict[str, tuple[float, float]] = {}

    def allows(self, who: str) -> bool:
        now = time.monotonic()
        if len(self._left) > 1000:
            whole = self._burst / self._per_second
            self._left = {k: v for k, v in self._left.items() if now - v[1] < whole}
        left, before = self._left.get(who, (float(self._burst), now))
        left = min(self._burst, left + (now - before) * self._per_second)
        self._left[who] = (left - 1 if left >= 1 else left), now
        return left >= 1


class Connection(H11Protocol):
    """A connection that holds no place for long without asking, nor more places than its share."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]
        self._late: asyncio.TimerHandle | None = None
        network = _network(self.client)
        near = sum(
            isinstance(other, H11Protocol) and _network(other.client) == network
            for other in self.connections
        )
        if near > FROM_ADDRESS or len(self.connections) > CONNECTIONS:
            self.transport.abort()
        else:
            self._wait()

    def _wait(self) -> None:
        self._late = self.loop.call_later(REQUEST_SECONDS, self._end_if_idle)

    def _end_if_idle(self) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self.transport.abort()

    def on_response_complete(self) -> None:
        self._stop_waiting()
        self._wait()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def _stop_waiting(self) -> None:
        if self._late is not None:
            self._late.cancel()


def _network(client: tuple[str, int] | None) -> str:
    """Return what one machine can have many addresses in: those of IPv6 that differ in the end."""
    address = client[0] if client else "?"
    try:
        found = ipaddress.IPv6Address(address)
    except ValueError:
        return address
    mapped = found.ipv4_mapped
    return str(mapped or ipaddress.IPv6Address(int(found) >> 64 << 64))


class RefusedError(Exception):
    """A request that is not answered; its status, and why in words."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


def names_of(host: str, *, alone: bool) -> set[str]:
    """Return the names under which a server that listens on a host may be asked.

    Any other name would be one that somebody else has pointed at this machine.
    """
    here = {"localhost", "127.0.0.1", "::1", host}
    return here if alone else here | {socket.gethostname(), socket.getfqdn()}


class Guard:
    """Answers what must not pass, before anything else sees it; names who asks, and their JSON.

    What passes has `scope["person"]`, None where none is asked for, and with a POST
    `scope["data"]`, the object of the body.
    """

    def __init__(
        self, app: ASGIApp, *, keys: Keys, people: Sequence[str], host: str, port: int, alone: bool
    ) -> None:
        self._app = app
        self._keys = keys
        self._people = people
        self._names = {name.lower() for name in names_of(host, alone=alone)}
        # A server on all addresses is asked by any of them, which is no name to point elsewhere.
        self._any_address = host in ("0.0.0.0", "::")
        self.cookie = f"labelnext_{port}"  # cookies of one host are shared by all its ports
        self._requests, self._tries = Rate(*REQUESTS), Rate(*TRIES)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return  # a web socket: closed without an answer

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            await self._check(scope, receive)
        except RefusedError as refused:
            answer: Response = JSONResponse({"error": str(refused)}, refused.status)
            await answer(scope, receive, guarded)
        else:
            await self._app(scope, receive, guarded)

    async def _check(self, scope: Scope, receive: Receive) -> None:
        headers = Headers(scope=scope)
        host = self._check_host(headers)
        self._check_origin(scope, headers, host)
        address = (scope.get("client") or ("?",))[0]
        person = scope["person"] = self._person(headers)
        if not self._requests.allows(f"person {person}" if person else f"address {address}"):
            raise RefusedError(429, "Too many requests; wait a moment.")
        told = unquote(headers.get("labelnext-person", ""))
        if person is not None and told not in ("", person):
            raise RefusedError(
                409,
                f"Since this tab was opened, this browser has opened the page as {person}: "
                "nothing more of yours is sent from here. Open your own address again.",
            )
        path = scope["path"]
        if path == "/api/enter":
            if not self._tries.allows(address):
                raise RefusedError(429, "Too many tries; wait a minute.")
        elif path.startswith(("/api/", "/media")) and person is None:
            raise RefusedError(
                401, "Open the whole address that the server printed, with what follows the #."
            )
        if scope["method"] == "POST":
            scope["data"] = await _json(headers, receive)

    def _check_host(self, headers: Headers) -> str:
        host = headers.get("host", "")
        try:
            name = (urlsplit(f"//{host}").hostname or "").rstrip(".")
        except ValueError:
            name = ""
        if name in self._names or (self._any_address and _is_address(name)):
            return host
        raise RefusedError(
            421, "This server is not asked under that name; use the printed address."
        )

    @staticmethod
    def _check_origin(scope: Scope, headers: Headers, host: str) -> None:
        """Refuse what another site's page sends, also one on another port of this machine."""
        origin = headers.get("origin")
        fetched = headers.get("sec-fetch-site", "same-origin")
        inside = scope["path"].startswith(("/api/", "/media"))
        if (
            (origin is not None and origin.lower() != f"http://{host}".lower())
            or (origin is None and scope["method"] not in ("GET", "HEAD"))
            or (inside and fetched not in ("same-origin", "none"))
        ):
            raise RefusedError(403, "Only the page of this server may ask that.")

    def _person(self, headers: Headers) -> str | None:
        try:
            cookie = SimpleCookie(headers.get("cookie", "")).get(self.cookie)
        except CookieError:
            return None
        return None if cookie is None else self._keys.who("cookie", cookie.value, self._people)

    def admit(self, token: str, response: Response) -> bool:
        """Give whoever has a person's token that person's cookie."""
        person = self._keys.who("token", token, self._people)
        if person is not None:
            response.set_cookie(
                self.cookie,
                self._keys.sign("cookie", person),
                max_age=90 * 24 * 3600,
                httponly=True,
                samesite="strict",
            )
        return person is not None


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


async def _json(headers: Headers, receive: Receive) -> dict[str, Any]:
    """Read the body of a request: one JSON object, of a bounded size, in a bounded time."""
    if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise RefusedError(415, "A body must be JSON, with Content-Type: application/json.")
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise RefusedError(400, "The body broke off.")
                body += message.get("body", b"")
                if len(body) > LARGEST_BODY:
                    raise RefusedError(413, f"A body may have {LARGEST_BODY // 1024} KiB.")
                if not message.get("more_body"):
                    break
    except TimeoutError:
        raise RefusedError(408, "The body took too long.") from None
    try:
        data = json.loads(body, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise RefusedError(400, "The body is no JSON.") from None
    if not isinstance(data, dict):
        raise RefusedError(400, "The body must be a JSON object.")
    return data


def _no_constant(name: str) -> float:
    raise ValueError(name)
