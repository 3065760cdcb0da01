"""The way through OpenML, which here never answers by itself."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.utils import Bunch

from labelnext.datasets import DatasetNotFoundError, load_fashion_mnist, load_letter


@pytest.fixture
def openml(bare, monkeypatch):
    """An OpenML of one small set; returns the list of what was asked."""
    asked = []

    def fetch(**options):
        asked.append(options)
        target = np.array(["9", "0", "9"], dtype=object)
        return Bunch(data=np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]), target=target)

    monkeypatch.setattr("sklearn.datasets.fetch_openml", fetch)
    return asked


def test_asks_for_what_is_not_installed(openml):
    letters = load_letter(data_home="elsewhere")
    assert [(options["data_id"], options["data_home"]) for options in openml] == [(6, "elsewhere")]
    assert letters.y.tolist() == [1, 0, 1]
    assert letters.target_names == ("0", "9")
    assert letters.source == "OpenML, data set 6"
    assert letters.X.shape == (3, 2)


def test_does_not_ask_when_told_so(openml):
    with pytest.raises(DatasetNotFoundError):
        load_letter(download=False)
    assert openml == []


def test_reads_what_an_earlier_download_left_without_asking(openml, bare):
    cached = bare / "openml" / "openml.org" / "data" / "v1" / "json" / "data" / "6.gz"
    cached.parent.mkdir(parents=True)
    cached.touch()
    assert len(load_letter(download=False)) == 3


def test_fashion_mnist_keeps_its_names_and_type(openml):
    clothes = load_fashion_mnist("all")
    assert clothes.X.dtype == np.uint8
    assert clothes.target_names[9] == "Ankle boot"
