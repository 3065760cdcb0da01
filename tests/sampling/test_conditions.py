"""The law with centres from the start, and with groups that become full."""

from collections import Counter

import numpy as np
import pytest

import oracle
import pools
from labelnext.engine import as_gradients
from labelnext.sampling import Groups, Room, _d2, d2_sample, d2_utilities

RUNS = 300
PLAUSIBLE, REJECTED = 1e-3, 1e-6
NO_ROWS = np.empty(0, dtype=np.int64)


def available(n, picked, exclude, centres, groups):
    free = np.ones(n, dtype=bool)
    free[[*exclude, *centres, *picked]] = False
    if groups is not None:
        counts = np.bincount(groups.of_row[list(picked)], minlength=groups.of_row.max() + 1)
        free &= counts[groups.of_row] < groups.limit
    return free


def next_law(tiny, picked, centres, groups):
    """The definition: D² to centres and picks, 0 where nothing can be picked."""
    free = available(len(tiny.d2), picked, tiny.exclude, centres, groups)
    if not picked and not len(centres):
        law = np.where(free, tiny.squared_norms, -1.0)
        if law.max() > 0:
            return np.eye(len(law))[law.argmax()]
        return free / free.sum()
    nearest = np.where(free, tiny.d2[:, [*centres, *picked]].min(axis=1), 0.0)
    return nearest / nearest.sum() if nearest.any() else free / free.sum()


def enumerate_batches(tiny, centres, groups):
    batches = {(): 1.0}
    for _ in range(tiny.k):
        longer = Counter()
        for picked, probability in batches.items():
            law = next_law(tiny, picked, centres, groups)
            for row in np.flatnonzero(law):
                longer[(*picked, int(row))] += probability * law[row]
        batches = longer
    return batches


def count(gradients, tiny, centres, groups, runs=RUNS):
    return Counter(
        tuple(
            d2_sample(
                gradients,
                tiny.k,
                exclude=np.array(tiny.exclude, dtype=np.int64),
                centres=centres,
                groups=groups,
                random_state=seed,
            ).indices.tolist()
        )
        for seed in range(runs)
    )


P, H = pools.TINY[0].proba, pools.TINY[0].features
SURE = np.eye(3)
POOLS = [
    pools.Tiny("generic", P, H, 3),
    pools.Tiny("exclusions", P, H, 3, exclude=(1,)),
    pools.Tiny("bias", P, H, 3, bias=True),
    pools.Tiny("duplicates", P[[0, 1, 0, 2, 1, 0, 3]], H[[0, 1, 0, 2, 1, 0, 3]], 3),
    pools.Tiny("zero gradients", np.vstack([P[:4], SURE]), H, 3),
    pools.Tiny("all gradients zero", SURE[[0, 1, 2, 0, 1, 2, 0]], H, 3),
    pools.Tiny("fewer points than k", P[[0, 0, 1, 1, 0, 1, 1]], H[[0, 0, 1, 1, 0, 1, 1]], 3),
]
CENTRES = [NO_ROWS, np.array([6]), np.array([2, 5])]
# Of sizes 3, 2, 1 and 1.
GROUPS = [None, *(Groups(np.array([0, 1, 0, 2, 1, 0, 3]), limit) for limit in (1, 2))]


@pytest.fixture(params=[1, _d2.FIRST_BLOCK], ids=["from passes", "from bounds"])
def _drawn(request, monkeypatch):
    """Draw from the D² of passes, or from bounds for long."""
    monkeypatch.setattr(_d2, "FIRST_BLOCK", request.param)


@pytest.mark.one_of(6, whole=2)
@pytest.mark.parametrize("tiny", POOLS, ids=str)
@pytest.mark.parametrize("centres", CENTRES, ids=["no centre", "a centre", "two centres"])
@pytest.mark.parametrize("groups", GROUPS, ids=["free", "one each", "two each"])
@pytest.mark.usefixtures("_drawn")
def test_ordered_batches_have_the_enumerated_probabilities(tiny, centres, groups):
    if groups is not None:
        free = available(7, [], tiny.exclude, centres, None)
        if np.minimum(np.bincount(groups.of_row[free]), groups.limit).sum() < tiny.k:
            tiny = pools.Tiny(tiny.name, tiny.proba, tiny.features, 2, tiny.exclude, tiny.bias)
    expected = enumerate_batches(tiny, centres, groups)
    counts = count(tiny.gradients(), tiny, centres, groups)
    assert oracle.chi_square(counts, expected) > PLAUSIBLE


