"""Fixtures that the tests of several strategies share."""

import pytest

from labelnext.strategies import _clusters


@pytest.fixture
def seeds(monkeypatch):
    """Where k-means starts, which goes on until nothing changes."""
    drawn, plain = [], _clusters.seeds

    def spy(*args):
        drawn.append(plain(*args))
        return drawn[-1]

    monkeypatch.setattr(_clusters, "seeds", spy)
    monkeypatch.setattr(_clusters, "TOLERANCE", 0)
    return drawn
