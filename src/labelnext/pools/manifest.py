"""Our own pool folder: what is written down of it, and how it is read.

A pool folder has a folder for each shard, ``shard-00000`` and so on, which appears under its name
only when all of it is on the disk; in it are ``proba.npy``, ``features.npy``, or one of them, maybe
``ids.npy``, ``groups.npy`` and ``labels.npy``, and ``shard.json`` with their shapes, dtypes and
checksums. ``pool.json`` has all of that again; without it the pool is unfinished. ``settings.json``
says what all who write to it agree on, and ``last_layer.npz`` may have the weights of the model's
last layer.
"""

from __future__ import annotations

import io
import json
import posixpath
import re
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelnext.pools._npy import NpyFile, RowsSource
from labelnext.pools.files import FileError, Files, LocalFiles, reading
from labelnext.pools.source import KNOWN, PARTS, Known, Part, by_block, digest_of, digest_of_bytes
from labelnext.utils.given import TASKS
from labelnext.utils.text import counted

FORMAT, VERSION = "labelnext pool", 1
MANIFEST, SETTINGS, SHARD = "pool.json", "settings.json", "shard.json"
LAST_LAYER = "last_layer.npz"
# What all who write to a pool must agree on; older pools do not have the last.
HEAD = ("format", "version", "task", "bias", "settings")
LATER = ("classes", "last_layer")
SAID = {
    None: "not there",
    "i": "integers",
    "u": "unsigned integers",
    "f": "numbers",
    "S": "strings",
}
# Of a manifest: it has some hundred bytes a shard.
MOST = 1 << 30
# Bytes that are read at once to be summed.
AT_ONCE = 1 << 22
# A file of a shard, on this machine, is summed before single rows of it are read, if it has no more
# bytes than this, or than so many times those of the rows.
LITTLE, TIMES = 1 << 24, 4


@dataclass(frozen=True)
class FileRecord:
    """What is known of one file of a shard."""

    shape: list[int]
    dtype: str  # as numpy writes it, with the byte order
    offset: int  # where the first number is
    crc32: int  # of the numbers' bytes
    stored_as: str | None = None  # what the numbers were rounded to, where numpy has no such type


@dataclass(frozen=True)
class ShardRecord:
    """What is known of one shard: its files are proba, features, ids, groups and labels."""

    n_rows: int
    files: dict[str, FileRecord]

    @property
    def kind(self) -> dict[str, Any]:
        """What all shards of a pool must have in common."""
        kinds: dict[str, Any] = dict.fromkeys((*PARTS, *KNOWN))
        for name, file in self.files.items():
            if name in PARTS:
                kinds[name] = [file.shape[1:], file.stored_as or file.dtype]
            else:
                kinds[name] = np.dtype(file.dtype).kind
        return kinds

    @property
    def plain(self) -> dict[str, Any]:
        """What is written down of it."""
        files = {name: asdict(file) for name, file in self.files.items()}
        for file in files.values():
            if file["stored_as"] is None:
                del file["stored_as"]
        return {"n_rows": self.n_rows, "files": files}

    def npy(self, folder: str, name: str) -> NpyFile:
        """Return one of its files as what rows are read from."""
        known = self.files[name]
        path = f"{folder}/{name}.npy"
        return NpyFile(path, known.offset, tuple(known.shape), np.dtype(known.dtype))


