"""A network in its wrappers: reach it, run it, and leave no trace on it or on any generator."""

from __future__ import annotations

import contextlib
import random
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from labelnext.networks._outputs import same

if TYPE_CHECKING:
    from collections.abc import Iterator

_PREFIXES = ("module.", "_orig_mod.")
# Where a module keeps its parameters, buffers, submodules and hooks.
_REGISTRIES = [name for name, value in vars(nn.Module()).items() if isinstance(value, dict)]


@contextlib.contextmanager
def untouched(model: nn.Module, generator: torch.Generator | None = None) -> Iterator[None]:
    """Put a network into evaluation mode, and bring back all that it was.

    Afterwards, also after an exception or Ctrl-C, each submodule has the training mode, the
    hooks, parameters, buffers and their values, and the other attributes that it had before;
    random generators are where they were, `generator` beside the global ones. Gradients are not
    asked for, so they stay.
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


class RandomStates:
    """Remember the states of the global generators, and of one beside them, to bring them back."""

    def __init__(self, generator: torch.Generator | None = None) -> None:
        self._generator = generator
        self._own = None if generator is None else generator.get_state()
        self._python = random.getstate()
        # The legacy generator: transforms of older data sets draw from it.
        self._numpy = np.random.get_state()  # noqa: NPY002
        self._cpu = torch.get_rng_state()
        # Asking starts CUDA, which the process may not want.
        started = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
        self._cuda = torch.cuda.get_rng_state_all() if started else []
        self._mps = torch.mps.get_rng_state() if torch.backends.mps.is_available() else None

    def restore(self) -> None:
        """Put all generators where they were."""
        if self._generator is not None and self._own is not None:
            self._generator.set_state(self._own)
        random.setstate(self._python)
        np.random.set_state(self._numpy)  # noqa: NPY002
        torch.set_rng_state(self._cpu)
        if self._cuda:
            torch.cuda.set_rng_state_all(self._cuda)
        if self._mps is not None:
            torch.mps.set_rng_state(self._mps)


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
