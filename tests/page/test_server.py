"""What the page asks for, and how it is served."""

import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest

import labelnext
import pages
from labelnext.page import server
from labelnext.page._app import Page
from labelnext.page._security import Keys
from labelnext.report.summary import called


def page_of(loop, people=("ann", "bo"), train=None):
    return Page(loop, people, Keys(loop.folder), train)


def event(sample, value="good", client=None, action="label", **more):
    client = client or f"{sample} {value} {action}"
    return {"client": client, "sample": sample, "action": action, "value": value, **more}


@pytest.fixture
def loop(tmp_path):
    return pages.loop_of(tmp_path)


@pytest.fixture
def predicted(tmp_path):
    """A loop with a model's batch: a third drawn at random."""
    loop = pages.loop_of(tmp_path, test=0)
    ids = loop.samples().ids
    rng = np.random.default_rng(0)
    proba = rng.dirichlet([1, 1], len(ids))
    pool = labelnext.Pool(proba, rng.normal(size=(len(ids), 3)), ids=ids, classes=["good", "bad"])
    loop.next(pool, 30, random=1 / 3, random_state=0)
    return loop


def test_what_a_tab_begins_with(tmp_path):
    loop = pages.loop_of(
        tmp_path, guidelines="# Rules\n\n<b onclick=x>no</b> [a](javascript:x) ![p](http://x/y.png)"
    )
    found = page_of(loop).start("ann", {})
    assert found["me"] == "ann"
    assert found["classes"] == ["good", "bad"]
    assert "<h1>Rules</h1>" in found["guidelines"]
    assert "<b" not in found["guidelines"]
    assert "href" not in found["guidelines"]
    assert called(loop) == tmp_path.name


def test_items_say_why_and_nothing_of_what_others_said(predicted):
    page = page_of(predicted)
    items = page.take("ann", {"n": 30, "tab": "t"})["items"]
    assert len(items) == 30
    assert {item["pick"] for item in items} == {"strategy", "random"}
    assert {item["guess"] for item in items} == {"good", "bad"}
    assert all(item["content"].startswith("Review") for item in items)
    assert set(items[0]) == {
        *("key", "id", "kind", "content", "round", "rank", "pick", "guess", "d2", "nearest"),
    }


def test_two_tabs_show_different_samples_and_a_reload_the_same(loop):
    page = page_of(loop)
    one = [item["key"] for item in page.take("ann", {"n": 8, "tab": "1"})["items"]]
    two = [item["key"] for item in page.take("ann", {"n": 8, "tab": "2"})["items"]]
    assert not set(one) & set(two)
    more = [i["key"] for i in page.take("ann", {"n": 8, "tab": "1", "have": one[4:]})["items"]]
    assert not set(more) & (set(one[4:]) | set(two))
    page.release("ann", {"tab": "1"})
    page.release("ann", {"tab": "2"})
    again = [item["key"] for item in page.take("ann", {"n": 8, "tab": "3"})["items"]]
    assert again == one
    # Another server knows nothing of tabs, and gives the same as well.
    assert [i["key"] for i in page_of(loop).take("ann", {"n": 8, "tab": "4"})["items"]] == one


def test_where_nothing_else_is_left_a_forgotten_tab_holds_nothing_back(loop):
    page = page_of(loop)
    held = page.take("ann", {"n": 30, "tab": "gone"})["items"]
    assert len(held) == 30
    assert page.take("ann", {"n": 8, "tab": "new"})["items"] == held[:8]


def test_two_people_are_asked_of_different_samples(loop):
    page = page_of(loop)
    both = [
        item["key"]
        for person in ("ann", "bo")
        for item in page.take(person, {"n": 15, "tab": person})["items"]
    ]
    assert len(set(both)) == 30


