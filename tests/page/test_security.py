"""The page answers its own people alone: each rule, and what tries to break it."""

import contextlib
import itertools
import os
import select
import socket
import stat
import time

import pytest

import pages
from labelnext.page import _security, server
from labelnext.page._security import HEADERS, Keys, Rate

SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
PNG = b"\x89PNG\r\n\x1a\n" + bytes(40)
HTML = "<p>Hello</p><script>parent.stolen = 1</script>"
ASKED = ("start", "progress", "history", "conflicts", "guesses")
TOLD = ("take", "record", "release", "item", "train")


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A page of pictures: one of them an SVG, others not where they should be."""
    folder = tmp_path_factory.mktemp("loop")
    samples = pages.files_of(folder, {"a.png": PNG, "b.svg": SVG, "c.txt": b"text"})
    (folder / "secret.png").write_bytes(b"secret")
    (samples.root / "link.png").symlink_to(folder / "secret.png")
    (samples.root / "folder.png").mkdir()
    odd = {
        "up": "../secret.png",
        "absolute": str(folder / "secret.png"),
        "link": "link.png",
        "folder": "folder.png",
        "gone": "gone.png",
        "null": "a.png\0.svg",
        "system": "/etc/passwd",
        "../secret.png": "../secret.png",
    }
    samples = type(samples)(
        [*samples.ids, *odd], "image", [*samples.contents, *odd.values()], None, samples.root
    )
    with pages.served(pages.loop_of(folder, samples, test=8), train=["false"]) as one:
        yield one


def test_without_a_cookie_nothing_but_the_empty_page(page):
    for path in ("/", "/page.js", "/page.css", "/icon.svg"):
        assert page.ask("GET", path, person=None)[0] == 200
    for name in ASKED:
        assert page.ask("GET", f"/api/{name}", person=None)[0] == 401
    for name in TOLD:
        assert page.ask("POST", f"/api/{name}", {}, person=None)[0] == 401
    assert page.ask("GET", "/media?sample=a.png", person=None)[0] == 401


def test_a_token_gives_a_cookie_that_scripts_and_other_sites_do_not_get(page):
    token = page.keys.sign("token", "bo")
    status, headers, _ = page.ask("POST", "/api/enter", {"token": token}, person=None)
    cookie = headers["Set-Cookie"]
    assert status == 200
    assert cookie.startswith(page.cookie("bo") + ";")
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "Domain" not in cookie
    assert page.get("start", person="bo")["me"] == "bo"


def test_a_wrong_token_gives_none(page):
    of_cookie, of_another = page.keys.sign("cookie", "ann"), page.keys.sign("token", "cyd")
    for body in ({}, *({"token": t} for t in ("", 7, ["a"], "\ud800", of_cookie, of_another))):
        status, headers, _ = page.ask("POST", "/api/enter", body, person=None)
        assert status == 401
        assert headers["Set-Cookie"] is None


def test_a_forged_cookie_is_none(page):
    name = f"labelnext_{page.port}"
    real = page.keys.sign("cookie", "ann")
    for value in ("", "x", real[:-1], real + "x", real.swapcase(), page.keys.sign("token", "ann")):
        cookie = f"{name}={value}"
        assert page.ask("GET", "/api/start", Cookie=cookie)[0] == 401
    assert page.ask("GET", "/api/start", Cookie=f"labelnext_1={real}")[0] == 401
    assert page.ask("GET", "/api/start", Cookie='"; =;\x01')[0] in (400, 401)


def test_a_request_speaks_for_its_cookie_alone(page):
    event = {"client": "x-1", "sample": "a.png", "action": "label", "value": "good"}
    page.post("record", {"events": [event | {"annotator": "bo"}], "annotator": "bo"})
    assert page.page.loop.history("bo") == []
    assert page.page.loop.history("ann")[0].sample == "a.png"


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:80",
        "127.0.0.1.evil.example",
        "",
        "user@127.0.0.1.evil",
        "192.0.2.7",
        "[::1",
    ],
)
def test_another_name_of_this_machine_is_refused(page, host):
    for path in ("/", "/api/start", "/media?sample=a.png"):
        assert page.ask("GET", path, Host=host, Origin=None)[0] in (400, 421)
    assert page.ask("POST", "/api/take", {}, Host=host, Origin=f"http://{host}")[0] in (400, 421)


def test_its_own_names_are_taken_with_any_port_as_through_a_tunnel(page):
    for host in ("localhost:9999", "127.0.0.1", "[::1]:8000", "LOCALHOST"):
        assert page.ask("GET", "/api/start", Host=host, Origin=f"http://{host}")[0] == 200
    assert page.ask("GET", "/", Host=None)[0] == 400
    assert page.ask("GET", "/", Host=["127.0.0.1", "evil.example"])[0] in (400, 421)


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:1", "https://127.0.0.1", None, ""]
)
def test_another_site_cannot_post(page, origin):
    """Request forgery: the browser sends the cookie, and the Origin that gives it away."""
    before = page.page.loop.history("ann")
    event = {"client": f"csrf {origin}", "sample": "a.png", "action": "label", "value": "bad"}
    assert page.ask("POST", "/api/record", {"events": [event]}, Origin=origin)[0] == 403
    assert page.page.loop.history("ann") == before
    if origin:
        assert page.ask("GET", "/api/start", Origin=origin)[0] == 403


@pytest.mark.parametrize("site", ["same-site", "cross-site"])
def test_another_site_and_port_cannot_read(page, site):
    for path in ("/api/start", "/media?sample=a.png"):
        assert page.ask("GET", path, Origin=None, Sec_Fetch_Site=site)[0] == 403


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("text/plain", b"{}", 415),
        ("application/x-www-form-urlencoded", b"events=", 415),
        ("multipart/form-data; boundary=x", b"--x--", 415),
        (None, b"{}", 415),
        ("application/json", b"", 400),
        ("application/json", b"[]", 400),
        ("application/json", b'{"events": [], "n": NaN}', 400),
        ("application/json", b"\xff{}", 400),
        ("application/json", b'{"a":' * 60_000, 413),
        ("application/json", b'{"a":' * 50_000, 400),
    ],
)
def test_a_body_is_a_json_object(page, kind, body, status):
    assert page.ask("POST", "/api/record", body, Content_Type=kind)[0] == status


def test_a_body_is_bounded_in_size(page):
    large = b'{"a": "' + b"x" * _security.LARGEST_BODY + b'"}'
    assert page.ask("POST", "/api/record", large)[0] == 413
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in (large[:99_999], large[99_999:]))
    with socket.create_connection(("127.0.0.1", page.port), timeout=10) as raw:
        raw.sendall(
            b"POST /api/record HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nOrigin: http://127.0.0.1:%d\r\n"
            b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\nCookie: %s\r\n\r\n"
            % (page.port, page.port, page.cookie().encode())
            + chunks
            + b"0\r\n\r\n"
        )
        assert raw.recv(100).startswith(b"HTTP/1.1 413")


def test_a_body_is_bounded_in_time(page, monkeypatch):
    monkeypatch.setattr(_security, "BODY_SECONDS", 0.05)
    with socket.create_connection(("127.0.0.1", page.port), timeout=10) as raw:
        raw.sendall(
            b"POST /api/record HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nOrigin: http://127.0.0.1:%d\r\n"
            b"Content-Type: application/json\r\nContent-Length: 10\r\nCookie: %s\r\n\r\n{"
            % (page.port, page.port, page.cookie().encode())
        )
        assert raw.recv(100).startswith(b"HTTP/1.1 408")


def test_a_batch_of_events_is_bounded(page):
    status, _, answer = page.ask("POST", "/api/record", {"events": [{}] * 101})
    assert status == 400
    assert "at most 100" in answer["error"]


def test_requests_are_bounded_in_rate(tmp_path, monkeypatch):
    monkeypatch.setattr(_security, "REQUESTS", (5, 0.001))
    with pages.served(pages.loop_of(tmp_path)) as page:
        found = [page.ask("GET", "/api/start")[0] for _ in range(8)]
        assert found == [200] * 5 + [429] * 3
        assert page.ask("GET", "/api/start", person="bo")[0] == 200


def test_tries_of_tokens_are_bounded_in_rate(tmp_path, monkeypatch):
    monkeypatch.setattr(_security, "TRIES", (3, 0.001))
    with pages.served(pages.loop_of(tmp_path)) as page:
        body = {"token": "guess"}
        found = [page.ask("POST", "/api/enter", body, person=None)[0] for _ in range(5)]
        assert found == [401] * 3 + [429] * 2


def test_a_rate_recovers_and_forgets(monkeypatch):
    now = itertools.count(0, 0.5)
    monkeypatch.setattr(_security.time, "monotonic", lambda: next(now))
    rate = Rate(2, 1.0)
    assert [rate.allows("a") for _ in range(6)] == [True, True, True, False, True, False]
    for name in range(3000):
        rate.allows(str(name))
    assert len(rate._left) <= 1001


def test_a_tab_speaks_for_the_person_who_opened_it(page):
    """Another person's address, opened in the same browser, has changed the cookie."""
    assert page.ask("GET", "/api/start", Labelnext_Person="ann")[0] == 200
    status, _, answer = page.ask("GET", "/api/start", Labelnext_Person="bo")
    assert status == 409
    assert "as ann" in answer["error"]


