"""Labelling tools by files: there and back, as often as one likes, and nothing half."""

import csv
import json
import os
import re
import zipfile

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import labelnext
from labelnext.loop import Loop
from labelnext.loop.receive import Answer, Heard, asked, identity, receive
from labelnext.samples import Samples
from labelnext.tools import FORMATS, File
from labelnext.tools.export import export

TEXTS = [{"id": f"s{i}", "text": f'=text, {i}\n"&<b>'} for i in range(6)]


@pytest.fixture
def loop(tmp_path):
    """A loop with a test set of two and a round of three."""
    loop = Loop.create(tmp_path / "l", TEXTS, classes=["good", "bad"], test=2, random_state=0)
    rng = np.random.default_rng(0)
    ids = [each["id"] for each in TEXTS]
    proba, features = rng.dirichlet(np.ones(2), 6), rng.normal(size=(6, 3))
    pool = labelnext.Pool(proba, features, ids=ids, classes=["good", "bad"])
    loop.next(pool, 3, random_state=0)
    return loop


NAMES = {"csv": "b.csv", "jsonl": "b.jsonl", "label-studio": "b.json", "prodigy": "p.jsonl"}
NAMES |= {"argilla": "a.jsonl", "cvat": "c.zip"}
OF_TEXTS = [name for name in FORMATS if name != "cvat"]


def tool(tmp_path, name, **options):
    return File(tmp_path / NAMES[name], name, **options)


def said(content, name, labels):
    """Fill in what people say, in order, as each tool would write it."""
    if name == "csv":
        rows = list(csv.DictReader(content.splitlines(keepends=True)))
        for row, label in zip(rows, labels, strict=False):
            row["label"], row["annotator"] = label, "ann"
        lines = [list(rows[0]), *(list(row.values()) for row in rows)]
        quoted = [";".join('"' + f"{v}".replace('"', '""') + '"' for v in line) for line in lines]
        return "\ufeff" + "\r\n".join(quoted) + "\r\n"  # as a spreadsheet saves it
    if name == "label-studio":
        tasks = json.loads(content)
        for place, (task, label) in enumerate(zip(tasks, labels, strict=False)):
            choices = {"from_name": "label", "type": "choices", "value": {"choices": [label]}}
            task["annotations"] = [
                {"id": place, "result": [choices], "completed_by": {"email": "ann"}}
            ]
        return json.dumps(tasks)
    records = [json.loads(line) for line in content.splitlines()]
    for record, label in zip(records, labels, strict=False):
        if name == "argilla":  # as its records are with to_list(flatten=True)
            more = {"responses": [label, "bad"], "responses.users": ["ann", "bob"]}
            more |= {"responses.status": ["submitted", "draft"], "suggestion": "bad"}
            record |= {f"label.{key}": value for key, value in more.items()}
        elif name == "jsonl":
            record |= {"label": label, "annotator": "ann"}
        else:
            record |= {"answer": "accept", "accept": [label], "_annotator_id": "ann"}
            record |= {"_timestamp": 17}
    return "".join(json.dumps(record) + "\n" for record in records)


@pytest.mark.parametrize("name", OF_TEXTS)
def test_there_and_back(loop, tmp_path, name):
    file = tool(tmp_path, name)
    order = [task.id for task in asked(loop)]
    assert file.push(loop) == 5
    assert [each["state"] for each in loop.rounds()] == ["open", "open"]
    assert file.pull(loop) == 0  # nobody has said anything
    file.path.write_text(said(file.path.read_text("utf-8"), name, ["good", "bad", "good"]))
    found = file.pull(loop)
    assert found == 3
    assert found.said() == "3 new answers; left out: 2 without an answer"
    assert file.pull(loop).said().startswith("0 new answers, 3 known already; left out: 2 with")
    values = {event.sample: (event.value, event.annotator) for event in loop.events()}
    expected = zip(order[:3], [("good", "ann"), ("bad", "ann"), ("good", "ann")], strict=True)
    assert values == dict(expected)
    assert loop.events()[0].source == name
    # What is answered is not asked again.
    assert tool(tmp_path, name).push(loop, overwrite=True) == 2


@pytest.mark.parametrize("name", OF_TEXTS)
def test_what_is_of_another_loop_is_counted(loop, tmp_path, name):
    file, other = tool(tmp_path, name), Loop.create(tmp_path / "o", TEXTS, classes=["a", "b"])
    file.push(loop)
    content = said(file.path.read_text("utf-8"), name, ["good"])
    file.path.write_text(
        content.replace(identity(loop), identity(other)).replace(identity(other), identity(loop), 2)
    )
    assert file.pull(loop).left_out == {"without an answer": 1, "not of this loop": 3}


