"""What people give: every format, ids, and what is refused."""

import datetime
import json
import os

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from labelnext import samples

RECORDS = [
    {"id": "r1", "body": "Well made", "stars": 5},
    {"id": "r2", "body": 'Broke; "at once",\nsay', "stars": None},
    {"id": "r3", "body": "=Ça va 🙂", "stars": 3},
]
TEXTS = [record["body"] for record in RECORDS]


def picture(path, colour=0):
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (4, 4), colour).save(path)


def stream(path, table):
    with pa.ipc.new_stream(str(path), table.schema) as writer:
        writer.write_table(table)


def csv_of(path, delimiter=",", encoding="utf-8"):
    pd.DataFrame(RECORDS).to_csv(path, index=False, sep=delimiter, encoding=encoding)
    return path


def hugging_face(folder):
    """What save_to_disk of one set leaves: two shards, out of the order of their names."""
    folder.mkdir()
    table = pa.Table.from_pylist([{**record, "label": i % 2} for i, record in enumerate(RECORDS)])
    features = {"label": {"names": ["bad", "good"], "_type": "ClassLabel"}}
    table = table.replace_schema_metadata(
        {"huggingface": json.dumps({"info": {"features": features}})}
    )
    stream(folder / "b.arrow", table[:2])
    stream(folder / "a.arrow", table[2:])
    files = [{"filename": "b.arrow"}, {"filename": "a.arrow"}]
    (folder / "state.json").write_text(json.dumps({"_data_files": files}))
    (folder / "dataset_info.json").write_text("{}")
    return folder


def feather(path, table):
    with pa.ipc.new_file(str(path), table.schema) as writer:
        writer.write_table(table)


def parts(folder, table):
    folder.mkdir()
    pq.write_table(table[2:], folder / "part.10.parquet")
    pq.write_table(table[:2], folder / "part.2.parquet")


TABLE = pa.Table.from_pylist(RECORDS)
FILES = {
    "csv": csv_of,
    "semicolons.csv": lambda path: csv_of(path, ";", "utf-8-sig"),
    "utf-16.csv": lambda path: csv_of(path, ",", "utf-16"),
    "tsv": lambda path: csv_of(path, "\t"),
    "json": lambda path: path.write_text(json.dumps(RECORDS)),
    "jsonl": lambda path: path.write_text("\n".join(map(json.dumps, RECORDS))),
    "parquet": lambda path: pq.write_table(TABLE, path),
    "feather": lambda path: feather(path, TABLE),
    "arrow": lambda path: stream(path, TABLE),
    "parts": lambda path: parts(path, TABLE),
    "hf": hugging_face,
}
FRAMES = {
    "pandas": pd.DataFrame(RECORDS, index=[2, 0, 1]),
    "polars": pl.DataFrame(RECORDS),
    "pyarrow": TABLE,
    "records": RECORDS,
}


@pytest.mark.parametrize("kind", [*FILES, *FRAMES])
def test_texts_are_the_same_from_everything(tmp_path, kind):
    source = FRAMES.get(kind, tmp_path / f"reviews.{kind}")
    if kind in FILES:
        FILES[kind](source)
    found = samples.read(source, text="body", group="id")
    assert (found.kind, found.ids, found.contents) == ("text", ["r1", "r2", "r3"], TEXTS)
    assert found.groups == found.ids
    assert "stars" in found.table.column_names
    assert "body" not in found.table.column_names


def test_classes_of_hugging_face_have_their_names(tmp_path):
    found = samples.read(hugging_face(tmp_path / "set"))
    assert found.table.column("label").to_pylist() == ["bad", "good", "bad"]


@pytest.mark.parametrize("said", [{}, [], {"n": []}, {"n": {"names": "ab"}}, {"n": {"names": 1}}])
def test_what_a_file_says_of_its_columns_may_be_anything(tmp_path, said):
    table = pa.table({"n": [0, 1], "text": ["a", "b"]})
    table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": said}})})
    pq.write_table(table, tmp_path / "a.parquet")
    assert samples.read(tmp_path / "a.parquet").table.column("n").to_pylist() == [0, 1]