def test_a_person_may_have_any_name(tmp_path):
    with pages.served(pages.loop_of(tmp_path), people=["Zoë 王"]) as page:
        asked = {"person": "Zoë 王", "Labelnext_Person": "Zo%C3%AB%20%E7%8E%8B"}
        assert page.ask("GET", "/api/start", **asked)[2]["me"] == "Zoë 王"


@pytest.mark.parametrize(
    "sent", [b"", b"GET / HTTP/1.1\r\nHost: a", b"POST /api/take HTTP/1.1\r\n"]
)
def test_whoever_connects_and_asks_for_nothing_is_let_go(tmp_path, monkeypatch, sent):
    monkeypatch.setattr(_security, "REQUEST_SECONDS", 0.3)
    with pages.served(pages.loop_of(tmp_path)) as page, dialled(page) as one:
        one.sendall(sent)
        assert closes(one)


def test_a_header_that_dribbles_holds_no_place(tmp_path, monkeypatch):
    monkeypatch.setattr(_security, "REQUEST_SECONDS", 0.4)
    with pages.served(pages.loop_of(tmp_path)) as page, dialled(page) as one:
        one.sendall(b"GET / HTTP/1.1\r\n")
        for _ in range(200):
            one.sendall(b"X-A: b\r\n")
            time.sleep(0.02)
            if one in select.select([one], [], [], 0)[0]:
                break
        assert closes(one)


