"""What importing costs, what it loads, and what the first selection of a process costs."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from typing import Any

LATE = ("matplotlib.pyplot", "pandas", "polars", "pyarrow", "torch")

LOADED = """
import json, sys
import labelnext
print(json.dumps([name for name in sys.argv[1:] if name in sys.modules]))
"""

SMALL = """
import json, sys
import numpy as np
import labelnext
rng = np.random.default_rng(0)
labelnext.select(rng.dirichlet([1, 1], size=400), rng.random((400, 2)), 4, random_state=0)
print(json.dumps([name for name in sys.argv[1:] if name in sys.modules]))
"""

FIRST = """
import json, time
import numpy as np
import labelnext
rng = np.random.default_rng(0)
proba = rng.dirichlet(np.ones(10) / 4, size=60_000).astype(np.float32)
features = rng.random((60_000, 128), dtype=np.float32)
seconds = []
for seed in range(2):
    start = time.perf_counter()
    labelnext.select(proba, features, 500, random_state=seed)
    seconds.append(time.perf_counter() - start)
print(json.dumps(seconds))
"""


def imports(repeats: int) -> dict[str, Any]:
    """Time what `import labelnext` adds to scikit-learn's LogisticRegression, in new processes."""
    theirs = "from sklearn.linear_model import LogisticRegression"
    codes = (f"{theirs}; import labelnext", theirs, "import labelnext", "pass")
    for code in codes:
        _process_seconds(code)
    columns = zip(*(map(_process_seconds, codes) for _ in range(repeats)), strict=True)
    # Python's own start is nobody's import.
    *medians, python = map(statistics.median, columns)
    both, sklearn, alone = (seconds - python for seconds in medians)
    loaded = json.loads(_output(LOADED, *LATE))
    return {
        "both": both,
        "sklearn": sklearn,
        "labelnext_alone": alone,
        "factor": both / sklearn,
        "at_most": 1.2,
        "reached": both / sklearn <= 1.2 and not loaded,
        "loaded_early": loaded,
        "loaded_by_a_small_selection": json.loads(_output(SMALL, *LATE)),
    }


def first_selection() -> dict[str, Any]:
    """Time the first two selections of five processes."""
    first, second = zip(*(json.loads(_output(FIRST)) for _ in range(5)), strict=True)
    return {"first_of_a_process": statistics.median(first), "second": statistics.median(second)}


def _process_seconds(code: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - start


def _output(code: str, *arguments: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout
