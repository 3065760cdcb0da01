"""Labels out: who said what, what is finished, and files that others load."""

import csv
import io
import json

import pandas as pd
import pyarrow.parquet as pq
import pytest

from labelnext.loop import Loop
from labelnext.samples import read
from labelnext.tools.export import export, table_of

TEXTS = ["Well made", "=SUM(A1)", "Ça va", "-1", "nothing"]


@pytest.fixture
def loop(tmp_path):
    return Loop.create(tmp_path / "loop", TEXTS, classes=["yes", "no"], random_state=0)


def said(loop, sample, action, value=None, who="ann"):
    return loop.record(sample, action, value, annotator=who)


def test_who_said_what_and_what_came_of_it(loop):
    said(loop, "0", "label", "yes")
    said(loop, "0", "label", "no", who="bo")
    said(loop, "1", "label", "yes")
    said(loop, "1", "label", "no")  # who has thought again
    said(loop, "2", "cannot-tell")
    said(loop, "3", "flag")
    said(loop, "4", "label", "no")
    said(loop, "4", "skip")  # which takes it back
    found = table_of(loop)
    assert found["id"] == ["0", "1", "2"]
    assert found["label"] == [None, "no", None]
    assert found["annotators"] == [["ann", "bo"], ["ann"], ["ann"]]
    assert found["votes"] == [["yes", "no"], ["no"], [None]]
    assert found["text"] == TEXTS[:3]
    said(loop, "0", "adjudicate", "yes", who="cy")
    assert table_of(loop)["label"][0] == "yes"
    assert table_of(loop)["annotators"][0] == ["ann", "bo"]
    assert table_of(loop, rule="unanimous", content=False)["label"][1] == "no"
    assert "text" not in table_of(loop, content=False)


def test_undone_and_skipped_are_no_labels(loop):
    said(loop, "0", "label", "yes")
    loop.undo("ann")
    said(loop, "1", "skip")
    assert table_of(loop)["id"] == []


def test_rounds_and_what_is_not_finished(tmp_path):
    loop = Loop.create(
        tmp_path / "loop", TEXTS, classes=["yes", "no"], test=2, overlap=1.0, random_state=0
    )
    item = loop.take("ann")[0]
    loop.record(item, "label", "yes", annotator="ann")
    found = table_of(loop)
    assert (found["split"], found["round"], found["rank"]) == (["test"], [0], [item.rank])
    assert (found["pick"], found["finished"]) == (["test"], [False])
    loop.record(item, "label", "yes", annotator="bo")
    assert table_of(loop)["finished"] == [True]


@pytest.mark.parametrize(
    ("task", "values"),
    [
        ("multiclass", ["yes", "no", "yes"]),
        ("multilabel", [["no", "yes"], [], ["no"]]),
        ("regression", [1.5, -2.0, 0.0]),
    ],
)
@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_every_format_has_the_same(tmp_path, task, values, ending):
    classes = None if task == "regression" else ["yes", "no"]
    loop = Loop.create(tmp_path / "loop", TEXTS, classes=classes, task=task)
    loop.add_labels(["0", "1", "3"], values, annotator="ann", source="test")
    path = tmp_path / f"labels.{ending}"
    assert export(loop, path) == 3
    if ending == "csv":
        rows = pd.read_csv(path, keep_default_na=False).to_dict("records")
        labels = [
            json.loads(row["label"]) if task == "multilabel" else row["label"] for row in rows
        ]
        assert json.loads(rows[0]["annotators"]) == ["ann"]
    elif ending == "jsonl":
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        labels = [row["label"] for row in rows]
        assert rows[0]["votes"] == [values[0]]
    else:
        rows = pq.read_table(path).to_pylist()
        labels = [row["label"] for row in rows]
    assert labels == [sorted(value) if task == "multilabel" else value for value in values]
    assert [row["text"] for row in rows] == ["Well made", "=SUM(A1)", "-1"]
    assert {row["pick"] for row in rows} <= {None, ""}
    assert read(path, text="text").ids == ["0", "1", "3"]


def test_classes_are_said_to_hugging_face(tmp_path, loop):
    said(loop, "0", "label", "no")
    said(loop, "1", "cannot-tell")
    export(loop, tmp_path / "labels.parquet")
    table = pq.read_table(tmp_path / "labels.parquet")
    assert table.column("class").to_pylist() == [1, None]
    features = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
    assert features["class"] == {"names": ["yes", "no"], "_type": "ClassLabel"}
    assert list(features) == table.column_names


def test_formulas_are_escaped_where_that_is_asked_for(tmp_path, loop):
    for row in range(4):
        said(loop, str(row), "label", "yes")
    export(loop, tmp_path / "safe.csv", safe_formulas=True)
    export(loop, tmp_path / "as-it-is.csv")
    safe, plain = (
        [row["text"] for row in csv.DictReader(io.StringIO((tmp_path / name).read_text()))]
        for name in ("safe.csv", "as-it-is.csv")
    )
    assert plain == TEXTS[:4]
    assert safe == ["Well made", "'=SUM(A1)", "Ça va", "'-1"]
    with pytest.raises(ValueError, match=r"safe_formulas is for \.csv"):
        export(loop, tmp_path / "labels.jsonl", safe_formulas=True)


def test_nothing_of_the_users_is_replaced(tmp_path, loop):
    (tmp_path / "labels.csv").write_text("mine")
    with pytest.raises(FileExistsError):
        export(loop, tmp_path / "labels.csv")
    assert (tmp_path / "labels.csv").read_text() == "mine"
    assert export(loop, tmp_path / "labels.csv", overwrite=True) == 0
    assert (tmp_path / "labels.csv").read_text().startswith("id,label,")
    assert export(loop, tmp_path / "none.parquet") == 0
    with pytest.raises(ValueError, match=r"expected a name that ends in \.csv"):
        export(loop, tmp_path / "labels.txt")
