"""Exact D² sampling (k-means++) in a few passes over the pool instead of one a pick."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from labelnext.gradients import blas_on_one_thread
from labelnext.sampling._batch import Batch
from labelnext.sampling._random import as_generator

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from labelnext.gradients import D2, Factors, Gradients
    from labelnext.sampling._random import RandomState

NO_ROWS = np.empty(0, dtype=np.int64)

# A block of new centres holds as many as were picked before it: the potential falls slowly enough
# that most draws from the D² of the latest pass are still accepted. At most one for so many rows
# of the pool, within limits: a pass costs what the pool has, thinning the square of the block.
ROWS_PER_CENTRE = 64
LEAST_BLOCK, LARGEST_BLOCK = 512, 4096
# Picks before the first pass. Until then candidates are drawn from upper bounds on D² that need
# no more than the norms.
FIRST_BLOCK = 64
# Candidates drawn at a time.
LEAST_DRAWN, MOST_DRAWN = 8, 128


def d2_sample(
    gradients: Gradients,
    k: int,
    *,
    exclude: NDArray[np.int64] = NO_ROWS,
    random_state: RandomState = None,
) -> Batch:
    """Pick k rows by D² sampling, exactly, whatever the number of passes.

    The first pick has the largest ‖G‖; each further pick is row i with probability
    D²_i / Σ D², D² being the squared distance to the nearest pick so far [1]_. Candidates are
    drawn from the D² of the latest pass and thinned: a drawn row's true D², known from a few
    dot products, is never larger, and accepting it with the ratio of the two leaves exactly the
    sequential law.

    Parameters
    ----------
    gradients : Gradients
        The pool.
    k : int
        How many rows to pick, at most the candidates; trusted.
    exclude : ndarray of int64, default=none
        Rows that are not candidates.
    random_state : int, Generator, RandomState or None, default=None
        Where the randomness comes from.

    Returns
    -------
    Batch
        The picks in order. That for k is the start of that for any larger k.

    References
    ----------
    .. [1] D. Arthur and S. Vassilvitskii, "k-means++: the advantages of careful seeding",
       SODA 2007; as used by J. T. Ash et al., "Deep batch active learning by diverse, uncertain
       gradient lower bounds", ICLR 2020.

    Examples
    --------
    >>> import numpy as np
    >>> from labelnext.gradients import as_gradients
    >>> from labelnext.sampling import d2_sample
    >>> pool = as_gradients(np.full((3, 2), 0.5), np.array([[1.0], [1.0], [3.0]]))
    >>> d2_sample(pool, 2, random_state=0).d2
    array([4.5, 2. ])
    """
    rng = as_generator(random_state)
    with blas_on_one_thread():
        return _sample(gradients, k, exclude, rng)


def _sample(
    gradients: Gradients, k: int, exclude: NDArray[np.int64], rng: np.random.Generator
) -> Batch:
    d2 = gradients.start(exclude)
    picks = _Picks(gradients, d2, k)
    first = d2.largest_norm()
    if first is None:
        _pick_uniformly(picks, rng)
        return picks.batch()
    rows = np.array([first], dtype=np.int64)
    factors = gradients.gather(rows)
    # No D² is defined before the first pick; what decided was its squared norm.
    picks.add(factors, rows, factors.squared_norms)
    _fill_first_block(picks, rng)
    picks.make_pass()
    largest_block = min(max(gradients.n_rows // ROWS_PER_CENTRE, LEAST_BLOCK), LARGEST_BLOCK)
    while len(picks) < k:
        if d2.total == 0:
            _pick_uniformly(picks, rng)
            break
        _fill_block(picks, min(len(picks), largest_block), rng)
        picks.make_pass()
    return picks.batch()


@dataclass
class _Picks:
    """The picks so far: those that passes have seen, and the block that waits for the next."""

    gradients: Gradients
    d2: D2
    k: int
    rows: list[int] = field(default_factory=list)
    pseudo_labels: list[int] = field(default_factory=list)
    squared_norms: list[float] = field(default_factory=list)
    d2_at_pick: list[float] = field(default_factory=list)
    potentials: list[float] = field(default_factory=list)
    waiting: list[Factors] = field(default_factory=list)
    n_waiting: int = 0
    stats: dict[str, int] = field(
        default_factory=lambda: {"passes": 0, "proposals": 0, "accepted": 0}
    )

    def __len__(self) -> int:
        return len(self.rows)

    def add(self, factors: Factors, rows: NDArray[np.int64], d2: NDArray[np.float64]) -> None:
        self.rows += rows.tolist()
        self.pseudo_labels += factors.pseudo_labels.tolist()
        self.squared_norms += factors.squared_norms.tolist()
        self.d2_at_pick += d2.tolist()
        self.waiting.append(factors)
        self.n_waiting += len(factors)

    def make_pass(self) -> None:
        rows = np.array(self.rows[-self.n_waiting :], dtype=np.int64)
        block = type(self.waiting[0]).concatenate(self.waiting)
        report = self.d2.min_update(block, rows)
        self.waiting.clear()
        self.n_waiting = 0
        self.potentials += report.potentials.tolist()
        self.stats["passes"] += 1
        for name, count in report.counters.items():
            self.stats[name] = self.stats.get(name, 0) + count

    def batch(self) -> Batch:
        return Batch(
            indices=np.array(self.rows, dtype=np.int64),
            pseudo_labels=np.array(self.pseudo_labels, dtype=np.int64),
            gradient_norms=np.sqrt(np.array(self.squared_norms, dtype=np.float64)),
            d2=np.array(self.d2_at_pick, dtype=np.float64),
            potentials=np.array(self.potentials, dtype=np.float64),
            stats=self.stats,
        )


def _fill_first_block(picks: _Picks, rng: np.random.Generator) -> None:
    """Draw the first picks from D²_i ≤ (‖G_i‖ + the least ‖G_c‖)², as long as that is any good."""
    while len(picks) < picks.k:
        picks.d2.bound(min(picks.squared_norms) ** 0.5)
        size = min(max(2 * len(picks), LEAST_DRAWN), FIRST_BLOCK)
        if not _fill_block(picks, size, rng) or len(picks) == FIRST_BLOCK:
            return


def _fill_block(picks: _Picks, size: int, rng: np.random.Generator) -> bool:
    """Draw picks by thinning until `size` wait for a pass, k is reached or too few are accepted.

    Returns whether acceptance was good enough to go on.

    Nothing here but the end depends on k, so that a batch is a prefix of every larger one. What
    was drawn and not looked at may be thrown away: each draw is independent of the others.
    """
    d2 = picks.d2
    n_looked_at = n_accepted = 0
    while picks.n_waiting < size and len(picks) < picks.k:
        n_drawn = min(size - picks.n_waiting + LEAST_DRAWN, MOST_DRAWN)
        rows, stale, weights = d2.find(_tickets(rng, d2.total, n_drawn))
        # Accept with probability D²/(weight / 2ˢ); see `D2`.
        bars = np.ldexp(rng.random(n_drawn) * weights, -d2.exponent)
        factors = picks.gradients.gather(rows)
        now = stale.copy()
        for block in picks.waiting:
            factors.lower(now, block)
        among = factors.squared_distances(factors, same=rows[:, None] == rows[None, :])
        accepted: list[int] = []
        for draw in range(n_drawn):
            if picks.n_waiting + len(accepted) == size or len(picks) + len(accepted) == picks.k:
                break
            n_looked_at += 1
            if bars[draw] < now[draw]:
                accepted.append(draw)
                # Its own D² stays in `now` as it was at the pick; a second draw of it is at 0.
                np.minimum(now[draw + 1 :], among[draw + 1 :, draw], out=now[draw + 1 :])
        n_accepted += len(accepted)
        if accepted:
            chosen = np.array(accepted)
            picks.add(factors[chosen], rows[chosen], now[chosen])
        if n_looked_at >= 16 and 4 * n_accepted < n_looked_at:
            # Poor acceptance: the D² that was drawn from is stale, a new pass is due.
            break
    picks.stats["proposals"] += n_looked_at
    picks.stats["accepted"] += n_accepted
    return 4 * n_accepted >= n_looked_at


def _tickets(rng: np.random.Generator, total: int, size: int) -> NDArray[np.int64]:
    """Draw tickets from 0 to total − 1, each ⌊total · r / 2⁶⁴⌋ of a random 64-bit r.

    Not `rng.integers(total)`, which throws away up to a quarter of its draws, chosen by the last
    bits of the total: these are rounding, and must not shift all draws that follow. Here a total
    that is a little off moves a ticket by as little. No row's probability is off by 2⁻⁶³.
    """
    bits = rng.integers(1 << 64, size=size, dtype=np.uint64)
    return np.array([total * r >> 64 for r in bits.tolist()], dtype=np.int64)


def _pick_uniformly(picks: _Picks, rng: np.random.Generator) -> None:
    """Pick the rest uniformly from what is available: all D² are 0.

    A Fisher-Yates shuffle of the available rows of which only the first few steps are made, so
    that the start does not depend on k.
    """
    n, k = picks.d2.n_available, picks.k - len(picks)
    moved: dict[int, int] = {}
    places = np.empty(k, dtype=np.int64)
    for step in range(k):
        other = int(rng.integers(step, n))
        places[step] = moved.get(other, other)
        moved[other] = moved.get(step, step)
    rows = picks.d2.available(places)
    picks.add(picks.gradients.gather(rows), rows, np.zeros(k))
    picks.waiting.clear()
    picks.potentials += [0.0] * k
