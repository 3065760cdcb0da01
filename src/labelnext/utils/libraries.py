"""Libraries that need not be there: asked for by name, and torch only if the user has loaded it."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from labelnext.utils.text import one_line


def require(module: str, *, extra: str, what: str) -> ModuleType:
    """Import an optional library, or say which extra of labelnext brings it to `what` needs it.

    One that is installed and fails to load says itself why.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        raise ImportError(
            f"{what} needs {module}, which is not installed: "
            f'pip install "labelnext[{extra}]" brings it.',
            name=module,
        ) from error


def imported(what: str, name: str) -> Any:
    """Return what ``"module:name"`` names, or say why it cannot be had.

    >>> imported("function", "math:sqrt")(9.0)
    3.0
    """
    module, _, attribute = name.partition(":")
    if not module or not attribute:
        raise ValueError(f"{what} must be module:name, as in my_code:Name, got {name!r}.")
    try:
        return getattr(importlib.import_module(module), attribute)
    except Exception as error:  # whatever the code of that module raises
        raise ValueError(
            f"{what} {name!r} cannot be imported: {type(error).__name__}: {one_line(error)}."
        ) from error


def is_tensor(value: Any) -> bool:
    """Tell whether something is a tensor: without torch imported, nothing is."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def is_sparse(value: Any) -> bool:
    """Tell whether something is a sparse matrix of SciPy: without it imported, nothing is.

    Importing it takes several times as long as importing NumPy.
    """
    sparse = sys.modules.get("scipy.sparse")
    return sparse is not None and bool(sparse.issparse(value))


def without_tensor(value: Any) -> Any:
    """Return a tensor as an array, on the CPU without a copy; anything else as it is."""
    if not is_tensor(value):
        return value
    tensor = value.detach().cpu()
    if tensor.is_floating_point() and tensor.element_size() == 2:
        tensor = tensor.float()  # numpy has no bfloat16, and its float16 few functions take
    return tensor.numpy()


def set_by_library() -> bool:
    """Tell whether each library of torch has a precision of its own, as from torch 2.9 on.

    Mixing it with the one setting of before is an error.
    """
    import torch

    return hasattr(torch.backends, "fp32_precision")


@contextmanager
def plain_float32(device: Any) -> Iterator[None]:
    """Hold matrix products to what their dtype says, whatever the user has set for a network.

    No TF32 or bfloat16 in float32 products, no sums in float16, no autocast and no graph, on this
    device; all is as before afterwards.
    """
    import torch

    with torch.no_grad(), torch.autocast(device.type, enabled=False), _no_sums_in_float16():
        if set_by_library():
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


@contextmanager
def _no_sums_in_float16() -> Iterator[None]:
    import torch

    matmul: Any = torch.backends.cuda.matmul
    reduced = "allow_fp16_reduced_precision_reduction"
    # The second is set with the first, in versions that have it.
    kept = [getattr(matmul, n) for n in (reduced, f"{reduced}_split_k") if hasattr(matmul, n)]
    sums = getattr(matmul, "allow_fp16_accumulation", None)
    try:
        setattr(matmul, reduced, False)
        if sums:
            matmul.allow_fp16_accumulation = False
        yield
    finally:
        setattr(matmul, reduced, tuple(kept) if len(kept) > 1 else kept[0])
        if sums:
            matmul.allow_fp16_accumulation = sums
