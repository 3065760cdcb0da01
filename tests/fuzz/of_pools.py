"""Pools and their ids in files of each format."""

import io
import json
import struct
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import scipy.sparse as sp
import zarr
from tests.fuzz import target, zipped

import labelnext
from labelnext.pools import PoolWriter, read_values

rng = np.random.default_rng(0)
PROBA = rng.dirichlet(np.ones(3), 6).astype(np.float32)
FEATURES = rng.standard_normal((6, 4)).astype(np.float32)
IDS = np.array([f"id {i}" for i in range(6)])


def npy(array, **header):
    """The bytes of a .npy file; `header` is what it says instead."""
    buffer = io.BytesIO()
    np.save(buffer, array)
    content = buffer.getvalue()
    if not header:
        return content
    said = {"descr": array.dtype.str, "fortran_order": False, "shape": array.shape, **header}
    text = repr(said).encode()
    return content[:8] + struct.pack("<H", len(text)) + text + array.tobytes()


def below(folder):
    """All files below a folder."""
    folder = Path(folder)
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def of_folder(write):
    """The files that a function writes into a folder."""
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder))
        return below(folder)


def choose(pool):
    """Use all of a pool."""
    pool.source.verify()
    strategy = "badge" if "proba" in pool.source.parts else "core-set"
    batch = labelnext.select(pool, min(2, pool.n_rows), strategy=strategy, random_state=0)
    assert batch.ids is None or len(batch.ids) == len(batch.indices)


@cache
def npy_files():
    whole = {"proba.npy": npy(PROBA), "embedding.npy": npy(FEATURES), "id.npy": npy(IDS)}
    odd = {
        "negative": {"shape": (-6, 4)},
        "overflow": {"shape": (2**62, 4)},
        "huge": {"shape": (2**70, 4)},
        "no numbers": {"shape": (True, 4)},
        "floats": {"shape": (6.0, 4)},
        "objects": {"descr": "|O"},
        "structured": {"descr": [("a", "<f4")]},
        "sub-array": {"descr": ("<f4", (4,))},
        "no width": {"descr": "|V0"},
        "empty rows": {"shape": (6, 0)},
        "no rows": {"shape": (0, 4)},
        "columns first": {"fortran_order": True},
        "times": {"descr": "<M8[s]"},
        "half": {"descr": "<f3"},
    }
    crafted = {
        name: {**whole, "embedding.npy": npy(FEATURES, **header)} for name, header in odd.items()
    }
    text = npy(IDS, descr="<U0")
    deep = npy(FEATURES)[:8] + struct.pack("<H", 60_000) + b"(" * 60_000
    return {
        "whole": whole,
        **crafted,
        "ids of no width": {**whole, "id.npy": text},
        "deep header": {**whole, "embedding.npy": deep},
        "version 3": {**whole, "proba.npy": b"\x93NUMPY\x03\x00" + npy(PROBA)[8:]},
        "bytes no UTF-8": {**whole, "id.npy": npy(np.array([b"\xff%d" % i for i in range(6)]))},
        "letters beyond Unicode": {
            **whole,
            "id.npy": npy(IDS).replace("i".encode("utf-32-le"), b"\xff\xff\xff\x7f"),
        },
    }


@target("npy", npy_files)
def use_npy(folder):
    choose(labelnext.open_pool(folder))


@target("one npy", lambda: {k: {"f.npy": v["embedding.npy"]} for k, v in npy_files().items()})
def use_one_npy(folder):
    choose(labelnext.open_pool(folder / "f.npy"))


def archived(write, *args, **kwargs):
    buffer = io.BytesIO()
    write(buffer, *args, **kwargs)
    return buffer.getvalue()


@cache
def archives():
    arrays = {"proba": PROBA, "embedding": FEATURES, "id": IDS}
    whole = archived(np.savez, **arrays)
    packed = archived(np.savez_compressed, **arrays)
    sparse = sp.csr_array(sp.random(6, 40, 0.2, "csr", random_state=0))
    # Bit 0 of the flags says that a member is encrypted; method 99 is AES.
    entry = whole.index(b"PK\x01\x02")
    first = bytearray(whole)
    first[6] |= 1
    first[entry + 8] |= 1
    foreign = bytearray(whole)
    foreign[8:10] = foreign[entry + 10 : entry + 12] = struct.pack("<H", 99)
    return {
        "whole": {"a.npz": whole},
        "whole, compressed": {"a.npz": packed},
        "whole, sparse": {"a.npz": archived(sp.save_npz, sparse)},
        "encrypted": {"a.npz": bytes(first)},
        "foreign compression": {"a.npz": bytes(foreign)},
        "objects": {
            "a.npz": archived(np.savez, proba=PROBA, embedding=FEATURES, id=IDS.astype(object))
        },
        "no archive": {"a.npz": b"PK\x03\x04" + bytes(100)},
    }


