"""Invariant 1: batches come with the probabilities of the sequential law, and no others."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pytest
from scipy import stats

import oracle
import pools
from labelnext.engine import Factors, PassReport
from labelnext.engine._plain import PlainD2, PlainGradients
from labelnext.engine._rows import ArrayRows
from labelnext.sampling import _d2, d2_sample

RUNS = 800
# Seeds are fixed, so these are no chances of failure but measures of how far off is too far.
PLAUSIBLE, REJECTED = 1e-3, 1e-6


def count_batches(gradients, tiny, runs=RUNS):
    exclude = np.array(tiny.exclude, dtype=np.int64)
    batches = (d2_sample(gradients, tiny.k, exclude=exclude, random_state=s) for s in range(runs))
    return Counter(tuple(batch.indices.tolist()) for batch in batches)


# From the D² of a pass after the first pick already, or from bounds for long.
WAYS = {"from passes": 1, "from bounds": _d2.FIRST_BLOCK}


@pytest.fixture(params=WAYS.values(), ids=WAYS)
def _drawn(request, monkeypatch):
    monkeypatch.setattr(_d2, "FIRST_BLOCK", request.param)


def each_and_one_way(cases):
    """Cases, each in both ways to draw; in the quick suite one of six in one way."""
    return [
        pytest.param(case, way, id=f"{name}-{case}", marks=[pytest.mark.slow] * (i % 6 != 3 * j))
        for i, case in enumerate(cases)
        for j, (name, way) in enumerate(WAYS.items())
    ]


@pytest.mark.parametrize(("tiny", "_drawn"), each_and_one_way(pools.TINY), indirect=["_drawn"])
def test_ordered_batches_have_the_enumerated_probabilities(tiny, _drawn):
    gradients = tiny.gradients()
    assert oracle.chi_square(count_batches(gradients, tiny), tiny.batches()) > PLAUSIBLE


# That a storage picks what the plain pool picks, seed by seed, is tested elsewhere.
@pytest.mark.one_of(2, whole=2)
@pytest.mark.parametrize("storage", pools.FEW, ids=str)
@pytest.mark.usefixtures("_drawn")
def test_the_law_holds_on_every_storage(storage, tmp_path):
    names = {
        "multiclass": "zero gradients",
        "multilabel": "labels",
        "binary": "one logit",
        "vectors": "vectors",
    }
    tiny = next(t for t in pools.TINY if t.name == names[storage.task])
    gradients, _, _ = storage.make(tiny.proba, tiny.features, tmp_path)
    assert oracle.chi_square(count_batches(gradients, tiny, 200), tiny.batches()) > PLAUSIBLE


# What the test above must be able to see: faults that other implementations have, or that this
# one could have. Each is a pool whose gradients or D² lie in one way.


@dataclass(frozen=True)
class Lying(Factors):
    """Factors whose rows, too, are of the lying kind."""

    @classmethod
    def of(cls, true):
        return cls(true.residuals, true.features, true.pseudo_labels, true.bias)

    def __getitem__(self, rows):
        return self.of(super().__getitem__(rows))

    def distances_within(self, below):
        return self.squared_distances(self, below=below)


class Float32(Lying):
    """d² expanded in float32: between near points its digits are lost."""

    def squared_distances(self, other, **_):
        a, h, b, g = (
            x.astype(np.float32)
            for x in (self.residuals, self.features, other.residuals, other.features)
        )
        x2, y2 = ((a**2).sum(1) * (h**2).sum(1)), ((b**2).sum(1) * (g**2).sum(1))
        return np.maximum(x2[:, None] + y2[None] - 2 * (a @ b.T) * (h @ g.T), 0).astype(float)


class NotSquared(Lying):
    """Distances where squared distances belong."""

    def squared_distances(self, other, **_):
        return np.sqrt(super().squared_distances(other))


class NoThinning(PlainD2):
    """Every draw from stale D² is accepted, but for those that are at a centre."""

    class Blind(Lying):
        def squared_distances(self, other, **_):
            return np.where(super().squared_distances(other) == 0, 0.0, np.inf)

    def min_update(self, centres, rows, trace=None):
        return super().min_update(PlainGradients.gather(self.pool, rows), rows, trace)


class GhostCentre(PlainD2):
    """The origin is a centre from the start."""

    def __init__(self, pool, exclude):
        super().__init__(pool, exclude)
        self.values = np.minimum(self.values, pool.squared_norms)

    def min_update(self, centres, rows, trace=None):
        report = super().min_update(centres, rows, trace)
        self.values = np.minimum(self.values, self.pool.squared_norms)
        self._weigh()
        return report


class StaleD2(PlainD2):
    """A pass looks at the first centre of its block alone."""

    def min_update(self, centres, rows, trace=None):
        report = super().min_update(centres[:1], rows[:1], trace)
        self._take(rows)
        self._weigh()
        return PassReport(np.repeat(report.potentials, len(rows)))


class LowBound(PlainD2):
    """What is drawn from before the first pass is no upper bound on D²."""

    def bound(self, norm):
        super().bound(norm / 4)


def lie(tiny, variant=PlainD2):
    """The pool of `tiny`, lying in the way of `variant`: a kind of factors or of D²."""

    class LyingPool(PlainGradients):
        def _factors(self, stored, rows):
            true = super()._factors(stored, rows)
            return variant.of(true) if issubclass(variant, Factors) else true

        def gather(self, rows):
            true = super().gather(rows)
            return variant.Blind.of(true) if issubclass(variant, NoThinning) else true

        def start(self, exclude):
            return (variant if issubclass(variant, PlainD2) else PlainD2)(self, exclude)

    return LyingPool(ArrayRows(tiny.proba, tiny.features), bias=tiny.bias)


# A few units apart, far from the origin.
FAR = 2.0**14 + np.array([[0, 0], [0, 3], [3, 3], [-6, 5], [-5, -2], [1, -4.0]])
PAIRS = np.array([[9, 0], [9, 1], [-8, 0], [-8, 1], [0, 8], [1, 8], [0, -8], [1, -8.0]])
FAR = pools.Tiny("far", np.full((6, 2), 0.5), FAR, 3)
PAIRS = pools.Tiny("pairs", np.full((8, 2), 0.5), PAIRS, 5)


@pytest.mark.slow
@pytest.mark.parametrize("tiny", [FAR, PAIRS], ids=str)
def test_the_pools_of_the_broken_variants_pass_unbroken(tiny):
    assert oracle.chi_square(count_batches(lie(tiny), tiny), tiny.batches()) > PLAUSIBLE


@pytest.mark.slow  # they test the tests
@pytest.mark.parametrize(
    ("tiny", "variant"),
    [
        (PAIRS, GhostCentre),
        (PAIRS, NoThinning),
        (PAIRS, NotSquared),
        (PAIRS, StaleD2),
        (PAIRS, LowBound),
        (FAR, Float32),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_broken_variants_are_rejected(tiny, variant):
    assert oracle.chi_square(count_batches(lie(tiny, variant), tiny), tiny.batches()) < REJECTED


@pytest.mark.parametrize("kind", ["PCG64", "PCG64DXSM", "Philox", "SFC64", "MT19937"])
def test_draws_are_made_of_64_random_bits(kind):
    make = getattr(np.random, kind)
    bits = _d2._bits(np.random.Generator(make(5)), 200)
    rng = np.random.Generator(make(5))
    np.testing.assert_array_equal(bits, rng.integers(1 << 64, size=200, dtype=np.uint64))


class Larger:
    """200 rows, 40 picks: many blocks or one, held against the sequential law."""

    K, RUNS, ORACLE_RUNS = 40, 300, 20_000

    def __init__(self):
        # The means of a few tight groups, so that stale D² is often far from the true one.
        rng = np.random.default_rng(4)
        proba, features = pools.confident(200, seed=3)
        features = 3 * features[rng.integers(25, size=200)] + 0.1 * rng.normal(size=(200, 8))
        self.tiny = pools.Tiny("larger", proba, features, self.K)
        self.picks, self.potentials = oracle.sample_many(
            self.tiny.squared_norms, self.tiny.d2, self.K, self.ORACLE_RUNS, rng
        )

    def worst(self, gradients):
        """How implausible, as p-values: who is picked, who is picked when, and the potential."""
        batches = [d2_sample(gradients, self.K, random_state=s) for s in range(self.RUNS)]
        picks = np.array([b.indices for b in batches])
        potentials = np.array([b.potentials for b in batches])
        p_values = [
            self._same_rows(picks[:, rank], self.picks[:, rank]) for rank in (3, 7, 12, 20, 30, 39)
        ]
        share, expected = (
            (x[:, :, None] == np.arange(200)).any(axis=1).mean(axis=0)
            for x in (picks, self.picks[:4000])
        )
        spread = np.sqrt(expected * (1 - expected) * (1 / self.RUNS + 1 / 4000))
        z = np.abs(share - expected)[spread > 0] / spread[spread > 0]
        p_values.append(stats.norm.sf(z.max()) * 2 * len(z))
        spread = self.potentials.std(axis=0) * np.sqrt(1 / self.RUNS + 1 / self.ORACLE_RUNS)
        z = np.abs(potentials.mean(axis=0) - self.potentials.mean(axis=0))[1:] / spread[1:]
        p_values.append(stats.norm.sf(z.max()) * 2 * len(z))
        return min(p_values) * len(p_values)

    def _same_rows(self, ours, theirs):
        counts = np.array([np.bincount(x, minlength=200) for x in (ours, theirs)])
        counts = counts[:, counts[1].argsort()]
        # Merge the rarest rows until our share of each cell is expected to be at least 5.
        hoped = counts[1].cumsum() * (self.RUNS / self.ORACLE_RUNS)
        cells = np.array([c.sum(axis=1) for c in np.split(counts, self._cuts(hoped), axis=1)])
        return stats.chi2_contingency(cells[cells.any(axis=1)].T, correction=False).pvalue

    @staticmethod
    def _cuts(hoped, smallest=5.0):
        cuts, last = [], 0.0
        for place, total in enumerate(hoped):
            if total - last >= smallest and hoped[-1] - total >= smallest:
                cuts.append(place + 1)
                last = total
        return cuts


@pytest.fixture(scope="module")
def larger():
    return Larger()


@pytest.mark.usefixtures("_drawn")
def test_the_law_of_a_larger_pool(larger):
    assert larger.worst(lie(larger.tiny)) > PLAUSIBLE


@pytest.mark.slow  # they test the tests
@pytest.mark.usefixtures("_drawn")
@pytest.mark.parametrize("variant", [GhostCentre, NoThinning, StaleD2])
def test_broken_variants_of_a_larger_pool_are_rejected(larger, variant):
    assert larger.worst(lie(larger.tiny, variant)) < REJECTED
