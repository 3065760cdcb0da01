"""Invariant 2: norms, distances and D² are those of the materialised float64 gradients."""

import math

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import oracle
import pools
from labelnext.engine import as_gradients
from labelnext.sampling import d2_sample

# Of the sum of the two squared norms.
EXACTNESS = 1e-13


def everything(gradients):
    return gradients.gather(np.arange(gradients.n_rows))


def run_passes(gradients, blocks, exclude=()):
    """All rows of the trace, and the potentials, of one pass for each block."""
    state = gradients.start(np.array(exclude, dtype=np.int64))
    traces, potentials = [], []
    for block in blocks:
        rows = np.array(block, dtype=np.int64)
        trace = np.full((len(rows), gradients.n_rows), np.nan)
        potentials.append(state.min_update(gradients.gather(rows), rows, trace=trace).potentials)
        traces.append(trace)
    return state, np.concatenate(traces), np.concatenate(potentials)


@pytest.mark.parametrize("pool", [pools.confident(50), pools.hostile()], ids=["plain", "hostile"])
def test_all_distances_are_the_oracles(storage, bias, pool, tmp_path):
    gradients, proba, features = storage.make(*pool, tmp_path, bias=bias)
    dense = storage.gradients(proba, features, bias=bias)
    rows = everything(gradients)
    norms = (dense**2).sum(axis=1)
    np.testing.assert_allclose(rows.squared_norms, norms, rtol=1e-14)
    labels = oracle.pseudo_labels(proba, storage.task)
    np.testing.assert_array_equal(rows.pseudo_labels, labels)
    assert rows.pseudo_labels.dtype == labels.dtype
    d2 = rows.squared_distances(rows)
    assert d2.dtype == np.float64
    assert (d2 >= 0).all()
    assert (d2.diagonal() == 0).all()
    off = np.abs(d2 - oracle.squared_distances(dense))
    assert (off <= EXACTNESS * np.add.outer(norms, norms)).all()


@pytest.mark.one_of(2)
@pytest.mark.parametrize("pool", [pools.confident(50), pools.hostile()], ids=["plain", "hostile"])
def test_d2_and_potentials_after_each_centre_are_the_oracles(storage, bias, pool, tmp_path):
    gradients, proba, features = storage.make(*pool, tmp_path, bias=bias)
    dense = storage.gradients(proba, features, bias=bias)
    norms = (dense**2).sum(axis=1)
    blocks, exclude = [[7], [3, 40, 11], [12, 13, 41, 20]], [0, 5]
    state, trace, potentials = run_passes(gradients, blocks, exclude)
    centres = np.concatenate(blocks)
    expected = np.minimum.accumulate(oracle.squared_distances(dense[centres], dense), axis=0)
    expected[:, exclude] = 0.0
    for t, centre in enumerate(centres):
        expected[t:, centre] = 0.0
    # Which centre is nearest decides what a rounding may be measured against.
    largest = np.maximum.accumulate(norms[centres])[:, None] + norms
    assert (np.abs(trace - expected) <= EXACTNESS * largest).all()
    assert (trace >= 0).all()
    np.testing.assert_allclose(potentials, trace.sum(axis=1), rtol=1e-12)
    assert state.n_available == len(norms) - len(centres) - len(exclude)


