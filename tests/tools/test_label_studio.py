"""Label Studio over HTTP: what a real one answered, and servers that answer badly."""

import json
import re
import urllib.request

import numpy as np
import pytest

import labelnext
from labelnext.loop import Loop, _schema
from labelnext.tools import LabelStudio, ToolError, label_studio
from studio import TOKEN, Studio, serving

CLASSES = ["good", 'b"ad', "<i>&"]


@pytest.fixture
def loop(tmp_path, monkeypatch):
    """A loop with five samples to ask for, the same at each run."""
    monkeypatch.setattr(_schema, "now", lambda: 1_800_000_000.0)
    samples = [{"id": f"s{i}", "text": f"text <b>{i}</b> & $x"} for i in range(8)]
    loop = Loop.create(tmp_path / "loop", samples, classes=CLASSES, test=2, random_state=0)
    rng = np.random.default_rng(0)
    pool = labelnext.Pool(
        rng.dirichlet(np.ones(3), 8),
        rng.normal(size=(8, 4)),
        ids=[f"s{i}" for i in range(8)],
        classes=CLASSES,
    )
    loop.next(pool, 3, random_state=0)
    return loop


def choices(*names):
    said = {"type": "choices", "value": {"choices": list(names)}}
    return [{"from_name": "label", "to_name": "sample", **said}] if names else []


def test_the_way_there_and_back(loop, monkeypatch):  # noqa: PLR0915 — one way, step by step
    """The whole way, as a real server went it: see studio.py."""
    monkeypatch.setattr(label_studio, "PAGE", 2)
    monkeypatch.setattr(label_studio, "CHUNK", 3)
    studio = Studio()
    with serving(studio.answer) as url:

        def call(method, path, body=None, token=TOKEN):
            request = urllib.request.Request(
                url + path, None if body is None else json.dumps(body).encode(), method=method
            )
            request.add_header("Authorization", f"Token {token}")
            with urllib.request.urlopen(request) as said:
                return json.loads(said.read())

        tool = LabelStudio(url, token=TOKEN, guesses=True)
        assert tool.push(loop) == 5
        assert tool.push(loop) == 0
        project = tool.project
        again = LabelStudio(url, token=TOKEN)  # it finds the project that it made
        assert again.push(loop) == 0
        assert again.project == project
        assert [each["state"] for each in loop.rounds()] == ["open", "open"]

        tasks = call("GET", f"/api/tasks/?project={project}&page_size=99&fields=all")["tasks"]
        asked = [(task["data"]["round"], task["data"]["rank"]) for task in tasks]
        assert asked == [(0, 1), (0, 2), (1, 1), (1, 2), (1, 3)]
        scores = [task["predictions"][0]["score"] for task in tasks]
        assert scores == sorted(set(scores))
        guess = loop.picks(1)[0]["pseudo_label"]
        assert tasks[2]["predictions"][0]["result"][0]["value"] == {"choices": [guess]}
        assert tasks[0]["predictions"][0]["result"] == []  # the test set has no guess
        # Its own order is ours.
        call("PATCH", f"/api/projects/{project}/", {"sampling": "Uncertainty sampling"})
        assert call("GET", f"/api/projects/{project}/next")["id"] == tasks[0]["id"]

        # Nobody has submitted anything: predictions are no labels.
        assert tool.pull(loop) == 0
        bob = call(
            "POST",
            "/api/users/",
            {"email": "bob@example.com", "username": "bob", "password": "secret-pass-2"},
        )

        def annotate(place, *names, **more):
            path = f"/api/tasks/{tasks[place]['id']}/annotations/"
            return call("POST", path, {"result": choices(*names), "lead_time": 2.5, **more})

        first = annotate(0, "good")
        annotate(0, 'b"ad', completed_by=bob["id"])
        annotate(1, was_cancelled=True)
        annotate(2, "<i>&")
        annotate(3)
        draft = {"result": choices("good"), "lead_time": 1}
        call("POST", f"/api/tasks/{tasks[4]['id']}/drafts", draft)

        assert tool.pull(loop) == 5
        assert tool.pull(loop) == 0
        ids = [task["data"]["id"] for task in tasks]
        events = {(e.sample, e.annotator): (e.action, e.value) for e in loop.events()}
        assert events == {
            (ids[0], "ann@example.com"): ("import", "good"),
            (ids[0], "bob@example.com"): ("import", 'b"ad'),
            (ids[1], "ann@example.com"): ("skip", None),
            (ids[2], "ann@example.com"): ("import", "<i>&"),
            (ids[3], "ann@example.com"): ("cannot-tell", None),
        }
        assert loop.events()[0].milliseconds == 2500
        said = {"result": choices('b"ad')}
        call("PATCH", f"/api/annotations/{first['id']}/", said)

        # A personal token gets a short one, and another when that is over.
        personal = LabelStudio(url, token=call("POST", "/api/token/", {})["token"])
        assert personal.pull(loop) == 1
        personal._access = "eyJ.over.0"
        assert personal.pull(loop) == 0
        both = loop.labels(split="all")
        assert both.y[[int(ids[0][1:]), int(ids[2][1:])]].tolist() == ['b"ad', "<i>&"]
        assert len(both.labeled) == 2

        with pytest.raises(ToolError, match="says 401: Invalid token; the token is wrong"):
            LabelStudio(url, token="wrong").pull(loop)
        with pytest.raises(ToolError, match="says 404: No Project matches"):
            LabelStudio(url, 9999, token=TOKEN).push(loop)
        studio.save()
    assert not studio.left


