"""The type that a module takes its samples in."""

from __future__ import annotations

from typing import Any

import torch

from labelnext.networks._device import floating_dtype_of


def cast(samples: torch.Tensor, module: torch.nn.Module, dtype: Any = "auto") -> torch.Tensor:
    """Give samples the type that a module takes.

    Parameters
    ----------
    samples : torch.Tensor
        A batch.
    module : torch.nn.Module
        What is to take it.
    dtype : torch.dtype, None or "auto"
        The type; None leaves it as it is, and "auto" is that of `input_dtype`.
    """
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
