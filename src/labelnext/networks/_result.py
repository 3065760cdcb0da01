"""Probabilities and features as they come, checked and kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from labelnext.networks._probabilities import probabilities
from labelnext.networks._rows import Rows

if TYPE_CHECKING:
    from labelnext.engine import Task
    from labelnext.networks._catch import Caught


class Result:
    """Write the rows of each batch to where they stay, and refuse what is no number.

    Parameters
    ----------
    n_rows : int or None
        How many rows there will be, if that is known.
    task : str
        What the probabilities are of.
    dtype : torch.dtype or None
        What features are kept as; None for what they come as.
    given : torch.Tensor or None
        All features, where they need not be computed.
    first_row : int, default=0
        Which sample the first row is, for messages.
    """

    def __init__(
        self,
        n_rows: int | None,
        task: Task,
        dtype: torch.dtype | None,
        given: torch.Tensor | None,
        first_row: int = 0,
    ) -> None:
        self.n_rows, self.task, self.dtype, self.given = n_rows, task, dtype, given
        self.first_row = first_row
        self.n_written = self.n_batches = 0
        self._proba: Rows | None = None
        self._features: Rows | None = None
        # Looked at when the next batch is on its way, so that a GPU need not stop for it.
        self._doubts: tuple[int, torch.Tensor, torch.Tensor, torch.Tensor] | None = None

    def add(self, caught: Caught, expected: int | None) -> None:
        """Take the rows of the next batch, which must be as many as it has samples."""
        start, n_rows = self.n_written, len(caught.logits)
        if expected is not None and n_rows != expected:
            raise ValueError(
                f"The model's outputs must be n × C, one row of logits for each sample, but it "
                f"gave {n_rows} for the {expected} samples from {self.first_row + start} on."
            )
        proba = probabilities(caught.logits, self.task)
        features = caught.features
        if self._proba is None:
            self._proba = Rows(self.n_rows, proba.shape[1], proba.dtype, proba.device)
        self._proba.write(start, proba)
        overflow = torch.zeros((), dtype=torch.bool)
        if self.given is None:
            if self._features is None:
                dtype = self.dtype or _kept_as(features)
                self._features = Rows(self.n_rows, features.shape[1], dtype, features.device)
            kept = self._features.write(start, features)
            if kept.dtype.itemsize < features.dtype.itemsize:
                overflow = ~kept.isfinite().all(dim=1)
        self.check()
        self._doubts = (self.first_row + start, proba.isnan().any(dim=1), overflow, ~caught.agreed)
        self.n_written += n_rows
        self.n_batches += 1

    def passes_over(self, n_samples: int | None) -> bool:
        """Tell whether the rows of the next batch are there already."""
        del n_samples
        return False

    def check(self) -> None:
        """Raise if the batch before had values that cannot be used."""
        if self._doubts is None:
            return
        start, missing, overflow, differs = self._doubts
        if missing.any():
            row = start + int(missing.to(torch.uint8).argmax())
            raise ValueError(
                f"The logits of sample {row} are NaN or infinite, so it has no probabilities. "
                f"Look at that sample for missing or very large values, and at the model for "
                f"diverged weights; with mixed precision, try amp=False or amp=torch.bfloat16."
            )
        if overflow.any():
            row = start + int(overflow.to(torch.uint8).argmax())
            raise ValueError(
                f"The features of sample {row} are too large for dtype={self.dtype}; leave dtype "
                f"out, or choose torch.float32."
            )
        if differs.any():
            raise ValueError(
                f"The head must be last: in the batch that begins with sample {start} the model's "
                f"output does not come from the head, or not from a clear position of a sequence, "
                f"as it did on the first samples. Let the model return the logits of its last "
                f"linear layer."
            )

    def finish(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return probabilities and features of all rows."""
        self.check()
        if self._proba is None:
            raise ValueError("data holds no samples.")
        if self.n_rows is not None and self.n_written != self.n_rows:
            raise ValueError(
                f"The loader ended after {self.n_written} of {self.n_rows} samples, so rows "
                f"would be missing."
            )
        proba = self._proba.finish(self.n_written)
        if self.given is not None:
            return proba, self.given
        assert self._features is not None
        return proba, self._features.finish(self.n_written)


def features_given(
    model: nn.Module, data: Any, device: torch.device, dtype: torch.dtype | None
) -> torch.Tensor | None:
    """Return data as the features, without a copy, if the model is no more than a head.

    Parameters
    ----------
    model : torch.nn.Module
        The network, without wrappers.
    data : object
        What the user passed.
    device : torch.device
        Where the features are to be.
    dtype : torch.dtype or None
        What they are to be kept as.
    """
    *before, last = model.children() if type(model) is nn.Sequential else (model,)
    # Dropout hands its input on in evaluation mode.
    if type(last) is not nn.Linear or not all(type(m) in (nn.Dropout, nn.Identity) for m in before):
        return None
    if isinstance(data, np.ndarray) and data.dtype.isnative and data.flags.writeable:
        data = torch.from_numpy(data)
    if not isinstance(data, torch.Tensor) or data.ndim != 2 or data.device != device:
        return None
    # Where the layer would round its input, that is not what it sees.
    exact = torch.promote_types(data.dtype, last.weight.dtype) == last.weight.dtype
    if not (data.is_floating_point() and exact and dtype in (None, data.dtype)):
        return None
    return data.detach()


def _kept_as(features: torch.Tensor) -> torch.dtype:
    # NumPy has no bfloat16.
    on_cpu = features.device.type == "cpu"
    return torch.float32 if on_cpu and features.dtype == torch.bfloat16 else features.dtype