def test_decisions_are_written_once_whatever_is_sent_again(loop):
    page = page_of(loop)
    sent = [
        event("1", client="c"),
        event("2", "bad", milliseconds=900),
        event("3", None, action="skip"),
    ]
    assert page.record("ann", {"events": sent}) == {"results": [{}, {}, {}]}
    assert page.record("ann", {"events": sent}) == {"results": [{}, {}, {}]}
    assert [(e.sample, e.value, e.source) for e in loop.events()] == [
        *(("1", "good", "page"), ("2", "bad", "page"), ("3", None, "page")),
    ]


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (event("nobody"), "nobody"),
        (event("1", "ugly"), "ugly"),
        (event("1", 7), "7"),
        (event("1", action="import"), "import"),
        ({"client": "c", "action": "label"}, "sample is missing"),
        ({"sample": "1", "action": "label"}, "client is missing"),
        (event("1", milliseconds=-1), "milliseconds"),
        (event("1", client=["a"]), "client"),
        (event(["1"]), "sample"),
        ("text", ""),
    ],
)
def test_one_wrong_decision_stops_no_other(loop, wrong, why):
    page = page_of(loop)
    results = page.record("ann", {"events": [event("1"), wrong, event("2")]})["results"]
    assert [set(r) for r in results] == [set(), {"error"}, set()]
    assert why in results[1]["error"]
    assert [e.sample for e in loop.events()] == ["1", "2"]


def test_undo_gives_back_sample_and_value_until_nothing_is_left(loop):
    page = page_of(loop)
    first, second = page.take("ann", {"n": 2, "tab": "t"})["items"]
    page.record("ann", {"events": [event(first["id"]), event(second["id"], "bad")]})
    undo = {"client": "u1", "action": "undo"}
    for _ in range(2):  # the second time is a retry
        (result,) = page.record("ann", {"events": [undo]})["results"]
        assert result["undone"]["item"] | {"rank": 0} == second | {"rank": 0}
        assert (result["undone"]["action"], result["undone"]["value"]) == ("label", "bad")
    (result,) = page.record("ann", {"events": [undo | {"client": "u2"}]})["results"]
    assert result["undone"]["item"]["key"] == first["key"]
    (result,) = page.record("ann", {"events": [undo | {"client": "u3"}]})["results"]
    assert result == {"undone": None}


def test_the_history_is_ones_own_and_comes_in_parts(loop):
    page = page_of(loop)
    page.record("bo", {"events": [event("0")]})
    page.record("ann", {"events": [event(str(i % 30), client=f"c{i}") for i in range(60)]})
    page.record("ann", {"events": [event("1", None, action="comment", comment="<b>")]})
    page.record("ann", {"events": [{"client": "u", "action": "undo"}]})
    first = page.history("ann", {})
    rest = page.history("ann", {"skip": str(first["more"])})
    events = first["events"] + rest["events"]
    assert len(events) == 61
    assert rest["more"] is None
    assert (events[0]["comment"], events[0]["undone"]) == ("<b>", True)
    assert events[1]["item"]["content"] == pages.TEXTS[29]


def test_the_grid_has_one_predicted_class_and_nothing_that_was_drawn(predicted):
    page = page_of(predicted)
    counts = {one["name"]: one["left"] for one in page.guesses("ann", {})["classes"]}
    assert sum(counts.values()) == 20
    items = page.take("ann", {"n": 100, "tab": "g", "guess": "good"})["items"]
    assert len(items) == counts["good"]
    assert {(item["guess"], item["pick"]) for item in items} == {("good", "strategy")}
    # Nobody else is asked for what one looks at, and what is confirmed is gone.
    assert {one["name"] for one in page.guesses("bo", {})["classes"]} == {"bad"}
    page.record("ann", {"events": [event(item["id"]) for item in items[:-1]]})
    left = {one["name"]: one["left"] for one in page.guesses("ann", {})["classes"]}
    assert left == {"bad": counts["bad"], "good": 1}


