"""Which format a pool's files are in, told by what is there."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from labelnext.pools._folder import PoolSource, looks_like_a_pool, open_pool_folder
from labelnext.pools._npy_pair import open_npy_pair
from labelnext.pools._unique import check_unique
from labelnext.pools.names import FEATURES, IDS, PROBA, pick
from labelnext.pools.place import find_place, scheme_of

if TYPE_CHECKING:
    from labelnext.pools._files import Files
    from labelnext.pools.names import Wanted
    from labelnext.pools.source import Source

NPY, PARQUET, ZIP = b"\x93NUMPY", b"PAR1", b"PK"
EXPECTED = (
    "is of no known format: expected a pool folder of labelnext, a Zarr group, .npy or Parquet "
    "files"
)


def open_source(
    path: str | os.PathLike[str] | None = None,
    *,
    proba: str | os.PathLike[str] | None = None,
    features: str | os.PathLike[str] | None = None,
    ids: str | os.PathLike[str] | None = None,
) -> Source:
    """
    Open the files of a pool, to be read piece by piece.

    What format they are in is told by what is there:

    - a folder that `labelnext.write_pool` or `PoolWriter` has written;
    - Parquet, a file or a folder of files in the order of their names, with a column of lists of
      numbers for each part, or of numbers in NAME_0, NAME_1, ...; read row group by row group, so
      that for single rows a pool folder is faster;
    - a Zarr group (extra ``zarr``) with an array for each part, read chunk by chunk; chunks that
      are missing are zeros, as they are for Zarr;
    - ``.npy`` files, in one folder under the usual names or each named by itself, whose rows are
      read by themselves.

    Parameters
    ----------
    path : str or path-like, default=None
        The file or folder, or a URI such as ``s3://bucket/pool`` that pyarrow reads, or fsspec if
        it is installed; None if `proba` and `features` are ``.npy`` files.
    proba, features, ids : str or path-like, default=None
        Which columns, arrays or ``.npy`` files hold the probabilities, the features and the ids.
        None looks for the usual names: proba, probs or probabilities; embedding, embeddings or
        features; id or ids, without which the source has no ids.

    Returns
    -------
    Source
        The pool's arrays.

    Raises
    ------
    FileNotFoundError
        If a file is not there.
    OSError
        If an object store cannot be reached.
    PermissionError
        If one may not be read.
    ValueError
        If the files are of no known format, damaged or unfinished, do not line up, or have an id
        twice.
    TypeError
        If they hold no numbers.

    See Also
    --------
    labelnext.write_pool : Write a pool folder, the format that is read fastest.

    Examples
    --------
    >>> import numpy as np, os, tempfile
    >>> from labelnext.pools import open_source
    >>> folder = tempfile.TemporaryDirectory()
    >>> np.save(os.path.join(folder.name, "proba.npy"), np.full((3, 2), 0.5, np.float32))
    >>> np.save(os.path.join(folder.name, "embedding.npy"), np.arange(6.0).reshape(3, 2))
    >>> open_source(folder.name).take("features", np.array([2, 0]))
    array([[4., 5.],
           [0., 1.]])
    >>> folder.cleanup()
    """
    wanted = [None if name is None else os.fspath(name) for name in (proba, features, ids)]
    source = _open(None if path is None else os.fspath(path), *wanted)
    if not isinstance(source, PoolSource):  # whose writer has seen to it
        check_unique(source)
    return source


def _open(path: str | None, proba: str | None, features: str | None, ids: str | None) -> Source:
    if path is None:
        if proba is None or features is None:
            raise TypeError(
                "open_source needs a path, or both proba=... and features=... as .npy files."
            )
        return _pair(proba, features, ids)
    files, place = find_place(path)
    if files.is_folder(place):
        return _open_folder(path, files, place, (proba, features, ids))
    start = files.read_some(place, len(NPY))
    if start == NPY:
        if proba is not None or features is None:
            raise TypeError(
                f"{path} is one .npy file; give two, as open_source(proba=..., features=...)."
            )
        return _pair(path, features, ids)
    if start.startswith(PARQUET):
        return _parquet(path, files, [place], (proba, features, ids))
    raise ValueError(f"{path}: this file {EXPECTED}{_hint(start)}.")


def _open_folder(path: str, files: Files, place: str, wanted: Wanted) -> Source:
    found = files.listing(place)
    if looks_like_a_pool(name.split("/")[0] for name in found):
        if any(name is not None for name in wanted):
            raise TypeError(
                f"{path} is a pool folder, which has its own parts; leave out proba, features and "
                "ids."
            )
        return open_pool_folder(path, files, place)
    if {"zarr.json", ".zgroup"} & found.keys():
        from labelnext.pools._zarr import open_zarr  # which needs an extra

        return open_zarr(path, files, place, wanted)
    # Those of other programs, such as _SUCCESS, are hidden by their names.
    shown = sorted(n for n in found if not any(part[0] in "._" for part in n.split("/")))
    if arrays := {name.removesuffix(".npy") for name in shown if name.endswith(".npy")}:
        proba, features, ids = (name and name.removesuffix(".npy") for name in wanted)
        names = [pick(proba, PROBA, arrays, path), pick(features, FEATURES, arrays, path)]
        if ids is not None or arrays & {*IDS}:
            names.append(pick(ids, IDS, arrays, path))
        return open_npy_pair(path, files, *(f"{place}/{name}.npy" for name in names))
    tables = [name for name in shown if name.lower().endswith((".parquet", ".parq", ".pq"))]
    if not tables and shown and files.read_some(f"{place}/{shown[0]}", 4) == PARQUET:
        tables = shown  # as they are called where their suffix is not needed
    if tables:
        return _parquet(path, files, [f"{place}/{name}" for name in tables], wanted)
    raise ValueError(f"{path}: this folder {EXPECTED}; it has {', '.join(shown[:5]) or 'none'}.")


def _parquet(path: str, files: Files, places: list[str], wanted: Wanted) -> Source:
    from labelnext.pools._parquet import open_parquet  # which brings pyarrow

    return open_parquet(path, files, places, wanted)


def _pair(proba: str, features: str, ids: str | None) -> Source:
    places = [find_place(path) for path in (proba, features, ids) if path is not None]
    if len({scheme_of(path) for path in (proba, features, ids) if path is not None}) > 1:
        raise ValueError(f"{proba} and {features} must be in one place; copy one to the other's.")
    name = f"{proba} and {features}"
    return open_npy_pair(name, places[0][0], *(place for _, place in places))


def _hint(start: bytes) -> str:
    if start.startswith(ZIP):
        return "; of an .npz archive, save the arrays with numpy.save, or load and write_pool them"
    return ""
