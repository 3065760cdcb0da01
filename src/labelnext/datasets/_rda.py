"""A table of numbers and one factor, from a data file of R."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def read_rda(
    path: Path, table: str, target: str
) -> tuple[NDArray[np.float64], NDArray[np.int64], tuple[str, ...]]:
    """Read a data frame's numbers, its target's codes and its target's levels."""
    try:
        import rdata
    except ImportError as error:
        raise ImportError(
            f"{path} needs the Python package rdata to be read: pip install labelnext[datasets]"
        ) from error
    frame: Any = rdata.read_rda(path, default_encoding="utf-8").get(table)
    if frame is None or target not in frame:
        raise ValueError(f"{path} should hold a table {table} with a column {target!r}.")
    # A factor becomes a categorical: R's codes and the names of its levels.
    classes = frame[target].cat
    return (
        frame.drop(columns=target).to_numpy(dtype=np.float64),
        classes.codes.to_numpy(dtype=np.int64),
        tuple(map(str, classes.categories)),
    )
