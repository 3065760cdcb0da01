"""What a GPU does in one go: kernels in Triton, which PyTorch for CUDA brings along.

Rows and centres divided by their norms and rounded to float16 are their units: residuals in the
first columns, features in the others, each part filled up with zeros to a multiple of `FULL`.
Tensor cores multiply them, and a kernel goes over the products; see `margin` for what that is
off by.
"""

from __future__ import annotations

import warnings
from functools import cache
from typing import TYPE_CHECKING

import torch
import triton
import triton.language as tl

from labelnext.engine import _torch_rows
from labelnext.engine._factors import has_one_label
from labelnext.engine._torch_rows import inverse_roots
from labelnext.pools.check import TOO_LARGE
from labelnext.utils.text import one_line

if TYPE_CHECKING:
    from typing import Any

    from labelnext.engine._torch_rows import TorchFactors, TorchRows

# Columns of units, and centres, are filled up to a multiple of it: rows then begin where they are
# read at once.
FULL = 64
# What units are multiplied by, so that no number of theirs that counts is subnormal in float16,
# and no product too large.
UP = tl.constexpr(128.0)
LARGEST = tl.constexpr(TOO_LARGE)
# Rows that a program goes over. (Of fusing products and sums some versions ask to be told.)
FUSED = {"enable_fp_fusion": True}
SIFT = {"BR": 64, **FUSED}
# Rows, or pairs, and columns that a program reads at a time.
ROWS = {"BR": 16, "BK": 128, **FUSED}
PAIRS = {"BR": 1, "BK": 512, **FUSED}
# Tensors of others are left to torch.
DTYPES = {
    *(torch.float16, torch.bfloat16, torch.float32, torch.float64),
    *(torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64),
}


def can_do(proba: torch.Tensor, features: torch.Tensor) -> bool:
    """Tell whether these kernels can be had where some tensors are, and know their dtypes."""
    return {proba.dtype, features.dtype} <= DTYPES and _runs_on(proba.device)


@cache
def _runs_on(device: torch.device) -> bool:
    if torch.cuda.get_device_capability(device) < (8, 0):
        return False
    try:
        # With a C compiler Triton makes a part of itself when it runs for the first time.
        _fill[(1,)](torch.empty(1, device=device), **FUSED)
    except Exception as error:
        warnings.warn(
            f"Triton does not run here, so that selections on {device} take several times as "
            f"long: {one_line(error)}. Batches are the same. Most often it lacks a C compiler, "
            "such as gcc.",
            RuntimeWarning,
            stacklevel=2,
        )
        return False
    return True


@triton.jit
def _fill(X):
    tl.store(X, 0.0)


def margin(n_columns: int, n_features: int) -> float:
    """By which part of ‖G_i‖² + ‖G_c‖² a squared distance that is made of units may be off.

    Rounding takes at most 2⁻¹¹ of a number, so that the inner product of two unit vectors is off
    by no more than twice that, and by another 2⁻¹¹ as it is rounded itself. It is added up in
    float32: n 2⁻²² is twice what that may cost, in any order and with any rounding. 2⁻³² is for
    each number that is subnormal all the same, 2⁻¹⁹ for what is made of the products in float32.
    """
    a, h = (
        2.002 * (2.0**-11 + 2.0**-32 * n**0.5) + n * 2.0**-22 + 1.01 * 2.0**-11
        for n in (n_columns, n_features + 1)
    )
    return float(a + h + a * h + 2.0**-19)


def read(rows: TorchRows, part: slice) -> torch.Tensor:
    """Fill in what is kept of some rows, and return which of them need a second look."""
    doubtful = torch.empty(part.stop - part.start, dtype=torch.bool, device=rows.device)
    sums_to_1 = rows.task == "multiclass"
    # In float32: rather a second look too many.
    tolerance = rows.tolerance * (1 - 1e-6) if sums_to_1 else torch.inf
    at_most = torch.inf if sums_to_1 else 1.0
    _over(_read, rows, part)(doubtful.view(torch.int8), at_most, tolerance, **ROWS)
    return doubtful


