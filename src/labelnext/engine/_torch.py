"""A pool of tensors and its D², which stay on their device: a GPU's memory, or the CPU's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from labelnext.engine._base import D2, Gradients, PassReport, Scale
from labelnext.engine._factors import ROUNDING, PlainForm, StoredRows, has_one_label
from labelnext.engine._plain import TILE, largest_of, own_rows
from labelnext.engine._torch_pass import Pass
from labelnext.engine._torch_rows import TorchFactors, TorchRows, as_numpy, row_products
from labelnext.utils.libraries import plain_float32
from labelnext.utils.memory import clear_if_out_of_memory

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from labelnext.engine._factors import Factors, Floats, Ints
    from labelnext.utils.given import Task


class TorchGradients(Gradients):
    """Gradients whose factors are tensors; made by `open_gradients` of tensors on a GPU.

    The tensors are of any real dtype and never copied whole. What is not a pool of gradients is
    refused as `open_gradients` says; a MemoryError says that a tile of rows does not fit.
    """

    def __init__(
        self,
        proba: torch.Tensor,
        features: torch.Tensor,
        *,
        bias: bool,
        task: Task = "multiclass",
        where: Callable[[int], str] | None = None,
    ) -> None:
        kernels = kernels_for(proba, features)
        self.rows = TorchRows(proba, features, bias=bias, task=task, where=where, kernels=kernels)
        self.proba, self.features = self.rows.proba, self.rows.features
        self.bias, self.task, self.device = bias, task, self.rows.device
        self.n_rows = self.rows.n_rows
        self.n_classes = 2 if task == "binary" else self.rows.n_columns
        self.squared_norms = self.rows.squared_norms

    @property
    def form(self) -> PlainForm:
        return PlainForm(self.bias, self.task)

    def fingerprint(self) -> str:
        checksum = np.array([self.rows.checksum()], dtype=np.uint64)
        return self._digest(as_numpy(self.squared_norms), checksum)

    def gather(self, rows: Ints) -> TorchFactors:
        index = torch.tensor(rows, device=self.device)
        with torch.no_grad():
            residuals = self.rows.residuals(index)
            features = self.rows.exact(self.features[index])
            if not has_one_label(self.task):
                return self._factors(residuals, features, as_numpy(self.proba[index] >= 0.5))
            exact = index.to(self.rows.exact_device)
            a2, h2 = self.rows.a2[exact], self.rows.h2[exact]
            # Fetched together.
            labels = self.rows.exact(self.rows.pseudo_labels[index])
            known = as_numpy(torch.stack([labels, a2 * h2]))
        labels = known[0].astype(np.int64)
        return TorchFactors(residuals, features, labels, self.bias, a2, h2, known[1])

    def stored(self, rows: Ints) -> StoredRows:
        index = torch.tensor(rows, device=self.device)
        return StoredRows(as_numpy(self.proba[index]), as_numpy(self.features[index]))

    def factors_of(self, stored: StoredRows) -> TorchFactors:
        plain = self.form.factors_of(stored)
        residuals, features = (
            self.rows.exact(torch.from_numpy(x)) for x in (plain.residuals, plain.features)
        )
        return self._factors(residuals, features, plain.pseudo_labels)

    def _factors(
        self, residuals: torch.Tensor, features: torch.Tensor, labels: NDArray[Any]
    ) -> TorchFactors:
        with torch.no_grad():
            a2 = row_products(residuals, residuals)
            h2 = row_products(features, features) + float(self.bias)
        if self.task == "binary" and labels.ndim == 2:
            labels = labels[:, 0].astype(np.int64)
        norms = as_numpy(a2 * h2)
        return TorchFactors(residuals, features, labels, self.bias, a2, h2, norms)

    def start(self, exclude: Ints) -> D2:
        return TorchD2(self, exclude)


def kernels_for(proba: torch.Tensor, features: torch.Tensor) -> Any:
    """Return the kernels for some tensors, a module, or None where there are none."""
    if proba.device.type != "cuda":
        return None
    try:
        from labelnext.engine import _triton
    except ImportError:  # as from torch for Windows
        return None
    return _triton if _triton.can_do(proba, features) else None


class TorchD2(D2):
    """D² of a `TorchGradients`: one float64 and one bool a row, on its device."""

    def __init__(self, pool: TorchGradients, exclude: Ints) -> None:
        self.pool = pool
        device = pool.rows.exact_device
        self.d2 = torch.full((pool.n_rows,), torch.inf, dtype=torch.float64, device=device)
        # False while D² is infinite or an upper bound, before the first pass.
        self.exact = False
        self.is_available = torch.ones(pool.n_rows, dtype=torch.bool, device=device)
        self._take(exclude)
        self.total, self.exponent, self.scale = 0, 0, Scale(pool.n_rows)
        n_tiles = -(-pool.n_rows // TILE)
        # Where the weights of each tile of rows begin, and at last where all end.
        self._tile_starts = torch.zeros(n_tiles + 1, dtype=torch.int64, device=device)

    @property
    def values(self) -> Floats:
        """D² of every row, fetched."""
        return as_numpy(self.d2)

    def _index(self, rows: NDArray[Any]) -> torch.Tensor:
        # A copy: torch warns of arrays that are read-only, as those of a batch.
        return torch.tensor(rows, device=self.pool.rows.exact_device)

    def _take(self, rows: Ints) -> None:
        index = self._index(own_rows(rows, self.pool.n_rows))
        self.d2[index] = 0.0
        self.is_available[index] = False
        self.n_available = int(self.is_available.sum())

    def largest(self, m: int) -> tuple[Ints, Floats, float]:
        d2 = torch.where(self.is_available, self.d2, torch.full_like(self.d2, -1.0))
        return largest_of(as_numpy(d2), m, self.n_available)

    def withdraw(self, rows: Ints) -> None:
        self._take(rows)
        self._weigh()

    def largest_norm(self) -> int | None:
        norms = self.pool.squared_norms
        row = torch.where(self.is_available, norms, torch.full_like(norms, -1.0)).argmax()
        return int(row) if float(norms[row]) > 0 else None

    def available(self, places: Ints) -> Ints:
        (rows,) = self.is_available.nonzero(as_tuple=True)
        return as_numpy(rows[self._index(places)])

    def bound(self, norm: float) -> None:
        limit = (self.pool.squared_norms.sqrt() + norm) ** 2 * (1 + ROUNDING)
        # Not 0, where all norms are: before the first pass that marks what cannot be picked.
        limit.clamp_(min=np.finfo(np.float64).tiny)
        torch.minimum(self.d2, limit, out=self.d2)
        self._weigh()

    def min_update(self, centres: Factors, rows: Ints, trace: Floats | None = None) -> PassReport:
        assert isinstance(centres, TorchFactors)
        if not self.exact:
            self.d2 = torch.where(self.d2 > 0, torch.inf, self.d2)
        what = f"a pass of {len(rows):,} centres over {self.pool.n_rows:,} rows"
        device = self.pool.device
        with plain_float32(device), clear_if_out_of_memory(device, what):
            one = Pass(self.pool.rows, self.d2, centres, self._index(rows), fresh=not self.exact)
            one.lower(trace)
        self.exact = True
        left = float(self.d2.sum())
        self._take(rows)
        self._weigh()
        # From the end: what each centre took is added, nothing cancels.
        taken = np.concatenate([as_numpy(one.fall[1:]), [left]])
        return PassReport(np.cumsum(taken[::-1])[::-1].copy(), one.counters())

    def _weigh(self) -> None:
        """Choose the scale of the integer weights and sum them, tile by tile."""
        self.weigh(self.scale.choose(float(self.d2.max())))

    def weigh(self, exponent: int) -> None:
        self.exponent = exponent
        n_rows = self.pool.n_rows
        whole = n_rows // TILE * TILE
        weights = self._weights(self.d2)
        n_whole = whole // TILE
        torch.cumsum(
            weights[:whole].view(-1, TILE).sum(dim=1), 0, out=self._tile_starts[1 : n_whole + 1]
        )
        self._tile_starts[n_whole + 1 :] = self._tile_starts[n_whole] + weights[whole:].sum()
        self.total = int(self._tile_starts[-1])

    def _weights(self, d2: torch.Tensor) -> torch.Tensor:
        # In two steps: 2ˢ itself may be too large for a float64.
        half = self.exponent // 2
        scaled = d2 * 2.0**half * 2.0 ** (self.exponent - half)
        return scaled.ceil().to(torch.int64)

    def find(self, tickets: Ints) -> tuple[Ints, Floats, Ints]:
        wanted = self._index(tickets)
        tiles = torch.searchsorted(self._tile_starts, wanted, right=True) - 1
        # The last tile may be short; its last row, said again, comes after every ticket's row.
        places = torch.arange(TILE, device=wanted.device)
        members = (tiles[:, None] * TILE + places).clamp_(max=self.pool.n_rows - 1)
        d2 = self.d2[members]
        weights = self._weights(d2)
        # The first that reaches the ticket: sums after the last row, said again, may overflow.
        reached = weights.cumsum(dim=1) > (wanted - self._tile_starts[tiles])[:, None]
        place = reached.int().argmax(dim=1, keepdim=True)
        # One fetch for the three: float64 by its bits.
        found = [x.gather(1, place) for x in (members, d2.view(torch.int64), weights)]
        fetched = as_numpy(torch.cat(found, dim=1)).T.copy()
        return fetched[0], fetched[1].view(np.float64), fetched[2]