@pytest.mark.parametrize("name", OF_TEXTS)
def test_one_wrong_label_writes_none(loop, tmp_path, name):
    file = tool(tmp_path, name)
    file.push(loop)
    file.path.write_text(said(file.path.read_text("utf-8"), name, ["good", "unheard of"]))
    with pytest.raises(ValueError, match=r"1 of 2 labels cannot be taken.*Nothing was written"):
        file.pull(loop)
    assert loop.events() == []


@pytest.mark.parametrize("name", OF_TEXTS)
def test_a_file_of_another_loop_is_refused(loop, tmp_path, name):
    file = tool(tmp_path, name)
    file.push(loop)
    other = Loop.create(tmp_path / "other", TEXTS, classes=["good", "bad"], test=2)
    with pytest.raises(ValueError, match=r"has nothing of this loop: nothing in it is named"):
        file.pull(other)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(
    "content", [b"\xff\xfe", b"{", b"[1, 2]", b"null", b'{"data": 1}', b'[{"data": {}}]', b""]
)
def test_a_file_that_is_something_else_is_one_error(loop, tmp_path, name, content):
    file = tool(tmp_path, name)
    file.path.write_bytes(content)
    with pytest.raises(ValueError, match=r"cannot be read as|has nothing of this loop|has no row"):
        file.pull(loop)


def test_half_a_file_is_refused_whole(loop, tmp_path):
    file = tool(tmp_path, "jsonl")
    file.push(loop)
    content = said(file.path.read_text("utf-8"), "jsonl", ["good"] * 5)
    file.path.write_text(content[:-20])
    with pytest.raises(ValueError, match=r"line 5: .*Nothing was written"):
        file.pull(loop)
    assert loop.events() == []


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("csv", "id,label\ns3,good\ns1,bad\ns2,\n"),
        ("jsonl", '{"id": "s3", "label": "good"}\n{"id": "s1", "label": "bad"}\n{"id": "s2"}\n'),
    ],
)
def test_labels_that_are_there_already_come_in_by_id(loop, tmp_path, name, content):
    file = tool(tmp_path, name)
    file.path.write_text(content)
    assert (file.pull(loop), file.pull(loop)) == (2, 0)
    labels = loop.labels(split="all")
    assert dict(zip(labels.ids, labels.y, strict=True)) == {
        **dict.fromkeys(("s0", "s2", "s4", "s5")),
        "s1": "bad",
        "s3": "good",
    }
    file.path.write_text(content.replace("s3", "s9"))
    with pytest.raises(ValueError, match="1 of 2 ids is not in the loop"):
        file.pull(loop)


def test_labels_that_name_nobody_become_nobody_twice(loop, tmp_path):
    """Whoever is named later takes them over; a copy of the file is no second person."""
    path, copy = tmp_path / "b.csv", tmp_path / "copy.csv"
    for each in (path, copy):
        each.write_text("id,label,annotator\ns3,good,\ns1,bad,\n")
    found = File(path).pull(loop)
    assert found.said() == "2 new answers; 2 that name nobody are of 'b.csv'"
    assert File(copy).pull(loop).said() == (
        "0 new answers, 2 known already; 2 that name nobody are what 'b.csv' says, and count as "
        "theirs"
    )
    assert File(path, annotator="ann").pull(loop).said() == (
        "2 new answers; 2 that name nobody are of 'ann', and no longer of 'b.csv'"
    )
    for again in (File(path), File(path, annotator="ann"), File(copy)):
        assert again.pull(loop) == 0
    assert loop.votes() == {"s1": {"ann": "bad"}, "s3": {"ann": "good"}}
    # Said so, another person says the same.
    assert File(copy, annotator="bo").pull(loop).said() == (
        "2 new answers; 2 that name nobody are of 'bo'; 'ann' says just the same"
    )
    copy.write_text("id,label,annotator\ns3,good,\ns1,good,\n")
    assert File(copy).pull(loop) == 2  # somebody else, as they do not agree
    copy.write_text("id,label,annotator\ns3,good,\ns1,bad,\n")
    assert File(copy).pull(loop) == 1  # who has changed their mind
    assert set(loop.votes()["s1"]) == {"ann", "bo", "copy.csv"}


