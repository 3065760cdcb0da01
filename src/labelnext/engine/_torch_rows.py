"""Rows that are tensors: on their device, in tiles that fit its memory, with their digits kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from labelnext.engine._factors import has_one_label
from labelnext.engine._rows import place_of
from labelnext.engine._torch_factors import as_numpy, row_products
from labelnext.pools.check import (
    TOLERANCE,
    TOLERANCES,
    TOO_LARGE,
    refuse_features,
    refuse_proba,
)
from labelnext.utils.tasks import CLASSIFICATION
from labelnext.utils.tensors import plain_float32

if TYPE_CHECKING:
    from collections.abc import Callable

    from labelnext.utils.tasks import Task

# Bytes that the temporaries of a tile may take. On a GPU also at most half of what is free; more
# than this makes nothing faster. On the CPU about what stays in the caches.
MOST_BYTES = 2 << 30
CPU_BYTES = 1 << 24
# Of devices whose drivers do not say what is free.
UNKNOWN_BYTES = 1 << 28
# A tile of fewer rows is not tried.
LEAST_ROWS = 16

# Its name before torch 2.5.
_OUT_OF_MEMORY: type[BaseException] = getattr(
    torch, "OutOfMemoryError", torch.cuda.OutOfMemoryError
)


class TorchRows:
    """The probabilities and features of a pool as tensors; read once, and checked.

    What a pass needs of each row is kept beside them: the pseudo-label, ‖a‖² and ‖h‖².
    """

    def __init__(
        self,
        proba: torch.Tensor,
        features: torch.Tensor,
        *,
        bias: bool,
        task: Task,
        where: Callable[[int], str] | None = None,
    ) -> None:
        self._where = where
        self.proba, self.features = proba.detach(), features.detach()
        self.bias, self.task, self.device = bias, task, proba.device
        self.n_rows, self.n_columns = proba.shape
        self.n_features = features.shape[1]
        # Where D² is kept and distances are evaluated, in float64.
        self.exact_device = self.device if has_float64(self.device) else torch.device("cpu")
        # What the approximate products of a pass are made in; see `_torch_pass`.
        wide = torch.float64 in (proba.dtype, features.dtype)
        self.approximate = torch.float64 if wide else torch.float32
        self.pseudo_labels = torch.empty(
            self.n_rows * has_one_label(task), dtype=torch.int32, device=self.device
        )
        self.a2, self.h2 = (
            torch.empty(self.n_rows, dtype=torch.float64, device=self.exact_device)
            for _ in range(2)
        )
        with plain_float32(self.device):
            self.for_each_tile(self._read, 24 * (self.n_columns + self.n_features), "reading")
        self.squared_norms = self.a2 * self.h2

    def for_each_tile(self, work: Callable[[slice], None], row_bytes: int, what: str) -> None:
        """As the function of that name, over these rows."""
        what = (
            f"{what} {self.n_rows:,} rows of {self.n_columns:,} probabilities and "
            f"{self.n_features:,} features"
        )
        for_each_tile(work, self.n_rows, row_bytes, self.device, what)

    def checksum(self) -> int:
        """Sum up what tells these gradients, in these rows, from any others: ⟨G_i, R⟩, by its bits.

        Sums of integers do not depend on the tiles.
        """
        total = 0
        spread = [
            1.0 + (torch.arange(1, n + 1, device=self.exact_device) * 40503 % 65536) / 65536.0
            for n in (self.n_columns, self.n_features)
        ]
        a_spread, h_spread = (x.to(torch.float64) for x in spread)

        def add(rows: slice) -> None:
            nonlocal total
            along = row_products(self.exact(self.features[rows]), h_spread)
            values = row_products(self.residuals(rows), a_spread) * along
            places = torch.arange(rows.start, rows.stop, device=values.device) * 2 + 1
            total += int((values.view(torch.int64) * places).sum())

        with torch.no_grad():
            self.for_each_tile(add, 24 * (self.n_columns + self.n_features), "reading")
        return total & (1 << 64) - 1

    def _read(self, rows: slice) -> None:
        proba = self.proba[rows]
        self._check_proba(rows.start, proba)
        if has_one_label(self.task):
            self.pseudo_labels[rows] = proba.argmax(dim=1).to(torch.int32)
        residuals, features = self.residuals(rows), self.exact(self.features[rows])
        a2, h2 = row_products(residuals, residuals), row_products(features, features)
        h2 += float(self.bias)
        self.a2[rows], self.h2[rows] = a2, h2
        good = h2 < TOO_LARGE
        if not bool(good.all()):
            row = int(good.int().argmin())
            refuse_features(as_numpy(self.features[rows.start + row]), rows.start + row, self.where)

    def where(self, row: int) -> str:
        """Say which row this is, for messages."""
        return place_of(row, self._where)

    def _check_proba(self, first_row: int, proba: torch.Tensor) -> None:
        if self.task not in CLASSIFICATION:
            return
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
            refuse_proba(as_numpy(proba), first_row, self.task, tolerance, dtype, self.where)

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
        if not has_one_label(self.task):
            return residuals.sub_((residuals >= 0.5).to(dtype))
        labels = self.pseudo_labels[rows].to(device, torch.int64)[:, None]
        return residuals.scatter_(1, labels, residuals.gather(1, labels) - 1.0)


def has_float64(device: torch.device) -> bool:
    """Whether the device can compute in float64, as all but Apple's GPUs can."""
    return device.type != "mps"


def room(device: torch.device) -> int:
    """How many bytes the temporaries of a tile may take now."""
    if device.type == "cpu":
        return CPU_BYTES
    if device.type != "cuda":
        return UNKNOWN_BYTES
    free, _ = torch.cuda.mem_get_info(device)
    # What torch keeps for itself, but does not use, is free to us.
    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return min((free + kept) // 2, MOST_BYTES)


def for_each_tile(
    work: Callable[[slice], None],
    n_rows: int,
    row_bytes: int,
    device: torch.device,
    what: str,
) -> None:
    """Call ``work(rows)`` for tiles of rows from first to last, smaller ones if memory is short.

    Parameters
    ----------
    work : callable of slice
        What is to be done. When it fails it must not have changed anything that lasts.
    n_rows : int
        How many rows there are.
    row_bytes : int
        Bytes that the temporaries of a row take.
    device : torch.device
        Where they are.
    what : str
        What is being done, and to what, for the error.

    Raises
    ------
    MemoryError
        If not even a few rows fit.
    """
    size = max(LEAST_ROWS, room(device) // row_bytes)
    lo = 0
    while lo < n_rows:
        rows = slice(lo, min(lo + size, n_rows))
        failed = False
        try:
            work(rows)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            size = (rows.stop - lo) // 2
            if size < LEAST_ROWS:
                raise MemoryError(
                    f"Out of memory on {device}: {what} needs about {row_bytes * LEAST_ROWS:,} "
                    f"bytes for a tile of {LEAST_ROWS} rows beside the pool, and they are not "
                    f"free; free memory there, store the features in float16, or move the pool "
                    f"to the CPU."
                ) from error
            failed = True
        if failed:
            # Not within the except: its traceback holds the tensors of the tile that was too big.
            if device.type == "cuda":
                torch.cuda.empty_cache()
            continue
        lo = rows.stop


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out; not all devices have a class for it."""
    return isinstance(error, (MemoryError, _OUT_OF_MEMORY)) or any(
        words in str(error) for words in ("out of memory", "can't allocate memory")
    )
