"""Writing a pool folder shard by shard, so that nothing is lost and nothing taken for whole."""

from __future__ import annotations

import errno
import io
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labelnext.pools.check import as_part, check_lengths, check_shape
from labelnext.pools.disk import draft, sync_folder, write_npy, write_once, write_through, writing
from labelnext.pools.files import LocalFiles
from labelnext.pools.known import as_groups, check_ids, check_unique, plain
from labelnext.pools.manifest import (
    LAST_LAYER,
    MANIFEST,
    SETTINGS,
    SHARD,
    FileRecord,
    PoolSource,
    ShardRecord,
    check_kind,
    head_of,
    manifest_text,
    read_head,
    read_shard,
    shard_name,
    shard_number,
    text_of,
)
from labelnext.pools.own import clear_pool_drafts, delete_pool, folder_of, refuse_other_files
from labelnext.pools.source import Part, digest_of_bytes
from labelnext.utils.given import TASKS, check_task
from labelnext.utils.labels import MISSING_LABEL, split_labels
from labelnext.utils.libraries import is_sparse, is_tensor
from labelnext.utils.text import counted

# The longest text, in bytes of UTF-8: each of a shard takes as much room as its longest.
LONGEST = 1024
# Whole numbers up to here are the same in float64, which labels are kept in.
LARGEST_LABEL = 2**53


