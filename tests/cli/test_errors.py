"""Every mistake is one line that says what to do, with exit code 2 and no output."""

import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import labelnext

FILES = ("-p", "probs.npy", "-f", "emb.npy")


def save(path, values):
    np.save(path, np.asarray(values))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("select", "pool.parquet"), "Missing option '-k'"),
        (("select", "pool.parquet", "-k", "ten"), "'-k'"),
        (("select", "pool.parquet", "-k", "2.5"), "'-k'"),
        (("select", "pool.parquet", "-k", 0), "-k 0: choose at least one sample"),
        (("select", "pool.parquet", "-k", -3), "-k -3: choose at least one"),
        (("select", "pool.parquet", "-k", 41), "only 40 samples are left"),
        (("select", "pool.parquet", "-k", 3, "--seed", -1), "--seed -1: a seed is 0 or more"),
        (("select", "pool.parquet", "-k", 3, "--sed", 1), "No such option"),
        (("selec",), "select"),
        (
            ("select", "-k", 3),
            "nothing to choose from: give POOL, a file or folder, or --proba and",
        ),
        (
            ("select", "-p", "probs.npy", "-k", 3),
            "needs features; this pool has probabilities only: give",
        ),
        (("select", "pool.csv", "-k", 3), "pool.csv; check the path"),
        (
            ("select", "ids.txt", "-k", 3),
            "ids.txt: this file is of no known format: expected a pool",
        ),
        (("select", "gone.parquet", "-k", 3), "gone.parquet; check the path"),
        (("select", "gone", "-k", 3), "gone; check the path"),
        (
            ("select", "pool.npz:nope", "-k", 3),
            "a pool is a whole file: give pool.npz, which has 'proba', 'embedding', 'id'\n",
        ),
        (("select", "emb.npy:nope", "-k", 3), "a pool is a whole file: give emb.npy\n"),
        (
            ("select", "probs.npy", "emb.npy", "-k", 3),
            "files are named by what they hold: -p PROBA -f FEATURES; see",
        ),
        (("select", "-p", "gone.npy", "-f", "emb.npy", "-k", 3), "gone.npy; check the path"),
        (
            ("select", "-p", "probs.txt", "-f", "emb.npy", "-k", 3),
            "--proba probs.txt: expected a file that ends in .npy, .npz, ",
        ),
        (("select", "-p", "probs.npy:a", "-f", "emb.npy", "-k", 3), "without a name"),
        (("select", "pool.parquet", "-f", "embeding", "-k", 3), "did you mean 'embedding'?"),
        (("select", "pool.parquet", "-f", "embeding", "-k", 3), "it has id, proba, embedding"),
        (("select", "pool.npz", "-p", "prob", "-k", 3), "pool.npz has no 'prob'; it has proba"),
        (("select", *FILES, "--ids", "gone.txt", "-k", 3), "gone.txt; check the path"),
        (("select", *FILES, "--ids", "ids.md", "-k", 3), "--ids ids.md: expected a file"),
        (
            ("select", *FILES, "--ids", "pool.npz:proba", "-k", 3),
            "integers or strings in one dimension",
        ),
        (
            ("select", *FILES, "--ids", "pool.parquet:proba", "-k", 3),
            "all integers or all strings, got list",
        ),
        (
            ("select", "pool.npz", "-x", "pool.npz:proba", "-k", 3),
            "integers or strings in one dimension",
        ),
        (
            ("select", *FILES, "--ids", "pool.npz", "-x", "ids.csv:row", "-k", 3),
            "--exclude ids.csv:row: rows must be from 0 to 39, got '40'",
        ),
        (
            ("select", "pool.parquet", "-x", "ids.txt", "-k", 3),
            "nothing is left to choose from (40",
        ),
        (
            ("select", "pool.parquet", "-k", 3, "-o", "b.xlsx"),
            "ends in .csv, .json, .jsonl or .parquet",
        ),
        (
            ("select", "pool.parquet", "-k", 3, "-o", "ids.txt"),
            "ends in .csv, .json, .jsonl or .parquet",
        ),
        (("select", "pool.parquet", "-k", 3, "-o", "no/b.csv"), "there is no folder no; create it"),
        (("select", "pool.parquet", "-k", 3, "--plot", "b.gif"), "ends in .png, .pdf or .svg"),
        (("select", "pool.parquet", "-k", 3, "--checkpoint", "no/a"), "there is no folder no; cre"),
        (("select", "pool.parquet", "-k", 3, "--checkpoint", "ids.txt"), "ids.txt is no checkpoi"),
        (("demo", "--seeds", 1), "an interval needs at least two seeds"),
        (("demo", "--jobs", 0), "at least one process"),
        (("demo", "--out", "ids.txt"), "--out ids.txt: file exists; choose another folder"),
        (("demo", "--out", "ids.txt/demo"), "choose another folder"),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, tuple) else "",
)
def test_mistakes(folder, complaint, arguments, words):
    (folder / "ids.csv").write_text("row\n3\n40\n")
    assert words in complaint(*arguments)


