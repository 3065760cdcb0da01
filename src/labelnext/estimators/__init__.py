"""scikit-learn's side: classifiers with missing labels, and what a strategy needs of any model."""

from labelnext.estimators._fit import ColdStart, fit_on_labeled
from labelnext.estimators._parzen import ParzenWindowClassifier
from labelnext.estimators._skorch import SkorchClassifier
from labelnext.estimators._wrapper import SklearnClassifier
from labelnext.estimators.predict import proba_and_features, proba_of

__all__ = [
    "ColdStart",
    "ParzenWindowClassifier",
    "SklearnClassifier",
    "SkorchClassifier",
    "fit_on_labeled",
    "proba_and_features",
    "proba_of",
]
