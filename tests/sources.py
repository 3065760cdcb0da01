"""Every format that a pool can be stored in: how to write arrays in it, cut anywhere."""

import json
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import zarr

from labelnext.pools import ArraySource, PartOfSource, PoolWriter, open_source, write_pool
from labelnext.pools.source import RowsOfSource


def in_memory(folder, proba, features, ids, cuts):
    return ArraySource(proba, features, ids)


def part_of_more(folder, proba, features, ids, cuts):
    more = [np.concatenate([a[:1], a, a[-1:]]) for a in (proba, features)]
    more_ids = None if ids is None else [*ids[-1:], *ids, *ids[:1]]
    return PartOfSource(ArraySource(*more, more_ids), 1, 1 + len(proba))


def pool_folder(folder, proba, features, ids, cuts):
    writer = PoolWriter(folder / "pool")
    for shard, (lo, hi) in enumerate(pairwise(cuts)):
        writer.write(shard, proba[lo:hi], features[lo:hi], None if ids is None else ids[lo:hi])
    writer.finish()
    return open_source(folder / "pool")


def npy_files(folder, proba, features, ids, cuts):
    np.save(folder / "probs.npy", proba)
    np.save(folder / "embedding.npy", features)
    if ids is not None:
        np.save(folder / "id.npy", ids if ids.dtype.kind == "i" else ids.astype(str))
    return open_source(folder)


def npy_in_foreign_bytes(folder, proba, features, ids, cuts):
    np.save(folder / "p.npy", proba.astype(proba.dtype.newbyteorder()))
    np.save(folder / "h.npy", features.astype(features.dtype.newbyteorder()))
    if ids is not None:
        ids = ids.astype(">i8") if ids.dtype.kind == "i" else np.char.encode(ids.astype(str))
        np.save(folder / "i.npy", ids)
    path = None if ids is None else folder / "i.npy"
    return open_source(proba=folder / "p.npy", features=folder / "h.npy", ids=path)


def rewritten(folder, proba, features, ids, cuts):
    write_pool(folder / "pool", ArraySource(proba, features, ids), rows_per_shard=cuts[1])
    return open_source(folder / "pool")


def _table(proba, features, ids, listed):
    columns = {"id": ids} if ids is not None else {}
    return pa.table(columns | {"proba": listed(proba), "embedding": listed(features)})


def _fixed(array):
    return pa.FixedSizeListArray.from_arrays(pa.array(array.reshape(-1)), array.shape[1])


def _listed(array):
    offsets = pa.array(np.arange(len(array) + 1, dtype=np.int32) * array.shape[1])
    return pa.ListArray.from_arrays(offsets, pa.array(array.reshape(-1)))


def parquet_file(folder, proba, features, ids, cuts):
    table = _table(proba, features, ids, _fixed)
    with pq.ParquetWriter(folder / "pool.parquet", table.schema) as writer:
        for lo, hi in pairwise(cuts):
            writer.write_table(table[lo:hi])
    return open_source(folder / "pool.parquet")


def parquet_folder(folder, proba, features, ids, cuts):
    table = _table(proba, features, ids, _listed)
    (folder / "pool").mkdir()
    for number, (lo, hi) in enumerate(pairwise(cuts)):
        pq.write_table(table[lo:hi], folder / "pool" / f"part-{number:03}", row_group_size=3)
        # An empty row group before and after.
        pq.write_table(table[:0], folder / "pool" / f"part-{number:03}-")
    source = open_source(folder / "pool")
    source.cache_bytes = 100  # a row group or so
    return source


def parquet_of_numbers(folder, proba, features, ids, cuts):
    columns = {f"p_{i}": proba[:, i] for i in range(proba.shape[1])}
    columns |= {f"h_{i + 1}": features[:, i] for i in range(features.shape[1])}
    columns |= {"name": ids} if ids is not None else {}
    pq.write_table(pa.table(columns), folder / "pool.pq", row_group_size=cuts[1])
    name = None if ids is None else "name"
    return open_source(folder / "pool.pq", proba="p", features="h", ids=name)


def zarr_group(folder, proba, features, ids, cuts):
    group = zarr.open_group(folder / "pool.zarr", mode="w")
    for name, array, rows in (("proba", proba, cuts[1]), ("embedding", features, 3)):
        made = group.create_array(
            name, shape=array.shape, chunks=(rows, array.shape[1]), dtype=array.dtype
        )
        made[:] = array
    if ids is not None:
        made = group.create_array(
            "ids", shape=ids.shape, dtype=np.int64 if ids.dtype == np.int64 else str
        )
        made[:] = ids
    return open_source(folder / "pool.zarr")


def zarr_shards(folder, proba, features, ids, cuts):
    group = zarr.open_group(folder / "pool", mode="w")
    for name, array in (
        ("probs", proba),
        ("features", features.astype(features.dtype.newbyteorder())),
    ):
        made = group.create_array(
            name, shape=array.shape, chunks=(2, 1), shards=(4, array.shape[1]), dtype=array.dtype
        )
        made[:] = array
    if ids is not None:
        made = group.create_array(
            "id", shape=ids.shape, dtype=np.int64 if ids.dtype == np.int64 else str
        )
        made[:] = ids
    return open_source(folder / "pool")


def several_places(folder, proba, features, ids, cuts):
    known = {}
    if ids is not None:
        (folder / "ids.json").write_text(json.dumps(ids.tolist()))
        known = {"ids": folder / "ids.json"}
    parquet_file(folder, proba, features, None, cuts)
    np.save(folder / "h.npy", features)
    return open_source(folder / "pool.parquet", features=folder / "h.npy", **known)


def archive(folder, proba, features, ids, cuts):
    known = {} if ids is None else {"id": ids if ids.dtype.kind == "i" else ids.astype(str)}
    np.savez(folder / "pool.npz", proba=proba, features=features, **known)
    return open_source(folder / "pool.npz")


def chosen_rows(folder, proba, features, ids, cuts):
    order = np.random.default_rng(0).permutation(len(proba))
    mixed = [None if a is None else a[order] for a in (proba, features, ids)]
    return RowsOfSource(ArraySource(*mixed), np.argsort(order))


FORMATS = {
    "memory": in_memory,
    "part": part_of_more,
    "folder": pool_folder,
    "rewritten": rewritten,
    "npy": npy_files,
    "zarr": zarr_group,
    "zarr shards": zarr_shards,
    "parquet": parquet_file,
    "parquet folder": parquet_folder,
    "parquet of numbers": parquet_of_numbers,
    "foreign npy": npy_in_foreign_bytes,
    "several places": several_places,
    "archive": archive,
    "chosen rows": chosen_rows,
}
