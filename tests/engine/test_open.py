"""The door of the engine: a Pool, wherever it lives, becomes gradients, once."""

import pickle

import numpy as np
import pytest
import scipy.sparse as sp

import oracle
import pools
from labelnext.engine import as_gradients, open_gradients
from labelnext.pools import Pool

PROBA, FEATURES = pools.confident(300)
MEMBERS = np.stack([pools.confident(300, seed=seed)[0] for seed in range(5)])


def batch_of(pool, **options):
    return pools.choose(open_gradients(pool, **options), 40, random_state=1)


def same(pool, other):
    ours, theirs = batch_of(pool), batch_of(other)
    np.testing.assert_array_equal(ours.indices, theirs.indices)
    np.testing.assert_allclose(ours.potentials, theirs.potentials, rtol=1e-11)


class Counted(pools.InFiles):
    """Arrays that are read as files are, and that count the rows."""

    n_read = 0

    def read(self, part, lo, hi):
        self.n_read += (hi - lo) * (part == "features")
        return super().read(part, lo, hi)

    def take(self, part, rows):
        self.n_read += len(rows) * (part == "features")
        return super().take(part, rows)


class TestOnce:
    """A pool is read and checked once, however often it is chosen from."""

    def test_in_memory_whatever_the_limit(self):
        pool = Pool(PROBA, FEATURES)
        first = open_gradients(pool)
        assert open_gradients(pool) is first
        assert open_gradients(pool, memory_limit="1GB") is first
        assert open_gradients(Pool(PROBA, FEATURES)) is not first

    @pytest.mark.parametrize("memory_limit", [None, "1GB"])
    def test_files_that_fit_the_limit(self, memory_limit):
        source = Counted(PROBA, FEATURES)
        pool = Pool.of(source)
        first = batch_of(pool, memory_limit=memory_limit)
        # Once for the checks, and a sample before.
        assert 300 <= source.n_read <= 2 * 300
        source.n_read = 0
        again = batch_of(pool, memory_limit=memory_limit)
        np.testing.assert_array_equal(again.indices, first.indices)
        assert source.n_read == 0

    def test_files_within_another_limit_are_opened_again(self):
        pool = Pool.of(pools.InFiles(PROBA, FEATURES))
        first = open_gradients(pool, memory_limit="1GB")
        other = open_gradients(pool, memory_limit="500MB")
        assert other is not first
        assert open_gradients(pool, memory_limit="500MB") is other

    def test_what_was_opened_is_not_sent_along(self):
        pool = Pool(PROBA, FEATURES)
        n_bytes = len(pickle.dumps(pool))
        open_gradients(pool)
        assert len(pickle.dumps(pool)) == n_bytes
        same(pickle.loads(pickle.dumps(pool)), pool)

    @pytest.mark.parametrize("memory_limit", ["1G", 0, True])
    def test_a_limit_is_looked_at_in_memory_too(self, memory_limit):
        with pytest.raises((ValueError, TypeError), match="memory_limit"):
            open_gradients(Pool(PROBA, FEATURES), memory_limit=memory_limit)


class TestParts:
    def test_a_pool_without_probabilities(self):
        with pytest.raises(ValueError, match=r"has no probabilities: make it with proba too"):
            open_gradients(Pool(features=FEATURES))

    def test_a_pool_without_features(self):
        with pytest.raises(ValueError, match=r"has no features: make it with features too"):
            open_gradients(Pool(PROBA))

    def test_a_part_of_a_pool_says_which_rows_of_the_arrays_are_wrong(self):
        features = FEATURES.copy()
        features[250, 3] = np.nan
        with pytest.raises(ValueError, match="features is nan at row 250, column 3"):
            open_gradients(Pool(PROBA, features)[200:])
        in_files = Pool.of(pools.InFiles(PROBA, features)).source.part(200, 300)
        in_files.in_memory = False
        with pytest.raises(ValueError, match=r"nan at row 50 \(row 250 of arrays\), column 3"):
            open_gradients(Pool.of(in_files))

    def test_bfloat16_may_be_off_by_more(self):
        import torch

        proba = torch.tensor(PROBA).to(torch.bfloat16)
        assert (proba.double().sum(dim=1) - 1).abs().max() > 1.1e-3
        open_gradients(Pool(proba, torch.tensor(FEATURES)))
        with pytest.raises(ValueError, match=r"within 0\.02 for bfloat16"):
            open_gradients(Pool(0.9 * proba, torch.tensor(FEATURES)))


