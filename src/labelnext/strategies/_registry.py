"""All strategies by name, each imported when it is asked for."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from labelnext.utils.text import did_you_mean

# The module and the class of each name, in the order of the table that people see.
STRATEGIES = {
    "badge": ("_badge", "Badge"),
    "bait": ("_bait", "Bait"),
    "bald": ("_bald", "Bald"),
    "batch-bald": ("_bald", "BatchBald"),
    "clue": ("_clusters", "Clue"),
    "cluster-margin": ("_clusters", "ClusterMargin"),
    "core-set": ("_cover", "CoreSet"),
    "drop-query": ("_drop_query", "DropQuery"),
    "falcun": ("_uncertainty", "Falcun"),
    "k-means": ("_clusters", "KMeansSampling"),
    "max-herding": ("_herding", "MaxHerding"),
    "power-margin": ("_uncertainty", "PowerMargin"),
    "prob-cover": ("_cover", "ProbCover"),
    "random": ("_random", "RandomSampling"),
    "typi-clust": ("_typi_clust", "TypiClust"),
    "uncertainty": ("_uncertainty", "UncertaintySampling"),
    "uncertainty-herding": ("_herding", "UncertaintyHerding"),
}

# Short for uncertainty sampling by one of its methods.
METHODS = {
    "margin": "margin_sampling",
    "entropy": "entropy",
    "least-confident": "least_confident",
}


class About(NamedTuple):
    """What there is to know of a strategy: what it is called, needs, does, and comes from."""

    name: str
    needs: tuple[str, ...]
    summary: str
    paper: str


def names() -> list[str]:
    """
    Return the names that `labelnext.select`, experiments and the command take.

    They take "margin", "entropy" and "least-confident" too, each for "uncertainty" by that method.

    Returns
    -------
    list of str
        The names.

    Examples
    --------
    >>> from labelnext import strategies
    >>> strategies.names()[:3]
    ['badge', 'bait', 'bald']
    """
    return list(STRATEGIES)


def find(name: str) -> Callable[..., Any]:
    """
    Return what makes the strategy of a name; a ValueError offers the nearest.

    Parameters
    ----------
    name : str
        One of `names`, in any case, with or without hyphens, or the name of a class.

    Returns
    -------
    callable
        The strategy's class, with the method set where the name is that of one.

    Examples
    --------
    >>> from labelnext import strategies
    >>> strategies.find("core-set").__name__
    'CoreSet'
    """
    known = {
        _plain(spelling): key for key, (_, cls) in STRATEGIES.items() for spelling in (key, cls)
    }
    methods = {_plain(short): method for short, method in METHODS.items()}
    if _plain(name) in methods:
        return partial(find("uncertainty"), method=methods[_plain(name)])
    key = known.get(_plain(name))
    if key is None:
        every = sorted([*STRATEGIES, *METHODS])
        raise ValueError(
            f"unknown strategy {name!r}{did_you_mean(name, every) or ';'} "
            f"there are {', '.join(every)}."
        )
    module, cls = STRATEGIES[key]
    found: type[Any] = getattr(importlib.import_module(f"labelnext.strategies.{module}"), cls)
    return found


def by_name(name: str, **parameters: Any) -> Any:
    """
    Make the strategy of a name.

    Parameters
    ----------
    name : str
        As in `find`.
    **parameters : dict
        Its parameters.

    Returns
    -------
    QueryStrategy
        The strategy.

    Examples
    --------
    >>> from labelnext import strategies
    >>> strategies.by_name("max-herding", radius=0.5)
    MaxHerding(radius=0.5)
    """
    return find(name)(**parameters)


def about() -> list[About]:
    """
    Describe all strategies, in the order of `names`.

    Returns
    -------
    list of About
        Name, needs, one line and paper of each.

    Examples
    --------
    >>> from labelnext import strategies
    >>> strategies.about()[0].needs
    ('proba', 'features')
    """
    found = []
    for name in STRATEGIES:
        cls: Any = find(name)
        summary = (inspect.getdoc(cls) or "").split("\n")[0]
        found.append(About(name, cls.needs, summary, cls.paper))
    return found


def _plain(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "").replace(" ", "")
