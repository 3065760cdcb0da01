"""Files that somebody was sent: what is not a pool is refused at the edge, before it is used."""

import os
import socket
import zipfile

import numpy as np
import pytest
import scipy.sparse as sp

import labelnext
from labelnext import Pool, open_pool
from labelnext.pools import read_values
from labelnext.utils import memory

CSR = sp.csr_array(sp.random(6, 40, 0.2, "csr", random_state=0))


def arrays_of(**change):
    """The arrays of a CSR matrix, one of them another, or with other numbers at a place."""
    arrays = {name: getattr(CSR, name).copy() for name in ("data", "indices", "indptr")}
    for name, new in change.items():
        if isinstance(new, tuple):
            arrays[name][new[0]] = new[1]
        else:
            arrays[name] = new
    return arrays


def as_matrix(arrays, form):
    """A matrix that says so, as only its attributes can."""
    matrix = {
        "csr": lambda: sp.csr_array((6, 40)),
        "csc": lambda: sp.csc_array((40, 6)),
        "bsr": lambda: sp.bsr_array((6, 40)),
    }[form]()
    data = arrays["data"]
    matrix.data = data[:, None, None] if form == "bsr" else data
    matrix.indices, matrix.indptr = arrays["indices"], arrays["indptr"]
    return matrix


BROKEN = {
    "column beyond": arrays_of(indices=(3, 40)),
    "column far beyond": arrays_of(indices=(3, 2**31 - 1)),
    "column below": arrays_of(indices=(3, -1)),
    "rows back": arrays_of(indptr=(2, 0)),
    "rows end late": arrays_of(indptr=(-1, 1000)),
    "rows begin late": arrays_of(indptr=(0, 3)),
    # Whose differences overflow to numbers that look right.
    "rows wrap": arrays_of(indptr=(slice(1, 3), [2**31 - 1, -(2**31)])),
    "too few rows": arrays_of(indptr=CSR.indptr[:-1]),
    "columns in two dimensions": arrays_of(indices=CSR.indices[:, None]),
    "columns are floats": arrays_of(indices=CSR.indices.astype(float)),
    "rows are floats": arrays_of(indptr=CSR.indptr.astype(float)),
    "too few numbers": arrays_of(data=CSR.data[:-2]),
}


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize("form", ["csr", "csc", "bsr"])
def test_broken_sparse_features_are_refused_in_memory(name, form):
    with pytest.raises(ValueError, match=f"features is a broken sparse {form}_array: .*make it"):
        Pool(features=as_matrix(BROKEN[name], form))


@pytest.mark.parametrize("name", BROKEN)
def test_broken_sparse_features_are_refused_of_a_file(name, tmp_path):
    np.savez(tmp_path / "h.npz", format=b"csr", shape=(6, 40), **BROKEN[name])
    for given in ({"path": tmp_path / "h.npz"}, {"features": tmp_path / "h.npz"}):
        with pytest.raises(ValueError, match=r"h\.npz|features is a broken sparse"):
            open_pool(**given)


def test_places_of_a_coo_matrix_are_checked_before_it_is_converted():
    for name, place in (("row", 6), ("row", -1), ("col", 40), ("col", -3)):
        matrix = CSR.tocoo(copy=True)
        getattr(matrix, name)[1] = place
        with pytest.raises(ValueError, match="broken sparse coo_array: places along axis"):
            Pool(features=matrix)


@pytest.mark.parametrize("form", ["csr", "csc", "bsr", "coo", "dia", "lil", "dok"])
def test_whole_sparse_features_are_taken_and_left_as_they_are(form, tmp_path):
    matrix = CSR.copy().asformat(form)
    pool = Pool(features=matrix)
    np.testing.assert_array_equal(pool.features.toarray(), CSR.toarray())
    np.testing.assert_array_equal(matrix.toarray(), CSR.toarray())
    if form not in ("lil", "dok"):
        sp.save_npz(tmp_path / "h.npz", matrix)
        np.testing.assert_array_equal(
            open_pool(tmp_path / "h.npz").features.toarray(), CSR.toarray()
        )


