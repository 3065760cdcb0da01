"""A pool of tensors that stays on their device: a GPU's memory, or the CPU's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from labelnext.engine._base import Gradients
from labelnext.engine._stored import PlainForm, StoredRows
from labelnext.engine._tensors import as_array
from labelnext.engine._torch_factors import TorchFactors, as_numpy, row_products
from labelnext.engine._torch_room import for_each_tile, has_float64, plain_float32
from labelnext.engine.task import (
    TOLERANCE,
    TOLERANCES,
    TOO_LARGE,
    refuse_features,
    refuse_proba,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from labelnext.engine._base import D2
    from labelnext.engine.task import Task


class TorchGradients(Gradients):
    """Gradients whose factors are tensors; made by `as_gradients` of tensors on a GPU.

    Parameters
    ----------
    proba : torch.Tensor of shape (n_rows, n_columns)
        Probabilities, of any real dtype; never copied whole.
    features : torch.Tensor of shape (n_rows, n_features)
        Features, on the same device; likewise.
    bias : bool
        Whether h is followed by a 1.
    task : {"multiclass", "multilabel", "binary"}, default="multiclass"
        What the columns of `proba` are; see `as_gradients`.

    Raises
    ------
    ValueError
        If the values are not those of a pool of gradients; see `as_gradients`.
    MemoryError
        If the device has no room for a tile of rows.

    Examples
    --------
    >>> import torch
    >>> from labelnext.engine._torch import TorchGradients
    >>> pool = TorchGradients(torch.full((3, 2), 0.5), torch.tensor([[1.0], [2], [4]]), bias=False)
    >>> pool.squared_norms
    tensor([0.5000, 2.0000, 8.0000], dtype=torch.float64)
    """

    def __init__(
        self,
        proba: torch.Tensor,
        features: torch.Tensor,
        *,
        bias: bool,
        task: Task = "multiclass",
    ) -> None:
        self.proba = proba.detach()
        self.features = features.detach()
        self.bias = bias
        self.task = task
        self.device = proba.device
        self.n_rows, self.n_columns = proba.shape
        self.n_classes = 2 if task == "binary" else self.n_columns
        self.n_features = features.shape[1]
        # Where D² is kept and distances are evaluated, in float64.
        self.exact_device = self.device if has_float64(self.device) else torch.device("cpu")
        # What the approximate products of a pass are made in; see `_torch_pass`.
        wide = torch.float64 in (proba.dtype, features.dtype)
        self.approximate = torch.float64 if wide else torch.float32
        self.pseudo_labels = torch.empty(
            self.n_rows * (task == "multiclass"), dtype=torch.int32, device=self.device
        )
        self.a2, self.h2 = (
            torch.empty(self.n_rows, dtype=torch.float64, device=self.exact_device)
            for _ in range(2)
        )
        with plain_float32(self.device):
            self.for_each_tile(self._read, 24 * (self.n_columns + self.n_features), "reading")
        self.squared_norms = self.a2 * self.h2

    def for_each_tile(self, work, row_bytes: int, what: str) -> None:  # type: ignore[no-untyped-def]
        """As the function of `_torch_room`, over this pool's rows."""
        what = (
            f"{what} {self.n_rows:,} rows of {self.n_columns:,} probabilities and "
            f"{self.n_features:,} features"
        )
        for_each_tile(work, self.n_rows, row_bytes, self.device, what)

    def _read(self, rows: slice) -> None:
        proba = self.proba[rows]
        self._check_proba(rows.start, proba)
        if self.task == "multiclass":
            self.pseudo_labels[rows] = proba.argmax(dim=1).to(torch.int32)
        residuals, features = self.residuals(rows), self.exact(self.features[rows])
        a2, h2 = row_products(residuals, residuals), row_products(features, features)
        h2 += float(self.bias)
        self.a2[rows], self.h2[rows] = a2, h2
        good = h2 < TOO_LARGE
        if not bool(good.all()):
            row = int(good.int().argmin())
            values, _ = as_array("features", self.features[rows.start + row].cpu())
            refuse_features(values, rows.start + row)

    def _check_proba(self, first_row: int, proba: torch.Tensor) -> None:
        # A NaN or an infinity fails a comparison; the causes are told apart only then.
        good = proba.min() >= 0
        dtype = str(proba.dtype).removeprefix("torch.")
        tolerance = TOLERANCES.get(dtype, TOLERANCE)
        if self.task == "multiclass":
            # NumPy has the last word on a row at the edge, so this is a little later to refuse.
            float64 = has_float64(self.device)
            lenient = tolerance * (1 + (1e-9 if float64 else 1e-2))
            sums = proba.sum(dim=1, dtype=torch.float64 if float64 else torch.float32)
            good = good & ((sums - 1.0).abs() <= lenient).all()
        else:
            good = good & (proba.max() <= 1)
        if not bool(good):
            values, _ = as_array("proba", proba.cpu())
            refuse_proba(values, first_row, self.task, tolerance, dtype)

    def exact(self, tensor: torch.Tensor) -> torch.Tensor:
        """Return a tensor in float64 where there is float64."""
        return tensor.to(self.exact_device).to(torch.float64)

    def residuals(
        self, rows: slice | torch.Tensor, dtype: torch.dtype = torch.float64
    ) -> torch.Tensor:
        """Return the residuals of some rows: float64 where there is float64, else on `device`.

        Parameters
        ----------
        rows : slice or tensor of int64 on `device`
            The rows.
        dtype : torch.dtype
            What to compute them in.

        Returns
        -------
        tensor of shape (m, n_columns)
            A copy, to be changed at will.
        """
        device = self.exact_device if dtype == torch.float64 else self.device
        residuals: torch.Tensor = self.proba[rows].to(device).to(dtype, copy=True)
        if self.task != "multiclass":
            return residuals.sub_((residuals >= 0.5).to(dtype))
        labels = self.pseudo_labels[rows].to(device, torch.int64)[:, None]
        return residuals.scatter_(1, labels, residuals.gather(1, labels) - 1.0)

    @property
    def form(self) -> PlainForm:
        return PlainForm(self.bias, self.task)

    def fingerprint(self) -> str:
        return self._digest(as_numpy(self.squared_norms))

    def gather(self, rows: NDArray[np.int64]) -> TorchFactors:
        with torch.no_grad():
            index = torch.tensor(rows, device=self.device)
            residuals, features = self.residuals(index), self.exact(self.features[index])
            labels: NDArray[np.bool_ | np.int64]
            if self.task == "multiclass":
                labels = as_numpy(self.pseudo_labels[index]).astype(np.int64)
            else:
                labels = as_numpy(self.proba[index] >= 0.5)
                if self.task == "binary":
                    labels = labels[:, 0].astype(np.int64)
        return TorchFactors(residuals, features, labels, self.bias)

    def stored(self, rows: NDArray[np.int64]) -> StoredRows:
        index = torch.tensor(rows, device=self.device)
        proba, _ = as_array("proba", self.proba[index].cpu())
        features, _ = as_array("features", self.features[index].cpu())
        return StoredRows(proba, features)

    def factors_of(self, stored: StoredRows) -> TorchFactors:
        plain = self.form.factors_of(stored)
        with torch.no_grad():
            residuals, features = (
                self.exact(torch.from_numpy(x)) for x in (plain.residuals, plain.features)
            )
        return TorchFactors(residuals, features, plain.pseudo_labels, self.bias)

    def start(self, exclude: NDArray[np.int64]) -> D2:
        from labelnext.engine._torch_d2 import TorchD2

        return TorchD2(self, exclude)
