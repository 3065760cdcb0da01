"""Real data sets for examples, tests and benchmarks; none is part of the package.

A loader takes an installed copy first, then what lies in scikit-learn's data home, then asks
OpenML or scikit-learn's own fetchers, and otherwise says all the ways to get the set.
"""

from labelnext.datasets._dataset import Dataset, DatasetNotFoundError
from labelnext.datasets._fashion_mnist import load_fashion_mnist
from labelnext.datasets._mlbench import load_letter, load_satellite, load_shuttle
from labelnext.datasets._newsgroups import load_20newsgroups

__all__ = [
    "Dataset",
    "DatasetNotFoundError",
    "load_20newsgroups",
    "load_fashion_mnist",
    "load_letter",
    "load_satellite",
    "load_shuttle",
]
