"""What ``labelnext select`` chooses, reads and writes."""

import csv
import io
import json
import warnings

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scipy.sparse as sp

import labelnext

COLUMNS = ["rank", "row", "id", "pseudo_label", "gradient_norm", "d2", "potential"]
FILES = ("-p", "probs.npy", "-f", "emb.npy")


def rows(result):
    return list(csv.DictReader(io.StringIO(result.stdout)))


def picked(result):
    assert result.exit_code == 0, result.output
    return [int(row["row"]) for row in rows(result)]


@pytest.fixture
def batch(arrays):
    return labelnext.select(*arrays, 8, random_state=0)


@pytest.mark.parametrize(
    "source",
    [
        FILES,
        ("pool.parquet",),
        ("pool.npz",),
        ("pool.parquet", "--proba", "proba", "--features", "embedding", "--ids", "id"),
        ("-p", "pool.npz:proba", "-f", "pool.parquet:embedding"),
        ("pool.parquet", "-f", "emb.npy"),
        ("emb.npy", "-p", "probs.npy"),
        ("emb.npy", "-p", "pool.npz"),
    ],
    ids=" ".join,
)
def test_every_source_gives_the_batch_of_the_library(folder, run, batch, source):
    assert picked(run("select", *source, "-k", 8)) == batch.indices.tolist()


def test_standard_output_is_csv_that_reads_back_exactly(folder, run, batch):
    result = run("select", "pool.parquet", "-k", 8)
    assert list(rows(result)[0]) == COLUMNS
    assert [row["id"] for row in rows(result)] == [f"img-{row:03d}" for row in batch.indices]
    assert [int(row["rank"]) for row in rows(result)] == list(range(1, 9))
    for name, values in (
        ("pseudo_label", batch.pseudo_labels),
        ("gradient_norm", batch.gradient_norms),
        ("d2", batch.d2),
        ("potential", batch.potentials),
    ):
        assert [float(row[name]) for row in rows(result)] == values.tolist()
    assert result.stderr == ""  # nothing for people: this is no terminal


def test_without_ids_the_row_is_the_id(folder, run):
    assert all(row["id"] == row["row"] for row in rows(run("select", *FILES, "-k", 5)))


@pytest.mark.parametrize("ending", ["csv", "json", "jsonl", "parquet", "CSV"])
def test_output_by_ending(folder, run, batch, ending):
    result = run("select", "pool.parquet", "-k", 8, "-o", f"batch.{ending}")
    assert result.exit_code == 0, result.output
    assert result.stdout == ""
    path = folder / f"batch.{ending}"
    if ending in ("json", "jsonl"):
        text = path.read_text()
        records = json.loads(text) if ending == "json" else map(json.loads, text.splitlines())
        records = list(records)
        columns = {name: [row[name] for row in records] for name in records[0]}
    elif ending == "parquet":
        columns = pq.read_table(path).to_pydict()
    else:
        records = list(csv.DictReader(io.StringIO(path.read_text())))
        columns = {name: [row[name] for row in records] for name in records[0]}
        columns["row"] = [int(row) for row in columns["row"]]
        columns["d2"] = [float(value) for value in columns["d2"]]
    assert list(columns) == COLUMNS
    assert columns["row"] == batch.indices.tolist()
    assert columns["d2"] == batch.d2.tolist()
    assert list(folder.glob(".*")) == []  # no draft is left