# Of what is made for each dtype, one kernel does for all pools: compiling takes seconds.
@triton.jit(do_not_specialize=["n", "one_label"])
def _read(
    P, H, LABEL, A2, H2, n, C, D, p0, p1, h0, h1, one_label, bias, DOUBTFUL, at_most, tolerance,
    BR: tl.constexpr, BK: tl.constexpr,
):  # fmt: skip
    """Find pseudo-labels, ‖a‖² and ‖h‖², and whether all numbers may be as they are."""
    at = tl.program_id(0) * BR + tl.arange(0, BR)
    inside, row = at < n, tl.minimum(at, n - 1).to(tl.int64)
    k = tl.arange(0, BK)
    label, good = tl.zeros((BR,), tl.int32), tl.full((BR,), 1, tl.int32)
    largest, total = tl.full((BR,), -1.0, tl.float64), tl.zeros((BR,), tl.float64)
    for k0 in range(0, C, BK):
        p = _loaded(P, row, p0, k0 + k, p1, C)
        good &= tl.min(((p >= 0) & (p <= at_most)).to(tl.int32), 1)
        most = tl.max(p, 1)
        place = tl.min(tl.where(p == most[:, None], (k0 + k)[None, :], C), 1)
        # Of equal ones the first.
        label = tl.where(most > largest, place, label)
        largest = tl.maximum(largest, most)
        total += tl.sum(p, 1)
    good &= (tl.abs(total - 1) <= tolerance).to(tl.int32)
    label = tl.where(one_label != 0, label, -1)
    tl.store(LABEL + row, label, mask=at < n * one_label)
    a2, h2 = tl.zeros((BR,), tl.float64), tl.zeros((BR,), tl.float64)
    for k0 in range(0, C, BK):
        a = _residual(_loaded(P, row, p0, k0 + k, p1, C), k0 + k, label)
        a2 += tl.sum(a * a, 1)
    for k0 in range(0, D, BK):
        h = _loaded(H, row, h0, k0 + k, h1, D)
        h2 += tl.sum(h * h, 1)
    h2 += bias
    good &= (h2 < LARGEST).to(tl.int32)
    tl.store(A2 + row, a2, mask=inside)
    tl.store(H2 + row, h2, mask=inside)
    tl.store(DOUBTFUL + row, (good == 0).to(tl.int8), mask=inside)


@triton.jit
def _loaded(X, row, along_rows, column, along_columns, n_columns):
    """Numbers of some rows and columns in float64; 0 beyond the last column."""
    at = X + row[:, None] * along_rows + column[None, :].to(tl.int64) * along_columns
    return tl.load(at, mask=(column < n_columns)[None, :], other=0).to(tl.float64)


@triton.jit
def _residual(p, column, label):
    """p − onehot(label), or p − [p ≥ 0.5] where the label is −1."""
    rounded = (label < 0)[:, None] & (p >= 0.5)
    return tl.where(rounded | (column[None, :] == label[:, None]), p - 1.0, p)


