"""Query strategies: which samples of a pool should people label next?"""

from labelnext.strategies._badge import Badge
from labelnext.strategies._bait import Bait
from labelnext.strategies._bald import Bald
from labelnext.strategies._base import QueryStrategy
from labelnext.strategies._batch_bald import BatchBald
from labelnext.strategies._classifier import ClassifierQueryStrategy
from labelnext.strategies._clue import Clue
from labelnext.strategies._cluster_margin import ClusterMargin
from labelnext.strategies._contract_check import check_query_strategy
from labelnext.strategies._core_set import CoreSet
from labelnext.strategies._drop_query import DropQuery
from labelnext.strategies._falcun import Falcun
from labelnext.strategies._feature import FeatureQueryStrategy
from labelnext.strategies._k_means import KMeansSampling
from labelnext.strategies._max_herding import MaxHerding
from labelnext.strategies._power_margin import PowerMargin
from labelnext.strategies._prob_cover import ProbCover
from labelnext.strategies._query import Query
from labelnext.strategies._random import RandomSampling
from labelnext.strategies._typi_clust import TypiClust
from labelnext.strategies._uncertainty import UncertaintySampling
from labelnext.strategies._uncertainty_herding import UncertaintyHerding

__all__ = [
    "Badge",
    "Bait",
    "Bald",
    "BatchBald",
    "ClassifierQueryStrategy",
    "Clue",
    "ClusterMargin",
    "CoreSet",
    "DropQuery",
    "Falcun",
    "FeatureQueryStrategy",
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
    "check_query_strategy",
]