def test_rows_that_hugging_face_has_chosen(tmp_path):
    folder = hugging_face(tmp_path / "set")
    stream(folder / "rows.arrow", pa.table({"indices": [2, 0]}))
    state = json.loads((folder / "state.json").read_text())
    state["_indices_data_files"] = [{"filename": "rows.arrow"}]
    (folder / "state.json").write_text(json.dumps(state))
    assert samples.read(folder).ids == ["r3", "r1"]


def test_several_sets_of_hugging_face_are_told_apart(tmp_path):
    hugging_face(tmp_path / "train")
    (tmp_path / "dataset_dict.json").write_text('{"splits": ["train"]}')
    with pytest.raises(ValueError, match=r"several data sets.*'train'; give one of them"):
        samples.read(tmp_path)


def test_ids_are_row_numbers_where_there_are_none():
    assert samples.read(["a", "b"]).ids == ["0", "1"]
    assert samples.read([{"id": "x", "text": "a"}], id="row").ids == ["0"]
    assert samples.read([{"key": 7, "text": "a"}], id="key").ids == ["7"]


def test_the_usual_names_are_looked_for_and_rows_shown_where_there_are_none():
    assert samples.read([{"Text": "a", "b": 1}]).kind == "text"
    assert samples.read([{"review": "a"}]).contents == ["a"]
    found = samples.read([{"id": 1, "width": 2.5, "when": datetime.date(2026, 1, 2), "c": np.nan}])
    assert found.kind == "row"
    assert found.contents == ['{"width": 2.5, "when": "2026-01-02", "c": null}']


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (["good", "bad", None], True),
        (["good", "", "good"], True),
        (["good", "bad", "poor"], False),
        ([None, None, None], False),
        ([["good"], ["good", "bad"], []], True),
        ([{"a": "good"}] * 3, False),
        ([0.5, 1.0, 2.0], False),
        ([1, 2, 1], True),
        ([True, False, True], False),
    ],
)
def test_a_column_of_nothing_but_classes_is_not_shown(values, told):
    rows = [{"id": f"s{at}", "size": at, "kind": value} for at, value in enumerate(values)]
    classes = ["good", "bad", "1", "2"]
    found = samples.read(rows, classes=classes)
    assert list(found.hidden) == ["kind"] * told
    assert ("kind" in json.loads(found.contents[0])) is not told
    assert "kind" in found.table.column_names
    named = samples.read(rows, columns=["kind", "size"], classes=classes)
    assert (list(named.hidden), [*json.loads(named.contents[0])]) == ([], ["kind", "size"])
    assert list(samples.read([row | {"text": "a"} for row in rows], classes=classes).hidden) == (
        ["kind"] * told
    )


def test_a_table_with_nothing_but_labels_has_nothing_to_show():
    with pytest.raises(ValueError, match="has no columns to show but 'id', 'label'"):
        samples.read([{"id": "a", "label": "x"}], classes=["x", "y"])


def test_columns_make_a_row():
    found = samples.read([{"text": "a", "x": 1, "y": 2}], columns=["y", "text"])
    assert (found.kind, found.contents) == ("row", ['{"y": 2, "text": "a"}'])


def test_columns_of_several_kinds_are_texts():
    found = samples.read([{"text": "a", "x": 1}, {"text": "\ud800", "x": "b"}, {"text": None}])
    assert found.contents == ["a", "\\ud800", ""]
    assert found.table.column("x").to_pylist() == ["1", "b", None]


@pytest.mark.parametrize("text", ["", "x" * 2_000_000, "a\0b", "\ufeffa", "<script>"])
def test_any_text_is_kept(tmp_path, text):
    file = tmp_path / "texts.jsonl"
    file.write_text(json.dumps({"text": text}), encoding="utf-8")
    assert samples.read(file).contents == [text]