def test_seed_bias_and_k_reach_the_selection(folder, run, arrays):
    expected = labelnext.select(*arrays, 12, bias=True, random_state=4).indices.tolist()
    assert picked(run("select", *FILES, "-k", 12, "--seed", 4, "--bias")) == expected
    assert expected != picked(run("select", *FILES, "-k", 12, "--seed", 4))
    assert expected != picked(run("select", *FILES, "-k", 12, "--bias"))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("done.txt", "img-003\nimg-007\n\n"),
        ("done.csv", "label,id\ncat,img-003\n\ndog,img-007\n"),
        ("done.csv:name", "name,id\nimg-003,1\nimg-007,2\n"),
        ("done.json", '["img-003", "img-007"]'),
        ("done.json", '[{"id": "img-003"}, {"id": "img-007"}]'),
        ("done.json:name", '[{"name": "img-003"}, {"name": "img-007"}]'),
    ],
)
def test_excluded_ids_are_not_chosen(folder, run, arrays, name, content):
    (folder / name.partition(":")[0]).write_text(content)
    expected = labelnext.select(*arrays, 38, exclude=[3, 7], random_state=0)
    result = run("select", "pool.parquet", "-k", 38, "-x", name)
    assert picked(result) == expected.indices.tolist()


@pytest.mark.parametrize("ending", ["csv", "json", "jsonl", "parquet"])
def test_an_earlier_batch_is_a_list_of_excluded_ids(folder, run, ending):
    run("select", "pool.parquet", "-k", 10, "-o", f"batch.{ending}")
    run("select", "pool.parquet", "-k", 5, "--seed", 1, "-o", "other.csv")
    excluded = set(picked(run("select", "pool.parquet", "-k", 10)))
    excluded |= set(picked(run("select", "pool.parquet", "-k", 5, "--seed", 1)))
    left = 40 - len(excluded)
    result = run("select", "pool.parquet", "-k", left, "-x", f"batch.{ending}", "-x", "other.csv")
    assert set(picked(result)) == set(range(40)) - excluded


def test_integer_ids_match_their_text(folder, run):
    np.save("ids.npy", np.arange(40) * 10)
    (folder / "done.txt").write_text("50\n")
    result = run("select", *FILES, "--ids", "ids.npy", "-x", "done.txt", "-k", 39, "-o", "b.json")
    assert result.exit_code == 0, result.output
    batch = json.loads((folder / "b.json").read_text())
    assert {row["id"] for row in batch} == set(range(0, 400, 10)) - {50}


@pytest.mark.parametrize("kind", ["U", "S", "parquet", "bom"])
def test_ids_of_several_kinds(folder, run, ids, kind):
    if kind == "parquet":
        source = "ids.parquet:name"
        pq.write_table(pa.table({"name": ids, "other": ids}), "ids.parquet")
    elif kind == "bom":
        source = "ids.csv"
        (folder / "ids.csv").write_text("\ufeffid\n" + "\n".join(ids), encoding="utf-8")
    else:
        source = "ids.npy"
        np.save("ids.npy", np.array(ids).astype(kind))
    result = run("select", *FILES, "--ids", source, "-k", 4)
    assert [row["id"] for row in rows(result)] == [ids[row] for row in picked(result)]


def test_parquet_of_row_groups_and_numbered_columns(folder, run, arrays, batch):
    proba, features = arrays
    pq.write_table(
        pa.table({"proba": proba.tolist()} | {f"emb_{j}": features[:, j] for j in range(5)}),
        "wide.parquet",
        row_group_size=7,
    )
    result = run("select", "wide.parquet", "-f", "emb", "-k", 8)
    assert picked(result) == batch.indices.tolist()


def test_numbered_columns_are_in_the_order_of_their_numbers(folder, run, arrays):
    wide = np.random.default_rng(2).normal(size=(40, 11)) * np.logspace(0, 2, 11)
    np.save("wide.npy", wide)
    order = (10, 2, 1, 3, 0, 4, 5, 6, 7, 8, 9)
    table = {"proba": arrays[0].tolist()} | {f"e_{j}": wide[:, j] for j in order}
    pq.write_table(pa.table(table), "wide.parquet")
    found = rows(run("select", "wide.parquet", "-f", "e", "-k", 8))
    assert found == rows(run("select", "-p", "probs.npy", "-f", "wide.npy", "-k", 8))