def test_who_agrees_and_what_is_to_be_settled(loop):
    page = page_of(loop)
    for person, values in {"ann": "gggb", "bo": "ggbb"}.items():
        names = {"g": "good", "b": "bad"}
        page.record(
            person,
            {"events": [event(str(i), names[v], f"{person}{i}") for i, v in enumerate(values)]},
        )
    found = page.conflicts("cyd", {})
    assert found["n"] == 1
    assert found["conflicts"][0]["item"]["id"] == "2"
    assert found["conflicts"][0]["votes"] == [
        {"annotator": "ann", "value": "good"},
        {"annotator": "bo", "value": "bad"},
    ]
    assert found["pairs"] == [{"people": ("ann", "bo"), "n": 4, "same": 0.75, "kappa": None}]
    page.record("cyd", {"events": [event("2", "bad", action="adjudicate")]})
    assert page.conflicts("cyd", {})["conflicts"] == []
    assert loop.labels(split="all").y[2] == "bad"


def test_how_it_goes(predicted):
    page = page_of(predicted)
    items = page.take("ann", {"n": 4, "tab": "t"})["items"]
    page.record("ann", {"events": [event(i["id"], milliseconds=1500) for i in items]})
    at = page.progress("ann", {"tab": "t", "all": "1"})["progress"]
    assert at["measured"].startswith("Not measured yet. This loop has no test set")
    assert "labelnext" not in at["measured"]  # the page has buttons
    predicted.close({"test": {"accuracy": 0.8}, "other": {"x": 1.0}})
    at = page.progress("ann", {"tab": "t", "all": "1"})["progress"]
    assert at["classes"] == {"good": 4, "bad": 0}
    assert (at["rate"], at["seconds"], at["labelled"]) == (4, 1.5, 4)
    assert [(p["name"], p["decided"]) for p in at["people"]] == [("ann", 4), ("bo", 0)]
    page.record("ann", {"events": [event(items[0]["id"], action="undo", client="undo")]})
    again = page.progress("ann", {"tab": "t", "all": "1"})["progress"]["people"]
    assert [(p["name"], p["decided"]) for p in again] == [("ann", 3), ("bo", 0)]
    named = {"name": "accuracy on the test set", "round": 1, "share": True}
    assert at["curve"] == [named | {"labels": 4, "value": 0.8}]
    assert at["measured"] == "Newest score: accuracy 80.0\u00a0% on the test set, with 4 labels."
    predicted.score({"accuracy": 0.3, "macro_f1": 0.2}, model="default")
    at = page.progress("ann", {"tab": "t", "all": "1"})["progress"]
    assert {point["name"]: point["value"] for point in at["curve"]} == {
        "accuracy on the test set, of the default model": 0.3,
        "macro F1 on the test set, of the default model": 0.2,
        "accuracy on the test set, of a model without a name": 0.8,
    }


def test_the_round_counts_the_answers_of_all_whom_it_asks(tmp_path):
    page = page_of(pages.loop_of(tmp_path, overlap=1.0))
    assert page.progress("ann", {})["progress"]["total"] == 60
    sample = page.take("ann", {"n": 1, "tab": "t"})["items"][0]["id"]
    page.record("ann", {"events": [event(sample)]})
    at = page.progress("ann", {})["progress"]
    assert (at["decided"], at["left"]) == (1, 59)


def until(condition):
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_training_is_a_process_of_its_own_and_runs_once(loop):
    code = "import os; print(os.getpid(), flush=True); input()"
    page = page_of(loop, train=[sys.executable, "-c", code])
    assert page.train("ann", {})["state"] == "running"
    running = page._training
    assert page.train("bo", {})["state"] == "running"
    assert page._training is running
    # It has no standard input to wait for.
    until(lambda: page.progress("ann", {})["training"]["state"] == "failed")
    log = page.progress("ann", {})["training"]["log"]
    assert log.startswith(str(running.pid))
    assert "EOFError" in log
    page._train = [sys.executable, "-c", "print('chosen')"]
    page.train("ann", {})
    until(lambda: page.progress("ann", {})["training"] == {"state": "done", "log": "chosen\n"})


