"""What an import costs."""

import subprocess
import sys

HEAVY = ["matplotlib", "pandas", "polars", "pyarrow", "skactiveml", "skorch", "torch"]


def test_classifiers_import_nothing_heavy_that_scikit_learn_does_not():
    # scikit-learn itself imports pandas, and that pyarrow, where it finds them.
    code = f"""
import sys, sklearn.base
before = set(sys.modules)
import labelnext.classifier
assert not (set(sys.modules) - before) & set({HEAVY}), set(sys.modules) & set({HEAVY})
"""
    subprocess.run([sys.executable, "-c", code], check=True)
