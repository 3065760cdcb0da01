"""How much memory this process may still take, and what would take more."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

GROUP = Path("/sys/fs/cgroup")
# Where nobody tells what is free.
MODEST = 1 << 30


def free_memory() -> int:
    """Return how much memory this process may still take, as far as the system tells."""
    free = _available()
    # A container is stopped at its own limit, a process at what `ulimit -v` says.
    try:
        most = int((GROUP / "memory.max").read_text())
        used = int((GROUP / "memory.current").read_text())
        # Files that are kept in memory while there is room for them count as used there.
        said = (GROUP / "memory.stat").read_text()
        used -= sum(map(int, re.findall(r"^(?:in)?active_file (\d+)$", said, re.MULTILINE)))
        free = min(free, most - used)
    except (OSError, ValueError):
        pass
    try:
        import resource

        most, _ = resource.getrlimit(resource.RLIMIT_AS)
        if most != resource.RLIM_INFINITY:
            pages = int(Path("/proc/self/statm").read_text().split()[0])
            free = min(free, most - pages * resource.getpagesize())
    except (ImportError, OSError, ValueError):
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


def refuse_too_large(what: str, n_bytes: int, advice: str) -> None:
    """Refuse what would take more memory than is free, before it is taken."""
    if n_bytes > (free := free_memory()):
        raise ValueError(
            f"{what} takes {say_bytes(n_bytes)} of memory, and {say_bytes(free)} are free; {advice}"
        )


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out; not all devices have a class for it."""
    words = "out of memory", "can't allocate memory", "ALLOC_FAILED"
    if isinstance(error, RuntimeError):  # as torch's are
        return any(word in str(error) for word in words)
    return isinstance(error, MemoryError)


@contextmanager
def clear_if_out_of_memory(device: Any, what: str) -> Iterator[None]:
    """Say what memory ran out for where something is done on a device, and what to do."""
    try:
        yield
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        raise MemoryError(
            f"Out of memory on {device}: {what} needs more than is free there; free memory on it, "
            f"store the features in float16, or move the pool to the CPU: pool.to('cpu')."
        ) from error
