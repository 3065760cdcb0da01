"""Classifiers that bear missing labels and know all classes from the start."""

from labelnext.classifier._parzen import ParzenWindowClassifier
from labelnext.classifier._wrapper import SklearnClassifier

__all__ = ["ParzenWindowClassifier", "SklearnClassifier"]
