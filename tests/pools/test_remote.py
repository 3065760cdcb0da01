"""Pools in an object store: a real server on this machine, asked for ranges of bytes."""

import asyncio
import json
import os
import pickle
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zarr
from pyarrow import fs
from zarr.abc.store import OffsetByteRequest, RangeByteRequest, SuffixByteRequest
from zarr.core.buffer import default_buffer_prototype

from labelnext.pools import PoolWriter, _remote, files, open_source, write_pool

N = 60
PROBA = np.random.default_rng(0).random((N, 3)).astype(np.float32)
FEATURES = np.random.default_rng(1).normal(size=(N, 4)).astype(np.float16)
IDS = [f"s{i}" for i in range(N)]

SERVER = """
import logging, sys
logging.getLogger("werkzeug").setLevel(logging.ERROR)
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()  # until the tests are done, or gone
server.stop()
"""


@pytest.fixture(scope="module")
def address():
    """Run a server that speaks as S3 does, and return the end of its URIs."""
    import moto  # noqa: F401 - where it lacks these tests are left out

    server = subprocess.Popen(
        [sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with server:
        port = int(server.stdout.readline())
        yield f"endpoint_override=127.0.0.1:{port}&scheme=http&allow_bucket_creation=true"
        server.stdin.close()
        assert server.wait(30) == 0


@pytest.fixture(scope="module")
def bucket(address, tmp_path_factory):
    """Fill a bucket with a pool in each format, and return how its URIs are made."""
    folder = tmp_path_factory.mktemp("bucket")
    write_pool(folder / "pool", PROBA, FEATURES, ids=IDS, bias=True, rows_per_shard=25)
    PoolWriter(folder / "unfinished").write(0, PROBA, FEATURES)
    (folder / "npy").mkdir()
    np.save(folder / "npy" / "proba.npy", PROBA)
    np.save(folder / "npy" / "features.npy", FEATURES)
    np.save(folder / "npy" / "ids.npy", IDS)
    table = pa.table({"id": IDS, "proba": list(PROBA), "embedding": list(FEATURES)})
    (folder / "parquet").mkdir()
    pq.write_table(table[:40], folder / "parquet" / "0.parquet", row_group_size=15)
    pq.write_table(table[40:], folder / "parquet" / "1.parquet")
    group = zarr.open_group(folder / "zarr", mode="w")
    for name, array in (("proba", PROBA), ("features", FEATURES)):
        shape = array.shape
        made = group.create_array(
            name, shape=shape, chunks=(7, 1), shards=(14, shape[1]), dtype=array.dtype
        )
        made[:] = array
    group.create_array("id", shape=(N,), dtype=str)[:] = np.array(IDS, dtype=object)

    def uri(place):
        return f"s3://key:secret@bucket/{place}?{address}"

    store, place = fs.FileSystem.from_uri(uri(""))
    store.create_dir("bucket")
    fs.copy_files(str(folder), place, destination_filesystem=store)
    return uri


def check(source):
    assert source.n_rows == N
    rows = np.random.default_rng(0).integers(0, N, 50)
    for part, array in (("proba", PROBA), ("features", FEATURES)):
        assert np.array_equal(source.read(part, 3, 51), array[3:51])
        assert np.array_equal(source.take(part, rows), array[rows])
    assert source.ids().tolist() == IDS


@pytest.mark.parametrize("place", ["pool", "npy", "parquet", "parquet/", "zarr"])
def test_every_format_is_read_from_an_object_store(bucket, place):
    source = open_source(bucket(place))
    check(source)
    check(pickle.loads(pickle.dumps(source)))
    source.verify()
    assert source.fingerprint() == open_source(bucket(place)).fingerprint()


def test_files_are_named(bucket):
    check(
        open_source(
            proba=bucket("npy/proba.npy"),
            features=bucket("npy/features.npy"),
            ids=bucket("npy/ids.npy"),
        )
    )


def test_parts_may_be_in_two_places(bucket, tmp_path):
    np.save(tmp_path / "h.npy", FEATURES)
    np.save(tmp_path / "i.npy", IDS)
    files = {"features": tmp_path / "h.npy", "ids": tmp_path / "i.npy"}
    check(open_source(proba=bucket("npy/proba.npy"), **files))


def test_only_what_is_asked_for_is_read(bucket, monkeypatch):
    source = open_source(bucket("pool"))
    monkeypatch.setattr(_remote.RemoteFiles, "gap", 0)
    asked = []
    real = _remote.RemoteFiles.read_many

    def read_many(self, path, offsets, spots, buffer):
        asked.append((path.rpartition("pool/")[2], [hi - lo for lo, hi in spots]))
        real(self, path, offsets, spots, buffer)

    monkeypatch.setattr(_remote.RemoteFiles, "read_many", read_many)
    source.take("features", np.array([1, 30, 2, 59]))
    assert sorted(asked) == [
        ("shard-00000/features.npy", [2 * 8]),
        ("shard-00001/features.npy", [8]),
        ("shard-00002/features.npy", [8]),
    ]


def test_long_stretches_are_several_requests(bucket, monkeypatch):
    monkeypatch.setattr(_remote, "REQUEST", 100)
    check(open_source(bucket("pool")))


def test_few_files_are_held_open(bucket, monkeypatch):
    monkeypatch.setattr(files, "HANDLES", 1)
    source = open_source(bucket("pool"))
    check(source)
    assert len(source._files._handles) == 1


@pytest.mark.parametrize(
    ("place", "error", "message"),
    [
        ("nowhere", FileNotFoundError, "There is no s3://bucket/nowhere; check the path"),
        ("unfinished", ValueError, "unfinished: 1 shard and no"),
        ("pool/pool.json", ValueError, "this file is of no known format"),
    ],
    ids=["missing", "unfinished", "format"],
)
def test_says_what_is_wrong(bucket, place, error, message):
    with pytest.raises(error, match=message):
        open_source(bucket(place))


def test_says_of_damage_what_it_says_of_files(bucket):
    store, place = fs.FileSystem.from_uri(bucket("damaged"))
    pool, _ = fs.FileSystem.from_uri(bucket("pool"))
    fs.copy_files("bucket/pool", place, source_filesystem=pool, destination_filesystem=store)
    with store.open_output_stream(f"{place}/shard-00001/proba.npy") as file:
        file.write(b"short")
    with pytest.raises(ValueError, match=r"shard-00001/proba\.npy has 5 bytes instead of"):
        open_source(bucket("damaged"))
    known = json.loads(store.open_input_file(f"{place}/pool.json").read())
    known["shards"][1]["files"]["proba"]["crc32"] ^= 1
    with store.open_output_stream(f"{place}/pool.json") as file:
        file.write(json.dumps(known).encode())
    fs.copy_files("bucket/pool/shard-00001", f"{place}/shard-00001",
                  source_filesystem=pool, destination_filesystem=store)  # fmt: skip
    with pytest.raises(ValueError, match=r"shard-00001/proba\.npy has the checksum"):
        open_source(bucket("damaged")).read("proba", 0, N)
    store.delete_dir(place)


def test_a_file_that_is_gone_or_shorter_now_is_named(bucket):
    store, place = fs.FileSystem.from_uri(bucket("gone"))
    for name, array in (("proba", PROBA), ("features", FEATURES)):
        with store.open_output_stream(f"{place}/{name}.npy") as file:
            np.save(file, array)
    source, other = open_source(bucket("gone")), open_source(bucket("gone"))
    with store.open_output_stream(f"{place}/features.npy") as file:
        np.save(file, FEATURES[:10])
    other._files._handles.clear()
    with pytest.raises(ValueError, match=r"features\.npy has changed since"):
        other.read("features", 0, N)
    store.delete_file(f"{place}/proba.npy")
    source._files._handles.clear()
    with pytest.raises(FileNotFoundError, match=r"There is no s3://.*proba\.npy"):
        source.read("proba", 0, N)


def test_says_what_to_do_about_a_store_that_does_not_answer(monkeypatch):
    class Silent:
        def get_file_info(self, path):
            raise OSError("AWS Error NETWORK_CONNECTION:\n  could not connect.")

    system = SimpleNamespace(from_uri=lambda uri: (Silent(), "bucket/pool"))
    monkeypatch.setattr(_remote, "fs", SimpleNamespace(**vars(fs) | {"FileSystem": system}))
    with pytest.raises(
        OSError, match=r"^Cannot read s3://bucket/pool: AWS .*: could not connect; check"
    ):
        open_source("s3://key:secret@bucket/pool")


@pytest.mark.slow  # pyarrow tries for six seconds
def test_says_that_a_store_cannot_be_reached():
    # Nobody listens on the port of discarded bytes; a process of its own has no other settings.
    code = (
        "from labelnext.pools import open_source\n"
        "try: open_source('s3://key:secret@bucket/pool?endpoint_override=127.0.0.1:9&scheme=http')\n"
        "except OSError as error: print(error)"
    )
    environment = os.environ | {"AWS_MAX_ATTEMPTS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment,
        timeout=120,
    )  # fmt: skip
    assert done.stdout.startswith("Cannot read s3://bucket/pool: ")
    assert "check the address, the credentials and the network" in done.stdout


@pytest.mark.slow
def test_a_store_that_only_fsspec_knows_is_read_too():
    import fsspec

    memory = fsspec.filesystem("memory")
    for name, array in (("proba", PROBA), ("features", FEATURES)):
        with memory.open(f"/there/{name}.npy", "wb") as file:
            np.save(file, array)
    source = open_source("memory://there")
    assert np.array_equal(source.take("proba", np.array([7, 3])), PROBA[[7, 3]])


@pytest.mark.parametrize("fsspec", [True, False], ids=["fsspec", "without"])
def test_says_that_nobody_knows_such_paths(monkeypatch, fsspec):
    if not fsspec:
        monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(ValueError, match=r"pyarrow knows no carrier-pigeon://, .*install fsspec"):
        open_source("carrier-pigeon://loft/pool")


def test_a_uri_of_this_machine_is_a_path(tmp_path):
    write_pool(f"file://{tmp_path}/my%20pool", PROBA, FEATURES)
    assert open_source(tmp_path / "my pool").n_rows == N
    assert open_source((tmp_path / "my pool").as_uri()).n_rows == N


def test_what_zarr_reads_from_is_never_written(bucket):
    from labelnext.pools._zarr import FilesStore

    files = open_source(bucket("zarr"))._files
    store = FilesStore(files, "bucket/zarr")
    assert store == FilesStore(files, "bucket/zarr")
    assert hash(store) != hash(FilesStore(files, "bucket/zarr/id"))
    with pytest.raises(ValueError, match="read-only"):
        asyncio.run(store.set("id/c/0", None))
    with pytest.raises(ValueError, match="read-only"):
        asyncio.run(store.delete("id/c/0"))


@pytest.mark.slow
def test_zarr_may_ask_for_ranges(bucket):
    from labelnext.pools._zarr import FilesStore

    store = FilesStore(open_source(bucket("pool"))._files, "bucket/pool")
    key, prototype = "shard-00000/proba.npy", default_buffer_prototype()
    whole = asyncio.run(store.get(key, prototype)).to_bytes()
    ranges = [RangeByteRequest(1, 7), OffsetByteRequest(100), SuffixByteRequest(9)]
    got = asyncio.run(store.get_partial_values(prototype, [(key, each) for each in ranges]))
    assert [each.to_bytes() for each in got] == [whole[1:7], whole[100:], whole[-9:]]
    assert asyncio.run(store.get("nothing", prototype)) is None
    assert not asyncio.run(store.exists("nothing"))

    async def names(found):
        return [name async for name in found]

    shards = ["shard-00000", "shard-00001", "shard-00002"]
    assert sorted(asyncio.run(names(store.list_dir("")))) == ["pool.json", "settings.json", *shards]
    inside = ["features.npy", "ids.npy", "proba.npy", "shard.json"]
    assert sorted(asyncio.run(names(store.list_dir("shard-00001")))) == inside
    assert len(asyncio.run(names(store.list()))) == 2 + 3 * 4
    assert len(asyncio.run(names(store.list_prefix("shard-00002/p")))) == 1