class PoolWriter:
    """Write a pool folder, each shard by itself, and the manifest when all are there.

    A shard appears at once, when all of it is on the disk: a process that is killed leaves
    finished shards and nothing that is mistaken for one. Several processes, on several machines
    that share the folder, may each write their own shards with ``resume=True``; one of them calls
    `finish` in the end.

    Parameters
    ----------
    path : str or path-like
        The folder, which is made if it is not there. A shard that is written is never changed.
    task, bias, classes, last_layer : optional
        As those of `labelnext.Pool`.
    settings : mapping, default=None
        What else those who go on must agree on, to be kept in JSON: the name of a model, say.
    resume : bool, default=False
        Whether to go on where the folder has shards already.
    overwrite : bool, default=False
        Whether to delete a pool, finished or not, that is in the folder.

    Raises
    ------
    FileExistsError
        If the folder holds a pool and neither `resume` nor `overwrite` is asked for, or holds
        other files.
    ValueError
        If one resumes with another task, bias or settings.
    PermissionError
        If the folder may not be written to.

    See Also
    --------
    labelnext.write_pool : The same of arrays, in one call.

    Examples
    --------
    >>> import numpy as np, tempfile
    >>> from labelnext.pools import PoolWriter, open_pool
    >>> folder = tempfile.TemporaryDirectory()
    >>> writer = PoolWriter(folder.name)
    >>> writer.write(1, np.full((2, 2), 0.5), np.array([[3.0], [4.0]]))
    >>> writer.write(0, np.full((3, 2), 0.5), np.array([[0.0], [1.0], [2.0]]))
    >>> writer.finished
    {0: 3, 1: 2}
    >>> writer.finish()
    >>> open_pool(folder.name).features[2:4]
    array([[2.],
           [3.]])
    >>> folder.cleanup()
    """

    _can_go_on = True

    def __init__(
        self,
        path: str | PathLike[str],
        *,
        task: str = "multiclass",
        bias: bool = False,
        classes: ArrayLike | None = None,
        last_layer: Any = None,
        settings: Mapping[str, Any] | None = None,
        resume: bool = False,
        overwrite: bool = False,
    ) -> None:
        self.path = folder_of(path)
        names = None if classes is None else np.asarray(classes, dtype=object).tolist()
        names = None if names is None else [plain(name) for name in names]
        self._head = head_of(check_task(task, TASKS), bool(bias), settings or {}, classes=names)
        self._last_layer = b""
        if last_layer is not None:
            content, (weights, offset) = io.BytesIO(), last_layer
            named = {"weights": weights} if offset is None else {"weights": weights, "bias": offset}
            np.savez(content, allow_pickle=False, **named)
            self._last_layer = content.getvalue()
            self._head["last_layer"] = digest_of_bytes(self._last_layer)
        self._known: dict[int, ShardRecord] = {}
        head = text_of(self._head)  # if it cannot be written, nothing is begun
        with writing(str(self.path), "free some space, or choose another place"):
            self._begin(head, resume, overwrite)

    @property
    def finished(self) -> dict[int, int]:
        """The shards that are written, by whomever: their numbers, and how many rows they have."""
        return {number: shard.n_rows for number, shard in self._shards().items()}

    @property
    def complete(self) -> bool:
        """Whether the manifest is written, so that there is nothing left to do."""
        return (self.path / MANIFEST).exists()

    def write(
        self,
        shard: int,
        proba: ArrayLike | None = None,
        features: ArrayLike | None = None,
        ids: ArrayLike | None = None,
        *,
        groups: ArrayLike | None = None,
        labels: ArrayLike | None = None,
        missing_label: Any = MISSING_LABEL,
        stored_as: str | None = None,
    ) -> None:
        """Write one shard, which is there when this returns, and not before.

        Parameters
        ----------
        shard : int
            Its number, from 0 on: rows of the pool come in the order of these numbers.
        proba, features : array-like, default=None
            Its probabilities and features, of the dtypes and columns of the other shards; they may
            have other numbers of rows.
        ids, groups, labels, missing_label : optional
            As those of `labelnext.Pool`, integers or strings; labels are numbers or strings.
        stored_as : str, default=None
            What the probabilities were rounded to, if they come in a wider dtype, such as
            "bfloat16". Of a tensor it is known.

        Raises
        ------
        FileExistsError
            If the shard, or the manifest, is written already.
        ValueError, TypeError
            If it is not as the other shards, or not as `labelnext.write_pool` takes it.
        OSError
            If the disk is full; what was written of this shard is taken away.
        """
        arrays, rounded = _shard_arrays(proba, features)
        n_rows = len(next(iter(arrays.values())))
        arrays |= check_known(n_rows, ids, groups, labels, missing_label)
        if isinstance(shard, bool) or not isinstance(shard, int | np.integer) or shard < 0:
            raise ValueError(f"shard must be a number from 0 on, got {shard!r}.")
        shard = int(shard)
        folder = self.path / shard_name(shard)
        if self.complete:
            raise FileExistsError(
                f"{self.path} is a finished pool; write another with PoolWriter(path), or delete "
                "it with overwrite=True."
            )
        others = self._shards()
        if shard in others:
            raise _written_already(folder)
        stored_as = stored_as or rounded
        records = {name: _record(array, name, stored_as) for name, array in arrays.items()}
        for number, other in others.items():
            kind = ShardRecord(n_rows, records).kind
            check_kind(kind, other.kind, str(folder), shard_name(number))
            break  # the others are like this one
        with writing(
            str(folder),
            f"{counted(len(others), 'shard is', 'shards are')} finished: free some space and go "
            "on with resume=True."
            if self._can_go_on
            else "free some space, or choose another place.",
        ):
            self._known[shard] = _write_shard(folder, arrays, stored_as)

    def finish(self, n_shards: int | None = None) -> None:
        """Write the manifest: from now on the folder is a pool.

        Parameters
        ----------
        n_shards : int, default=None
            How many shards there must be; None for as many as there are. ValueError says which are
            missing, damaged or do not fit, or which id is there twice.
        """
        if self.complete:
            return
        shards = self._shards()
        expected = max(shards, default=-1) + 1 if n_shards is None else n_shards
        missing = sorted(set(range(expected)) - shards.keys())
        if missing or not shards or len(shards) != expected:
            raise ValueError(
                f"{self.path} is unfinished: it has {len(shards):,} of "
                f"{counted(expected, 'shard')}, "
                f"missing are {', '.join(map(str, missing[:5])) or 'none'}"
                f"{' and more' if len(missing) > 5 else ''}; write shards 0 to the last, and as "
                "many as finish is told."
            )
        ordered = [shards[number] for number in range(expected)]
        for number, shard in enumerate(ordered):
            check_kind(shard.kind, ordered[0].kind, f"{self.path}: {shard_name(number)}", "shard 0")
        name = str(self.path)
        check_unique(PoolSource(name, LocalFiles(), name, self._head, ordered))
        with writing(name, "free some space, and call finish again"):
            write_once(self.path / MANIFEST, manifest_text(self._head, ordered))
        clear_pool_drafts(self.path)

    def _begin(self, content: bytes, resume: bool, overwrite: bool) -> None:
        """Make the folder, or find in it what may be gone on with."""
        self.path.mkdir(parents=True, exist_ok=True)
        # Shards that nothing says what they are of can be neither gone on with nor kept.
        nobodys = bool(self._folders()) and not (self.path / SETTINGS).exists()
        begun = refuse_other_files(self.path, to_delete=overwrite or nobodys)
        if begun and not (resume or overwrite):  # what would have to be moved is said first
            refuse_other_files(self.path, to_delete=True)
        if overwrite:
            self.delete()
            self.path.mkdir(exist_ok=True)
        elif nobodys:
            raise (ValueError if resume else FileExistsError)(
                f"{self.path} has shards, but no {SETTINGS} that says what they are of; delete "
                "them with overwrite=True, or choose another path."
            )
        elif begun and not resume:
            state = (
                "finished"
                if self.complete
                else f"unfinished, {counted(len(self._folders()), 'shard')}"
            )
            go_on = "go on with resume=True, " * self._can_go_on
            raise FileExistsError(
                f"{self.path} holds a pool already ({state}); {go_on}delete it with "
                "overwrite=True, or choose another path."
            )
        write_once(self.path / SETTINGS, content)
        head = read_head((self.path / SETTINGS).read_bytes(), str(self.path / SETTINGS))
        if head != self._head:
            both = (*head, *self._head)
            name = next(name for name in both if head.get(name) != self._head.get(name))
            before: Any = head.get(name)
            now: Any = self._head.get(name)
            if name == "settings":
                both = (*before, *now)
                name = next(name for name in both if before.get(name) != now.get(name))
                before, now = before.get(name), now.get(name)
            raise ValueError(
                f"{self.path} was begun with {name}={before!r}, and now {name} is "
                f"{now!r}; go on with the same, delete it with overwrite=True, or "
                "choose another path."
            )
        if self._last_layer:
            write_once(self.path / LAST_LAYER, self._last_layer)

    def delete(self) -> None:
        """Delete the pool, finished or not, and its folder if there is nothing else in it."""
        delete_pool(self.path)
        self._known.clear()

    def _shards(self) -> dict[int, ShardRecord]:
        """Return what is known of the shards that are finished, in their order."""
        for number, folder in self._folders().items():
            if number not in self._known:
                self._known[number] = _find_shard(folder)
        return dict(sorted(self._known.items()))

    def _folders(self) -> dict[int, Path]:
        numbers = {shard_number(path.name): path for path in self.path.iterdir()}
        return {number: path for number, path in numbers.items() if number is not None}


