"""The page on which people label, served for one loop; to this machine alone by default."""

from __future__ import annotations

import contextlib
import getpass
import html
import ipaddress
import os
import signal
import socket
import tempfile
import threading
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING

from labelnext.utils.libraries import require

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import uvicorn
    from starlette.types import ASGIApp

    from labelnext.loop.loop import Loop


def serve(
    loop: Loop,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    open_browser: bool = True,
    people: Sequence[str] | None = None,
    train: Sequence[str] | None = None,
) -> None:
    """
    Serve the page on which people label, until Ctrl-C.

    Each person has an address of their own, which is printed. Every decision is on the disk before
    the next sample shows: stop it, or kill it, at any time.

    Parameters
    ----------
    loop : Loop
        What is labelled.
    host : str, default="127.0.0.1"
        The address to listen on. Any but this machine's own asks for `people`; what goes over the
        network is not encrypted.
    port : int, default=0
        The port; 0 takes the one of the last time if it is free, else any that is.
    open_browser : bool, default=True
        Whether to open the page of the first person in a browser; on this machine only.
    people : sequence of str, default=None
        Who labels. None is those of the last time, else whoever runs this.
    train : sequence of str, default=None
        The program, and its arguments, that trains and chooses the next batch when somebody asks
        for it; it runs in a process of its own. None is ``labelnext loop next`` on this loop.

    Raises
    ------
    ValueError
        If the host asks for people, or a name of a person cannot be one.
    OSError
        If the port is taken, or the host is no address of this machine.

    Examples
    --------
    >>> import labelnext
    >>> from labelnext.page import serve
    >>> serve(labelnext.open_loop("loop"), people=["ann", "bo"])  # doctest: +SKIP
    """
    require("starlette", extra="label", what="The page of a loop")
    require("uvicorn", extra="label", what="The page of a loop")
    from labelnext.page._app import Page
    from labelnext.page._security import Keys
    from labelnext.report.summary import called

    keys = Keys(loop.folder)
    names = check_people(keys.people if people is None else people, host)
    listening = _listen(host, port, keys.port)
    if people is not None:
        keys.remember(people=names)
    elif keys.people is not None:
        print("For the people of the last time; --people names others.")
    taken = port == 0 and keys.port not in (0, listening.getsockname()[1])
    port = listening.getsockname()[1]
    if taken:  # most often by this loop's page, to whose tabs the port belongs
        print(
            f"Port {keys.port}, that of the last time, is taken: if the page of this loop runs "
            "already, use its address."
        )
    else:
        keys.remember(port=port)
    addresses = {name: _address(host, port, keys.sign("token", name)) for name in names}
    page = Page(loop, names, keys, train)
    server = server_of(page.app(host, port, alone=is_loopback(host)))
    with contextlib.ExitStack() as stack:
        stack.callback(listening.close)
        stack.callback(page.stop)
        stack.enter_context(_stopped_by_hand(server))
        _announce(called(loop), addresses, host)
        if open_browser and is_loopback(host):
            stack.enter_context(_opened(addresses[names[0]]))
        server.run(sockets=[listening])


@contextlib.contextmanager
def _stopped_by_hand(server: uvicorn.Server) -> Iterator[None]:
    """Let Ctrl-C stop a server before it has begun, too, and once more when it has ended."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, server.handle_exit)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def server_of(app: ASGIApp) -> uvicorn.Server:
    """Return what serves an application, and nothing that it was not told of."""
    import uvicorn

    from labelnext.page._security import Connection

    return uvicorn.Server(
        uvicorn.Config(
            app,
            loop="asyncio",
            http=Connection,
            ws="none",
            lifespan="off",
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=3,
        )
    )


def is_loopback(host: str) -> bool:
    """Tell whether a host's address is of this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def check_people(people: Sequence[str] | None, host: str) -> list[str]:
    """Return who labels, or say what is wrong with their names, or that there must be some.

    >>> check_people(["ann", "bo"], "127.0.0.1")
    ['ann', 'bo']
    """
    if people is None:
        if not is_loopback(host):
            raise ValueError(
                f"host {host!r} lets other machines in, so people must name who labels: each gets "
                "an address with a token of their own. Traffic is not encrypted."
            )
        try:
            return [getpass.getuser()]
        except (OSError, KeyError):  # a container whose user has no name
            return ["me"]
    names = list(people) if not isinstance(people, str) else [people]
    for name in names:
        if not isinstance(name, str) or not name.strip() or not name.isprintable():
            raise ValueError(f"people must be names that can be printed, got {name!r}.")
    if not names or len(set(names)) < len(names):
        raise ValueError(f"people must be one or more different names, got {names}.")
    return names


def people_before(folder: Path) -> list[str] | None:
    """Return for whom the page of a loop was served the last time, if they were named."""
    require("starlette", extra="label", what="The page of a loop")
    require("uvicorn", extra="label", what="The page of a loop")
    from labelnext.page._security import KEY_FILE, Keys

    return Keys(folder).people if (folder / KEY_FILE).exists() else None


def _listen(host: str, port: int, last: int) -> socket.socket:
    """Listen on a port; on the last one or any if it is 0."""
    try:
        family = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0][0]
    except OSError as error:
        raise OSError(f"host {host!r} is no address of this machine: {error.strerror}.") from None
    for number in (last, 0) if port == 0 else (port,):
        # By its protocol asyncio knows that it may send at once, not 40 ms later.
        listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        if os.name == "posix":
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host, number))
            listening.listen(128)
        except (OSError, OverflowError) as error:
            listening.close()
            if port == 0 and number:
                continue
            text = getattr(error, "strerror", None) or str(error)
            raise OSError(
                f"Port {number} of {host} cannot be had: {text}. If a page of this loop runs "
                "already, use its address; else choose another port, or 0 for any that is free."
            ) from None
        return listening
    raise AssertionError("port 0 is bound or raises")


def _address(host: str, port: int, token: str) -> str:
    name = socket.gethostname() if host in ("0.0.0.0", "::") else host
    return f"http://{f'[{name}]' if ':' in name else name}:{port}/#token={token}"


def _announce(name: str, addresses: dict[str, str], host: str) -> None:
    print(f"The page of {name}. Whoever has an address labels under its name:")
    for person, address in addresses.items():
        print(f"  {person}: {address}")
    if not is_loopback(host):
        print(
            "Traffic is not encrypted: whoever is on the network between can read samples, labels "
            "and tokens. On networks that you do not trust, go through ssh -L or a VPN."
        )
    print("Every decision is on the disk at once. Ctrl-C stops.", flush=True)


@contextlib.contextmanager
def _opened(address: str) -> Iterator[None]:
    """Open a browser by way of a file: what stands on a command line, others can read."""
    with tempfile.TemporaryDirectory(prefix="labelnext-") as folder:
        file = Path(folder) / "open.html"
        to = html.escape(address)
        file.write_text(
            f'<!doctype html><meta http-equiv="refresh" content="0; url={to}">'
            f'<a href="{to}">Open the page</a>',
            encoding="utf-8",
        )
        threading.Thread(target=webbrowser.open, args=(file.as_uri(),), daemon=True).start()
        yield
