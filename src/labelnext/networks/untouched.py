"""Run a network and leave no trace on it."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from labelnext.networks._outputs import same
from labelnext.networks.random_states import RandomStates

if TYPE_CHECKING:
    from collections.abc import Iterator

# Where a module keeps its parameters, buffers, submodules and hooks.
_REGISTRIES = [name for name, value in vars(nn.Module()).items() if isinstance(value, dict)]


@contextlib.contextmanager
def untouched(model: nn.Module, generator: torch.Generator | None = None) -> Iterator[None]:
    """Put a network into evaluation mode, and bring back all that it was.

    Afterwards, also after an exception or Ctrl-C, each submodule has the training mode, the
    hooks, parameters, buffers and their values, and the other attributes that it had before;
    random generators are where they were. Gradients are not asked for, so they stay.

    Parameters
    ----------
    model : torch.nn.Module
        The network.
    generator : torch.Generator, optional
        A generator to bring back beside the global ones.
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
