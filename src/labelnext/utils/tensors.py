"""Tensors of torch, told and turned without importing it."""

from __future__ import annotations

import sys
from typing import Any


def is_tensor(value: Any) -> bool:
    """Tell whether something is a tensor: without torch imported, nothing is."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def without_tensor(value: Any) -> Any:
    """Return a tensor as an array, on the CPU without a copy; anything else as it is."""
    if not is_tensor(value):
        return value
    tensor = value.detach().cpu()
    if tensor.is_floating_point() and tensor.element_size() == 2:
        tensor = tensor.float()  # numpy has no bfloat16, and its float16 few functions take
    return tensor.numpy()
