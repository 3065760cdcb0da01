"""Probabilities and features where they come in: of which kind, shape and values they may be."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from labelnext.pools.source import KNOWN, PARTS
from labelnext.utils.given import NO_FILL, refuse_masked
from labelnext.utils.libraries import is_sparse, is_tensor
from labelnext.utils.memory import refuse_too_large
from labelnext.utils.text import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from labelnext.pools.source import Part, Source
    from labelnext.utils.given import Task

# How far from 1 a row may sum: rounding of what it is stored in, and then some. What is said of it
# is one digit: a sum of 0.999 is within 0.001, however it is rounded.
TOLERANCES = {"float16": 5e-3, "bfloat16": 2e-2}
TOLERANCE = 1.001e-3
# What is further above 1 is no probability that was rounded.
FAR_ABOVE = 0.05
# ‖h‖² from which on the squares of gradients, and their sum over a pool, might overflow.
TOO_LARGE = 1e280
# Features none of which is larger: squares in float64, and in float32, lose digits, or are 0.
TOO_SMALL, TOO_SMALL_32 = 1e-150, 1e-18


def as_part(part: Part, values: Any) -> tuple[Any, str | None]:
    """Return probabilities or features as they are kept, and what tensors were rounded to.

    Tensors on the CPU become arrays that share their memory, but for bfloat16; others stay.
    """
    if isinstance(values, str | os.PathLike):
        raise TypeError(
            f"{part} must be an array, got the path {os.fspath(values)!r}; "
            "labelnext.open_pool opens files."
        )
    if part == "proba":
        refuse_masked(values, part, NO_FILL)
    else:
        refuse_masked(values, part)
    if is_tensor(values):
        tensor = real_tensor(part, values)
        if tensor.device.type != "cpu":
            return tensor, _short(tensor.dtype)
        array = (tensor.float() if _short(tensor.dtype) == "bfloat16" else tensor).numpy()
        return array, _short(tensor.dtype)
    if is_sparse(values):
        return _real_sparse(part, values), None
    return _real_array(part, values), None


def _real_array(part: str, values: Any) -> NDArray[Any]:
    try:
        array = np.asarray(values)
        if array.dtype.kind == "O" and array.ndim == 1 and len(array) and np.ndim(array[0]):
            array = np.stack([*map(np.asarray, array)])  # a series of lists
    except ValueError as error:  # nested lists of several lengths
        raise ValueError(
            f"{part} must be a table of numbers, with rows of one length ({error})."
        ) from None
    if array.dtype.kind == "O":
        _refuse_lists_in_cells(part, values, array)
    refuse_dtype(array.dtype, part)
    return array


def _refuse_lists_in_cells(part: str, values: Any, array: NDArray[Any]) -> None:
    """Refuse a frame of which a column, not the whole, has the rows."""
    if array.ndim != 2 or not array.size:
        return
    place = next((i for i, cell in enumerate(array[0]) if isinstance(cell, list | np.ndarray)), -1)
    if place >= 0:
        names = getattr(values, "column_names", None)  # of an Arrow table, whose columns are arrays
        names = getattr(values, "columns", None) if names is None else names
        column = f":, {place}" if names is None else repr(names[place])
        raise TypeError(
            f"{part} must be a table of numbers, got one with a list or an array in each cell of a "
            f"column; pass that column alone, {part}[{column}]."
        )


def _real_sparse(part: str, values: Any) -> Any:
    import scipy.sparse as sp

    if part == "proba":
        raise TypeError(
            f"proba must hold real numbers in a dense array, got a sparse {type(values).__name__}: "
            "if these are the features, the two are swapped; else make it dense with .toarray()."
        )
    if values.ndim != 2 or values.dtype.kind not in "fiub":
        raise TypeError(
            f"Sparse features must be a matrix of real numbers, got shape {values.shape} and dtype "
            f"{values.dtype}."
        )
    try:
        _check_places(values)
        if values.format not in ("csr", "csc", "bsr"):
            advice = "leave out the empty rows."
            refuse_too_large(
                f"{part} of {counted(values.shape[0], 'row')}", 8 * values.shape[0], advice
            )
        csr = sp.csr_array(values)  # which shares the arrays of CSR
        if values.format not in ("csr", "coo"):
            _check_places(csr)
    except (ValueError, TypeError, IndexError, AttributeError, OverflowError) as error:
        raise ValueError(
            f"{part} is a broken sparse {type(values).__name__}: {' '.join(str(error).split())}; "
            "make it again with SciPy."
        ) from None
    return csr


def _check_places(values: Any) -> None:
    """Refuse a sparse matrix whose numbers lie outside of it: compiled code would follow them."""
    if values.format == "coo":
        for axis, places in enumerate((values.row, values.col)):
            _check_within(places, values.shape[axis], f"places along axis {axis}")
            if places.shape != values.data.shape:
                raise ValueError("it has other than one place for each number")
        return
    if values.format not in ("csr", "csc", "bsr"):
        return
    block = values.blocksize if values.format == "bsr" else (1, 1)
    rows, columns = (n // step for n, step in zip(values.shape, block, strict=True))
    rows, columns = (columns, rows) if values.format == "csc" else (rows, columns)
    starts, places = values.indptr, values.indices
    _check_within(starts, min(len(places), len(values.data)) + 1, "indptr")
    if len(starts) != rows + 1 or starts[0] != 0 or (starts[1:] < starts[:-1]).any():
        raise ValueError(f"indptr must ascend from 0 in {rows + 1:,} steps")
    _check_within(places, columns, "indices")


def _check_within(places: NDArray[Any], end: int, what: str) -> None:
    if places.ndim != 1 or places.dtype.kind not in "iu":
        raise ValueError(f"{what} must be integers in one dimension, got {places.dtype}")
    if len(places) and (places.min() < 0 or places.max() >= end):
        raise ValueError(f"{what} must be from 0 to {end - 1:,}")


def real_tensor(name: str, values: Any) -> Any:
    """Return a dense tensor of real numbers, cut off from any graph; refuse other tensors."""
    import torch

    if values.layout != torch.strided:
        raise TypeError(
            f"{name} is a sparse tensor ({values.layout}); pass sparse features as a SciPy matrix, "
            f"or a dense tensor with {name}.to_dense()."
        )
    if values.is_complex() or values.is_quantized:
        raise TypeError(
            f"{name} must hold real numbers, got dtype {values.dtype}; convert it with "
            f"{name}.float()."
        )
    return values.detach()


def common_device(proba: Any, features: Any) -> Any:
    """Return the torch.device of both, or "cpu"; what is no tensor is on the CPU."""
    given = [values for values in (proba, features) if values is not None]
    devices = [values.device if is_tensor(values) else "cpu" for values in given]
    names = [str(device) for device in devices]
    if len(set(names)) > 1:
        raise ValueError(
            f"proba and features must be on one device, got proba on {names[0]} and features "
            f"on {names[1]}; move one of them with .to({names[1]!r})."
        )
    if "meta" in names:
        raise ValueError(
            "proba and features are on the device meta, where tensors hold no numbers."
        )
    return "cpu" if not given or names[0] == "cpu" else devices[0]


def refuse_dtype(dtype: np.dtype[Any], what: str) -> None:
    """Refuse what are no real numbers of a fixed size."""
    if dtype.kind not in "fiub":
        raise TypeError(
            f"{what} must hold real numbers, got dtype {dtype}; convert it with "
            "np.asarray(..., dtype=np.float32)."
        )


def check_shape(
    shape: tuple[int, ...], part: Part, where: str = "", *, members: bool = False
) -> None:
    """Refuse what is no matrix; probabilities may have one dimension, those of `members` three."""
    shape = tuple(shape)
    allowed = (2,) if part == "features" else (1, 2, 3) if members else (1, 2)
    if len(shape) not in allowed:
        if not shape:
            hint = "pass one row for each sample"
        elif len(shape) == 1:
            hint = f"reshape it with {part}.reshape(-1, 1) if it is one column"
        elif part == "features":
            hint = "flatten each sample with features.reshape(len(features), -1)"
        else:
            hint = (
                "pass one row of probabilities for each sample; those of a committee have the "
                "shape (n_members, n_rows, n_columns), in memory or in an .npy or .npz file"
            )
        raise ValueError(f"{part}{where} must have two dimensions, got shape {shape}; {hint}.")
    if 0 in shape[-2:][:1] or (len(shape) == 3 and shape[0] == 0):
        raise ValueError(f"The pool is empty: {part}{where} has no rows, shape {shape}.")
    if 0 in shape:
        raise ValueError(f"{part}{where} needs at least one column, got shape {shape}.")


def check_arrays(
    found: Mapping[str, tuple[tuple[int, ...], np.dtype[Any], str]], *, members: bool = True
) -> None:
    """Refuse shapes and dtypes in files that are no parts, ids, groups or labels, or don't fit."""
    n_rows, first = 0, ""
    for what in (what for what in (*PARTS, *KNOWN) if what in found):
        shape, dtype, where = found[what]
        if what in PARTS:
            refuse_dtype(dtype, where)
            check_shape(shape, what, f" in {where}", members=members)
        else:
            kinds, dimensions = ("iuSUTO", (1,)) if what == "ids" else ("iufbSUTO", (1, 2))
            if len(shape) not in dimensions or 0 in shape[1:] or dtype.kind not in kinds:
                expected = "integers" if what == "ids" else "numbers"
                expected += " or strings" + " in one dimension" * (what == "ids")
                raise TypeError(
                    f"{where} must hold {what}, {expected}, got shape {shape} and dtype {dtype}."
                )
        rows = shape[1] if what == "proba" and len(shape) == 3 else shape[0]
        n_rows, first = (n_rows, first) if first else (rows, where)
        if rows != n_rows:
            raise ValueError(
                f"{first} has {counted(n_rows, 'row')} and {where} has {rows:,}; they must have "
                "one for "
                "each sample, in the same order."
            )