class Units:
    """The centres of a pass as units, and how rows are held against them."""

    def __init__(self, rows: TorchRows, centres: TorchFactors, norms: torch.Tensor) -> None:
        self.rows, self.centres, self.norms = rows, centres, norms
        self.n_columns = _filled_up(rows.n_columns)
        self.width = self.n_columns + _filled_up(rows.n_features + rows.bias)
        n, last = len(centres), self.n_columns + rows.n_features
        self.units = torch.zeros(
            (_filled_up(n), self.width), dtype=torch.float16, device=rows.device
        )
        a, h = (UP.value * inverse_roots(x)[:, None] for x in (centres.a2, centres.h2))
        self.units[:n, : rows.n_columns] = centres.residuals * a
        self.units[:n, self.n_columns : last] = centres.features * h
        self.units[:n, last : last + rows.bias] = h

    def near(
        self,
        part: slice,
        norms: torch.Tensor,
        limit: torch.Tensor,
        margin: float,
        tiny: float,
    ) -> torch.Tensor:
        """Return the pairs that may be nearer than each row's limit: row · n_centres + centre."""
        rows, m, (n, width) = self.rows, len(norms), self.units.shape
        units = torch.empty((m, width), dtype=torch.float16, device=rows.device)
        roots = [inverse_roots(x[part]) for x in (rows.a2, rows.h2)]
        _over(_to_units, rows, part)(*roots, units, self.n_columns, width, **ROWS)
        words = torch.empty((m, -(-len(self.centres) // 32)), dtype=torch.int32, device=rows.device)
        parts = slice(self.n_columns), slice(self.n_columns, None)
        # In an eighth of the bytes that a tile may take.
        size = min(max(_torch_rows.MOST_BYTES // 8 // (4 * n), 1), m)
        products = units.new_empty(2, size, n)
        for lo in range(0, m, size):
            hi = min(lo + size, m)
            for columns, out in zip(parts, products, strict=True):
                torch.mm(units[lo:hi, columns], self.units[:, columns].T, out=out[: hi - lo])
            _sift[(triton.cdiv(hi - lo, SIFT["BR"]),)](
                *(*products, norms[lo:hi], self.norms, limit[lo:hi], words[lo:hi]),
                *(hi - lo, len(self.centres), n, words.shape[1], margin, tiny),
                **SIFT,
            )
        del units, products
        (some,) = words.view(-1).nonzero(as_tuple=True)
        bits = words.view(-1)[some, None] >> torch.arange(32, dtype=torch.int32, device=rows.device)
        which, bit = bits.bitwise_and_(1).nonzero(as_tuple=True)
        word = some[which]
        row = word // words.shape[1]
        return row * len(self.centres) + (word - row * words.shape[1]) * 32 + bit

    def squared_distances(self, part: slice, keys: torch.Tensor) -> torch.Tensor:
        """Return d² of pairs that are near, in float64, from the expanded form."""
        rows, centres = self.rows, self.centres
        out = torch.empty(len(keys), dtype=torch.float64, device=rows.device)
        if len(keys):
            _over(_expand, rows, part, len(keys))(
                *(keys, out, centres.residuals, centres.features, centres.a2, centres.h2),
                len(centres),
                **PAIRS,
            )
        return out


def _filled_up(n_columns: int) -> int:
    return -(-n_columns // FULL) * FULL


def _over(kernel: Any, rows: TorchRows, part: slice, n: int | None = None) -> Any:
    """Return a kernel over some rows as they are stored, and what is kept of them."""
    proba, features = rows.proba[part], rows.features[part]
    n = len(proba) if n is None else n
    kept = (rows.pseudo_labels[part], rows.a2[part], rows.h2[part])
    of_rows = (proba, features, *kept, n, rows.n_columns, rows.n_features)
    how = *proba.stride(), *features.stride(), int(has_one_label(rows.task)), float(rows.bias)

    def launch(*others: Any, BR: int, **constants: Any) -> None:
        kernel[(triton.cdiv(n, BR),)](*of_rows, *how, *others, BR=BR, **constants)

    return launch


@triton.jit(do_not_specialize=["n", "one_label"])
def _to_units(
    P, H, LABEL, A2, H2, n, C, D, p0, p1, h0, h1, one_label, bias, A_ROOT, H_ROOT, OUT, n_columns,
    width, BR: tl.constexpr, BK: tl.constexpr,
):  # fmt: skip
    """Divide rows by their norms, and round them to float16."""
    at = tl.program_id(0) * BR + tl.arange(0, BR)
    inside, row = at < n, tl.minimum(at, n - 1).to(tl.int64)
    k = tl.arange(0, BK)
    out = OUT + row[:, None] * width + k[None, :]
    label = tl.load(LABEL + row, mask=at < n * one_label, other=-1)
    a_root, h_root = tl.load(A_ROOT + row)[:, None] * UP, tl.load(H_ROOT + row)[:, None] * UP
    for k0 in range(0, n_columns, BK):
        column = k0 + k
        a = _residual(_loaded(P, row, p0, column, p1, C), column, label) * a_root
        mask = inside[:, None] & (column < n_columns)[None, :]
        tl.store(out + k0, a.to(tl.float32).to(tl.float16), mask=mask)
    for k0 in range(0, width - n_columns, BK):
        column = k0 + k
        h = _loaded(H, row, h0, column, h1, D)
        h = tl.where(column[None, :] == D, bias, h) * h_root
        mask = inside[:, None] & (column < width - n_columns)[None, :]
        tl.store(out + (n_columns + k0), h.to(tl.float32).to(tl.float16), mask=mask)


@triton.jit(do_not_specialize=["m", "n_centres", "n_words"])
def _sift(A, H, X, C, LIMIT, WORDS, m, n_centres, width, n_words, margin, tiny, BR: tl.constexpr):
    """Find the pairs of rows and centres whose d² may be below the row's limit: a bit for each.

    All norms and distances are in units of the largest centre. The limit is lowered by what the
    centres before allow: 32 at a time, and the first 32 by 1, 1, 2, 4, 8 and 16.
    """
    at = tl.program_id(0) * BR + tl.arange(0, BR)
    inside, row = at < m, tl.minimum(at, m - 1).to(tl.int64)
    x, limit = tl.load(X + row), tl.load(LIMIT + row)
    x_low, x_gap = (1 - margin) * x * x, 2 * margin * x * x
    twice = x * (2 / (UP * UP * UP * UP))
    bit = tl.arange(0, 32)
    place = row[:, None] * width + bit[None, :]
    for word in range(n_words):
        centre = word * 32 + bit
        c = tl.load(C + centre, mask=centre < n_centres, other=0.0)
        c_low = tl.where(centre < n_centres, (1 - margin) * c * c - tiny, float("inf"))
        products = tl.load(A + place).to(tl.float32) * tl.load(H + place).to(tl.float32)
        place += 32
        low = x_low[:, None] + c_low[None, :] - twice[:, None] * c[None, :] * products
        # What a lower bound lacks to an upper one, x_gap and this.
        high = low + (2 * margin * c * c + 2 * tiny)[None, :]
        bits = tl.zeros((BR,), tl.int32)
        n_steps = tl.where(word == 0, 6, 1)
        for step in range(n_steps):
            first, last = (1 << step) >> 1, tl.where(word == 0, 1 << step, 32)
            now = (bit >= first) & (bit < last)
            near = now[None, :] & (low < limit[:, None])
            bits += tl.sum(tl.where(near, (1 << bit)[None, :], 0), 1)
            least = tl.min(tl.where(now[None, :], high, float("inf")), 1)
            limit = tl.minimum(limit, least + x_gap)
        tl.store(WORDS + row * n_words + word, bits, mask=inside)


@triton.jit(do_not_specialize=["n", "one_label", "n_centres"])
def _expand(
    P, H, LABEL, A2, H2, n, C, D, p0, p1, h0, h1, one_label, bias, KEYS, OUT, CA, CH, CA2, CH2,
    n_centres, BR: tl.constexpr, BK: tl.constexpr,
):  # fmt: skip
    """d² of pairs, ‖G_i‖² + ‖G_c‖² − 2⟨a_i, a_c⟩⟨h_i, h_c⟩ in float64."""
    at = tl.program_id(0) * BR + tl.arange(0, BR)
    inside = at < n
    key = tl.load(KEYS + at, mask=inside, other=0)
    row, centre = key // n_centres, key % n_centres
    k = tl.arange(0, BK)
    label = tl.load(LABEL + row, mask=at < n * one_label, other=-1)
    aa, hh = tl.zeros((BR, BK), tl.float64), tl.zeros((BR, BK), tl.float64)
    for k0 in range(0, C, BK):
        column = k0 + k
        a = _residual(_loaded(P, row, p0, column, p1, C), column, label)
        aa += a * _loaded(CA, centre, C, column, 1, C)
    for k0 in range(0, D, BK):
        column = k0 + k
        hh += _loaded(H, row, h0, column, h1, D) * _loaded(CH, centre, D, column, 1, D)
    products = tl.sum(hh, 1) + bias
    squares = tl.load(A2 + row) * tl.load(H2 + row) + tl.load(CA2 + centre) * tl.load(CH2 + centre)
    tl.store(OUT + at, squares - 2 * tl.sum(aa, 1) * products, mask=inside)