def project(**more):
    """A project as the server tells of it."""
    control = {"type": "Choices", "to_name": ["sample"], "labels": CLASSES}
    control["inputs"] = [{"type": "Text", "value": "text"}]
    return {"id": 3, "parsed_label_config": {"label": {**control, **more}}}


def server(tasks=(), /, **answers):
    """A server with a project and tasks; `answers` takes the place of what a path would answer."""
    usual = {
        "projects": (200, project()),
        "users": (200, [{"id": 1, "email": "ann@example.com"}]),
        "tasks": (200, {"tasks": list(tasks), "total": len(tasks)}),
        "import": (201, {"task_count": 5}),
    } | answers
    asked = []

    def answer(method, path, body, headers):
        asked.append((method, path, body, headers))
        name = "import" if path.endswith("/import") else path.split("/")[2]
        said = usual[name]
        return said(path) if callable(said) else said

    answer.asked = asked
    return answer


def task(loop, place, *names, key=None, **more):
    from labelnext.loop.receive import asked

    of = asked(loop)[place]
    annotation = {"id": place, "result": choices(*names), "completed_by": 1, "updated_at": "2026"}
    data = {"labelnext": key or of.key, "text": "a"}
    return {"id": place, "project": 3, "data": data, "annotations": [annotation | more]}


BAD = {
    "401": ({"tasks": (401, {"detail": "Invalid token."})}, "says 401: Invalid token; the token"),
    "403": ({"tasks": (403, {"detail": "No."})}, "says 403: No; the token's owner may not"),
    "404": ({"projects": (404, b"<html>")}, "says 404: Not Found; there is no such project"),
    "500": ({"tasks": (500, b"oops")}, "says 500: Internal Server Error; nothing was written"),
    "no json": ({"tasks": (200, b"<html>")}, r"sends no JSON but b'<html>'"),
    "a list": ({"tasks": (200, [])}, "has no list of tasks"),
    "no users": ({"users": (200, {})}, "sends no list"),
    "half an answer": (
        {"tasks": (200, b'{"tasks"', {"Content-Length": "999"})},
        "broke off half way; nothing was written",
    ),
    "nothing": ({"tasks": (None, b"")}, "does not answer"),
    "half a page": ({"tasks": (200, {"tasks": [], "total": 7})}, "has 7 tasks and sends 0"),
    "elsewhere": (
        {"projects": (302, b"", {"Location": "http://other.example/"})},
        "leads to http://other.example/; give that address itself",
    ),
    "odd tasks": ({"tasks": (200, {"tasks": [{"id": 1}], "total": 1})}, "a task without data"),
}
ASKS_NO_USERS = ("push", "no users")


@pytest.mark.parametrize(
    ("verb", "name"),
    [(verb, name) for verb in ("push", "pull") for name in BAD if (verb, name) != ASKS_NO_USERS],
)
def test_a_server_that_answers_badly_is_a_clear_error_and_nothing_is_written(loop, verb, name):
    answers, complaint = BAD[name]
    before = loop.events(), loop.rounds()
    answer = server([task(loop, 0, "good")], **answers)
    with serving(answer) as url:
        tool = LabelStudio(url, 3, token=TOKEN, timeout=5)
        with pytest.raises(ToolError, match=complaint) as caught:
            getattr(tool, verb)(loop)
    assert TOKEN not in str(caught.value)
    assert (loop.events(), loop.rounds()) == before


