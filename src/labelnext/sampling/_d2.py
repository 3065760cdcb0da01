"""Exact D² sampling (k-means++) in a few passes over the pool instead of one a pick."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from labelnext.engine import MOST_DRAWN, blas_on_one_thread, largest_block, open_gradients
from labelnext.sampling._checkpoint import Checkpoint
from labelnext.sampling._picks import Picks, Room

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from labelnext.cluster import Ray
    from labelnext.engine import Gradients
    from labelnext.pools import Pool
    from labelnext.sampling._batch import Batch
    from labelnext.sampling._picks import Groups, Progress

NO_ROWS = np.empty(0, dtype=np.int64)

# A block of new centres holds as many as were picked before it, up to what the engine says for the
# pool: the potential falls slowly enough that most draws from the D² of the latest pass are still
# accepted.
# Picks before the first pass. Until then candidates are drawn from upper bounds on D² that need
# no more than the norms.
FIRST_BLOCK = 256
# Candidates drawn at a time, at least; the engine says how many at most.
LEAST_DRAWN = 8


def choose_by_d2(
    pool: Pool,
    k: int,
    *,
    exclude: NDArray[np.int64] = NO_ROWS,
    centres: NDArray[np.int64] = NO_ROWS,
    groups: Groups | None = None,
    rng: np.random.Generator,
    seeded: bool = True,
    progress: Progress | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    memory_limit: int | str | None = None,
    cluster: Ray | None = None,
) -> Batch:
    """Choose k rows by D² sampling; all is checked by who calls.

    If the caller has not said the randomness, it is not `seeded`, and a checkpoint decides.
    """
    place: Any
    if cluster is None:
        place = nullcontext(open_gradients(pool, memory_limit=memory_limit))
    else:
        from labelnext.engine.ray import ray_pool

        place = ray_pool(pool, cluster, memory_limit=memory_limit)
    with place as gradients:
        saved = None
        if checkpoint is not None:
            # Shards tell of some of their rows alone.
            of = gradients.fingerprint() + ("" if cluster is None else pool.fingerprint())
            saved = Checkpoint(
                checkpoint, of, gradients.n_rows, exclude, centres, groups, rng, seeded=seeded
            )
        batch = d2_sample(
            gradients,
            k,
            exclude=exclude,
            centres=centres,
            groups=groups,
            random_state=rng,
            progress=progress,
            checkpoint=saved,
        )
        if cluster is not None:
            batch = replace(batch, stats={**batch.stats, **gradients.shards.counters()})
    return batch.described(pool)


def d2_sample(
    gradients: Gradients,
    k: int,
    *,
    exclude: NDArray[np.int64] = NO_ROWS,
    centres: NDArray[np.int64] = NO_ROWS,
    groups: Groups | None = None,
    random_state: int | np.random.Generator | None = None,
    progress: Progress | None = None,
    checkpoint: Checkpoint | None = None,
) -> Batch:
    """Pick k rows by D² sampling, exactly, in a few passes over the pool.

    The first pick has the largest ‖G‖; each further pick is row i with probability
    D²_i / Σ D², D² being the squared distance to the nearest pick so far [1]_. Candidates are
    drawn from the D² of the latest pass and accepted with the ratio of the true D² to that one.

    Parameters
    ----------
    gradients : Gradients
        The pool.
    k : int
        How many rows to pick, at most the candidates that groups leave; trusted.
    exclude : ndarray of int64, default=none
        Rows that are not candidates.
    centres : ndarray of int64, default=none
        Rows that are centres from the start, and no candidates. The first pick is then drawn by
        D², too.
    groups : Groups, default=None
        Which rows belong together, and how many of a group may be picked. When it is full, its
        rows are candidates no more: their D² counts as 0, in the batch's potentials from the next
        pass on.
    random_state : int, Generator or None, default=None
        Where the randomness comes from.
    progress : callable, default=None
        Called with the counters so far (`Batch.stats`) after each handful of picks and each pass.
    checkpoint : Checkpoint, default=None
        Where to go on from, and what is kept up to date; made for this pool, `exclude`, `centres`
        and `groups`.

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
    >>> from labelnext.engine import as_gradients
    >>> from labelnext.sampling import d2_sample
    >>> pool = as_gradients(np.full((3, 2), 0.5), np.array([[1.0], [1.0], [3.0]]))
    >>> d2_sample(pool, 2, random_state=0).d2
    array([4.5, 2. ])
    """
    rng = np.random.default_rng(random_state)
    with blas_on_one_thread() if gradients.uses_blas else nullcontext():
        picks = Picks(gradients, gradients.start(exclude), k, progress, Room(groups))
        for _ in _sample(picks, centres, rng, checkpoint):
            if checkpoint is not None:
                checkpoint.save(picks, rng)
        return picks.batch()


def _sample(
    picks: Picks,
    centres: NDArray[np.int64],
    rng: np.random.Generator,
    checkpoint: Checkpoint | None,
) -> Iterator[None]:
    """Pick until there are k, pausing wherever no pick waits for a pass."""
    most = largest_block(picks.gradients.n_rows)
    if checkpoint is not None:
        checkpoint.restore(picks, rng, centres, most)
    elif len(centres):
        picks.condition_on(centres, most)
    if len(picks) == 0 and not len(centres):
        if not _start_at_the_largest(picks, rng):
            _pick_uniformly(picks, rng)
        yield
    while len(picks) < picks.k:
        if picks.d2.total == 0:
            _pick_uniformly(picks, rng)
        else:
            _fill_block(picks, min(max(len(picks), FIRST_BLOCK), most), rng)
            picks.make_pass()
        yield


def _start_at_the_largest(picks: Picks, rng: np.random.Generator) -> bool:
    """Pick the largest gradient and what can be drawn from bounds; False if all are 0."""
    first = picks.d2.largest_norm()
    if first is None:
        picks.refuse_too_small(0.0)
        return False
    rows = np.array([first], dtype=np.int64)
    factors = picks.gradients.gather(rows)
    picks.refuse_too_small(float(factors.squared_norms[0]))
    picks.room.admit(first)
    # No D² is defined before the first pick; what decided was its squared norm.
    picks.add(factors, rows.tolist(), factors.squared_norms.tolist())
    _fill_first_block(picks, rng)
    picks.make_pass()
    return True


def _fill_first_block(picks: Picks, rng: np.random.Generator) -> None:
    """Draw the first picks from D²_i ≤ (‖G_i‖ + the least ‖G_c‖)², as long as that is any good."""
    while len(picks) < min(picks.k, FIRST_BLOCK):
        least = min(picks.squared_norms)
        picks.d2.bound(least**0.5)
        size = min(max(2 * len(picks), LEAST_DRAWN), FIRST_BLOCK)
        # A new least norm mends a bound that has become poor; nothing else does.
        if not _fill_block(picks, size, rng) and min(picks.squared_norms) == least:
            return


def _fill_block(picks: Picks, size: int, rng: np.random.Generator) -> bool:
    """Draw picks by thinning until `size` wait for a pass; tell whether it is worth going on."""
    # Nothing here but the end depends on k, so that a batch is a prefix of every larger one. What
    # was drawn and not looked at may be thrown away: each draw is independent of the others.
    d2, room = picks.d2, picks.room
    # D² of a row whose group is full is 0, and so is the chance to be accepted.
    admit = None if room.groups is None else room.admit
    n_seen = n_accepted = 0
    while picks.n_waiting < size and len(picks) < picks.k:
        n_drawn = min(size - picks.n_waiting + LEAST_DRAWN, MOST_DRAWN)
        most = min(size - picks.n_waiting, picks.k - len(picks))
        drawn = d2.draw(_bits(rng, n_drawn), rng.random(n_drawn), picks.waiting, most, admit)
        n_accepted += picks.add_drawn(drawn)
        n_seen += drawn.n_seen
        if n_seen >= 16 and 4 * n_accepted < n_seen:
            # Poor acceptance: the D² that was drawn from is stale, a new pass is due.
            break
    return 4 * n_accepted >= n_seen


def _bits(rng: np.random.Generator, size: int) -> NDArray[np.uint64]:
    """Draw random numbers of 64 bits."""
    if isinstance(rng.bit_generator, np.random.MT19937):  # its words have 32 bits
        return rng.integers(1 << 64, size=size, dtype=np.uint64)
    # The same words as there, in a tenth of the time.
    return rng.bit_generator.random_raw(size)


def _pick_uniformly(picks: Picks, rng: np.random.Generator) -> None:
    """Pick the rest uniformly from what is available: all D² are 0."""
    # The first steps of a Fisher-Yates shuffle, so that the start does not depend on k.
    n, k = picks.d2.n_available, picks.k - len(picks)
    moved: dict[int, int] = {}
    admitted: list[int] = []
    step = 0
    while len(admitted) < k:
        places = np.empty(k - len(admitted), dtype=np.int64)
        for at in range(len(places)):
            other = int(rng.integers(step, n))
            places[at] = moved.get(other, other)
            moved[other] = moved.get(step, step)
            step += 1
        found = picks.d2.available(places)
        admitted += [row for row in found.tolist() if picks.room.admit(row)]
    picks.add_rest(admitted)
