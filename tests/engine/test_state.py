"""What may be asked of D²: the answers of arrays as long as the pool, stretch by stretch."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pools
from labelnext.engine import _plain


@pytest.fixture(autouse=True, scope="module")
def _small_stretches():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_plain, "AT_ONCE", 7)
        yield


@st.composite
def states(draw):
    """A selection's state with many equal numbers, and rows that are not available."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = draw(st.integers(1, 40))
    features = rng.integers(0, draw(st.sampled_from([1, 2, 5])) + 1, size=(n, 2))
    pool = pools.plain(np.full((n, 2), 0.5), features.astype(float), bias=False)
    exclude = np.flatnonzero(rng.random(n) < draw(st.sampled_from([0.0, 0.3, 0.8])))
    state = pool.start(exclude[: n - 1])
    free = np.flatnonzero(state.is_available)
    centre = free[:1]
    if len(free) > 1:
        state.min_update(pool.gather(centre), centre)
    return pool, state


@settings(max_examples=300, deadline=None)
@given(case=states(), m=st.integers(1, 50))
def test_against_the_whole_arrays(case, m):
    pool, state = case
    free = np.flatnonzero(state.is_available)
    norms = pool.squared_norms[free]
    assert state.largest_norm() == (free[norms.argmax()] if norms.max() > 0 else None)
    places = np.random.default_rng(m).permutation(len(free))[:m]
    np.testing.assert_array_equal(state.available(places), free[places])
    if state.exact:
        rows, d2, rest = state.largest(m)
        order = free[np.lexsort((free, -state.values[free]))]
        np.testing.assert_array_equal(rows, np.sort(order[:m]))
        np.testing.assert_array_equal(d2, state.values[rows])
        assert rest == (state.values[order[m]] if len(order) > m else -1.0)


@settings(max_examples=200, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(1, 400),
    spread=st.sampled_from([0, 1, 30, 300]),
    zeros=st.sampled_from([0.0, 0.5, 0.99]),
)
@pytest.mark.usefixtures("compiler")
def test_tickets_find_the_same_rows_in_compiled_code(seed, n, spread, zeros):
    rng = np.random.default_rng(seed)
    values = rng.random(n) * 10.0 ** rng.integers(-spread - 1, spread + 1, size=n)
    values[rng.random(n) < zeros] = 0.0
    values[rng.integers(n)] = 1.0
    arrays = np.full((n, 2), 0.5), np.ones((n, 1))
    states = [
        pool(*arrays).start(np.empty(0, dtype=np.int64)) for pool in (pools.plain, pools.pruned)
    ]
    for state in states:
        state.values[:] = values
        state._weigh()
    assert states[0].total == states[1].total
    assert states[0].exponent == states[1].exponent
    total, weights = states[0].total, states[0]._weights(slice(None))
    edges = np.concatenate([[0, total - 1], weights.cumsum() - 1, weights.cumsum()])
    tickets = np.concatenate([edges[(edges >= 0) & (edges < total)], rng.integers(total, size=20)])
    for some in (tickets, tickets[:1], tickets[:3]):
        plain, pruned = (state.find(some) for state in states)
        for one, another in zip(plain, pruned, strict=True):
            np.testing.assert_array_equal(one, another)
            assert one.dtype == another.dtype
        np.testing.assert_array_equal(plain[0], weights.cumsum().searchsorted(some, side="right"))
