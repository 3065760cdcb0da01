"""What `as_gradients` refuses, and what it says."""

import warnings

import numpy as np
import pytest
import scipy.sparse as sp

import pools
from labelnext import select
from labelnext.engine import as_gradients

pytestmark = pytest.mark.usefixtures("compiled")

# More rows than one tile, and than one span, take.
LONG = 5000


def good(n=6, n_features=3):
    return np.full((n, 4), 0.25), np.ones((n, n_features))


def put(array, row, column, value):
    array = array.copy()
    array[row, column] = value
    return array


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [(6, 2, 1), (LONG, 4321, 3), (LONG, 777, 0)])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_proba_must_be_finite(value, place, dtype):
    n, row, column = place
    proba, features = good(n)
    with pytest.raises(ValueError, match=rf"proba is {value} at row {row}, column {column}: .*fin"):
        as_gradients(put(proba, row, column, value).astype(dtype), features)


def test_infinities_of_both_signs_are_one_clear_error():
    proba = put(put(good()[0], 2, 1, np.inf), 2, 3, -np.inf)
    with pytest.raises(ValueError, match=r"proba is inf at row 2, column 1"):
        as_gradients(proba, good()[1])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [(6, 2, 1), (LONG, 4321, 2), (LONG, 777, 0)])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("sure", [False, True], ids=["unsure", "sure"])
def test_features_must_be_finite(value, place, dtype, sure):
    n, row, column = place
    proba, features = good(n)
    if sure:
        # 0 · ∞ has a warning of its own; the error must come all the same.
        proba = np.tile([0.0, 1, 0, 0], (n, 1))
    features = put(features, row, column, value).astype(dtype)
    message = rf"features is {value} at row {row}, column {column}: .*finite"
    for stored in (features, np.asfortranarray(features)):
        with pytest.raises(ValueError, match=message):
            as_gradients(proba, stored)
    if dtype != np.float16:
        with pytest.raises(ValueError, match=message):
            as_gradients(proba, sp.csr_matrix(features))


def test_features_too_large_to_square():
    proba, features = good(LONG)
    for size in (1e141, 1e150, 1e200):
        with pytest.raises(ValueError, match=r"features of row 4000 are too large.*below 1e140"):
            as_gradients(proba, put(features, 4000, 1, size))
    as_gradients(proba, put(features, 4000, 1, 9e139))


def test_longdouble_features_beyond_float64():
    proba, features = good()
    features = features.astype(np.longdouble)
    features[3, 1] = np.longdouble("1e400")
    with pytest.raises(ValueError, match=r"row 3"):
        as_gradients(proba, features)


@pytest.mark.parametrize("value", [-0.01, -1e-5])
def test_proba_must_not_be_negative(value):
    proba = put(put(good(LONG)[0], 4001, 2, value), 4001, 1, 0.25 - value + 0.25)
    with pytest.raises(ValueError, match=rf"proba is {value} at row 4001, column 2.*softmax"):
        as_gradients(proba, good(LONG)[1])
    with pytest.raises(ValueError, match=r"proba is -0\.5 at row 1, column 0"):
        as_gradients(np.array([0.1, 1.5]), np.ones((2, 1)))


def test_rows_must_sum_to_1_and_the_error_says_how_far_off():
    proba, features = good(LONG)
    with pytest.raises(ValueError, match=r"row 4321 sums to 1\.15, off by \+0\.15; norm.*softmax"):
        as_gradients(put(proba, 4321, 2, 0.4), features)
    with pytest.raises(ValueError, match=r"within 0\.001 for float64.*row 0 sums to 2"):
        as_gradients(np.full((2, 4), 0.5), features[:2])
    as_gradients(put(proba, 3, 2, 0.2505), features)
    as_gradients(put(proba, 3, 2, 0.2495), features)
    for off in (0.2515, 0.2485):
        with pytest.raises(ValueError, match=r"row 3 sums to"):
            as_gradients(put(proba, 3, 2, off), features)