@target("npz", archives)
def use_archive(folder):
    choose(labelnext.open_pool(folder / "a.npz"))


@cache
def members():
    arrays = {"proba": PROBA, "embedding": FEATURES, "id": IDS}
    whole = {f"a.npz/{name}.npy": npy(array) for name, array in arrays.items()}
    out = {"whole": whole, "foreign member": {**whole, "a.npz/notes.txt": b"text"}}
    out["an array that is none"] = {**whole, "a.npz/embedding.npy": b"text"}
    out["zeros"] = {**whole, "a.npz/embedding.npy": npy(FEATURES, shape=(6, 2**40))}
    csr = sp.csr_array(sp.random(6, 40, 0.2, "csr", random_state=0))
    parts = {
        "indices": csr.indices,
        "indptr": csr.indptr,
        "format": np.array(b"csr"),
        "shape": np.array(csr.shape),
        "data": csr.data,
    }
    for name, change in SPARSE.items():
        changed = {k: np.asarray(v) for k, v in (parts | change(parts)).items() if v is not None}
        out[f"sparse, {name}"] = {
            f"a.npz/{key}.npy": npy(value)
            for key, value in changed.items()
            if value.dtype != object
        }
    return out


def _with(name, edit):
    def change(parts):
        array = parts[name].copy()
        edit(array)
        return {name: array}

    return change


def _set(place, value):
    def edit(array):
        array[place] = value

    return edit


SPARSE = {
    "whole": lambda _: {},
    "a column beyond": _with("indices", _set(3, 40)),
    "a column far beyond": _with("indices", _set(3, 2**31 - 1)),
    "a column below": _with("indices", _set(3, -1)),
    "rows that go back": _with("indptr", _set(2, 0)),
    "rows that end late": _with("indptr", _set(-1, 1000)),
    "rows that begin late": _with("indptr", _set(0, 3)),
    "rows below": _with("indptr", _set(1, -5)),
    "columns of floats": lambda parts: {"indices": parts["indices"].astype(float)},
    "rows of floats": lambda parts: {"indptr": parts["indptr"].astype(float)},
    "fewer rows": lambda parts: {"indptr": parts["indptr"][:-2]},
    "fewer columns": lambda parts: {"indices": parts["indices"][:-2]},
    "fewer numbers": lambda parts: {"data": parts["data"][:-2]},
    "a matrix of columns": lambda parts: {"indices": parts["indices"][:, None]},
    "complex": lambda parts: {"data": parts["data"] + 1j},
    "texts": lambda parts: {"data": parts["data"].astype("S")},
    "another shape": lambda _: {"shape": np.array([2**40, 40])},
    "a shape below": lambda _: {"shape": np.array([-6, 40])},
    "no shape": lambda _: {"shape": np.array(["a"])},
    "one dimension": lambda _: {"shape": np.array([6])},
    "no columns": lambda _: {"shape": np.array([6, 0])},
    "another format": lambda _: {"format": np.array(b"csc")},
    "an unknown format": lambda _: {"format": np.array(b"xyz")},
    "a format of numbers": lambda _: {"format": np.array([1, 2])},
    "diagonals": lambda parts: {"format": np.array(b"dia"), "offsets": np.array([0, 2**40])},
    "coordinates": lambda parts: {
        "format": np.array(b"coo"),
        "row": np.array([9]),
        "col": np.array([0]),
        "data": np.ones(1),
    },
    "blocks": lambda parts: {"format": np.array(b"bsr")},
    "wide indices": lambda parts: {"indices": parts["indices"].astype(np.int64) + 2**40},
    "unsigned indices": lambda parts: {"indices": parts["indices"].astype(np.uint64)},
}


@target("members of npz", members, pack=zipped)
def use_members(folder):
    pool = labelnext.open_pool(folder / "a.npz")
    choose(pool)


