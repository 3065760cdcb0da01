"""Classifiers that hold several opinions: ensembles, and networks with dropout."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.pipeline import Pipeline

from labelnext.estimators._features import transform
from labelnext.estimators.delegates import is_fitted, look_through
from labelnext.estimators.networks import ask_with_dropout, has_dropout, is_network
from labelnext.estimators.predict import proba_of
from labelnext.estimators.rows import as_numbers, as_samples

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray


def has_members(clf: Any) -> bool:
    """Tell whether `ask_members` can ask a fitted classifier, at the end of a pipeline too."""
    clf = look_through(clf)
    if not is_fitted(clf):
        return True  # a stand-in answers for it, whose one opinion is that it knows nothing
    if isinstance(clf, Pipeline):
        return has_members(clf.steps[-1][1])
    return _is_ensemble(clf) or (is_network(clf) and has_dropout(clf))


def ask_members(
    clf: Any, X: Any, n_passes: int, rng: np.random.Generator
) -> Iterator[NDArray[np.float64]]:
    """Yield the probabilities that each member gives, of a classifier that `has_members`.

    Parameters
    ----------
    clf : classifier
        A fitted ensemble of scikit-learn's whose members are classifiers of the same classes, or
        a network, which is asked `n_passes` times with dropout at work.
    X : samples
        What `clf.predict_proba` takes.
    n_passes : int
        How often a network is asked.
    rng : numpy.random.Generator
        Decides what is dropped.

    Yields
    ------
    ndarray of shape (n_samples, n_classes), float64
        The columns are the same classes for all members.
    """
    inner, X = look_through(clf), as_samples(X)
    if not is_fitted(inner):
        yield proba_of(clf, X)
    elif isinstance(inner, Pipeline):
        yield from ask_members(inner.steps[-1][1], transform(inner, X), n_passes, rng)
    elif _is_ensemble(inner):
        yield from _ask_ensemble(inner, X)
    elif is_network(inner):
        for seed in rng.integers(2**63, size=n_passes):
            yield np.asarray(ask_with_dropout(inner, X, int(seed)), dtype=np.float64)
    else:
        yield proba_of(inner, X)


def _is_ensemble(clf: Any) -> bool:
    from sklearn.ensemble import (
        BaggingClassifier,
        ExtraTreesClassifier,
        RandomForestClassifier,
        VotingClassifier,
    )

    # Of others the estimators_ may be anything: steps of one model, or models of one class each.
    kinds = (BaggingClassifier, ExtraTreesClassifier, RandomForestClassifier, VotingClassifier)
    return isinstance(clf, kinds)


def _ask_ensemble(ensemble: Any, X: Any) -> Iterator[NDArray[np.float64]]:
    members = ensemble.estimators_
    columns = getattr(ensemble, "estimators_features_", [None] * len(members))
    # A voting classifier hands frames on to its members; the others fit them to arrays.
    if not hasattr(ensemble, "voting"):
        X = as_numbers(X)
    for member, of_member in zip(members, columns, strict=True):
        if not hasattr(member, "predict_proba"):
            raise TypeError(
                f"The members of {type(ensemble).__name__} must have predict_proba, but "
                f"{type(member).__name__} has none."
            )
        answer = proba_of(member, X if of_member is None else X[:, of_member])
        # Members know classes by number, and of those only what was in their share of the labels.
        proba = np.zeros((len(answer), len(ensemble.classes_)))
        proba[:, np.asarray(member.classes_, dtype=np.int64)] = answer
        yield proba
