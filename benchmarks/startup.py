"""What importing costs, what it loads, and what the first selection of a process costs."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from typing import Any

LATE = ("joblib", "matplotlib.pyplot", "pandas", "polars", "pyarrow", "scipy", "torch")

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
from labelnext import select
rng = np.random.default_rng(0)
proba = rng.dirichlet(np.ones(10) / 4, size=60_000).astype(np.float32)
features = rng.random((60_000, 128), dtype=np.float32)
seconds = []
for seed in range(2):
    start = time.perf_counter()
    select(proba, features, 500, random_state=seed)
    seconds.append(time.perf_counter() - start)
print(json.dumps(seconds))
"""


# What is timed, in new processes; what labelnext has is imported when it is used first.
TIMED = {
    "python": ["-c", "pass"],
    "numpy": ["-c", "import numpy"],
    "labelnext": ["-c", "import labelnext"],
    "select": ["-c", "from labelnext import Pool, select"],
    "base": ["-c", "import sklearn.base"],
    "badge": ["-c", "from labelnext.pool import Badge"],
    "sklearn": ["-c", "from sklearn.linear_model import LogisticRegression"],
    "both": [
        "-c",
        "from sklearn.linear_model import LogisticRegression; from labelnext import Pool, select",
    ],
    "version": ["-m", "labelnext", "--version"],
}


def imports(repeats: int) -> dict[str, Any]:
    """Time imports in new processes, and what `Pool` and `select` add to scikit-learn's."""
    for arguments in TIMED.values():
        _process_seconds(arguments)
    rounds = [{n: _process_seconds(a) for n, a in TIMED.items()} for _ in range(repeats)]
    medians = {name: statistics.median(each[name] for each in rounds) for name in TIMED}
    # Python's own start is nobody's import.
    seconds = {name: medians[name] - medians["python"] for name in TIMED if name != "python"}
    factor = seconds["both"] / seconds["sklearn"]
    loaded = json.loads(_output(LOADED, *LATE))
    return {
        **seconds,
        "version": medians["version"],
        "factor": factor,
        "of_numpy": seconds["labelnext"] / seconds["numpy"],
        "of_base": seconds["badge"] / seconds["base"],
        "at_most": 1.2,
        "reached": factor <= 1.2 and not loaded,
        "loaded_early": loaded,
        "loaded_by_a_small_selection": json.loads(_output(SMALL, *LATE)),
    }


def first_selection() -> dict[str, Any]:
    """Time the first two selections of five processes."""
    first, second = zip(*(json.loads(_output(FIRST)) for _ in range(5)), strict=True)
    return {"first_of_a_process": statistics.median(first), "second": statistics.median(second)}


def _process_seconds(arguments: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def _output(code: str, *arguments: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout
