"""What is written down of a pool folder: of each shard when it is whole, of the pool at the end.

A pool folder has a folder for each shard, ``shard-00000`` and so on, which appears under its name
only when all of it is on the disk; in it are ``proba.npy``, ``features.npy``, maybe ``ids.npy``,
and ``shard.json`` with their shapes, dtypes and checksums. ``pool.json`` has all of that again;
without it the pool is unfinished. ``settings.json`` says what all who write to it agree on.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from labelnext.pools._npy import NpyFile
from labelnext.pools.source import PARTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

FORMAT, VERSION = "labelnext pool", 1
MANIFEST, SETTINGS, SHARD = "pool.json", "settings.json", "shard.json"


@dataclass(frozen=True)
class FileRecord:
    """What is known of one file of a shard.

    Parameters
    ----------
    shape : list of int
        Of its array.
    dtype : str
        Of its array, as numpy writes it, with the byte order.
    offset : int
        Where its first number is.
    crc32 : int
        The checksum of its numbers' bytes.
    """

    shape: list[int]
    dtype: str
    offset: int
    crc32: int


@dataclass(frozen=True)
class ShardRecord:
    """What is known of one shard.

    Parameters
    ----------
    n_rows : int
        How many rows it has.
    files : dict of FileRecord
        Its files: proba, features and maybe ids.
    """

    n_rows: int
    files: dict[str, FileRecord]

    @property
    def kind(self) -> dict[str, Any]:
        """What all shards of a pool must have in common."""
        kinds: dict[str, Any] = {
            part: [self.files[part].shape[1:], self.files[part].dtype] for part in PARTS
        }
        ids = self.files.get("ids")
        kinds["ids"] = None if ids is None else np.dtype(ids.dtype).kind
        return kinds

    def npy(self, folder: str, name: str) -> NpyFile:
        """Return one of its files as what rows are read from."""
        known = self.files[name]
        path = f"{folder}/{name}.npy"
        return NpyFile(path, known.offset, tuple(known.shape), np.dtype(known.dtype))


def shard_name(number: int) -> str:
    """Return the name of a shard's folder."""
    return f"shard-{number:05d}"


def shard_number(name: str) -> int | None:
    """Return the number of a shard's folder, None of any other."""
    match = re.fullmatch(r"shard-(\d{5,})", name)
    return int(match[1]) if match else None


def shard_text(record: ShardRecord) -> bytes:
    """Lay out what is known of a shard."""
    return _text(asdict(record))


def read_shard(content: bytes, path: str) -> ShardRecord:
    """Read what is known of a shard."""
    known = _parsed(content, path)
    try:
        return _shard(known)
    except (KeyError, TypeError, ValueError):
        raise _damaged(path) from None


def head_of(task: str, bias: bool, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return what all who write to a pool must agree on."""
    head = {"format": FORMAT, "version": VERSION, "task": task, "bias": bias}
    # As they come back from the file: tuples as lists, keys as strings.
    return head | {"settings": json.loads(json.dumps(dict(settings)))}


def head_text(head: Mapping[str, Any]) -> bytes:
    """Lay out what all who write to a pool must agree on."""
    return _text(head)


def read_head(content: bytes, path: str) -> dict[str, Any]:
    """Read what all who write to a pool must agree on."""
    known = _parsed(content, path)
    if not isinstance(known, dict) or known.get("format") != FORMAT:
        raise ValueError(f'{path} is not of a pool of labelnext: it does not say "{FORMAT}".')
    if known.get("version") != VERSION:
        raise ValueError(
            f"{path} has version {known.get('version')!r} of the format of pools, and this "
            f"labelnext knows version {VERSION}; upgrade labelnext to read it."
        )
    if not {"task", "bias", "settings"} <= known.keys():
        raise _damaged(path)
    return {name: known[name] for name in ("format", "version", "task", "bias", "settings")}


def manifest_text(head: Mapping[str, Any], shards: Iterable[ShardRecord]) -> bytes:
    """Lay out what is known of a whole pool."""
    shards = list(shards)
    first = shards[0]
    summary = {
        "n_rows": sum(shard.n_rows for shard in shards),
        "n_columns": int(np.prod(first.files["proba"].shape[1:])),
        "n_features": first.files["features"].shape[1],
        "dtypes": {part: first.files[part].dtype for part in PARTS},
        "ids": {None: None, "i": "integers", "S": "strings"}[first.kind["ids"]],
    }
    return _text({**head, **summary, "shards": [asdict(shard) for shard in shards]})


def read_manifest(content: bytes, path: str) -> tuple[dict[str, Any], list[ShardRecord]]:
    """Read what is known of a whole pool: what its writers agreed on, and its shards."""
    head = read_head(content, path)
    known = _parsed(content, path)
    try:
        shards = [_shard(shard) for shard in known["shards"]]
        if not shards or sum(shard.n_rows for shard in shards) != known["n_rows"]:
            raise _damaged(path)
    except (KeyError, TypeError, ValueError):
        raise _damaged(path) from None
    return head, shards


def _shard(known: Any) -> ShardRecord:
    files = {name: FileRecord(**file) for name, file in known["files"].items()}
    if (
        any(file.shape[0] != known["n_rows"] for file in files.values())
        or not {*PARTS} <= files.keys()
    ):
        raise ValueError
    return ShardRecord(known["n_rows"], files)


def _text(known: Mapping[str, Any]) -> bytes:
    return (json.dumps(known, indent=1, ensure_ascii=False) + "\n").encode()


def _parsed(content: bytes, path: str) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        raise _damaged(path) from None


def _damaged(path: str) -> ValueError:
    return ValueError(
        f"{path} is damaged: it does not say what labelnext writes there; restore it from a copy, "
        "or write the pool again."
    )