def check_columns(shape: tuple[int, ...], task: Task) -> None:
    """Refuse probabilities that have other columns than the task says."""
    if task == "binary" and len(shape) > 1 and shape[-1] != 1:
        raise ValueError(
            f"With task='binary' proba is P(y = 1) of one logit and has one column, got shape "
            f"{shape}; probabilities of both classes are task='multiclass'."
        )


# Tasks whose gradients are made of the features alone.
WITHOUT_PROBA = ("regression", "vectors")


def refuse_proba_of(task: str) -> None:
    """Refuse probabilities that a task has no use for."""
    raise ValueError(
        f"With task={task!r} there are no probabilities; leave proba out: the gradients are made "
        "of the features."
    )


def check_lengths(proba: Any, features: Any) -> None:
    """Refuse parts that do not line up."""
    n_proba, n_features = proba.shape[-2 if len(proba.shape) > 1 else 0], features.shape[0]
    if n_proba != n_features:
        members = f" for each of {proba.shape[0]} members" if len(proba.shape) == 3 else ""
        raise ValueError(
            f"proba and features must have one row for each sample of the pool, got "
            f"{counted(n_proba, 'row')} of proba{members} and {n_features:,} of features; check "
            "that both "
            f"were computed from the same samples in the same order."
        )


def refuse_proba(
    proba: NDArray[Any],
    first_row: int,
    task: Task,
    tolerance: float,
    dtype: str,
    where: Callable[[int], str] = str,
) -> None:
    """Raise what is wrong with a tile of probabilities; `where` says where a row is."""
    apply = "softmax" if task == "multiclass" else "sigmoid"
    causes = [
        (~np.isfinite(proba), "every probability must be a finite number"),
        (proba < 0, f"probabilities must not be negative; apply {apply} to logits"),
    ]
    if task != "multiclass":
        causes.append((proba > 1, "probabilities must be at most 1; apply sigmoid to logits"))
    for bad, hint in causes:
        found = np.argwhere(bad)
        if len(found):
            row, column = found[0]
            one = labels = ""
            two = task == "multiclass" and proba.shape[1] == 2
            if two and abs(proba[row].sum() - 1) < 1e-6:  # of one column, perhaps
                one = f" (P(y = 1) is {proba[row, 1]:g})"
                labels = ", and in place of labels pass what predict_proba returns"
            raise ValueError(
                f"proba is {proba[row, column]} at row {where(first_row + row)}, column {column}"
                f"{one}: {hint}{labels}."
            )
    off = proba.sum(axis=1, dtype=np.float64) - 1.0
    row = int(np.argmax(np.abs(off) > tolerance))
    raise ValueError(
        f"Each row of proba must sum to 1 (within {tolerance:.1g} for {dtype}), but row "
        f"{where(first_row + row)} sums to {off[row] + 1:.6g}, off by {off[row]:+.4g}; normalise "
        f"the rows, or apply softmax to logits; if each column is a label of its own, say "
        f"task='multilabel'."
    )