class PoolSource(RowsSource):
    """A pool folder that `PoolWriter` has finished; checksums are compared as shards are read."""

    def __init__(
        self,
        name: str,
        files: Files,
        folder: str,
        head: Mapping[str, Any],
        shards: Sequence[ShardRecord],
    ) -> None:
        folders = [posixpath.join(folder, shard_name(number)) for number in range(len(shards))]
        arrays = {
            what: [s.npy(f, what) for s, f in zip(shards, folders, strict=True)]
            for what in shards[0].files
        }
        super().__init__(name, files, arrays)
        self.task, self.bias = head["task"], head["bias"]
        if head.get("classes") is not None:
            self.classes = np.array(head["classes"], dtype=object)
        if "proba" in arrays:
            self.stored_as = shards[0].files["proba"].stored_as
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

    @property
    def last_layer(self) -> Any:
        if "last_layer" not in self._head:
            return None
        path = posixpath.join(self._folder, LAST_LAYER)
        content = self._files.read_some(path, MOST)
        if digest_of_bytes(content) != self._head["last_layer"]:
            raise FileError(f"{path} is damaged or was changed; {_repair(self._head)}")
        with reading(path), np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return arrays["weights"], arrays.get("bias")

    def verify(self) -> None:
        """Read all files and compare their checksums."""
        for number, shard in enumerate(self._shards):
            for name in shard.files:
                self._compare_all(name, number)

    def take(self, part: Part, rows: NDArray[np.int64]) -> NDArray[Any]:
        local = isinstance(self._files, LocalFiles)
        for shard, inside, _ in by_block(self._starts, rows if local else rows[:0]):
            file = self._arrays[part][shard]
            if file.n_bytes <= max(LITTLE, TIMES * len(inside) * file.row_bytes):
                self._compare_once(part, shard)
        return super().take(part, rows)

    def known(self, what: Known, rows: NDArray[np.int64] | None = None) -> Any:
        # The shards that rows are in, as a whole: one id is too little to compare a checksum.
        touched = self._starts[:-1] if rows is None else rows
        shards = np.unique(np.searchsorted(self._starts, touched, "right") - 1).tolist()
        for shard in shards if self.has(what) else ():
            self._compare_once(what, shard)
        return super().known(what, rows)

    def _compare_once(self, name: str, shard: int) -> None:
        if self._sums.get((name, shard), ()) is not None:
            self._compare_all(name, shard)
            with self._lock:
                self._sums[name, shard] = None

    def _compare_all(self, name: str, shard: int) -> None:
        file, crc = self._arrays[name][shard], 0
        for lo in range(file.offset, file.n_bytes, AT_ONCE):
            buffer = np.empty(min(AT_ONCE, file.n_bytes - lo), np.uint8)
            self._files.read_into(file.path, lo, buffer)
            crc = zlib.crc32(buffer.data, crc)
        self._compare(name, shard, crc)

    def _compare(self, name: str, shard: int, crc: int) -> None:
        expected = self._shards[shard].files[name].crc32
        if crc != expected:
            raise FileError(
                f"{self._arrays[name][shard].path} has the checksum {crc:08x}, and the manifest "
                f"says {expected:08x}: it is damaged or was changed; {_repair(self._head)}"
            )

    def _forget(self) -> None:
        # Of each shard: how many rows were read from its start on, and the checksum so far; None
        # when it was compared.
        self._sums: dict[tuple[str, int], tuple[int, int] | None] = {}
        self._lock = threading.Lock()

    def _was_read(self, part: Part, shard: int, first: int, rows: NDArray[Any]) -> None:
        with self._lock:
            known = self._sums.get((part, shard), (0, 0))
        if known is None or known[0] != first:
            return
        stored = rows if self._arrays[part][shard].dtype.isnative else rows.byteswap()
        done, crc = first + len(rows), zlib.crc32(stored.data, known[1])
        whole = done == self._shards[shard].n_rows
        with self._lock:
            self._sums[part, shard] = None if whole else (done, crc)
        if whole:
            self._compare(part, shard, crc)


def _repair(head: Mapping[str, Any]) -> str:
    """Say how a damaged pool is made whole again, by who has written it."""
    settings = head["settings"]
    if not settings:
        return (
            f"restore it from a copy, or write the pool again: all of it, or delete {MANIFEST} and "
            "the folder of this shard and go on with PoolWriter(..., resume=True)."
        )
    if settings.get("by") == "labelnext loop":
        return "move the folder away, and do the same again: its features are computed anew."
    convert = "`labelnext convert ... --resume`"
    by = convert if settings.get("by") else "labelnext.extract(..., resume=True)"
    return (
        f"restore it from a copy, or delete {MANIFEST} and the folder of this shard, and complete "
        f"the pool with {by}."
    )


