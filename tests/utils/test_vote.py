"""One label a sample, from those of several people."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from skactiveml import utils as theirs

from labelnext.utils import majority_vote

NAN = float("nan")


@settings(deadline=None)  # the machine may be busy
@given(
    hnp.arrays(
        float,
        st.tuples(st.integers(1, 6), st.integers(1, 4)),
        elements=st.sampled_from([0.0, 1.0, 2.0, np.nan]),
    ),
    st.integers(0, 1000),
)
def test_the_same_as_scikit_activeml_says(y, seed):
    ours = majority_vote(y, classes=[0, 1, 2], random_state=seed)
    np.testing.assert_array_equal(
        ours, theirs.majority_vote(y, classes=[0, 1, 2], random_state=seed)
    )


def test_weights_and_strings():
    y = [["a", "b", "b"], ["a", "", ""], ["", "", ""]]
    assert majority_vote(y, missing_label="").tolist() == ["b", "a", ""]
    w = [[3.0, 1.0, 1.0], [1.0, NAN, NAN], [NAN, NAN, NAN]]
    assert majority_vote(y, w, missing_label="").tolist() == ["a", "a", ""]


def test_votes_of_no_weight_are_no_votes():
    assert np.isnan(majority_vote([[0, 1]], w=[[0.0, 0.0]])).all()


def test_one_column_is_its_own_majority():
    y = np.array([1.0, np.nan, 0.0])
    np.testing.assert_array_equal(majority_vote(y), y)
    frame = pd.DataFrame({"ann": [1, 1], "bob": [1, 0], "eve": [1, 0]})
    assert majority_vote(frame).tolist() == [1, 0]


def test_nobody_voted():
    result = majority_vote([[None, None], [None, None]], missing_label=None)
    assert result.tolist() == [None, None]


@pytest.mark.parametrize(
    ("missing_label", "dtype"), [(NAN, "float64"), (-1, "int64"), (None, "object")]
)
def test_the_result_can_hold_the_missing_label(missing_label, dtype):
    assert majority_vote([[0, 1, 1]], missing_label=missing_label).dtype == dtype


def test_the_result_can_hold_text():
    y = np.array([["aa", "?"], ["?", "?"]])
    result = majority_vote(y, missing_label="?")
    assert result.dtype.kind == "U"
    assert result.tolist() == ["aa", "?"]


@pytest.mark.parametrize(
    ("w", "message"),
    [([1.0, 2.0], "shape of y"), ([[1.0, -1.0]], "not negative"), ([[1.0, NAN]], "finite")],
)
def test_weights_that_cannot_be_meant(w, message):
    with pytest.raises(ValueError, match=message):
        majority_vote([[0, 1]], w)
