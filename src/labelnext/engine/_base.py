"""What sampling may ask of a pool of gradients, wherever it lives."""

from __future__ import annotations

import hashlib
import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from labelnext.utils.given import CLASSIFICATION
from labelnext.utils.libraries import is_sparse

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from labelnext.engine._factors import Factors, Floats, Ints, PlainForm, StoredRows
    from labelnext.utils.given import Task

# The most centres that one pass has: one for so many rows of the pool, within limits, for a pass
# costs what the pool has, and thinning the square of the block. And the most rows that are drawn
# at a time. Samplers keep to them, and a pool in files has room for them within its limit.
ROWS_PER_CENTRE = 64
LEAST_BLOCK, LARGEST_BLOCK = 512, 4096
MOST_DRAWN = 128
# Rows that tell one pool from another.
SAMPLED = 64


def largest_block(n_rows: int) -> int:
    """Return the most centres that one pass over a pool of so many rows has."""
    return min(max(n_rows // ROWS_PER_CENTRE, LEAST_BLOCK), LARGEST_BLOCK)


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

    potentials: Floats
    counters: dict[str, int] = field(default_factory=dict)


class Gradients(ABC):
    """A pool of gradients by their factors. It never changes.

    A new place for pools to live derives from this class and from `D2`; nothing in
    `labelnext.sampling` has to know of it.
    """

    n_rows: int
    n_classes: int
    """How many classes, or labels that are each alone."""

    proba: Any
    """The probabilities, where and in the dtype they are, shape (n_rows, n_columns)."""

    features: Any
    """The features, likewise, shape (n_rows, n_features)."""

    bias: bool
    """Whether h is followed by a 1."""

    task: Task
    """What the columns of `proba` are; see `labelnext.Pool`."""

    device: Any
    """Where the pool lives: "cpu", or a torch.device."""

    uses_blas: ClassVar[bool] = True
    """Whether distances are matrix products of NumPy's."""

    @property
    def has_pseudo_labels(self) -> bool:
        """Whether rows have pseudo-labels; those of factors are 0 where the features are G."""
        return self.task in CLASSIFICATION

    def __repr__(self) -> str:
        kind = "labels" if self.task == "multilabel" else "classes"
        classes = f"{self.n_classes:,} {kind}, " if self.has_pseudo_labels else ""
        dtype = str(self.features.dtype).removeprefix("torch.")
        return (
            f"{type(self).__name__} of {self.n_rows:,} rows: {self.task}, {classes}"
            f"{self.features.shape[1]:,} features in {dtype}{' with a bias' * self.bias}, "
            f"{self._place()}"
        )

    @property
    @abstractmethod
    def form(self) -> PlainForm:
        """How rows become factors in another process, that of whoever chooses the batch."""

    def _place(self) -> str:
        return f"on {self.device}"

    def fingerprint(self) -> str:
        """Return a digest of the factors, the same for the same pool opened the same way."""
        return self._digest()

    def _digest(self, *known: NDArray[Any]) -> str:
        """Digest what is known of all rows, and some rows as they are stored."""
        n = self.n_rows
        # Spread by the golden ratio, so that no period of the pool fits them.
        spread = (np.arange(SAMPLED, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)) >> 40
        rows = np.unique(spread.astype(np.int64) * n >> 24) if n > SAMPLED else np.arange(n)
        proba, features = self.stored(rows)
        if is_sparse(features):
            known += features.data, features.indices, features.indptr
        else:
            known += (features,)
        shape = n, self.n_classes, self.features.shape[1], self.bias, self.task
        digest = hashlib.blake2b(repr(shape).encode(), digest_size=16)
        for array in (proba, *known):
            digest.update(np.ascontiguousarray(array).reshape(-1).data)
        return digest.hexdigest()

    @abstractmethod
    def gather(self, rows: Ints) -> Factors:
        """Return the factors of some rows, in the order asked for."""

    @abstractmethod
    def stored(self, rows: Ints) -> StoredRows:
        """Return some rows as they are stored, as arrays of this process."""

    @abstractmethod
    def factors_of(self, stored: StoredRows) -> Factors:
        """Return the factors of rows, maybe another shard's, as a pass of this pool wants."""

    @abstractmethod
    def start(self, exclude: Ints) -> D2:
        """Return the state of a new selection without centres, `exclude` being no candidates."""


@dataclass
class Scale:
    """Which s the weights ⌈2ˢ D²⌉ have; see `D2`.

    Shards of one pool of `n_rows` must agree on it. The larger the largest D², the smaller is s,
    so the smallest of what shards would choose alone (`own`) is that of the whole. `limit` is the
    s of the whole as it was: a shard takes no larger one alone.
    """

    n_rows: int
    limit: int | None = None
    own: int = 0

    def choose(self, largest: float) -> int:
        """Return s for the largest D² of all."""
        # 2^(e-1) <= largest < 2^e, so no weight exceeds 2^(s+e), and n of them fit 62 bits.
        self.own = 62 - (self.n_rows - 1).bit_length() - math.frexp(largest)[1]
        return self.own if self.limit is None else min(self.own, self.limit)


class Drawn(NamedTuple):
    """Drawn rows that have been accepted, in order."""

    factors: Factors
    rows: list[int]
    d2: list[float]
    """Their D² then."""

    n_seen: int
    """How many drawn rows were looked at: up to the last that may be accepted."""


class D2(ABC):
    """D², the squared distance to the nearest centre, of each row of a pool.

    The state of one selection, kept where the rows are: callers see sums, drawn rows and no
    array as long as the pool. It is a pure function of the pool, the excluded rows and the
    centres so far, so that a shard that is lost can be computed again.

    Draws are made in integers. After a pass each row has the weight ⌈2ˢ D²⌉, with the same s
    for all rows, chosen so that the sum of the weights fits 62 bits and that of rounding up
    is less than a millionth of it. Sums of integers do not depend on their order, nor on how a
    pool is cut into shards: the same ticket finds the same row everywhere. A weight is never
    less than what it stands for, so that thinning by 2ˢ D² / weight gives the exact law.
    """

    pool: Any
    """The `Gradients` that it is D² of."""

    values: Any
    """D² of every row, an array: for a look at it. Where it is elsewhere it is fetched."""

    n_available: int
    """How many rows are neither excluded nor picked."""

    total: int
    """The sum of the weights after the latest pass."""

    exponent: int
    """s: weights are ⌈2ˢ D²⌉."""

    scale: Scale
    """How s is chosen. A shard has that of the whole pool."""

    @abstractmethod
    def largest_norm(self) -> int | None:
        """Return the available row of the largest ‖G‖, the first of several; None if all are 0."""

    @abstractmethod
    def available(self, places: Ints) -> Ints:
        """Return the available rows at some places of their ascending list."""

    @abstractmethod
    def largest(self, m: int) -> tuple[Ints, Floats, float]:
        """Return the available rows of largest D² after a pass, among equal ones the first.

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
    def withdraw(self, rows: Ints) -> None:
        """Make rows unavailable, as those excluded: their D² is 0 from now on."""

    @abstractmethod
    def weigh(self, exponent: int) -> None:
        """Weigh all rows with a given s: that of the pool of which this is a shard."""

    @abstractmethod
    def find(self, tickets: Ints) -> tuple[Ints, Floats, Ints]:
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

    def draw(
        self,
        bits: NDArray[np.uint64],
        lots: Floats,
        waiting: list[Any],
        most: int,
        admit: Callable[[int], bool] | None = None,
    ) -> Drawn:
        """Draw rows from D² after the latest pass; accept them with the ratio to what it is now.

        Parameters
        ----------
        bits : ndarray of shape (m,), uint64
            Random bits, which say what each draw finds: the ticket ⌊total · r / 2⁶⁴⌋.
        lots : ndarray of shape (m,), float64
            Random numbers from 0 to 1, which decide on acceptance.
        waiting : list of blocks
            Centres that wait for a pass.
        most : int
            How many may be accepted, at least 1.
        admit : callable, optional
            What has the last word on a row that would be accepted.

        Returns
        -------
        Drawn
            What was accepted.
        """
        # Not `rng.integers(total)`, which throws away draws by the last bits of the total: these
        # are rounding, and must not shift all draws that follow. No row's probability is off by
        # 2⁻⁶³.
        tickets = np.array([self.total * r >> 64 for r in bits.tolist()], dtype=np.int64)
        rows, now, weights = self.find(tickets)
        # Accept with probability D²/(weight / 2ˢ).
        bars = np.ldexp(lots * weights, -self.exponent)
        factors = self.pool.gather(rows)
        accepted, n_seen = factors.accept(rows, bars, now, waiting, most, admit)
        chosen = np.array(accepted, dtype=np.int64)
        return Drawn(factors[chosen], rows[chosen].tolist(), now[chosen].tolist(), n_seen)

    @abstractmethod
    def bound(self, norm: float) -> None:
        """Lower each D² to (‖G_i‖ + norm)², an upper bound on it for a centre of that norm.

        For the start: it reads norms only, and draws from upper bounds are thinned like those
        from a stale D². Not to be called after a pass, which makes D² exact.
        """

    @abstractmethod
    def min_update(self, centres: Factors, rows: Ints, trace: Floats | None = None) -> PassReport:
        """Make one pass: lower each row's D² to its distances to new centres.

        Parameters
        ----------
        centres : Factors
            The new centres, in the order of their picks.
        rows : ndarray of int64
            Their rows in the pool, which are from now on not available and whose D² is 0. Rows
            below 0 or from `n_rows` on are those of another shard of the same pool.
        trace : ndarray of shape (n_centres, n_rows), optional
            Where to write every row's D² after each of the centres.
        """
