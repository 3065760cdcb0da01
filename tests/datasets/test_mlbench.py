"""Letter, Satellite and Shuttle: from small files of R's format made here."""

from __future__ import annotations

import gzip
import struct
import sys

import numpy as np
import pytest
import rdata  # noqa: F401 - where it lacks these tests are left out

from labelnext.datasets import (
    DatasetNotFoundError,
    _mlbench,
    load_letter,
    load_satellite,
    load_shuttle,
)

# R's types of values in its serialisation.
SYMBOL, PAIRLIST, CHARS, INTEGERS, REALS, STRINGS, LIST = 1, 2, 9, 13, 14, 16, 19
HAS_ATTRIBUTES, HAS_TAG, IS_OBJECT, END = 0x200, 0x400, 0x100, 254


def packed(*numbers: int) -> bytes:
    return struct.pack(f">{len(numbers)}i", *numbers)


def chars(text: str) -> bytes:
    # The flag says that the text is ASCII.
    return packed(CHARS | 0x40000, len(text)) + text.encode()


def strings(*texts: str) -> bytes:
    return packed(STRINGS, len(texts)) + b"".join(map(chars, texts))


def pairs(**values: bytes) -> bytes:
    nodes = (
        packed(PAIRLIST | HAS_TAG) + packed(SYMBOL) + chars(name) + value
        for name, value in values.items()
    )
    return b"".join(nodes) + packed(END)


def reals(values: list[float]) -> bytes:
    return packed(REALS, len(values)) + struct.pack(f">{len(values)}d", *values)


def factor(codes: list[int], levels: list[str]) -> bytes:
    head = packed(INTEGERS | HAS_ATTRIBUTES | IS_OBJECT, len(codes))
    return head + packed(*codes) + pairs(levels=strings(*levels), **{"class": strings("factor")})


def write_rda(path, table: str, columns: dict[str, bytes], n: int) -> None:
    """Write a data frame as R's save() does (version 2, binary, gzipped)."""
    frame = packed(LIST | HAS_ATTRIBUTES | IS_OBJECT, len(columns)) + b"".join(columns.values())
    frame += pairs(
        names=strings(*columns),
        **{
            # R's short way to number n rows.
            "row.names": packed(INTEGERS, 2, -(2**31), -n),
            "class": strings("data.frame"),
        },
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    header = b"RDX2\nX\n" + packed(2, 0x030600, 0x020300)
    path.write_bytes(gzip.compress(header + pairs(**{table: frame})))


SETS = [
    (load_letter, "LetterRecognition", "lettr", "Letter"),
    (load_satellite, "Satellite", "classes", "Satellite"),
    (load_shuttle, "Shuttle", "Class", "Shuttle"),
]


def write_set(path, table: str, target: str) -> None:
    columns = {
        "one": reals([1.0, 2.0, 3.5]),
        target: factor([2, 1, 2], ["A", "B"]),
        "two": packed(INTEGERS, 3, 4, 5, 6),
    }
    write_rda(path, table, columns, 3)


@pytest.mark.parametrize(("load", "table", "target", "name"), SETS)
def test_reads_numbers_and_classes(bare, load, table, target, name):
    path = bare / "mlbench" / f"{table}.rda"
    write_set(path, table, target)
    data = load(download=False)
    np.testing.assert_array_equal(data.X, [[1.0, 4.0], [2.0, 5.0], [3.5, 6.0]])
    assert data.X.dtype == np.float64
    assert data.y.dtype == np.int64
    assert data.y.tolist() == [1, 0, 1]
    assert data.target_names == ("A", "B")
    assert (data.name, data.source) == (name, str(path))


def test_an_installed_package_comes_before_the_data_home(bare, monkeypatch, tmp_path):
    library = tmp_path / "library"
    installed = library / "mlbench" / "data" / "LetterRecognition.rda"
    for path in (installed, bare / "mlbench" / "LetterRecognition.rda"):
        write_set(path, "LetterRecognition", "lettr")
    monkeypatch.setenv("R_LIBS_USER", f"/nowhere:{library}")
    assert load_letter().source == str(installed)


def test_finds_the_package_where_debian_puts_it(bare, monkeypatch, tmp_path):
    monkeypatch.setattr(_mlbench, "LIBRARIES", (tmp_path / "none", tmp_path / "site"))
    path = tmp_path / "site" / "mlbench" / "data" / "Shuttle.rda"
    write_set(path, "Shuttle", "Class")
    assert load_shuttle().source == str(path)


def test_a_missing_set_says_how_to_get_it(bare):
    with pytest.raises(DatasetNotFoundError) as caught:
        load_shuttle(download=False)
    message = str(caught.value)
    assert "apt install r-cran-mlbench" in message
    assert str(bare / "mlbench") in message
    assert "fetch_openml(data_id=40685)" in message
    assert "download=False forbids" in message


def test_a_file_without_its_reader_says_what_to_install(bare, monkeypatch):
    write_set(bare / "mlbench" / "Satellite.rda", "Satellite", "classes")
    monkeypatch.setitem(sys.modules, "rdata", None)
    with pytest.raises(DatasetNotFoundError, match=r'tried: .*pip install "labelnext\[datasets\]"'):
        load_satellite(download=False)


@pytest.mark.parametrize(("table", "target"), [("Other", "lettr"), ("LetterRecognition", "x")])
def test_a_file_of_something_else(bare, table, target):
    write_set(bare / "mlbench" / "LetterRecognition.rda", table, target)
    with pytest.raises(ValueError, match="a table LetterRecognition with a column 'lettr'"):
        load_letter()


@pytest.mark.parametrize("keep", [0, 1, 20, 60, 0.5, 0.9, -1])
def test_a_truncated_file_says_which_to_get_again(bare, keep):
    path = bare / "mlbench" / "LetterRecognition.rda"
    write_set(path, "LetterRecognition", "lettr")
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content)) if isinstance(keep, float) else keep])
    with pytest.raises(ValueError, match=r"LetterRecognition\.rda .*install or copy it again"):
        load_letter()
