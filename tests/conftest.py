"""Fixtures that the tests of several layers share."""

import gc
import os

import pytest
import sklearn.linear_model  # noqa: F401 its libraries are to be there
from threadpoolctl import threadpool_limits

import left_out
import pools
from labelnext.engine import _open

try:
    import torch
except ModuleNotFoundError:
    torch = None
else:
    # Test runs side by side share the cores; torch's threads, which spin while they wait, would
    # take them from one another.
    torch.set_num_threads(1)
    if not torch.cuda.is_available():
        # Before anything imports it: its kernels are run by Python.
        os.environ["TRITON_INTERPRET"] = "1"

if "PYTEST_XDIST_WORKER" in os.environ:
    # So do those of BLAS and scikit-learn: tests on small arrays took ten times as long.
    # `make cpus` says how many it wants.
    threadpool_limits(int(os.environ.get("OPENBLAS_NUM_THREADS", "1")))


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """Let the collector of garbage not look, again and again, at what stays until the end."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    """Leave out of the quick suite, or of both, what `one_of` says.

    In the quick suite each storage is with a bias or without, in turn.
    """
    numbers = {}  # of each value of a parameter, in the order in which they come
    left_out = []
    for item in items:
        if not hasattr(item, "callspec"):
            continue
        given = item.callspec.params
        storage, bias = given.get("storage"), given.get("bias")
        twice = storage in pools.STORAGES and bias == pools.STORAGES.index(storage) % 2
        for marker in item.iter_markers("one_of"):
            places = 0
            for name, value in given.items():
                known = numbers.setdefault((item.function, name), {})
                places += known.setdefault(id(value), len(known))
            twice |= places % marker.args[0] > 0
            if places % marker.kwargs.get("whole", 1):
                left_out.append(item)
        if twice:
            item.add_marker(pytest.mark.slow)
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        gone = set(left_out)
        items[:] = [item for item in items if item not in gone]
    # The quick tests run all lines that any test runs: the others need not be slower by a third.
    if config.pluginmanager.hasplugin("_cov"):
        for item in items:
            if item.get_closest_marker("slow"):
                item.add_marker(pytest.mark.no_cover)


def pytest_configure(config):
    config.pluginmanager.register(left_out)


@pytest.fixture(
    params=[pytest.param(s, marks=[pytest.mark.slow] * pools.is_slow(s)) for s in pools.STORAGES],
    ids=str,
)
def storage(request):
    """Each place that a pool can live in."""
    return request.param


@pytest.fixture(params=[False, True], ids=["", "bias"])
def bias(request):
    return request.param


@pytest.fixture(params=[False, True], ids=["plain", "compiled"])
def compiled(request, monkeypatch):
    """Whether there is the compiled, pruned pass."""
    if request.param:
        pools.compiled_kind()
    else:
        monkeypatch.setattr(_open, "compiled_pass", lambda: ImportError("left out by a test"))
    return request.param


@pytest.fixture
def compiler():
    """Leave the test out where the compiled pass is missing."""
    pools.compiled_kind()


@pytest.fixture(autouse=True)
def seeded():
    """Networks made in a test begin with the same weights, whatever ran before it."""
    if torch is not None:
        torch.manual_seed(0)