def test_prodigy_without_names_is_taken_over_too(loop, tmp_path):
    file = tool(tmp_path, "prodigy")
    file.push(loop)
    records = [json.loads(line) for line in file.path.read_text().splitlines()]
    records[0] |= {"answer": "accept", "accept": ["bad"], "_timestamp": 5}
    file.path.write_text("".join(json.dumps(record) + "\n" for record in records))
    assert (file.pull(loop), file.pull(loop)) == (1, 0)
    other = File(file.path, "prodigy", annotator="ann")
    assert (other.pull(loop), other.pull(loop)) == (1, 0)
    (said,) = loop.votes().values()
    assert said == {"ann": "bad"}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("id,label\ns1,good\ns1,bad\n", "'s1' has two labels of 'b.csv', 'good', 'bad'; leave one"),
        ("id,label\ns1,good\ns2,a,good\n", "as csv: row 1 has 3 cells and the first line has 2"),
        ('id,label\n"s1,good\n', "as csv: a quote that opens in row 0 is never closed"),
    ],
)
def test_a_table_that_may_mean_two_things_is_refused(loop, tmp_path, content, words):
    file = tool(tmp_path, "csv")
    file.path.write_text(content)
    with pytest.raises(ValueError, match=words):
        file.pull(loop)
    assert loop.events() == []
    file.path.write_text("id,label,annotator\ns1,good,a\ns1,bad,b\ns1,good,a\n")
    assert file.pull(loop) == 2


@pytest.mark.parametrize("seconds", [10**30, float("nan"), -1, "soon", None])
def test_a_time_that_cannot_be_is_left_out(loop, tmp_path, seconds):
    file = tool(tmp_path, "label-studio")
    file.push(loop)
    tasks = json.loads(said(file.path.read_text("utf-8"), "label-studio", ["good"]))
    tasks[0]["annotations"][0]["lead_time"] = seconds
    file.path.write_text(json.dumps(tasks))
    assert file.pull(loop) == 1
    assert loop.events()[0].milliseconds is None


@pytest.mark.parametrize("name", FORMATS)
def test_a_file_that_is_too_deep_is_refused(loop, tmp_path, name):
    file = tool(tmp_path, name)
    file.path.write_text("[" * 60_000)
    with pytest.raises(ValueError, match=r"cannot be read as|has nothing of this loop|has no row"):
        file.pull(loop)


def test_a_long_text_comes_back_and_a_label_that_is_no_number_is_none(tmp_path):
    rows = [{"id": "s1", "text": "x" * 200_000}, {"id": "s2", "text": "y"}]
    loop = Loop.create(tmp_path / "long", rows, classes=["good", "bad"])
    loop.next(labelnext.Pool(features=np.eye(2), ids=["s1", "s2"]), 2)
    file = tool(tmp_path, "csv")
    file.push(loop)
    text = file.path.read_text("utf-8")
    file.path.write_text(text.replace(",,\n", ",good,ann\n", 1), "utf-16")
    assert file.pull(loop).said() == "1 new answer; left out: 1 without an answer"
    other = tool(tmp_path, "jsonl")
    other.path.write_text('{"id": "s1", "label": NaN}\n')
    assert other.pull(loop).left_out == {"without an answer": 1}


@pytest.mark.parametrize("name", ["labels.csv", "labels.jsonl"])
def test_what_a_loop_has_exported_is_nobodys_opinion(loop, tmp_path, name):
    ids = loop.samples().ids[:3]
    loop.add_labels(ids, ["good", "bad", "good"], annotator="ann", source="memory")
    path = tmp_path / name
    export(loop, path)
    assert File(path).pull(loop).said() == "0 new answers, 3 known already"
    text = path.read_text()
    edited = text.replace(",bad,", ",good,", 1).replace('"label": "bad"', '"label": "good"', 1)
    assert edited != text
    path.write_text(edited)
    assert File(path, annotator="cy").pull(loop) == 1
    (event,) = [event for event in loop.events() if event.annotator == "cy"]
    assert (event.sample, event.value) == (ids[1], "good")


@pytest.mark.parametrize("task", ["multiclass", "multilabel"])
def test_what_was_made_safe_for_spreadsheets_comes_back_as_it_was(tmp_path, task):
    classes = ["=SUM(A1)", "'d", "-b", "@c"]
    rows = [{"id": name, "text": "a"} for name in ("-1", "=2", "'@3", "@4", "5")]
    loop = Loop.create(tmp_path / "l", rows, classes=classes, task=task)
    labels = dict(zip(loop.samples().ids, [*classes, "@c"], strict=True))
    if task == "multilabel":
        labels = {name: sorted({label, "@c"}) for name, label in labels.items()}
    loop.add_labels(labels, labels.values(), annotator="@ann", source="memory")
    path = tmp_path / "labels.csv"
    export(loop, path, safe_formulas=True)
    assert "'=2," in path.read_text()
    assert File(path).pull(loop).said() == "0 new answers, 5 known already"
    other = Loop.create(tmp_path / "m", rows, classes=classes, task=task)
    path.write_text(path.read_text().replace("annotators", "who"))
    assert File(path).pull(other) == 5
    assert dict(zip(*other.labels(), strict=True)) == labels


def test_two_names_never_become_one_for_a_spreadsheet(tmp_path):
    loop = Loop.create(tmp_path / "l", ["a"], classes=["'-b", "-b"])
    with pytest.raises(ValueError, match=r"would make of '-b' \"'-b\", which there is, too"):
        export(loop, tmp_path / "labels.csv", safe_formulas=True)