def test_float16_has_a_wider_tolerance():
    proba, features = good()
    as_gradients(put(proba, 3, 2, 0.254).astype(np.float16), features)
    with pytest.raises(ValueError, match=r"within 0\.005 for float16.*row 3 .* off by \+0\.00"):
        as_gradients(put(proba, 3, 2, 0.256).astype(np.float16), features)


def test_a_thousand_classes_in_float16_pass():
    proba = np.random.default_rng(0).dirichlet(np.full(1000, 0.1), size=50)
    as_gradients(proba.astype(np.float16), np.ones((50, 2), dtype=np.float16))


@pytest.mark.parametrize("stored", [np.asarray, sp.csr_array], ids=["dense", "csr"])
def test_lengths_must_match(stored):
    with pytest.raises(ValueError, match=r"6 rows of proba and 5 of features.*same order"):
        as_gradients(good()[0], stored(good(5)[1]))


def test_a_pool_must_have_rows_and_columns():
    with pytest.raises(ValueError, match="pool is empty"):
        as_gradients(np.empty((0, 3)), np.empty((0, 2)))
    with pytest.raises(ValueError, match="pool is empty"):
        as_gradients(np.empty(0), sp.csr_array((0, 2)))
    with pytest.raises(ValueError, match=r"at least one column.*\(3, 0\)"):
        as_gradients(good(3)[0], np.empty((3, 0)))
    with pytest.raises(ValueError, match=r"at least one column.*\(3, 0\)"):
        as_gradients(np.empty((3, 0)), good(3)[1])


@pytest.mark.parametrize(
    ("shape", "hint"),
    [((6,), r"features\.reshape\(-1, 1\)"), ((6, 2, 2), "flatten each sample"), ((), "one row")],
)
def test_features_must_have_two_dimensions(shape, hint):
    with pytest.raises(ValueError, match=rf"features must have two dimensions.*{hint}"):
        as_gradients(good()[0], np.ones(shape))


@pytest.mark.parametrize(
    ("shape", "hint"), [((2, 6, 2, 2), "one row of p"), ((), "one row for each")]
)
def test_proba_must_have_one_to_three_dimensions(shape, hint):
    with pytest.raises(ValueError, match=rf"proba must have two dimensions.*{hint}"):
        as_gradients(np.ones(shape), good()[1])


@pytest.mark.parametrize(
    "values",
    [
        np.ones((6, 3), dtype=object),
        np.full((6, 3), "0.5"),
        np.ones((6, 3), dtype=complex),
        np.zeros((6, 3), dtype="M8[s]"),
    ],
    ids=["object", "str", "complex", "datetime"],
)
def test_arrays_must_hold_real_numbers(values):
    dtype = values.dtype.name.split("[")[0]
    with pytest.raises(
        TypeError, match=rf"proba must hold real numbers, got dtype .*{dtype[:3]}|<U"
    ):
        as_gradients(values, good()[1])
    with pytest.raises(TypeError, match=r"features must hold real numbers"):
        as_gradients(good()[0], values)


def test_sparse_input_must_be_a_real_matrix_of_features():
    proba, features = good()
    with pytest.raises(TypeError, match=r"real numbers.*complex"):
        as_gradients(proba, sp.csr_array(features.astype(complex)))
    line = sp.coo_array(np.ones(6))
    if line.ndim == 1:  # SciPy before 1.13 makes a matrix of it
        with pytest.raises(TypeError, match="must be a matrix"):
            as_gradients(proba, line)
    with pytest.raises(TypeError, match="proba must hold real numbers"):
        as_gradients(sp.csr_array(proba), features)


def test_a_class_that_is_always_sure_is_a_uniform_draw():
    features = good(40)[1]
    batches = [select(np.ones((40, 1)), features, k=40, random_state=s) for s in range(3)]
    for batch in batches:
        assert sorted(batch.indices) == list(range(40))
        assert not batch.gradient_norms.any()
    assert len({tuple(batch.indices) for batch in batches}) == 3