def refuse_features(values: NDArray[Any], row: int, where: Callable[[int], str] = str) -> None:
    """Raise what is wrong with one row of features, of shape (n_features,)."""
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        raise ValueError(
            f"features is {values[bad[0]]} at row {where(row)}, column {bad[0]}: every feature "
            f"must be a finite number; drop or impute such samples."
        )
    raise ValueError(
        f"The features of row {where(row)} are too large: the norm must be below 1e140, the "
        f"largest value is {np.abs(values).max():.3g}; scale the features."
    )


def refuse_too_small(features: Any, least: float = TOO_SMALL) -> None:
    """Refuse finite features that are all too small to square, unless all of them are 0."""
    values = features.data if is_sparse(features) else features
    if 0 in values.shape:
        return
    largest = max(float(values.max()), -float(values.min()))
    if 0 < largest < least:
        # No larger than the dtype has.
        power = min(-int(np.floor(np.log10(largest))), 300 if least == TOO_SMALL else 30)
        raise ValueError(
            f"The features are too small: their largest value is {largest:.3g}, and one at least "
            f"must be above {least:g}, so that squares are not 0; multiply all of them by a "
            f"constant, 1e{power} say."
        )


def _short(dtype: Any) -> str:
    return str(dtype).removeprefix("torch.")


