"""Three nodes, of which two go; and one cluster after another. Each in a process of its own."""

import subprocess
import sys
from pathlib import Path

import pytest

import clusters
import removed_node
import two_clusters

pytestmark = [pytest.mark.xdist_group("ray"), pytest.mark.slow]


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


@pytest.mark.parametrize("order", ["without first", "with first"])
def test_clusters_with_tokens_and_without_one_after_another(order, tmp_path):
    path = Path(two_clusters.__file__)
    script = (
        f"import sys, runpy\nsys.argv[1:] = [{order!r}]\n"
        f"runpy.run_path({str(path)!r}, run_name='__main__')"
    )
    done = clusters.run(script, HOME=str(tmp_path))
    assert done.stdout.endswith("done\n"), done.stderr
