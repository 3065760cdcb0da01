"""What storage does without until it is asked for."""

import subprocess
import sys

HEAVY = {"pyarrow", "zarr", "fsspec", "pandas", "torch", "ray", "sklearn", "scipy", "joblib", "ssl"}

ALONE = f"""
import sys, tempfile
import numpy as np
import labelnext, labelnext.pools
with tempfile.TemporaryDirectory() as folder:
    labelnext.write_pool(folder, np.full((3, 2), 0.5), np.ones((3, 4)), ids=["a", "b", "c"])
    source = labelnext.pools.open_source(folder)
    labelnext.select(labelnext.open_pool(folder), 2)
    source.read("proba", 0, 3), source.take("features", np.array([1])), source.ids()
print(sorted(set(sys.modules) & {HEAVY}))
"""


def test_a_pool_folder_needs_nothing_but_numpy():
    done = subprocess.run([sys.executable, "-c", ALONE], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
