"""Large pools on disk, made shard by shard; one that was begun is gone on with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import softmax

from benchmarks.pools._synthetic import CHUNK, CONFIDENCE, network
from labelnext.pools import PoolWriter

if TYPE_CHECKING:
    from collections.abc import Callable

FOLDER = Path(".benchmarks/pools")
# Chunks of the generator in a shard: 131,072 rows.
CHUNKS = 16


def pool_folder(
    n: int,
    n_features: int,
    n_classes: int,
    log: Callable[[str], object] = lambda text: None,
    dtype: str = "float16",
) -> Path:
    """Return the folder of a synthetic pool, which is made if it is not whole yet.

    Parameters
    ----------
    n, n_features, n_classes : int
        Its shape.
    log : callable
        Is told how far it is.
    dtype : str
        Of probabilities and features.
    """
    path = FOLDER / f"scale-{n}x{n_features}x{n_classes}-{dtype}"
    settings = {"by": "benchmarks/scale", "confidence": CONFIDENCE}
    writer = PoolWriter(path, settings=settings, resume=True)
    if writer.complete:
        return path
    model = network(n_features, n_classes, CONFIDENCE, seed=0)
    rows_per_shard = CHUNKS * CHUNK
    n_shards = -(-n // rows_per_shard)
    for shard in sorted(set(range(n_shards)) - writer.finished.keys()):
        log(f"{path.name}: shard {shard + 1} of {n_shards}")
        n_rows = min(rows_per_shard, n - shard * rows_per_shard)
        proba = np.empty((n_rows, n_classes), dtype)
        features = np.empty((n_rows, n_features), dtype)
        for number, lo in enumerate(range(0, n_rows, CHUNK)):
            rows = slice(lo, min(lo + CHUNK, n_rows))
            logits, h = model.chunk(shard * CHUNKS + number)
            proba[rows] = softmax(logits, axis=1)[: n_rows - lo]
            features[rows] = h[: n_rows - lo]
        writer.write(shard, proba, features)
    writer.finish(n_shards)
    return path