def test_a_server_that_is_not_there(loop):
    with serving(server()) as url:
        pass
    with pytest.raises(ToolError, match=r"does not answer: .*refused; is it running"):
        LabelStudio(url, 3, token=TOKEN).pull(loop)


def test_one_wrong_label_writes_none(loop):
    tasks = [task(loop, 0, "good"), task(loop, 1, "unheard of")]
    with serving(server(tasks)) as url:
        tool = LabelStudio(url, 3, token=TOKEN)
        with pytest.raises(ValueError, match=r"'unheard of' is none of the classes.*Nothing was"):
            tool.pull(loop)
    assert loop.events() == []


def test_tasks_of_others_are_left_alone(loop):
    other = task(loop, 1, "good", key="000000000000/1/s1")
    with serving(server([task(loop, 0, "good"), other, task(loop, 2, "good", key=7)])) as url:
        assert LabelStudio(url, 3, token=TOKEN).pull(loop) == 1
    with serving(server([other])) as url, pytest.raises(ValueError, match="none is of this loop"):
        LabelStudio(url, 3, token=TOKEN).pull(loop)


def test_the_later_annotation_of_a_person_counts(loop):
    one, other = task(loop, 0, "good"), task(loop, 0, 'b"ad')
    one["annotations"] += other["annotations"]
    one["annotations"][0] |= {"updated_at": "2026-02", "id": 8}
    one["annotations"][1] |= {"updated_at": "2026-01", "id": 9}
    with serving(server([one])) as url:
        assert LabelStudio(url, 3, token=TOKEN).pull(loop) == 2
        assert LabelStudio(url, 3, token=TOKEN).pull(loop) == 0
    assert [event.value for event in loop.events()] == ['b"ad', "good"]
    assert loop.labels(split="all").y[loop.labels(split="all").labeled].tolist() == ["good"]


def test_what_broke_off_is_sent_by_the_next_push(loop, monkeypatch):
    monkeypatch.setattr(label_studio, "CHUNK", 2)
    there, fail = [], [False, True, False, False]

    def bring(path):
        if fail.pop(0):
            return 500, b"oops"
        part = answer.asked[-1][2]
        there.extend({"id": len(there) + i, "data": each["data"]} for i, each in enumerate(part))
        return 201, {"task_count": len(part)}

    answer = server(
        **{
            "import": bring,
            "tasks": lambda path: (200, {"tasks": there, "total": len(there)}),
        }
    )
    with serving(answer) as url:
        tool = LabelStudio(url, 3, token=TOKEN)
        with pytest.raises(ToolError, match="says 500"):
            tool.push(loop)
        assert len(there) == 2
        assert tool.push(loop) == 3
    keys = [each["data"]["labelnext"] for each in there]
    assert len(set(keys)) == len(keys) == 5


@pytest.mark.parametrize(
    ("config", "complaint"),
    [
        ({"labels": ["good"]}, "must have a control Choices with the choices"),
        ({"type": "Labels"}, "must have a control Choices"),
        (
            {"inputs": [{"value": "body"}]},
            "shows 'body', and this loop's samples are called 'text'",
        ),
    ],
)
def test_a_project_that_asks_for_something_else_is_refused(loop, config, complaint):
    answer = server(projects=(200, project(**config)))
    with serving(answer) as url, pytest.raises(ValueError, match=complaint) as caught:
        LabelStudio(url, 3, token=TOKEN).push(loop)
    assert '<Choices name="label" toName="sample"' in str(caught.value)
    assert not any(path.endswith("/import") for _, path, *_ in answer.asked)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("localhost:8080",), "url must be like http://localhost:8080"),
        (("http://localhost:8080",), "wants a token: create one there"),
        (("http://localhost:8080", None, "eyJabc.def"), "the beginning of a personal access"),
        (("http://localhost:8080", None, "a b"), "characters that no token has"),
    ],
)
def test_arguments(arguments, complaint, monkeypatch):
    monkeypatch.delenv("LABEL_STUDIO_API_KEY", raising=False)
    url, project, token = (*arguments, None, None)[:3]
    with pytest.raises(ValueError, match=re.escape(complaint)):
        LabelStudio(url, project, token=token)


def test_the_token_may_be_in_the_environment_and_is_never_shown(monkeypatch):
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", TOKEN)
    assert TOKEN not in repr(LabelStudio("http://localhost:8080"))