def test_one_row():
    batch = select([[0.25, 0.75]], [[2.0]], k=1, random_state=0)
    assert batch.indices.tolist() == [0]
    assert batch.pseudo_labels.tolist() == [1]
    assert batch.d2.tolist() == [0.5]
    assert batch.potentials.tolist() == [0.0]


def test_lists_and_frames_are_arrays():
    import pandas as pd
    import polars as pl

    proba, features = pools.confident(20)
    expected = select(proba, features, 5, random_state=3).indices
    for kind in (np.ndarray.tolist, pd.DataFrame, pl.DataFrame):
        batch = select(kind(proba), kind(features), 5, random_state=3)
        np.testing.assert_array_equal(batch.indices, expected)


class TestSparse:
    """Sparse features as they come: with zeros, out of order, twice."""

    PROBA = np.array([[0.5, 0.5], [0.25, 0.75], [0.75, 0.25]])
    DENSE = np.array([[0.0, 3, 1], [2, 0, 0], [0, 0, 0]])

    def messy(self):
        return sp.csr_matrix(
            (
                np.array([1.0, 2, 0, 1, 5, 2, -5]),
                np.array([2, 1, 0, 1, 1, 0, 1]),
                np.array([0, 4, 7, 7]),
            ),
            shape=(3, 3),
        )

    def test_the_messy_matrix_is_what_it_should_be(self):
        messy = self.messy()
        assert not messy.has_canonical_format
        np.testing.assert_array_equal(messy.toarray(), self.DENSE)

    @pytest.mark.parametrize("kind", [sp.csr_matrix, sp.csr_array])
    def test_it_counts_for_its_values_and_is_not_changed(self, kind):
        matrix = kind(self.messy())
        before = [getattr(matrix, name).copy() for name in ("data", "indices", "indptr")]
        rows = as_gradients(self.PROBA, matrix).gather(np.arange(3))
        dense = as_gradients(self.PROBA, self.DENSE).gather(np.arange(3))
        np.testing.assert_array_equal(rows.squared_norms, dense.squared_norms)
        np.testing.assert_array_equal(rows.squared_distances(rows), dense.squared_distances(dense))
        select(self.PROBA, matrix, 3, random_state=0)
        for name, copy in zip(("data", "indices", "indptr"), before, strict=True):
            np.testing.assert_array_equal(getattr(matrix, name), copy)

    def test_read_only_arrays_will_do(self):
        matrix = self.messy()
        for name in ("data", "indices", "indptr"):
            getattr(matrix, name).flags.writeable = False
        batch = select(self.PROBA, matrix, 3, random_state=0)
        assert sorted(batch.indices) == [0, 1, 2]

    def test_the_matrix_is_shared_not_copied(self):
        matrix = sp.csr_matrix(self.DENSE)
        assert np.shares_memory(as_gradients(self.PROBA, matrix).features.data, matrix.data)

    @pytest.mark.parametrize("kind", ["csc", "coo", "lil", "dok", "bsr", "dia"])
    def test_other_formats(self, kind):
        matrix = sp.csr_matrix(self.DENSE).asformat(kind)
        rows = as_gradients(self.PROBA, matrix).gather(np.arange(3))
        np.testing.assert_array_equal(rows.features.toarray(), self.DENSE)

    @pytest.mark.parametrize("dtype", [np.int32, np.bool_, np.uint8])
    def test_whole_numbers(self, dtype):
        dense = self.DENSE.astype(dtype)
        rows = as_gradients(self.PROBA, sp.csr_array(dense)).gather(np.arange(3))
        np.testing.assert_array_equal(rows.feature_squares, (dense.astype(float) ** 2).sum(axis=1))

    def test_whole_numbers_that_overflow_their_dtype_when_squared(self):
        rows = as_gradients(self.PROBA, sp.csr_array(self.DENSE.astype(np.uint8) * 100)).gather(
            np.arange(3)
        )
        np.testing.assert_array_equal(rows.feature_squares, [44**2 + 100**2, 200**2, 0])


def test_good_pools_give_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        as_gradients(*good())


