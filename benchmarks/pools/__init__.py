"""The pools that the benchmarks choose from, by name; made once and kept on disk."""

from benchmarks.pools._registry import POOLS, Pool, load_pool, make_pool, synthetic_name

__all__ = ["POOLS", "Pool", "load_pool", "make_pool", "synthetic_name"]
