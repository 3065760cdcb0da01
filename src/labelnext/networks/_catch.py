"""Run a network on a batch and catch what its head was given and what it gave."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from labelnext.networks._outputs import agrees, may_agree, tensors_in
from labelnext.networks._pooled import take_positions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import torch
    from torch import nn

    from labelnext.networks._find_head import Head


@dataclass
class Caught:
    """What a head was given and what it gave, one row a sample.

    Parameters
    ----------
    logits : torch.Tensor of shape (n, n_classes)
        What it gave.
    features : torch.Tensor of shape (n, n_features)
        What it was given.
    agreed : torch.Tensor, bool
        Whether the network's output came from the logits as it did on the example.
    """

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
                f"returned {list(outputs)}; on the first samples its call {head.call + 1} gave "
                f"the output {head.output!r}. The model must do the same with each batch."
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
