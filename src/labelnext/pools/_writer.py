"""Writing a pool folder shard by shard, so that nothing is lost and nothing taken for whole."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from labelnext.pools._files import LocalFiles
from labelnext.pools._folder import PoolSource, check_kind, looks_like_a_pool
from labelnext.pools._shard import (
    describe,
    find_shard,
    shard_arrays,
    write_shard,
    written_already,
)
from labelnext.pools._unique import check_unique
from labelnext.pools.disk import is_draft, remove, sync_folder, write_once, writing
from labelnext.pools.manifest import (
    MANIFEST,
    SETTINGS,
    ShardRecord,
    head_of,
    head_text,
    manifest_text,
    read_head,
    shard_name,
    shard_number,
)
from labelnext.pools.place import local_folder
from labelnext.utils.tasks import check_task

if TYPE_CHECKING:
    from collections.abc import Mapping
    from os import PathLike
    from pathlib import Path

    from numpy.typing import ArrayLike


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
    task : {"multiclass", "multilabel", "binary"}, default="multiclass"
        What the probabilities are; see `labelnext.engine.as_gradients`.
    bias : bool, default=False
        Whether the last layer has a bias whose gradient counts too.
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
    >>> from labelnext.pools import PoolWriter, open_source
    >>> folder = tempfile.TemporaryDirectory()
    >>> writer = PoolWriter(folder.name)
    >>> writer.write(1, np.full((2, 2), 0.5), np.array([[3.0], [4.0]]))
    >>> writer.write(0, np.full((3, 2), 0.5), np.array([[0.0], [1.0], [2.0]]))
    >>> writer.finished
    {0: 3, 1: 2}
    >>> writer.finish()
    >>> open_source(folder.name).read("features", 2, 4)
    array([[2.],
           [3.]])
    >>> folder.cleanup()
    """

    def __init__(
        self,
        path: str | PathLike[str],
        *,
        task: str = "multiclass",
        bias: bool = False,
        settings: Mapping[str, Any] | None = None,
        resume: bool = False,
        overwrite: bool = False,
    ) -> None:
        self.path = local_folder(path)
        self._head = head_of(check_task(task), bool(bias), settings or {})
        self._known: dict[int, ShardRecord] = {}
        with writing(str(self.path), "free some space, or choose another place"):
            self._begin(resume, overwrite)

    @property
    def finished(self) -> dict[int, int]:
        """The shards that are written, by whomever: their numbers, and how many rows they have.

        Raises
        ------
        ValueError
            If one has been damaged since.
        """
        return {number: shard.n_rows for number, shard in self._shards().items()}

    @property
    def complete(self) -> bool:
        """Whether the manifest is written, so that there is nothing left to do."""
        return (self.path / MANIFEST).exists()

    def write(
        self, shard: int, proba: ArrayLike, features: ArrayLike, ids: ArrayLike | None = None
    ) -> None:
        """Write one shard, which is there when this returns, and not before.

        Parameters
        ----------
        shard : int
            Its number, from 0 on: rows of the pool come in the order of these numbers.
        proba : array-like of shape (n_rows, n_columns) or (n_rows,)
            Its probabilities, of the dtype and columns of the other shards.
        features : array-like of shape (n_rows, n_features)
            Its features; likewise. Shards may have different numbers of rows.
        ids : array-like of shape (n_rows,), default=None
            The ids of its samples, integers or strings.

        Raises
        ------
        FileExistsError
            If the shard, or the manifest, is written already.
        ValueError
            If a shape is wrong, an id is there twice, or dtypes or columns are not those of the
            other shards.
        TypeError
            If an array does not hold real numbers, or ids are neither integers nor strings.
        OSError
            If the disk is full; what was written of this shard is taken away.
        """
        arrays = shard_arrays(proba, features, ids)
        shard = _checked(shard)
        folder = self.path / shard_name(shard)
        if self.complete:
            raise FileExistsError(
                f"{self.path} is a finished pool; write another with PoolWriter(path), or delete "
                "it with overwrite=True."
            )
        others = self._shards()
        if shard in others:
            raise written_already(folder)
        record = describe(arrays)
        for number, other in others.items():
            check_kind(record.kind, other.kind, str(folder), shard_name(number))
            break  # the others are like this one
        with writing(
            str(folder),
            f"{len(others):,} shards are finished: free some space and go on with resume=True.",
        ):
            self._known[shard] = write_shard(folder, arrays)

    def finish(self, n_shards: int | None = None) -> None:
        """Write the manifest: from now on the folder is a pool.

        Parameters
        ----------
        n_shards : int, default=None
            How many shards there must be; None for as many as there are.

        Raises
        ------
        ValueError
            If shards are missing or damaged, do not fit together, or an id is there twice.
        """
        if self.complete:
            return
        shards = self._shards()
        expected = max(shards, default=-1) + 1 if n_shards is None else n_shards
        missing = sorted(set(range(expected)) - shards.keys())
        if missing or not shards or len(shards) != expected:
            raise ValueError(
                f"{self.path} is unfinished: it has {len(shards):,} of {expected:,} shards, "
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
        for draft in filter(is_draft, self.path.iterdir()):  # of writers that were killed
            remove(draft)

    def _begin(self, resume: bool, overwrite: bool) -> None:
        """Make the folder, or find in it what may be gone on with."""
        self.path.mkdir(parents=True, exist_ok=True)
        begun = refuse_other_files(self.path)
        if overwrite:
            self.delete()
            self.path.mkdir(exist_ok=True)
        elif begun and not resume:
            state = "finished" if self.complete else f"unfinished, {len(self._folders()):,} shards"
            raise FileExistsError(
                f"{self.path} holds a pool already ({state}); go on with resume=True, delete it "
                "with overwrite=True, or choose another path."
            )
        elif self._folders() and not (self.path / SETTINGS).exists():
            raise ValueError(
                f"{self.path} has shards, but no {SETTINGS} that says what they are of; delete "
                "them with overwrite=True."
            )
        write_once(self.path / SETTINGS, head_text(self._head))
        head = read_head((self.path / SETTINGS).read_bytes(), str(self.path / SETTINGS))
        if head != self._head:
            name = next(name for name in head if head[name] != self._head[name])
            raise ValueError(
                f"{self.path} was begun with {name}={head[name]!r}, and now {name} is "
                f"{self._head[name]!r}; go on with the same, delete it with overwrite=True, or "
                "choose another path."
            )

    def delete(self) -> None:
        """Delete the pool, finished or not, and its folder if there is nothing else in it."""
        # Cut off at any point, this leaves nothing that one could go on with.
        for name in (MANIFEST, SETTINGS):
            (self.path / name).unlink(missing_ok=True)
        sync_folder(self.path)
        for folder in list(self.path.iterdir()):
            if shard_number(folder.name) is not None or is_draft(folder):
                remove(folder)
        self._known.clear()
        with suppress(OSError):  # something else is in it, or it may not be deleted
            self.path.rmdir()

    def _shards(self) -> dict[int, ShardRecord]:
        """Return what is known of the shards that are finished, in their order."""
        for number, folder in self._folders().items():
            if number not in self._known:
                self._known[number] = find_shard(folder)
        return dict(sorted(self._known.items()))

    def _folders(self) -> dict[int, Path]:
        numbers = {shard_number(path.name): path for path in self.path.iterdir()}
        return {number: path for number, path in numbers.items() if number is not None}


def refuse_other_files(folder: Path) -> bool:
    """Refuse a folder that holds something else than a pool; tell whether it holds one."""
    names = [path.name for path in folder.iterdir() if not path.name.startswith(".")]
    if names and not looks_like_a_pool(names):
        raise FileExistsError(
            f"{folder} holds other files than those of a pool ({names[0]}); choose a folder that "
            "is empty or not there."
        )
    return bool(names)


def _checked(shard: int) -> int:
    if isinstance(shard, bool) or not isinstance(shard, int | np.integer) or shard < 0:
        raise ValueError(f"shard must be a number from 0 on, got {shard!r}.")
    return int(shard)
