"""Features whose squares are 0, so that no distance tells samples apart."""

import re

import numpy as np
import pytest

import pools
from labelnext import Pool, select, strategies
from labelnext.sampling import d2_sample, farthest_first

PROBA, FEATURES = pools.confident(60)
LOOKING = [
    name
    for name in strategies.names()
    if "features" in strategies.find(name).needs
    and not {"members", "last_layer"} & {*strategies.find(name).needs}
]
STORAGES = [s for s in pools.MULTICLASS if s.dtype is np.float64]
REFUSED = "The features are too small: their largest value is .*; multiply all of them by"


@pytest.mark.parametrize("size", [1e-152, 1e-155, 1e-170, 1e-310])
@pytest.mark.parametrize("storage", STORAGES, ids=str)
def test_wherever_a_pool_lives(storage, size, tmp_path):
    gradients, *_ = storage.make(PROBA, size * FEATURES, tmp_path)
    for centres in (np.array([], dtype=np.int64), np.array([3]), np.arange(20)):
        with pytest.raises(ValueError, match=REFUSED):
            d2_sample(gradients, 3, centres=centres)
    with pytest.raises(ValueError, match=REFUSED):
        farthest_first(gradients, 3, np.array([3]))


@pytest.mark.parametrize("of", LOOKING)
@pytest.mark.parametrize(("dtype", "size"), [(np.float64, 1e-170), (np.float32, 1e-42)])
def test_strategies_and_the_advice(of, dtype, size):
    features = (size * FEATURES).astype(dtype)
    pool = Pool(PROBA, features)
    if of in ("badge", "core-set") and dtype == np.float32:  # they square in float64
        assert len(select(pool, 4, strategy=of, random_state=0)) == 4
        return
    with pytest.raises(ValueError, match=REFUSED) as error:
        select(pool, 4, strategy=of, random_state=0)
    scaled = float(re.search(r"constant, (1e\d+) say", str(error.value))[1]) * features
    assert scaled.dtype == dtype
    assert len(select(Pool(PROBA, scaled), 4, strategy=of, random_state=0)) == 4


@pytest.mark.parametrize("of", LOOKING)
def test_what_stays_allowed(of):
    beside = np.vstack([FEATURES[:30], 1e-170 * FEATURES[30:]])
    for features in (0 * FEATURES, beside, 1e-140 * FEATURES):
        assert len(select(Pool(PROBA, features), 3, strategy=of, random_state=0)) == 3
    sure = np.eye(4)[np.arange(60) % 4]
    assert len(select(Pool(sure, FEATURES), 3, strategy=of, random_state=0)) == 3


def test_a_bias_counts_beside_them():
    batch = select(Pool(PROBA, 1e-170 * FEATURES, bias=True), 3, random_state=0)
    assert batch.d2.min() > 0