def open_pool_folder(name: str, files: Files, folder: str) -> PoolSource:
    """Read a pool folder's manifest and see that all its files are there."""
    found = files.listing(folder)
    if MANIFEST not in found:
        n_shards = sum(path.endswith(f"/{SHARD}") for path in found)
        raise ValueError(
            f"{name} is unfinished: {counted(n_shards, 'shard')} and no {MANIFEST}; complete it by "
            "the command that began it: `labelnext convert`, labelnext.extract(..., resume=True), "
            "or PoolWriter.finish if all shards are there."
        )
    path = posixpath.join(folder, MANIFEST)
    head, shards = read_manifest(files.read_some(path, MOST), path)
    for number, shard in enumerate(shards):
        check_kind(shard.kind, shards[0].kind, f"{name}: {shard_name(number)}", shard_name(0))
    problems = []
    for number, shard in enumerate(shards):
        for part in shard.files:
            file = f"{shard_name(number)}/{part}.npy"
            expected = shard.npy("", part).n_bytes
            if found.get(file, -1) < 0:
                problems.append(f"{file} is missing")
            elif found[file] != expected:
                problems.append(
                    f"{file} has {counted(found[file], 'byte')} instead of {expected:,}"
                )
    if problems:
        more = f" and {len(problems) - 3:,} more" if len(problems) > 3 else ""
        raise FileError(f"{name} is damaged: {'; '.join(problems[:3])}{more}; {_repair(head)}")
    return PoolSource(name, files, folder, head, shards)


def looks_like_a_pool(names: Iterable[str]) -> bool:
    """Tell from the names in a folder whether it is a pool folder, finished or not."""
    return any(name in (MANIFEST, SETTINGS) or shard_number(name) is not None for name in names)


def check_kind(kind: Mapping[str, Any], expected: Mapping[str, Any], what: str, other: str) -> None:
    """Refuse a shard that is no part of the same pool as another."""
    for part, value in kind.items():
        if value != expected[part]:
            raise ValueError(
                f"{what} does not fit to {other}: its {part} {_said(value)}, and there "
                f"{_said(expected[part])}; all shards must have the same columns and dtypes, and "
                "all have ids (groups, labels), of one kind, or none."
            )


def _said(kind: Any) -> str:
    if isinstance(kind, list):
        shape, dtype = kind
        return f"have {shape[0]} columns in {dtype}" if shape else f"have one dimension in {dtype}"
    return f"are {SAID[kind]}"


def shard_name(number: int) -> str:
    """Return the name of a shard's folder."""
    return f"shard-{number:05d}"


def shard_number(name: str) -> int | None:
    """Return the number of a shard's folder, None of any other."""
    match = re.fullmatch(r"shard-(\d{5,})", name)
    return int(match[1]) if match else None


def read_shard(content: bytes, path: str) -> ShardRecord:
    """Read what is known of a shard."""
    with _said_to_be_damaged(path):
        return _shard(json.loads(content))


def head_of(task: str, bias: bool, settings: Mapping[str, Any], **later: Any) -> dict[str, Any]:
    """Return what all who write to a pool must agree on."""
    head = {"format": FORMAT, "version": VERSION, "task": task, "bias": bias}
    head |= {name: value for name, value in later.items() if value is not None}
    # As they come back from the file: tuples as lists, keys as strings.
    return head | {"settings": json.loads(json.dumps(dict(settings)))}


def read_head(content: bytes, path: str) -> dict[str, Any]:
    """Read what all who write to a pool must agree on."""
    with _said_to_be_damaged(path):
        known = json.loads(content)
    if not isinstance(known, dict) or known.get("format") != FORMAT:
        raise FileError(f'{path} is not of a pool of labelnext: it does not say "{FORMAT}".')
    if known.get("version") != VERSION:
        raise FileError(
            f"{path} has version {str(known.get('version'))[:40]} of the format of pools, and this "
            f"labelnext knows version {VERSION}; upgrade labelnext to read it."
        )
    with _said_to_be_damaged(path):
        head = {name: known[name] for name in HEAD} | {n: known[n] for n in LATER if n in known}
        for name, value in head.items():
            expect(HEAD_SCHEMA[name](value))
    return head


