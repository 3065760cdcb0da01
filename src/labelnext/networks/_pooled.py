"""Heads that are applied to each token, of which the network then takes one a sample."""

from __future__ import annotations

import torch

from labelnext.networks._outputs import same


def is_pooled(output: torch.Tensor, logits: torch.Tensor) -> bool:
    """Tell whether each row of an output is that of one position of a sequence of logits.

    Parameters
    ----------
    output : torch.Tensor of shape (n, n_classes)
        What the network returned.
    logits : torch.Tensor of shape (n, length, n_classes)
        What the linear layer gave.
    """
    if output.ndim != 2 or logits.ndim != 3 or output.shape != logits[:, 0].shape:
        return False
    return bool(_matches(output, logits).any(dim=1).all())


def take_positions(
    output: torch.Tensor, logits: torch.Tensor, features: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the logits and features at the position that gave each row of the output.

    Parameters
    ----------
    output : torch.Tensor of shape (n, n_classes)
        What the network returned.
    logits : torch.Tensor of shape (n, length, n_classes)
        What the linear layer gave.
    features : torch.Tensor of shape (n, length, n_features)
        What it was given.

    Returns
    -------
    logits : torch.Tensor of shape (n, n_classes)
        The rows of logits.
    features : torch.Tensor of shape (n, n_features)
        The rows of features.
    certain : torch.Tensor of shape (n,), bool
        Whether some position matches, and all that do have the same features.
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