def test_empty_lines_are_no_samples_and_empty_texts_are_told(tmp_path):
    file = tmp_path / "texts.txt"
    file.write_text("one\n\n  \ntwo\n\n")
    found = samples.read(file)
    assert (found.ids, found.contents) == (["0", "3"], ["one", "two"])
    assert found.left_out == {"empty lines": 3}
    assert found.missing() == []
    # Elsewhere a row may have a number of its own, so it stays.
    found = samples.read([{"text": "one"}, {"text": " "}, {"text": None}])
    assert (len(found), found.missing()) == (3, ["1", "2"])
    for name, text in (("a.txt", "one"), ("b.txt", ""), ("c.txt", "\n")):
        (tmp_path / "folder").mkdir(exist_ok=True)
        (tmp_path / "folder" / name).write_text(text)
    assert samples.read(tmp_path / "folder").missing() == ["b.txt", "c.txt"]


def test_pictures_of_a_folder_in_natural_order(tmp_path):
    for name in ("img10.png", "img2.png", "more/a.PNG", ".hidden/b.png"):
        picture(tmp_path / name)
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    (tmp_path / "Thumbs.db").write_bytes(b"")
    (tmp_path / "gone.png").symlink_to("nowhere.png")
    (tmp_path / "more" / "circle").symlink_to(tmp_path)
    found = samples.read(tmp_path)
    assert found.kind == "image"
    assert found.ids == ["broken.jpg", "gone.png", "img2.png", "img10.png", "more/a.PNG"]
    assert found.contents == found.ids
    assert found.root == tmp_path
    assert found.missing() == ["gone.png"]
    assert found.left_out == {".db": 1}


