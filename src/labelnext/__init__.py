"""Which samples should people label next?

`select` takes probabilities and features and answers with a `Batch`; `extract` gets them from a
PyTorch network and a data set; `write_pool` puts a pool on the disk, and `open_pool` takes one
from there that may be larger than memory. The query strategies, classifiers and plots are in
`labelnext.pool`, `labelnext.classifier` and `labelnext.visualization`, under the names that users
of scikit-activeml know.
"""

import importlib
from types import ModuleType

from labelnext._version import __version__
from labelnext.engine import open_pool
from labelnext.networks import extract
from labelnext.pools import Pool, write_pool
from labelnext.sampling import Batch, select

__all__ = ["Batch", "Pool", "__version__", "extract", "open_pool", "select", "write_pool"]

_SUBPACKAGES = {
    "classifier",
    "cluster",
    "datasets",
    "engine",
    "estimators",
    "experiment",
    "networks",
    "pool",
    "pools",
    "sampling",
    "strategies",
    "utils",
    "visualization",
}


def __getattr__(name: str) -> ModuleType:
    # `labelnext.pool` works after `import labelnext` alone, and costs nothing until it is used.
    if name in _SUBPACKAGES:
        return importlib.import_module(f"labelnext.{name}")
    raise AttributeError(f"module 'labelnext' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_SUBPACKAGES})