def test_half_precision_and_large_lists(folder, run, arrays):
    proba, features = arrays
    half = features.astype(np.float16)
    pq.write_table(
        pa.table(
            {
                "proba": pa.array(proba.tolist(), pa.large_list(pa.float64())),
                "embedding": pa.array(list(half), pa.list_(pa.float16())),
            }
        ),
        "half.parquet",
    )
    expected = labelnext.select(proba, half, 8, random_state=0)
    assert picked(run("select", "half.parquet", "-k", 8)) == expected.indices.tolist()


def test_sparse_features(folder, run, arrays, batch):
    sp.save_npz("emb-sparse.npz", sp.csr_array(arrays[1]))
    result = run("select", "-p", "probs.npy", "-f", "emb-sparse.npz", "-k", 8, "--plot", "b.png")
    assert picked(result) == batch.indices.tolist()
    assert (folder / "b.png").read_bytes().startswith(b"\x89PNG")


def test_one_column_of_probabilities_is_binary(folder, run, arrays):
    rng = np.random.default_rng(1)
    p = rng.random(40)
    np.save("p.npy", p)
    expected = labelnext.select(p, arrays[1], 5, random_state=0)
    result = run("select", "-p", "p.npy", "-f", "emb.npy", "-k", 5)
    assert picked(result) == expected.indices.tolist()


