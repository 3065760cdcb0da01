"""The compiled pass: never a pair too few, far fewer than all, and only where it pays."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

import labelnext
import pools
from adversarial import adversarial
from labelnext.engine import D2
from labelnext.engine._factors import StoredRows
from labelnext.sampling import d2_sample

NONE = np.empty(0, dtype=np.int64)


def passes(pool, blocks):
    """D² and potentials after passes with blocks of rows as centres."""
    state = pool.start(NONE)
    potentials = [state.min_update(pool.gather(rows), rows).potentials for rows in blocks]
    return state.values, np.concatenate(potentials)


def both(proba, features, blocks, *, bias):
    """The same passes by plain products and pruned."""
    return [passes(P(proba, features, bias=bias), blocks) for P in (pools.plain, pools.pruned)]


class TestBounds:
    """A bound never rules out a pair that would have lowered D²."""

    @settings(max_examples=400, deadline=None)
    @given(pool=adversarial(), bias=st.booleans())
    def test_on_adversarial_pools(self, pool, bias):
        (plain, plain_left), (pruned, pruned_left) = both(*pool, bias=bias)
        squares = pools.plain(*pool[:2], bias=bias).squared_norms
        # As exact as promised: 1e-13 of the norms, and digits where distances are small.
        np.testing.assert_allclose(pruned, plain, rtol=1e-6, atol=1e-13 * squares.max())
        assert (np.abs(pruned - plain) <= 2e-13 * (squares + squares.max())).all()
        np.testing.assert_allclose(
            pruned_left, plain_left, rtol=1e-9, atol=1e-12 * squares.max() * len(squares)
        )

    @pytest.mark.parametrize("n_first", [1, 20, 39])
    def test_of_rows_of_which_some_have_negative_features(self, n_first):
        # As shards send them: each block of rows knows of its own signs.
        proba, features = pools.confident(3000, 3, 4, signed=False)
        proba = np.random.default_rng(0).dirichlet(np.ones(3), 3000)
        own, sent = pools.pruned(proba, features), (proba[:40].copy(), features[:40].copy())
        sent[1][n_first:] *= -1
        form, plain = own.form, pools.plain(*sent)
        first, last = (
            form.factors_of(StoredRows(*sent).take(part))
            for part in (slice(n_first), slice(n_first, None))
        )
        rows = np.arange(100, 200)
        drawn, own_plain = own.gather(rows), pools.plain(proba, features).gather(rows)
        centres = plain.gather(np.arange(40))
        to, among = own_plain.squared_distances(centres), centres.squared_distances(centres)
        for rows, blocks, distances in (
            (first, [last], among[:n_first, n_first:]),
            (last, [first], among[n_first:, :n_first]),
            (drawn, [first, last], to),
            (drawn, [last, first], to),
        ):
            centres = type(first).concatenate(blocks)
            d2 = rows.squared_norms * 4
            nearest = np.minimum(d2, distances.min(axis=1))
            rows.lower(d2, centres)
            np.testing.assert_allclose(d2, nearest, rtol=1e-9)

    @settings(max_examples=300, deadline=None)
    @given(
        pool=adversarial(),
        bias=st.booleans(),
        seed=st.integers(0, 2**32 - 1),
        most=st.sampled_from([1, 3, 1000]),
        n_drawn=st.integers(1, 60),
        n_waiting=st.integers(0, 3),
        strict=st.booleans(),
        height=st.sampled_from([0.0, 0.1, 1.0]),
    )
    def test_drawn_rows_are_accepted_by_their_distances(
        self, pool, bias, seed, most, n_drawn, n_waiting, strict, height
    ):
        proba, features, _ = pool
        rng, n = np.random.default_rng(seed), len(proba)
        drawn, *others = (rng.integers(n, size=m) for m in [n_drawn, *[2] * n_waiting])
        plain, pruned = (P(proba, features, bias=bias) for P in (pools.plain, pools.pruned))
        rows, squares = plain.gather(drawn), plain.squared_norms
        stale = rows.squared_norms * rng.choice([0.0, 1.0, 4.0], size=n_drawn)
        bars, asked = height * rng.random(n_drawn) * stale, []

        def admit(row):
            asked.append(row)
            return row % 3 > 0

        d2, waiting = stale.copy(), [pruned.gather(some) for some in others]
        accepted, n_seen = pruned.gather(drawn).accept(
            drawn, bars, d2, waiting, most, admit if strict else None
        )
        assert len(accepted) <= most
        assert n_seen == (accepted[-1] + 1 if len(accepted) == most else n_drawn)
        picked = drawn[accepted]
        assert len(set(picked.tolist())) == len(picked)
        # Given what was accepted before it, each row is judged by its own D².
        to = [rows.squared_distances(plain.gather(some)) for some in others]
        now = np.minimum(stale, np.hstack([stale[:, None], *to]).min(axis=1))
        among = rows.squared_distances(rows)
        among[drawn[:, None] == drawn] = 0.0
        for at in range(n_seen):
            near = 1e-6 * now[at] + 2e-13 * (squares[drawn[at]] + squares.max())
            may = not strict or drawn[at] % 3 > 0
            if at in accepted:
                assert may
                assert now[at] > bars[at] - near
                assert abs(d2[at] - now[at]) <= near
                now = np.minimum(now, among[at])
            else:
                assert not may or now[at] <= bars[at] + near
        assert not strict or {*picked.tolist()} <= {*asked}

    @pytest.mark.parametrize("most", [1, 5, 40, 1000])
    @pytest.mark.parametrize("excluded", [0, 2000])
    def test_draws_of_compiled_code_are_those_of_three_steps(self, most, excluded):
        # As for rows in files: found, gathered and accepted one after the other.
        pool = pools.pruned(*pools.confident(3000, 3, 4))
        rng, rows = np.random.default_rng(most), np.arange(2990, 2995)
        states = [pool.start(np.arange(excluded)) for _ in range(2)]
        for state in states:
            state.min_update(pool.gather(rows), rows)
        bits = rng.integers(1 << 64, size=128, dtype=np.uint64)
        lots, waiting = rng.random(128) / 2, [pool.gather(np.arange(2000, 2004))]
        asked, found = ([], []), []
        for draw, state, said in zip((D2.draw, type(states[1]).draw), states, asked, strict=True):

            def admit(row, said=said):
                said.append(row)
                return True

            found.append(draw(state, bits, lots, waiting, most, admit))
        assert found[0][1:] == found[1][1:]
        assert asked[0] == asked[1]
        assert min(found[0].rows) >= excluded
        np.testing.assert_array_equal(found[0].factors.features, found[1].factors.features)

    @settings(deadline=None)
    @given(weights=st.lists(st.integers(1, 2**53), min_size=1, max_size=20))
    def test_where_the_tickets_of_a_row_begin(self, weights):
        # The first random number whose ticket is a row's, and the last that is not: to the bit.
        n, total = len(weights), sum(weights)
        pool = pools.pruned(np.full((n, 2), 0.5), np.arange(1.0, n + 1)[:, None])
        state = pool.start(NONE)
        state.values[:] = weights
        state.weigh(0)
        assert state.total == total
        for row, start in enumerate(np.cumsum(weights).tolist()[:-1]):
            first = -(-(start << 64) // total)
            for bits, found in ((first, row + 1), (first - 1, row)):
                drawn = state.draw(np.array([bits], dtype=np.uint64), np.zeros(1), [], 1)
                assert drawn.rows == [found]

    @pytest.mark.one_of(2)
    @pytest.mark.parametrize("signed", [False, True])
    @pytest.mark.parametrize("n_classes", [2, 10, 100, 150])
    @pytest.mark.parametrize("wrap", [np.asarray, sp.csr_array], ids=["dense", "sparse"])
    def test_on_pools_like_a_networks(self, signed, n_classes, wrap):
        proba, features = pools.confident(5000, n_classes, 16, seed=n_classes, signed=signed)
        order = np.random.default_rng(1).permutation(5000)
        blocks = [order[:1], order[1:70], order[70:900]]
        (plain, plain_left), (pruned, pruned_left) = both(proba, wrap(features), blocks, bias=False)
        np.testing.assert_allclose(pruned, plain, rtol=1e-9)
        np.testing.assert_allclose(pruned_left, plain_left, rtol=1e-12)

    @pytest.mark.one_of(2)
    @pytest.mark.parametrize("signed", [False, True])
    @pytest.mark.parametrize("n_classes", [2, 3, 10, 150])
    @pytest.mark.parametrize(("dtype", "off"), [(np.float64, 9e-4), (np.float16, 4e-3)])
    def test_where_probabilities_are_a_little_above_1(self, signed, n_classes, dtype, off):
        # Rows may sum to a little more or less, and then the largest probability may be above 1:
        # the residual of a pseudo-label is then positive.
        rng = np.random.default_rng(n_classes)
        n = 4000
        labels, others = rng.integers(n_classes, size=(2, n))
        proba = np.zeros((n, n_classes))
        proba[np.arange(n), others] = rng.uniform(0, off / 9, n)
        proba[np.arange(n), labels] = 1 + rng.uniform(-off / 2, off * 8 / 9, n)
        sure = rng.random(n) < 0.1
        proba[sure] = rng.dirichlet(np.ones(n_classes), sure.sum())
        features = rng.standard_normal((n, 10))
        features = features if signed else np.abs(features)
        proba, features = (x.astype(dtype) for x in (proba, features))
        assert (proba.max(axis=1) > 1).sum() > n / 3
        order = rng.permutation(n)
        blocks = [order[:1], order[1:70], order[70:900]]
        (plain, plain_left), (pruned, pruned_left) = both(proba, features, blocks, bias=False)
        squares = pools.plain(proba, features).squared_norms
        assert (np.abs(pruned - plain) <= 2e-13 * (squares + squares.max())).all()
        np.testing.assert_allclose(pruned, plain, rtol=1e-6, atol=1e-13 * squares.max())
        np.testing.assert_allclose(pruned_left, plain_left, rtol=1e-9)
        for seed in range(2):
            batches = [
                d2_sample(pool(proba, features), 150, random_state=seed).indices
                for pool in (pools.plain, pools.pruned)
            ]
            np.testing.assert_array_equal(*batches)

    def test_features_of_both_signs_are_seen_in_the_last_row(self):
        for dtype in (np.float16, np.float32, np.float64, np.int8):
            proba, features = pools.confident(3000, signed=False)
            features = np.rint(features * 4).astype(dtype)
            assert pools.pruned(proba, features, bias=False).least_product == 0.0
            features[-1, -1] = -1
            assert pools.pruned(proba, features, bias=False).least_product == -np.inf
            sparse = pools.pruned(proba, sp.csr_array(features.astype(float)), bias=True)
            assert sparse.least_product == -np.inf

    def test_negative_zeros_are_no_negative_features(self):
        proba, features = pools.confident(50, signed=False)
        features[features == 0] = -0.0
        assert np.signbit(features).any()
        assert pools.pruned(proba, features, bias=False).least_product == 0.0


class TestWork:
    """Counters do not depend on the machine: they show an optimisation that got lost."""

    def counts(self, n_classes, *, signed, k=1000):
        proba, features = pools.confident(30_000, n_classes, 32, seed=5, signed=signed)
        pool = pools.pruned(proba.astype(np.float32), features.astype(np.float32), bias=False)
        return d2_sample(pool, k, random_state=0).stats

    @pytest.mark.parametrize(
        ("n_classes", "signed", "shares", "passes"),
        [
            (10, False, (4.401, 2.226, 1.639), 3),
            (10, True, (4.924, 0.874, 0.394), 3),
            (2, False, (4.737, 3.858, 2.140), 4),
            (100, False, (5.435, 1.318, 1.163), 3),
            (150, True, (8.915, 0.827, 0.254), 3),
        ],
    )
    def test_pairs_that_get_past_each_bound(self, n_classes, signed, shares, passes):
        # In percent: tested by scalars, ⟨a, a⟩ computed (both up to 64 at a time, which costs less
        # than to leave some out; and after a word of which more than half was left scalars are not
        # looked at), ⟨h, h⟩ computed. A change that prunes better may lower them here; one that
        # prunes worse must say why.
        stats = self.counts(n_classes, signed=signed)
        assert stats["pairs"] == 30_000 * 1000
        assert stats["passes"] == passes
        for name, share in zip(
            ("pairs_tested", "residual_products", "feature_products"), shares, strict=True
        ):
            assert 100 * stats[name] / stats["pairs"] == pytest.approx(share, rel=0.02)

    def test_passes_grow_with_the_logarithm_of_k(self):
        passes = [self.counts(10, signed=False, k=k)["passes"] for k in (100, 250, 500, 1000, 2000)]
        assert passes == [1, 1, 2, 3, 5]


def run(code, **environment):
    """What a new process prints."""
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()


@pytest.mark.usefixtures("compiler")
class TestWithoutTheCompiledPass:
    """Where it was not built, or cannot be loaded, batches are the same; large pools say so."""

    CODE = (
        "import sys, warnings, numpy as np\n"
        "{before}"
        "import labelnext\n"
        "from labelnext.engine import _open\n"
        "rng = np.random.default_rng(0)\n"
        "p, h = rng.dirichlet([1, 1, 1], 300), rng.normal(size=(300, 4))\n"
        "warnings.simplefilter('error')\n"
        "batch = labelnext.select(p, h, 5, random_state=0)\n"
        "print(*batch.indices, 'labelnext.engine._kernels' in sys.modules)\n"
        "_open.LARGE = 0\n"
        "with warnings.catch_warnings(record=True) as said:\n"
        "    warnings.simplefilter('always')\n"
        "    labelnext.select(p, h, 5, random_state=0), labelnext.select(p, h, 5)\n"
        "print(*[str(one.message).replace(' ', '_') for one in said])"
    )

    def test_it_is_there(self):
        *rows, loaded = run(self.CODE.format(before=""))
        assert loaded == "True"
        assert len(rows) == 5

    @pytest.mark.parametrize("how", ["missing", "broken", "of another version", "of older code"])
    def test_batches_are_the_same_and_large_pools_say_so_once(self, how, tmp_path):
        package = tmp_path / "labelnext"
        source = Path(labelnext.__file__).parent
        shutil.copytree(source, package, ignore=shutil.ignore_patterns("__pycache__"))
        for built in (package / "engine").glob("_kernels.*.*"):
            if how in ("missing", "of older code"):
                built.unlink()
            elif how == "broken":
                built.write_bytes(b"no extension " * 1000)
            else:
                built.rename(built.with_name("_kernels.abi9.so"))
        if how == "of older code":
            (package / "engine/_kernels.py").write_text("class Matrix: pass\n")
        before = "assert not sys.modules.get('labelnext')\n"
        *rows, loaded, said = run(self.CODE.format(before=before), PYTHONPATH=str(tmp_path))
        assert rows == run(self.CODE.format(before=""))[:5]
        assert loaded == str(how == "of older code")
        broken = how in ("broken", "of older code")
        reason = "it_cannot_be_loaded" if broken else "it_was_not_built_for_this_Python"
        assert said.startswith(f"labelnext_has_no_compiled_pass_here_({reason}")
        assert "C++_compiler" in said


class TestReading:
    """What the compiled reading refuses the plain one refuses too, or rows would stay unread."""

    @pytest.mark.parametrize("seed", range(20))
    def test_rows_that_sum_to_the_very_edge_of_the_tolerance(self, seed):
        rng = np.random.default_rng(seed)
        proba = rng.dirichlet(np.ones(37), 300)
        # Within a rounding or two of 1.001: on which side depends on the order of additions.
        proba *= (1.001 + rng.integers(-3, 4, size=(300, 1)) * 2.0**-52) / proba.sum(
            axis=1, keepdims=True
        )
        for row in range(300):
            one = proba[[row, 0]]
            one[1] /= one[1].sum()
            features = np.ones((2, 3))
            try:
                pool = pools.pruned(one, features, bias=False)
            except ValueError as error:
                assert "off by +0.001" in str(error)  # noqa: PT017 either outcome is right
                continue
            residuals = one - np.eye(37)[one.argmax(axis=1)]
            np.testing.assert_allclose(pool.squared_norms, 3 * (residuals**2).sum(axis=1))
            np.testing.assert_allclose(pool.scalars[:, 2], np.sqrt(3))

    def test_norms_at_the_very_edge_of_what_is_allowed(self):
        rng = np.random.default_rng(0)
        for _ in range(300):
            features = rng.random((2, 7))
            features[0] *= 1e140 / np.linalg.norm(features[0]) * (1 + rng.integers(-3, 4) * 2e-16)
            try:
                pool = pools.pruned(np.full((2, 2), 0.5), features, bias=False)
            except ValueError as error:
                assert "too large" in str(error)  # noqa: PT017 either outcome is right
                continue
            np.testing.assert_allclose(pool.scalars[:, 2], np.linalg.norm(features, axis=1))