@pytest.mark.parametrize("option", ["-o", "--plot"])
def test_an_existing_file_is_kept(folder, complaint, option):
    path = folder / ("b.csv" if option == "-o" else "b.png")
    path.write_text("precious")
    assert "exists already; add --force" in complaint(
        "select", "pool.parquet", "-k", 3, option, path
    )
    assert path.read_text() == "precious"


def test_folders_in_place_of_files(folder, complaint):
    (folder / "b.csv").mkdir()
    (folder / "d.npy").mkdir()
    assert "this is a folder" in complaint("select", "pool.parquet", "-k", 3, "-o", "b.csv")
    words = complaint("select", "-p", "d.npy", "-f", "emb.npy", "-k", 3)
    assert "d.npy: this folder is of no known format" in words


@pytest.mark.parametrize(
    ("name", "keep"),
    [
        ("emb.npy", 300),
        ("emb.npy", 40),
        ("emb.npy", 0),
        ("pool.npz", 500),
        ("pool.npz", 0),
        ("pool.parquet", 900),
        ("pool.parquet", 3),
        ("pool.parquet", 0),
    ],
)
def test_truncated_files(folder, complaint, name, keep):
    path = folder / name
    assert keep < path.stat().st_size
    path.write_bytes(path.read_bytes()[:keep])
    source = ("-p", "probs.npy", "-f", name) if name.endswith(".npy") else (name,)
    line = complaint("select", *source, "-k", 3)
    assert name in line
    assert "write or copy it again" in line or "write it with numpy.save" in line


@pytest.mark.parametrize("name", ["pool.npz", "pool.parquet"])
def test_files_with_a_broken_middle(folder, complaint, name):
    path = folder / name
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle - 150 : middle + 150] = bytes(300)
    path.write_bytes(bytes(content))
    line = complaint("select", name, "-k", 3)
    assert "Cannot read" in line
    assert f"{name}: " in line


def test_text_that_is_no_text(folder, complaint):
    (folder / "ids.txt").write_bytes(b"\xff\xfe\x00")
    assert "Cannot read ids.txt" in complaint("select", *FILES, "--ids", "ids.txt", "-k", 3)
    (folder / "ids.json").write_text("[1,")
    assert "Cannot read ids.json" in complaint("select", *FILES, "--ids", "ids.json", "-k", 3)
    (folder / "ids.json").write_text("7")
    assert "expected a list" in complaint("select", *FILES, "--ids", "ids.json", "-k", 3)
    np.save("ids.npy", np.array([b"\xff"] * 40))
    assert "ids.npy: what is at row 0 is no text that UTF-8 can hold" in complaint(
        "select", *FILES, "--ids", "ids.npy", "-k", 3
    )


def test_a_file_that_may_not_be_read(folder, complaint, monkeypatch):
    def refuse(path, *_args, **_kwargs):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "open", refuse)
    assert "permission denied; check who may read it" in complaint("select", *FILES, "-k", 3)