@pytest.mark.usefixtures("compiled")
class TestCommittees:
    """Of the members of a committee the mean counts."""

    def test_wherever_they_are(self):
        plain = Pool(MEMBERS.mean(axis=0), FEATURES)
        same(Pool(MEMBERS, FEATURES), plain)
        same(Pool.of(pools.InFiles(MEMBERS, FEATURES)), plain)

    @pytest.mark.parametrize("kind", [Pool, lambda p, h: Pool.of(pools.InFiles(p, h))])
    def test_what_would_cancel_in_the_mean_is_refused(self, kind):
        members = MEMBERS.copy()
        members[3, 7, :2] += [-2, 2]
        members[4, 7, :2] += [2, -2]
        with pytest.raises(ValueError, match=r"proba is -1\.\d+ at row .*7.*, column 0") as caught:
            open_gradients(kind(members, FEATURES))
        assert caught.value.__notes__ == ["In the probabilities of member 3."]


@pytest.mark.usefixtures("compiled")
class TestVectors:
    """Where the features are the gradients, D² is that of points."""

    @pytest.mark.parametrize("task", ["vectors", "regression"])
    @pytest.mark.parametrize(
        ("dtype", "form"),
        [
            (np.float16, np.asarray),
            (np.float32, np.asarray),
            (np.float64, sp.csr_array),
            (np.float32, pools.InFiles),
        ],
    )
    def test_distances(self, task, dtype, form):
        features = np.rint(8 * FEATURES).astype(dtype)
        if form is pools.InFiles:
            pool = Pool.of(form(None, features), task=task)
        else:
            pool = Pool(features=form(features), task=task)
        gradients = open_gradients(pool)
        assert not gradients.has_pseudo_labels
        h = features.astype(np.float64)
        state, rows = gradients.start(np.empty(0, dtype=np.int64)), np.array([3, 200, 17])
        state.min_update(gradients.gather(rows), rows)
        d2 = oracle.squared_distances(h[rows], h).min(axis=0)
        np.testing.assert_allclose(state.values, d2, rtol=1e-12)
        np.testing.assert_allclose(gradients.squared_norms, (h**2).sum(axis=1), rtol=1e-14)
        assert repr(gradients).split(" of ")[1].startswith(f"300 rows: {task}, 8 features in")

    def test_a_bias_counts_in_norms_alone(self):
        plain, biased = (
            open_gradients(Pool(features=FEATURES, task="regression", bias=bias))
            for bias in (False, True)
        )
        np.testing.assert_allclose(biased.squared_norms, plain.squared_norms + 1)
        rows = np.arange(20)
        distances = [g.gather(rows).squared_distances(g.gather(rows)) for g in (plain, biased)]
        np.testing.assert_allclose(*distances, rtol=1e-9)

    def test_probabilities_beside_vectors_do_not_matter(self):
        pool = Pool.of(Pool(PROBA, FEATURES), task="vectors")
        same(pool, Pool(features=FEATURES, task="vectors"))

    def test_of_integers(self):
        features = np.rint(8 * FEATURES).astype(np.int8)
        same(
            Pool(features=features, task="vectors"),
            Pool(features=features.astype(float), task="vectors"),
        )

    def test_they_are_checked_as_features_are(self):
        features = FEATURES.copy()
        features[5, 2] = np.inf
        with pytest.raises(ValueError, match="features is inf at row 5, column 2"):
            open_gradients(Pool(features=features, task="vectors"))


def test_as_gradients_is_short_for_a_pool():
    same(Pool(PROBA, FEATURES, bias=True), Pool(PROBA, FEATURES, bias=True))
    ours = as_gradients(PROBA, FEATURES, bias=True, task="multilabel")
    theirs = open_gradients(Pool(PROBA, FEATURES, bias=True, task="multilabel"))
    assert ours.fingerprint() == theirs.fingerprint()