def check_known(
    n_rows: int, ids: Any, groups: Any, labels: Any, missing_label: Any
) -> dict[str, NDArray[Any]]:
    """Return what is known of the samples of a shard as it is stored, or say why it cannot be."""
    arrays = {}
    if ids is not None:
        arrays["ids"] = _stored("ids", check_ids(ids, n_rows, whole=False))
    if groups is not None:
        arrays["groups"] = _stored("groups", as_groups(groups, n_rows))
    if labels is not None:
        arrays["labels"] = _stored_labels(labels, n_rows, missing_label)
    return arrays


def _shard_arrays(proba: Any, features: Any) -> tuple[dict[str, NDArray[Any]], str | None]:
    """Check what is to be a shard, and lay it out as it is stored; with what it was rounded to."""
    arrays, stored_as = {}, None
    if proba is not None:
        arrays["proba"], dtype = _array("proba", proba)
        stored_as = dtype if dtype == "bfloat16" else None
    if features is not None:
        arrays["features"], _ = _array("features", features)
    if not arrays:
        raise ValueError("A shard needs probabilities, features or both.")
    if len(arrays) == 2:
        check_lengths(*arrays.values())
    native = {name: a.astype(a.dtype.newbyteorder("="), copy=False) for name, a in arrays.items()}
    return native, stored_as


def _array(part: Part, values: Any) -> tuple[NDArray[Any], str | None]:
    if is_sparse(values):
        raise TypeError(
            f"A pool folder holds dense arrays, got sparse {part}; convert it with .toarray(), or "
            "keep it in memory: Pool(proba, features)."
        )
    array, dtype = as_part(part, values.cpu() if is_tensor(values) else values)
    if part == "proba" and array.ndim == 3:
        raise ValueError(
            f"A pool folder holds the probabilities of one model, got those of {len(array)} "
            f"members, shape {array.shape}; write a folder for each."
        )
    check_shape(array.shape, part)
    return array, dtype