def test_an_archive_says_what_it_takes_before_it_is_taken(tmp_path, monkeypatch):
    np.savez_compressed(
        tmp_path / "a.npz", proba=np.full((1 << 20, 2), 0.5), features=np.ones((1 << 20, 1))
    )
    assert (tmp_path / "a.npz").stat().st_size < 1 << 18
    monkeypatch.setattr(memory, "free_memory", lambda: 1 << 20)
    with pytest.raises(
        ValueError, match=r"a\.npz takes 25\.2MB of memory, and 1\.1MB are free; .*npy"
    ):
        open_pool(tmp_path / "a.npz")
    (tmp_path / "ids.txt").write_text("1\n" * (1 << 18))
    with pytest.raises(ValueError, match=r"ids\.txt takes .* of memory"):
        read_values(tmp_path / "ids.txt")


def test_a_member_that_is_shorter_than_it_says_is_refused(tmp_path):
    np.save(tmp_path / "h.npy", np.zeros((4, 4)))
    content = (tmp_path / "h.npy").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("features.npy", content.replace(b"(4, 4)", b"(4,99)"))
    with pytest.raises(ValueError, match=r"a\.npz:features has 256 bytes, but 3,296 are those"):
        open_pool(tmp_path / "a.npz")


@pytest.fixture(params=["folder", "pipe", "socket", "device"])
def no_file(request, tmp_path):
    """Where a file should be: something that is none. Its name, and what it is."""
    path = tmp_path / "x"
    if request.param == "folder":
        path.mkdir()
    elif request.param == "pipe":
        os.mkfifo(path)
    elif request.param == "socket":
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(str(path))
    else:
        path.symlink_to("/dev/zero")
    return path, request.param


@pytest.mark.timeout(20)
@pytest.mark.parametrize("suffix", [".npy", ".npz", ".parquet", ".csv", ".txt", ".json", ".jsonl"])
def test_what_is_no_file_is_refused_at_once(no_file, suffix):
    path, kind = no_file
    path = path.rename(path.with_suffix(suffix))
    doors = [lambda: read_values(path)]
    if suffix in (".npy", ".npz", ".parquet"):
        doors += [lambda: open_pool(path), lambda: open_pool(proba=path)]
    for door in doors:
        folder = r"this folder is of no known format" if kind == "folder" else "\0"
        with pytest.raises(ValueError, match=rf"{path.name} is a {kind}; expected a file|{folder}"):
            door()


@pytest.mark.timeout(20)
def test_a_pipe_in_a_folder_is_not_read(tmp_path):
    np.save(tmp_path / "features.npy", np.eye(3))
    os.mkfifo(tmp_path / "proba.npy")
    with pytest.raises(ValueError, match=r"proba\.npy is a link to a file that is not there"):
        open_pool(tmp_path)


@pytest.mark.parametrize("path", ["", 5, None, 1.5, b"", "a\0b", ["a.npy"]])
def test_what_is_no_path_is_refused(path):
    with pytest.raises((ValueError, TypeError), match=r"the path of a file or folder|needs a path"):
        open_pool(path)
    if path is not None:
        with pytest.raises((ValueError, TypeError), match=r"proba must be the path of"):
            open_pool(proba=path)


def test_no_pickle_is_read(tmp_path):
    class Mine:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "made"),)

    array = np.array([Mine()] * 3, dtype=object)
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    np.savez(tmp_path / "a.npz", features=array, id=array)
    for name in ("a.npy", "a.npz"):
        with pytest.raises(ValueError, match="array of Python objects, which are not read"):
            open_pool(tmp_path / name)
        with pytest.raises(ValueError, match=r"array of Python objects.*array\.astype\(str\)"):
            read_values(tmp_path / name)
    assert not (tmp_path / "made").exists()


def test_the_advice_for_ids_that_are_objects_works(tmp_path):
    import pandas

    ids = pandas.Series(["a", "b", "c"], dtype=object).to_numpy()
    np.save(tmp_path / "id.npy", ids.astype(str))
    assert read_values(tmp_path / "id.npy") == ["a", "b", "c"]


def test_a_row_larger_than_memory_is_refused(monkeypatch):
    wide = sp.csr_array((np.ones(1), ([0], [2**40])), shape=(3, 2**41))
    with pytest.raises(ValueError, match=r"A row of arrays takes .*GB of memory"):
        labelnext.Pool(features=wide)