def test_an_array_in_the_clothes_of_an_archive(folder, complaint):
    (folder / "emb.npy").rename(folder / "emb.npz")
    assert "rename it to .npy" in complaint("select", "-p", "probs.npy", "-f", "emb.npz", "-k", 3)


def test_objects_are_not_unpickled(folder, complaint):
    np.save("emb.npy", np.array([{}] * 40), allow_pickle=True)
    assert "emb.npy holds an array of Python objects" in complaint("select", *FILES, "-k", 3)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_no_numbers(folder, complaint, arrays, bad):
    proba, features = arrays
    features[7, 2] = bad
    save("emb.npy", features)
    line = complaint("select", *FILES, "-k", 3)
    assert "features" in line
    assert "7" in line
    proba[5, 1] = bad
    save("probs.npy", proba)
    assert "proba" in complaint("select", *FILES, "-k", 3)


def test_probabilities_that_are_none(folder, complaint, arrays):
    proba, _ = arrays
    save("probs.npy", proba * 2)
    assert "sum" in complaint("select", *FILES, "-k", 3)
    save("probs.npy", proba - 0.5)
    assert "negative" in complaint("select", *FILES, "-k", 3)
    save("probs.npy", [["a"] * 3] * 40)
    assert "real numbers" in complaint("select", *FILES, "-k", 3)


def test_lengths_that_differ(folder, complaint, arrays):
    save("emb.npy", arrays[1][:39])
    assert "probs.npy has 40 rows and emb.npy has 39" in complaint("select", *FILES, "-k", 3)
    (folder / "ids.txt").write_text("a\nb\n")
    assert "pool.parquet has 40 rows and ids.txt has 2" in complaint(
        "select", "pool.parquet", "--ids", "ids.txt", "-k", 3
    )


def test_empty_pools(folder, complaint):
    save("probs.npy", np.zeros((0, 3)))
    save("emb.npy", np.zeros((0, 5)))
    assert "pool is empty" in complaint("select", *FILES, "-k", 3)
    save("probs.npy", 0.5)
    assert "holds a single number; it needs a row for each sample" in complaint(
        "select", *FILES, "-k", 3
    )
    pq.write_table(pa.table({"proba": pa.array([], pa.list_(pa.float32()))}), "pool.parquet")
    assert "pool is empty" in complaint("select", "pool.parquet", "-f", "emb.npy", "-k", 3)


def test_ids_that_are_not_unique(folder, complaint, ids):
    (folder / "ids.txt").write_text("\n".join([*ids[:37], *ids[:3]]))
    line = complaint("select", *FILES, "--ids", "ids.txt", "-k", 3)
    assert "3 ids are there more than once: 'img-000', 'img-001', 'img-002'" in line


def test_ids_that_are_empty(folder, complaint, ids):
    (folder / "ids.txt").write_text("\n".join(["", *ids[1:]]))
    assert "id number 0 is empty" in complaint("select", *FILES, "--ids", "ids.txt", "-k", 3)
    (folder / "ids.txt").write_text(" \n")
    assert "ids.txt is empty: expected ids" in complaint(
        "select", *FILES, "--ids", "ids.txt", "-k", 3
    )
    (folder / "ids.csv").write_text("name,id\na,1\nb\n")
    assert "id number 1 is empty" in complaint("select", *FILES, "--ids", "ids.csv", "-k", 3)


def test_a_csv_without_an_id_column_does_not_lose_its_first_line(folder, complaint, ids):
    (folder / "ids.csv").write_text("\n".join(ids))
    line = complaint("select", "pool.parquet", "-x", "ids.csv", "-k", 3)
    assert "no column 'id' in its first line ('img-000')" in line
    assert "use a .txt file" in line
    (folder / "ids.csv").write_text("name\na")
    assert "has no 'nam'; it has name" in complaint(
        "select", "pool.parquet", "-x", "ids.csv:nam", "-k", 3
    )