@pytest.mark.parametrize(
    ("ending", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")]
)
def test_plot(folder, run, ending, start):
    (folder / "done.txt").write_text("img-003\n")
    result = run(
        "select", "pool.parquet", "-k", 8, "-x", "done.txt", "-o", "b.csv", "--plot", f"b.{ending}"
    )
    assert result.exit_code == 0, result.output
    assert (folder / f"b.{ending}").read_bytes().startswith(start)


def test_force_replaces_and_keeps_links(folder, run):
    (folder / "real.csv").write_text("old")
    (folder / "link.csv").symlink_to("real.csv")
    assert run("select", "pool.parquet", "-k", 3, "-o", "link.csv", "--force").exit_code == 0
    assert (folder / "link.csv").is_symlink()
    assert (folder / "real.csv").read_text().startswith("rank,")


def test_a_warning_is_one_line(folder, run, monkeypatch):
    inner = labelnext.select

    def warned(*arguments, **options):
        for _ in range(2):
            warnings.warn("All gradients\nare 0.", UserWarning, stacklevel=2)
        return inner(*arguments, **options)

    monkeypatch.setattr(labelnext, "select", warned)
    result = run("select", "pool.parquet", "-k", 3)
    assert result.exit_code == 0
    assert result.stderr == "labelnext: warning: All gradients are 0\n"


def test_a_terminal_gets_a_summary(folder, run, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    result = run("select", "pool.parquet", "-k", 30, "-o", "b.csv")
    assert result.exit_code == 0
    assert result.stdout == ""
    for words in ("30 of 40 candidates chosen", "img-", "Potential left", "after 10", "b.csv"):
        assert words in result.stderr


def test_a_short_summary_of_a_pool_without_gradients(folder, run, monkeypatch):
    np.save("sure.npy", np.eye(3)[np.zeros(40, int)])
    monkeypatch.setenv("FORCE_COLOR", "1")
    result = run("select", "-p", "sure.npy", "-f", "emb.npy", "-k", 2, "-o", "b.csv")
    assert "One pick covers all candidates" in result.stderr
    assert "…" not in result.stderr


def test_the_only_array_needs_no_name(folder, run, arrays, batch):
    np.savez("one.npz", whatever=arrays[1])
    result = run("select", "-p", "probs.npy", "-f", "one.npz", "-k", 8)
    assert picked(result) == batch.indices.tolist()


class TestCheckpoint:
    """What is kept on the way; that a killed run goes on is tested with `labelnext.select`."""

    def test_the_same_command_ends_with_the_same_batch(self, folder, run):
        expected = run("select", "pool.parquet", "-k", 9).stdout
        for _ in range(2):
            result = run("select", "pool.parquet", "-k", 9, "--checkpoint", "run.ckpt")
            assert (result.exit_code, result.stdout) == (0, expected)
        assert json.loads((folder / "run.ckpt").read_text())["rows"]

    def test_a_longer_batch_goes_on(self, folder, run):
        run("select", "pool.parquet", "-k", 5, "--checkpoint", "run.ckpt")
        longer = run("select", "pool.parquet", "-k", 9, "--checkpoint", "run.ckpt").stdout
        assert longer == run("select", "pool.parquet", "-k", 9).stdout

    def test_that_of_another_command_is_refused(self, folder, run, complaint):
        run("select", "pool.parquet", "-k", 5, "--checkpoint", "run.ckpt")
        words = complaint("select", "pool.parquet", "-k", 5, "--checkpoint", "run.ckpt", "--bias")
        assert "run.ckpt is the checkpoint of another pool" in words
        words = complaint(
            "select", "pool.parquet", "-k", 5, "--checkpoint", "run.ckpt", "--seed", 3
        )
        assert "another --seed; name another file, or delete it to start again" in words


def test_a_report_with_samples_by_id(folder, run, ids):
    rows = [f"{name},text of {name}\n" for name in reversed(ids)]
    (folder / "texts.csv").write_text("id,body\n" + "".join(rows))
    result = run(
        *("select", "pool.parquet", "-k", 8, "-o", "b.csv"),
        *("--report", "b.html", "--samples", "texts.csv"),
    )
    assert result.exit_code == 0, result.output
    first = (folder / "b.csv").read_text().split("\n")[1].split(",")[2]
    assert f"text of {first}" in (folder / "b.html").read_text()


def test_a_report_of_pictures_from_another_folder(folder, run, ids, monkeypatch):
    """Whatever paths are said from, and whichever way their slashes go."""
    from PIL import Image

    (folder / "photos").mkdir()
    (folder / "elsewhere").mkdir()
    for at, name in enumerate(ids):
        Image.new("RGB", (8, 8), (5 * at, 0, 0)).save(folder / "photos" / f"{name}.png")
    windows = [rf"{name},photos\{name}.png" for name in ids]
    (folder / "windows.csv").write_text("\n".join(["id,image", *windows, ""]))
    gone = [rf"{name},C:\Users\Ann\{name}.png" for name in ids]
    (folder / "gone.csv").write_text("\n".join(["id,image", *gone, ""]))
    monkeypatch.chdir(folder / "elsewhere")
    for at, (samples, pictures) in enumerate(
        [("../photos", 8), ("../photos/", 8), ("../windows.csv", 8), ("../gone.csv", 0)]
    ):
        result = run(
            *("select", "../pool.parquet", "-k", 8, "-o", f"../b{at}.csv"),
            *("--report", f"../b{at}.html", "--samples", samples),
        )
        assert result.exit_code == 0, result.output
        page = (folder / f"b{at}.html").read_text()
        assert page.count("data:image/") == pictures
        assert "Ann" not in page
        assert str(folder) not in page


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--samples", "t.csv"), "--samples is for the report; add --report batch.html"),
        (("--report", "b.pdf"), "--report b.pdf: expected a name that ends in .html"),
        (("--report", "b.html", "--samples", "t.csv"), "t.csv; check the path"),
        (("--report", "b.html", "--samples", "ids.txt.gz"), "must be a folder of pictures, or end"),
        (("--report", "old.html"), "--report old.html: exists already; add --force"),
    ],
)
def test_reports_that_cannot_be_are_refused_before_the_work(folder, run, options, complaint):
    (folder / "old.html").write_text("mine")
    result = run("select", "pool.parquet", "-k", 3, "-o", "b.csv", *options)
    assert result.exit_code == 2
    assert complaint in result.stderr
    assert not (folder / "b.csv").exists()
    assert (folder / "old.html").read_text() == "mine"
