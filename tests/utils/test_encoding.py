"""Labels as places in the sorted classes, and back."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labelnext.utils import check_classes, encode_labels

NAN = float("nan")


@settings(deadline=None)  # the machine may be busy
@given(
    st.lists(st.sampled_from(["ant", "bee", "cat", None]), max_size=12),
    st.permutations(["ant", "bee", "cat"]),
)
def test_codes_lead_back_to_the_labels(y, classes):
    codes, found = encode_labels(y, classes, missing_label=None)
    assert found.tolist() == ["ant", "bee", "cat"]
    assert [found[code] if code >= 0 else None for code in codes] == y


@pytest.mark.parametrize(
    ("y", "missing_label", "codes", "classes"),
    [
        ([3, NAN, 1], NAN, [1, -1, 0], [1, 3]),
        (["b", "", "a"], "", [1, -1, 0], ["a", "b"]),
        (["b", -1, "a"], -1, [1, -1, 0], ["a", "b"]),
        ([3, "?", 1], "?", [1, -1, 0], [1, 3]),
        ([True, None, False], None, [1, -1, 0], [False, True]),
        (pd.Series([3, pd.NA, 1], dtype="Int64"), NAN, [1, -1, 0], [1, 3]),
        ([[1, 2], [NAN, 2]], NAN, [[0, 1], [-1, 1]], [1, 2]),
    ],
)
def test_classes_that_occur(y, missing_label, codes, classes):
    got, found = encode_labels(y, missing_label=missing_label)
    assert got.dtype == np.int64
    assert got.tolist() == codes
    assert found.tolist() == classes
    assert found.dtype.kind != "O" or isinstance(classes[0], str)


def test_numbers_match_whatever_their_type():
    codes, classes = encode_labels(np.array([1.0, np.nan, 0.0]), classes=[1, 0])
    assert codes.tolist() == [1, -1, 0]
    assert classes.dtype.kind == "i"


@pytest.mark.parametrize(
    ("y", "classes", "missing_label", "error", "message"),
    [
        ([0, 5], [0, 1], NAN, ValueError, "not among the classes: 5"),
        (range(9), [0, 1], NAN, ValueError, r"2, 3, 4, 5, 6, \.\.\."),
        (["a"], [0, 1], NAN, TypeError, "both be numbers or both be strings"),
        ([NAN], None, NAN, ValueError, "no class is known"),
        ([0, NAN], None, -1, ValueError, "nan at 1"),
        ([["a", "?"], ["b", None]], None, "?", ValueError, r"None at \(1, 1\)"),
        ([0, np.inf], None, NAN, ValueError, "inf at 1"),
    ],
)
def test_labels_that_are_no_class(y, classes, missing_label, error, message):
    with pytest.raises(error, match=message):
        encode_labels(y, classes, missing_label)


@pytest.mark.parametrize(
    ("classes", "missing_label", "error", "message"),
    [
        ([0, 1, 0], NAN, ValueError, "twice"),
        ([], NAN, ValueError, "at least one"),
        ([[0, 1]], NAN, ValueError, "at least one"),
        (3, NAN, ValueError, "at least one"),
        ([0, NAN], NAN, ValueError, "holds missing_label"),
        (["a", ""], "", ValueError, "holds missing_label"),
        ([0, "a"], NAN, TypeError, "numbers and strings"),
        ([0, 1], "", TypeError, "can't stand"),
    ],
)
def test_classes_that_cannot_be_meant(classes, missing_label, error, message):
    with pytest.raises(error, match=message):
        check_classes(classes, missing_label)
