"""How common a class is, from small random slices."""

import numpy as np
import pytest

from labelnext.report.shares import _estimate


@pytest.mark.parametrize("sizes", [[60, 8, 8, 8, 8, 8], [5] * 12, [40]])
@pytest.mark.parametrize("share", [0.03, 0.1, 0.5])
def test_many_small_slices_are_one_sample(share, sizes):
    rng = np.random.default_rng(0)
    found = [
        _estimate([(n, int(rng.binomial(n, share)), 0.0, 1.0) for n in sizes]) for _ in range(500)
    ]
    assert all(each["low"] <= each["share"] <= each["high"] for each in found)
    assert np.mean([each["low"] <= share <= each["high"] for each in found]) > 0.92
    # Nor is it wider than it need be.
    width = np.mean([each["high"] - each["low"] for each in found])
    n = sum(sizes) + 4
    assert width < 1.1 * 2 * 1.96 * np.sqrt(max(share, 4 / n) / n)