def test_whoever_asks_for_the_batch_after_a_round_that_is_over_gets_none(loop):
    page = page_of(loop, train=[sys.executable, "-c", "print('again')"])
    assert page.train("bo", {"round": 7})["state"] == "none"
    assert page.train("bo", {"round": None})["state"] == "none"
    assert page.train("ann", {"round": 0})["state"] == "running"
    page.stop()


@pytest.mark.skipif(sys.platform == "win32", reason="without fcntl nobody knows")
def test_training_that_outlives_its_server_is_not_started_twice(loop):
    """A server that is killed leaves it running; the next one knows."""
    code = "import time; print('begun', flush=True); time.sleep(30)"
    page = page_of(loop, train=[sys.executable, "-c", code])
    page.train("ann", {"round": 0})
    other = page_of(loop, train=[sys.executable, "-c", "raise SystemExit(3)"])
    until(lambda: "begun" in other.train("bo", {"round": 0})["log"])
    assert other.train("bo", {"round": 0})["state"] == "running"
    page.stop()
    assert other.progress("bo", {})["training"] == {"state": "none", "log": ""}
    other.train("bo", {"round": 0})
    until(lambda: other.progress("bo", {})["training"]["state"] == "failed")


def test_an_undo_of_what_was_refused_takes_nothing_back(loop):
    page = page_of(loop)
    page.record("ann", {"events": [event("1", client="taken")]})
    sent = [event("nobody", client="refused"), {"client": "u", "action": "undo", "of": "refused"}]
    assert page.record("ann", {"events": sent})["results"][1] == {"undone": None}
    undo = {"client": "v", "action": "undo", "of": "taken"}
    (result,) = page.record("ann", {"events": [undo]})["results"]
    assert result["undone"]["item"]["id"] == "1"


def test_a_server_that_stops_ends_training(loop):
    page = page_of(loop, train=[sys.executable, "-c", "import time; time.sleep(60)"])
    page.train("ann", {})
    page.stop()
    assert page._training.returncode is not None


def test_a_program_that_is_not_there_is_said(loop):
    with pages.served(loop, train=["/nowhere/train"]) as page:
        status, _, answer = page.ask("POST", "/api/train", {})
        assert status == 503
        assert "/nowhere/train" in answer["error"]


def test_without_a_program_the_command_chooses_next(loop):
    command = page_of(loop)._train
    assert command[1:] == ["-m", "labelnext", "loop", "next", "--loop", str(loop.folder)]


def test_an_image_that_is_not_there_is_shown_as_such(tmp_path):
    samples = pages.files_of(tmp_path, {"a.png": b"x", "b.png": b"x"})
    (samples.root / "a.png").unlink()
    page = page_of(pages.loop_of(tmp_path, samples, test=1))
    shown = {i: page.item("ann", {"sample": i})["item"] for i in ("a.png", "b.png")}
    assert "a.png is not there" in shown["a.png"]["error"]
    assert "error" not in shown["b.png"]
    assert shown["b.png"]["media"] == "media?sample=b.png"


def test_files_that_have_moved_are_shown_once_it_is_said_where_they_are(tmp_path):
    samples = pages.files_of(tmp_path, {"a.png": b"x", "b.png": b"y"})
    loop = pages.loop_of(tmp_path, samples, test=1)
    with pages.served(loop) as page:
        moved = samples.root.rename(tmp_path / "moved")
        assert page.ask("GET", "/media?sample=a.png")[0] == 404
        loop.change(root=moved)
        status, _, content = page.ask("GET", "/media?sample=a.png")
        assert (status, content) == (200, b"x")


