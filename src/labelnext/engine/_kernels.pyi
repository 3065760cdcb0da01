"""The compiled inner loops of the pruned pass, built from `native/`.

They hold no lock and start no thread, so that `for_each_span` can run several side by side. Arrays
that are written to must have the dtype that is named here, and C order.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

N_SCALARS: int
"""How many numbers of each row bounds are made of."""

COUNTERS: tuple[str, ...]
"""What the counters of a pass count."""

def instructions() -> list[str]:
    """Return the sets of instructions that this processor has, the best first."""

def use(name: str) -> None:
    """Use another set of instructions. Results are the same to the last bit."""

def mean_direction(features: Matrix, out: NDArray[np.float64]) -> None:
    """Write the unit vector along the mean of rows; where that is 0 or infinite, one of equal
    entries.
    """

class Matrix:
    """Rows of numbers where and as they are: dense of any strides, or the arrays of CSR."""

    def __init__(self, *arrays: Any, n_columns: int = ..., bfloat16: bool = False) -> None: ...

class Known:
    """What is in memory of each row of a pool; see `Scalars` in `native/layout.h`.

    Labels are uint16 or int32, all else is float64.
    """

    def __init__(
        self,
        labels: NDArray[Any],
        runners_up: NDArray[Any],
        squared_norms: NDArray[np.float64],
        scalars: NDArray[np.float64],
        bias: float,
    ) -> None: ...
    def gather(
        self,
        rows: NDArray[np.int64],
        proba: Matrix,
        features: Matrix,
        places: NDArray[np.int64],
        least_product: float,
    ) -> Block:
        """Copy some rows, which are at some places of the matrices."""

    def read(
        self,
        lo: int,
        hi: int,
        proba: Matrix,
        features: Matrix,
        first: int,
        direction: NDArray[np.float64],
        tolerance: float,
    ) -> tuple[int, bool]:
        """Check rows lo to hi, and write what is known of them.

        The matrices begin with row `first`. Returns the first row that is not as it should be, or
        −1, and whether any feature is negative.
        """

class Block:
    """Some rows of a pool, drawn ones or centres: their factors and what is known of them.

    It has copies, in float32 where that holds all numbers of the pool. `features` is dense, or has
    the numbers of CSR.
    """

    labels: NDArray[np.int64]
    squared_norms: NDArray[np.float64]
    residuals: NDArray[np.float64]
    features: NDArray[Any]
    columns: NDArray[np.int64]
    starts: NDArray[np.int64]
    n_features: int

    @staticmethod
    def joined(blocks: list[Block]) -> Block:
        """Put the rows of several blocks one below the other."""

    def __len__(self) -> int: ...
    def take(self, rows: NDArray[np.int64]) -> Block:
        """Return some of the rows."""

    def lower(self, d2: NDArray[np.float64], centres: Block) -> None:
        """Lower D² of these rows to their distances to centres."""

    def accept(
        self,
        rows: NDArray[np.int64],
        bars: NDArray[np.float64],
        d2: NDArray[np.float64],
        waiting: list[Block],
        most: int,
        admit: Callable[[int], bool] | None,
    ) -> tuple[list[int], int]:
        """Do what `Factors.accept` says."""

class D2:
    """D² of each row of a pool, and integer weights ⌈2ˢ D²⌉, those of groups of rows cumulated.

    `values` are D², and `available` whether a row may be picked, shared with who made it.
    """

    def __init__(
        self,
        known: Known,
        values: NDArray[np.float64],
        available: NDArray[np.bool_],
        group: int,
    ) -> None: ...
    def take(self, rows: NDArray[np.int64]) -> int:
        """Make rows unavailable, as far as they are of this pool; return how many were not yet."""

    def largest_norm(self) -> int:
        """Return the first available row of the largest ‖G‖, −1 if all are 0."""

    def bound(self, norm: float, widened: float) -> None:
        """Lower each value that is not 0 to (‖G_i‖ + norm)², a little widened."""

    def largest(self) -> float:
        """Return the largest value."""

    def weigh(self, exponent: int) -> int:
        """Choose s, and return the sum of all weights."""

    def find(
        self,
        tickets: NDArray[np.int64],
        rows: NDArray[np.int64],
        weights: NDArray[np.int64],
    ) -> None:
        """Write the rows whose stretches of the cumulated weights hold tickets; their weights."""

    def draw(
        self,
        proba: Matrix,
        features: Matrix,
        least_product: float,
        bits: NDArray[np.uint64],
        lots: NDArray[np.float64],
        waiting: list[Block],
        most: int,
        admit: Callable[[int], bool] | None,
    ) -> tuple[Block, list[int], list[float], int]:
        """Do what `D2.draw` says."""

    def lower(
        self,
        lo: int,
        hi: int,
        proba: Matrix,
        features: Matrix,
        first: int,
        fresh: bool,
        centres: Block,
        fall: NDArray[np.float64],
    ) -> None:
        """Lower D² of rows lo to hi to their distances to centres, in the order of picks.

        The matrices begin with row `first`. Where D² is not known yet (`fresh`) it is infinite,
        but for rows at 0. What each centre takes from the potential is added to `fall`.
        """

    def potentials(self, fall: NDArray[np.float64], span: int) -> None:
        """Make of what each centre took from the potential what was left after it."""

    def counted(self) -> list[int]:
        """Return the counters since the last call."""

    def changing(self, cuts: NDArray[np.int64], centres: Block, out: NDArray[np.bool_]) -> None:
        """Write which groups of rows between cuts centres may change, by what is known."""
