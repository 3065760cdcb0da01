"""Reading arrays from .npy, .npz and Parquet files, memory-mapped where the format allows."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from labelnext.cli._errors import InputError
from labelnext.cli._reading import pick_name, reading
from labelnext.cli._sources import Source


def read_array(source: Source) -> Any:
    """Read an array: a NumPy array, or a SciPy matrix from `scipy.sparse.save_npz`."""
    if source.suffix == ".npy":
        return _read_npy(source)
    if source.suffix == ".npz":
        return _read_npz(source)
    from labelnext.cli._parquet import read_column

    return read_column(source)


def names_in(source: Source) -> list[str]:
    """Name the arrays of an .npz archive, the columns of a Parquet file."""
    if source.suffix == ".npz":
        with _archive(source) as archive:
            return list(archive.files)
    from labelnext.cli._parquet import column_names

    return column_names(source)


def _read_npy(source: Source) -> np.ndarray[Any, Any]:
    if source.name is not None:
        raise InputError(
            f"{source.option} {source}: a .npy file holds one array without a name; "
            f"give {source.option} {source.path}"
        )
    with reading(source.path):
        array: np.ndarray[Any, Any] = np.load(source.path, mmap_mode="r", allow_pickle=False)
    return array


def _read_npz(source: Source) -> Any:
    with _archive(source) as archive:
        if source.name is None and {"format", "shape", "data"} <= set(archive.files):
            import scipy.sparse

            return scipy.sparse.load_npz(source.path).tocsr()
        return archive[pick_name(source, archive.files, "array")]


@contextmanager
def _archive(source: Source) -> Iterator[Any]:
    # NumPy leaves a file open that turns out to be no archive, unless it is ours.
    with reading(source.path), source.path.open("rb") as file:
        archive = np.load(file, allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise InputError(
                f"{source.option} {source.path}: this is not an .npz archive; rename it to .npy "
                "if it was written by numpy.save"
            )
        with archive:
            yield archive
