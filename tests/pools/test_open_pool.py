"""open_pool: parts, ids, groups and labels from files of any format, and from several at once."""

import json
import os
import pickle
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scipy.sparse as sp
import torch
import zarr

from labelnext.pools import Pool, PoolWriter, open_pool, write_pool
from labelnext.pools._open import read_values

N = 12
RNG = np.random.default_rng(0)
PROBA = RNG.dirichlet(np.ones(3), size=N).astype(np.float32)
FEATURES = RNG.normal(size=(N, 4)).astype(np.float16)
IDS = [f"s{i}" for i in range(N)]
GROUPS = [i // 3 for i in range(N)]
LABELS = ["cat", None, "dog"] + [None] * (N - 3)
CLASSES = ["cat", "dog", "eel"]
POOL = Pool(PROBA, FEATURES, ids=IDS, groups=GROUPS, labels=LABELS, classes=CLASSES)


def in_folder(folder):
    write_pool(folder / "pool", POOL, rows_per_shard=5)
    return {"path": folder / "pool"}


def in_parquet(folder):
    table = pa.table(
        {
            "id": IDS,
            "proba": list(PROBA),
            "embedding": list(FEATURES),
            "patient": GROUPS,
            "truth": LABELS,
        }
    )
    pq.write_table(table, folder / "pool.parquet", row_group_size=5)
    return {"path": folder / "pool.parquet", "groups": "patient", "labels": "truth"}


def in_zarr(folder):
    group = zarr.open_group(folder / "pool", mode="w")
    labels = [label or "" for label in LABELS]
    for name, values in (("id", IDS), ("groups", GROUPS), ("labels", labels)):
        kind = str if isinstance(values[0], str) else np.int64
        group.create_array(name, shape=N, chunks=5, dtype=kind)[:] = np.array(values)
    for name, values in (("proba", PROBA), ("embedding", FEATURES)):
        group.create_array(name, shape=values.shape, chunks=(5, 3), dtype=values.dtype)[:] = values
    return {"path": folder / "pool", "groups": "groups", "labels": "labels"}


def arrays():
    labels = np.array([label or "" for label in LABELS])
    return {"proba": PROBA, "features": FEATURES, "ids": np.array(IDS), "of": GROUPS, "y": labels}


def in_npy_files(folder):
    for name, values in arrays().items():
        np.save(folder / f"{name}.npy", np.asarray(values))
    return {"path": folder, "groups": "of", "labels": "y.npy"}


def in_an_archive(folder):
    np.savez(folder / "pool.npz", **arrays())
    return {"path": folder / "pool.npz", "groups": "of", "labels": "y"}


def in_many_files(folder):
    in_npy_files(folder)
    in_parquet(folder)
    return {
        "proba": f"{folder}/pool.parquet:proba",
        "features": folder / "features.npy",
        "ids": f"{folder}/pool.parquet",
        "groups": folder / "of.npy",
        "labels": f"{folder}/pool.parquet:truth",
    }


def in_text_beside(folder):
    np.save(folder / "proba.npy", PROBA)
    np.save(folder / "h.npy", FEATURES)
    (folder / "ids.txt").write_text("\n".join(IDS) + "\n")
    (folder / "known.csv").write_text(
        "id,group,label\n"
        + "\n".join(f"{i},{g},{y or ''}" for i, g, y in zip(IDS, GROUPS, LABELS, strict=True))
    )
    records = [{"group": g, "label": y} for g, y in zip(GROUPS, LABELS, strict=True)]
    (folder / "known.json").write_text(json.dumps(records))
    (folder / "known.jsonl").write_text("\n".join(map(json.dumps, records)))
    return {
        "path": folder / "proba.npy",
        "features": folder / "h.npy",
        "ids": folder / "ids.txt",
        "groups": folder / "known.json",
        "labels": f"{folder}/known.csv:label",
    }


PLACES = [
    in_folder,
    in_parquet,
    in_zarr,
    in_npy_files,
    in_an_archive,
    in_many_files,
    in_text_beside,
]


@pytest.mark.parametrize("place", PLACES)
def test_all_that_is_known_is_found_wherever_it_is(tmp_path, place):
    opened = open_pool(**place(tmp_path), classes=CLASSES)
    for pool in (opened, pickle.loads(pickle.dumps(opened))):
        assert pool.known == ("ids", "groups", "labels")
        np.testing.assert_array_equal(pool.read("proba"), PROBA)
        np.testing.assert_array_equal(pool.features[2:7], FEATURES[2:7])
        assert pool.features.dtype == np.float16
        assert pool.ids.tolist() == IDS
        assert pool.groups.tolist() == GROUPS
        assert pool.labeled.tolist() == [0, 2]
        assert pool.labels[[0, 2]].tolist() == ["cat", "dog"]
        assert pool.ids_of([5, 1]).tolist() == ["s5", "s1"]
        assert pool.rows_of(["s11", "s0"]).tolist() == [11, 0]
        with pytest.raises(ValueError, match=r"1 of 1 id is not in the pool: 'x'; .* 's0', 's1', "):
            pool.rows_of(["x"])


@pytest.mark.parametrize("place", PLACES)
def test_it_is_cut_along_everything_and_reads_its_own_rows(tmp_path, place):
    pool = open_pool(**place(tmp_path), classes=CLASSES)
    for rows in (slice(1, 9), slice(None, None, 3), slice(None, None, -1), [7, 2, 4]):
        for part in (pool[rows], pickle.loads(pickle.dumps(pool[rows]))):
            np.testing.assert_array_equal(part.read("proba"), PROBA[rows])
            np.testing.assert_array_equal(part[1:3].read("features"), FEATURES[rows][1:3])
            assert part.ids.tolist() == np.array(IDS)[rows].tolist()
            assert part.groups.tolist() == np.array(GROUPS)[rows].tolist()
            expected = [i for i, row in enumerate(np.arange(N)[rows]) if LABELS[row]]
            assert part.labeled.tolist() == expected


def test_a_part_of_files_sends_how_to_read_it(tmp_path):
    n = 5000
    pool = Pool(np.full((n, 2), 0.5), np.ones((n, 9)), ids=np.arange(n), groups=np.arange(n))
    write_pool(tmp_path / "pool", pool)
    assert len(pickle.dumps(open_pool(tmp_path / "pool").part(100, 4000))) < 3000


@pytest.mark.parametrize("part", ["proba", "features"])
@pytest.mark.parametrize("place", ["folder", "parquet", "zarr", "npy", "files", "npz"])
def test_one_part_is_enough(tmp_path, place, part):
    values = {"proba": PROBA, "features": FEATURES}[part]
    path = tmp_path / f"pool.{place}"
    if place == "folder":
        write_pool(path, Pool(**{part: values}, ids=IDS), rows_per_shard=5)
    elif place == "parquet":
        pq.write_table(pa.table({part: list(values), "id": IDS}), path)
    elif place == "zarr":
        group = zarr.open_group(path, mode="w")
        group.create_array(part, shape=values.shape, dtype=values.dtype)[:] = values
        group.create_array("id", shape=N, dtype=str)[:] = np.array(IDS)
    elif place == "npz":
        np.savez(path, **{part: values, "id": np.array(IDS)})
    else:
        path.mkdir()
        np.save(path / f"{part}.npy", values)
        np.save(path / "id.npy", np.array(IDS))
    if place == "files":
        pool = open_pool(**{part: path / f"{part}.npy"}, ids=path / "id.npy")
    else:
        pool = open_pool(path)
    assert pool.source.parts == (part,)
    np.testing.assert_array_equal(pool.read(part), values)
    np.testing.assert_array_equal(pool[[3, 1]].read(part), values[[3, 1]])
    assert pool.ids.tolist() == IDS
    assert (pool.n_classes, pool.n_features) == ((3, None) if part == "proba" else (None, 4))


def test_a_cold_start_is_one_file(tmp_path):
    np.save(tmp_path / "vectors.npy", FEATURES)
    pool = open_pool(tmp_path / "vectors.npy")
    assert pool.proba is None
    np.testing.assert_array_equal(pool.features[2:4], FEATURES[2:4])


def test_sparse_features_of_an_archive(tmp_path):
    sparse = sp.csr_matrix(FEATURES.astype(np.float32) * (FEATURES > 0))
    sp.save_npz(tmp_path / "h.npz", sparse)
    np.save(tmp_path / "p.npy", PROBA)
    for given in ({"path": tmp_path / "h.npz"}, {"features": tmp_path / "h.npz"}):
        for proba in ({}, {"proba": tmp_path / "p.npy"}):
            pool = open_pool(**given, **proba)
            assert pool.source.sparse
            assert (pool.features != sparse).nnz == 0
            assert (pool.proba is not None) == bool(proba)


@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_an_array_that_is_no_file_is_not_passed_over(tmp_path, kind):
    np.save(tmp_path / "features.npy", FEATURES)
    (tmp_path / "notes").symlink_to("nowhere")
    assert open_pool(tmp_path).n_rows == N
    path = tmp_path / "ids.npy"
    path.symlink_to(tmp_path / "gone.npy") if kind == "link" else os.mkfifo(path)
    with pytest.raises(ValueError, match=r"ids\.npy is a link to a file that is not there, or no"):
        open_pool(tmp_path)


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
@pytest.mark.parametrize("place", ["parquet", "no suffix", "zarr"])
def test_no_part_is_passed_over(tmp_path, tmp_path_factory, place, kind):
    suffix = ".parquet" if place == "parquet" else ""
    if place == "zarr":
        group = zarr.open_group(tmp_path, mode="w")
        group.create_array("features", shape=(8, 2), chunks=(2, 2), dtype=float)[:] = 1
        parts = sorted(tmp_path.glob("features/c/*/0"))
    else:
        for part in range(3):
            table = pa.table({"features": FEATURES.tolist()})
            (tmp_path / f"part={part}").mkdir()
            pq.write_table(table, tmp_path / f"part={part}" / f"rows{suffix}")
        parts = sorted(tmp_path.glob("part=*/*"))
    (tmp_path / "_SUCCESS").symlink_to("nowhere")
    if place == "parquet":
        (tmp_path / "README.md").symlink_to("nowhere")
    if place != "zarr":
        assert len(open_pool(tmp_path)) == 3 * N
    else:
        (tmp_path / "_SUCCESS").unlink()
    there = parts[1] if kind != "folder" else parts[1].parent
    moved = tmp_path_factory.mktemp("elsewhere") / "moved"
    there.rename(moved)
    os.mkfifo(there) if kind == "pipe" else there.symlink_to(moved)
    if kind != "pipe":  # links are followed
        pool = open_pool(tmp_path)
        assert len(pool) == (8 if place == "zarr" else 3 * N)
        assert (pool.features[2:4] == (1 if place == "zarr" else FEATURES[2:4])).all()
    shutil.rmtree(moved) if moved.is_dir() else moved.unlink()
    with pytest.raises(ValueError, match=f"{there.name} is a link to a file that is not there, or"):
        open_pool(tmp_path)


class TestReadByRows:
    """Parts in files are indexed as NumPy's arrays are, by rows."""

    @pytest.fixture(params=["npy", "folder", "parquet", "zarr"])
    def pool(self, request, tmp_path):
        place = {"npy": in_npy_files, "folder": in_folder, "parquet": in_parquet, "zarr": in_zarr}
        return open_pool(**place[request.param](tmp_path))

    MASK = np.arange(N) % 3 == 0
    ROWS = (
        *(0, N - 1, -1, -N, np.int64(3), np.uint8(2), np.array(4)),
        *([0, 3, 3], [-1, 0], np.array([5, -2]), np.array([1, 0], np.uint64), [], range(2, 5)),
        *(slice(None), slice(3, 5), slice(-3, None), slice(8, 2), slice(8, 2, -2), slice(0, 99, 4)),
        *(MASK, MASK.tolist(), ~MASK & MASK),
    )

    @pytest.mark.one_of(2)
    @pytest.mark.parametrize("rows", ROWS, ids=str)
    def test_as_numpy(self, pool, rows):
        for part, values in (("proba", PROBA), ("features", FEATURES)):
            found, expected = getattr(pool, part)[rows], np.asarray(values)[rows]
            assert found.shape == expected.shape
            np.testing.assert_array_equal(found, expected)

    @pytest.mark.parametrize(
        ("rows", "message"),
        [
            (N, f"Row {N} is none of the {N} rows"),
            (-N - 1, "Row -.* is none of"),
            ([0, N + 3], "is none of"),
            ([True], rf"a mask of {N}, got \[True\]"),
            (1.5, "got 1.5"),
            ("a", "got 'a'"),
            ([[0, 1]], "got "),
            (
                (slice(None), 0),
                r"choose columns of what was read, as in pool\.(proba|features)\[:10\]",
            ),
            (None, "got None"),
        ],
    )
    def test_mistakes(self, pool, rows, message):
        for part in (pool.proba, pool.features):
            with pytest.raises(IndexError, match=message):
                part[rows]


def test_a_broken_sparse_matrix_is_named_with_its_file(tmp_path):
    matrix = sp.csr_matrix(FEATURES.astype(np.float32))
    matrix.indices[0] = 1000
    sp.save_npz(tmp_path / "h.npz", matrix)
    with pytest.raises(ValueError, match=r"h\.npz.*broken|Cannot read .*h\.npz"):
        open_pool(tmp_path / "h.npz")


def test_what_a_data_set_says_of_itself_is_no_label_until_it_is_named(tmp_path):
    table = pa.table({"proba": list(PROBA), "label": [0] * N, "group": [1] * N})
    pq.write_table(table, tmp_path / "x.parquet")
    pool = open_pool(tmp_path / "x.parquet")
    assert pool.known == ()
    assert open_pool(tmp_path / "x.parquet", labels="label").labeled.tolist() == list(range(N))


def test_the_caller_wins_over_the_files(tmp_path):
    write_pool(tmp_path / "pool", POOL, bias=True)
    pool = open_pool(tmp_path / "pool")
    assert (pool.task, pool.bias, pool.classes.tolist()) == ("multiclass", True, CLASSES)
    np.save(tmp_path / "other.npy", FEATURES * 2)
    pool = open_pool(
        tmp_path / "pool",
        features=tmp_path / "other.npy",
        bias=False,
        ids=np.arange(N),
        groups=["a"] * N,
        labels=["x"] + [None] * (N - 1),
        classes=["x", "y", "z"],
    )
    assert (pool.bias, pool.ids_of([3]).tolist(), pool.groups[0]) == (False, [3], "a")
    assert (pool.labeled.tolist(), pool.classes.tolist()) == ([0], ["x", "y", "z"])
    np.testing.assert_array_equal(pool.features[:2], FEATURES[:2] * 2)
    np.testing.assert_array_equal(pool.proba[:2], PROBA[:2])


class TestFoldersKeep:
    def test_what_probabilities_were_rounded_to(self, tmp_path):
        rounded = torch.tensor(PROBA).bfloat16()
        assert (rounded.double().sum(1) - 1).abs().max() > 1e-3
        write_pool(tmp_path / "pool", rounded, FEATURES, rows_per_shard=5)
        pool = open_pool(tmp_path / "pool")
        assert pool.source.stored_as == "bfloat16"
        assert pool[3:7].source.stored_as == "bfloat16"
        np.testing.assert_array_equal(pool.read("proba"), rounded.float().numpy())
        write_pool(tmp_path / "again", pool)
        assert open_pool(tmp_path / "again").source.stored_as == "bfloat16"
        writer = PoolWriter(tmp_path / "shards")
        writer.write(0, rounded[:6], FEATURES[:6])
        with pytest.raises(
            ValueError, match="columns in <f4, and there have 3 columns in bfloat16"
        ):
            writer.write(1, rounded[6:].float(), FEATURES[6:])
        writer.write(1, rounded[6:].float(), FEATURES[6:], stored_as="bfloat16")
        writer.finish()
        assert open_pool(tmp_path / "shards").source.stored_as == "bfloat16"

    def test_one_dimension(self, tmp_path):
        for task, columns in (("multiclass", 2), ("binary", 1)):
            pool = Pool(PROBA[:, 0], FEATURES, task=task)
            write_pool(tmp_path / task, pool)
            again = open_pool(tmp_path / task)
            assert again.proba.shape == (N, columns)
            assert again.task == task
            np.testing.assert_array_equal(again.read("proba"), pool.proba)
            assert np.load(tmp_path / task / "shard-00000" / "proba.npy").shape == (N,)

    def test_labels_of_numbers_and_of_several(self, tmp_path):
        labels = np.array([0, 1, 2, -1] * 3)
        write_pool(tmp_path / "a", PROBA, labels=labels, missing_label=-1)
        pool = open_pool(tmp_path / "a")
        np.testing.assert_array_equal(pool.labels, np.where(labels < 0, np.nan, labels))
        assert pool.labeled.tolist() == np.flatnonzero(labels >= 0).tolist()
        several = np.array([[0.0, 1.0, np.nan], [1, 1, 0]] * 6)
        write_pool(tmp_path / "b", PROBA, labels=several, task="multilabel", rows_per_shard=5)
        np.testing.assert_array_equal(open_pool(tmp_path / "b").labels, several)

    @pytest.mark.parametrize("task", ["regression", "vectors"])
    def test_other_tasks(self, tmp_path, task):
        write_pool(tmp_path / "a", Pool(features=FEATURES, task=task))
        assert open_pool(tmp_path / "a").task == task

    def test_the_last_layer(self, tmp_path):
        layer = (np.ones((3, 4), np.float32), np.arange(3.0))
        write_pool(tmp_path / "a", Pool(PROBA, FEATURES, last_layer=layer))
        weights, bias = open_pool(tmp_path / "a").last_layer
        np.testing.assert_array_equal(weights, layer[0])
        np.testing.assert_array_equal(bias, layer[1])
        write_pool(tmp_path / "b", open_pool(tmp_path / "a"), last_layer=(layer[0], None))
        assert open_pool(tmp_path / "b").last_layer[1] is None

    def test_nothing_new_of_a_plain_pool(self, tmp_path):
        """So that pools that were written before can be read, and the other way round."""
        write_pool(tmp_path / "a", PROBA, FEATURES, ids=IDS)
        known = json.loads((tmp_path / "a" / "pool.json").read_text())
        assert list(known) == [
            "format", "version", "task", "bias", "settings", "n_rows", "n_columns", "n_features",
            "dtypes", "ids", "shards",
        ]  # fmt: skip
        assert list(known["shards"][0]["files"]) == ["proba", "features", "ids"]
        assert list(known["shards"][0]["files"]["proba"]) == ["shape", "dtype", "offset", "crc32"]

    @pytest.mark.parametrize(
        ("given", "error", "message"),
        [
            (
                {"features": sp.csr_array(FEATURES.astype(float))},
                TypeError,
                "dense arrays.*toarray",
            ),
            ({"proba": np.stack([PROBA, PROBA])}, ValueError, "of 2 members; write a folder for"),
            ({"groups": [1.5] * N}, TypeError, "all integers or all strings, got 1.5 at row 0"),
            ({"groups": ["a", 1] * 6}, TypeError, "got 1 at row 1"),
            (
                {"labels": [2.0**60, *range(N - 1)], "task": "vectors", "proba": None},
                ValueError,
                "2..53",
            ),
            ({"labels": [""] + ["a"] * 11}, ValueError, "none may be empty"),
            ({"ids": [2**64, *range(N - 1)]}, ValueError, "below 2..64.*as strings"),
            ({"labels": ["x" * 2000] * N}, ValueError, "2,000 bytes"),
        ],
    )
    def test_not_what_they_cannot(self, tmp_path, given, error, message):
        with pytest.raises(error, match=message):
            write_pool(tmp_path / "pool", **{"proba": PROBA, "features": FEATURES, **given})
        assert list(tmp_path.iterdir()) == []


class TestValues:
    @pytest.mark.parametrize(
        ("name", "content", "expected"),
        [
            ("a.txt", "x\n y \n\n", ["x", "y"]),
            ("a.txt", "\ufeff1\n2\n", ["1", "2"]),
            ("a.txt", "", []),
            ("a.csv", "n,id\n1,a\n2,b\n", ["a", "b"]),
            ("a.csv:n", "n,id\n1,a\n2,b\n", ["1", "2"]),
            ("a.json", "[3, 1]", [3, 1]),
            ("a.json", '[{"id": "x", "n": 1}, {"id": "y"}]', ["x", "y"]),
            ("a.json:n", '[{"id": "x", "n": 1}, {"id": "y", "n": 2}]', [1, 2]),
            ("a.jsonl", '{"id": 4}\n\n{"id": 2}\n', [4, 2]),
            ("a.json", '["x", 1]', ["x", "1"]),
        ],
    )
    def test_of_text(self, tmp_path, monkeypatch, name, content, expected):
        monkeypatch.chdir(tmp_path)
        (tmp_path / name.split(":")[0]).write_text(content, encoding="utf-8")
        assert read_values(name) == expected

    def test_of_arrays(self, tmp_path):
        in_npy_files(tmp_path)
        in_parquet(tmp_path)
        in_an_archive(tmp_path)
        for name in ("ids.npy", "pool.parquet", "pool.npz", "pool.npz:ids"):
            assert read_values(f"{tmp_path}/{name}") == IDS
        assert read_values(f"{tmp_path}/pool.parquet:truth", "labels") == LABELS
        write_pool(tmp_path / "folder", POOL)
        assert read_values(tmp_path / "folder") == IDS
        assert read_values(tmp_path / "folder", "labels") == LABELS

    @pytest.mark.parametrize(
        ("name", "content", "message"),
        [
            ("a.csv", "name\nx\n", r"no column 'id' in its first line \('name'\).*a\.csv:NAME, or"),
            ("a.csv", "", "a.csv is empty; write the names of its columns into its first line"),
            ("a.csv:nam", "name\na", "has no 'nam'; it has name; did you mean 'name'"),
            ("a.txt:x", "a", r"a \.txt file has no columns"),
            ("a.txt", "a\n\nb\n", r"a\.txt: id number 1 is empty; fill it in"),
            ("a.json", "7", "expected a list"),
            ("a.json", "[1,", "Cannot read .*write or copy it again"),
            ("a.json", "[1.5]", "integers or strings, got float 1.5"),
            ("a.json", '[{"n": 1}]', "no 'id' in its records; they have 'n'; name one with"),
            ("a.json", '[{"id": 1}, {"n": 1}]', "record 1, counted from 0, has no 'id'"),
            ("a.jsonl", '{"id": 1}\n{', "Cannot read .*line 2"),
            ("a.md", "x", "expected a file that ends in|no known format"),
            ("a.txt", b"\xff\xfe\x00", "Cannot read .*save it as UTF-8"),
            ("b.txt", "x", "There is no b.txt|There is no .*b.txt"),
            ("a.npz", "x", "Cannot read .*does not begin as a .npz file does"),
        ],
    )
    def test_refused(self, tmp_path, monkeypatch, name, content, message):
        monkeypatch.chdir(tmp_path)
        content = content if isinstance(content, bytes) else content.encode()
        (tmp_path / name.split(":")[0].replace("b", "a")).write_bytes(content)
        with pytest.raises((ValueError, TypeError, OSError), match=message):
            read_values(name)

    def test_labels_of_text_that_are_all_numbers(self, tmp_path):
        np.save(tmp_path / "h.npy", FEATURES)
        (tmp_path / "y.txt").write_text("\n".join(["1", "", "0"] * 4))
        given = {"features": tmp_path / "h.npy", "labels": tmp_path / "y.txt"}
        pool = open_pool(**given)
        assert pool.labels[[0, 2]].tolist() == [1, 0]
        assert len(pool.labeled) == 8
        assert open_pool(**given, classes=["0", "1"]).labels[0] == "1"
        assert open_pool(**given, classes=[0, 1]).labels[0] == 1


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({}, TypeError, "needs a path, or files with the parts"),
        (
            {"path": "pool", "proba": "score"},
            TypeError,
            "has its own parts; leave out proba='score'",
        ),
        ({"path": "pool", "ids": "short.txt"}, ValueError, "pool has 12 rows and short.txt has 2"),
        (
            {"path": "pool.parquet", "ids": "twice.txt"},
            ValueError,
            "twice.txt|1 id is there more than once: 'a'",
        ),
        ({"path": "pool.parquet", "features": "embeding"}, ValueError, "did you mean 'embedding'"),
        ({"path": "pool.parquet", "groups": "truth"}, ValueError, "groups is None at row 1"),
        ({"path": "pool.parquet", "labels": "id"}, ValueError, "12 different values"),
        (
            {"path": "pool.parquet", "ids": "proba"},
            TypeError,
            "must be all integers or all strings, got list",
        ),
        (
            {"path": "pool.npz", "proba": "prob"},
            ValueError,
            "has no 'prob'; it has proba, features",
        ),
        ({"path": "pool.npz", "ids": "proba"}, (TypeError, ValueError), "one dimension"),
        ({"proba": "gone.npy"}, FileNotFoundError, "There is no .*gone.npy; check the path"),
        ({"path": "gone.parquet"}, FileNotFoundError, "There is no .*gone.parquet"),
        (
            {"path": "pool", "labels": [1, 2]},
            ValueError,
            "labels has 2 entries and the pool has 12",
        ),
        (
            {"path": "objects.npz"},
            ValueError,
            "objects.npz:proba holds an array of Python objects.*astype",
        ),
    ],
)
def test_mistakes(tmp_path, monkeypatch, given, error, message):
    monkeypatch.chdir(tmp_path)
    write_pool("pool", PROBA, FEATURES)
    in_parquet(tmp_path)
    in_an_archive(tmp_path)
    np.savez("objects.npz", proba=np.array([{}] * N))
    (tmp_path / "short.txt").write_text("a\nb\n")
    (tmp_path / "twice.txt").write_text("a\n" * N)

    def read():
        pool = open_pool(**given)
        return pool.groups, pool.labels  # checked where they are read

    with pytest.raises(error, match=message):
        read()
