"""Label Studio for tests: what a real one answered, or, with its address, the real one.

LABELNEXT_LABEL_STUDIO=http://127.0.0.1:8099 sends all on to a server that `make label-studio` has
started; with LABELNEXT_RECORD=1, too, what it answers is written down for the tests of every day.
"""

import json
import os
import threading
import urllib.error
import urllib.request
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

REAL = os.environ.get("LABELNEXT_LABEL_STUDIO", "")
RECORD = Path(__file__).with_name("tools") / "label_studio.json"
# The token of the server's only user, which exists as long as the test runs.
TOKEN = "0123456789abcdef0123456789abcdef01234567"


@contextmanager
def serving(answer):
    """Serve on this machine; `answer(method, path, body, headers)` gives a status and content."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            status, content, *more = answer(self.command, self.path, body, dict(self.headers))
            if status is None:  # nothing at all
                self.close_connection = True
                return
            content = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(status)
            for name, value in (more[0] if more else {}).items():
                self.send_header(name, value)
            if not more or "Content-Length" not in more[0]:
                self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_PATCH = do_GET  # noqa: N815

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


class Studio:
    """Sends on to the real server and writes down, or answers from what was written down."""

    def __init__(self):
        self.seen, self.jwt = [], {}
        self.left = [] if REAL else json.loads(RECORD.read_text("utf-8"))

    def answer(self, method, path, body, headers):
        if not REAL:
            return self._from_record(method, path, body, headers)
        sent = json.dumps(body)
        for short, whole in self.jwt.items():
            sent = sent.replace(short, whole)
        authorization = headers.get("Authorization", "")
        kind, _, token = authorization.partition(" ")
        request = urllib.request.Request(
            REAL + path, None if body is None else sent.encode(), method=method
        )
        request.add_header("Content-Type", "application/json")
        if authorization:
            request.add_header("Authorization", f"{kind} {self.jwt.get(token, token)}")
        try:
            with urllib.request.urlopen(request, timeout=60) as said:
                status, content = said.status, json.loads(said.read())
        except urllib.error.HTTPError as error:
            status, content = error.code, json.loads(error.read())
        content = self._without_tokens(content)
        self.seen.append([method, path, body, kind, status, content])
        return status, content

    def _without_tokens(self, content):
        """Keep what would let others in out of the record."""
        if isinstance(content, dict):
            for name in ("token", "access"):
                if name in content:
                    short = f"eyJ.{name}.{len(self.jwt)}"
                    self.jwt[short] = content[name]
                    content = {**content, name: short}
        return content

    def _from_record(self, method, path, body, headers):
        kind = headers.get("Authorization", "").partition(" ")[0]
        for place, (was, *asked, status, content) in enumerate(self.left):
            if was == method and asked == [path, body, kind]:
                del self.left[place]
                return status, content
        asked = [each[:4] for each in self.left if each[0] == method]
        return 599, {"detail": f"not in the record: {[method, path, body, kind]}; left: {asked}"}

    def save(self):
        if os.environ.get("LABELNEXT_RECORD"):
            lines = ",\n".join(json.dumps(each, ensure_ascii=False) for each in self.seen)
            RECORD.write_text(f"[\n{lines}\n]\n", "utf-8")
