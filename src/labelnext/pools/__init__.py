"""Pools: what samples are chosen from, in memory or in files of any format.

It knows rows, dtypes, ids, groups and labels, and nothing of gradients: `labelnext.engine` makes
distances of it.
"""

from labelnext.pools._open import lists_nothing as lists_nothing
from labelnext.pools._open import lists_values as lists_values
from labelnext.pools._open import names_nothing as names_nothing
from labelnext.pools._open import open_pool
from labelnext.pools._open import open_source as open_source
from labelnext.pools._open import read_values as read_values
from labelnext.pools._write_pool import write_in_shards as write_in_shards
from labelnext.pools._write_pool import write_pool
from labelnext.pools._writer import PoolWriter
from labelnext.pools.arrays import ArraySource as ArraySource
from labelnext.pools.own import replacing as replacing
from labelnext.pools.pool import Pool
from labelnext.pools.source import PartOfSource as PartOfSource
from labelnext.pools.source import Source

__all__ = ["Pool", "PoolWriter", "Source", "open_pool", "write_pool"]
