"""Where the rows of a shard come from, whenever its actor is started."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

from labelnext.engine._base import Gradients
from labelnext.engine._factors import StoredRows
from labelnext.engine._open import as_stored, open_pool, stored_gradients
from labelnext.engine.task import check_task
from labelnext.pools import Source

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from labelnext.engine.task import Task


class Piece(ABC):
    """The rows of one shard, as they are sent to its actor, or as how to read them there."""

    @abstractmethod
    def read(self) -> StoredRows:
        """Return the rows as arrays that may be kept."""


class Origin(ABC):
    """All rows of a pool, in the process that chooses the batch."""

    name: str
    """What messages call it."""

    n_rows: int
    bias: bool
    """Whether h is followed by a 1."""

    task: Task
    """What the columns of the probabilities are."""

    stored_as: str | None = None
    """The dtype that the probabilities were rounded to, if not that of theirs."""

    @abstractmethod
    def piece(self, lo: int, hi: int) -> Piece:
        """Return rows lo to hi, to be sent."""

    def describe(self, lo: int, hi: int) -> str:
        """Say which rows these are, for messages."""
        return f"rows {lo:,} to {hi - 1:,} of {self.name}"

    def cuts(self, n_shards: int) -> NDArray[np.int64]:
        """Return where the shards begin, and where the last ends."""
        return np.linspace(0, self.n_rows, n_shards + 1).astype(np.int64)


@dataclass(frozen=True)
class SentRows(Piece):
    """Rows that are sent themselves."""

    stored: StoredRows

    def read(self) -> StoredRows:
        # What Ray sends may not be written to, which compiled code would be compiled anew for.
        proba, features = self.stored
        return StoredRows(proba.copy(), features.copy())


class Arrays(Origin):
    """Arrays of this process."""

    name = "the arrays"

    def __init__(
        self, proba: Any, features: Any, *, bias: bool, task: Task, stored_as: str | None
    ) -> None:
        self.proba, self.features = proba, features
        self.bias, self.task, self.stored_as = bias, task, stored_as
        self.n_rows = len(proba)

    def piece(self, lo: int, hi: int) -> Piece:
        # Plain arrays in C order: not all of the memory that a view is of.
        proba = np.ascontiguousarray(self.proba[lo:hi])
        features = self.features[lo:hi]
        if not sp.issparse(features):
            features = np.ascontiguousarray(features)
        return SentRows(StoredRows(proba, features))


@dataclass(frozen=True)
class FileRows(Piece):
    """Rows that the actor reads by itself: once, or as they are needed within a limit."""

    source: Source

    def read(self) -> StoredRows:
        proba, features = (
            np.array(self.source.read(part, 0, self.source.n_rows))
            for part in ("proba", "features")
        )
        return StoredRows(proba[:, 0] if self.source.one_dimensional else proba, features)


class Files(Origin):
    """Rows that each shard reads from files by itself."""

    def __init__(self, source: Source, *, bias: bool, task: Task) -> None:
        self.source, self.name, self.n_rows = source, source.name, source.n_rows
        self.bias, self.task = bias, task

    def piece(self, lo: int, hi: int) -> Piece:
        return FileRows(self.source.part(lo, hi))

    def describe(self, lo: int, hi: int) -> str:
        return f"{super().describe(lo, hi)}, from {self.source.where(lo)} on"

    def cuts(self, n_shards: int) -> NDArray[np.int64]:
        even, known = super().cuts(n_shards), self.source.cuts
        # Where stretches are read whole, nobody wants to read one twice.
        near = known[np.abs(known[None, :] - even[:, None]).argmin(axis=1)]
        return near if (np.diff(near) > 0).all() else even


def as_origin(
    pool: Any, features: Any = None, *, bias: bool = False, task: Task = "multiclass"
) -> Origin:
    """Take what a selection is from for what shards are cut of; nothing is read.

    Parameters
    ----------
    pool : Gradients, Source, ray.data.Dataset or array-like
        A pool in this process's memory; files; a data set with the columns proba and features;
        or probabilities.
    features : array-like, default=None
        The features, if `pool` are probabilities.
    bias : bool, default=False
        Whether the last layer has a bias whose gradient counts too. A pool knows.
    task : {"multiclass", "multilabel", "binary"}, default="multiclass"
        What the columns of the probabilities are. A pool knows.

    Returns
    -------
    Origin
        Its rows.

    Raises
    ------
    TypeError
        If shards cannot be cut of it.

    Examples
    --------
    >>> import numpy as np
    >>> from labelnext.engine.ray import as_origin
    >>> as_origin(np.full((3, 2), 0.5), np.ones((3, 4))).describe(0, 2)
    'rows 0 to 1 of the arrays'
    """
    if isinstance(pool, Source):
        # What the files say themselves comes first.
        known = task if pool.task is None else check_task(pool.task)
        return Files(pool, bias=bias if pool.bias is None else pool.bias, task=known)
    if isinstance(pool, Gradients):
        source = getattr(pool, "source", None)
        if isinstance(source, Source):
            return Files(source, bias=pool.bias, task=pool.task)
        if not isinstance(pool.proba, np.ndarray):
            raise TypeError(
                f"engine='ray' cuts shards of arrays, files and Ray data sets, not of "
                f"{pool!r}; give it the arrays, as in select(proba, features, k, engine='ray')."
            )
        return Arrays(
            pool.proba,
            pool.features,
            bias=pool.bias,
            task=pool.task,
            stored_as=getattr(pool, "stored_as", None),
        )
    if type(pool).__module__.startswith("ray.data"):
        from labelnext.engine.ray_dataset import Dataset

        return Dataset(pool, bias=bias, task=task)
    proba, features, stored_as = as_stored(pool, features, task)
    return Arrays(proba, features, bias=bias, task=task, stored_as=stored_as)


def open_piece(
    piece: Piece,
    first_row: int,
    *,
    bias: bool,
    task: Task,
    stored_as: str | None,
    on_gpu: bool,
    memory_limit: int | str | None,
) -> Gradients:
    """Make a pool of one shard's rows, in memory or on the GPU that the process was given.

    Parameters
    ----------
    piece : Piece
        The rows.
    first_row : int
        Where they start in the whole pool.
    bias, task, stored_as
        As those of `Origin`.
    on_gpu : bool
        Whether they are to be on a GPU.
    memory_limit : int, str or None
        What rows of files may take in memory; None for all that they take.
    """
    if isinstance(piece, FileRows) and memory_limit is not None and not on_gpu:
        return open_pool(piece.source, memory_limit=memory_limit, bias=bias, task=task)
    proba, features, _ = as_stored(*piece.read(), task)
    if on_gpu:
        from labelnext.engine._tensors import as_torch_gradients
        from labelnext.utils.extras import require

        torch = require("torch", extra="torch", what="num_gpus")
        proba, features = (torch.from_numpy(x).cuda() for x in (proba, features))
        return as_torch_gradients(proba, features, bias=bias, task=task)
    return stored_gradients(
        proba, features, bias=bias, task=task, stored_as=stored_as, first_row=first_row
    )
