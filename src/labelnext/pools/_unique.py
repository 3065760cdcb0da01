"""Whether every sample has an id of its own, found in bounded memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from labelnext.pools.source import Source

# Keys that are sorted at once, of eight bytes; a longer pool is gone through several times.
AT_ONCE = 1 << 24
# Ids that are read at once.
STRETCH = 1 << 16


def check_unique(source: Source) -> None:
    """Refuse a source in which two rows have the same id.

    Raises
    ------
    ValueError
        If there are such rows; the message names the first of them.
    """
    if source.ids(np.arange(1)) is None:
        return
    sweeps = -(-source.n_rows // AT_ONCE)
    suspects = [_met_twice(source, sweep, sweeps) for sweep in range(sweeps)]
    if not any(map(len, suspects)):
        return
    # Keys of strings may be equal by chance, so the ids themselves are looked at.
    keys = np.concatenate(suspects)
    first: dict[Any, int] = {}
    twice: dict[Any, tuple[int, int]] = {}
    for lo, ids, found in _stretches(source):
        for place in np.flatnonzero(np.isin(found, keys)).tolist():
            value, row = ids[place], lo + place
            if first.setdefault(value, row) != row:
                twice.setdefault(value, (first[value], row))
    if twice:
        value, (one, other) = next(iter(twice.items()))
        raise ValueError(
            f"{source.name}: {len(twice):,} ids are there more than once, such as "
            f"{value.item() if isinstance(value, np.generic) else value!r} "
            f"({source.where(one)}, and {source.where(other)}); every sample needs an id of its "
            "own."
        )


def _met_twice(source: Source, sweep: int, sweeps: int) -> NDArray[np.int64]:
    mine = [keys[keys % sweeps == sweep] for _, _, keys in _stretches(source)]
    keys = np.concatenate(mine)
    keys.sort()
    return np.unique(keys[1:][keys[1:] == keys[:-1]])


def _stretches(source: Source) -> Iterator[tuple[int, NDArray[Any], NDArray[np.int64]]]:
    """Read the ids in order: the first row, its ids, and a key of each."""
    for lo in range(0, source.n_rows, STRETCH):
        ids = source.ids(np.arange(lo, min(lo + STRETCH, source.n_rows)))
        if ids.dtype == np.int64:
            yield lo, ids, ids
        else:
            yield lo, ids, np.fromiter(map(hash, ids), np.int64, len(ids))
