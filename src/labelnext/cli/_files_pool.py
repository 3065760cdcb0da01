"""The pool of ``labelnext select`` where it is read from its files as it is needed."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from labelnext.cli._errors import InputError, one_line
from labelnext.cli._ids import Ids, check_unique, read_ids, rows_of
from labelnext.cli._reading import reading
from labelnext.cli._sources import ID_SUFFIXES, Source, parse_source
from labelnext.pools import Source as PoolSource
from labelnext.pools.names import IDS
from labelnext.pools.place import scheme_of

if TYPE_CHECKING:
    from labelnext.engine import Gradients

# Ids that are read at once.
STRETCH = 1 << 16
# What the library calls options, in its messages.
_SPELLINGS = {
    r"\b(proba|features|ids)=\.\.\.": r"--\1 NAME",
    r"\bmemory_limit\b": "--memory-limit",
    # Not those of labelnext.extract(..., resume=True), which is no command.
    r"(?<!\(\.\.\., )\bresume=True": "--resume",
    r"(?<!\(\.\.\., )\boverwrite=True": "--force",
    r"labelnext\.write_pool": "labelnext convert",
}


@dataclass(frozen=True)
class FilesPool:
    """A pool in files, of which the ids of picks are all that is ever read at once.

    Parameters
    ----------
    source : labelnext.pools.Source
        Its probabilities, features and maybe ids.
    given : sequence of int or str, or None
        Its ids, where they come from another file.
    excluded : ndarray of int64
        Rows not to be chosen.
    limit : str or None
        How much memory a selection may take.
    """

    source: PoolSource
    given: Ids | None
    excluded: NDArray[np.int64]
    limit: str | None

    @property
    def n_rows(self) -> int:
        return self.source.n_rows

    @property
    def n_left(self) -> int:
        return self.n_rows - len(self.excluded)

    @property
    def features(self) -> Any:
        """The features, read at the rows that they are indexed with."""
        return _Features(self.source)

    def names(self, rows: Sequence[int]) -> list[Any]:
        """Return the ids of some rows."""
        if self.given is not None:
            return [self.given[row] for row in rows]
        ids = self.source.ids(np.asarray(rows, dtype=np.int64))
        return list(rows) if ids is None else ids.tolist()

    def gradients(self, *, bias: bool) -> "Gradients":
        """Open the pool; what its files say of a bias counts too."""
        from labelnext.engine import open_pool

        with as_input_errors():
            return open_pool(self.source, memory_limit=self.limit, bias=bias or None)


class _Features:
    """What a picture needs of features: their number, and some rows."""

    def __init__(self, source: PoolSource) -> None:
        self.source, self.shape = source, (source.n_rows, source.n_features)

    def __getitem__(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        return self.source.take("features", rows)


def lies_in_files(
    pool: str | None, proba: str | None, features: str | None, limit: str | None
) -> bool:
    """Decide whether a pool is read from its files as it is needed, or into memory first.

    The first are folders, object stores, what has a limit, and Parquet and .npy files larger than
    half of the memory that is free. The batch is the same.
    """
    from labelnext.engine.memory_limit import SHARE, free_memory

    if pool is not None and (scheme_of(pool) is not None or Path(pool).is_dir()):
        return True
    if limit is not None:
        return True
    files = [pool] if pool is not None else [proba, features]
    paths = [Path(file) for file in files if file is not None]
    endings = {path.suffix.lower() for path in paths}
    if len(paths) < len(files) or endings not in ({".parquet"}, {".npy"}):
        return False
    if not all(path.is_file() for path in paths):
        return False
    return sum(map(_bytes_in_memory, paths)) > SHARE * free_memory()


def open_files(
    pool: str | None, proba: str | None, features: str | None, ids: str | None
) -> tuple[PoolSource, Ids | None]:
    """Open the files of a pool, and read its ids if they are in a file of text.

    Parameters
    ----------
    pool : str or None
        A folder, a file, or an address in an object store.
    proba, features, ids : str or None
        Columns or arrays of it; without a pool, .npy files.
    """
    from labelnext.pools import open_source

    text: Source | None = None
    if ids is not None and (Path(ids).suffix.lower() in ID_SUFFIXES or ":" in ids):
        own = pool is None and Path(ids).suffix.lower() == ".npy"
        if not own:
            text, ids = parse_source(ids, "--ids", usual=IDS, suffixes=ID_SUFFIXES), None
    if pool is None:
        for option, name in (("--proba", proba), ("--features", features)):
            if name is None or Path(name).suffix.lower() != ".npy":
                raise InputError(
                    f"{option} {name or 'is missing'}: what is read piece by piece is one POOL "
                    "(a folder or a .parquet file), or two .npy files; `labelnext convert` makes "
                    "a folder of others"
                )
    elif Path(pool).suffix.lower() == ".npz":
        raise InputError(
            f"POOL {pool}: an .npz file cannot be read piece by piece; leave out --memory-limit, "
            "or make a folder of it with `labelnext convert`"
        )
    with as_input_errors():
        source = open_source(pool, proba=proba, features=features, ids=ids)
    if text is None:
        return source, None
    names = read_ids(text)
    if len(names) != source.n_rows:
        raise InputError(
            f"{source.name} has {source.n_rows:,} rows and {text} has {len(names):,}; "
            "they must have one for each sample, in the same order"
        )
    check_unique(names, text)
    return source, names


def open_pool_files(
    pool: str | None,
    proba: str | None,
    features: str | None,
    ids: str | None,
    exclude: list[Source],
    limit: str | None,
) -> FilesPool:
    """Open a pool, and find the rows that are excluded."""
    source, names = open_files(pool, proba, features, ids)
    excluded = [value for given in exclude for value in read_ids(given)]
    found = rows_of(excluded, _all_ids(source) if names is None else names, "--exclude")
    return FilesPool(source, names, found, limit)


@contextmanager
def as_input_errors() -> Iterator[None]:
    """Turn what the library says of files into one line, with the command's names."""
    try:
        yield
    except (ValueError, TypeError, OSError, ImportError) as error:
        message = one_line(error)
        if isinstance(error, OSError) and error.strerror:
            where = f"{error.filename}: " if error.filename else ""
            message = where + one_line(error.strerror)
        for library, command in _SPELLINGS.items():
            message = re.sub(library, command, message)
        raise InputError(message) from None


def _all_ids(source: PoolSource) -> Iterator[Any]:
    """Yield all ids, of which a stretch is in memory."""
    starts = range(0, source.n_rows, STRETCH)
    if source.ids(np.arange(1)) is None:
        return iter(range(source.n_rows))
    stretches = (np.arange(lo, min(lo + STRETCH, source.n_rows)) for lo in starts)
    return chain.from_iterable(source.ids(rows).tolist() for rows in stretches)


def _bytes_in_memory(path: Path) -> int:
    if path.suffix.lower() == ".npy":
        return path.stat().st_size
    import pyarrow.parquet as pq

    with reading(path):
        about = pq.read_metadata(path)
    return sum(about.row_group(number).total_byte_size for number in range(about.num_row_groups))