@cache
def tables():
    def written(**columns):
        buffer = io.BytesIO()
        pq.write_table(pa.table(columns), buffer, row_group_size=3, compression="NONE")
        return {"a.parquet": buffer.getvalue()}

    listed = {"proba": PROBA.tolist(), "embedding": FEATURES.tolist()}
    uneven = [*FEATURES.tolist()[1:], [1.0]]
    return {
        "whole": written(**listed, id=IDS),
        "whole, numbers": written(
            **{f"proba_{i}": PROBA[:, i] for i in range(3)},
            **{f"embedding_{i}": FEATURES[:, i] for i in range(4)},
            id=np.arange(6),
        ),
        "uneven": written(proba=PROBA.tolist(), embedding=uneven),
        "empty": written(proba=[None] * 6, embedding=[[]] * 6),
        "empty lists": written(
            proba=PROBA.tolist(), embedding=pa.array([[]] * 6, pa.list_(pa.float32()))
        ),
        "nested": written(proba=PROBA.tolist(), embedding=[[[1.0]]] * 6),
        "records": written(proba=PROBA.tolist(), embedding=[{"a": 1.0}] * 6),
        "bytes": written(**listed, id=[b"\xff%d" % i for i in range(6)]),
        "decimals": written(**listed, id=pa.array(range(6)).cast(pa.decimal128(20))),
        "times": written(**listed, id=pa.array(range(6)).cast(pa.timestamp("s"))),
    }


@target("parquet", tables)
def use_parquet(folder):
    choose(labelnext.open_pool(folder / "a.parquet"))


@cache
def groups():
    def whole(folder):
        group = zarr.open_group(folder, mode="w")
        for name, array in (("proba", PROBA), ("embedding", FEATURES), ("id", np.arange(6))):
            made = group.create_array(
                name, shape=array.shape, chunks=(3, *array.shape[1:]), dtype=array.dtype
            )
            made[:] = array

    return {"whole": of_folder(whole)}


@target("zarr", groups)
def use_zarr(folder):
    choose(labelnext.open_pool(folder))


@cache
def pool_folders():
    def whole(folder):
        writer = PoolWriter(
            folder / "pool", classes=["a", "b", "c"], last_layer=(np.ones((3, 4)), np.ones(3))
        )
        for shard, rows in enumerate((slice(0, 2), slice(2, 6))):
            writer.write(
                shard,
                PROBA[rows],
                FEATURES[rows],
                IDS[rows],
                groups=np.arange(6)[rows],
                labels=np.array(["a", "", "", "", "b", ""])[rows],
                missing_label="",
            )
        writer.finish()

    return {"whole": {p.removeprefix("pool/"): c for p, c in of_folder(whole).items()}}


@target("pool folder", pool_folders)
def use_pool_folder(folder):
    pool = labelnext.open_pool(folder)
    pool.last_layer  # noqa: B018
    pool.groups  # noqa: B018
    choose(pool)


@cache
def lists_of_ids():
    records = [{"id": f"id {i}", "data": {"id": i}} for i in range(6)]
    deep = b"[" * 100_000
    return {
        "whole, txt": {"ids.txt": "\n".join(IDS).encode()},
        "whole, csv": {
            "ids.csv": b"id,name\r\n" + b"".join(b'%d,"a, b"\r\n' % i for i in range(6))
        },
        "whole, json": {"ids.json": json.dumps(IDS.tolist()).encode()},
        "whole, records": {"ids.json": json.dumps(records).encode()},
        "whole, lines": {"ids.jsonl": "\n".join(map(json.dumps, records)).encode()},
        "long": {"ids.csv": b"id\n" + b"".join(b"%d%s\n" % (i, b"a" * 200_000) for i in range(6))},
        "half a letter": {"ids.json": b'["\\ud800", "b", "c", "d", "e", "f"]'},
        "deep": {"ids.json": deep},
        "deep lines": {"ids.jsonl": deep},
        "a large number": {"ids.json": b"[1e999, %s]" % (b"9" * 5000)},
        "UTF-16": {"ids.csv": "id\n1\n2".encode("utf-16")},
        "Latin-1": {"ids.txt": "é".encode("latin-1")},
        "semicolons": {"ids.csv": b"id;name\n1;a\n2;b\n"},
        "tabs": {"ids.tsv": b"id\tname\n1\ta\n2\tb\n"},
        "a quote that is not closed": {"ids.csv": b'id\n"a\nb'},
        "zero bytes": {"ids.csv": b"id\n\0\0\n"},
        "other shapes": {"ids.json": b'[{"id": [1]}, 3, null, {"id": true}]'},
        "no list": {"ids.json": b'{"id": 1}'},
        "nothing": {"ids.txt": b""},
    }


@target("ids", lists_of_ids)
def use_ids(folder):
    for path in sorted(folder.iterdir()):
        ids = read_values(path)
        pool = labelnext.Pool(features=np.eye(max(1, len(ids))), ids=ids)
        choose(pool)
