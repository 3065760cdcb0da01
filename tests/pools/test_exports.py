"""Lists and tables as labelling tools, spreadsheets and pandas write them."""

import codecs
import json
import unicodedata
import uuid

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zarr

from labelnext import Pool, open_pool, select, write_pool
from labelnext.pools import open_source, read_values

# As Label Studio exports them.
TASKS = [
    {
        "id": 100 + i,
        "data": {"id": f"img-{i}", "meta": {"site": "north"}},
        "annotations": [{"result": [{"value": {"choices": [label]}}]}] if label else [],
    }
    for i, label in enumerate(["cat", None, "dog"])
]


class TestRecords:
    @pytest.mark.parametrize("suffix", [".json", ".jsonl"])
    @pytest.mark.parametrize(
        ("name", "what", "expected"),
        [
            ("", "ids", [100, 101, 102]),
            (":data.id", "ids", ["img-0", "img-1", "img-2"]),
            (":data.meta.site", "groups", ["north"] * 3),
            (":annotations.0.result.0.value.choices.0", "labels", ["cat", None, "dog"]),
        ],
    )
    def test_nested_keys(self, tmp_path, suffix, name, what, expected):
        lines = map(json.dumps, TASKS)
        path = tmp_path / f"export{suffix}"
        path.write_text(json.dumps(TASKS) if suffix == ".json" else "\n".join(lines))
        assert read_values(f"{path}{name}", what) == expected

    def test_a_key_with_a_dot_of_its_own(self, tmp_path):
        (tmp_path / "a.json").write_text('[{"data.id": 1, "data": {"id": 2}}]')
        assert read_values(f"{tmp_path}/a.json:data.id") == [1]

    def test_a_missing_key_is_named_with_its_record(self, tmp_path):
        (tmp_path / "a.json").write_text('[{"data": {"id": 1}}, {"data": {}}]')
        with pytest.raises(ValueError, match=r"record 1, counted from 0, has no 'data\.id'"):
            read_values(f"{tmp_path}/a.json:data.id")
        with pytest.raises(ValueError, match=r"no 'data\.ids' in its records; they have 'data"):
            read_values(f"{tmp_path}/a.json:data.ids")

    @pytest.mark.parametrize("suffix", [".json", ".jsonl"])
    def test_values_without_names_answer_to_none(self, tmp_path, suffix):
        path = tmp_path / f"plain{suffix}"
        path.write_text('["a", "b"]' if suffix == ".json" else '"a"\n"b"')
        assert read_values(path) == ["a", "b"]
        with pytest.raises(ValueError, match="lists values without names, so it has no 'name'"):
            read_values(f"{path}:name")

    def test_lines_are_told_whatever_the_file_is_called(self, tmp_path):
        (tmp_path / "a.json").write_text('{"id": "a"}\n{"id": "b"}\n')
        assert read_values(tmp_path / "a.json") == ["a", "b"]
        (tmp_path / "a.json").write_text('{"id": "a"}\n{"id": "b"\n')
        with pytest.raises(ValueError, match=r"a\.json, line 2: Expecting"):
            read_values(tmp_path / "a.json")


