"""What counts as a label, in all the ways that people write labels down."""

from datetime import date

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from skactiveml import utils as theirs

from labelnext.utils import (
    MISSING_LABEL,
    is_labeled,
    is_unlabeled,
    labeled_indices,
    unlabeled_indices,
)

NAN = float("nan")


@pytest.mark.parametrize(
    ("y", "missing_label"),
    [
        ([0, NAN, 1], MISSING_LABEL),
        ([0, None, 1], MISSING_LABEL),
        (np.array([0.0, np.nan, 1.0], dtype=np.float32), MISSING_LABEL),
        (np.array([0.0, np.nan, 1.0]), None),
        (["a", None, "b"], None),
        (["a", NAN, "b"], MISSING_LABEL),
        (("a", None, "b"), MISSING_LABEL),
        (np.array(["a", None, "b"], dtype=object), None),
        (["a", "", "b"], ""),
        (np.array(["a", "?", "b"]), "?"),
        (np.array(["a", "nan", "b"]), "nan"),
        (["a", -1, "b"], -1),
        ([3, -1, 4], -1),
        (np.array([3.0, -1.0, 4.0]), -1),
        ([True, None, False], None),
        ([1, "?", 2], "?"),
        ([date(2024, 2, 29), None, date(2023, 1, 1)], None),
        (pd.Series([0, None, 1]), MISSING_LABEL),
        (pd.Series([0, pd.NA, 1], dtype="Int64"), MISSING_LABEL),
        (pd.Series(["a", None, "b"]), MISSING_LABEL),
        (pd.Series(["a", None, "b"], dtype=object), None),
        (pd.Series(["a", None, "b"], dtype="category"), None),
        (pl.Series([0, None, 1]), MISSING_LABEL),
        (pl.Series(["a", None, "b"]), None),
        (pl.Series(["a", "", "b"]), ""),
        (np.array(["a", "", "b"], dtype=np.dtypes.StringDType()), ""),
    ],
)
def test_the_second_of_three_is_missing(y, missing_label):
    before = repr(y)
    assert is_unlabeled(y, missing_label).tolist() == [False, True, False]
    assert is_labeled(y, missing_label).tolist() == [True, False, True]
    assert unlabeled_indices(y, missing_label).tolist() == [1]
    assert labeled_indices(y, missing_label).tolist() == [0, 2]
    assert labeled_indices(y, missing_label).dtype == np.int64
    assert repr(y) == before


@pytest.mark.parametrize("missing_label", [MISSING_LABEL, None, -1])
def test_all_labels_missing_and_none(missing_label):
    y = [missing_label] * 3
    assert is_unlabeled(y, missing_label).all()
    assert labeled_indices(y, missing_label).shape == (0,)
    assert is_labeled([0, 1], missing_label).all()
    assert is_unlabeled([], missing_label).shape == (0,)


def test_of_several_people_the_places_are_pairs():
    y = [[0, NAN], [NAN, NAN], [NAN, 1]]
    np.testing.assert_array_equal(labeled_indices(y), [[0, 0], [2, 1]])
    np.testing.assert_array_equal(unlabeled_indices(y), [[0, 1], [1, 0], [1, 1], [2, 0]])


@settings(deadline=None)  # the machine may be busy
@given(
    hnp.arrays(
        float,
        hnp.array_shapes(min_dims=1, max_dims=2, max_side=6),
        elements=st.sampled_from([0.0, 1.0, -1.0, np.nan]),
    ),
    st.sampled_from([np.nan, -1, 0.0]),
)
def test_the_same_as_scikit_activeml_says(y, missing_label):
    for name in ["is_labeled", "is_unlabeled", "labeled_indices", "unlabeled_indices"]:
        ours = globals()[name](y, missing_label)
        expected = getattr(theirs, name)(y, missing_label)
        assert ours.dtype == expected.dtype
        np.testing.assert_array_equal(ours, expected)


@pytest.mark.parametrize(
    ("y", "missing_label", "error", "message"),
    [
        ([1, "a"], NAN, TypeError, "numbers and strings"),
        ([1, 2], "", TypeError, "missing_label='' can't stand"),
        (["a", "b"], -1, TypeError, "missing_label=-1 can't stand"),
        (["a", "b"], ["a"], TypeError, "must be a scalar"),
        ([[[1]]], NAN, ValueError, "3 dimensions"),
        (1, NAN, ValueError, "0 dimensions"),
        (np.array(["a", np.nan]), NAN, ValueError, "dtype=object"),
    ],
)
def test_labels_that_cannot_be_meant(y, missing_label, error, message):
    with pytest.raises(error, match=message):
        is_unlabeled(y, missing_label)