def test_a_file_that_may_hold_labels_is_not_replaced(loop, tmp_path):
    file = tool(tmp_path, "csv")
    file.push(loop)
    file.path.write_text("mine")
    with pytest.raises(FileExistsError, match=r"may hold labels; pull it, then replace it"):
        file.push(loop)
    assert file.path.read_text() == "mine"
    with pytest.raises(OSError, match="cannot be read: No such file"):
        File(tmp_path / "no.csv").pull(loop)
    with pytest.raises(ValueError, match="or the file must end in"):
        File(tmp_path / "b.xlsx")


def test_cells_of_a_table_are_no_formulas(loop, tmp_path):
    file = tool(tmp_path, "csv")
    file.push(loop)
    with file.path.open(newline="") as content:
        row = next(csv.DictReader(content))
    assert row["text"].startswith("'=text")
    assert row["labelnext"].split("/")[1:] == ["0", row["id"]]


@pytest.mark.parametrize("name", FORMATS)
def test_people_are_sent_what_is_shown_and_the_columns_that_were_named(tmp_path, name):
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    kind = {"image": "a.png"} if name == "cvat" else {"text": "fine"}
    rows = [{"id": "s1", **kind, "truth": "GOLD", "note": "NOTE", "rank": "MINE"}]
    given = pd.DataFrame(rows)
    given.to_csv(tmp_path / "t.csv", index=False)
    loop = Loop.create(tmp_path / "l", tmp_path / "t.csv", classes=["GOLD", "bad"])
    loop.next(labelnext.Pool(features=np.eye(1), ids=["s1"]), 1)
    tool(tmp_path, name).push(loop)
    content = (tmp_path / NAMES[name]).read_bytes().replace(b'"text": "GOLD"', b"")
    assert b"truth" not in content
    assert b"NOTE" not in content
    assert b"MINE" not in content
    if name == "cvat":
        with pytest.raises(ValueError, match="leave media, guesses and columns out"):
            tool(tmp_path, name, columns=["note"]).push(loop)
        return
    tool(tmp_path, name, columns=["note"]).push(loop, overwrite=True)
    content = (tmp_path / NAMES[name]).read_bytes()
    assert b"NOTE" in content
    assert b"truth" not in content
    for columns, words in ((["no"], "'no' is not in the table"), (["rank"], "'rank' is a name")):
        with pytest.raises(ValueError, match=words):
            tool(tmp_path, name, columns=columns).push(loop, overwrite=True)


def test_the_columns_of_rows_are_columns_of_a_table(tmp_path):
    rows = [{"id": "s1", "size": 3, "truth": "good", "town": "Ulm"}]
    loop = Loop.create(tmp_path / "l", rows, classes=["good", "bad"])
    loop.next(labelnext.Pool(features=np.eye(1), ids=["s1"]), 1)
    tool(tmp_path, "csv").push(loop)
    (row,) = csv.DictReader((tmp_path / NAMES["csv"]).read_text().splitlines())
    assert row["row"] == '{"size": 3, "town": "Ulm"}'
    assert (row["size"], row["town"], "truth" in row) == ("3", "Ulm", False)


def test_guesses_are_shown_only_if_asked_for(loop, tmp_path):
    guess = {pick["id"]: pick["pseudo_label"] for pick in loop.picks(1)}
    for name in OF_TEXTS:
        plain, told = tool(tmp_path, name), tool(tmp_path, name, guesses=True)
        plain.push(loop)
        before = plain.path.read_text("utf-8")
        told.push(loop, overwrite=True)
        after = told.path.read_text("utf-8")
        assert before != after, name
        assert "predicted" not in before
    tasks = json.loads((tmp_path / "b.json").read_text())
    results = {t["data"]["id"]: t["predictions"][0]["result"] for t in tasks}
    for name, value in guess.items():
        assert results[name][0]["value"] == {"choices": [value]}


def test_label_studio_orders_by_our_score_over_rounds(loop, tmp_path):
    file = tool(tmp_path, "label-studio")
    file.push(loop)
    tasks = json.loads(file.path.read_text())
    scores = [task["predictions"][0]["score"] for task in tasks]
    assert scores == sorted(set(scores))
    assert 0 < scores[0] < scores[-1] < 1


def test_prodigy_accepts_rejects_and_ignores(loop, tmp_path):
    file = tool(tmp_path, "prodigy")
    file.push(loop)
    records = [json.loads(line) for line in file.path.read_text().splitlines()]
    assert records[0]["options"] == [{"id": "good", "text": "good"}, {"id": "bad", "text": "bad"}]
    for record, answer in zip(records, ["accept", "reject", "ignore"], strict=False):
        record |= {"answer": answer, "accept": ["bad"], "_timestamp": 5}
    file.path.write_text("".join(json.dumps(record) + "\n" for record in records))
    assert file.pull(loop) == 3
    assert [e.action for e in loop.events()] == ["import", "cannot-tell", "skip"]
    assert {e.annotator for e in loop.events()} == {"p.jsonl"}  # nobody is named


