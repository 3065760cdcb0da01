"""What tells one pool from another, for those who go on with a selection."""

import numpy as np

import pools

# Pools whose norms are the same, or the same in another order.
CHANGES = {
    "none": lambda p, h: (p, h),
    "negated": lambda p, h: (p, -h),
    "half negated": lambda p, h: (p, np.where(np.arange(len(h))[:, None] % 2, h, -h)),
    "one negated": lambda p, h: (p, np.where(np.arange(len(h))[:, None] == 17, -h, h)),
    "classes swapped": lambda p, h: (np.ascontiguousarray(p[:, [1, 0, 2, 3]]), h),
    "rows reversed": lambda p, h: (p[::-1], h[::-1]),
    "rows swapped": lambda p, h: tuple(x[[1, 0, *range(2, len(x))]] for x in (p, h)),
    "columns reversed": lambda p, h: (p, np.ascontiguousarray(h[:, ::-1])),
}


def test_pools_with_other_factors_have_others(storage, tmp_path):
    # Of a pool in shards some rows are looked at.
    arrays = pools.confident(60 if storage.name.endswith("shards") else 301, n_features=6)
    seen = {}
    # Where the features are the gradients, there are no classes; a single column has no order.
    one = storage.task in ("vectors", "binary")
    names = [name for name in CHANGES if not (name == "classes swapped" and one)]
    for name in names:
        change = CHANGES[name]
        (tmp_path / name).mkdir()
        pool, _, _ = storage.make(*change(*arrays), tmp_path / name)
        seen[pool.fingerprint()] = name
    assert list(seen.values()) == names
    assert storage.make(*arrays, tmp_path)[0].fingerprint() in seen
