"""Two .npy files as a source: one row of each for each sample."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labelnext.pools._npy import open_npy
from labelnext.pools._rows import RowsSource
from labelnext.pools.check import check_shape, refuse_dtype
from labelnext.pools.source import PARTS

if TYPE_CHECKING:
    from labelnext.pools._files import Files


def open_npy_pair(
    name: str, files: Files, proba: str, features: str, ids: str | None = None
) -> RowsSource:
    """Open .npy files with probabilities, features and maybe ids.

    Raises
    ------
    FileNotFoundError
        If one of them is not there.
    ValueError
        If one is damaged or in Fortran order, a shape is wrong, or the lengths differ.
    TypeError
        If one does not hold real numbers.
    """
    found = {"proba": open_npy(files, proba), "features": open_npy(files, features)}
    for part in PARTS:
        refuse_dtype(found[part].dtype, found[part].path)
        check_shape(found[part].shape, part, f" in {found[part].path}")
    if ids is not None:
        found["ids"] = open_npy(files, ids)
        if len(found["ids"].shape) != 1 or found["ids"].dtype.kind not in "iuSU":
            raise TypeError(
                f"{ids} must hold ids, integers or strings in one dimension, got shape "
                f"{found['ids'].shape} and dtype {found['ids'].dtype}."
            )
    for file in found.values():
        if file.n_rows != found["proba"].n_rows:
            raise ValueError(
                f"{proba} has {found['proba'].n_rows:,} rows and {file.path} has "
                f"{file.n_rows:,}; they must have one for each sample, in the same order."
            )
    parts = {part: [found[part]] for part in PARTS}
    return RowsSource(name, files, parts, [found["ids"]] if ids is not None else None)