def test_pictures_are_put_into_tasks_or_told_where_they_are(tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "a b.png")
    samples = Samples(["p", "q"], "image", ["a b.png", "a b.png"], root=tmp_path)
    loop = Loop.create(tmp_path / "l", samples, classes=["x", "y"], test=1, random_state=0)
    for name, place in (("label-studio", "data"), ("prodigy", None)):
        file = tool(tmp_path, name)
        file.push(loop)
        task = json.loads(file.path.read_text().strip().split("\n")[0] if not place else "0")
        task = json.loads(file.path.read_text())[0]["data"] if place else task
        assert task["image"].startswith("data:image/png;base64,")
    file = tool(tmp_path, "csv")
    file.push(loop)
    assert str(tmp_path / "a b.png") in file.path.read_text()
    os.utime(tmp_path / "a b.png", (0, 0))  # as in archives that are always the same
    assert tool(tmp_path, "cvat").push(loop) == 1
    file = tool(tmp_path, "label-studio", media="https://host/photos/")
    file.push(loop, overwrite=True)
    assert json.loads(file.path.read_text())[0]["data"]["image"] == (
        "https://host/photos/a%20b.png"
    )
    (tmp_path / "a b.png").unlink()
    with pytest.raises(OSError, match="cannot be read: No such file or directory; nothing was"):
        tool(tmp_path, "prodigy").push(loop, overwrite=True)


@pytest.mark.parametrize("name", OF_TEXTS)
def test_numbers_and_several_classes(tmp_path, name):
    rows = Samples(["a", "b"], "row", ['{"x": 1}', '{"x": "<b>"}'])
    number = Loop.create(tmp_path / "n", rows, task="regression", test=1, random_state=0)
    several = Loop.create(
        tmp_path / "m", rows, task="multilabel", classes=["x", "y"], test=1, random_state=0
    )
    for loop, value, text in ((number, 1.5, "1,5"), (several, ["x", "y"], "y; x")):
        file = tool(tmp_path, name)
        file.push(loop, overwrite=True)
        content = file.path.read_text()
        if name == "csv":
            file.path.write_text(content.replace(",,\n", f',"{text}",\n'))
        elif name == "jsonl":
            file.path.write_text(content.replace('"label": null', f'"label": {json.dumps(value)}'))
        elif name == "label-studio":
            (task,) = json.loads(content)
            assert isinstance(task["data"]["row"], dict)
            kind = "number" if loop is number else "choices"
            result = {"from_name": "label", "type": kind, "value": {kind: value}}
            task["annotations"] = [{"id": 1, "result": [result], "completed_by": 4}]
            file.path.write_text(json.dumps([task]))
        elif name == "argilla":
            record = json.loads(content) | {"label.responses": ["1.5" if loop is number else value]}
            record |= {"label.responses.users": ["ann"], "label.responses.status": ["submitted"]}
            file.path.write_text(json.dumps([record]))
        elif loop is number:
            continue  # Prodigy's choice interface has no numbers
        else:
            record = json.loads(content)
            assert "<b>" not in record["html"].replace("<p>", "")
            record |= {"answer": "accept", "accept": value}
            file.path.write_text(json.dumps(record))
        assert file.pull(loop) == 1
        assert loop.events()[0].value == value


def test_a_label_that_was_changed_back_counts_again(loop):
    for value in ("good", "bad", "good", "good"):
        receive(loop, Heard([Answer("s1", "ann", "label", value)]), "csv")
    assert [event.value for event in loop.events()] == ["good", "bad", "good"]


def test_answers_of_samples_that_are_not_there_are_named_and_none_is_written(loop):
    answers = [Answer("s1", "ann", "label", "good"), Answer("s99", "ann", "label", "good")]
    with pytest.raises(ValueError, match=r"1 of 2 ids is not in the loop: 's99'.* Nothing"):
        receive(loop, Heard(answers), "csv")
    assert loop.events() == []


def test_nothing_to_ask_for(loop, tmp_path):
    with pytest.raises(ValueError, match=re.escape("round must be one of 0, 1, got 7")):
        asked(loop, 7)
    loop.close()
    with pytest.raises(ValueError, match="Round 1 lacks no answers: there is nothing to ask for"):
        File(tmp_path / "b.csv").push(loop, 1)
    assert len(asked(loop)) == 2  # the test set


def test_the_identity_stays_when_a_loop_moves(loop, tmp_path):
    before = identity(loop)
    (tmp_path / "l").rename(tmp_path / "moved")
    assert identity(labelnext.open_loop(tmp_path / "moved")) == before


