"""Query strategies, under the name that users of scikit-activeml import them by.

Each is imported when it is asked for: some bring much that others have no use for.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labelnext.strategies import (
        Badge,
        Bait,
        Bald,
        BatchBald,
        Clue,
        ClusterMargin,
        CoreSet,
        DropQuery,
        Falcun,
        KMeansSampling,
        MaxHerding,
        PowerMargin,
        ProbCover,
        Query,
        QueryStrategy,
        RandomSampling,
        TypiClust,
        UncertaintyHerding,
        UncertaintySampling,
    )

__all__ = [
    "Badge",
    "Bait",
    "Bald",
    "BatchBald",
    "Clue",
    "ClusterMargin",
    "CoreSet",
    "DropQuery",
    "Falcun",
    "KMeansSampling",
    "MaxHerding",
    "PowerMargin",
    "ProbCover",
    "Query",
    "QueryStrategy",
    "RandomSampling",
    "TypiClust",
    "UncertaintyHerding",
    "UncertaintySampling",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'labelnext.pool' has no attribute {name!r}")
    from labelnext import strategies

    found = globals()[name] = getattr(strategies, name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