class TestText:
    @pytest.mark.parametrize("suffix", ["txt", "csv", "tsv", "json", "jsonl"])
    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
    def test_encodings_that_say_what_they_are(self, tmp_path, suffix, encoding):
        content = {
            "txt": "é\nb",
            "csv": "id,n\né,1\nb,2",
            "tsv": "id\tn\né\t1\nb\t2",
            "json": '["é", "b"]',
            "jsonl": '"é"\n"b"',
        }
        (tmp_path / f"a.{suffix}").write_bytes(content[suffix].encode(encoding))
        assert read_values(tmp_path / f"a.{suffix}") == ["é", "b"]

    def test_others_are_refused_with_what_to_do(self, tmp_path):
        (tmp_path / "a.csv").write_bytes("id\né".encode("latin-1"))
        with pytest.raises(ValueError, match=r"no text in UTF-8 \(byte 3 is 0xe9\); save it as"):
            read_values(tmp_path / "a.csv")
        (tmp_path / "a.csv").write_bytes(codecs.BOM_UTF16_LE + b"a")
        with pytest.raises(ValueError, match=r"no text in UTF-8 .*save it as UTF-8"):
            read_values(tmp_path / "a.csv")

    @pytest.mark.parametrize("delimiter", [",", ";", "\t"])
    @pytest.mark.parametrize("suffix", ["csv", "tsv"])
    def test_delimiters(self, tmp_path, delimiter, suffix):
        rows = [("n", "id"), ("1", f'"a{delimiter} b"'), ("2", "c")]
        (tmp_path / f"a.{suffix}").write_text("\n".join(map(delimiter.join, rows)))
        assert read_values(tmp_path / f"a.{suffix}") == [f"a{delimiter} b", "c"]

    def test_a_text_longer_than_the_csv_module_likes(self, tmp_path):
        (tmp_path / "a.csv").write_text(f"id,text\n1,{'x' * 200_000}\n{'y' * 140_000},b\n")
        assert read_values(tmp_path / "a.csv") == ["1", "y" * 140_000]
        with pytest.raises(ValueError, match="not in the pool: 'yyy") as raised:
            Pool(features=np.eye(2), ids=["1", "2"]).rows_of(read_values(tmp_path / "a.csv"))
        assert len(str(raised.value)) < 1000

    @pytest.mark.parametrize("content", ["a\n\nb\n\n", "a\n\nb\n\n\n\n"])
    def test_empty_lines_at_the_end_are_labels_that_are_missing(self, tmp_path, content):
        (tmp_path / "labels.txt").write_text(content)
        n = content.count("\n")
        assert read_values(tmp_path / "labels.txt", "labels") == ["a", None, "b", *[None] * (n - 3)]
        np.save(tmp_path / "h.npy", np.eye(n))
        pool = open_pool(tmp_path / "h.npy", labels=tmp_path / "labels.txt")
        assert pool.labeled.tolist() == [0, 2]
        (tmp_path / "ids.txt").write_text("a\nb\n\n\n")
        assert read_values(tmp_path / "ids.txt") == ["a", "b"]


