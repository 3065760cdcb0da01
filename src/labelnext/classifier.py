"""
Classifiers that bear missing labels and know all classes from the start.

The query strategies of scikit-activeml take them like its own, except for those that ask for one
exact class of its own (`EpistemicUncertaintySampling`). A classifier registers itself when it is
made, fitted or unpickled while scikit-activeml is imported. One that was made before that import
and is not fitted yet needs `skactiveml.base.SkactivemlClassifier.register(type(clf))`.
"""

from labelnext.estimators import ParzenWindowClassifier, SklearnClassifier, SkorchClassifier

__all__ = ["ParzenWindowClassifier", "SklearnClassifier", "SkorchClassifier"]
