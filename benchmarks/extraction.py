"""What extraction costs over running the network, and selection over extraction."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING, Any

import labelnext
from benchmarks.timing import Pairs

if TYPE_CHECKING:
    import torch
    from torch.utils.data import DataLoader

AT_LEAST, AT_MOST = 0.95, 0.02
POOL = 20_000


def measure(n: int, k: int, repeats: int, threads: int) -> dict[str, Any]:
    """Time `labelnext.extract` against a bare forward loop over the same loader, in turns.

    Parameters
    ----------
    n : int
        Images, of 28 × 28 random numbers.
    k : int
        Picks of the selection that follows.
    repeats : int
        Pairs of runs.
    threads : int
        Threads of torch.
    """
    import torch

    torch.set_num_threads(threads)
    model, loader = _network(), _loader(n)
    labelnext.extract(model, loader, progress=False)
    pairs = Pairs()
    ours = (pairs.ours, lambda: labelnext.extract(model, loader, progress=False))
    theirs = (pairs.theirs, lambda: _bare(model, loader))
    for pair in range(repeats):
        # Which goes first changes: each leaves memory and caches in a state for the next.
        for seconds, call in (ours, theirs) if pair % 2 else (theirs, ours):
            seconds.append(_seconds(call))
    # A pool as large as people have, once: a selection has costs that do not grow with it.
    start = time.perf_counter()
    pool = labelnext.extract(model, _loader(POOL), progress=False)
    extraction = time.perf_counter() - start
    labelnext.select(pool, k, random_state=0)
    selection = statistics.median(
        _seconds(lambda seed=seed: labelnext.select(pool, k, random_state=seed))
        for seed in range(repeats)
    )
    share = selection / extraction
    return {
        "n": n,
        "k": k,
        **pairs.as_dict(),
        "at_least": AT_LEAST,
        "pool": POOL,
        "extraction": extraction,
        "selection": selection,
        "share": share,
        "at_most": AT_MOST,
        "reached": pairs.ratio >= AT_LEAST and share <= AT_MOST,
    }


def _bare(model: torch.nn.Module, loader: DataLoader[Any]) -> None:
    import torch

    model.eval()
    with torch.inference_mode():
        for images, _ in loader:
            model(images)


def _network() -> torch.nn.Module:
    """Two convolutions, a hidden layer of 128 and a linear layer."""
    import torch
    from torch import nn

    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2)]
    layers += [nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2)]
    layers += [nn.Flatten(), nn.Linear(32 * 49, 128), nn.ReLU(), nn.Dropout(0.3)]
    return nn.Sequential(*layers, nn.Linear(128, 10))


def _loader(n: int) -> DataLoader[Any]:
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    images = torch.randn(n, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    return DataLoader(TensorDataset(images, torch.zeros(n)), batch_size=256)


def _seconds(call: Any) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start
