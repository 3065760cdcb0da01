"""Agreement against what the literature and scikit-learn say; intervals of shares."""

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from labelnext.utils.agreement import alpha, kappa
from labelnext.utils.interval import wilson

# K. Krippendorff, "Computing Krippendorff's alpha-reliability" (2011): four observers, 12 units.
OBSERVERS = [
    ["1", "2", "3", "3", "2", "1", "4", "1", "2", ".", ".", "."],
    ["1", "2", "3", "3", "2", "2", "4", "1", "2", "5", ".", "3"],
    [".", "3", "3", "3", "2", "3", "4", "2", "2", "5", "1", "."],
    ["1", "2", "3", "3", "2", "4", "4", "1", "2", "5", "1", "."],
]
UNITS = [[value for value in unit if value != "."] for unit in zip(*OBSERVERS, strict=True)]


def test_alpha_is_that_of_the_paper():
    value, low, high = alpha(UNITS)
    assert value == pytest.approx(0.743, abs=5e-4)
    assert low < value < high <= 1
    numbers = [[float(value) for value in unit] for unit in UNITS]
    assert alpha(numbers, numbers=True)[0] == pytest.approx(0.849, abs=5e-4)


def test_alpha_at_its_ends():
    assert alpha([["a", "a"], ["b", "b"]])[0] == 1
    assert alpha([["a", "a"], ["a", "b"], ["b", "a"], ["b", "b"]] * 500)[0] == pytest.approx(
        0, abs=2e-3
    )
    assert np.isnan(alpha([["a", "a"], ["a", "a"]])).all()
    assert np.isnan(alpha([["a"], []])).all()
    assert alpha([[1.0, 1.0], [5.0, 5.0]], numbers=True)[0] == 1


def test_two_people_agree_nearly_by_kappa_as_by_alpha():
    rng = np.random.default_rng(0)
    first = rng.integers(0, 4, 3000)
    second = np.where(rng.random(3000) < 0.7, first, rng.integers(0, 4, 3000))
    expected = cohen_kappa_score(first, second)
    assert kappa(first, second) == pytest.approx(expected)
    assert alpha(list(zip(first, second, strict=True)))[0] == pytest.approx(expected, abs=1e-3)


def test_the_interval_of_alpha_covers():
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(60):
        truth = rng.integers(0, 3, 100)
        said = [np.where(rng.random(100) < 0.8, truth, rng.integers(0, 3, 100)) for _ in range(2)]
        _, low, high = alpha(list(zip(*said, strict=True)))
        hits += low <= 0.64 <= high  # 0.8²
    assert hits >= 51


# Brown, Cai, DasGupta (2001), and R's binom::binom.wilson.
@pytest.mark.parametrize(
    ("right", "n", "low", "high"),
    [
        (0, 10, 0.0, 0.2775),
        (10, 10, 0.7225, 1.0),
        (5, 10, 0.2366, 0.7634),
        (81, 100, 0.7222, 0.8749),
    ],
)
def test_wilson(right, n, low, high):
    assert np.allclose(wilson(right, n), (low, high), atol=5e-5)