def test_argilla_takes_what_was_submitted_and_no_more(loop, tmp_path):
    file = tool(tmp_path, "argilla", guesses=True)
    file.push(loop)
    records = [json.loads(line) for line in file.path.read_text("utf-8").splitlines()]
    assert [set(record) - {"label"} for record in records] == [{"id", "text", "round", "rank"}] * 5
    # Of the test set nobody is shown a guess.
    assert [record.get("label") in loop.classes for record in records] == [False] * 2 + [True] * 3
    first, second, third = (record["id"] for record in records[:3])

    def response(*said):
        names = ("responses", "responses.users", "responses.status")
        return {f"label.{n}": list(v) for n, v in zip(names, zip(*said, strict=True), strict=True)}

    answers = [
        {"id": first, **response(("good", "ann", "submitted"), ("bad", "bob", "submitted"))},
        {"id": second, **response(("good", "ann", "draft"), (None, "bob", "discarded"))},
        {"id": third, "label.suggestion": "good", "label.responses": None},
    ]
    file.path.write_text(json.dumps(answers))
    assert file.pull(loop) == 3
    found = [(each.annotator, each.action, each.value) for each in loop.events()]
    assert found == [("ann", "import", "good"), ("bob", "import", "bad"), ("bob", "skip", None)]
    file.path.write_text(json.dumps([{"id": first, "responses": {"label": [{"value": "good"}]}}]))
    with pytest.raises(ValueError, match=r"to_list\(flatten=True\)"):
        file.pull(loop)


@pytest.fixture
def pictures(tmp_path):
    """A loop of pictures with a round of three, whose ids a file system may not like."""
    for i in range(4):
        Image.new("RGB", (4, 4), (60 * i, 0, 0)).save(tmp_path / f"{i}.png")
    samples = [{"id": f"a/{i}: é", "image": f"{i}.png"} for i in range(4)]
    loop = Loop.create(
        tmp_path / "p",
        Samples(
            [each["id"] for each in samples],
            "image",
            [each["image"] for each in samples],
            root=tmp_path,
        ),
        classes=["cat", "dog & <co>"],
    )
    loop.next(labelnext.Pool(features=np.eye(4), ids=[each["id"] for each in samples]), 3)
    return loop


def cvat_export(archive, tags, job=True):
    """What CVAT's "CVAT for images 1.1" has of an archive, with tags by picture in its order."""
    from xml.sax.saxutils import quoteattr

    with zipfile.ZipFile(archive) as content:
        names = sorted(name for name in content.namelist() if name.endswith(".png"))
    about = "<assignee><username>ann</username><email></email></assignee>" if job else ""
    kind = "job" if job else "task"
    images = "".join(
        f'<image id="{at}" name={quoteattr(name)} width="4" height="4">'
        + "".join(f"<tag label={quoteattr(n)} source={quoteattr(by)}></tag>" for n, by in said)
        + "</image>"
        for at, (name, said) in enumerate(zip(names, tags, strict=True))
    )
    return (
        f"<?xml version='1.0' encoding='utf-8'?><annotations><version>1.1</version><meta><{kind}>"
        f"<id>7</id>{about}</{kind}></meta>{images}</annotations>"
    )


@pytest.mark.parametrize("zipped", [True, False])
def test_cvat_there_and_back(pictures, tmp_path, zipped):
    file = tool(tmp_path, "cvat", annotator="team")
    assert file.push(pictures) == 3
    with zipfile.ZipFile(file.path) as archive:
        names = sorted(archive.namelist())[:3]
        assert [archive.read(name) for name in names] == [
            (tmp_path / task.content).read_bytes() for task in asked(pictures)
        ]
        labels = json.loads(archive.read("labels.json"))
    assert [label["name"] for label in labels] == ["cat", "dog & <co>"]
    assert {label["type"] for label in labels} == {"tag"}
    order = [task.id for task in asked(pictures)]
    # The second has a model's tag alone, the third none: neither is an answer.
    tags = [[("dog & <co>", "manual"), ("cat", "auto")], [("cat", "auto")], []]
    export = cvat_export(file.path, tags)
    back = File(tmp_path / "back.xml", "cvat")
    if zipped:
        with zipfile.ZipFile(back.path, "w") as archive:
            archive.writestr("annotations.xml", export)
            archive.writestr("images/x.png", b"")
    else:
        back.path.write_text(export, "utf-8")
    assert (back.pull(pictures), back.pull(pictures)) == (1, 0)
    (event,) = pictures.events()
    assert (event.sample, event.value, event.annotator) == (order[0], "dog & <co>", "ann")
    back.path.write_text(cvat_export(file.path, [[], [("cat", "manual")], []], job=False), "utf-8")
    assert File(back.path, "cvat", annotator="team").pull(pictures) == 1
    assert pictures.events()[1].annotator == "team"
    two = [[("cat", "manual"), ("dog & <co>", "semi-auto")], [], []]
    back.path.write_text(cvat_export(file.path, two), "utf-8")
    with pytest.raises(ValueError, match="a label is one"):
        back.pull(pictures)


