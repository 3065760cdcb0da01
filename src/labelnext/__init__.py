"""Which samples should people label next?

A `Pool` is what samples are chosen from: arrays, files (`open_pool`, `write_pool`), or what a
PyTorch network makes of data (`extract`). `select` chooses a `Batch` of it, by BADGE or any of
`labelnext.strategies.names()`, on a `Ray` cluster if need be. Strategies in scikit-learn's manner,
classifiers and plots are in `labelnext.pool`, `labelnext.classifier` and
`labelnext.visualization`, under the names that users of scikit-activeml know.
"""

import importlib
from types import ModuleType

from labelnext._version import __version__
from labelnext.cluster import Ray
from labelnext.networks import extract
from labelnext.pools import Pool, open_pool, write_pool
from labelnext.sampling import Batch
from labelnext.strategies import select

__all__ = [
    "Batch",
    "Pool",
    "Ray",
    "__version__",
    "extract",
    "open_pool",
    "select",
    "write_pool",
]

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
