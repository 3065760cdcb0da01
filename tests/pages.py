"""The page of a loop for tests: a server in a thread, requests to it, and a browser."""

import http.client
import json
import os
import shutil
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest

from labelnext.loop import Loop
from labelnext.samples import Samples

TEXTS = [f"Review {i}: {'well made' if i % 2 else 'broke at once'}" for i in range(40)]
# For a script in a tab: it presses a key at once where a person would look first.
AT_ONCE = """if (origin !== "null") localStorage["labelnext:settings"] ??= '{"soon": 0}'"""
# As root, without a screen, and asking nobody on the network.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def loop_of(folder, samples=TEXTS, *, classes=("good", "bad"), test=30, **options):
    """A loop whose test set waits to be labelled."""
    return Loop.create(
        folder / "loop",
        list(samples) if isinstance(samples, tuple) else samples,
        classes=classes and list(classes),
        test=test,
        random_state=0,
        **options,
    )


def files_of(folder, contents, kind="image"):
    """Samples that are files in a folder, by name."""
    root = folder / "files"
    root.mkdir()
    for name, content in contents.items():
        (root / name).write_bytes(content)
    return Samples(list(contents), kind, list(contents), None, root)


class Served:
    """A page that is being served, and how it is asked."""

    def __init__(self, page, port, keys):
        self.page, self.port, self.keys = page, port, keys

    def address(self, person="ann"):
        return f"http://127.0.0.1:{self.port}/#token={self.keys.sign('token', person)}"

    def cookie(self, person="ann"):
        return f"labelnext_{self.port}={self.keys.sign('cookie', person)}"

    def ask(self, method, path, body=None, *, person="ann", **headers):
        """Ask as the page does, with other headers where given; None leaves one out.

        Returns the status, the headers, and the JSON or the bytes of the answer.
        """
        host = f"127.0.0.1:{self.port}"
        sent = {"Host": host, "Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin"}
        if person is not None:
            sent["Cookie"] = self.cookie(person)
        if body is not None:
            body = body if isinstance(body, bytes) else json.dumps(body).encode()
            sent |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in sent.items():
                for each in value if isinstance(value, list) else [value] * (value is not None):
                    connection.putheader(name, each)
            connection.endheaders(body)
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        is_json = answer.headers.get_content_type() == "application/json"
        return answer.status, answer.headers, json.loads(content) if is_json else content

    def post(self, name, body, **options):
        """The answer to a POST of the page's, which must be taken."""
        status, _, answer = self.ask("POST", f"/api/{name}", body, **options)
        assert status == 200, answer
        return answer

    def get(self, name, **options):
        status, _, answer = self.ask("GET", f"/api/{name}", **options)
        assert status == 200, answer
        return answer


@contextmanager
def served(loop, *, people=("ann", "bo"), train=None, host="127.0.0.1", port=0):
    """Serve the page of a loop in a thread of this process."""
    from labelnext.page import server
    from labelnext.page._app import Page
    from labelnext.page._security import Keys

    keys = Keys(loop.folder)
    listening = server._listen(host, port, 0)
    port = listening.getsockname()[1]
    page = Page(loop, list(people), keys, train)
    running = server.server_of(page.app(host, port, alone=server.is_loopback(host)))
    thread = threading.Thread(target=running.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        yield Served(page, port, keys)
    finally:
        running.should_exit = True
        thread.join(20)
        page.stop()
        listening.close()


@contextmanager
def process(folder, port, *, people=("ann", "bo")):
    """Serve a loop's page in a process of its own, which may be killed; yields the process."""
    code = (
        "import labelnext\nfrom labelnext.page import serve\n"
        f"serve(labelnext.open_loop({str(folder)!r}), port={port}, people={list(people)!r}, "
        "open_browser=False)"
    )
    source = str(Path(sys.modules["labelnext"].__file__).parents[1])
    one = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": source},
    )
    try:
        one.addresses = {}
        for line in one.stdout:
            if "Ctrl-C" in line:
                break
            if line.startswith("  "):
                person, _, address = line.strip().partition(": ")
                one.addresses[person] = address
        yield one
    finally:
        one.kill()
        one.wait()
        one.stdout.close()


@contextmanager
def chromium():
    """A browser; without one the test is left out."""
    from playwright.sync_api import sync_playwright

    found = shutil.which("chromium") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("no browser: apt install chromium")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=found, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()
