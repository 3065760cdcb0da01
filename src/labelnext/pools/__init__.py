"""Arrays of a pool as they lie in files: reading them in stretches, writing them in shards.

It knows rows, dtypes and ids, and nothing of gradients: `labelnext.engine` makes pools of it.
"""

from labelnext.pools._open import open_source
from labelnext.pools._write_pool import write_pool
from labelnext.pools._writer import PoolWriter
from labelnext.pools.arrays import ArraySource
from labelnext.pools.check import check_proba
from labelnext.pools.pool import Pool
from labelnext.pools.source import PartOfSource, Source

__all__ = [
    "ArraySource",
    "PartOfSource",
    "Pool",
    "PoolWriter",
    "Source",
    "check_proba",
    "open_source",
    "write_pool",
]
