"""Parquet files and folders of them, and what is wrong with those that hold no pool."""

import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from labelnext.pools import _parquet, open_source

N = 12
PROBA = np.random.default_rng(0).random((N, 3)).astype(np.float32)
FEATURES = np.random.default_rng(1).normal(size=(N, 4))
IDS = [f"s{i}" for i in range(N)]


def columns(**changes):
    return {"id": IDS, "proba": list(PROBA), "embedding": list(FEATURES)} | changes


@pytest.fixture
def file(tmp_path):
    pq.write_table(pa.table(columns()), tmp_path / "pool.parquet", row_group_size=5)
    return tmp_path / "pool.parquet"


@pytest.fixture
def folder(tmp_path):
    table = pa.table(columns())
    for number, lo in enumerate((0, 4, 10)):
        hi = (4, 10, N)[number]
        pq.write_table(table[lo:hi], tmp_path / f"part-{number}.parquet", row_group_size=3)
    return tmp_path


def check(source):
    assert np.array_equal(source.read("proba", 0, N), PROBA)
    assert np.array_equal(source.take("features", np.arange(N)[::-1]), FEATURES[::-1])
    assert source.ids().tolist() == IDS


def test_row_groups_are_the_cuts(file, folder):
    check(open_source(file))
    assert open_source(file).cuts.tolist() == [0, 5, 10, 12]
    os.unlink(file)
    source = open_source(folder)
    check(source)
    assert source.cuts.tolist() == [0, 3, 4, 7, 10, 12]
    assert source.where(0) == f"row 0 of {folder}/part-0.parquet"
    assert source.where(8) == f"row 4 of {folder}/part-1.parquet"
    assert source.where(10) == f"row 0 of {folder}/part-2.parquet"


def test_files_of_other_programs_are_left_out(folder):
    (folder / "_SUCCESS").write_bytes(b"")
    (folder / ".part-0.parquet.crc").write_bytes(b"crc")
    (folder / "_temporary").mkdir()
    (folder / "_temporary" / "part-9.parquet").write_bytes(b"half")
    (folder / "README.txt").write_text("about")
    check(open_source(folder))


def test_partitions_are_read_too(tmp_path):
    for number in range(2):
        (tmp_path / f"month={number}").mkdir()
        rows = slice(6 * number, 6 * number + 6)
        table = pa.table({name: values[rows] for name, values in columns().items()})
        pq.write_table(table, tmp_path / f"month={number}" / "part.parquet")
    check(open_source(tmp_path))


@pytest.mark.parametrize("compression", ["none", "snappy", "zstd"])
@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_reads_what_others_write(tmp_path, compression, version):
    table = pa.table(columns(id=pa.array(IDS).dictionary_encode()))
    path = tmp_path / "pool.parquet"
    pq.write_table(table, path, compression=compression, data_page_version=version)
    check(open_source(path))


def test_wide_and_large_lists(tmp_path):
    large = pa.array(list(FEATURES), pa.large_list(pa.float64()))
    pq.write_table(pa.table(columns(embedding=large)), tmp_path / "pool.parquet")
    check(open_source(tmp_path))


def test_integer_ids_of_any_width(tmp_path):
    ids = pa.array(np.arange(N, dtype=np.uint8))
    pq.write_table(pa.table(columns(id=ids)), tmp_path / "pool.parquet")
    assert open_source(tmp_path).ids().dtype == np.int64
    assert open_source(tmp_path).ids(np.array([7, 3])).tolist() == [7, 3]


def test_one_number_a_row_is_one_dimension(tmp_path):
    pq.write_table(pa.table(columns(proba=PROBA[:, 0])), tmp_path / "pool.parquet")
    source = open_source(tmp_path)
    assert source.one_dimensional
    assert np.array_equal(source.read("proba", 2, 5), PROBA[2:5, :1])


def test_fingerprint_is_of_the_content(file, tmp_path_factory):
    copy = tmp_path_factory.mktemp("copy") / "pool.parquet"
    copy.write_bytes(file.read_bytes())
    assert open_source(copy).fingerprint() == open_source(file).fingerprint()
    changed = FEATURES.copy()
    changed[N - 1, 3] += 1
    pq.write_table(pa.table(columns(embedding=list(changed))), copy, row_group_size=5)
    assert open_source(copy).fingerprint() != open_source(file).fingerprint()


# What is decoded and kept


@pytest.fixture
def decoded(monkeypatch):
    """Count the row groups that are decoded."""
    calls = []
    real = _parquet.ParquetSource._decode

    def counted(self, part, block):
        calls.append((part, block))
        return real(self, part, block)

    monkeypatch.setattr(_parquet.ParquetSource, "_decode", counted)
    return calls


def test_a_row_group_is_decoded_once_for_reads_that_follow(file, decoded):
    source = open_source(file)
    decoded.clear()
    source.cache_bytes = 0
    for row in range(N):
        source.read("features", row, row + 1)
        source.read("proba", row, row + 1)
    assert sorted(decoded) == [
        (part, block) for part in ("features", "proba") for block in range(3)
    ]


def test_rows_are_taken_group_by_group(file, decoded):
    source = open_source(file)
    decoded.clear()
    source.cache_bytes = 0
    source.take("features", np.array([11, 0, 6, 1, 7, 10, 2]))
    assert decoded == [("features", 0), ("features", 1), ("features", 2)]