def test_a_tiff_is_sent_as_a_png(tmp_path):
    from PIL import Image

    samples = pages.files_of(tmp_path, {"a.tif": b"", "b.tif": b"no picture"})
    Image.new("L", (3, 2)).save(samples.root / "a.tif")
    with pages.served(pages.loop_of(tmp_path, samples, test=1)) as page:
        _, headers, content = page.ask("GET", "/media?sample=a.tif")
        assert headers["Content-Type"] == "image/png"
        assert content.startswith(b"\x89PNG")
        assert page.ask("GET", "/media?sample=b.tif")[0] == 404


def test_rows_come_with_their_columns(tmp_path):
    rows = pages.Samples(["r0", "r1"], "row", ['{"age": 3, "name": "<b>"}', "{}"])
    page = page_of(pages.loop_of(tmp_path, rows, classes=None, task="regression", test=1))
    assert page.item("ann", {"sample": "r0"})["item"]["content"] == {"age": 3, "name": "<b>"}
    page.record("ann", {"events": [event("r0", 2.5)]})
    assert page.progress("ann", {"all": "1"})["progress"]["classes"] == {}


@pytest.mark.parametrize("people", [[], ["a", "a"], [""], ["a\nb"], [7]])
def test_people_are_different_names(people):
    with pytest.raises(ValueError, match="people must be"):
        server.check_people(people, "127.0.0.1")


def test_alone_one_is_oneself(monkeypatch):
    monkeypatch.setattr("getpass.getuser", lambda: "eve")
    assert server.check_people(None, "127.0.0.1") == ["eve"]
    monkeypatch.setattr("getpass.getuser", lambda: {}["none"])
    assert server.check_people(None, "localhost") == ["me"]
    assert server.check_people("ann", "127.0.0.1") == ["ann"]


def test_a_port_that_is_taken_says_what_to_do(loop):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(OSError, match=rf"Port {port} .*choose another port, or 0"):
            server.serve(loop, port=port, open_browser=False)
        # The last port is a wish.
        with server._listen("127.0.0.1", 0, port) as found:
            assert found.getsockname()[1] != port


@pytest.mark.parametrize("port", [-1, 70_000])
def test_a_port_that_is_none(port):
    with pytest.raises(OSError, match=f"Port {port} "):
        server._listen("127.0.0.1", port, 0)


def test_answers_are_sent_at_once():
    """Without its protocol asyncio would let an answer of two parts wait 40 ms."""
    with server._listen("127.0.0.1", 0, 0) as found:
        assert found.proto == socket.IPPROTO_TCP


def test_a_host_that_is_not_this_machine():
    with pytest.raises(OSError, match="no address of this machine"):
        server._listen("no.such.host.invalid", 0, 0)
    with pytest.raises(OSError, match=r"Port 0 of 192\.0\.2\.1 cannot be had"):
        server._listen("192.0.2.1", 0, 0)


def test_addresses():
    assert server._address("::1", 80, "t") == "http://[::1]:80/#token=t"
    assert server._address("0.0.0.0", 80, "t") == f"http://{socket.gethostname()}:80/#token=t"


def answer(address):
    with urllib.request.urlopen(address, timeout=20) as found:
        assert found.status == 200


def test_served_from_the_first_to_ctrl_c_and_again_on_its_port(loop):
    code = (
        "import labelnext, sys\nfrom labelnext.page import serve\n"
        f"serve(labelnext.open_loop({str(loop.folder)!r}), open_browser=False, people=['ann'])"
    )
    said = []
    for _ in range(2):
        with subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as one:
            lines = [one.stdout.readline() for _ in range(3)]
            answer(lines[1].split()[1])
            one.send_signal(signal.SIGINT)
            _, errors = one.communicate(timeout=20)
            assert (one.returncode, errors) == (0, "")
            said.append(lines)
    assert said[0] == said[1]
    assert said[0][1].startswith("  ann: http://127.0.0.1:")


