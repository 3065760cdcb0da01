"""k-means++ of bmdal-reg on product features, in a process and an environment of its own.

Reads commands `k seed` a line on standard input and answers each with the seconds it took.
Run by benchmarks.competitors.bmdal; imports nothing of labelnext.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import torch
from bmdal_reg.bmdal.feature_data import ListFeatureData, TensorFeatureData
from bmdal_reg.bmdal.feature_maps import IdentityFeatureMap, ProductFeatureMap
from bmdal_reg.bmdal.features import Features
from bmdal_reg.bmdal.selection import KmeansppSelectionMethod

# bmdal-reg 3.0.2 asks for the name that NumPy 2 removed.
np.Inf = np.inf  # noqa: NPY201


def main(folder: Path) -> None:
    """Load a pool once, then time selections as they are asked for."""
    proba, h = np.load(folder / "proba.npy"), np.load(folder / "features.npy")
    a = proba.copy()
    a[np.arange(len(a)), a.argmax(axis=1)] -= 1
    maps = ProductFeatureMap([IdentityFeatureMap(a.shape[1]), IdentityFeatureMap(h.shape[1])])
    pool, unused = (
        Features(
            maps,
            ListFeatureData([TensorFeatureData(torch.from_numpy(part[:n])) for part in (a, h)]),
        )
        # It wants training data too, which the mode below never looks at.
        for n in (len(a), 1)
    )
    print("ready", flush=True)
    for line in sys.stdin:
        k, seed = map(int, line.split())
        np.random.seed(seed)  # noqa: NPY002  (its own generator)
        torch.manual_seed(seed)
        start = time.perf_counter()
        with torch.no_grad():
            method = KmeansppSelectionMethod(
                pool_features=pool, train_features=unused, sel_with_train=False, verbosity=0
            )
            method.select(k)
        print(time.perf_counter() - start, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
