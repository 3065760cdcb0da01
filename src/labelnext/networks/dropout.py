"""Probabilities with dropout at work: each pass is one sample of what a network might say.

Imports torch, so it is imported late.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.modules.dropout import _DropoutNd

from labelnext.networks._run import run


def has_dropout(model: torch.nn.Module) -> bool:
    """Tell whether a network has dropout layers; calls of `torch.nn.functional` are not seen."""
    return bool(_layers(model))


def turn_on(model: torch.nn.Module, seed: int) -> None:
    """Let dropout layers drop, as a function of the seed; for use within `untouched`."""
    for layer in _layers(model):
        layer.training = True
    torch.manual_seed(seed)


def proba_with_dropout(model: Any, data: Any, seed: int, head: Any = None) -> torch.Tensor:
    """Return the probabilities of one pass with dropout at work; the rest follows from the seed."""
    return run(model, data, head=head, amp=False, before=lambda network: turn_on(network, seed))[0]


def _layers(model: torch.nn.Module) -> list[_DropoutNd]:
    return [layer for layer in model.modules() if isinstance(layer, _DropoutNd) and layer.p > 0]
