"""Our own pool folder as a source."""

from __future__ import annotations

import posixpath
import threading
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from labelnext.pools._rows import RowsSource
from labelnext.pools.manifest import (
    MANIFEST,
    SETTINGS,
    SHARD,
    read_manifest,
    shard_name,
    shard_number,
)
from labelnext.pools.source import PARTS, Part, digest_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from labelnext.pools._files import Files
    from labelnext.pools.manifest import ShardRecord

# Of a manifest: it has some hundred bytes a shard.
MOST = 1 << 30
# Bytes that are read at once to be summed.
AT_ONCE = 1 << 22


class PoolSource(RowsSource):
    """A pool folder that `PoolWriter` has finished.

    A shard's checksum is compared when the shard is first read from its start to its end, in
    however many stretches; not when single rows are read.

    Parameters
    ----------
    name : str
        What messages call it.
    files : Files
        Where it is.
    folder : str
        The folder's path there.
    head : dict
        What the manifest says of the pool.
    shards : list of ShardRecord
        What it says of the shards.
    """

    def __init__(
        self,
        name: str,
        files: Files,
        folder: str,
        head: Mapping[str, Any],
        shards: Sequence[ShardRecord],
    ) -> None:
        folders = [posixpath.join(folder, shard_name(number)) for number in range(len(shards))]
        both = list(zip(shards, folders, strict=True))
        ids = [s.npy(f, "ids") for s, f in both] if "ids" in shards[0].files else None
        super().__init__(name, files, {p: [s.npy(f, p) for s, f in both] for p in PARTS}, ids)
        self.task, self.bias = head["task"], head["bias"]
        self._folder, self._head, self._shards = folder, head, shards
        self._forget()

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k not in ("_lock", "_sums")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._forget()

    def fingerprint(self) -> str:
        """Return a digest of the manifest: shapes, dtypes and checksums of all files."""
        return digest_of(sorted(self._head.items()), self._shards)

    def verify(self) -> None:
        """Read all files and compare their checksums."""
        for number, shard in enumerate(self._shards):
            for name in shard.files:
                file = shard.npy(posixpath.join(self._folder, shard_name(number)), name)
                crc = 0
                for lo in range(file.offset, file.n_bytes, AT_ONCE):
                    buffer = np.empty(min(AT_ONCE, file.n_bytes - lo), np.uint8)
                    self._files.read_into(file.path, lo, buffer)
                    crc = zlib.crc32(buffer.data, crc)
                _compare(file.path, crc, shard.files[name].crc32)

    def _forget(self) -> None:
        # Of each shard: how many rows were read from its start on, and the checksum so far; None
        # when it was compared.
        self._sums: dict[tuple[Part, int], tuple[int, int] | None] = {}
        self._lock = threading.Lock()

    def _was_read(self, part: Part, shard: int, first: int, rows: NDArray[Any]) -> None:
        if not self._parts[part][shard].dtype.isnative:  # these are no longer the file's bytes
            return
        with self._lock:
            known = self._sums.get((part, shard), (0, 0))
        if known is None or known[0] != first:
            return
        done, crc = first + len(rows), zlib.crc32(rows.data, known[1])
        whole = done == self._shards[shard].n_rows
        with self._lock:
            self._sums[part, shard] = None if whole else (done, crc)
        if whole:
            _compare(self._parts[part][shard].path, crc, self._shards[shard].files[part].crc32)


def open_pool_folder(name: str, files: Files, folder: str) -> PoolSource:
    """Read a pool folder's manifest and see that all its files are there.

    Raises
    ------
    FileNotFoundError
        If files are missing.
    ValueError
        If the pool is unfinished, files are too short or too long, or the manifest is damaged.
    """
    found = files.listing(folder)
    if MANIFEST not in found:
        raise _unfinished(name, found)
    path = posixpath.join(folder, MANIFEST)
    head, shards = read_manifest(files.read_some(path, MOST), path)
    for number, shard in enumerate(shards):
        check_kind(shard.kind, shards[0].kind, f"{name}: {shard_name(number)}", shard_name(0))
    problems = []
    for number, shard in enumerate(shards):
        for part in shard.files:
            file = f"{shard_name(number)}/{part}.npy"
            expected = shard.npy("", part).n_bytes
            if file not in found:
                problems.append(f"{file} is missing")
            elif found[file] != expected:
                problems.append(f"{file} has {found[file]:,} bytes instead of {expected:,}")
    if problems:
        more = f" and {len(problems) - 3:,} more" if len(problems) > 3 else ""
        raise ValueError(
            f"{name} is damaged: {'; '.join(problems[:3])}{more}; restore the files from a copy, "
            f"or delete {MANIFEST} and the folders of these shards and complete the pool with "
            "labelnext.extract(..., resume=True)."
        )
    return PoolSource(name, files, folder, head, shards)


def looks_like_a_pool(names: Iterable[str]) -> bool:
    """Tell from the names in a folder whether it is a pool folder, finished or not."""
    return any(name in (MANIFEST, SETTINGS) or shard_number(name) is not None for name in names)


def check_kind(kind: Mapping[str, Any], expected: Mapping[str, Any], what: str, other: str) -> None:
    """Refuse a shard that is no part of the same matrix as another."""
    for part, value in kind.items():
        if value != expected[part]:
            raise ValueError(
                f"{what} does not fit to {other}: its {part} {_said(value)}, and there "
                f"{_said(expected[part])}; all shards must have the same columns and dtypes, and "
                "all have ids, of one kind, or none."
            )


def _said(kind: Any) -> str:
    if isinstance(kind, list):
        shape, dtype = kind
        return f"have {shape[0]} columns in {dtype}" if shape else f"have one dimension in {dtype}"
    return {None: "are not there", "i": "are integers", "S": "are strings"}[kind]


def _unfinished(name: str, found: Mapping[str, int]) -> ValueError:
    shards = [path for path in found if path.endswith(f"/{SHARD}")]
    if not looks_like_a_pool(path.split("/")[0] for path in found):
        return ValueError(f"{name} is no pool folder: it has no {MANIFEST}.")
    return ValueError(
        f"{name} is unfinished: {len(shards):,} shard{'s' * (len(shards) != 1)} and no {MANIFEST}; "
        "complete it by the command that began it: `labelnext convert`, labelnext.extract(..., "
        "resume=True), or PoolWriter.finish if all shards are there."
    )


def _compare(path: str, crc: int, expected: int) -> None:
    if crc != expected:
        raise ValueError(
            f"{path} has the checksum {crc:08x}, and the manifest says {expected:08x}: it is "
            f"damaged or was changed; restore it from a copy, or delete {MANIFEST} and the folder "
            "of this shard and complete the pool with labelnext.extract(..., resume=True)."
        )