def test_a_request_that_is_being_answered_is_not_idle(tmp_path, monkeypatch):
    monkeypatch.setattr(_security, "REQUEST_SECONDS", 0.05)
    loop = pages.loop_of(tmp_path)
    take = type(loop).take
    monkeypatch.setattr(type(loop), "take", lambda *a, **k: time.sleep(0.3) or take(*a, **k))
    with pages.served(loop) as page:
        assert page.post("take", {"n": 1, "tab": "t"})["items"]


def test_idle_connections_shut_nobody_out(tmp_path, monkeypatch):
    """One address has its share of places and no more; others come in."""
    monkeypatch.setattr(_security, "FROM_ADDRESS", 4)
    with pages.served(pages.loop_of(tmp_path)) as page, contextlib.ExitStack() as stack:
        for _ in range(4):
            stack.enter_context(dialled(page))
        assert closes(stack.enter_context(dialled(page)))
        with dialled(page, "127.0.0.2") as other:
            host = f"127.0.0.1:{page.port}"
            other.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            assert other.recv(100).startswith(b"HTTP/1.1 200")
        stack.close()
        until_open(page)


@contextlib.contextmanager
def dialled(page, source="127.0.0.1"):
    with socket.create_connection(("127.0.0.1", page.port), 5, (source, 0)) as one:
        yield one


def closes(one):
    try:
        return one.recv(1) == b""
    except ConnectionError:
        return True


def until_open(page):
    end = time.monotonic() + 5
    while True:
        try:
            return page.get("start")
        except OSError:
            assert time.monotonic() < end


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("10.0.0.1", "10.0.0.2", False),
        ("fe80::1", "fe80::ffff:2", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("::ffff:10.0.0.1", "::ffff:10.0.0.2", False),
    ],
)
def test_the_addresses_of_one_machine(one, other, same):
    assert (_security._network((one, 1)) == _security._network((other, 2))) == same


