"""The last linear layer of a network: finding it, and catching what it is given and gives."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from labelnext.networks._batches import few_rows, first_tensor
from labelnext.networks._outputs import (
    ALL_ACTIVATIONS,
    FITTING,
    agrees,
    is_pooled,
    listed,
    may_agree,
    take_positions,
    tensors_in,
)
from labelnext.networks.untouched import uncompiled, without_prefix
from labelnext.utils.given import shown
from labelnext.utils.text import did_you_mean

# Samples to search with. With more, two layers are less likely to look alike by chance.
FEW = 4


@dataclass(frozen=True)
class Head:
    """
    The last linear layer of a network, and how the network's output comes from its output.

    Parameters
    ----------
    name : str
        The name of the layer in the network; empty if it is the network.
    module : torch.nn.Linear
        The layer.
    activation : str or None
        What the network ends with: "softmax", "log_softmax", "sigmoid", "logsigmoid" or nothing.
    output : str
        Where in the network's output it is; empty if it is all of it.
    call : int
        Which of the calls of the layer gave the output, from 0.
    pooled : bool
        Whether the output is one position of a sequence, on each of which the layer works.

    Examples
    --------
    >>> from torch import nn
    >>> from labelnext.networks import Head
    >>> Head("fc", nn.Linear(8, 3)).module.out_features
    3
    """

    name: str
    module: nn.Linear
    activation: str | None = None
    output: str = ""
    call: int = 0
    pooled: bool = False


@dataclass
class Caught:
    """The features (n, d) and logits (n, C) of a batch, and whether the output came from these."""

    logits: torch.Tensor
    features: torch.Tensor
    agreed: torch.Tensor


@contextlib.contextmanager
def catching(model: nn.Module, head: Head) -> Iterator[Callable[..., Caught]]:
    """Give a function that runs a network and returns what was caught."""
    calls: list[tuple[torch.Tensor, torch.Tensor]] = []

    def hook(module: nn.Module, args: Any, kwargs: Any, result: torch.Tensor) -> None:
        features = args[0] if args else kwargs["input"]
        # Copies, for what comes after the head may work in place.
        calls.append((features if whole else features.clone(), result.clone()))

    # Nothing comes after the head, so nobody can change what it was given.
    whole = head.module is model

    def run(*args: Any, **kwargs: Any) -> Caught:
        calls.clear()
        outputs = tensors_in(model(*args, **kwargs))
        if len(calls) <= head.call or head.output not in outputs:
            raise ValueError(
                f"The head {head.name!r} was called {len(calls)} times on a batch, and the model "
                f"returned {listed(map(repr, outputs)) or 'nothing'}; on the first samples its "
                f"call {head.call + 1} gave the output {head.output!r}. The model must do the same "
                f"with each batch."
            )
        features, logits = calls[head.call]
        calls.clear()
        return _one_row_a_sample(head, outputs[head.output], features, logits)

    handle = head.module.register_forward_hook(hook, with_kwargs=True)
    try:
        yield run
    finally:
        handle.remove()


def _one_row_a_sample(
    head: Head, output: torch.Tensor, features: torch.Tensor, logits: torch.Tensor
) -> Caught:
    if head.pooled:
        logits, features, certain = take_positions(output, logits, features)
        return Caught(logits, features, certain.all())
    if not may_agree(output, logits):
        raise ValueError(
            f"The model's outputs must be n × C, one row of logits for each sample, got shape "
            f"{tuple(output.shape)} where the head gave {tuple(logits.shape)}."
        )
    agreed = agrees(output, logits, head.activation)
    return Caught(
        logits.reshape(-1, logits.shape[-1]), features.reshape(-1, features.shape[-1]), agreed
    )


def locate(
    model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], named: Any, task: str
) -> Head:
    """Find the head of a network, by the first samples of these arguments; `named` by the user.

    `task` decides between activations that look alike.
    """
    first = first_tensor((*args, *kwargs.values()))
    if first is not None and first.ndim:
        args = few_rows(args, len(first), FEW)
        kwargs = few_rows(kwargs, len(first), FEW)
    with uncompiled(model), torch.inference_mode():
        return _search(model, lambda: model(*args, **kwargs), named, task)


@dataclass
class _Call:
    """One call of a linear layer, with a copy of what it gave before anyone changed that."""

    name: str
    module: nn.Linear
    number: int
    taken: tuple[int, ...]
    result: torch.Tensor
    copy: torch.Tensor | None

    def __str__(self) -> str:
        again = f", call {self.number + 1}" if self.number else ""
        return (
            f"{self.name or 'the model itself'} {self.taken} -> {tuple(self.result.shape)}{again}"
        )


def _search(model: nn.Module, run: Callable[[], Any], named: Any, task: str) -> Head:
    linears = _linear_layers(model)
    if not linears:
        raise ValueError(
            "model has no torch.nn.Linear layer, so BADGE has no last layer to take gradients of. "
            "If its last layer is a 1 × 1 convolution, or its own product with a weight, put a "
            "torch.nn.Linear with the same weight in its place."
        )
    if named is not None:
        module = _named(model, linears, named)
        linears = {name: linear for name, linear in linears.items() if linear is module}
    # First the shapes alone: a copy of what all layers gave could be larger than the network.
    calls, outputs = _watch(run, linears, widths=set())
    if not outputs:
        raise ValueError("The model returned no tensor: expected logits of shape (n, n_classes).")
    widths = {1, *(tensor.shape[-1] for tensor in outputs.values() if tensor.ndim)}
    if any(call.result.shape[-1:].numel() in widths for call in calls):
        calls, outputs = _watch(run, linears, widths)
    found = [head for path, out in outputs.items() for head in _explain(path, out, calls, task)]
    heads = {(head.module, head.call): head for head in reversed(found)}
    if len(heads) != 1:
        raise ValueError(_why_not(found, calls, outputs, named))
    return next(iter(heads.values()))


def _linear_layers(model: nn.Module) -> dict[str, nn.Linear]:
    return {name: m for name, m in model.named_modules() if isinstance(m, nn.Linear)}


def _named(model: nn.Module, linears: dict[str, nn.Linear], head: Any) -> nn.Linear:
    seen = f"Linear layers of the model: {listed(name or 'itself' for name in linears)}."
    if isinstance(head, str):
        try:
            module = model.get_submodule(without_prefix(head))
        except AttributeError as error:
            near = did_you_mean(head, linears) or "."
            raise ValueError(f"model has no submodule head={shown(head)}{near} {seen}") from error
    elif isinstance(head, nn.Module):
        module = head
        if all(module is not m for m in model.modules()):
            raise ValueError(
                f"head, a {type(head).__name__}, is not a submodule of the model. {seen}"
            )
    else:
        raise TypeError(
            f"head must be the name of a submodule or a module, got {type(head).__name__}. {seen}"
        )
    inside = list(_linear_layers(module).values())
    if len(inside) != 1:
        raise ValueError(
            f"{_said(head)} must be a torch.nn.Linear, or hold one and no other, but holds "
            f"{len(inside)}. {seen}"
        )
    return inside[0]


def _watch(
    run: Callable[[], Any], linears: dict[str, nn.Linear], widths: set[int]
) -> tuple[list[_Call], dict[str, torch.Tensor]]:
    calls: list[_Call] = []

    def hook_of(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, args: Any, kwargs: Any, result: Any) -> None:
            assert isinstance(module, nn.Linear)
            number = sum(call.module is module for call in calls)
            copy = result.clone() if result.shape[-1] in widths else None
            taken = tuple((args[0] if args else kwargs["input"]).shape)
            # Of the others the shape is all that is told; their memory is not kept.
            result = result if copy is not None else torch.empty(result.shape, device="meta")
            calls.append(_Call(name, module, number, taken, result, copy))

        return hook

    handles = [
        linear.register_forward_hook(hook_of(name), with_kwargs=True)
        for name, linear in linears.items()
    ]
    try:
        output = run()
    finally:
        for handle in handles:
            handle.remove()
    return calls, tensors_in(output)


def _explain(path: str, output: torch.Tensor, calls: list[_Call], task: str) -> list[Head]:
    """Return the calls that give an output, those alone that explain it best."""
    if not output.is_floating_point() or output.ndim > 2:
        return []
    fitting = FITTING.get(task, ())
    activations = (*fitting, *(name for name in ALL_ACTIVATIONS if name not in fitting))
    best: list[Head] = []
    # Two layers may give the same, zeros at the start of training: then memory decides.
    for rank in ("memory", None, *activations, "pooled"):
        for call in calls:
            if call.copy is None or not _fits(rank, output, call):
                continue
            activation = rank if rank in ALL_ACTIVATIONS else None
            best.append(
                Head(call.name, call.module, activation, path, call.number, rank == "pooled")
            )
        if best:
            break
    return best


def _fits(rank: str | None, output: torch.Tensor, call: _Call) -> bool:
    assert call.copy is not None
    if rank == "pooled":
        return is_pooled(output, call.copy)
    if not may_agree(output, call.copy):
        return False
    if rank == "memory":
        same = output.data_ptr() == call.result.data_ptr() and output.dtype == call.result.dtype
        return same and bool(agrees(output, call.copy, None))
    return bool(agrees(output, call.copy, rank))


def _why_not(
    found: list[Head], calls: list[_Call], outputs: dict[str, torch.Tensor], named: Any
) -> str:
    # Those that give as many numbers as some output has are the likely ones.
    seen = listed([c for c in calls if c.copy is not None] or calls) or "none"
    returned = listed(f"{path or 'output'} {tuple(t.shape)}" for path, t in outputs.items())
    name = calls[-1].name if calls else "fc"
    if found:
        names = listed(f"{h.name} (for {h.output or 'the output'})" for h in found)
        return (
            f"The model has more than one head: {names}. Choose one with "
            f'head="{found[0].name}", or pass the module. Linear layers seen: {seen}.'
        )
    if not calls:
        return (
            f"{'head was not' if named is not None else 'None of the linear layers was'} called "
            f"when the model ran, so there is no last layer to take gradients of."
        )
    if all(t.ndim > 2 for t in outputs.values()):
        return (
            f"The model's outputs must be n × C, one row of logits for each sample, got "
            f"{returned}. BADGE has no one gradient for many predictions a sample: average them "
            f"over pixels or tokens in the model, before its last layer."
        )
    return (
        f"The head must be last: what the model returns ({returned}) is not what "
        f"{_said(named)} gives, nor the "
        f"softmax or sigmoid of it. Linear layers seen: {seen}. Let the model return the logits "
        f"of its last linear layer, or name another with head={name!r}."
    )


def _said(named: Any) -> str:
    if named is None:
        return "any one linear layer"
    return f"head={shown(named)}" if isinstance(named, str) else f"head, a {type(named).__name__},"
