"""How far people, or models, say the same: Cohen's kappa and Krippendorff's alpha."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

# Resamples, and weights of units that are held at once.
RESAMPLES, AT_ONCE = 1000, 1 << 20


def kappa(first: NDArray[Any], second: NDArray[Any]) -> float:
    """Return Cohen's kappa of two lists of labels: 1 if they are equal, 0 if by chance as equal."""
    agree = float(np.mean(first == second))
    if agree == 1:
        return 1.0  # also where both know one class only, for which kappa is not defined
    # sklearn.metrics.cohen_kappa_score takes twenty times as long.
    names, codes = np.unique(np.concatenate([first, second]), return_inverse=True)
    shares = [np.bincount(part, minlength=len(names)) / len(part) for part in np.split(codes, 2)]
    chance = float(shares[0] @ shares[1])
    return (agree - chance) / (1 - chance)


class Pair(NamedTuple):
    """Two people: of how many samples both have said something, how often the same, and kappa."""

    people: tuple[str, str]
    n: int
    same: float
    kappa: float


def pairs(units: Iterable[Mapping[str, Any]]) -> list[Pair]:
    """Compare each two people on what both have labelled; a unit is what people say of a sample.

    >>> pairs([{"ann": "a", "bo": "a"}, {"ann": "b", "bo": "a"}, {"ann": "b"}])
    [Pair(people=('ann', 'bo'), n=2, same=0.5, kappa=0.0)]
    """
    both: dict[tuple[str, str], list[tuple[Any, Any]]] = {}
    for said in units:
        for one, other in combinations(sorted(said), 2):
            both.setdefault((one, other), []).append((said[one], said[other]))
    found = []
    for people, values in sorted(both.items()):
        first, second = map(np.array, zip(*values, strict=True))
        found.append(
            Pair(people, len(values), float(np.mean(first == second)), kappa(first, second))
        )
    return found


def alpha(units: Sequence[Sequence[Any]], *, numbers: bool = False) -> tuple[float, float, float]:
    """Return Krippendorff's alpha and a 95 % interval, by resampling the units.

    A unit is what several people have said of one sample; those of one person do not count.
    Values are names, or with `numbers` numbers whose distance counts. NaN where it is not defined.

    K. Krippendorff, "Computing Krippendorff's alpha-reliability", 2011.

    >>> value, low, high = alpha([["a", "a"], ["a", "a"], ["b", "b"], ["a", "b"]])
    >>> f"{value:.2f}"
    '0.53'
    """
    # Units in which the same is said are one, with how often it is there.
    alike = Counter(tuple(sorted(unit)) for unit in units if len(unit) > 1)
    pairs, times = list(alike), np.array([*alike.values()], dtype=np.float64)
    if not pairs:
        return (np.nan,) * 3
    sizes = np.array([len(unit) for unit in pairs], dtype=np.float64)
    if numbers:
        values = np.array([[np.sum(u), np.sum(np.square(u))] for u in pairs], dtype=np.float64)
        # Sums of squared differences over ordered pairs.
        within = 2 * (sizes * values[:, 1] - values[:, 0] ** 2)
    else:
        names = sorted({value for unit in pairs for value in unit})
        values = np.array([[unit.count(name) for name in names] for unit in pairs], np.float64)
        within = sizes**2 - np.square(values).sum(axis=1)

    def of(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        n = weights @ sizes
        observed = weights @ (within / (sizes - 1)) / n
        sums = weights @ values
        apart = (
            2 * (n * sums[:, 1] - sums[:, 0] ** 2)
            if numbers
            else n**2 - np.square(sums).sum(axis=1)
        )
        with np.errstate(invalid="ignore", divide="ignore"):
            found: NDArray[np.float64] = 1 - observed / (apart / (n * (n - 1)))
        return found

    (value,) = of(times[None])
    n, rng = int(times.sum()), np.random.default_rng(0)
    block = max(1, AT_ONCE // len(pairs))
    drawn = np.concatenate(
        [
            of(rng.multinomial(n, times / n, min(block, RESAMPLES - at)).astype(float))
            for at in range(0, RESAMPLES, block)
        ]
    )
    drawn = drawn[np.isfinite(drawn)]
    low, high = np.quantile(drawn, [0.025, 0.975]) if len(drawn) else (np.nan, np.nan)
    return float(value), float(low), float(high)
