"""Which samples should people label next?

A `Pool` is what samples are chosen from: arrays, files (`open_pool`, `write_pool`), or what a
PyTorch network makes of data (`extract`). `select` chooses a `Batch` of it, by BADGE or any of
`labelnext.strategies.names()`, on a `Ray` cluster if need be. Strategies in scikit-learn's manner,
classifiers and plots are in `labelnext.pool`, `labelnext.classifier` and
`labelnext.visualization`, under the names that users of scikit-activeml know.
"""

import importlib
import pkgutil
import sys
import warnings
from types import ModuleType
from typing import TYPE_CHECKING, Any

from labelnext._version import __version__ as __version__

if TYPE_CHECKING:
    from labelnext.cluster import Ray as Ray
    from labelnext.loop import open_loop as open_loop
    from labelnext.networks import extract as extract
    from labelnext.pools import Pool as Pool
    from labelnext.pools import open_pool as open_pool
    from labelnext.pools import write_pool as write_pool
    from labelnext.sampling import Batch as Batch
    from labelnext.strategies import select as select

# Where each name is. All is imported when it is used first: importing labelnext costs nothing.
_NAMES = {
    "Batch": "sampling",
    "Pool": "pools",
    "Ray": "cluster",
    "extract": "networks",
    "open_loop": "loop",
    "open_pool": "pools",
    "select": "strategies",
    "write_pool": "pools",
}
__all__ = ["__version__", *_NAMES]  # noqa: PLE0604

# The packages that had another name in 0.1.
_MOVED = {
    "gradients": "engine",
    "models": "estimators",
    "storage": "pools",
    "testing": "strategies",
}


class _Moved(ModuleType):
    """A package under its name of 0.1: it warns when something is taken from it."""

    def __getattr__(self, name: str) -> Any:
        old = self.__name__.rpartition(".")[2]
        if name.startswith("_"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        warnings.warn(
            f"labelnext.{old} is labelnext.{_MOVED[old]} since version 0.2; the old name goes "
            "with 0.3. The documentation's page 'Coming from labelnext 0.1' has all changes.",
            FutureWarning,
            stacklevel=2,
        )
        return getattr(importlib.import_module(f"labelnext.{_MOVED[old]}"), name)


for _old in _MOVED:
    sys.modules[f"labelnext.{_old}"] = _Moved(f"labelnext.{_old}")


def __getattr__(name: str) -> Any:
    if name in _MOVED:
        return sys.modules[f"labelnext.{name}"]
    if name in _NAMES:
        found = getattr(importlib.import_module(f"labelnext.{_NAMES[name]}"), name)
        globals()[name] = found
        return found
    if name in _subpackages():
        return importlib.import_module(f"labelnext.{name}")
    raise AttributeError(f"module 'labelnext' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_NAMES, *_subpackages()})


def _subpackages() -> set[str]:
    return {found.name for found in pkgutil.iter_modules(__path__) if found.name[0] != "_"}
