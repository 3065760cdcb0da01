"""From a model to what BADGE needs of it: class probabilities, and its last layer's input."""

from labelnext.models._cold_start import ColdStart
from labelnext.models._fit import fit_on_labeled
from labelnext.models._predict import proba_and_features, proba_of

__all__ = ["ColdStart", "fit_on_labeled", "proba_and_features", "proba_of"]
