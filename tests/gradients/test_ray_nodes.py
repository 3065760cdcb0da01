"""Three nodes, of which one goes while a batch is chosen, and one during an extraction."""

import subprocess
import sys
from pathlib import Path

import pytest

import removed_node

pytestmark = pytest.mark.xdist_group("ray")


def test_nodes_are_removed_on_the_way():
    done = subprocess.run(
        [sys.executable, str(Path(removed_node.__file__))],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("as if nothing had been\n")