class TestTasks:
    """Probabilities that are each by itself: in [0, 1], whatever they sum to."""

    @pytest.mark.parametrize("task", ["softmax", "Binary", 2])
    def test_there_are_five(self, task):
        with pytest.raises(ValueError, match=r"'multiclass', .*, 'regression' or 'vectors', got"):
            as_gradients(*good(), task=task)

    @pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
    @pytest.mark.parametrize("total", [0.0, 0.25, 1.0])
    def test_rows_may_sum_to_anything(self, dtype, total):
        proba = np.full((5, 4), total, dtype=dtype)
        pool = as_gradients(proba, good(5)[1], task="multilabel")
        np.testing.assert_array_equal(pool.squared_norms, 3 * 4 * (total % 1.0) ** 2)

    @pytest.mark.parametrize("task", ["multilabel", "binary"])
    @pytest.mark.parametrize(
        ("value", "message"),
        [
            (1.25, r"proba is 1\.25 at row 4001, column 0.*at most 1; apply sigmoid to logits"),
            (-0.25, r"proba is -0\.25 at row 4001, column 0.*negative; apply sigmoid"),
            (np.nan, "proba is nan at row 4001, column 0: every probability must be a finite"),
            (np.inf, "proba is inf at row 4001, column 0"),
            (-np.inf, "proba is -inf at row 4001, column 0"),
        ],
    )
    def test_but_each_is_a_probability(self, task, value, message):
        proba = put(np.full((LONG, 1), 0.75), 4001, 0, value)
        with pytest.raises(ValueError, match=message):
            as_gradients(proba, good(LONG)[1], task=task)

    def test_rows_that_do_not_sum_to_1_may_be_labels(self):
        with pytest.raises(ValueError, match=r"row 0 sums to 2.*say task='multilabel'"):
            as_gradients(np.full((3, 4), 0.5), good(3)[1])

    def test_one_logit_is_one_column_or_one_dimension(self):
        p, features = np.array([0.25, 0.5, 0.75]), good(3)[1]
        flat = as_gradients(p, features, task="binary")
        column = as_gradients(p[:, None], features, task="binary")
        for pool in (flat, column):
            assert pool.n_classes == 2
            rows = pool.gather(np.arange(3))
            np.testing.assert_array_equal(rows.residuals, [[0.25], [-0.5], [-0.25]])
            assert rows.pseudo_labels.tolist() == [0, 1, 1]
        with pytest.raises(ValueError, match=r"has one column, got shape \(3, 2\).*multiclass"):
            as_gradients(np.full((3, 2), 0.5), features, task="binary")

    def test_several_labels_have_two_dimensions(self):
        with pytest.raises(ValueError, match=r"two dimensions, got shape \(3,\).*one column"):
            as_gradients(np.full(3, 0.5), good(3)[1], task="multilabel")

    def test_one_label_alone_is_no_reason_to_warn(self):
        pool = as_gradients(np.full((3, 1), 0.5), good(3)[1], task="multilabel")
        assert pool.n_classes == 1

    def test_they_have_the_plain_pass(self):
        # The bounds of the compiled one suppose a single pseudo-label a row.
        for task in ("multilabel", "binary"):
            pool = as_gradients(np.full((9, 1), 0.5), good(9)[1], task=task)
            assert type(pool).__name__ == "PlainGradients"


@pytest.mark.usefixtures("compiled")
def test_a_pool_says_what_it_is():
    proba, features = np.full((2000, 2), 0.5, dtype=np.float32), np.ones((2000, 3), np.float16)
    pool = as_gradients(proba, features, bias=True)
    assert repr(pool).split(" ", 1)[1] == (
        "of 2,000 rows: multiclass, 2 classes, 3 features in float16 with a bias, on cpu"
    )
    assert pool.proba is proba
    assert pool.features is features
    assert (pool.bias, pool.task, pool.device) == (True, "multiclass", "cpu")
    sparse = as_gradients(proba, sp.csr_array(features.astype(float)), task="multilabel")
    assert repr(sparse) == (
        "PlainGradients of 2,000 rows: multilabel, 2 labels, 3 features in float64, on cpu"
    )
