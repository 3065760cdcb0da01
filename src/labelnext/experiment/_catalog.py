"""Strategies, models and data sets by name."""

from __future__ import annotations

import importlib
import inspect
import re
from functools import cache
from typing import TYPE_CHECKING, Any

from labelnext.experiment._data import DATA, Data
from labelnext.utils.names import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping


def find_strategy(name: str, options: Mapping[str, Any] | None = None) -> Any:
    """Make the strategy of that name: any of `labelnext.pool`, or ``"module:name"``."""
    return _make("strategy", name, _strategies(), options or {})


def find_model(name: str, options: Mapping[str, Any] | None = None) -> Any:
    """Make the model of that name, or ``"module:name"``."""
    return _make("model", name, _models(), options or {})


def find_data(name: str, options: Mapping[str, Any] | None = None) -> Data:
    """Name a data set, or a function ``"module:name"`` that returns samples and labels."""
    if ":" in name:
        load = _imported("data set", name)
    else:
        load = _lookup("data set", name, DATA)
    return Data(load, dict(options or {}))


def check_known(what: str, names: Iterable[str], known: Iterable[str], where: str) -> None:
    """Refuse settings that nothing reads, and offer the nearest that something does."""
    known = list(known)
    for name in names:
        if name not in known:
            raise ValueError(
                f"{where}: unknown {what} {name!r}{did_you_mean(name, known) or ';'} "
                f"there are {', '.join(known)}."
            )


@cache
def _strategies() -> dict[str, Callable[..., Any]]:
    from labelnext import pool

    found: dict[str, Callable[..., Any]] = {
        _plain(name): item
        for name, item in vars(pool).items()
        if inspect.isclass(item)
        and issubclass(item, pool.QueryStrategy)
        and not inspect.isabstract(item)
    }
    named = {
        "margin": "margin_sampling",
        "entropy": "entropy",
        "leastconfident": "least_confident",
    }
    for name, method in named.items():
        found[name] = _with_method(method)
    found["random"] = found["randomsampling"]
    return found


def _with_method(method: str) -> Callable[..., Any]:
    from labelnext.strategies import UncertaintySampling

    return lambda **options: UncertaintySampling(**({"method": method} | options))


@cache
def _models() -> dict[str, Callable[..., Any]]:
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.naive_bayes import GaussianNB
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.neural_network import MLPClassifier

    def mlp(**options: Any) -> Any:
        usual = {"hidden_layer_sizes": (64,), "solver": "lbfgs", "alpha": 0.1, "max_iter": 60}
        return MLPClassifier(**(usual | options))

    return {
        "logistic": lambda **options: LogisticRegression(
            **({"C": 10.0, "max_iter": 300} | options)
        ),
        "mlp": mlp,
        "forest": RandomForestClassifier,
        "naive-bayes": GaussianNB,
        "neighbours": KNeighborsClassifier,
    }


def _plain(name: str) -> str:
    """Spell a name without case and hyphens, so that core-set and CoreSet are one."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _lookup(kind: str, name: str, known: Mapping[str, Any]) -> Any:
    plain = {_plain(key): value for key, value in known.items()}
    if _plain(name) not in plain:
        raise ValueError(
            f"unknown {kind} {name!r}{did_you_mean(name.lower(), known) or ';'} there are "
            f"{', '.join(sorted(known))}, or module:name for your own."
        )
    return plain[_plain(name)]


def _make(
    kind: str, name: str, known: Mapping[str, Callable[..., Any]], options: Mapping[str, Any]
) -> Any:
    make = _imported(kind, name) if ":" in name else _lookup(kind, name, known)
    try:
        return make(**options)
    except TypeError as error:
        raise ValueError(f"{kind} {name!r} does not take {dict(options)}: {error}.") from error


def _imported(kind: str, name: str) -> Any:
    module, _, attribute = name.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"{kind} {name!r} cannot be imported: {error}.") from error
