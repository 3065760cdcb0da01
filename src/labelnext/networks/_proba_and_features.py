"""The public edge of the pass over a pool."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from labelnext.utils.extras import require

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch
    from numpy.typing import DTypeLike

    from labelnext.engine import Task


def proba_and_features(
    model: torch.nn.Module,
    data: Any,
    *,
    head: str | torch.nn.Module | None = None,
    task: Task = "multiclass",
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | DTypeLike | None = None,
    amp: bool | str | torch.dtype | None = None,
    batch_size: int = 256,
    num_workers: int = 0,
    progress: bool | Callable[[int, int | None], None] = False,
) -> tuple[torch.Tensor, torch.Tensor]:
    """
    Run a network once over data and return probabilities, and what its last layer was given.

    All parameters are those of `labelnext.extract`, which makes a pool of the result.

    Parameters
    ----------
    model : torch.nn.Module
        The network.
    data : DataLoader, Dataset, tensor, array, dict or list
        The samples.
    head : str or torch.nn.Module, default=None
        The last linear layer; None to find it.
    task : {"multiclass", "multilabel", "binary"}, default="multiclass"
        What the probabilities are of.
    device : str or torch.device, default=None
        Where to run; None for where the weights are.
    dtype : str, torch.dtype or numpy.dtype, default=None
        What the features are kept as.
    amp : bool, str or torch.dtype, default=None
        Automatic mixed precision; None for on a CUDA device only.
    batch_size : int, default=256
        Samples a batch.
    num_workers : int, default=0
        Processes that read samples.
    progress : bool or callable, default=False
        Whether to show a bar.

    Returns
    -------
    proba : torch.Tensor of shape (n_rows, n_classes)
        Probabilities, in float32 or, from logits in float64, in float64. One column is the
        probability of the second class, of a head with a single logit.
    features : torch.Tensor of shape (n_rows, n_features)
        The input of the last linear layer; the caller's own tensor if the model is no more than
        that layer.

    Raises
    ------
    ValueError, TypeError, RuntimeError
        As `labelnext.extract`.
    ImportError
        If torch is not installed.

    Examples
    --------
    >>> import torch
    >>> from labelnext.networks import proba_and_features
    >>> _ = torch.manual_seed(0)
    >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
    >>> proba, features = proba_and_features(model, torch.ones(2, 4))
    >>> proba.shape, features.shape
    (torch.Size([2, 3]), torch.Size([2, 8]))
    >>> proba[0].numpy().round(2)
    array([0.31, 0.33, 0.36], dtype=float32)
    """
    require("torch", extra="torch", what="labelnext.networks.proba_and_features")
    from labelnext.networks._loop import run

    return run(
        model,
        data,
        head=head,
        task=task,
        device=device,
        dtype=dtype,
        amp=amp,
        batch_size=batch_size,
        num_workers=num_workers,
        progress=progress,
    )
