"""Tensors at the public edge: those on the CPU as arrays, others as a pool on their device."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from labelnext.engine.task import check_shapes

if TYPE_CHECKING:
    from labelnext.engine._base import Gradients
    from labelnext.engine.task import Task


def common_device(proba: Any, features: Any) -> torch.device:
    """Return the device of both; what is no tensor is on the CPU."""
    devices = [
        values.device if isinstance(values, torch.Tensor) else torch.device("cpu")
        for values in (proba, features)
    ]
    if devices[0] != devices[1]:
        raise ValueError(
            f"proba and features must be on one device, got proba on {devices[0]} and features "
            f"on {devices[1]}; move one of them with .to({str(devices[1])!r})."
        )
    if devices[0].type == "meta":
        raise ValueError(
            "proba and features are on the device meta, where tensors hold no numbers."
        )
    return devices[0]


def as_array(name: str, values: Any) -> tuple[Any, str | None]:
    """Return a CPU tensor as the array that shares its memory, and the name of its dtype.

    What is no tensor is returned as it is. NumPy has no bfloat16, which becomes float32.
    """
    if not isinstance(values, torch.Tensor):
        return values, None
    tensor = real_tensor(name, values)
    dtype = str(tensor.dtype).removeprefix("torch.")
    if tensor.dtype == torch.bfloat16:
        tensor = tensor.float()
    return tensor.numpy(), dtype


def real_tensor(name: str, values: torch.Tensor) -> torch.Tensor:
    """Return a dense tensor of real numbers, cut off from any graph; refuse other tensors."""
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


def as_torch_gradients(proba: Any, features: Any, *, bias: bool, task: Task) -> Gradients:
    """Make a pool that lives where its tensors are."""
    from labelnext.engine._torch import TorchGradients
    from labelnext.engine._torch_rows import has_float64

    proba, features = real_tensor("proba", proba), real_tensor("features", features)
    check_shapes(proba, features, task)
    if proba.ndim == 1 and task == "binary":
        proba = proba[:, None]
    elif proba.ndim == 1:
        # As for arrays: 1 − p must not be 1 for a small p.
        proba = proba.to(torch.float64 if has_float64(proba.device) else torch.float32)
        proba = torch.stack([1 - proba, proba], dim=1)
    return TorchGradients(proba, features, bias=bias, task=task)
