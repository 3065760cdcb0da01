"""The scale of the integer weights that draws are made from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass
class Scale:
    """Which s the weights ⌈2ˢ D²⌉ have; see `D2`.

    Parts of one pool must agree on it. The larger the largest D², the smaller is s, so the
    smallest of what the parts would choose by themselves is that of the whole pool.

    Parameters
    ----------
    n_rows : int
        Rows whose weights make one sum: those of the whole pool, where this is a part of one.
    limit : int, default=None
        The s of the whole pool as it was: a part takes no larger one by itself.
    own : int, default=0
        What the latest choice would have been without a limit.
    """

    n_rows: int
    limit: int | None = None
    own: int = 0

    def choose(self, largest: float) -> int:
        """Return s for the largest D² of all."""
        # 2^(e-1) <= largest < 2^e, so no weight exceeds 2^(s+e), and n of them fit 62 bits.
        self.own = int(62 - np.ceil(np.log2(self.n_rows)) - np.frexp(largest)[1])
        return self.own if self.limit is None else min(self.own, self.limit)
