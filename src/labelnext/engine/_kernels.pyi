"""The compiled inner loops of the pruned pass, built from `native/`.

They hold no lock and start no thread, so that `for_each_span` can run several side by side. Arrays
that are written to must have the dtype that is named here, and C order.
"""

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

    def lower(
        self,
        lo: int,
        hi: int,
        proba: Matrix,
        features: Matrix,
        first: int,
        d2: NDArray[np.float64],
        fresh: bool,
        centres: Block,
        fall: NDArray[np.float64],
        counters: NDArray[np.int64],
    ) -> None:
        """Lower D² of rows lo to hi to their distances to centres, in the order of picks.

        Where it is not known yet (`fresh`) it is infinite, but for rows at 0. What each centre
        takes from the potential is added to `fall`.
        """

    def changing(
        self,
        cuts: NDArray[np.int64],
        d2: NDArray[np.float64],
        centres: Block,
        out: NDArray[np.bool_],
    ) -> None:
        """Write which groups of rows between cuts centres may change, by what is known."""

class Block:
    """A block of centres, or of drawn rows, by their factors and what is known of them.

    `features` is float64, or float32 where that holds all numbers of the pool.
    """

    def __init__(
        self,
        residuals: NDArray[np.float64],
        features: Matrix,
        labels: NDArray[np.int64],
        runners_up: NDArray[np.int64],
        squared_norms: NDArray[np.float64],
        scalars: NDArray[np.float64],
        bias: float,
        least_product: float,
        keeps_float32: bool,
    ) -> None: ...
    def lower(self, d2: NDArray[np.float64], centres: Block) -> None:
        """Lower D² of these rows to their distances to centres."""

    def distances_within(self, below: NDArray[np.float64], out: NDArray[np.float64]) -> None:
        """Write d²(j, i), j < i, to out[j, i], or ∞ where it is not below `below[i]`."""

def lower_to_bound(
    squared_norms: NDArray[np.float64], norm: float, widened: float, values: NDArray[np.float64]
) -> None:
    """Lower each value that is not 0 to (‖G_i‖ + norm)², a little widened."""

def sum_weights(
    values: NDArray[np.float64],
    first: float,
    second: float,
    group: int,
    totals: NDArray[np.int64],
) -> None:
    """Sum the integer weights ⌈2ˢ D²⌉ of each group of rows.

    2ˢ comes as two factors, for it may be too large for one; powers of 2 round nothing.
    """
