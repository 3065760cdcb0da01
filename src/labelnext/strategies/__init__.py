"""Strategies: which samples of a pool should people label next?

`select` is the one door to all of them; `names` and `about` list them. The classes are imported
when they are asked for, since they bring scikit-learn.
"""

import importlib
from typing import TYPE_CHECKING, Any

from labelnext.strategies._query import Choice, Query
from labelnext.strategies._registry import STRATEGIES, about, by_name, find, names
from labelnext.strategies._select import select

if TYPE_CHECKING:
    from labelnext.strategies._badge import Badge as Badge
    from labelnext.strategies._bait import Bait as Bait
    from labelnext.strategies._bald import Bald as Bald
    from labelnext.strategies._bald import BatchBald as BatchBald
    from labelnext.strategies._base import QueryStrategy as QueryStrategy
    from labelnext.strategies._clusters import Clue as Clue
    from labelnext.strategies._clusters import ClusterMargin as ClusterMargin
    from labelnext.strategies._clusters import KMeansSampling as KMeansSampling
    from labelnext.strategies._contract import check_query_strategy as check_query_strategy
    from labelnext.strategies._cover import CoreSet as CoreSet
    from labelnext.strategies._cover import ProbCover as ProbCover
    from labelnext.strategies._drop_query import DropQuery as DropQuery
    from labelnext.strategies._herding import MaxHerding as MaxHerding
    from labelnext.strategies._herding import UncertaintyHerding as UncertaintyHerding
    from labelnext.strategies._random import RandomSampling as RandomSampling
    from labelnext.strategies._typi_clust import TypiClust as TypiClust
    from labelnext.strategies._uncertainty import Falcun as Falcun
    from labelnext.strategies._uncertainty import PowerMargin as PowerMargin
    from labelnext.strategies._uncertainty import UncertaintySampling as UncertaintySampling

_LATE = {
    "QueryStrategy": "_base",
    "check_query_strategy": "_contract",
    **{name: module for module, name in STRATEGIES.values()},
}

__all__ = ["Choice", "Query", "about", "by_name", "find", "names", "select"]
__all__ += list(_LATE)


def __getattr__(name: str) -> Any:
    if name in _LATE:
        return getattr(importlib.import_module(f"labelnext.strategies.{_LATE[name]}"), name)
    raise AttributeError(f"module 'labelnext.strategies' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATE})
