"""Where a network runs, in which precision, and the type that it takes its samples in."""

from __future__ import annotations

import contextlib
import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from labelnext.utils.given import shown

if TYPE_CHECKING:
    from collections.abc import Iterator


def device_of(model: nn.Module) -> torch.device:
    """Return the device of a network's first weight; the CPU if it has none."""
    for tensor in itertools.chain(model.parameters(), model.buffers()):
        return tensor.device
    return torch.device("cpu")


def floating_dtype_of(model: nn.Module) -> torch.dtype | None:
    """Return the dtype of the first weight that is a float; None if there is none."""
    return next((p.dtype for p in model.parameters() if p.is_floating_point()), None)


def check_device(model: nn.Module, device: Any) -> torch.device:
    """Return the device to run on, which is there."""
    if any(isinstance(p, nn.UninitializedParameter) for p in model.parameters()):
        raise ValueError(
            "model has lazy layers that have not seen data yet; run it once on a batch first."
        )
    try:
        place = device_of(model) if device is None else torch.device(device)
        # An index is added to "cuda": the current device.
        place = torch.empty(0, device=place).device
    except (RuntimeError, AssertionError, TypeError) as error:
        there = ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
        if torch.backends.mps.is_available():
            there.append("mps")
        reason = str(error).partition("\n")[0]
        raise ValueError(
            f"device={shown(device)} is not there: {reason} Devices here: {', '.join(there)}."
        ) from error
    if place.type == "meta":
        raise ValueError(
            "model is on the meta device, where weights have no values; load it onto a device."
        )
    return place


def lend_weights(model: nn.Module, device: torch.device) -> None:
    """Let a network use copies of its weights on a device; for `untouched` to undo.

    The weights themselves stay where they are. Those that modules share are copied once.
    """
    copies: dict[int, torch.Tensor] = {}

    def copy(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.device == device:
            return tensor
        if id(tensor) not in copies:
            moved = tensor.detach().to(device)
            if isinstance(tensor, nn.Parameter):
                moved = nn.Parameter(moved, requires_grad=tensor.requires_grad)
            copies[id(tensor)] = moved
        return copies[id(tensor)]

    for module in model.modules():
        for registry in (module._parameters, module._buffers):
            for name, tensor in registry.items():
                if tensor is not None:
                    registry[name] = copy(tensor)  # type: ignore[assignment]
        if isinstance(module, nn.RNNBase):
            # It keeps its weights a second time, in the order that the kernels want.
            module._flat_weights = [
                None if weight is None else copy(weight) for weight in module._flat_weights
            ]


@contextlib.contextmanager
def precision(device: torch.device, amp: Any) -> Iterator[None]:
    """Run with automatic mixed precision or without, whatever the caller's context says."""
    enabled, dtype = _check_amp(device, amp)
    if not enabled and device.type not in ("cpu", "cuda"):
        # Not each version knows autocast for each device, not even to turn it off.
        yield
        return
    try:
        with torch.autocast(device.type, dtype=dtype, enabled=enabled):
            yield
    finally:
        # A caller's autocast around this must not find weights that were cast without gradients.
        torch.clear_autocast_cache()


def _check_amp(device: torch.device, amp: Any) -> tuple[bool, torch.dtype | None]:
    if amp is None:
        return device.type == "cuda", None
    if isinstance(amp, bool):
        return amp, None
    dtype = as_dtype(amp, "amp")
    if dtype not in (torch.float16, torch.bfloat16):
        raise ValueError(
            f"amp must be None, True, False, torch.float16 or torch.bfloat16, got {shown(amp)}."
        )
    return True, dtype


def as_dtype(dtype: Any, name: str) -> torch.dtype:
    """Return torch's name for a floating dtype of torch or NumPy, or for its name."""
    found = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
    if not isinstance(found, torch.dtype):
        with contextlib.suppress(TypeError):
            found = torch.from_numpy(np.empty(0, dtype)).dtype
    if not isinstance(found, torch.dtype) or not found.is_floating_point:
        raise ValueError(
            f'{name} must be a floating dtype, torch.float16 or "float16" say, got {shown(dtype)}.'
        )
    return found


def cast(samples: torch.Tensor, module: torch.nn.Module, dtype: Any = "auto") -> torch.Tensor:
    """Give samples a dtype: that of `input_dtype` for "auto", their own for None."""
    if dtype is None:
        return samples
    if dtype == "auto":
        dtype = input_dtype(module, floating=samples.is_floating_point())
    return samples.to(dtype)


def input_dtype(module: torch.nn.Module, *, floating: bool) -> torch.dtype:
    """Return the type for samples that are floats, or whole numbers.

    Whole numbers stay so for a module that embeds them. Else all become floats, as the module's
    weights are: pixels mostly come as bytes.
    """
    embeds = (torch.nn.Embedding, torch.nn.EmbeddingBag)
    if not floating and any(isinstance(m, embeds) for m in module.modules()):
        return torch.int64
    return floating_dtype_of(module) or torch.float32