def test_the_people_of_the_last_time_are_served_again(loop, monkeypatch, capsys):
    monkeypatch.setattr("uvicorn.Server.run", lambda server, sockets: None)

    def served(**options):
        server.serve(loop, open_browser=False, **options)
        said = capsys.readouterr().out
        return re.findall(r"^  (\w+): http", said, re.MULTILINE), "of the last time" in said

    monkeypatch.setattr("getpass.getuser", lambda: "eve")
    assert served() == (["eve"], False)
    assert served(people=["ann", "bo"]) == (["ann", "bo"], False)
    assert served() == (["ann", "bo"], True)
    assert served(people=["bo"]) == (["bo"], False)
    assert served() == (["bo"], True)


def test_the_browser_is_given_a_file_and_no_token(monkeypatch):
    opened = threading.Event()
    seen = []

    def browse(address):
        seen.append((address, Path(address.removeprefix("file://")).read_text()))
        opened.set()

    monkeypatch.setattr("webbrowser.open", browse)
    with server._opened("http://127.0.0.1:1/#token=secret"):
        assert opened.wait(10)
    (address, content), *_ = seen
    assert "secret" not in address
    assert 'url=http://127.0.0.1:1/#token=secret"' in content
    assert not Path(address.removeprefix("file://")).exists()


def test_ctrl_c_before_the_server_has_begun_ends_it(loop, monkeypatch, capsys):
    import uvicorn

    run = uvicorn.Server.run

    def interrupted(self, sockets=None):
        signal.raise_signal(signal.SIGINT)
        return run(self, sockets)

    monkeypatch.setattr(uvicorn.Server, "run", interrupted)
    # What a shell starts in the background does not listen to Ctrl-C.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        server.serve(loop, open_browser=False)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
    assert capsys.readouterr().out.endswith("Ctrl-C stops.\n")


def test_where_all_is_answered_the_latest_round_shows(tmp_path):
    loop = pages.loop_of(tmp_path, test=2)
    page = page_of(loop)
    assert page.progress("ann", {})["progress"]["first"]
    for n in (1, 2):
        loop.next(labelnext.Pool(features=np.eye(40), ids=loop.samples().ids), n, random_state=0)
    at = page.progress("ann", {})["progress"]
    assert (at["round"], at["first"]) == (0, False)
    assert [(r["round"], r["picks"], r["left"]) for r in at["rounds"]] == [
        *((0, 2, 2), (1, 1, 1), (2, 2, 2)),
    ]
    for item in page.take("ann", {"n": 10, "tab": "t"})["items"]:
        page.record("ann", {"events": [event(item["id"])]})
    at = page.progress("bo", {})["progress"]
    assert (at["round"], at["left"]) == (2, 0)


def test_a_person_alone_is_told_of_what_waits_for_a_second(tmp_path):
    loop = pages.loop_of(tmp_path, test=4, overlap=0.5)
    page = page_of(loop, people=["ann"])
    said = page.start("ann", {})["with_another"]
    assert said == "labelnext loop label --people ann,NAME"
    assert page_of(loop).start("ann", {})["with_another"] is None
    taken = page.take("ann", {"n": 10, "tab": "t"})
    assert "waiting" not in taken
    for item in taken["items"]:
        page.record("ann", {"events": [event(item["id"])]})
    assert page.take("ann", {"n": 10, "tab": "t"}) == {"items": [], "waiting": 2}
    assert page.take("bo", {"n": 1, "tab": "t"})["items"]


def test_each_answer_says_which_classes_there_are(tmp_path):
    loop = pages.loop_of(tmp_path)
    with pages.served(loop) as page:
        before = page.get("start")["version"]
        _, headers, _ = page.ask("POST", "/api/take", {"n": 1, "tab": "t"})
        assert headers["Labelnext-Classes"] == before
        loop.change(classes=["good", "bad", "odd"])
        _, headers, _ = page.ask("GET", "/api/progress")
        assert headers["Labelnext-Classes"] == page.get("start")["version"] != before
