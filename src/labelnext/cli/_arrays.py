"""Reading arrays from .npy, .npz and Parquet files, memory-mapped where the format allows."""

import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from labelnext.cli._errors import InputError, did_you_mean, one_line, some
from labelnext.cli._sources import Source


def read_array(source: Source) -> Any:
    """Read an array: a NumPy array, or a SciPy matrix from `scipy.sparse.save_npz`."""
    if source.suffix == ".npy":
        return _read_npy(source)
    if source.suffix == ".npz":
        return _read_npz(source)
    from labelnext.cli._parquet import read_column

    return read_column(source)


def pick_name(source: Source, names: Iterable[str], what: str) -> str:
    """Find the array or column that a source means among those the file has."""
    names = list(names)
    if source.name is not None:
        if source.name in names:
            return source.name
        wanted = f"no {what} '{source.name}'"
        hint = did_you_mean(source.name, names)
    else:
        for name in source.usual:
            if name in names:
                return name
        if len(names) == 1:
            return names[0]
        wanted = f"no {what} '{source.usual[0]}'"
        hint = did_you_mean(source.usual[0], names) or (
            f"; name one with {source.option} {source.path}:NAME"
        )
    raise InputError(
        f"{source.option}: {source.path} has {wanted}; it has {some(names, 12) or 'none'}{hint}"
    )


def names_in(source: Source) -> list[str]:
    """Name the arrays of an .npz archive, the columns of a Parquet file."""
    if source.suffix == ".npz":
        with _archive(source) as archive:
            return list(archive.files)
    from labelnext.cli._parquet import column_names

    return column_names(source)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn what the libraries raise at unreadable and broken files into one line."""
    try:
        yield
    except PermissionError:
        raise InputError(f"cannot read {path}: permission denied; check who may read it") from None
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(
            f"cannot read {path}: {one_line(error) or 'the file is broken'}; "
            "the file may be cut short or of another format: write or copy it again"
        ) from None


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
