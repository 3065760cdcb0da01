"""Where torch works and in what room: tiles that fit the memory, and products that keep digits."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Bytes that the temporaries of a tile may take. On a GPU also at most half of what is free; more
# than this makes nothing faster. On the CPU about what stays in the caches.
MOST_BYTES = 2 << 30
CPU_BYTES = 1 << 24
# Of devices whose drivers do not say what is free.
UNKNOWN_BYTES = 1 << 28
# A tile of fewer rows is not tried.
LEAST_ROWS = 16

# From torch 2.9 on; mixing it with the one setting of before is an error.
PRECISION_BY_LIBRARY = hasattr(torch.backends, "fp32_precision")
# Its name before torch 2.5.
_OUT_OF_MEMORY: type[BaseException] = getattr(
    torch, "OutOfMemoryError", torch.cuda.OutOfMemoryError
)


def has_float64(device: torch.device) -> bool:
    """Whether the device can compute in float64, as all but Apple's GPUs can."""
    return device.type != "mps"


def room(device: torch.device) -> int:
    """How many bytes the temporaries of a tile may take now."""
    if device.type == "cpu":
        return CPU_BYTES
    if device.type != "cuda":
        return UNKNOWN_BYTES
    free, _ = torch.cuda.mem_get_info(device)
    # What torch keeps for itself, but does not use, is free to us.
    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return min((free + kept) // 2, MOST_BYTES)


def for_each_tile(
    work: Callable[[slice], None],
    n_rows: int,
    row_bytes: int,
    device: torch.device,
    what: str,
) -> None:
    """Call ``work(rows)`` for tiles of rows from first to last, smaller ones if memory is short.

    Parameters
    ----------
    work : callable of slice
        What is to be done. When it fails it must not have changed anything that lasts.
    n_rows : int
        How many rows there are.
    row_bytes : int
        Bytes that the temporaries of a row take.
    device : torch.device
        Where they are.
    what : str
        What is being done, and to what, for the error.

    Raises
    ------
    MemoryError
        If not even a few rows fit.
    """
    size = max(LEAST_ROWS, room(device) // row_bytes)
    lo = 0
    while lo < n_rows:
        rows = slice(lo, min(lo + size, n_rows))
        failed = False
        try:
            work(rows)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            size = (rows.stop - lo) // 2
            if size < LEAST_ROWS:
                raise MemoryError(
                    f"Out of memory on {device}: {what} needs about {row_bytes * LEAST_ROWS:,} "
                    f"bytes for a tile of {LEAST_ROWS} rows beside the pool, and they are not "
                    f"free; free memory there, store the features in float16, or move the pool "
                    f"to the CPU."
                ) from error
            failed = True
        if failed:
            # Not within the except: its traceback holds the tensors of the tile that was too big.
            if device.type == "cuda":
                torch.cuda.empty_cache()
            continue
        lo = rows.stop


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out; not all devices have a class for it."""
    return isinstance(error, (MemoryError, _OUT_OF_MEMORY)) or any(
        words in str(error) for words in ("out of memory", "can't allocate memory")
    )


@contextmanager
def plain_float32(device: torch.device) -> Iterator[None]:
    """Hold matrix products to what their dtype says, whatever the user has set for a network.

    No TF32 or bfloat16 in float32 products, no autocast and no graph, on this device; all is as
    before afterwards.
    """
    with torch.no_grad(), torch.autocast(device.type, enabled=False):
        if PRECISION_BY_LIBRARY:
            matmuls: list[Any] = [b.matmul for b in (torch.backends.cuda, torch.backends.mkldnn)]
            before = [matmul.fp32_precision for matmul in matmuls]
            try:
                for matmul in matmuls:
                    matmul.fp32_precision = "ieee"
                yield
            finally:
                for matmul, precision in zip(matmuls, before, strict=True):
                    matmul.fp32_precision = precision
        else:
            precision = torch.get_float32_matmul_precision()
            try:
                torch.set_float32_matmul_precision("highest")
                yield
            finally:
                torch.set_float32_matmul_precision(precision)