def test_every_answer_has_the_headers(page):
    answers = [
        page.ask("GET", "/"),
        page.ask("GET", "/page.js"),
        page.ask("GET", "/api/start"),
        page.ask("GET", "/api/start", person=None),
        page.ask("GET", "/nothing"),
        page.ask("GET", "/api/take"),
        page.ask("POST", "/api/take", {"n": "x"}),
    ]
    assert [status for status, *_ in answers] == [200, 200, 200, 401, 404, 405, 400]
    for _, headers, _ in answers:
        assert headers["Content-Security-Policy"] == HEADERS["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert headers["Server"] is None
        assert headers["Access-Control-Allow-Origin"] is None
    policy = HEADERS["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy


def test_a_file_is_found_by_its_sample_alone(page):
    status, headers, content = page.ask("GET", "/media?sample=a.png")
    assert (status, content, headers["Content-Type"]) == (200, PNG, "image/png")
    part = page.ask("GET", "/media?sample=a.png", Range="bytes=1-3")
    assert (part[0], part[2]) == (206, b"PNG")


@pytest.mark.parametrize(
    "sample",
    [
        *("up", "absolute", "link", "folder", "gone", "null", "system", "../secret.png", "c.txt"),
        *("", "nobody", "/etc/passwd", "..%2Fsecret.png", "a.png%00", "files/a.png", "%ff"),
    ],
)
def test_nothing_outside_the_folder_is_ever_sent(page, sample):
    status, _, content = page.ask("GET", f"/media?sample={sample}")
    assert status == 404
    assert set(content) == {"error"}


@pytest.mark.parametrize(
    "path",
    [
        *("/media/a.png", "/media/../page.js", "/media/..%2f..%2fsecret.png", "/../_security.py"),
        *("/page/../_app.py", "/..%2f_app.py", "/page.js/../../_app.py", "//etc/passwd", "/media"),
        *("/%2e%2e/_app.py", "/static/page.js", "/page.json", "/loop.sqlite"),
    ],
)
def test_paths_lead_nowhere(page, path):
    assert page.ask("GET", path)[0] in (400, 404)


def test_svg_and_html_are_sandboxed(page, tmp_path):
    _, headers, content = page.ask("GET", "/media?sample=b.svg")
    assert content == SVG
    documents = pages.Samples(["d"], "html", [HTML])
    with pages.served(pages.loop_of(tmp_path, documents, test=0)) as other:
        _, of_html, content = other.ask("GET", "/media?sample=d")
        assert content == HTML.encode()
    for found in (headers, of_html):
        policy = found["Content-Security-Policy"]
        assert policy.startswith("sandbox;")
        assert "allow-" not in policy
        assert "default-src 'none'" in policy
        assert "script" not in policy
        assert found["X-Content-Type-Options"] == "nosniff"


def test_a_web_socket_is_no_way_in(page):
    with socket.create_connection(("127.0.0.1", page.port), timeout=10) as raw:
        raw.sendall(
            b"GET /api/start HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\n"
            b"Upgrade: websocket\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
            b"Sec-WebSocket-Version: 13\r\n\r\n"
        )
        assert not raw.recv(100).startswith((b"HTTP/1.1 101", b"HTTP/1.1 200"))


NOBODY = f'{{"secret": "{"0" * 64}", "port": 1, "people": "ann"}}'


def test_the_secret_is_its_owners_alone_and_outlives_the_server(tmp_path):
    first = Keys(tmp_path)
    file = tmp_path / _security.KEY_FILE
    if os.name == "posix":
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    first.remember(port=4711)
    again = Keys(tmp_path)
    assert again.port == 4711
    assert again.sign("token", "ann") == first.sign("token", "ann")
    if os.name == "posix":
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [p.name for p in tmp_path.iterdir()] == [file.name]
    file.unlink()
    assert Keys(tmp_path).sign("token", "ann") != first.sign("token", "ann")


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"secret": "00", "port": 1}', '{"secret": 1}', NOBODY]
)
def test_a_damaged_secret_says_what_to_do(tmp_path, content):
    (tmp_path / _security.KEY_FILE).write_text(content)
    with pytest.raises(ValueError, match=r"is damaged.*Remove it"):
        Keys(tmp_path)


def test_signatures_differ_by_person_and_purpose(tmp_path):
    keys = Keys(tmp_path)
    made = [keys.sign(p, n) for p in ("token", "cookie") for n in ("ann", "bo", "")]
    assert len(set(made)) == 6
    assert keys.who("token", made[0], ["bo", "ann"]) == "ann"
    assert keys.who("token", made[0], ["bo"]) is None


def test_another_host_asks_for_people_and_says_that_all_can_read(tmp_path, capsys):
    with pytest.raises(ValueError, match=r"people must name.*not encrypted"):
        server.check_people(None, "0.0.0.0")
    server._announce("it", {"ann": "http://h:1/#token=a", "bo": "http://h:1/#token=b"}, "0.0.0.0")
    said = capsys.readouterr().out
    assert "  ann: http://h:1/#token=a\n  bo: http://h:1/#token=b\n" in said
    assert "not encrypted" in said
    server._announce("it", {"ann": "a"}, "127.0.0.1")
    assert "encrypted" not in capsys.readouterr().out


def test_a_server_for_all_is_asked_by_address_or_its_own_name(tmp_path):
    with pages.served(pages.loop_of(tmp_path), host="0.0.0.0") as page:
        for host in ("192.0.2.7:80", socket.gethostname(), "localhost"):
            assert page.ask("GET", "/api/start", Host=host, Origin=f"http://{host}")[0] == 200
        assert page.ask("GET", "/api/start", Host="evil.example", Origin=None)[0] == 421


def test_a_folder_that_may_not_be_written_is_said(tmp_path, monkeypatch):
    def refuse(path, *_):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(_security.os, "open", refuse)
    with pytest.raises(PermissionError, match=r"Cannot write .*page\.json: permission denied; ch"):
        Keys(tmp_path)