def test_what_is_kept_is_bounded(file, decoded):
    source = open_source(file)
    source.cache_bytes = 10 * 4 * 8  # the first two row groups
    decoded.clear()
    for part in (slice(0, 10), slice(0, 10)):
        source.take("features", np.arange(N)[part])
    assert len(decoded) == 2
    source.take("features", np.array([11]))
    assert sum(block.nbytes for block in source._blocks["features"].values()) <= 320
    source.take("features", np.array([11, 6]))
    assert len(decoded) == 3
    source.take("features", np.array([0]))
    assert len(decoded) == 4


def test_what_is_returned_is_the_callers(file):
    source = open_source(file)
    source.read("features", 0, N)[:] = 0
    source.take("features", np.arange(N))[:] = 0
    assert np.array_equal(source.read("features", 0, N), FEATURES)


# Bad input


def uneven(row):
    return [values if i != row else values[:2] for i, values in enumerate(FEATURES)]


def holes(row):
    return [values if i != row else None for i, values in enumerate(FEATURES)]


BAD = {
    "uneven": ({"embedding": uneven(7)}, r"'embedding' of .*pool\.parquet has lists of different"
               r" lengths: 2 at row 7, 4 before"),
    "uneven at a cut": ({"embedding": [*FEATURES[:10], *FEATURES[10:, :3]]}, "3 at row 10, 4 bef"),
    "null row": ({"embedding": holes(8)}, r"is empty in 1 row, the first is row 8; fill them"),
    "empty list": ({"embedding": [*FEATURES[:9], [], *FEATURES[10:]]}, "0 at row 9, 4 before"),
    "null entry": ({"embedding": [*FEATURES[:9], [1, 2, None, 4], *FEATURES[10:]]},
                   "lists with empty entries"),
    "text": ({"proba": ["a"] * N}, r"column 'proba' of .* holds string; expected numbers"),
    "lists of text": ({"proba": [["a"]] * N}, "holds list.*string.*; expected numbers"),
    "no column": ({"proba": None, "probe": list(PROBA), "embedding": None},
                  "no 'proba'; it has id, probe; name it with proba=...; did you mean 'probe'"),
    "numbered lists": ({"proba": None, "proba_0": list(PROBA), "proba_1": list(PROBA)},
                       "expected a number, one dimension"),
    "ids twice": ({"id": [*IDS[:-1], "s3"]}, r"'s3' \('s3': row 3 of .*, and row 11 of"),
    "ids null": ({"id": [*IDS[:7], None, *IDS[8:]]}, "'id' of .* is empty in 1 row, .* row 7"),
    "ids floats": ({"id": np.arange(N) + 0.5}, "'id' of .* must be all integers or all str"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_says_what_is_wrong(tmp_path, name):
    changes, message = BAD[name]
    table = {k: v for k, v in columns(**changes).items() if v is not None}
    pq.write_table(pa.table(table), tmp_path / "pool.parquet", row_group_size=5)
    with pytest.raises((ValueError, TypeError), match=message):
        open_source(tmp_path).verify()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"embedding": list(FEATURES.astype(np.float32))}, r"part-1.* differ; all must be of one"),
        ({"proba": PROBA[:, 0]}, r"column 'proba' of .*part-0.*list.*part-1.*float\) differ"),
        ({"embedding": list(FEATURES[:, :3])}, "part-1.* lengths: 3 at row 0, 4 before"),
        (
            {"id": [f"s{i + 5}" for i in range(N)]},
            r"'s9' and 2 more \('s5': row 5 of .*-0.* row 0 of .*-1",
        ),
        ({"id": [*range(N)]}, r"'id' holds integers in .*part-1.parquet and others in .*part-0"),
        ({"id": None}, r"part-1\.parquet has no column 'id', and .*part-0\.parquet has one"),
        ({"embedding": None}, r"part-1\.parquet has no column 'embedding'"),
    ],
    ids=["dtype", "flat", "width", "ids", "other ids", "no ids", "no features"],
)
def test_files_must_be_alike(tmp_path, changes, message):
    table = {k: v for k, v in columns(**changes).items() if v is not None}
    pq.write_table(pa.table(columns()), tmp_path / "part-0.parquet")
    pq.write_table(pa.table(table), tmp_path / "part-1.parquet")
    with pytest.raises(ValueError, match=message):
        open_source(tmp_path)


def test_says_that_there_are_no_rows(tmp_path):
    pq.write_table(pa.table(columns())[:0], tmp_path / "pool.parquet")
    with pytest.raises(ValueError, match=r"The pool is empty: .* has no rows"):
        open_source(tmp_path)


@pytest.mark.parametrize("size", [3, 500, -1], ids=["start", "middle", "end"])
def test_says_of_a_truncated_file_what_to_do(folder, size):
    file = folder / "part-1.parquet"
    os.truncate(file, size if size > 0 else file.stat().st_size - 1)
    with pytest.raises(ValueError, match=r"Cannot read .*part-1\.parquet: .*cut short.*again"):
        open_source(folder)


def test_a_changed_byte_is_found_by_its_checksum(tmp_path):
    path = tmp_path / "pool.parquet"
    pq.write_table(
        pa.table(columns()),
        path,
        write_page_checksum=True,
        compression="none",
        use_dictionary=False,
    )
    content = path.read_bytes()
    place = content.index(FEATURES[6].tobytes())
    path.write_bytes(content[:place] + b"\xff" + content[place + 1 :])
    with pytest.raises(ValueError, match=r"Cannot read .*pool\.parquet: .*CRC"):
        open_source(path).verify()


def test_a_file_that_is_gone_is_named(folder):
    source = open_source(folder)
    os.unlink(folder / "part-1.parquet")
    with pytest.raises(FileNotFoundError, match=r"There is no .*part-1\.parquet; check the path"):
        source.read("proba", 0, N)
