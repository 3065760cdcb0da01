"""How much memory a pool on disk may take: what the user says, or a share of what is free."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

UNITS: dict[str, int] = {
    **{unit: 1000**power for power, unit in enumerate(("b", "kb", "mb", "gb", "tb"))},
    **{unit: 1024**power for power, unit in enumerate(("kib", "mib", "gib", "tib"), start=1)},
}
# Without a limit: of the memory that is free when the pool is opened.
SHARE = 0.5
# Where nobody tells what is free.
MODEST = 1 << 30


def parse_limit(limit: Any) -> int:
    """Return a limit in bytes; a share of what is free for None.

    Parameters
    ----------
    limit : int or str or None
        Bytes, or a number with a unit, as in "1GB", "1.5 GB" or "500MiB".

    Raises
    ------
    ValueError
        If it is no such text, or not above 0.
    TypeError
        If it is neither an integer nor a text.

    Examples
    --------
    >>> from labelnext.engine.disk_limit import parse_limit
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


def free_memory() -> int:
    """Return how much memory this process may still take, as far as the system tells."""
    free = _available()
    # A container is stopped at its own limit.
    group = Path("/sys/fs/cgroup")
    try:
        most = int((group / "memory.max").read_text())
        free = min(free, most - int((group / "memory.current").read_text()))
    except (OSError, ValueError):
        pass
    return max(free, 0)


def _available() -> int:
    try:
        found = re.search(r"MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text())
        if found is not None:
            return int(found[1]) * 1024
    except OSError:
        pass
    try:
        # Not told what is free: of what there is, a part.
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 4
    except (AttributeError, ValueError, OSError):
        return MODEST


def say_bytes(n_bytes: int) -> str:
    """Write an amount of memory for people, rounded up, so that it can be given as a limit."""
    power = next(power for power in (1, 2, 3) if n_bytes < 1000 ** (power + 1) or power == 3)
    tenths = -(-10 * n_bytes // 1000**power)
    return f"{tenths / 10:g}{('kB', 'MB', 'GB')[power - 1]}"