@pytest.mark.parametrize("storage", pools.FEW, ids=str)
def test_the_law_holds_on_every_storage(storage, tmp_path):
    centres, groups = np.array([4, 1]), Groups(np.array([0, 1, 0, 2, 1, 0, 3]), 1)
    tiny = pools.Tiny("labels", storage.of(P), H, 3, task=storage.task)
    gradients, _, _ = storage.make(P, H, tmp_path)
    expected = enumerate_batches(tiny, centres, groups)
    assert oracle.chi_square(count(gradients, tiny, centres, groups, 80), expected) > PLAUSIBLE


def test_the_check_sees_what_is_forgotten():
    """Centres or groups left out, and a first pick that ignores the centres, are found."""
    tiny, centres, groups = POOLS[0], CENTRES[2], GROUPS[1]
    expected = enumerate_batches(tiny, centres, groups)
    gradients = tiny.gradients()
    assert oracle.chi_square(count(gradients, tiny, centres, None, 200), expected) < REJECTED
    assert oracle.chi_square(count(gradients, tiny, NO_ROWS, groups, 200), expected) < REJECTED
    # A first pick by its norm, after which the centres count.
    first = int(np.where(available(7, [], (), centres, groups), tiny.squared_norms, -1).argmax())
    rest = pools.Tiny("rest", P, H, 2)
    after = count(gradients, rest, np.array([*centres, first]), groups, 200)
    by_norm = Counter({(first, *batch): n for batch, n in after.items()})
    assert oracle.chi_square(by_norm, expected) < REJECTED


@pytest.mark.one_of(3)
@pytest.mark.parametrize("seed", range(3))
def test_one_batch_on_every_storage_prefixes_and_utilities(storage, tmp_path, seed):
    rng = np.random.default_rng(seed)
    proba, features = pools.confident(120, seed=seed)
    gradients, p, h = storage.make(proba, features, tmp_path)
    centres, exclude = np.arange(100, 115), np.arange(115, 120)
    groups = Groups(rng.integers(30, size=120), 2)
    arguments = {"centres": centres, "exclude": exclude, "groups": groups}
    batch = d2_sample(gradients, 40, random_state=seed, **arguments)
    plain = as_gradients(p, h, task=storage.task)
    same = d2_sample(plain, 40, random_state=seed, **arguments)
    np.testing.assert_array_equal(batch.indices, same.indices)
    assert len(set(batch.indices)) == 40
    assert (batch.indices < 100).all()
    assert np.bincount(groups.of_row[batch.indices]).max() == 2
    short = d2_sample(gradients, 7, random_state=seed, **arguments)
    np.testing.assert_array_equal(short.indices, batch.indices[:7])
    np.testing.assert_allclose(short.potentials, batch.potentials[:7])

    vectors = storage.gradients(p, h)
    d2 = oracle.squared_distances(vectors)
    utilities = d2_utilities(gradients, batch.indices, **arguments)
    for t in (0, 1, 20, 39):
        picked = batch.indices[:t].tolist()
        free = available(120, picked, exclude, centres, groups)
        law = np.where(free, d2[:, [*centres, *picked]].min(axis=1), 0.0)
        law = np.where(free, law / law.sum(), np.nan)
        np.testing.assert_allclose(utilities[t], law, rtol=1e-6, atol=1e-12)
        assert batch.d2[t] == pytest.approx(d2[batch.indices[t], [*centres, *picked]].min())


def test_many_centres_take_a_few_passes():
    proba, features = pools.confident(3000)
    gradients = as_gradients(proba, features)
    batch = d2_sample(gradients, 5, centres=np.arange(1500), random_state=0)
    assert batch.stats["passes"] <= 4
    assert batch.indices.min() >= 1500


def test_groups_know_how_many_can_be_picked():
    groups = Groups(np.array([0, 1, 0, 2, 1, 0, 3]), 2)
    assert groups.most() == 6
    room = Room(groups)
    assert [room.admit(row) for row in (0, 2, 5, 1)] == [True, True, False, True]
    assert room.filled().tolist() == [0, 2, 5]
    assert room.filled().tolist() == []
