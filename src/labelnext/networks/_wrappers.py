"""What is wrapped around a network to run it faster, and how to reach the network inside."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Iterator

_PREFIXES = ("module.", "_orig_mod.")


def unwrap(model: Any) -> nn.Module:
    """Return the module inside `torch.compile`, `DataParallel` and `DistributedDataParallel`.

    Over several devices the rows would arrive in the order in which the devices finish, and a
    distributed module waits for its other processes: the network itself runs on one device.
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
    """Run compiled parts as they are written, for the time of the context.

    A hook that came after compiling is not called, and one that is compiled along stays in the
    compiled code when it has been removed.
    """
    with contextlib.ExitStack() as stack:
        compiled = [m for m in model.modules() if m._compiled_call_impl is not None]
        for module in compiled:
            stack.callback(setattr, module, "_compiled_call_impl", module._compiled_call_impl)
            module._compiled_call_impl = None
        # Whoever has compiled anything has imported the compiler, and only they pay for it.
        if "torch._dynamo" in sys.modules and hasattr(torch.compiler, "set_stance"):
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        yield
