"""A network in its wrappers: reach it, run it on some device, and leave no trace.

Neither on the network nor on any generator.
"""

from __future__ import annotations

import contextlib
import itertools
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import nn

from labelnext.networks._outputs import same
from labelnext.utils.given import shown
from labelnext.utils.random import RandomStates

_PREFIXES = ("module.", "_orig_mod.")
# Where a module keeps its parameters, buffers, submodules and hooks.
_REGISTRIES = [name for name, value in vars(nn.Module()).items() if isinstance(value, dict)]


@contextlib.contextmanager
def untouched(model: nn.Module, generator: torch.Generator | None = None) -> Iterator[None]:
    """Put a network into evaluation mode, and bring back all that it was.

    Training modes, hooks, parameters, buffers and their values, other attributes, and generators,
    `generator` beside the global ones; also after an exception or Ctrl-C.
    """
    states = RandomStates(generator)
    modules = [_State(module) for module in model.modules()]
    try:
        # Not model.eval(): a class may do more in it, merge weights say, that can't be undone.
        for module in model.modules():
            module.training = False
        yield
    finally:
        for state in modules:
            state.restore()
        states.restore()


class _State:
    """What a module is made of, without its submodules' parts."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.training = module.training
        attributes = vars(module)
        self.attributes = dict(attributes)
        # Each registry with what it holds. The dict itself must stay: hooks' handles know it.
        self.registries = [
            (attributes[name], dict(attributes[name]))
            for name in _REGISTRIES
            if isinstance(attributes.get(name), dict)
        ]
        self.buffers = [(buffer, buffer.clone()) for buffer in module.buffers(recurse=False)]

    def restore(self) -> None:
        _put_back(vars(self.module), self.attributes)
        for registry, contents in self.registries:
            _put_back(registry, contents)
        if self.module.training != self.training:
            # Of a scripted module, which keeps it elsewhere.
            self.module.training = self.training
        for buffer, values in self.buffers:
            # Writing would break a graph that waits for its backward, so only where needed.
            if not same(buffer, values).all():
                with torch.no_grad():
                    buffer.copy_(values)


def _put_back(current: dict[str, Any], contents: dict[str, Any]) -> None:
    for name in current.keys() - contents.keys():
        del current[name]
    for name, value in contents.items():
        if name not in current or current[name] is not value:
            current[name] = value
    if list(current) != list(contents):
        # Hooks run in their order.
        for name in contents:
            current[name] = current.pop(name)


def unwrap(model: Any) -> nn.Module:
    """Return the module inside `torch.compile`, `DataParallel` and `DistributedDataParallel`.

    Those give rows in the order in which devices finish, or wait for other processes.
    """
    while True:
        if isinstance(model, nn.DataParallel | nn.parallel.DistributedDataParallel):
            model = model.module
        # By the attribute: the class would have to be imported, with the whole compiler.
        elif isinstance(getattr(model, "_orig_mod", None), nn.Module):
            model = model._orig_mod
        else:
            break
    if not isinstance(model, nn.Module):
        raise TypeError(
            f"model must be a torch.nn.Module, got {type(model).__name__}; for any other "
            f"classifier compute probabilities and features, and pass them to labelnext.select."
        )
    if isinstance(model, torch.jit.ScriptModule):
        raise TypeError(
            "model is scripted or traced, which hides its layers; pass the torch.nn.Module that "
            "it was made of."
        )
    return model


def without_prefix(name: str) -> str:
    """Return the name of a submodule as the module inside the wrappers knows it."""
    while name.startswith(_PREFIXES):
        name = name.partition(".")[2]
    return name


def is_compiled(model: nn.Module, name: str) -> bool:
    """Tell whether a submodule is run by compiled code, which no hook can interrupt."""
    parts = name.split(".") if name else []
    path = [model, *(model.get_submodule(".".join(parts[: i + 1])) for i in range(len(parts)))]
    return any(
        module._compiled_call_impl is not None or hasattr(module, "_orig_mod") for module in path
    )


@contextlib.contextmanager
def uncompiled(model: nn.Module) -> Iterator[None]:
    """Run compiled parts as they are written: a later hook is not called, an earlier one kept."""
    with contextlib.ExitStack() as stack:
        compiled = [m for m in model.modules() if m._compiled_call_impl is not None]
        for module in compiled:
            stack.callback(setattr, module, "_compiled_call_impl", module._compiled_call_impl)
            module._compiled_call_impl = None
        # Whoever has compiled anything has imported the compiler, and only they pay for it.
        if "torch._dynamo" in sys.modules and hasattr(torch.compiler, "set_stance"):
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        else:  # before torch 2.6; of what was compiled by `torch.compile(module)`
            for module in model.modules():
                inner: Any = getattr(module, "_orig_mod", None)
                if inner is not None:
                    stack.callback(vars(module).update, forward=vars(module)["forward"])
                    vars(module)["forward"] = inner.__call__
        yield


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
    """Let a network use copies of its weights on a device; for `untouched` to undo."""
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
    """Return the type for samples that are floats, or whole numbers, which embeddings keep."""
    embeds = (torch.nn.Embedding, torch.nn.EmbeddingBag)
    if not floating and any(isinstance(m, embeds) for m in module.modules()):
        return torch.int64
    return floating_dtype_of(module) or torch.float32
