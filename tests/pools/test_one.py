"""What is said of one sample, id or file: not as of several."""

import numpy as np
import pytest

import labelnext
from labelnext.pools import ArraySource


def test_one_id_is_there_twice():
    with pytest.raises(ValueError, match=r"^1 id is there more than once: 'a' \('a': row 0"):
        labelnext.Pool(np.full((3, 2), 0.5), ids=["a", "a", "b"])
    with pytest.raises(ValueError, match=r"^2 ids are there more than once: 'a', 'b'"):
        labelnext.Pool(np.full((4, 2), 0.5), ids=["a", "a", "b", "b"])


def test_one_of_the_ids_is_not_there():
    pool = labelnext.Pool(np.full((3, 2), 0.5), ids=["a", "b", "c"])
    with pytest.raises(ValueError, match="ids: 1 of 1 id is not in the pool: 'x'; the pool has"):
        pool.rows_of(["x"])
    with pytest.raises(ValueError, match="ids: 1 of 2 ids is not in the pool: 'x'; the pool has"):
        pool.rows_of(["a", "x"])


@pytest.mark.parametrize("first", [np.eye(2), None, 3])
def test_the_folder_comes_first(first):
    with pytest.raises(TypeError, match=r"path must be the folder to write, got a .*\(path, proba"):
        labelnext.write_pool(first, np.eye(2))


def test_one_sample():
    assert repr(labelnext.Pool(np.full((1, 2), 0.5))).startswith("Pool of 1 sample:")
    assert ": 1 row," in repr(ArraySource(np.full((1, 2), 0.5)))
    with pytest.raises(ValueError, match="labels has 1 entry and the pool has 3 rows;"):
        labelnext.Pool(np.full((3, 2), 0.5), labels=[1])