@pytest.mark.one_of(2)
@pytest.mark.parametrize("pool", [pools.confident(50), pools.hostile()], ids=["plain", "hostile"])
@pytest.mark.parametrize("first", [True, False], ids=["no bound", "bound"])
def test_a_pass_without_a_trace_leaves_the_same_d2(storage, bias, pool, first, tmp_path):
    gradients, _, _ = storage.make(*pool, tmp_path, bias=bias)
    norms = everything(gradients).squared_norms
    blocks, exclude = [[7, 3, 40, 11, 21], [12, 13, 41], [20]], np.array([0, 5])
    _, trace, potentials = run_passes(gradients, blocks, exclude)
    state = gradients.start(exclude)
    if first:
        state.bound(norms[blocks[0]].min() ** 0.5)
    t = 0
    for block in blocks:
        report = state.min_update(gradients.gather(np.array(block)), np.array(block))
        stop = t + len(block)
        off = np.abs(state.values - trace[stop - 1])
        assert (off <= EXACTNESS * (norms + norms[blocks[0]].max())).all()
        assert ((state.values == 0) == (trace[stop - 1] == 0)).all()
        np.testing.assert_allclose(report.potentials, potentials[t:stop], rtol=1e-11)
        t = stop
    rows, d2, weights = state.find(np.arange(0, state.total, state.total // 500))
    np.testing.assert_array_equal(d2, state.values[rows])
    assert (d2 > 0).all()
    assert (weights >= np.ldexp(d2, state.exponent)).all()
    assert (weights <= np.ldexp(d2, state.exponent) + 1).all()
    assert (np.diff(rows) >= 0).all()


@pytest.mark.parametrize("n", [40, 64, 65, 128, 3000])
@pytest.mark.usefixtures("compiled")
def test_the_first_and_the_last_ticket_of_each_row_find_it(n):
    state = as_gradients(*pools.confident(n)).start(np.array([5, n - 1]))
    state.min_update(as_gradients(*pools.confident(n)).gather(np.array([7])), np.array([7]))
    weights = np.ceil(np.ldexp(state.values, state.exponent)).astype(np.int64)
    ends = weights.cumsum()
    assert state.total == ends[-1]
    rows = np.flatnonzero(weights)
    assert len(rows) == n - 3
    for tickets in ((ends - weights)[rows], (ends - 1)[rows]):
        found, _, found_weights = state.find(tickets)
        np.testing.assert_array_equal(found, rows)
        np.testing.assert_array_equal(found_weights, weights[rows])
        # Few of a large pool are found by tiles.
        alone = [state.find(tickets[[at]])[0].item() for at in range(0, len(rows), 7)]
        assert alone == rows[::7].tolist()


def test_a_duplicate_is_at_exactly_0(storage, bias, tmp_path):
    gradients, _, _ = storage.make(*pools.hostile(), tmp_path, bias=bias)
    copies = gradients.gather(np.array([0, 10, 11, 12, 13]))
    assert (copies.squared_distances(copies) == 0).all()
    _, trace, _ = run_passes(gradients, [[11]])
    assert (trace[0, [0, 10, 11, 12, 13]] == 0).all()


def test_centres_and_excluded_rows_are_at_exactly_0(storage, tmp_path):
    gradients, _, _ = storage.make(*pools.confident(50), tmp_path)
    _, trace, _ = run_passes(gradients, [[7, 8], [9]], exclude=[0, 5])
    assert (trace[:, [0, 5]] == 0).all()
    assert (trace[:, 7] == 0).all()
    assert trace[0, 8] > 0
    assert (trace[1:, 8] == 0).all()
    assert trace[1, 9] > 0
    assert trace[2, 9] == 0


def near(kind, size, rng):
    """Two rows (proba, features) that are near each other in one way."""
    p, h = rng.dirichlet(np.ones(4)), rng.normal(size=6)
    q, g = p.copy(), h.copy()
    if kind in {"features", "both"}:
        g = h * (1 + size * rng.normal(size=6))
    if kind in {"residuals", "both"}:
        q = p + size * np.array([1, -1, 0.5, -0.5]) * p.min()
    if kind == "scaled":
        # (s a) (h / s)ᵀ, s near 2: far apart in both factors, not in the product.
        rest = np.array([0.125, 0.0625, 0.0625])
        p, q = np.array([0.75, *rest]), np.array([0.5, *(2 * rest)])
        g = h / 2 * (1 + size * rng.normal(size=6))
    return np.array([p, q]), np.array([h, g])


@pytest.mark.one_of(2)
@pytest.mark.parametrize("size", [1e-2, 1e-6, 1e-9, 1e-12])
@pytest.mark.parametrize("kind", ["features", "residuals", "both", "scaled"])
@pytest.mark.parametrize("wrap", [np.asarray, sp.csr_array], ids=["dense", "csr"])
def test_near_duplicates_keep_their_digits(kind, size, bias, wrap):
    rng = np.random.default_rng(5)
    for _ in range(10):
        proba, features = near(kind, size, rng)
        gradients = as_gradients(proba, wrap(features), bias=bias)
        exact = float(oracle.exact_squared_distance(proba, features, 0, 1, bias=bias))
        x, y = gradients.gather(np.array([0])), gradients.gather(np.array([1]))
        # What is left of a scaled pair is the difference of differences as large as itself.
        rtol = 1e-8 + (1e-15 / size if kind == "scaled" else 0.0)
        assert math.isclose(x.squared_distances(y)[0, 0], exact, rel_tol=rtol)
        assert math.isclose(y.squared_distances(x)[0, 0], exact, rel_tol=rtol)
        _, trace, _ = run_passes(gradients, [[0]])
        assert math.isclose(trace[0, 1], exact, rel_tol=rtol)


@pytest.mark.one_of(2)
@pytest.mark.parametrize("size", [1e-6, 1e-9, 1e-12])
@pytest.mark.parametrize("kind", ["features", "residuals", "both", "scaled"])
@pytest.mark.usefixtures("compiled")
def test_near_duplicates_keep_their_digits_when_sampled(kind, size, bias):
    rng = np.random.default_rng(6)
    for _ in range(5):
        proba, features = near(kind, size, rng)
        exact = float(oracle.exact_squared_distance(proba, features, 0, 1, bias=bias))
        rtol = 1e-8 + (1e-15 / size if kind == "scaled" else 0.0)
        for stored in (features, sp.csr_array(features)):
            gradients = as_gradients(proba, stored, bias=bias)
            batch = d2_sample(gradients, 2, random_state=0)
            assert math.isclose(batch.d2[1], exact, rel_tol=rtol)
            # The potential after the first pick is the same number, by way of the pass.
            assert math.isclose(batch.potentials[0], exact, rel_tol=rtol)


def test_the_bound_on_what_matters_never_changes_a_minimum(bias):
    gradients = as_gradients(*pools.hostile(), bias=bias)
    rows = everything(gradients)
    exact = rows.squared_distances(rows)
    for below in (np.zeros(60), exact[7], exact[[7, 11, 40]].min(axis=0), np.full(60, np.inf)):
        d2 = rows.squared_distances(rows, below=below)
        np.testing.assert_array_equal(np.minimum(d2, below), np.minimum(exact, below))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [1e-20, 1e-10, 1.0, 1e10, 1e20])
@pytest.mark.parametrize("wrap", [np.asarray, sp.csr_array], ids=["dense", "csr"])
def test_feature_norms_from_1e_minus_20_to_1e20(size, dtype, bias, wrap):
    proba, features = pools.confident(40)
    features = (features * size).astype(dtype)
    features[20:] = features[:20] * dtype(1 + 1e-5)
    proba[20:] = proba[:20]
    gradients = as_gradients(proba, wrap(features), bias=bias)
    dense = oracle.gradients(proba, features, bias=bias)
    norms = (dense**2).sum(axis=1)
    expected = oracle.squared_distances(dense)
    d2 = everything(gradients).squared_distances(everything(gradients))
    assert (np.abs(d2 - expected) <= EXACTNESS * np.add.outer(norms, norms)).all()
    if not bias:
        twins = (np.arange(20), np.arange(20, 40))
        np.testing.assert_allclose(d2[twins], expected[twins], rtol=1e-6)


@pytest.mark.parametrize("size", [1e-139, 1e139])
def test_the_ends_of_the_range_of_norms(size):
    proba, features = pools.confident(30)
    features *= size / np.linalg.norm(features, axis=1, keepdims=True)
    gradients = as_gradients(proba, features)
    _, trace, potentials = run_passes(gradients, [[0], [1, 2]])
    scaled = oracle.gradients(proba, features / size)
    expected = np.minimum.accumulate(oracle.squared_distances(scaled[:3], scaled), axis=0)
    np.testing.assert_allclose(trace / size**2, expected, rtol=1e-9, atol=1e-13)
    assert np.isfinite(potentials).all()


values = st.one_of(
    st.sampled_from([0.0, 1.0, -1.0, 1e-20, -1e20, 1e20, 2.0**-30, 3.0, 1 + 2**-52]),
    st.floats(-100, 100, width=16),
)


@st.composite
def factor_pairs(draw):
    n, c, d = draw(st.integers(1, 8)), draw(st.integers(1, 5)), draw(st.integers(1, 6))
    weights = draw(
        hnp.arrays(np.float64, (n, c), elements=st.sampled_from([0, 1e-12, 0.25, 1, 3, 1e-100]))
    )
    weights[weights.sum(axis=1) == 0] = 1.0
    proba = weights / weights.sum(axis=1, keepdims=True)
    features = draw(hnp.arrays(np.float64, (n, d), elements=values))
    if draw(st.booleans()):
        row = draw(st.integers(0, n - 1))
        proba, features = (np.vstack([x, x[row]]) for x in (proba, features))
    return proba, features


@settings(max_examples=100, deadline=None)
@given(pair=factor_pairs(), bias=st.booleans(), sparse=st.booleans(), order=st.sampled_from("CFA"))
def test_any_factors_are_the_oracles(pair, bias, sparse, order):
    proba, features = pair
    stored = sp.csr_array(features) if sparse else np.array(features, order=order)
    gradients = as_gradients(proba, stored, bias=bias)
    if proba.shape[1] == 1:  # P(y = 1)
        proba = np.hstack([1 - proba, proba])
    dense = oracle.gradients(proba, features, bias=bias)
    norms = (dense**2).sum(axis=1)
    rows = everything(gradients)
    d2 = rows.squared_distances(rows)
    assert np.isfinite(d2).all()
    assert (d2 >= 0).all()
    assert (
        np.abs(d2 - oracle.squared_distances(dense)) <= 1e-13 * np.add.outer(norms, norms)
    ).all()
    assert (d2.diagonal() == 0).all()
    same = (proba[:, None] == proba).all(axis=2) & (features[:, None] == features).all(axis=2)
    assert (d2[same] == 0).all()


@settings(max_examples=100, deadline=None)
@given(
    tiny=hnp.arrays(
        np.float64, (6, 2), elements=st.sampled_from([0, 1e-120, 1.5e-162, 1.6e-162, 2.5e-162])
    ),
    size=st.sampled_from([1e-120, 1.0, 1e139]),
)
def test_gradients_too_small_to_square_do_no_harm(tiny, size):
    proba = np.column_stack([np.ones(6), tiny])
    rows = everything(as_gradients(proba, size * np.array([[1], [-1], [1.5], [1], [0.9], [1]])))
    d2 = rows.squared_distances(rows)
    assert np.isfinite(d2).all()
    assert (d2 >= 0).all()


def test_one_column_is_the_probability_of_the_second_class(bias):
    _, features = pools.confident(6)
    p = np.array([0.0, 1e-4, 0.25, 0.5, 0.9, 1.0])
    both = as_gradients(np.column_stack([1 - p, p]), features, bias=bias)
    one = as_gradients(p, features, bias=bias)
    assert one.n_classes == 2
    np.testing.assert_array_equal(everything(one).pseudo_labels, [0, 0, 0, 0, 1, 1])
    np.testing.assert_allclose(everything(one).residuals, everything(both).residuals, atol=1e-16)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_one_column_of_few_bits_keeps_small_probabilities(dtype):
    # 1 − p in float16 is 1 for p = 1e-4: half of the gradient would be lost.
    p = np.array([1e-4, 1e-9], dtype=dtype)
    rows = everything(as_gradients(p, np.ones((2, 1), dtype=dtype)))
    np.testing.assert_allclose(rows.squared_norms, 2 * p.astype(float) ** 2, rtol=1e-6)


@pytest.mark.usefixtures("compiled")
def test_gradients_too_small_to_square_can_be_sampled():
    tiny = np.array([0, 1e-120, 1.5e-162, 1.6e-162, 2.5e-162, 2.6e-162, 1.5e-162])
    proba = np.column_stack([np.ones(7), tiny])
    for size in (1e-120, 1.0, 1e139):
        for seed in range(10):
            gradients = as_gradients(proba, np.full((7, 1), size))
            batch = d2_sample(gradients, 7, random_state=seed)
            assert sorted(batch.indices) == list(range(7))
            assert np.isfinite(batch.d2).all()
            assert np.isfinite(batch.potentials).all()


@pytest.mark.usefixtures("compiled")
def test_other_dtypes_are_taken_for_their_values():
    proba, features = np.eye(3, dtype=bool)[[0, 1, 2, 0]], np.arange(8, dtype=np.uint8)
    proba[3] = False
    proba = proba.astype(np.int8)
    proba[3, 2] = 1
    for kind in (np.int64, np.uint8, bool, ">f4", ">f8", np.longdouble):
        values = features.reshape(4, 2).astype(kind)
        gradients = as_gradients(proba, values)
        np.testing.assert_array_equal(everything(gradients).features, values.astype(float))
        np.testing.assert_array_equal(everything(gradients).squared_norms, 0.0)


def test_blocks_of_factors_are_put_together_in_order(storage, bias, tmp_path):
    gradients, _, _ = storage.make(*pools.confident(20), tmp_path, bias=bias)
    parts = [gradients.gather(np.array(rows)) for rows in ([3, 1], [7], [2, 2, 0])]
    whole, direct = (
        type(parts[0]).concatenate(parts),
        gradients.gather(np.array([3, 1, 7, 2, 2, 0])),
    )
    assert len(whole) == 6
    assert (whole.squared_distances(direct).diagonal() == 0).all()
    np.testing.assert_array_equal(whole.pseudo_labels, direct.pseudo_labels)