class TestTables:
    SCORES = "id,cat,dog,note\na,0.25,0.75,x\nb,1,0,y\nc,0.5,0.5,\n"

    @pytest.mark.parametrize("name", ["scores.csv", "scores.tsv"])
    def test_a_column_for_each_class(self, tmp_path, name):
        delimiter = "\t" if name.endswith("tsv") else ","
        (tmp_path / name).write_text(self.SCORES.replace(",", delimiter))
        np.save(tmp_path / "h.npy", np.eye(3))
        pool = open_pool(
            proba=tmp_path / name, features=tmp_path / "h.npy", ids=f"{tmp_path}/{name}"
        )
        assert pool.classes.tolist() == ["cat", "dog"]
        assert pool.ids.tolist() == ["a", "b", "c"]
        np.testing.assert_array_equal(pool.proba, [[0.25, 0.75], [1, 0], [0.5, 0.5]])
        assert len(select(pool, 2, random_state=0)) == 2

    def test_as_a_pool_it_needs_names(self, tmp_path):
        path = tmp_path / "scores.csv"
        path.write_text(self.SCORES)
        with pytest.raises(ValueError, match=r"or give proba='.*scores\.csv' alone if each column"):
            open_pool(path)

    def test_classes_that_are_numbers(self, tmp_path):
        (tmp_path / "p.csv").write_text(",0,1,10\n0,0.5,0.25,0.25\n1,1,0,0\n")  # an index of pandas
        assert open_pool(proba=tmp_path / "p.csv").classes.tolist() == [0, 1, 10]

    def test_columns_that_are_numbered(self, tmp_path):
        (tmp_path / "a.csv").write_text("id,p_0,p_1,h_1,h_2\na,0.5,0.5,1,2\nb,1,0,3,4\n")
        pool = open_pool(tmp_path / "a.csv", proba="p", features="h")
        np.testing.assert_array_equal(pool.features, [[1, 2], [3, 4]])
        assert (pool.ids.tolist(), pool.classes) == (["a", "b"], None)

    def test_one_column_is_of_a_binary_classifier(self, tmp_path):
        (tmp_path / "a.csv").write_text("id,p\na,0.25\nb,1\n")
        pool = open_pool(tmp_path / "a.csv", proba="p")
        np.testing.assert_array_equal(pool.proba, [[0.75, 0.25], [0, 1]])

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ("id,cat,dog\na,0.5,\nb,1,0\n", "column 'dog' holds '' in row 0; expected numbers"),
            ("id,cat,dog\na,0.5,x\nb,1,0\n", "column 'dog' holds 'x' in row 0; expected numbers"),
            ("id;cat;dog\na;0,5;0,5\nb;1;0\n", "holds '0,5' in row 0; expected numbers, with a po"),
            ("cat;dog\n0,9;0,1\n", "'cat' holds '0,9' in row 0; expected numbers, with a point"),
            ("0.5,0.5\n1.0,0.0\n", "no columns of numbers with names in its first line"),
            ("id,name\na,b\n", "no columns of numbers with names"),
            ("", "is empty; write the names of its columns into its first line"),
            ("cat,dog\n1,0\n0,5,0,5\n", "row 1 has 4 cells and the first line has 2; put texts"),
            ('cat,dog\n1,"0\n0,1\n', "a quote that opens in row 0 is never closed"),
            ('cat,"dog\n1,0\n', "a quote that opens in the first line is never closed"),
            ("cat;dog;dog\n1;0;0\n", "2 columns 'dog'; give each a name of its own"),
        ],
    )
    def test_refused(self, tmp_path, content, message):
        (tmp_path / "a.csv").write_text(content)
        with pytest.raises(ValueError, match=message):
            open_pool(proba=tmp_path / "a.csv")

    @pytest.mark.parametrize("name", ["id", "ids", "Group", "label", ""])
    def test_classes_that_are_called_as_what_is_known(self, tmp_path, name):
        path = tmp_path / "a.csv"
        for row in ("0.5,0.25,0.25", "0.9,0.3,0.8", "1,0.5,0"):
            path.write_text(f"{name},en,fr\n{row}\n0,0.5,0.25\n")
            with pytest.raises(ValueError, match=f"column '{name}' holds numbers from 0 to 1"):
                open_pool(proba=path)
        # The advice, both ways.
        path.write_text("id_,en,fr\n0.5,0.25,0.25\n0,0.75,0.25\n")
        assert open_pool(proba=path).classes.tolist() == ["id_", "en", "fr"]
        for one, other in (("0", "1"), ("1", ""), ("3", "0.5"), ("a", "1")):
            if "id" in name and other == "":
                continue  # which is no id
            path.write_text(f"{name},en,fr\n{one},0.5,0.5\n{other},1,0\n")
            assert open_pool(proba=path).classes.tolist() == ["en", "fr"]

    def test_columns_whose_names_look_alike(self, tmp_path):
        composed, apart = (unicodedata.normalize(form, "éid") for form in ("NFC", "NFD"))
        (tmp_path / "a.csv").write_text(f"{apart},n\na,1\n", encoding="utf-8")
        with pytest.raises(ValueError, match="looks alike, but an accent is a character of its"):
            read_values(f"{tmp_path}/a.csv:{composed}")
        assert read_values(f"{tmp_path}/a.csv:{apart}") == ["a"]

    def test_blank_lines_are_no_labels(self, tmp_path):
        np.save(tmp_path / "h.npy", np.eye(3))
        given = {"features": tmp_path / "h.npy", "labels": f"{tmp_path}/y.csv:label"}
        (tmp_path / "y.csv").write_text("label\na\n\nb\n")
        with pytest.raises(ValueError, match=r"blank lines of a \.csv or \.tsv file are s"):
            open_pool(**given)
        (tmp_path / "y.csv").write_text('label\na\n""\nb\n')
        assert open_pool(**given).labeled.tolist() == [0, 2]

    def test_rows_that_are_longer_than_the_first_line(self, tmp_path):
        path = tmp_path / "a.csv"
        path.write_text("id,note,h_0,h_1\na,x,1,2\nb,x, y,3,4\n")
        for read in (lambda: open_pool(features=f"{path}:h"), lambda: read_values(path)):
            with pytest.raises(ValueError, match=r"row 1 has 5 cells .* has 4; .*double quotes"):
                read()
        path.write_text('id,note,h_0,h_1\na,x,1,2\nb,"x, y",3,4\n')
        assert open_pool(features=f"{path}:h").features[1].tolist() == [3, 4]

    def test_columns_of_one_name(self, tmp_path):
        path = tmp_path / "a.csv"
        path.write_text("id,id,n,n,m\na,b,0,1,0.5\nc,d,2,3,0.5\n")
        for read in (lambda: read_values(path), lambda: read_values(f"{path}:n", "labels")):
            with pytest.raises(ValueError, match=r"2 columns '(id|n)'; give each a name of its"):
                read()
        assert read_values(f"{path}:m", "labels") == ["0.5", "0.5"]