def test_unknown_excluded_ids_are_named(folder, complaint):
    (folder / "done.txt").write_text("\n".join(["img-001", *(f"dog-{i}" for i in range(7))]))
    line = complaint("select", "pool.parquet", "-x", "done.txt", "-k", 3)
    assert (
        "7 of 8 ids are not in the pool: 'dog-0', 'dog-1', 'dog-2', 'dog-3', 'dog-4' and 2 more"
        in line
    )


@pytest.mark.parametrize(
    ("column", "words"),
    [
        ([[0.5, 0.5]] * 39 + [None], "is empty in 1 row, the first is row 39"),
        ([[0.5, 0.5]] * 39 + [[1.0]], "lists of different lengths: 1 at row 39, 2 before"),
        ([[0.5, None]] * 40, "lists with empty entries"),
        ([["a", "b"]] * 40, "expected numbers, or lists of numbers"),
        (["a"] * 40, "holds string; expected numbers"),
    ],
)
@pytest.mark.parametrize("group", [40, 13])
def test_parquet_columns_that_are_no_matrix(folder, complaint, column, words, group):
    pq.write_table(pa.table({"proba": column}), "bad.parquet", row_group_size=group)
    assert words in complaint("select", "bad.parquet", "-f", "emb.npy", "-k", 3)


def test_parquet_without_the_column(folder, complaint):
    pq.write_table(pa.table({"probability": [1], "image": [1]}), "other.parquet")
    line = complaint("select", "other.parquet", "-k", 3)
    assert "other.parquet has no 'proba'; it has probability, image" in line
    assert "did you mean 'probability'?" in line
    assert "name it with --proba SOURCE" in line
    pq.write_table(pa.table({"proba": [0.5] * 40, "e_0": [1] * 40, "e_2": [1] * 40}), "gap.parquet")
    assert "gap.parquet has no 'e'" in complaint("select", "gap.parquet", "-f", "e", "-k", 3)


def test_row_groups_of_different_lengths(folder, complaint):
    pq.write_table(
        pa.table({"proba": [[0.5, 0.5]] * 20 + [[1.0]] * 20}), "bad.parquet", row_group_size=20
    )
    assert "1 at row 20, 2 before" in complaint("select", "bad.parquet", "-f", "emb.npy", "-k", 3)


def flip(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--classes", "x,y,z"), "labels has values that are not among the classes: 'a', 'b'"),
        (("--task", "multilabel"), "labels"),
        ((), "labels.npy has the checksum"),
        (None, "labels has values that are not among the classes: 'b'"),
    ],
)
def test_labels_of_a_pool_folder_that_do_not_fit(folder, run, options, words):
    (folder / "labels.csv").write_text("label\na\nb\n" + '""\n' * 38)
    told = ("--labels", "labels.csv:label", "--classes", "a,b,c")
    assert run("convert", *FILES, *told, "pool").exit_code == 0
    if options is None:
        manifest = (folder / "pool/pool.json").read_text()
        (folder / "pool/pool.json").write_text(manifest.replace('"b"', '"d"'))
        options = ()
    elif not options:
        flip(folder / "pool/shard-00000/labels.npy")
    result = run("select", "pool", "-k", 4, *options)
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert words in result.stderr


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e300, "damaged"])
def test_features_that_no_strategy_looked_at(folder, run, arrays, bad):
    """The batch is there, and the error says that it is."""
    proba, features = arrays
    features = features.astype(np.float64)
    if bad != "damaged":
        features[5, 0] = bad
    labelnext.write_pool("pool", proba, features)
    if bad == "damaged":
        flip(folder / "pool/shard-00000/features.npy")
    asked = ("select", "pool", "-k", 3, "--strategy", "uncertainty", "-o", "b.csv")
    result = run(*asked, "--plot", "b.png")
    assert result.exit_code == 2
    assert result.stderr.startswith("labelnext: --plot b.png: the batch is written, but not drawn:")
    words = "has the checksum" if bad == "damaged" else "finite and below 1e+140 to be drawn"
    assert words in result.stderr
    assert result.stderr.count("\n") == 1
    assert (folder / "b.csv").exists()
    assert not (folder / "b.png").exists()
