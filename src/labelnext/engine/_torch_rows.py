"""Rows and factors that are tensors: in tiles that fit their device, with their digits kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from labelnext.engine._factors import CANCELLED, Factors, has_one_label
from labelnext.engine._rows import place_of
from labelnext.pools.arrays import InPieces
from labelnext.pools.check import TOLERANCE, TOLERANCES, TOO_LARGE, refuse_features, refuse_proba
from labelnext.utils.given import CLASSIFICATION
from labelnext.utils.libraries import plain_float32
from labelnext.utils.memory import is_out_of_memory

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from labelnext.engine._factors import Floats
    from labelnext.utils.given import Task

# Bytes that the temporaries of a tile may take. On a GPU also at most half of what is free; more
# than this makes nothing faster. On the CPU about what stays in the caches.
MOST_BYTES = 2 << 30
CPU_BYTES = 1 << 24
# Of devices whose drivers do not say what is free.
UNKNOWN_BYTES = 1 << 28
# A tile of fewer rows is not tried.
LEAST_ROWS = 16


def row_products(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """⟨x_i, y_i⟩ of each row i."""
    return (x * y).sum(dim=1)


def inverse_roots(squares: torch.Tensor) -> torch.Tensor:
    """1 / ‖x‖ of ‖x‖², or 0."""
    return torch.where(squares > 0, squares.rsqrt(), 0.0)


def as_numpy(tensor: torch.Tensor) -> NDArray[Any]:
    """Fetch a tensor from wherever it is. NumPy has no bfloat16, which becomes float32."""
    wide = tensor.float() if tensor.dtype == torch.bfloat16 else tensor
    array: NDArray[Any] = wide.cpu().numpy()
    return array


@dataclass(frozen=True)
class TorchFactors(Factors):
    """Factors whose residuals and features are float64 tensors of one device.

    What sampling asks for is answered in NumPy arrays; pseudo-labels and ‖G‖² are some from the
    start. ‖a‖² and ‖h‖², the bias's 1 counted in, are where the factors are.
    """

    residuals: Any
    features: Any
    a2: torch.Tensor
    h2: torch.Tensor
    squared_norms: Floats

    def __getitem__(self, rows: slice | NDArray[Any]) -> TorchFactors:
        index = rows if isinstance(rows, slice) else torch.tensor(rows, device=self.a2.device)
        of_rows = [x[index] for x in (self.residuals, self.features, self.a2, self.h2)]
        return self._of(of_rows, self.pseudo_labels[rows], self.squared_norms[rows])

    def _of(self, tensors: list[Any], labels: NDArray[Any], norms: Floats) -> TorchFactors:
        residuals, features, a2, h2 = tensors
        return TorchFactors(residuals, features, labels, self.bias, a2, h2, norms)

    @classmethod
    def concatenate(cls, blocks: list[Any]) -> TorchFactors:
        only: TorchFactors = blocks[0]
        if len(blocks) == 1:
            return only
        names = "residuals", "features", "a2", "h2"
        return only._of(
            [torch.cat([getattr(b, name) for b in blocks]) for name in names],
            np.concatenate([b.pseudo_labels for b in blocks]),
            np.concatenate([b.squared_norms for b in blocks]),
        )

    def lower(self, d2: Floats, centres: Any) -> None:
        np.minimum(d2, as_numpy(self._distances(centres).min(dim=1).values), out=d2)

    def thin(self, d2: Floats, blocks: list[Any]) -> Floats:
        # All in one: on a GPU it takes longer to ask for a product, or to fetch it, than to make
        # it.
        n = len(self)
        found = self._distances(self.concatenate([*blocks, self]), n_same=n)
        if blocks:
            nearest = found[:, :-n].min(dim=1, keepdim=True).values
            fetched = as_numpy(torch.cat([nearest, found[:, -n:]], dim=1))
            np.minimum(d2, fetched[:, 0], out=d2)
            return fetched[:, 1:]
        return as_numpy(found)

    def _squared_distances(
        self, other: Factors, below: Floats | None, same: NDArray[np.bool_] | None
    ) -> Floats:
        # More of them than are asked for are as exact.
        return as_numpy(self._distances(other, n_same=0 if same is None else len(self)))

    def _distances(self, other: Any, n_same: int = 0) -> torch.Tensor:
        """As `Factors._squared_distances`; the last rows of the other block may be these."""
        scale = (self.a2 * self.h2)[:, None] + other.a2 * other.h2
        products = self.features @ other.features.T
        if self.bias:
            products += 1.0
        d2 = torch.addcmul(scale, products, self.residuals @ other.residuals.T, value=-2.0)
        if n_same:
            d2[:, -n_same:].fill_diagonal_(0.0)
            # A row is at 0 from itself, which no differences have to tell.
            scale[:, -n_same:].fill_diagonal_(0.0)
        i, j = (d2 < CANCELLED * scale).nonzero(as_tuple=True)
        if len(i):
            at_once = max(1, (1 << 24) // (self.residuals.shape[1] + self.features.shape[1]))
            parts = [
                distances_from_differences(
                    (self.residuals[s], self.features[s], self.a2[s], self.h2[s]),
                    (other.residuals[t], other.features[t], other.a2[t], other.h2[t]),
                    bias=self.bias,
                )
                for s, t in zip(torch.split(i, at_once), torch.split(j, at_once), strict=True)
            ]
            d2[i, j] = torch.cat(parts)
        return d2


# Residuals, features, ‖a‖² and ‖h‖² of some rows, in float64.
Rows = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]


def distances_from_differences(x: Rows, y: Rows, *, bias: bool) -> torch.Tensor:
    """As the function of that name in `_factors`, where the mathematics is."""
    turned = y[2] * x[3] > x[2] * y[3]
    wide = turned[:, None]
    xa, ya = torch.where(wide, y[0], x[0]), torch.where(wide, x[0], y[0])
    xh, yh = torch.where(wide, y[1], x[1]), torch.where(wide, x[1], y[1])
    a2, h2 = torch.where(turned, x[2], y[2]), torch.where(turned, y[3], x[3])
    da, dh = xa - ya, xh - yh
    s, t = _ratios(row_products(da, ya), a2), _ratios(row_products(dh, xh), h2)
    u, v = da - s[:, None] * ya, dh - t[:, None] * xh
    v2 = row_products(v, v)
    if bias:
        v2 = v2 + t * t
    d2: torch.Tensor = (s + t) ** 2 * (a2 * h2) + row_products(u, u) * h2 + a2 * v2
    return d2


def _ratios(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """x_i / y_i, or 0 where y_i is 0."""
    return torch.where(y > 0, x / y, 0.0)


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
        kernels: Any = None,
    ) -> None:
        self._where = where
        self.proba: Any = proba.detach()
        self.features: Any = features.detach()
        self.bias, self.task, self.device = bias, task, proba.device
        self.n_rows, self.n_columns = proba.shape
        self.n_features = features.shape[1]
        # Where D² is kept and distances are evaluated, in float64.
        self.exact_device = self.device if has_float64(self.device) else torch.device("cpu")
        # Those of `_triton`, a module, where there are any.
        self.kernels = kernels
        # What the approximate products of a pass are made in; see `_torch_pass`.
        wide = torch.float64 in (proba.dtype, features.dtype) and self.kernels is None
        self.approximate = torch.float64 if wide else torch.float32
        self.dtype = str(proba.dtype).removeprefix("torch.")
        self.tolerance = TOLERANCES.get(self.dtype, TOLERANCE)
        self.pseudo_labels = torch.empty(
            self.n_rows * has_one_label(task), dtype=torch.int32, device=self.device
        )
        self.a2, self.h2 = (
            torch.empty(self.n_rows, dtype=torch.float64, device=self.exact_device)
            for _ in range(2)
        )
        row_bytes = 8 if self.kernels else 24 * (self.n_columns + self.n_features)
        with plain_float32(self.device):
            self.for_each_tile(self._read, row_bytes, "reading")
        self.squared_norms = self.a2 * self.h2

    def for_each_tile(self, work: Callable[[slice], None], row_bytes: int, what: str) -> None:
        """As the function of that name, over these rows."""
        what = (
            f"{what} {self.n_rows:,} rows of {self.n_columns:,} probabilities and "
            f"{self.n_features:,} features"
        )
        # Rows that are in the CPU's memory are brought to the device.
        brought = sum(
            part.element_size() * part.shape[1]
            for part in (self.proba, self.features)
            if isinstance(part, InPieces)
        )
        for_each_tile(work, self.n_rows, row_bytes + brought, self.device, what)

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
        if self.kernels is not None:
            (doubtful,) = self.kernels.read(self, rows).nonzero(as_tuple=True)
            for row in (rows.start + doubtful).tolist():
                self._check(slice(row, row + 1))
            return
        self._check(rows)
        if has_one_label(self.task):
            self.pseudo_labels[rows] = self.proba[rows].argmax(dim=1).to(torch.int32)
        residuals = self.residuals(rows)
        self.a2[rows] = row_products(residuals, residuals)

    def _check(self, rows: slice) -> None:
        """Check some rows, and fill in ‖h‖²."""
        self._check_proba(rows.start, self.proba[rows])
        features = self.exact(self.features[rows])
        h2 = row_products(features, features) + float(self.bias)
        self.h2[rows] = h2
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
        if self.task == "multiclass":
            # NumPy has the last word on a row at the edge, so this is a little later to refuse.
            float64 = has_float64(self.device)
            lenient = self.tolerance * (1 + (1e-9 if float64 else 1e-2))
            sums = proba.sum(dim=1, dtype=torch.float64 if float64 else torch.float32)
            good = good & ((sums - 1.0).abs() <= lenient).all()
        else:
            good = good & (proba.max() <= 1)
        if not bool(good):
            refuse_proba(
                as_numpy(proba), first_row, self.task, self.tolerance, self.dtype, self.where
            )

    def exact(self, tensor: torch.Tensor) -> torch.Tensor:
        """Return a tensor in float64 where there is float64."""
        return tensor.to(self.exact_device).to(torch.float64)

    def residuals(
        self, rows: slice | torch.Tensor, dtype: torch.dtype = torch.float64
    ) -> torch.Tensor:
        """Return a copy of some residuals: float64 where there is float64, else on `device`."""
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
    if free // 2 >= MOST_BYTES:
        return MOST_BYTES
    # What torch keeps for itself, but does not use, is free to us.
    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return min((free + kept) // 2, MOST_BYTES)


def for_each_tile(
    work: Callable[[slice], None], n_rows: int, row_bytes: int, device: torch.device, what: str
) -> None:
    """Call ``work(rows)`` for tiles of rows from first to last, smaller ones if memory is short.

    When `work` fails it must not have changed anything that lasts. The temporaries of a row take
    `row_bytes`; `what` is being done, for the MemoryError if not even a few rows fit.
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