# What a job's export has by CVAT's source (`bindings.py`, `formats/cvat.py`), written by hand.
CVAT_JOB = """<?xml version="1.0" encoding="utf-8"?>
<annotations><version>1.1</version><meta><job><id>7</id><size>3</size><mode>annotation</mode>
<overlap>0</overlap><bugtracker></bugtracker><created>2026-01-05 10:00:00.1+00:00</created>
<updated>2026-01-05 11:00:00.1+00:00</updated><subset>default</subset><start_frame>0</start_frame>
<stop_frame>2</stop_frame><frame_filter></frame_filter><segments><segment><id>7</id>
<start>0</start><stop>2</stop><url>http://cvat/api/jobs/7</url></segment></segments>
<owner><username>boss</username><email>boss@example.org</email></owner>
<assignee>{who}</assignee><labels><label><name>cat</name><color>#f00</color><type>tag</type>
<attributes></attributes></label></labels></job><dumped>2026-01-05 12:00:00.1+00:00</dumped></meta>
<image id="0" name="{loop}/0001-000001.png" width="4" height="4" subset="default">
<tag label="cat" source="{source}"><attribute name="sure">yes</attribute></tag></image>
<image id="1" name="{loop}/0001-000002.png" width="4" height="4">
<box label="cat" source="manual" occluded="0" xtl="1" ytl="1" xbr="2" ybr="2" z_order="0"></box>
</image>
<image id="2" name="other/picture.png" width="4" height="4"></image>
</annotations>"""


@pytest.mark.parametrize("source", ["manual", "semi-auto", "consensus", "auto", "file"])
def test_a_job_of_cvat_as_it_is_exported(pictures, tmp_path, source):
    said = "<username>ann</username><email>a@example.org</email>" if source == "manual" else ""
    back = File(tmp_path / "job.xml", "cvat", annotator="team")
    back.path.write_text(CVAT_JOB.format(who=said, loop=identity(pictures), source=source), "utf-8")
    found = back.pull(pictures)
    counts = source not in ("auto", "file")
    assert found == counts
    assert found.left_out == {"without an answer": 2 - counts, "not of this loop": 1}
    assert [e.annotator for e in pictures.events()] == ["ann" if said else "team"] * counts


def test_cvat_is_for_classes_of_pictures(loop, tmp_path):
    with pytest.raises(ValueError, match="take another tool"):
        tool(tmp_path, "cvat").push(loop)
    for option in ({"guesses": True}, {"media": "https://x/"}):
        with pytest.raises(ValueError, match="leave media, guesses and columns out"):
            tool(tmp_path, "cvat", **option).push(loop)
    assert not (tmp_path / NAMES["cvat"]).exists()


NAMES_A_SAMPLE = [("csv", "id"), ("csv", "text"), ("jsonl", "id"), ("jsonl", "text")]
NAMES_A_SAMPLE += [("label-studio", "id"), ("label-studio", "text"), ("prodigy", "text")]
NAMES_A_SAMPLE += [("argilla", "text")]


def swapped(content, name, column):
    """Sort one column of a file and leave the others, as people do in a spreadsheet."""
    if name == "csv":
        records = list(csv.DictReader(content.splitlines(keepends=True), delimiter=";"))
    elif name == "label-studio":
        records = json.loads(content)
    else:
        records = [json.loads(line) for line in content.splitlines()]
    rows = [each["data"] if name == "label-studio" else each for each in records]
    rows[1][column], rows[2][column] = rows[2][column], rows[1][column]
    if name == "csv":
        return pd.DataFrame(records).to_csv(index=False)
    if name == "label-studio":
        return json.dumps(records)
    return "".join(json.dumps(each) + "\n" for each in records)


@pytest.mark.parametrize(("name", "column"), NAMES_A_SAMPLE)
def test_a_file_of_which_some_columns_were_sorted_is_refused(loop, tmp_path, name, column):
    file = tool(tmp_path, name)
    file.push(loop)
    content = said(file.path.read_text("utf-8"), name, ["good", "bad", "good", "bad", "good"])
    file.path.write_text(swapped(content.lstrip("\ufeff"), name, column))
    one, two = [task.id for task in asked(loop)][1:3]
    words = rf"(row 3|entry 2|task 2|record 2).* of two samples, '{one}'.*'{two}' by its {column}\."
    with pytest.raises(ValueError, match=words):
        file.pull(loop)
    assert loop.events() == []


