"""Selection from tensors on a GPU, of ImageNet's shape, against what no selection does without."""

from __future__ import annotations

import statistics
import time
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

import labelnext
from benchmarks.pools._synthetic import network

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

    from benchmarks.pools._synthetic import Network

# Rows, features, classes, picks, what the factors are stored in, and the seconds that the whole
# selection may take on an H100.
SHAPES = [
    (1_281_167, 512, 1_000, 100, "float32", 0.05),
    (1_281_167, 512, 1_000, 10_000, "float32", 0.5),
    (1_281_167, 2_048, 1_000, 10_000, "float32", 0.7),
    (1_281_167, 2_048, 1_000, 10_000, "float16", None),
]
CHUNK = 65_536
# Centres of a product of the floor: a pass of the selection has up to so many.
BLOCK = 4_096


def run(repeats: int) -> dict[str, Any]:
    """Measure every shape, or say why not."""
    try:
        import torch
    except ImportError:
        return {"not_run": "torch is not installed: pip install labelnext[torch]"}
    if not torch.cuda.is_available():
        return {"not_run": f"torch {torch.__version__} sees no CUDA device on this machine"}
    device = torch.device("cuda")
    about = torch.cuda.get_device_properties(device)
    rows = [measure(*shape, device, repeats) for shape in SHAPES]
    return {
        "device": about.name,
        "memory": about.total_memory,
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "rows": rows,
    }


def measure(
    n: int,
    n_features: int,
    n_classes: int,
    k: int,
    dtype: str,
    allowed: float | None,
    device: torch.device,
    repeats: int,
) -> dict[str, Any]:
    """Time whole selections, in turns with reading the pool once and with one product of it."""
    import torch

    proba, features = factors(n, n_features, n_classes, getattr(torch, dtype), device)
    inputs = sum(x.numel() * x.element_size() for x in (proba, features))

    def selection(seed: int) -> labelnext.Batch:
        return labelnext.select(proba, features, k, random_state=seed)

    # Libraries, kernels and torch's own store of memory come with the first.
    selection(0)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    ours, reading, product, batch = [], [], [], None
    for seed in range(repeats):
        seconds, batch = _timed(lambda seed=seed: selection(seed), device)
        ours.append(seconds)
        reading.append(_timed(lambda: read_once(proba, features), device)[0])
        product.append(_timed(lambda: products(proba, features, k), device)[0])
    median, floor = statistics.median(ours), min(reading) + min(product)
    return {
        "n": n,
        "n_features": n_features,
        "n_classes": n_classes,
        "k": k,
        "dtype": dtype,
        "seconds": ours,
        "reading": min(reading),
        "product": min(product),
        "median": median,
        "ratio": median / floor,
        "allowed": allowed,
        "reached": allowed is None or median <= allowed,
        "inputs": inputs,
        "peak": torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None,
        "stats": dict(batch.stats) if batch is not None else {},
    }


def _timed(call: Callable[[], Any], device: torch.device) -> tuple[float, Any]:
    _wait(device)
    start = time.perf_counter()
    result = call()
    _wait(device)
    return time.perf_counter() - start, result


def _wait(device: torch.device) -> None:
    import torch

    if device.type == "cuda":
        torch.cuda.synchronize(device)


def read_once(proba: torch.Tensor, features: torch.Tensor) -> float:
    """Read all numbers once."""
    import torch

    return sum(float(x.sum(dtype=torch.float32)) for x in (proba, features))


def products(proba: torch.Tensor, features: torch.Tensor, k: int) -> float:
    """Make the products of both factors of all rows with k of them, in float16, and no more.

    Returns the last number, for which all of them have to be done.
    """
    import torch

    from labelnext.utils.libraries import plain_float32

    with plain_float32(proba.device):
        for lo in range(0, len(proba), CHUNK):
            for x in (proba, features):
                rows, centres = x[lo : lo + CHUNK].half(), x[:k].half()
                for first in range(0, k, BLOCK):
                    out = torch.mm(rows, centres[first : first + BLOCK].T)
        return float(out[-1, -1])


@lru_cache(maxsize=1)
def factors(
    n: int, n_features: int, n_classes: int, dtype: torch.dtype, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Make a pool as `pools/_synthetic.py` does, on the device."""
    import torch

    model = network(n_features, n_classes, confidence=0.80, seed=0)
    proba = torch.empty((n, n_classes), dtype=dtype, device=device)
    features = torch.empty((n, n_features), dtype=dtype, device=device)
    for number, lo in enumerate(range(0, n, CHUNK)):
        rows = slice(lo, min(lo + CHUNK, n))
        p, h = _chunk(model, number, rows.stop - lo, device)
        proba[rows], features[rows] = p.to(dtype), h.to(dtype)
    return proba, features


def _chunk(
    model: Network, number: int, size: int, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    import torch

    rng = np.random.default_rng([model.seed, number])
    generator = torch.Generator(device).manual_seed(number)
    prototypes, directions, weights = (
        torch.as_tensor(np.asarray(x, dtype=np.float32), device=device)
        for x in (model.prototypes, model.directions, model.weights)
    )
    own = rng.integers(len(model.prototypes), size=size)
    other = model.neighbours[own, rng.integers(model.neighbours.shape[1], size=size)]
    share, scale = (
        torch.as_tensor(x.astype(np.float32), device=device)[:, None]
        for x in (0.5 * rng.beta(0.35, 0.7, size=size), rng.lognormal(0, 0.35, size=size))
    )
    own, other = (torch.as_tensor(x, device=device) for x in (own, other))
    shared = torch.randn((size, len(directions)), generator=generator, device=device)
    noise = torch.randn((size, prototypes.shape[1]), generator=generator, device=device)
    h = (1 - share) * prototypes[own] + share * prototypes[other]
    h = (h + shared @ directions + 0.3 * noise).clamp_(min=0) * scale
    return torch.softmax(h @ weights.T * model.sharpness, dim=1), h
