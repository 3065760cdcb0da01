"""What a network returns, and whether it comes from what a linear layer gave."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch

# Characters of a name in a message.
LONGEST = 80


def tensors_in(output: Any) -> dict[str, torch.Tensor]:
    """Return the tensors of an output by the way to get at them; logits, if there are, alone."""
    if isinstance(output, torch.Tensor):
        return {"": output}
    if isinstance(output, Mapping):
        parts = {f"[{key!r}]": value for key, value in output.items()}
        parts = {"['logits']": output["logits"]} if "logits" in output else parts
    elif hasattr(output, "logits"):
        parts = {".logits": output.logits}
    elif isinstance(output, tuple | list):
        parts = {f"[{i}]": value for i, value in enumerate(output)}
    elif dataclasses.is_dataclass(output):
        fields = dataclasses.fields(output)
        parts = {f".{field.name}": getattr(output, field.name) for field in fields}
    else:
        parts = {}
    return {
        name + rest: tensor
        for name, part in parts.items()
        for rest, tensor in tensors_in(part).items()
    }


def listed(names: Iterable[Any], most: int = 5) -> str:
    """Name the last few of some things, for messages, and say how many more there are.

    >>> listed(["a", "b", "c"], 2)
    'b, c (and 1 before)'
    """
    texts = [text if len(text) <= LONGEST else f"{text[:LONGEST]}…" for text in map(str, names)]
    before = f" (and {len(texts) - most:,} before)" if len(texts) > most else ""
    return ", ".join(texts[-most:]) + before


# What may come after the logits: each a function of them that the probabilities do not need.
_ACTIVATIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "softmax": lambda logits: logits.softmax(-1),
    "log_softmax": lambda logits: logits.log_softmax(-1),
    "sigmoid": lambda logits: logits.sigmoid(),
    "logsigmoid": torch.nn.functional.logsigmoid,
}
FITTING = {
    "multiclass": ("softmax", "log_softmax"),
    "multilabel": ("sigmoid", "logsigmoid"),
    "binary": ("sigmoid", "logsigmoid"),
}
ALL_ACTIVATIONS = tuple(_ACTIVATIONS)


def agrees(output: torch.Tensor, logits: torch.Tensor, activation: str | None) -> torch.Tensor:
    """Tell, on the device, whether an output is an activation of the logits, or they themselves."""
    output = output.reshape(logits.shape).to(logits.device)
    if activation is None:
        return same(output, logits.to(output.dtype)).all()
    expected = _ACTIVATIONS[activation](logits.to(torch.promote_types(logits.dtype, torch.float32)))
    if activation.startswith("log"):
        # Far below 0 a log counts for nothing, and may be -inf.
        output, expected = output.exp(), expected.exp()
    # Logits of a few tens, rounded to the coarser of the two dtypes.
    coarser = max(torch.finfo(output.dtype).eps, torch.finfo(logits.dtype).eps)
    # Not <=, for what is not a number agrees with its like.
    return ~((output - expected).abs() > max(1e-5, 16 * coarser)).any()


def same(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Compare element by element; what is not a number is the same as its like."""
    return (x == y) | (x.isnan() & y.isnan())


def may_agree(output: torch.Tensor, logits: torch.Tensor) -> bool:
    """Tell whether the shapes allow an output to be the logits or an activation of them."""
    if output.shape == logits.shape:
        return True
    single = logits.ndim > 1 and logits.shape[-1] == 1
    return output.numel() == logits.numel() and (
        (single and output.shape == logits.shape[:-1])
        # One position a sample, of which the output says nothing.
        or (logits.ndim > output.ndim == 2 and output.shape[-1] == logits.shape[-1])
    )


def is_pooled(output: torch.Tensor, logits: torch.Tensor) -> bool:
    """Tell whether each row of an (n, C) output is one position of (n, length, C) logits."""
    if output.ndim != 2 or logits.ndim != 3 or output.shape != logits[:, 0].shape:
        return False
    return bool(_matches(output, logits).any(dim=1).all())


def take_positions(
    output: torch.Tensor, logits: torch.Tensor, features: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the logits and features at the position that gave each row of the output.

    Third, for each row: whether a position matches, and all that do have the same features.
    """
    matches = _matches(output, logits)
    rows = torch.arange(len(output), device=logits.device)
    first = matches.to(torch.uint8).argmax(dim=1)
    taken = features[rows, first]
    # Of the few that match alone: all features are many.
    row, position = matches.nonzero(as_tuple=True)
    alike = same(features[row, position], taken[row]).all(dim=1)
    certain = matches.any(dim=1)
    certain[row[~alike]] = False
    return logits[rows, first], taken, certain


def _matches(output: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    return same(output.to(logits.device)[:, None], logits.to(output.dtype)).all(dim=2)