def test_what_is_left_out_of_a_folder_is_counted(tmp_path):
    for name in ("a.png", "b.png", "c.png", "x.TXT", "y.txt", "more/z.mp4", "README", ".hidden"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    assert samples.read(tmp_path).left_out == {".txt": 2, ".mp4": 1, "": 1}
    pq.write_table(TABLE, tmp_path / "a.parquet")
    assert samples.read(tmp_path).left_out == {".png": 3, ".txt": 2, ".mp4": 1, "": 1}
    assert samples.read(hugging_face(tmp_path / "set")).left_out == {}
    assert samples.read(csv_of(tmp_path / "a.csv")).left_out == {}


def test_a_folder_is_what_most_of_its_files_are(tmp_path):
    for name in ("a.wav", "b.flac", "cover.png"):
        (tmp_path / name).write_bytes(b"")
    assert samples.read(tmp_path).contents == ["a.wav", "b.flac"]
    for i in range(4):
        (tmp_path / f"{i}.txt").write_text(f"Text {i}\n", encoding="utf-8-sig")
    found = samples.read(tmp_path)
    assert (found.kind, found.contents[0], found.ids[0]) == ("text", "Text 0\n", "0.txt")


def test_paths_that_windows_wrote(tmp_path):
    picture(tmp_path / "p" / "a.png")
    picture(tmp_path / "back\\slash.png")
    table = pd.DataFrame({"image": ["p\\a.png", "back\\slash.png", "C:\\Ann\\b.png"]})
    table.to_csv(tmp_path / "pictures.csv", index=False)
    found = samples.read(tmp_path / "pictures.csv")
    assert found.contents == ["p/a.png", "back\\slash.png", "C:\\Ann\\b.png"]
    assert found.missing() == ["2"]


@pytest.mark.parametrize(
    ("text", "odd"),
    [
        ("Great product,good\nBroke at once,bad\nFine,good\n", "good"),
        ("Great product\nBroke at once\n", "Great product"),
        ("1,photos/a.jpg\n2,photos/b.jpg\n", "photos/a.jpg"),
        ("7,0.25,1.5\n8,0.5,2.5\n", "0.25"),
        (f"9,{'a long text ' * 8}\n8,short\n", f"{'a long text ' * 8}"),
        ("id,text\n1,text\n", None),  # whose usual name says what it is
        ("review\nGreat product\n", None),
        ("0,1,2\n0,3,4\n5,6,7\n", None),
        ("How satisfied are you?,Why?\n5,Fine\n", None),
        ("id,text,stars\n1,Fine,5\n", None),
    ],
)
def test_a_first_line_that_looks_like_a_sample_is_told(tmp_path, text, odd):
    file = tmp_path / "a.csv"
    file.write_text(text)
    assert samples.read(file, id="row").odd_name == odd
    with pytest.raises(ValueError, match="no column 'body'") as caught:
        samples.read(file, text="body")
    assert ("looks like a sample" in str(caught.value)) == (odd is not None)


def test_pictures_of_a_table(tmp_path):
    picture(tmp_path / "p" / "a.png")
    table = pd.DataFrame({"image": ["p/a.png", "p/gone.png"], "id": ["a", "b"]})
    table.to_csv(tmp_path / "pictures.csv", index=False)
    found = samples.read(tmp_path / "pictures.csv")
    assert (found.kind, found.ids, found.root) == ("image", ["a", "b"], tmp_path)
    assert found.missing() == ["b"]
    with pytest.raises(ValueError, match=r"none of the 1 files of 'image' is there; .*gone.png"):
        samples.read([{"image": str(tmp_path / "gone.png")}])


@pytest.mark.parametrize(
    ("rows", "options", "words"),
    [
        ([], {}, "has no samples"),
        ([{"id": "a", "text": "x"}] * 2 + [{"id": "b", "text": ""}], {}, r"1 id .*'a'.*0 and 1"),
        ([{"id": "a", "text": "x"}, {"id": None, "text": "y"}], {}, "'id' is empty at row 1 "),
        ([{"body": "a", "x": 1}], {"text": "bodi"}, r"no column 'bodi' \(text=\).*mean 'body'"),
        ([{"body": "a"}], {"group": "g"}, r"no column 'g' \(group=\)"),
        ([{"body": "a"}], {"columns": ["g"]}, r"no column 'g' \(columns=\)"),
        ([{"a": 1, "g": ""}], {"group": "g"}, "'g' is empty at row 0"),
        ([{"a": 1}], {"text": "a", "image": "a"}, "text= and image= both"),
        ([{"a": 1}], {"text": "a", "columns": ["a"]}, "text= and columns= both"),
        ([{"id": 1}], {}, "no columns to show"),
    ],
)
def test_refused(rows, options, words):
    with pytest.raises(ValueError, match=words):
        samples.read(rows, **options)


@pytest.mark.parametrize("source", [7, None, [1, 2], ["a", {}], [b"a"]])
def test_what_is_no_samples_is_refused(source):
    with pytest.raises(TypeError, match="samples must be a path, a frame"):
        samples.read(source)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv", b"", "is empty"),
        ("a.csv", b"a,a\n1,2\n", "several columns 'a'"),
        ("a.csv", b"text\n\xe9\n", "no text in UTF-8"),
        ("a.parquet", b"PAR1 and no more", "Cannot read"),
        ("a.arrow", b"", "Cannot read"),
        ("a.json", b"{", "Cannot read"),
        ("a.json", b"[1]", "expected records or texts, got int at row 0"),
        ("a.docx", b"", r"expected a file that ends in \.csv, .*, or a folder"),
    ],
)
def test_files_that_cannot_be_read(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=words):
        samples.read(tmp_path / name)


def test_folders_that_hold_nothing(tmp_path):
    with pytest.raises(ValueError, match="has no pictures, sounds, texts or tables"):
        samples.read(tmp_path)
    with pytest.raises(FileNotFoundError, match="There is no nowhere"):
        samples.read("nowhere")
    picture(tmp_path / "a.png")
    with pytest.raises(ValueError, match="folder of files, without columns; leave out id="):
        samples.read(tmp_path, id="id")
    (tmp_path / os.fsdecode(b"\xff.png")).write_bytes(b"")
    with pytest.raises(ValueError, match="rename the file"):
        samples.read(tmp_path)
