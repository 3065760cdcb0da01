"""Files that change after a pool was opened are refused, whatever their format."""

import os
import pickle

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zarr

from labelnext import open_pool, write_pool
from labelnext.pools import files

PROBA = np.full((6, 2), 0.5)
FEATURES = np.arange(24.0).reshape(6, 4)


def npy(folder, features):
    np.save(folder / "proba.npy", PROBA)
    np.save(folder / "features.npy", features)
    return folder


def fortran(folder, features):
    np.save(folder / "features.npy", np.asfortranarray(features))
    return folder / "features.npy"


def parquet(folder, features):
    table = pa.table({"proba": PROBA.tolist(), "features": features.tolist()})
    pq.write_table(table, folder / "pool.parquet")
    return folder / "pool.parquet"


def zarr_group(folder, features):
    group = zarr.open_group(folder, mode="w")
    for name, array in (("proba", PROBA), ("features", features)):
        group.create_array(name, shape=array.shape, dtype=array.dtype)[:] = array
    return folder


def pool_folder(folder, features):
    write_pool(folder / "pool", PROBA, features, overwrite=(folder / "pool").exists())
    return folder / "pool"


FORMATS = [npy, fortran, parquet, zarr_group, pool_folder]


def replaced(folder, write, other):
    """Write other numbers into the folder: each file replaced by one of another name."""
    write(other, FEATURES + 1)
    for path in sorted(p for p in other.rglob("*") if p.is_file()):
        path.replace(folder / path.relative_to(other))


def changed(folder, write, other):
    """Write other numbers into each file, which stays the same one."""
    write(other, FEATURES + 1)
    for path in sorted(p for p in other.rglob("*") if p.is_file()):
        with open(folder / path.relative_to(other), "r+b") as file:
            file.write(path.read_bytes())
            file.truncate()
        # A clock of ticks may be too coarse to tell two writes apart.
        now = os.stat(file.name).st_mtime_ns + 1
        os.utime(file.name, ns=(now, now))


@pytest.mark.parametrize("change", [replaced, changed])
@pytest.mark.parametrize("sent", [False, True], ids=["", "pickled"])
@pytest.mark.parametrize("write", FORMATS)
def test_a_file_that_has_changed_is_refused(tmp_path, write, change, sent):
    folder, other = tmp_path / "pool", tmp_path / "other"
    folder.mkdir()
    other.mkdir()
    pool = open_pool(write(folder, FEATURES))
    if sent and write is not fortran:  # whose numbers are sent
        pool = pickle.loads(pickle.dumps(pool))
    change(folder, write, other)
    if write is npy and change is replaced and not sent:  # the file is still open, and read on
        np.testing.assert_array_equal(np.asarray(pool.features), FEATURES)
        return
    with pytest.raises(ValueError, match="has changed since the pool was opened; open it again"):
        np.asarray(pool.features)


@pytest.mark.parametrize("write", FORMATS)
def test_a_file_that_stays_is_read_again_and_again(tmp_path, write):
    pool = open_pool(write(tmp_path, FEATURES))
    for _ in range(2):
        np.testing.assert_array_equal(np.asarray(pool.features), FEATURES)
    np.testing.assert_array_equal(np.asarray(pickle.loads(pickle.dumps(pool)).features), FEATURES)


def test_on_another_machine_a_copy_of_the_file_will_do(tmp_path, monkeypatch):
    pool = open_pool(npy(tmp_path, FEATURES))
    content = pickle.dumps(pool)
    npy(tmp_path, FEATURES + 1)
    monkeypatch.setattr(files.platform, "node", lambda: "elsewhere")
    np.testing.assert_array_equal(np.asarray(pickle.loads(content).features), FEATURES + 1)
    npy(tmp_path, FEATURES[:5])
    with pytest.raises(ValueError, match="has changed"):
        np.asarray(pickle.loads(content).features)
