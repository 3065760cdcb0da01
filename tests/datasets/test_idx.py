"""The IDX format, from files made here."""

from __future__ import annotations

import gzip
import struct

import numpy as np
import pytest

from labelnext.datasets._fashion_mnist import read_idx


def idx_bytes(array: np.ndarray) -> bytes:
    head = bytes([0, 0, 8, array.ndim])
    return head + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def write(path, content: bytes):
    path.write_bytes(gzip.compress(content))
    return path


@pytest.mark.parametrize("shape", [(0,), (1,), (300,), (2, 3), (3, 4, 2), (0, 4)])
def test_reads_what_was_written(tmp_path, shape):
    array = np.arange(np.prod(shape)).astype(np.uint8).reshape(shape)
    read = read_idx(write(tmp_path / "array.gz", idx_bytes(array)))
    assert read.dtype == array.dtype
    np.testing.assert_array_equal(read, array)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "does not start like an IDX file"),
        (b"\x01\x00\x08\x01\x00\x00\x00\x00", "does not start like an IDX file"),
        (b"\x00\x00\x0b\x01\x00\x00\x00\x00", "does not start like an IDX file"),
        (b"\x00\x00\x08\x02\x00\x00\x00\x01", "get it again"),
        (idx_bytes(np.zeros((3, 2), np.uint8))[:-1], r"should hold 18 bytes .*\(3, 2\), got 17"),
        (idx_bytes(np.zeros((3, 2), np.uint8)) + b"x", "got 19"),
    ],
)
def test_says_what_is_wrong_with_a_file(tmp_path, content, message):
    with pytest.raises(ValueError, match=message):
        read_idx(write(tmp_path / "bad.gz", content))


@pytest.mark.parametrize("length", [5, 30])
def test_says_that_a_download_was_cut(tmp_path, length):
    path = tmp_path / "cut.gz"
    path.write_bytes(gzip.compress(idx_bytes(np.arange(250, dtype=np.uint8)))[:length])
    with pytest.raises(ValueError, match="not a whole gzip file"):
        read_idx(path)


def test_says_that_a_file_is_not_gzipped(tmp_path):
    path = tmp_path / "plain.gz"
    path.write_bytes(idx_bytes(np.zeros(3, np.uint8)))
    with pytest.raises(ValueError, match="not a whole gzip file"):
        read_idx(path)
