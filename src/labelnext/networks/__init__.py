"""From a network and a data set to class probabilities and the last layer's input.

The network runs once over the data, in evaluation mode, and is left as it was. Nothing here
imports torch before it is called.
"""

from labelnext.networks._extract import extract
from labelnext.networks._find_head import Head, find_head
from labelnext.networks._proba_and_features import proba_and_features

__all__ = ["Head", "extract", "find_head", "proba_and_features"]
