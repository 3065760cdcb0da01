"""A test that lacks data or a library is left out, aloud; in CI that is a failure."""

import pytest

pytest_plugins = ["pytester"]

TESTS = """
import pytest
from labelnext.datasets import DatasetNotFoundError

def test_data():
    raise DatasetNotFoundError("Letter was not found: apt install r-cran-mlbench")

def test_library():
    try:
        import zarr_that_is_not_there
    except ImportError as error:
        raise ImportError("pip install labelnext[zarr]") from error

def test_a_part_of_ours():
    from labelnext import inner

def test_another_library():
    import nobody_knows

def test_skipped():
    pytest.skip("not today")

@pytest.fixture
def bare():
    pass

def test_brings_its_own(bare):
    raise DatasetNotFoundError("not where the test put it: apt install none")

@pytest.mark.xfail(reason="known")
def test_known():
    assert False

def test_passes():
    pass
"""
MODULE = "import zarr_that_is_not_there\n\ndef test_nothing():\n    pass"
DOCTEST = '''
def f():
    """An example.

    >>> import zarr_that_is_not_there
    """
'''


@pytest.fixture
def suite(pytester, monkeypatch):
    """Tests that lack things, run with this plugin alone; returns what pytest said."""
    import left_out

    for name, way in (
        ("zarr_that_is_not_there", "pip install zarr"),
        ("labelnext.inner", "make it"),
    ):
        monkeypatch.setitem(left_out.LIBRARIES, name, way)
    monkeypatch.setattr(left_out, "LACKING", {"zarr_that_is_not_there", "labelnext.inner"})
    pytester.makepyfile(test_some=TESTS, test_module=MODULE, doc=DOCTEST)

    def run(*arguments, ci=False, without=""):
        monkeypatch.setenv("CI", "true") if ci else monkeypatch.delenv("CI", raising=False)
        monkeypatch.setenv("LABELNEXT_TESTS_WITHOUT", without)
        return pytester.runpytest_inprocess(
            *("-p", "left_out", "-p", "no:cacheprovider", "-p", "no:xdist"),
            *("--doctest-modules", "--continue-on-collection-errors", "-W", "ignore", *arguments),
        )

    return run


def test_left_out_and_said_in_the_last_line(suite):
    done = suite()
    done.assert_outcomes(passed=1, skipped=7, failed=2, xfailed=1)
    last = done.outlines[-1]
    assert last.startswith("6 left out for lack of data or a library")
    assert "apt install r-cran-mlbench and pip install zarr and make it;" in last


def test_nothing_to_say_where_nothing_is_left_out(suite):
    assert "left out" not in suite("test_some.py::test_passes").outlines[-1]


def test_in_ci_each_skip_fails(suite):
    done = suite(ci=True)
    done.assert_outcomes(passed=1, failed=7, errors=2, xfailed=1)
    done.stdout.fnmatch_lines(["*CI leaves nothing out. Skipped: not today*"])


def test_in_ci_a_library_may_lack_if_that_was_said(suite):
    done = suite(ci=True, without="ray zarr_that_is_not_there labelnext.inner")
    done.assert_outcomes(passed=1, skipped=5, failed=4, xfailed=1)
