"""Every example runs in its short form, without a warning."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from labelnext.datasets import DatasetNotFoundError

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.py"))


def run(path, *, size):
    """Run an example in a process of its own: it sets threads, styles and environment."""
    environment = {
        **os.environ,
        "LABELNEXT_EXAMPLES": size,
        "MPLBACKEND": "agg",
        "HF_HUB_OFFLINE": "1",
        # Processes that wait for each other's threads would take minutes.
        "OMP_NUM_THREADS": "1",
    }
    return subprocess.run(
        [sys.executable, "-W", "error", str(path)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_runs(path):
    done = run(path, size="test")
    if "DatasetNotFoundError" in done.stderr:
        raise DatasetNotFoundError(done.stderr.rpartition("DatasetNotFoundError: ")[2])
    assert done.returncode == 0, done.stderr


def test_there_are_examples():
    assert {path.stem for path in EXAMPLES} >= {
        "plot_badge",
        "plot_badge_deep",
        "plot_pretrained_images",
        "plot_pretrained_texts",
        "plot_transformers",
    }