def test_an_export_of_which_some_columns_were_sorted_is_refused(loop, tmp_path):
    loop.add_labels(["s1", "s2"], ["good", "bad"], annotator="ann", source="memory")
    export(loop, tmp_path / "e.csv")
    table = pd.read_csv(tmp_path / "e.csv")
    table["text"] = table["text"].to_numpy()[::-1]
    table["label"] = ["bad", "good"]
    table.to_csv(tmp_path / "e.csv", index=False)
    with pytest.raises(ValueError, match=r"row 2.*'s1' by its id and 's2' by its text"):
        File(tmp_path / "e.csv").pull(loop)
    table.drop(columns="text").to_csv(tmp_path / "e.csv", index=False)
    assert File(tmp_path / "e.csv").pull(loop) == 2


def test_what_programs_change_in_a_table_is_the_same_sample(tmp_path):
    ids = ["007", "123456789012", "12345678901234567", "a  b", "=x"]
    rows = [{"id": name, "text": f"=A text, {name}\nof two  lines"} for name in ids]
    loop = Loop.create(tmp_path / "ids", rows, classes=["good", "bad"])
    loop.next(labelnext.Pool(features=np.eye(5), ids=ids), 5, random_state=0)
    file = tool(tmp_path, "csv")
    file.push(loop)
    table = pd.read_csv(file.path, dtype=str)
    as_saved = {"007": "7", "123456789012": "1.23457E+11", "12345678901234567": "12345678901234500"}
    table["id"] = [as_saved.get(name, f"{name} ") for name in table["id"]]
    table["text"] = [" ".join(text.split()) for text in table["text"]]
    table.loc[0, "text"] += " (mended)"
    table["label"] = "good"
    table.to_csv(file.path, index=False)
    assert file.pull(loop) == 5


def test_paths_of_pictures_tell_that_columns_were_sorted(pictures, tmp_path):
    files = [File(tmp_path / "a.csv"), File(tmp_path / "b.csv", media="http://a.b/c d/")]
    for file in files:
        file.push(pictures)
    for file in files:
        table = pd.read_csv(file.path, dtype=str)
        table["label"] = "cat"
        table["image"] = table["image"].to_numpy()[::-1]
        table.drop(columns="id").to_csv(file.path, index=False)
        with pytest.raises(ValueError, match="of two samples"):
            file.pull(pictures)
        table["image"] = table["image"].to_numpy()[::-1]
        table.drop(columns="id").to_csv(file.path, index=False)
        file.pull(pictures)


WRONG = ["no", 5, None, [1], {"no": 1}, [[]], [{}]]
PYTHON = r"attribute|unhashable|iterable|subscript|argument|NoneType|Error|\bdict\b|zip\(|instances"


def places(value, path=()):
    """Each place of a JSON value."""
    yield path
    inside = dict(enumerate(value)) if isinstance(value, list) else value
    for key, each in inside.items() if isinstance(inside, dict) else ():
        yield from places(each, (*path, key))


@pytest.mark.parametrize("name", [name for name in OF_TEXTS if name != "csv"])
def test_what_has_another_form_is_told_in_plain_words(loop, tmp_path, name):
    file = tool(tmp_path, name)
    file.push(loop)
    content = said(file.path.read_text("utf-8"), name, ["good", "bad"])
    lines = [content] if name == "label-studio" else content.splitlines()
    for path in places(json.loads(lines[0])):
        for wrong in WRONG:
            record = {"": json.loads(lines[0])}
            inside = record
            for key in ("", *path)[:-1]:
                inside = inside[key]
            inside[("", *path)[-1]] = wrong
            file.path.write_text("\n".join([json.dumps(record[""]), *lines[1:]]))
            try:
                file.pull(loop)
            except ValueError as error:
                if found := re.search(PYTHON, f"{error}"):
                    pytest.fail(f"{path} {wrong}: {found[0]} in {error}")


@pytest.mark.parametrize("name", ["csv", "jsonl"])
def test_names_in_capitals_are_told(loop, tmp_path, name):
    file = tool(tmp_path, name)
    file.push(loop)
    content = said(file.path.read_text("utf-8"), name, ["good"])
    for column in ("label", "annotator", "labelnext"):
        file.path.write_text(content.replace(f'"{column}"', f'"{column.upper()}"'))
        words = f"the column '{column.upper()}' is read as '{column}' alone; name it so"
        with pytest.raises(ValueError, match=words):
            file.pull(loop)


def test_a_damaged_archive_is_told_in_plain_words(pictures, tmp_path):
    with zipfile.ZipFile(tmp_path / "back.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("annotations.xml", "<annotations/>" * 100)
    content = bytearray((tmp_path / "back.zip").read_bytes())
    content[50:55] = b"12345"
    (tmp_path / "back.zip").write_bytes(content)
    with pytest.raises(ValueError, match=r"the \.zip is damaged"):
        File(tmp_path / "back.zip", "cvat").pull(pictures)