def _stored(what: str, values: NDArray[Any]) -> NDArray[Any]:
    """Return ids or groups as they are stored: int64, uint64, or UTF-8."""
    if values.dtype.kind in "iub":
        return np.asarray(values, np.uint64 if values.dtype == np.uint64 else np.int64)
    if values.dtype.kind == "S":
        return values
    texts = values.tolist()
    odd = next((row for row, value in enumerate(texts) if not isinstance(value, str)), None)
    if odd is not None:
        raise TypeError(
            f"A pool folder holds {what} that are all integers or all strings, got "
            f"{texts[odd]!r} at row {odd:,} of the shard; convert them first."
        )
    return _encoded(what, texts)


def _stored_labels(labels: Any, n_rows: int, missing_label: Any) -> NDArray[Any]:
    """Return labels as they are stored: float64 with NaN, or UTF-8 with empty texts."""
    array, missing = split_labels(labels, missing_label, name="labels")
    if len(array) != n_rows:
        raise ValueError(
            f"labels has {counted(len(array), 'entry', 'entries')} and the shard has "
            f"{counted(n_rows, 'row')}."
        )
    present = array[~missing].tolist()
    # Of a shard without a label its dtype tells which kind the others' are.
    if not any(isinstance(value, str) for value in present) and (
        present or array.dtype.kind not in "OU"
    ):
        if any(abs(value) > LARGEST_LABEL for value in present):
            raise ValueError("labels that are numbers must be below 2**53 to be written.")
        out = np.full(array.shape, np.nan)
        out[~missing] = present
        return out
    if array.ndim > 1 or "" in present:
        raise ValueError(
            "labels that are strings must have one dimension to be written, and none may be empty."
        )
    texts = np.where(missing, "", array).tolist()
    return _encoded("labels", texts)


def _encoded(what: str, texts: list[str]) -> NDArray[np.bytes_]:
    encoded = [text.encode() for text in texts]
    for row, text in enumerate(encoded):
        if len(text) > LONGEST or text.endswith(b"\0"):
            raise ValueError(
                f"The {what.rstrip('s')} at row {row} of the shard has "
                f"{counted(len(text), 'byte')} or "
                f"ends in a zero byte; {what} must have at most {LONGEST:,} bytes and end in "
                "something else."
            )
    # Never of width 0, which is no dtype of a file.
    return np.array(encoded, dtype=np.bytes_ if any(encoded) else "S1")


def _record(
    array: NDArray[Any], name: str, stored_as: str | None, offset: int = 0, crc32: int = 0
) -> FileRecord:
    rounded = stored_as if name == "proba" else None
    return FileRecord(list(array.shape), array.dtype.str, offset, crc32, rounded)


def _write_shard(
    folder: Path, arrays: dict[str, NDArray[Any]], stored_as: str | None
) -> ShardRecord:
    """Write a shard under another name, and give it its own when the disk has all of it."""
    files = {}
    with draft(folder, folder=True) as new:
        for name, array in arrays.items():
            written = write_npy(new / f"{name}.npy", array)
            files[name] = _record(array, name, stored_as, *written)
        record = ShardRecord(len(next(iter(arrays.values()))), files)
        write_through(new / SHARD, text_of(record.plain))
        sync_folder(new)
        try:
            new.rename(folder)
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST):  # another process was faster
                raise _written_already(folder) from None
            raise
        sync_folder(folder.parent)
    return record


def _find_shard(folder: Path) -> ShardRecord:
    """Read what is known of a shard, and see that its files are as long as that says."""
    try:
        record = read_shard((folder / SHARD).read_bytes(), str(folder / SHARD))
        for name in record.files:
            file = record.npy(str(folder), name)
            if LocalFiles().size(file.path) != file.n_bytes:
                raise ValueError(f"{file.path} does not have {counted(file.n_bytes, 'byte')}")
    except (FileNotFoundError, ValueError) as error:
        raise ValueError(
            f"{folder} is damaged: {str(error).split(';')[0]}. Delete it and write the shard again "
            "with resume=True."
        ) from None
    return record


def _written_already(folder: Path) -> FileExistsError:
    return FileExistsError(f"{folder} is written already; PoolWriter.finished lists such shards.")