def check_proba(
    proba: NDArray[Any],
    task: Task,
    stored_as: str | None = None,
    where: Callable[[int], str] = str,
) -> None:
    """Raise unless all rows are probabilities of the task, within the rounding of their dtype."""
    dtype = stored_as or str(proba.dtype)
    tolerance = TOLERANCES.get(dtype, TOLERANCE)
    good = bool(proba.min(initial=0) >= 0)
    if task == "multiclass":
        good &= bool((np.abs(proba.sum(axis=1, dtype=np.float64) - 1.0) <= tolerance).all())
    else:
        good &= bool(proba.max(initial=0) <= 1)
    if not good:
        refuse_proba(proba, 0, task, tolerance, dtype, where)


def check_all_proba(source: Source, task: Task) -> None:
    """Raise unless all that a source has of probabilities are such; read stretch by stretch."""
    for lo, hi in source.stretches() if source.n_columns else ():
        where = partial(_where_from, source, lo)
        check_proba(source.read("proba", lo, hi), task, source.stored_as, where)


def _where_from(source: Source, lo: int, row: int) -> str:
    return source.where(lo + row, "proba").removeprefix("row ")


def look_swapped(source: Source, task: str) -> bool:
    """Tell whether the first features are probabilities, and the first probabilities are none."""
    if not (source.n_columns and source.n_features) or source.sparse or source.n_members:
        return False
    n = min(source.n_rows, 100)
    proba = source.read("proba", 0, n)
    # Not those of a task without a softmax, nor rounded ones; features may be from 0 to 1, too.
    near = task != "multiclass" or source.n_columns == 1
    near = near or abs(np.median(proba.sum(axis=1, dtype=np.float64)) - 1) < 0.1
    if near and proba.min() >= 0 and proba.max() <= 1 + FAR_ABOVE:
        return False
    try:
        features = source.read("features", 0, n)
        check_proba(features, "multiclass" if source.n_features > 1 else "binary")
    except ValueError:
        return False
    return True
