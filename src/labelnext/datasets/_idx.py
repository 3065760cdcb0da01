"""The IDX format of MNIST and its relatives, gzipped."""

from __future__ import annotations

import gzip
import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

# The third byte of a file says of what the array is; numbers are big-endian.
DTYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def read_idx(path: Path) -> NDArray[Any]:
    """Read an array from a gzipped IDX file; raise ValueError if it is not a whole one."""
    try:
        content = gzip.decompress(path.read_bytes())
    except (gzip.BadGzipFile, EOFError) as error:
        raise ValueError(f"{path} is not a whole gzip file ({error}); get it anew.") from error
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in DTYPES:
        raise ValueError(f"{path} does not start like an IDX file; get it anew.")
    dtype, n_dimensions = np.dtype(DTYPES[content[2]]), content[3]
    start = 4 + 4 * n_dimensions
    shape = np.frombuffer(content[4:start], dtype=">u4").astype(np.int64).tolist()
    expected = start + math.prod(shape) * dtype.itemsize
    if len(shape) != n_dimensions or len(content) != expected:
        raise ValueError(
            f"{path} should hold {expected} bytes for an array of shape {tuple(shape)}, got "
            f"{len(content)}; get it anew."
        )
    return np.frombuffer(content, dtype=dtype, offset=start).reshape(shape)