def manifest_text(head: Mapping[str, Any], shards: Sequence[ShardRecord]) -> bytes:
    """Lay out what is known of a whole pool."""
    first = shards[0]
    widths = {p: int(np.prod(first.files[p].shape[1:])) for p in PARTS if p in first.files}
    summary: dict[str, Any] = {
        "n_rows": sum(shard.n_rows for shard in shards),
        "n_columns": widths.get("proba", 0),
        "n_features": widths.get("features", 0),
        "dtypes": {part: first.files[part].dtype for part in widths},
        "ids": None,
        **{w: SAID[first.kind[w]] for w in KNOWN if w in first.files},
    }
    return text_of({**head, **summary, "shards": [shard.plain for shard in shards]})


def read_manifest(content: bytes, path: str) -> tuple[dict[str, Any], list[ShardRecord]]:
    """Read what is known of a whole pool: what its writers agreed on, and its shards."""
    head = read_head(content, path)
    with _said_to_be_damaged(path):
        known = json.loads(content)
        shards = [_shard(shard) for shard in known["shards"]]
        expect(shards and sum(shard.n_rows for shard in shards) == known["n_rows"])
    return head, shards


def _shard(known: Any) -> ShardRecord:
    files = {name: FileRecord(**file) for name, file in known["files"].items()}
    expect(_is_count(known["n_rows"]) and known["n_rows"])
    expect(files.keys() & {*PARTS} and files.keys() <= {*PARTS, *KNOWN})
    for name, file in files.items():
        for field, value in asdict(file).items():
            expect(FILE_SCHEMA[field](value))
        expect(file.shape[0] == known["n_rows"])
        kinds = {"ids": "iuS", "groups": "iuS", "labels": "fS"}.get(name, "fiub")
        expect(
            np.dtype(file.dtype).kind in kinds
            and (name in ("proba", "labels") or len(file.shape) == (2 if name == "features" else 1))
        )
    return ShardRecord(known["n_rows"], files)


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 48


def _is_a(*kinds: type) -> Callable[[Any], bool]:
    return lambda value: type(value) in kinds


# What a manifest may say: of the pool, and of each file.
HEAD_SCHEMA: dict[str, Callable[[Any], Any]] = {
    "format": _is_a(str),
    "version": _is_a(int),
    "task": lambda value: value in TASKS,
    "bias": _is_a(bool),
    "settings": _is_a(dict),
    "classes": lambda value: (
        value is None or (value and all(type(c) in (str, int, float, bool) for c in value))
    ),
    "last_layer": _is_a(str),
}
FILE_SCHEMA: dict[str, Callable[[Any], Any]] = {
    "shape": lambda value: len(value) in (1, 2) and all(_is_count(n) and n for n in value),
    "dtype": lambda value: re.fullmatch(r"[<>|=]?[fiubS][1-9]\d{0,9}", value),
    "offset": lambda value: _is_count(value) and value < 1 << 16,
    "crc32": lambda value: _is_count(value) and value < 1 << 32,
    "stored_as": lambda value: value is None or re.fullmatch(r"\w{1,20}", value),
}


def expect(true: object) -> None:
    """Raise where a manifest does not say what it should."""
    if not true:
        raise ValueError


def text_of(known: Mapping[str, Any]) -> bytes:
    """Lay out what is known."""
    return (json.dumps(known, indent=1, ensure_ascii=False) + "\n").encode()


@contextmanager
def _said_to_be_damaged(path: str) -> Iterator[None]:
    try:
        yield
    except Exception:
        raise FileError(
            f"{path} is damaged: it does not say what labelnext writes there; restore it from a "
            "copy, or write the pool again."
        ) from None
