"""The door of the engine: a pool, wherever it lives, becomes gradients."""

from __future__ import annotations

import warnings
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from labelnext.engine._plain import PlainGradients
from labelnext.engine._rows import ArrayRows, FactorsInFiles, FileRows, mean_of_members, zeros_dtype
from labelnext.engine.memory_limit import parse_limit
from labelnext.pools import ArraySource, Pool
from labelnext.utils.given import CLASSIFICATION

if TYPE_CHECKING:
    from labelnext.engine._base import Gradients
    from labelnext.pools import Source
    from labelnext.utils.given import Task

# Numbers in a pool from which on it matters that there is no compiled pass.
LARGE = 1 << 20


def open_gradients(pool: Pool, *, memory_limit: int | str | None = None) -> Gradients:
    """Return the gradients of a pool, wherever it lives.

    Its values are read once, and checked. Arrays and tensors are used where they are. Files may be
    larger than memory: each pass of a selection reads them again, as far as what is known of each
    row does not tell that nothing can change.

    Parameters
    ----------
    pool : Pool
        The pool. With ``task="regression"`` or ``"vectors"`` the features are the gradients; of a
        committee's probabilities the mean counts.
    memory_limit : int or str, default=half of what is free
        Bytes, or a text such as ``"1GB"`` or ``"500MiB"``: what a pool in files and a selection
        from it may take, beyond Python and its libraries. At most 64 bytes of it are for each row;
        what is left over keeps rows in memory, once they have been read.

    Returns
    -------
    Gradients
        The gradients, in the pool's order.

    Raises
    ------
    ValueError
        If the pool lacks probabilities or features, a value is NaN or infinite, a probability is
        negative or a row does not sum to 1, which names the row (of a pool in files also the file)
        and the column; if the limit is too small, which says how much is needed, or is no amount
        of memory.
    TypeError
        If `memory_limit` is neither an integer nor a text.
    OSError
        If files are missing, or may not be read.

    Examples
    --------
    >>> import numpy as np
    >>> import labelnext
    >>> from labelnext.engine import open_gradients
    >>> pool = labelnext.Pool([[0.5, 0.5], [0.75, 0.25]], [[2.0], [4.0]])
    >>> open_gradients(pool).squared_norms
    array([2., 2.])
    """
    if memory_limit is not None:
        parse_limit(memory_limit)
    limit = None if pool.source.in_memory else memory_limit
    known, opened = pool.cache.get("gradients", (None, None))
    if opened is None or known != limit:
        opened = _open(pool, limit)
        # The latest only: two would take the memory of both limits.
        pool.cache["gradients"] = limit, opened
    return opened  # type: ignore[no-any-return]


def as_gradients(
    proba: Any, features: Any, *, bias: bool = False, task: Task = "multiclass"
) -> Gradients:
    """Return the gradients of arrays or tensors: short for `open_gradients` of a `Pool`."""
    return open_gradients(Pool.of(ArraySource(proba, features), bias=bias, task=task))


def _open(pool: Pool, memory_limit: int | str | None) -> Gradients:
    source, task, bias = pool.source, pool.task, pool.bias
    needed = {"proba": "probabilities", "features": "features"}
    if task not in CLASSIFICATION:
        del needed["proba"]
    for part, name in needed.items():
        if part not in source.parts:
            raise ValueError(
                f"Gradients are made of {' and '.join(needed.values())}, but this pool has no "
                f"{name}: make it with {part} too, as in Pool(..., {part}=...)."
            )
    if source.device != "cpu":
        from labelnext.engine._torch import TorchGradients

        tensors = _proba(source, task), source.array("features")
        return TorchGradients(*tensors, bias=bias, task=task, where=source.where)
    if not source.in_memory:
        files = FactorsInFiles(source, task)
        kind = pass_over(files.numbers, files.dtypes.values(), task)
        limit = parse_limit(memory_limit)
        rows = FileRows(files, limit, kind.state_bytes(files.n_columns, task))
        return kind(rows, bias=bias, task=task)
    proba, features = _proba(source, task), source.array("features")
    # The size of a sparse array is the number of its entries.
    size, dtypes = proba.size + features.size, (proba.dtype, features.dtype)
    arrays = ArrayRows(proba, features, stored_as=source.stored_as, where=source.where)
    return pass_over(size, dtypes, task)(arrays, bias=bias, task=task)


def _proba(source: Source, task: Task) -> Any:
    """Return the probabilities of a pool in memory; 0 where the features are the gradients."""
    if task not in CLASSIFICATION:
        features = source.array("features")
        if source.device != "cpu":
            import torch

            return torch.zeros(1, 1, dtype=features.dtype, device=source.device).expand(
                source.n_rows, 1
            )
        return np.zeros((source.n_rows, 1), dtype=zeros_dtype(features.dtype))
    proba = source.array("proba")
    if source.n_members is None:
        return proba
    if source.device != "cpu":
        return proba.mean(dim=0)
    return mean_of_members(proba, 0, task, source)


def pass_over(size: int, dtypes: Any, task: Task) -> type[PlainGradients]:
    """Choose the compiled, pruned pass where it is installed and knows such pools."""
    # The bounds take a residual apart into one pseudo-label's entry and a rest that is nowhere
    # negative. Rounded labels are none, one or many, and leave entries of both signs.
    one_label = task not in ("multilabel", "binary")
    if not one_label or not all(map(_is_known, dtypes)):
        return PlainGradients
    compiled = compiled_pass()
    if isinstance(compiled, ImportError):
        if size >= LARGE:
            _say_once(compiled)
        return PlainGradients
    return compiled


@cache
def compiled_pass() -> type[PlainGradients] | ImportError:
    """Return the compiled pass, or why there is none."""
    try:
        from labelnext.engine._pruned import PrunedGradients
    except ImportError as error:
        return error
    return PrunedGradients


@cache
def _say_once(error: ImportError) -> None:
    missing = isinstance(error, ModuleNotFoundError)
    reason = "it was not built for this Python" if missing else f"it cannot be loaded: {error}"
    warnings.warn(
        f"labelnext has no compiled pass here ({reason}). Batches are the same, but from large "
        "pools they take several times as long. Install a C++ compiler, such as g++ or clang, and "
        "then labelnext once more, as you did, with pip's options --force-reinstall --no-deps "
        "--no-cache-dir.",
        RuntimeWarning,
        stacklevel=2,
    )


def _is_known(dtype: np.dtype[Any]) -> bool:
    """Whether compiled code knows the numbers: not extended precision, nor swapped bytes."""
    return dtype.kind in "fiu" and dtype.itemsize <= 8 and dtype.isnative
