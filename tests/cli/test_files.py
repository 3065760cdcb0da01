"""``labelnext select`` from folders and under a limit, and ``labelnext convert``."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

import labelnext
from labelnext.pools import PoolWriter, open_source

FILES = ("-p", "probs.npy", "-f", "emb.npy")
K = 8


def rows(result):
    assert result.exit_code == 0, result.output
    return list(csv.DictReader(io.StringIO(result.stdout)))


@pytest.fixture
def pool(folder, run):
    result = run("convert", "pool.parquet", "pool", "--rows-per-shard", 15)
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "")
    return folder / "pool"


@pytest.fixture
def expected(folder, run):
    return rows(run("select", "pool.parquet", "-k", K))


@pytest.mark.parametrize(
    "source",
    [
        ("pool",),
        ("pool", "--memory-limit", "1GB"),
        ("pool.parquet", "--memory-limit", "500MiB"),
        ("parts",),
        (*FILES, "--ids", "ids.txt", "--memory-limit", "1GB"),
        (*FILES, "--ids", "ids.npy", "--memory-limit", "1GB"),
        ("pool.parquet", "-p", "proba", "-f", "embedding", "--ids", "id", "--memory-limit", "1GB"),
        ("pool", "--ids", "ids.txt"),
        ("rows", "--ids", "pool.npz:id"),
    ],
    ids=" ".join,
)
def test_read_as_it_is_needed_it_gives_the_same_batch(pool, folder, run, ids, expected, source):
    np.save("ids.npy", np.array(ids))
    (folder / "parts").mkdir()
    table = pq.read_table("pool.parquet")
    pq.write_table(table[:11], "parts/a.parquet")
    pq.write_table(table[11:], "parts/b.parquet")
    rows(run("convert", "probs.npy", "emb.npy", "rows"))
    assert rows(run("select", *source, "-k", K)) == expected


def test_without_ids_the_row_is_the_id(folder, run, expected):
    rows(run("convert", "probs.npy", "emb.npy", "rows"))
    batch = rows(run("select", "rows", "-k", K))
    assert [row["id"] for row in batch] == [row["row"] for row in batch]
    assert [row["row"] for row in batch] == [row["row"] for row in expected]


def test_exclude(pool, folder, run, monkeypatch):
    monkeypatch.setattr("labelnext.pools.known.STRETCH", 7)
    run("select", "pool", "-k", 5, "-o", "b.csv")
    more = rows(run("select", "pool", "-x", "b.csv", "-k", 5))
    assert more == rows(run("select", "pool.parquet", "-x", "b.csv", "-k", 5))
    assert len(more) == 5


def test_outputs(pool, folder, run):
    result = run("select", "pool", "-k", 5, "-o", "b.json", "--plot", "b.png")
    assert result.exit_code == 0, result.output
    assert [row["id"][:4] for row in json.loads((folder / "b.json").read_text())] == ["img-"] * 5
    assert (folder / "b.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    "sources",
    [
        ("pool.parquet",),
        ("pool.npz",),
        ("probs.npy", "emb.npy", "ids.npy"),
        ("probs.npy", "emb.npy", "--ids", "ids.txt"),
        ("pool",),
        ("pool.parquet", "-p", "proba", "-f", "embedding"),
    ],
    ids=" ".join,
)
def test_convert_keeps_all_there_is(pool, arrays, ids, run, sources):
    np.save("ids.npy", np.array(ids))
    at = next((i for i, word in enumerate(sources) if word.startswith("-")), len(sources))
    result = run("convert", *sources[:at], "made", *sources[at:], "--rows-per-shard", 7)
    assert result.exit_code == 0, result.output
    source = open_source("made")
    assert len(json.loads(Path("made/pool.json").read_text())["shards"]) == 6
    for part, values in zip(("proba", "features"), arrays, strict=True):
        assert np.array_equal(source.read(part, 0, 40), values)
        assert source.dtypes[part] == values.dtype
    assert source.ids().tolist() == ids


def test_convert_of_one_dimension_and_a_bias(folder, run, arrays):
    positive = arrays[0][:, 0]
    np.save("positive.npy", positive)
    run("convert", "positive.npy", "emb.npy", "made", "--bias")
    source = open_source("made")
    assert (source.one_dimensional, source.bias, source.task) == (True, True, "multiclass")
    batch = rows(run("select", "made", "-k", K))
    same = labelnext.select(positive, arrays[1], K, bias=True, random_state=0)
    assert [int(row["row"]) for row in batch] == same.indices.tolist()
    # What a pool says of itself is handed on.
    run("convert", "made", "again")
    assert open_source("again").bias is True


def test_convert_refuses_to_overwrite(pool, folder, run, complaint):
    before = (pool / "pool.json").read_bytes()
    words = complaint("convert", "pool.parquet", "pool")
    assert "holds a pool already (finished)" in words
    assert "--resume" in words
    assert "--force" in words
    assert (pool / "pool.json").read_bytes() == before
    assert run("convert", "pool.npz", "pool", "--force").exit_code == 0
    assert (pool / "pool.json").read_bytes() != before
    (folder / "other").mkdir()
    (folder / "other" / "thesis.tex").write_text("precious")
    for option in ((), ("--force",), ("--resume",)):
        assert "thesis.tex" in complaint("convert", "pool.parquet", "other", *option)
    assert (folder / "other" / "thesis.tex").read_text() == "precious"


@pytest.mark.parametrize("target", ["pool", "pool/", ".", "../{}/pool"])
def test_convert_does_not_write_over_what_it_reads(pool, folder, complaint, target):
    before = (pool / "pool.json").read_bytes()
    words = complaint("convert", "pool", target.format(folder.name), "--force")
    assert "is read from there; choose another folder" in words
    assert (pool / "pool.json").read_bytes() == before


def test_convert_goes_on(folder, run, complaint, monkeypatch):
    run("convert", "pool.parquet", "whole", "--rows-per-shard", 6)
    write, calls = PoolWriter.write, []

    def interrupted(self, shard, **rest):
        if shard == 3:
            raise KeyboardInterrupt
        write(self, shard, **rest)

    monkeypatch.setattr(PoolWriter, "write", interrupted)
    result = run("convert", "pool.parquet", "made", "--rows-per-shard", 6)
    assert result.exit_code == 130
    assert result.stderr == (
        "labelnext: interrupted: 3 of 7 shards are written; go on with --resume\n"
    )
    assert "unfinished" in complaint("select", "made", "-k", 3)
    assert "unfinished" in complaint("convert", "pool.parquet", "made")
    monkeypatch.setattr(PoolWriter, "write", write)
    assert "was begun with" in complaint(
        "convert", "pool.parquet", "made", "--rows-per-shard", 5, "--resume"
    )
    monkeypatch.setattr(
        PoolWriter, "write", lambda self, n, **rest: calls.append(n) or write(self, n, **rest)
    )
    assert run("convert", "pool.parquet", "made", "--rows-per-shard", 6, "--resume").exit_code == 0
    assert calls == [3, 4, 5, 6]
    assert Path("made/pool.json").read_text() == Path("whole/pool.json").read_text()


def test_convert_killed_goes_on(folder, run, tmp_path):
    rng = np.random.default_rng(0)
    np.save("p.npy", rng.dirichlet(np.ones(5), 60_000))
    np.save("h.npy", rng.random((60_000, 20)))
    command = [
        sys.executable, "-c", "from labelnext.cli import main; main()",
        "convert", "p.npy", "h.npy", "made", "--rows-per-shard", "500",
    ]  # fmt: skip
    process = subprocess.Popen(command)
    while not list((folder / "made").glob("shard-00005")):
        assert process.poll() is None
        time.sleep(0.001)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (folder / "made" / "pool.json").exists()
    arguments = ("convert", "p.npy", "h.npy", "made", "--rows-per-shard", 500, "--resume")
    assert run(*arguments).exit_code == 0
    source = open_source("made")
    source.verify()
    assert np.array_equal(source.read("proba", 0, 60_000), np.load("p.npy"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ("select", "pool.npz", "-k", 3, "--memory-limit", "1GB"),
            "--memory-limit: pool.npz is read into memory as a whole",
        ),
        (("select", "pool.parquet", "-k", 3, "--memory-limit", "much"), "--memory-limit 'much'"),
        (("select", "pool", "-k", 3, "--memory-limit", "1kB"), "--memory-limit is 1kB, but"),
        (("select", "pool", "-k", 41), "only 40 samples are left"),
        (("select", "pool", "-p", "score", "-k", 3), "pool folder, which has its own parts"),
        (
            ("select", "pool.parquet", "-p", "score", "-k", 3, "--memory-limit", "1GB"),
            "pool.parquet has no 'score'",
        ),
        (("select", "pool", "--ids", "short.txt", "-k", 3), "has 40 rows and short.txt has 2"),
        (
            ("select", "pool", "-x", "short.txt", "-k", 3),
            "not in the pool: 'a', 'b'; the pool has ids ",
        ),
        (("select", "empty", "-k", 3), "empty"),
        (("select", "nowhere/", "-k", 3), "nowhere; check the path"),
        (("convert", "pool.parquet"), "what to convert and the folder to make"),
        (("convert", "a", "b", "c", "d", "e"), "got 5 paths"),
        (("convert", "ids.txt"), "what to convert and the folder to make"),
        (("convert", "nowhere.parquet", "made"), "nowhere.parquet"),
        (("convert", "ids.txt", "made"), "ids.txt"),
        (("convert", "probs.npy", "short.npy", "made"), "rows"),
        (("convert", "pool.npz", "made", "-p", "score"), "score"),
        (
            ("convert", "probs.npy", "emb.npy", "made", "-p", "x"),
            "these are probabilities, features and maybe ids; leave out",
        ),
        (("convert", "pool.parquet", "made", "--rows-per-shard", 0), "at least one"),
        (("convert", "pool.parquet", "made", "--resume", "--force"), "give one of them"),
        (("convert", "pool.parquet", "ids.txt/made"), "ids.txt"),
        (("convert", "pool.parquet", "s3://bucket/made"), "s3://"),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, tuple) else "",
)
def test_mistakes(pool, folder, complaint, arguments, words):
    (folder / "short.txt").write_text("a\nb\n")
    np.save("short.npy", np.ones((7, 3)))
    (folder / "empty").mkdir()
    assert words in complaint(*arguments)
    assert not (folder / "made" / "pool.json").exists()


def test_a_pool_that_may_not_be_read(pool, complaint, monkeypatch):
    # Root may read everything; what happens to others is tested with the pools.
    def refuse(*_):
        raise PermissionError(f"{pool} may not be read: permission denied.")

    monkeypatch.setattr("labelnext.pools._open.open_pool_folder", refuse)
    assert "permission denied" in complaint("select", "pool", "-k", 3)


@pytest.mark.parametrize(("suffix", "delimiter"), [(".csv", ","), (".tsv", "\t")])
def test_scores_in_a_table_with_a_column_for_each_class(
    folder, run, arrays, ids, suffix, delimiter
):
    table = [("id", "cat", "dog", "fox")]
    table += [(name, *map(repr, row)) for name, row in zip(ids, arrays[0].tolist(), strict=True)]
    scores = folder / f"scores{suffix}"
    scores.write_text("\n".join(map(delimiter.join, table)))
    batch = rows(run("select", "-p", scores, "-f", "emb.npy", "--ids", scores, "-k", K))
    plain = ("select", *FILES, "--ids", "ids.txt", "--classes", "cat,dog,fox", "-k", K)
    assert batch == rows(run(*plain))
