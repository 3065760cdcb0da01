"""The public edge: run a network once over a pool."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from labelnext.gradients import as_gradients
from labelnext.utils._extras import require

if TYPE_CHECKING:
    import torch

    from labelnext.gradients import Gradients


def extract(
    model: Any,
    data: Any,
    *,
    head: Any = None,
    task: str = "multiclass",
    bias: bool = False,
    device: Any = None,
    dtype: Any = None,
    amp: Any = None,
    batch_size: int = 256,
    num_workers: int = 0,
    progress: Any = True,
) -> Gradients:
    """Run a network once over the data and return its pool of gradients."""
    proba, features = proba_and_features(
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
    if proba.shape[1] == 1 and task == "multiclass":
        task = "binary"
    extra = {} if task == "multiclass" else {"task": task}
    return as_gradients(proba, features, bias=bias, **extra)


def proba_and_features(
    model: Any,
    data: Any,
    *,
    head: Any = None,
    task: str = "multiclass",
    device: Any = None,
    dtype: Any = None,
    amp: Any = None,
    batch_size: int = 256,
    num_workers: int = 0,
    progress: Any = False,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Run a network once over the data and return probabilities and features."""
    torch = require("torch", extra="torch", what="labelnext.extract")
    linears = [m for m in model.modules() if isinstance(m, torch.nn.Linear)]
    last = linears[-1]
    if isinstance(head, str):
        last = model.get_submodule(head)
    elif head is not None:
        last = head
    caught: list[Any] = []
    handle = last.register_forward_hook(lambda m, args, out: caught.append((args[0], out)))
    training = [(m, m.training) for m in model.modules()]
    try:
        model.eval()
        if not isinstance(data, torch.utils.data.DataLoader):
            if not isinstance(data, torch.Tensor) and hasattr(data, "dtype"):
                data = torch.from_numpy(data)
            data = torch.utils.data.DataLoader(data, batch_size=batch_size)
        weight = next(model.parameters())
        with torch.no_grad():
            for batch in data:
                x = batch[0] if isinstance(batch, (tuple, list)) else batch
                if isinstance(x, dict):
                    model(**{k: v.to(weight.device) for k, v in x.items() if k != "labels"})
                else:
                    if x.is_floating_point():
                        x = x.to(weight.dtype)
                    model(x.to(weight.device))
    finally:
        handle.remove()
        for m, flag in training:
            m.training = flag
    features = torch.cat([f for f, _ in caught])
    logits = torch.cat([z for _, z in caught])
    if logits.shape[1] == 1 or task == "multilabel":
        return logits.float().sigmoid(), features
    return logits.float().softmax(1), features
