"""What sampling may ask of a pool of gradients, wherever it lives."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from labelnext.engine._factors import Factors
    from labelnext.engine._stored import PlainForm, StoredRows
    from labelnext.engine._weights import Scale
    from labelnext.engine.task import Task

# Rows that tell one pool from another, where no norms of all are at hand.
SAMPLED = 64


@dataclass(frozen=True)
class PassReport:
    """What one pass over the pool saw.

    Parameters
    ----------
    potentials : ndarray of shape (n_centres,), float64
        The potential after each centre of the block, in their order.
    counters : dict of str to int
        Pairs of (row, centre) looked at, by how far they got; see `Batch.stats`.

    Examples
    --------
    >>> import numpy as np
    >>> from labelnext.engine import as_gradients
    >>> pool = as_gradients(np.full((3, 2), 0.5), np.array([[1.0], [2.0], [4.0]]))
    >>> rows = np.array([2])
    >>> pool.start(exclude=np.array([], dtype=int)).min_update(pool.gather(rows), rows).potentials
    array([6.5])
    """

    potentials: NDArray[np.float64]
    counters: dict[str, int] = field(default_factory=dict)


class Gradients(ABC):
    """A pool of gradients by their factors. It never changes.

    A new place for pools to live derives from this class and from `D2`; nothing in
    `labelnext.sampling` has to know of it.
    """

    n_rows: int
    n_classes: int
    """How many classes, or labels that are each by itself."""

    proba: Any
    """The probabilities, where and in the dtype they are, shape (n_rows, n_columns)."""

    features: Any
    """The features, likewise, shape (n_rows, n_features)."""

    bias: bool
    """Whether h is followed by a 1."""

    task: Task
    """What the columns of `proba` are; see `as_gradients`."""

    device: Any
    """Where the pool lives: "cpu", or a torch.device."""

    def __repr__(self) -> str:
        kind = "labels" if self.task == "multilabel" else "classes"
        dtype = str(self.features.dtype).removeprefix("torch.")
        return (
            f"{type(self).__name__} of {self.n_rows:,} rows: {self.task}, "
            f"{self.n_classes:,} {kind}, {self.features.shape[1]:,} features in {dtype}"
            f"{' with a bias' * self.bias}, {self._place()}"
        )

    @property
    @abstractmethod
    def form(self) -> PlainForm:
        """How rows become factors in another process, that of whoever chooses the batch."""

    def _place(self) -> str:
        return f"on {self.device}"

    def fingerprint(self) -> str:
        """Return what differs between pools: a digest of what each row's norm is, or of some rows'.

        The same pool, opened the same way, has the same.
        """
        rows = np.linspace(0, self.n_rows - 1, min(self.n_rows, SAMPLED)).astype(np.int64)
        return self._digest(self.gather(rows).squared_norms)

    def _digest(self, squared_norms: NDArray[np.float64]) -> str:
        shape = self.n_rows, self.n_classes, self.features.shape[1], self.bias, self.task
        digest = hashlib.blake2b(repr(shape).encode(), digest_size=16)
        digest.update(np.ascontiguousarray(squared_norms).data)
        return digest.hexdigest()

    @abstractmethod
    def gather(self, rows: NDArray[np.int64]) -> Factors:
        """Return the factors of some rows, in the order asked for."""

    @abstractmethod
    def stored(self, rows: NDArray[np.int64]) -> StoredRows:
        """Return some rows as they are stored, as arrays of this process."""

    @abstractmethod
    def factors_of(self, stored: StoredRows) -> Factors:
        """Return the factors of rows that may be another part's, as a pass of this pool wants."""

    @abstractmethod
    def start(self, exclude: NDArray[np.int64]) -> D2:
        """Return the state of a new selection, in which no centre has been chosen.

        Parameters
        ----------
        exclude : ndarray of int64
            Rows that are not candidates.
        """


class D2(ABC):
    """D², the squared distance to the nearest centre, of each row of a pool.

    The state of one selection, kept where the rows are: callers see sums, drawn rows and no
    array as long as the pool. It is a pure function of the pool, the excluded rows and the
    centres so far, so that a part that is lost can be computed again.

    Draws are made in integers. After a pass each row has the weight ⌈2ˢ D²⌉, with the same s
    for all rows, chosen so that the sum of the weights fits 62 bits and that of rounding up
    is less than a millionth of it. Sums of integers do not depend on their order, nor on how a
    pool is cut into shards: the same ticket finds the same row everywhere. A weight is never
    less than what it stands for, so that thinning by 2ˢ D² / weight gives the exact law.
    """

    values: Any
    """D² of every row, an array: for a look at it. Where it is elsewhere it is fetched."""

    n_available: int
    """How many rows are neither excluded nor picked."""

    total: int
    """The sum of the weights after the latest pass."""

    exponent: int
    """s: weights are ⌈2ˢ D²⌉."""

    scale: Scale
    """How s is chosen. A part of a pool has that of the pool."""

    @abstractmethod
    def largest_norm(self) -> int | None:
        """Return the available row of the largest ‖G‖, the first of several; None if all are 0."""

    @abstractmethod
    def available(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the available rows at some places of their ascending list."""

    @abstractmethod
    def largest(self, m: int) -> tuple[NDArray[np.int64], NDArray[np.float64], float]:
        """Return the available rows of largest D², among equal ones the first.

        To be called after a pass.

        Parameters
        ----------
        m : int
            How many, if as many are available.

        Returns
        -------
        rows : ndarray of int64
            The rows, ascending.
        d2 : ndarray of float64
            Their D².
        rest : float
            The largest D² of the other available rows, −1 if there are none.
        """

    @abstractmethod
    def withdraw(self, rows: NDArray[np.int64]) -> None:
        """Make rows unavailable, as those excluded: their D² is 0 from now on."""

    @abstractmethod
    def weigh(self, exponent: int) -> None:
        """Weigh all rows anew with a given s: that of the pool of which this is a part."""

    @abstractmethod
    def find(
        self, tickets: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
        """Find the rows whose stretch of the cumulated weights holds the tickets.

        Parameters
        ----------
        tickets : ndarray of shape (m,), int64
            Each from 0 to `total` − 1.

        Returns
        -------
        rows : ndarray of shape (m,), int64
            The row that each ticket drew.
        d2 : ndarray of shape (m,), float64
            Its D² after the latest pass.
        weights : ndarray of shape (m,), int64
            Its weight, at least 2ˢ D².
        """

    @abstractmethod
    def bound(self, norm: float) -> None:
        """Lower each D² to (‖G_i‖ + norm)², an upper bound on it for a centre of that norm.

        For the start: it reads norms only, and draws from upper bounds are thinned like those
        from a stale D². Not to be called after a pass, which makes D² exact.
        """

    @abstractmethod
    def min_update(
        self,
        centres: Factors,
        rows: NDArray[np.int64],
        trace: NDArray[np.float64] | None = None,
    ) -> PassReport:
        """Make one pass: lower each row's D² to its distances to new centres.

        Parameters
        ----------
        centres : Factors
            The new centres, in the order of their picks.
        rows : ndarray of int64
            Their rows in the pool, which are from now on not available and whose D² is 0. Rows
            below 0 or from `n_rows` on are those of another part of the pool that this is a part
            of.
        trace : ndarray of shape (n_centres, n_rows), optional
            Where to write every row's D² after each of the centres.
        """