class TestFilesThatHaveIds:
    """Each may have an id column: they are compared, as rows are joined by their place."""

    N = 5

    def write(self, tmp_path, order):
        ids, proba = [f"a{i}" for i in range(self.N)], [[i / 8, 1 - i / 8] for i in range(self.N)]
        table = pa.table({"id": ids, "embedding": np.eye(self.N).tolist(), "proba": proba})
        pq.write_table(table, tmp_path / "pool.parquet")
        features = [*np.eye(self.N)]
        write_pool(tmp_path / "folder", proba, np.array(features), ids=ids, overwrite=True)
        np.save(tmp_path / "h.npy", features)
        np.savez(tmp_path / "g.npz", id=[ids[i] for i in order], group=[*order])
        pq.write_table(table.take([*order]), tmp_path / "other.parquet")
        lines = [f"{ids[i]},{proba[i][0]},{proba[i][1]}" for i in order]
        (tmp_path / "p.csv").write_text("\n".join(["id,cat,dog", *lines]))
        lines = [f"{ids[i]},{'cat' if i == 1 else ''}" for i in order]
        (tmp_path / "y.csv").write_text("\n".join(["id,label", *lines]))
        records = [{"id": ids[i], "label": "cat" if i == 1 else None, "at": i} for i in order]
        (tmp_path / "y.json").write_text(json.dumps(records))
        (tmp_path / "y.jsonl").write_text("\n".join(map(json.dumps, records)))
        (tmp_path / "ids.txt").write_text("\n".join(ids[i] for i in order))
        (tmp_path / "names.txt").write_text("\n".join(f"img-{i}" for i in range(self.N)))

    @pytest.mark.parametrize(
        "given",
        [
            {"path": "pool.parquet", "proba": "p.csv"},
            {"path": "folder", "proba": "p.csv"},
            {"path": "pool.parquet", "proba": "other.parquet:proba"},
            {"features": "pool.parquet", "proba": "p.csv"},
            {"path": "pool.parquet", "ids": "ids.txt"},
            {"path": "pool.parquet", "ids": "p.csv"},
            {"path": "folder", "ids": "ids.txt"},
            {"path": "pool.parquet", "labels": "y.csv"},
            {"path": "pool.parquet", "groups": "g.npz"},
            {"path": "pool.parquet", "labels": "y.json"},
            {"path": "folder", "groups": "y.jsonl:at"},
            {"path": "h.npy", "labels": "y.json:label", "ids": "pool.parquet"},
            {"path": "h.npy", "labels": "y.json", "ids": range},
            {"path": "h.npy", "proba": "p.csv", "ids": range},
            {"path": "pool.parquet", "ids": range},
            {"path": "folder", "ids": range},
            {"path": "h.npy", "proba": "p.csv", "ids": "folder"},
            {"path": "h.npy", "ids": "ids.txt", "labels": "pool.parquet:id"},
        ],
        ids=str,
    )
    def test_they_agree_or_are_refused(self, tmp_path, monkeypatch, given):
        monkeypatch.chdir(tmp_path)
        self.write(tmp_path, range(self.N))
        ids = [f"a{i}" for i in range(self.N)]
        if given.get("ids") is range:
            given = {**given, "ids": ids}
        if given.get("labels") != "pool.parquet:id":
            found = open_pool(**given, classes=["cat", "dog"]).ids
            assert found is None or found.tolist() == ids
        self.write(tmp_path, [0, 1, 3, 2, 4])
        if given.get("ids") == ids and len(given) == 2:
            given["ids"] = [*ids[:2], "a3", "a2", "a4"]
        if given.get("labels") == "pool.parquet:id":  # asked for as something else
            assert open_pool(**given, task="vectors").ids.tolist()[2] == "a3"
            return
        with pytest.raises(
            ValueError, match=r"row 2 has the id 'a[23]' in .* and 'a[23]' in .*; b"
        ):
            open_pool(**given)

    def test_ids_of_another_kind_win(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        self.write(tmp_path, range(self.N))
        assert open_pool("pool.parquet", ids="names.txt").ids_of([3]).tolist() == ["img-3"]
        assert open_pool("pool.parquet", ids=[*"vwxyz"]).ids_of([3]).tolist() == ["y"]
        # A labelling tool's own numbers beside the ids of the pool.
        records = [{"id": 100 + i, "name": f"a{i}", "label": "cat"} for i in range(self.N)]
        (tmp_path / "export.json").write_text(json.dumps(records))
        for ids in (None, "export.json:name", [f"a{i}" for i in range(self.N)]):
            given = {"ids": ids, "labels": "export.json:label", "classes": ["cat", "dog"]}
            pool = open_pool("pool.parquet", **given)
            assert pool.labeled.tolist() == [*range(self.N)]
            assert pool.ids_of([3]).tolist() == ["a3"]

    def test_an_id_that_is_asked_for_as_a_label(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        self.write(tmp_path, [1, 0, 2, 3, 4])
        pool = open_pool("h.npy", groups="y.json:id")
        assert pool.groups.tolist() == ["a1", "a0", "a2", "a3", "a4"]

    @pytest.mark.parametrize("path", ["h.npy", None])
    def test_those_of_a_part_are_taken(self, tmp_path, monkeypatch, path):
        monkeypatch.chdir(tmp_path)
        self.write(tmp_path, [0, 1, 3, 2, 4])
        features = {"path": path} if path else {"features": "h.npy"}
        for proba in ("p.csv", "other.parquet"):
            pool = open_pool(**features, proba=proba)
            assert pool.ids_of([1, 2]).tolist() == ["a1", "a3"]
            assert (
                pool.classes is None
                if proba != "p.csv"
                else pool.classes.tolist() == ["cat", "dog"]
            )
        (tmp_path / "h.csv").write_text("h_0\n" + "1.5\n" * self.N)
        pool = open_pool(proba="p.csv", features="h.csv:h")
        assert (pool.ids.tolist()[3], pool.classes.tolist()) == ("a2", ["cat", "dog"])
        assert open_pool("h.npy", labels="y.csv", classes=["cat", "dog"]).ids is None

    def test_numbers_and_their_texts_are_the_same(self, tmp_path):
        table = pa.table({"id": [7, 8], "features": [[1.0], [2.0]]})
        pq.write_table(table, tmp_path / "a.parquet")
        (tmp_path / "p.csv").write_text("id,cat,dog\n7,1,0\n8,0,1\n")
        given = {"path": tmp_path / "a.parquet", "proba": tmp_path / "p.csv"}
        assert open_pool(**given).ids.tolist() == [7, 8]
        (tmp_path / "p.csv").write_text("id,cat,dog\n7,1,0\n9,0,1\n")
        with pytest.raises(ValueError, match=r"row 1 has the id 8 in .* and '9' in"):
            open_pool(**given)


ODD = {"struct": {"a": 1}, "map": [("a", 1)], "lists": [1, 2], "lists of texts": ["x", "y"]}


class TestOtherKinds:
    """What is no id, group or label, in each format that can hold it: said when it is opened."""

    @pytest.mark.parametrize("what", ["ids", "groups", "labels"])
    @pytest.mark.parametrize("kind", ODD)
    @pytest.mark.parametrize("file", ["a.parquet", "a.json"])
    def test_it_is_said_what_was_expected(self, tmp_path, file, what, kind):
        if what == "labels" and kind == "lists":
            return  # those of several labels
        value = ODD[kind]
        if file == "a.json":
            (tmp_path / file).write_text(json.dumps([{"x": value}] * 3))
        else:
            types = {"map": pa.map_(pa.string(), pa.int64())}
            table = pa.table({"x": pa.array([value] * 3, types.get(kind))})
            pq.write_table(table, tmp_path / file)
        np.save(tmp_path / "h.npy", np.eye(3))
        if what == "labels" and kind == "lists of texts" and file == "a.json":
            value = [["x", "y"]]
            (tmp_path / file).write_text(json.dumps([{"x": value}] * 3))
        expected = (
            rf"{file}.*(must be numbers or strings, got|must be (all )?integers or (all )?strings, "
            r"got|; expected numbers, or lists of numbers)"
        )
        with pytest.raises((TypeError, ValueError), match=expected):
            open_pool(tmp_path / "h.npy", **{what: f"{tmp_path}/{file}:x"})


class TestMissing:
    @pytest.mark.parametrize("file", ["a.parquet", "a.csv", "a.json", "a.jsonl", "a.npy", "a.zarr"])
    def test_a_row_without_a_group_is_refused_at_once(self, tmp_path, file):
        values = ["north", "south", None, "north"]
        path, texts = tmp_path / file, [value or "" for value in values]
        if file == "a.parquet":
            pq.write_table(pa.table({"g": values}), path, row_group_size=2)
        elif file == "a.csv":
            path.write_text("g,x\n" + "".join(f"{text},1\n" for text in texts))
        elif file == "a.json":
            path.write_text(json.dumps([{"g": value} for value in values]))
        elif file == "a.jsonl":
            path.write_text("\n".join(json.dumps({"g": value}) for value in values))
        elif file == "a.npy":
            np.save(path, np.array(texts))
        else:
            group = zarr.open_group(path, mode="w")
            group.create_array("g", shape=4, dtype=str)[:] = np.array(texts, dtype=object)
        np.save(tmp_path / "h.npy", np.eye(4))
        name = "" if file == "a.npy" else ":g"
        with pytest.raises(ValueError, match=r"groups is None at row 2 .*must have a group"):
            open_pool(tmp_path / "h.npy", groups=f"{path}{name}")

    @pytest.mark.parametrize("n", [3, 2**53])
    @pytest.mark.parametrize("rows", [1, 4])
    def test_integers_of_parquet_stay_integers(self, tmp_path, n, rows):
        values = [None, n, n + 1, n + 2]
        table = pa.table({"proba": [[0.25] * 4] * 4, "g": pa.array(values, pa.int64())})
        pq.write_table(table, tmp_path / "a.parquet", row_group_size=rows)
        path = f"{tmp_path}/a.parquet"
        groups = open_source(path, groups="g").known("groups")
        assert [*map(repr, groups.tolist())] == [*map(repr, values)]
        labels = open_pool(path, labels="g").labels[[1, 2, 3]].tolist()
        assert [*map(int, labels)] == values[1:]

    @pytest.mark.parametrize("text", ["nan", "NaN", "NA", "None", "null"])
    @pytest.mark.parametrize("file", ["y.txt", "y.csv", "y.jsonl", "y.parquet"])
    def test_texts_that_mean_missing_are_no_class(self, tmp_path, text, file):
        np.save(tmp_path / "h.npy", np.eye(4))
        labels = ["cat", text, "", text]
        if file.endswith("parquet"):
            pq.write_table(pa.table({"label": labels}), tmp_path / file)
        elif file.endswith("jsonl"):
            (tmp_path / file).write_text("\n".join(map(json.dumps, labels)))
        else:
            head = "n,label\n" * file.endswith("csv")
            lines = [f"1,{label}" if head else label for label in labels]
            (tmp_path / file).write_text(head + "\n".join(lines) + "\n")
        given = {"features": tmp_path / "h.npy", "labels": f"{tmp_path}/{file}"}
        with pytest.raises(ValueError, match=f"text '{text}' in 2 rows, as if it were a class; le"):
            open_pool(**given)
        assert open_pool(**given, classes=["cat", text]).labeled.tolist() == [0, 1, 3]
        with pytest.raises(ValueError, match="not among the classes"):
            open_pool(**given, classes=["cat", "dog"]).labels  # noqa: B018

    def test_among_numbers_nan_is_missing(self, tmp_path):
        np.save(tmp_path / "h.npy", np.eye(3))
        (tmp_path / "y.txt").write_text("1\nnan\n0\n")
        pool = open_pool(tmp_path / "h.npy", labels=tmp_path / "y.txt")
        assert pool.labeled.tolist() == [0, 2]


class TestIds:
    @pytest.mark.parametrize("door", ["pool", "json", "jsonl"])
    def test_half_a_letter_is_no_text(self, tmp_path, door):
        ids = ["a", "\ud800", "b"]
        texts, path = [json.dumps(each) for each in ids], tmp_path / f"a.{door}"
        path.write_text("\n".join(texts) if door == "jsonl" else f"[{','.join(texts)}]")
        with pytest.raises(ValueError, match="what is at row 1 is no text that UTF-8 can hold"):
            Pool(features=np.eye(3), ids=ids) if door == "pool" else read_values(path)

    @pytest.mark.parametrize("door", ["ids", "list", "npy", "parquet", "groups"])
    def test_binary_uuids_and_what_to_do(self, tmp_path, door):
        ids = [bytes([1, 200 + i, *[3] * 14]) for i in range(3)]

        def use():
            if door == "npy":
                np.save(tmp_path / "ids.npy", np.array(ids))
                return read_values(tmp_path / "ids.npy")
            if door == "parquet":
                table = pa.table({"id": pa.array(ids, pa.binary(16)), "features": [[1.0]] * 3})
                pq.write_table(table, tmp_path / "a.parquet")
                return open_pool(tmp_path / "a.parquet")
            known = {"ids" if door == "list" else door: ids if door == "list" else np.array(ids)}
            return Pool(features=np.eye(3), **known)

        with pytest.raises(ValueError, match=r"row 0 is no text .*str\(uuid\.UUID\(bytes=value"):
            use()
        texts = [str(uuid.UUID(bytes=value)) for value in ids]
        assert Pool(features=np.eye(3), ids=texts).ids.tolist() == texts

    def test_forms_that_look_alike(self):
        composed, apart = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
        for there, asked in ((composed, apart), (apart, composed)):
            pool = Pool(features=np.eye(2), ids=["a", there])
            with pytest.raises(ValueError, match=r"look alike, but an accent .*normalize"):
                pool.rows_of([asked])
        fixed = Pool(features=np.eye(1), ids=[unicodedata.normalize("NFC", apart)])
        assert fixed.rows_of([unicodedata.normalize("NFC", composed)]).tolist() == [0]

    @pytest.mark.parametrize("door", ["pool", "folder", "parquet", "npy", "npz", "json"])
    def test_of_64_bits(self, tmp_path, door):
        ids = np.array([3, 2**63, 2**64 - 1, 2**63 + 1], dtype=np.uint64)
        features = np.eye(4)
        if door == "pool":
            pool = Pool(features=features, ids=ids)
        elif door == "folder":
            write_pool(tmp_path / "a", features=features, ids=ids, rows_per_shard=1)
            pool = open_pool(tmp_path / "a")
        elif door == "parquet":
            table = pa.table({"id": ids, "features": features.tolist()})
            pq.write_table(table, tmp_path / "a.parquet", row_group_size=1)
            pool = open_pool(tmp_path / "a.parquet")
        elif door == "npz":
            np.savez(tmp_path / "a.npz", features=features, id=ids)
            pool = open_pool(tmp_path / "a.npz")
        else:
            np.save(tmp_path / "h.npy", features)
            if door == "npy":
                np.save(tmp_path / "ids.npy", ids)
            else:
                (tmp_path / "ids.json").write_text(json.dumps(ids.tolist()))
            pool = open_pool(tmp_path / "h.npy", ids=tmp_path / f"ids.{door}")
        assert pool.ids.tolist() == ids.tolist()
        assert pool.rows_of([2**64 - 1, 2**63, 3]).tolist() == [2, 1, 0]
        assert pool.rows_of([str(2**64 - 1)]).tolist() == [2]
        with pytest.raises(ValueError, match="not in the pool: -1; the pool has ids like 3"):
            pool.rows_of([-1])
        with pytest.raises(ValueError, match="1 of 1 id is not in the pool: 9223372036854775810"):
            pool.rows_of([2**63 + 2])


def test_parts_of_a_folder_come_in_natural_order(tmp_path):
    for number in (10, 2, 1):
        table = pa.table({"features": [[float(number)]], "id": [number]})
        pq.write_table(table, tmp_path / f"part.{number}.parquet")
    assert open_pool(tmp_path).ids.tolist() == [1, 2, 10]


@pytest.mark.parametrize("proba", [np.full((3, 2), 0.5), np.full(3, 0.5)], ids=["two", "one"])
def test_an_archive_may_name_its_classes(tmp_path, proba):
    path, names = tmp_path / "a.npz", np.array(["no", "yes"])
    np.savez(path, proba=proba, embedding=np.eye(3), classes=names)
    assert open_pool(path).classes.tolist() == ["no", "yes"]
    assert open_pool(path, classes=["a", "b"]).classes.tolist() == ["a", "b"]
    # Of the samples, whatever it says of them.
    np.savez(path, proba=proba, embedding=np.eye(3), classes=np.arange(3))
    assert open_pool(path).classes is None
    np.savez(path, proba=proba, embedding=np.eye(3), classes=names.astype(object))
    with pytest.raises(ValueError, match=r"a\.npz:classes holds an array of Python objects"):
        open_pool(path)
