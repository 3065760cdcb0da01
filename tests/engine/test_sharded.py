"""A pool in parts: what they agree on, what they are asked, and how one of them is built again."""

import itertools

import numpy as np
import pytest
import scipy.sparse as sp

import pools
from labelnext.engine import ShardedGradients, as_gradients
from labelnext.engine._shards import LocalShards, Shard
from labelnext.sampling import Groups, d2_sample, d2_utilities, farthest_first

NONE = np.empty(0, dtype=np.int64)
# Parts that begin at these rows are of very unequal sizes.
PLACES = (1, 64, 700, 2048, 2500)
KINDS = {
    "plain": [pools.plain],
    "pruned": [pools.pruned],
    "both": [pools.plain, pools.pruned],
}


@pytest.fixture(name="arrays", scope="module")
def _arrays():
    return pools.confident(3000, n_classes=5, n_features=12, seed=3)


@pytest.fixture(name="kinds", params=KINDS.values(), ids=KINDS)
def _kinds(request):
    return request.param


@pytest.fixture(name="whole")
def _whole(arrays):
    return pools.plain(*arrays, bias=False)


class Recorded(LocalShards):
    """Parts of this process that remember what they were asked."""

    def __init__(self, given):
        super().__init__(given)
        self.calls = []

    def begin(self, journal):
        return self

    def _call(self, method, arguments, shared):
        self.calls.append((method, sorted(arguments)))
        return super()._call(method, arguments, shared)


def test_says_what_it_is(whole):
    pool = pools.cut(whole, PLACES, [pools.plain])
    assert repr(pool) == (
        "ShardedGradients of 3,000 rows: multiclass, 5 classes, 12 features in float64, "
        "on 6 shards on cpu"
    )
    assert pool.proba.shape == (3000, 5)
    np.testing.assert_array_equal(pool.starts, [0, *PLACES, 3000])


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (lambda p, h: as_gradients(p, h[:, :5]), r"numbers of columns .*: \(3, 6\) and \(3, 5\)"),
        (lambda p, h: as_gradients(p, h.astype(np.float32)), ".*'float64'.*'float32'"),
        (lambda p, h: as_gradients(p, sp.csr_array(h)), "kinds of features .*False and True"),
        (lambda p, h: as_gradients(p, h, task="multilabel"), "tasks: multiclass and multilabel"),
        (lambda p, h: as_gradients(p, h, bias=True), "biases: False and True"),
    ],
    ids=["columns", "dtypes", "sparse", "task", "bias"],
)
def test_parts_of_another_pool_are_refused(other, message):
    proba, features = pools.confident(20, n_classes=3, n_features=6)
    alike = as_gradients(proba, features)
    with pytest.raises(ValueError, match=f"shard 0 and shard 2 have different {message}"):
        ShardedGradients([alike, alike, other(proba, features)])


def test_first_of_equal_norms_is_picked_whichever_part_it_is_in(kinds):
    proba, features = pools.confident(12)
    for first, last in [(2, 9), (0, 11), (5, 6)]:
        both = [first, last]
        proba[both], features[both] = [0.25] * 4, 100.0
        pool = pools.cut(as_gradients(proba, features), (1, 3, 6, 10), kinds)
        assert pool.start(NONE).largest_norm() == first
        assert pool.start(np.array([first])).largest_norm() == last
        features[both] = 0.1


def test_rows_come_from_their_parts_in_the_order_asked_for(whole, kinds):
    pool = pools.cut(whole, PLACES, kinds)
    for rows in ([2999, 0, 1, 63, 2047, 2048, 0, 64], [5], [1500, 1400], []):
        factors, expected = pool.gather(np.array(rows, int)), whole.gather(np.array(rows, int))
        np.testing.assert_array_equal(factors.residuals, expected.residuals)
        np.testing.assert_array_equal(factors.features, expected.features)
        np.testing.assert_array_equal(factors.pseudo_labels, expected.pseudo_labels)


def test_a_pass_is_one_call_of_each_part_and_one_more_where_scales_differ(arrays):
    proba, features = arrays
    ends = itertools.pairwise([0, *PLACES, 3000])
    shards = Recorded([as_gradients(proba[lo:hi], features[lo:hi]) for lo, hi in ends])
    batch = d2_sample(ShardedGradients(shards), 1000, random_state=0)
    names = [name for name, _ in shards.calls]
    every = list(range(6))
    passes = [called for name, called in shards.calls if name == "min_update"]
    assert passes == [every] * batch.stats["passes"]
    # Only where the largest D² of all has halved are shards asked to weigh again.
    changes = names.count("bound") + len(passes)
    assert 0 < names.count("weigh") < changes
    # Rows that were drawn have come with their numbers: only the first pick is asked for.
    assert names.count("stored") == 2
    assert names.count("about") == names.count("start") == 1
    assert shards.traffic.messages == sum(len(called) for _, called in shards.calls)


