"""How much memory a pool in files may take, and how it is read to stay below that."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from labelnext.engine import _base
from labelnext.engine.threads import AHEAD, SPAN, n_threads
from labelnext.utils.memory import free_memory, say_bytes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    class FactorsInFiles(Protocol):
        """What is asked of those of `_rows`, which reads as is laid out here."""

        name: str
        n_rows: int
        n_columns: int
        n_features: int
        row_bytes: int
        cuts: NDArray[np.int64]


UNITS: dict[str, int] = {
    **{unit: 1000**power for power, unit in enumerate(("b", "kb", "mb", "gb", "tb"))},
    **{unit: 1024**power for power, unit in enumerate(("kib", "mib", "gib", "tib"), start=1)},
}
# Without a limit: of the memory that is free when the pool is opened.
SHARE = 0.5
# Bytes of a stretch: enough that to ask for it costs little beside reading it, few enough that it
# is still in the processor's cache when it is worked on.
STRETCH = 8 << 20
LEAST_STRETCH = 1 << 18
# Bytes that are sooner read than left out: on a local disk, asking once more takes as long.
GAP = 1 << 16
# Working memory of a thread, and what the bookkeeping of a selection takes.
OF_A_THREAD, OF_A_SELECTION = 2 << 20, 4 << 20


def parse_limit(limit: Any) -> int:
    """Return a limit, an integer or a text, in bytes; a share of what is free for None.

    >>> parse_limit("1.5GB"), parse_limit("2 KiB")
    (1500000000, 2048)
    """
    if limit is None:
        return int(SHARE * free_memory())
    if isinstance(limit, str):
        found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?i?b)\s*", limit.lower())
        if found is None or found[2] not in UNITS:
            raise ValueError(
                f"memory_limit {limit!r} is no amount of memory: write a number and a unit, as in "
                "'1GB', '1.5GB' or '500MiB', or give the bytes as an integer."
            )
        n_bytes = round(float(found[1]) * UNITS[found[2]])
    elif isinstance(limit, int) and not isinstance(limit, bool):
        n_bytes = limit
    else:
        raise TypeError(
            "memory_limit must be a text such as '1GB', an integer of bytes or None, got "
            f"{limit!r} of type {type(limit).__name__}."
        )
    if n_bytes <= 0:
        raise ValueError(f"memory_limit must be above 0, got {limit!r}.")
    return n_bytes


@dataclass(frozen=True)
class Layout:
    """Where the stretches of a pool begin, from 0 to the number of rows, and which are kept.

    `read_whole` says where rows begin that are read or left out together, if the source says it,
    or how many such rows are; `n_kept` how many stretches, from the first on, stay in memory.
    """

    starts: NDArray[np.int64]
    read_whole: NDArray[np.int64] | int
    n_kept: int

    def __len__(self) -> int:
        """How many stretches there are."""
        return len(self.starts) - 1

    def stretch(self, number: int) -> slice:
        """Return the rows of a stretch."""
        return slice(int(self.starts[number]), int(self.starts[number + 1]))

    def cuts(self, rows: slice) -> NDArray[np.int64]:
        """Cut a stretch into what is read or left out as a whole."""
        if isinstance(self.read_whole, int):
            inner = np.arange(rows.start, rows.stop, self.read_whole, dtype=np.int64)[1:]
        else:
            inner = self.read_whole[(self.read_whole > rows.start) & (self.read_whole < rows.stop)]
        return np.concatenate([[rows.start], inner, [rows.stop]]).astype(np.int64)


def lay_out(source: FactorsInFiles, limit: int, state_bytes: float) -> Layout:
    """Cut a pool into stretches; a ValueError says that the limit of bytes is too small."""
    n_workers = n_threads() + AHEAD
    needed = least_limit(source, state_bytes)
    if limit < needed:
        raise ValueError(
            f"memory_limit is {say_bytes(limit)}, but a selection from {source.name} needs "
            f"{say_bytes(needed)}: {state_bytes:.0f} bytes for each of its {source.n_rows:,} rows, "
            f"and {say_bytes(needed - int(state_bytes * source.n_rows))} to read and to work "
            f"with; allow as much (where none is given, the limit is half of what is free), cut "
            f"the pool into parts, or have fewer than {n_threads():,} threads, with the "
            "environment variable LABELNEXT_NUM_THREADS."
        )
    fixed = _fixed_bytes(source, state_bytes)
    stretch_bytes = min(STRETCH, (limit - fixed) // n_workers)
    n_rows, own_cuts = source.n_rows, source.cuts
    if len(own_cuts) == 2:
        size = _round_down(stretch_bytes // source.row_bytes)
        starts = np.append(np.arange(0, n_rows, size), n_rows)
        read_whole: NDArray[np.int64] | int = _round_down(GAP // source.row_bytes)
    else:
        starts = _between_cuts(own_cuts, stretch_bytes // source.row_bytes)
        read_whole = own_cuts
    spare = limit - fixed - n_workers * stretch_bytes
    n_kept = int(np.searchsorted(starts, spare // source.row_bytes, side="right")) - 1
    return Layout(starts.astype(np.int64), read_whole, n_kept)


def least_limit(source: FactorsInFiles, state_bytes: float) -> int:
    """Return the smallest limit that will do."""
    least = max(LEAST_STRETCH, source.row_bytes)
    return _fixed_bytes(source, state_bytes) + (n_threads() + AHEAD) * least


def _fixed_bytes(source: FactorsInFiles, state_bytes: float) -> int:
    """What is needed whatever the stretches: each row's state, and a block of centres."""
    # Rows that were drawn are there several times: as stored, in float64, beside the waiting ones.
    block = min(_base.largest_block(source.n_rows), source.n_rows) + 4 * _base.MOST_DRAWN
    # In float64: as they wait for a pass, put together for it, and in the forms it reads.
    of_a_centre = 8 * (4 * source.n_columns + 3 * source.n_features + 32)
    threads = (n_threads() + AHEAD) * OF_A_THREAD
    return int(state_bytes * source.n_rows) + block * of_a_centre + threads + OF_A_SELECTION


def _round_down(n_rows: int) -> int:
    """Round to whole spans, or to what divides one: sums are made span by span."""
    if n_rows >= SPAN:
        return n_rows // SPAN * SPAN
    return 1 << max(n_rows, 1).bit_length() - 1


def _between_cuts(cuts: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """Put together what is read whole, up to so many rows; cut what is longer."""
    starts = [0]
    for lo, hi in zip(cuts[:-1].tolist(), cuts[1:].tolist(), strict=True):
        if hi - starts[-1] <= most:
            continue
        if starts[-1] < lo:
            starts.append(lo)
        while hi - starts[-1] > most:
            starts.append(starts[-1] + max(most, 1))
    return np.unique([*starts, int(cuts[-1])])
