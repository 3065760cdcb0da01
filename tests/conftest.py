"""Fixtures that the tests of several layers share."""

import pytest

import pools


@pytest.fixture(params=pools.STORAGES, ids=str)
def storage(request):
    """Each place that a pool can live in."""
    return request.param


@pytest.fixture(params=[False, True], ids=["", "bias"])
def bias(request):
    return request.param
