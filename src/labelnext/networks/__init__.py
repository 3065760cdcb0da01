"""From a network and a data set to class probabilities and the last layer's input.

Nothing here imports torch before it is called.
"""

from labelnext.networks._extract import extract, proba_and_features

__all__ = ["extract", "proba_and_features"]