def test_bytes_are_those_of_what_is_sent(arrays):
    proba, features = (x.astype(np.float32) for x in arrays)
    pool = ShardedGradients(
        [as_gradients(proba[a : a + 1500], features[a : a + 1500]) for a in (0, 1500)]
    )
    rows = np.arange(10)
    centres, d2 = pool.gather(rows), pool.start(NONE)
    before = pool.shards.traffic.bytes_sent
    d2.min_update(centres, rows)
    sent = pool.shards.traffic.bytes_sent - before
    # To each part: ten rows in float32, their numbers and a few more.
    block = 10 * (5 + 12) * 4 + 10 * 8
    assert 2 * block <= sent <= 2 * (block + 64)


def test_groups_and_centres(whole, arrays, kinds):
    pool = pools.cut(whole, PLACES, kinds)
    groups = Groups(np.arange(3000) % 40, limit=3)
    centres = np.array([5, 2999, 64])
    one, other = (
        d2_sample(g, 100, groups=groups, centres=centres, random_state=1) for g in (whole, pool)
    )
    np.testing.assert_array_equal(one.indices, other.indices)
    assert np.bincount(other.indices % 40).max() == 3
    utilities = [
        d2_utilities(g, one.indices[:20], groups=groups, centres=centres) for g in (whole, pool)
    ]
    np.testing.assert_allclose(*utilities, rtol=1e-9, atol=1e-15)


def test_farthest_first(whole, kinds):
    pool = pools.cut(whole, PLACES, kinds)
    batches = [farthest_first(g, 600, np.array([70, 2])) for g in (whole, pool)]
    np.testing.assert_array_equal(batches[0].indices, batches[1].indices)


@pytest.mark.parametrize("m", [1, 30, 1024, 2990, 5000])
def test_largest_of_all_parts_with_ties(m):
    proba, features = pools.confident(3000)
    copies = np.random.default_rng(0).integers(40, size=3000)
    whole = pools.plain(proba[copies], features[copies])
    rows, exclude = np.array([3, 4]), np.arange(7)
    found = []
    for pool in (whole, pools.cut(whole, (1, 5, 6, 900), [pools.plain])):
        d2 = pool.start(exclude)
        d2.min_update(pool.gather(rows), rows)
        found.append(d2.largest(m))
    np.testing.assert_array_equal(found[0][0], found[1][0])
    np.testing.assert_array_equal(found[0][1], found[1][1])
    assert found[0][2] == found[1][2]


def test_two_selections_at_a_time_do_not_disturb_each_other(whole):
    pool = pools.cut(whole, PLACES, [pools.plain])
    one, other = pool.start(NONE), pool.start(np.arange(10))
    one.bound(1.0)
    other.min_update(pool.gather(np.array([20])), np.array([20]))
    assert (one.n_available, other.n_available) == (3000, 2989)
    assert (one.values > 0).all()


class Forgetful(LocalShards):
    """Parts of which one is built anew before each call, from its rows and the journal."""

    def __init__(self, given, lost):
        super().__init__(given)
        self.lost, self.n_rebuilt = lost, 0

    def begin(self, journal):
        self.journal = journal
        return self

    def _call(self, method, arguments, shared):
        if self.lost in arguments and method not in {"about", "start"}:
            first = self.shards[self.lost].first_row
            pool = self.pools[self.lost]
            part = Shard(pool, first)
            for name, given in self.journal.calls(first, first + pool.n_rows):
                getattr(part, name)(*given)
            self.shards[self.lost] = part
            self.n_rebuilt += 1
        return super()._call(method, arguments, shared)


@pytest.mark.one_of(2)
@pytest.mark.parametrize("lost", range(4))
@pytest.mark.parametrize("grouped", [False, True], ids=["", "groups"])
def test_a_part_that_is_lost_again_and_again_changes_nothing(whole, kinds, lost, grouped):
    groups = Groups(np.arange(3000) % 90, limit=5) if grouped else None
    exclude = np.arange(3, 3000, 50)
    pool = pools.cut(whole, (100, 1000, 1500), kinds)
    shards = Forgetful(pool.shards.pools, lost)
    batches = [
        d2_sample(g, 400, exclude=exclude, groups=groups, random_state=5)
        for g in (whole, ShardedGradients(shards))
    ]
    np.testing.assert_array_equal(batches[0].indices, batches[1].indices)
    np.testing.assert_allclose(batches[0].d2, batches[1].d2, rtol=1e-9)
    np.testing.assert_allclose(batches[0].potentials, batches[1].potentials, rtol=1e-9)
    assert shards.n_rebuilt > 5


@pytest.mark.parametrize("seed", range(3))
def test_parts_of_which_some_alone_have_negative_features(kinds, seed):
    # Where no feature of a part is negative its bounds are tighter, until such a centre comes.
    proba, features = pools.confident(3000, n_classes=5, n_features=3, seed=seed)
    features[:1500] = np.abs(features[:1500])
    features[1500:] = -np.abs(features[1500:])
    whole = pools.plain(proba, features, bias=False)
    batches = [
        d2_sample(g, 400, random_state=seed) for g in (whole, pools.cut(whole, (1500,), kinds))
    ]
    np.testing.assert_array_equal(batches[0].indices, batches[1].indices)
    np.testing.assert_allclose(batches[0].potentials, batches[1].potentials, rtol=1e-9)
