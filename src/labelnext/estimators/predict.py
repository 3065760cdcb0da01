"""Ask a fitted classifier: for probabilities, features, its last step and its members."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from inspect import signature
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, is_classifier, is_regressor
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline
from sklearn.utils.extmath import safe_sparse_dot

from labelnext.estimators._fit import ColdStart
from labelnext.estimators.features import column_scaler, features_of, is_of_trees
from labelnext.estimators.models import (
    ask,
    ask_with_dropout,
    final_step,
    has_dropout,
    is_fitted,
    is_module,
    is_network,
    last_layer,
    look_through,
    look_through_unfitted,
    predict_proba,
    reach,
    transform,
)
from labelnext.estimators.rows import as_numbers, as_samples, take_rows
from labelnext.utils.given import refuse_other_order, shown


def proba_and_features(
    clf: Any,
    X: Any,
    flag_name: str | Mapping[str, Any] | None = None,
    features: Any = None,
) -> tuple[NDArray[Any], Any]:
    """
    Ask a fitted classifier for class probabilities and for what its last linear step sees.

    A classifier may hand back `(proba, features)` from `predict_proba`, by default or on a flag.
    Otherwise the features are, with the first that applies:

    - `SklearnClassifier`, a search like `GridSearchCV`, frozen, with a threshold: those of the
      classifier inside;
    - a `Pipeline`: for the output of its transformers, those of its last step;
    - a network (a `SkorchClassifier`, a net of skorch, a `torch.nn.Module`): the input of its
      last linear layer;
    - an `MLPClassifier`: its last hidden layer;
    - trees and ensembles of trees, those of XGBoost, LightGBM and CatBoost too, which see no
      scales: the columns of `X`, each scaled over all samples asked about, with a warning;
    - any other: `X` itself. It has no one last step if it is an ensemble or a
      `CalibratedClassifierCV`; where what it holds would have other features, there is a warning.

    Parameters
    ----------
    clf : classifier
        A fitted classifier with `predict_proba`, or a `torch.nn.Module`. It is not changed.
    X : array-like, tensor, sparse matrix or frame of shape (n_samples, ...)
        Samples, handed to `clf` as they are; to a plain network as the type of its weights, whole
        numbers too unless it embeds them.
    flag_name : str or dict, default=None
        Makes `predict_proba` return features: a string is passed as `flag_name=True`, a dict as
        keyword arguments.
    features : array-like or sparse matrix of shape (n_samples, ...), default=None
        Features of one's own, which are used in place of these.

    Returns
    -------
    proba : numpy.ndarray of shape (n_samples, n_classes)
        Class probabilities, in the order of the classifier's `classes_`. A classifier that
        returns a single column gives P(y = 1), and gets two, unless it knows one class only.
    features : numpy.ndarray or CSR matrix of shape (n_samples, n_features)
        The features. Those of more than two dimensions are flattened; sparse ones stay sparse.

    Raises
    ------
    TypeError
        If `clf` has no `predict_proba`, `flag_name` is no string or dict, or the features are not
        numbers.
    ValueError
        If `predict_proba` returns something else than probabilities or a pair of probabilities
        and features, no features although `flag_name` asks for them, or another number of rows
        than X has; if `features` has, or is given together with `flag_name`; or if the features
        are `X` itself, which holds NaN.

    Warns
    -----
    UserWarning
        If the features are `X` for want of better ones: see above.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from labelnext.estimators import proba_and_features
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)
    >>> proba, features = proba_and_features(clf, X)
    >>> proba[0].round(2)
    array([0.98, 0.02, 0.  ])
    >>> features[0].round(2)
    array([-0.9 ,  1.02, -1.34, -1.32])
    """
    arguments = _check_flag(flag_name)
    refuse_other_order(X=X, features=features)
    X = as_samples(X)
    refuse_without_proba(clf)
    if features is not None:
        return _with_features(clf, X, arguments, features)
    # A pipeline would transform X for its probabilities, and we a second time for the features.
    # A subclass may do more than that in its predict_proba, so it is asked itself.
    while type(clf) is Pipeline:
        X = transform(clf, X)
        clf = clf.steps[-1][1]
    if is_network(clf) and not arguments:
        proba, features = ask(clf, X)
        return _check_proba(proba, clf, X), as_numbers(features)
    answer = predict_proba(clf, X, arguments)
    if not isinstance(answer, tuple):
        if arguments and is_fitted(look_through(clf)):
            raise ValueError(
                f"{type(clf).__name__}.predict_proba must return (proba, features) when called "
                f"with {arguments}, got {type(answer).__name__} alone; check "
                f"clf_embedding_flag_name."
            )
        return _check_proba(answer, clf, X), features_of(clf, X)
    if len(answer) != 2:
        raise ValueError(
            f"{type(clf).__name__}.predict_proba must return probabilities or a pair "
            f"(proba, features), got a tuple of {len(answer)}."
        )
    return _check_proba(answer[0], clf, X), as_numbers(answer[1])


def proba_of(clf: Any, X: Any) -> NDArray[np.float64]:
    """
    Ask a fitted classifier for class probabilities alone.

    Parameters
    ----------
    clf, X : classifier and samples
        As in `proba_and_features`.

    Returns
    -------
    numpy.ndarray of shape (n_samples, n_classes), float64
        Class probabilities, as in `proba_and_features`.

    Raises
    ------
    TypeError, ValueError
        If there is no `predict_proba`, or what it returns are not probabilities, one row for each
        sample.

    Examples
    --------
    >>> from sklearn.dummy import DummyClassifier
    >>> from labelnext.estimators import proba_of
    >>> proba_of(DummyClassifier().fit([[0], [1], [2], [3]], [0, 1, 1, 1]), [[5]])
    array([[0.25, 0.75]])
    """
    return _proba(clf, as_samples(X)).astype(np.float64, copy=False)


def refuse_without_proba(clf: Any) -> None:
    """Refuse what has no `predict_proba`, and say what to take instead."""
    if hasattr(clf, "predict_proba") or is_module(final_step(clf)):
        return
    final = clf
    while final is not (inner := final_step(look_through_unfitted(final))):
        final = inner
    name = type(final).__name__
    known = isinstance(final, BaseEstimator)
    fault = ", a regressor" if known and is_regressor(final) else ""
    if final is not clf:
        where = "whose last step" if isinstance(clf, Pipeline) else "in which"
        fault = f", {where} {name} {'is a regressor' if fault else 'has none'}"
    advice = ""
    if known and getattr(final, "voting", None) == "hard":
        advice = f" Give {name} voting='soft', and members that have predict_proba."
    elif known and is_classifier(final):
        needed = [p for p in signature(type(final)).parameters.values() if p.default is p.empty]
        calibrated = f"CalibratedClassifierCV({name}({'...' * bool(needed)}), cv=2)"
        advice = (
            f" Take LogisticRegression, say, or sklearn.calibration.{calibrated} in the place of "
            f"{name}, once there are two labels of each class"
        )
        if isinstance(clf, Pipeline) and clf.steps[-1][1] is final:
            steps = "".join(f"{type(step).__name__}(), " for _, step in clf.steps[:-1])
            advice += f": make_pipeline({steps}{calibrated})"
        advice += "."
    elif known and is_regressor(final):
        advice = " Take a classifier, as LogisticRegression is."
    raise TypeError(
        f"clf must be a classifier with predict_proba, got {type(clf).__name__}{fault}.{advice}"
    )


def last_step(clf: Any, X: Any) -> Callable[[Any], NDArray[Any]]:
    """Return what a fitted classifier makes of the features that `proba_and_features` gave of X.

    A callable from features to a score for each class, the largest for the one predicted.
    """
    inner, X = reach(clf, X)
    if not is_fitted(inner):
        return lambda features: np.zeros((features.shape[0], 2))
    few = take_rows(X, np.arange(min(2, X.shape[0])))
    if is_network(inner):
        return _linear(*last_layer(inner, few))
    if isinstance(inner, MLPClassifier):
        return _linear(inner.coefs_[-1], inner.intercepts_[-1])
    if isinstance(predict_proba(inner, few, {}), tuple):
        raise TypeError(
            f"What {type(inner).__name__} makes of its features can't be asked for, as they come "
            f"out of its predict_proba; make what turns samples into features a step of a "
            f"sklearn.pipeline.Pipeline before the classifier, or pass the features as X."
        )
    scaler = column_scaler(as_numbers(X)) if is_of_trees(inner) else None

    def scores(features: Any) -> NDArray[Any]:
        if scaler is not None:
            features = scaler.inverse_transform(features)
        with warnings.catch_warnings():
            # Features are an array also where the classifier was fitted to a frame.
            warnings.filterwarnings("ignore", "X does not have valid feature names")
            return proba_of(inner, features)

    return scores


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
    """Yield what each member of a classifier that `has_members` says, in the classifier's classes.

    A network is asked `n_passes` times with dropout at work, of which `rng` decides.
    """
    X = as_samples(X)
    inner, seen = reach(clf, X)
    if not is_fitted(inner):
        yield from [proba_of(clf, X)] * 2  # all of them know nothing
    elif _is_ensemble(inner):
        yield from _ask_ensemble(inner, seen)
    else:
        for seed in rng.integers(2**63, size=n_passes):
            yield np.asarray(ask_with_dropout(inner, seen, int(seed)), dtype=np.float64)


def ask_committee(members: Sequence[Any], X: Any) -> Iterator[NDArray[np.float64]]:
    """Yield the probabilities that several classifiers give, of all classes that any knows, sorted.

    Who does not know a class gives it 0; who has learned nothing yet the same to all.
    """
    known = [None if isinstance(m, ColdStart) else _classes_of(m) for m in members]
    named = [label for classes in known if classes is not None for label in classes]
    try:
        classes = sorted(set(named))
    except TypeError as error:
        raise ValueError(
            f"All members of a committee must have classes of one kind, got numbers and texts: "
            f"{list(dict.fromkeys(named))}."
        ) from error
    for member, own in zip(members, known, strict=True):
        answer = proba_of(member, X)
        n_columns = answer.shape[1]
        if not classes or own == classes:
            yield answer
        elif isinstance(member, ColdStart):
            yield np.full((len(answer), len(classes)), 1 / len(classes))
        elif own is not None and len(own) == n_columns:
            proba = np.zeros((len(answer), len(classes)))
            proba[:, [classes.index(label) for label in own]] = answer
            yield proba
        elif n_columns == len(classes):
            yield answer
        else:
            raise ValueError(
                f"The members of this committee know the {len(classes)} classes {classes}, but "
                f"{type(member).__name__} gives {n_columns} probabilities and does not say of "
                f"which; give it an attribute classes_."
            )


def _proba(clf: Any, X: Any) -> NDArray[Any]:
    refuse_without_proba(clf)
    while type(clf) is Pipeline and is_network(final_step(clf)):
        X = transform(clf, X)
        clf = clf.steps[-1][1]
    answer = predict_proba(clf, X, {})
    return _check_proba(answer[0] if isinstance(answer, tuple) else answer, clf, X)


def _with_features(
    clf: Any, X: Any, arguments: dict[str, Any], features: Any
) -> tuple[NDArray[Any], Any]:
    if arguments:
        raise ValueError(
            "Pass either features or clf_embedding_flag_name, which asks for other features."
        )
    features = as_numbers(as_samples(features, "features"))
    if features.shape[0] != X.shape[0]:
        raise ValueError(
            f"features must have a row for each sample, got {features.shape[0]} for "
            f"{X.shape[0]} samples."
        )
    return _proba(clf, X), features


def _classes_of(clf: Any) -> list[Any] | None:
    """Return the classes that a classifier says it knows."""
    classes = getattr(clf, "classes_", None)
    return None if classes is None else np.asarray(classes).tolist()


def _check_proba(answer: Any, clf: Any, X: Any) -> NDArray[Any]:
    """Return probabilities with a column for each class; a single column is P(y = 1)."""
    given: NDArray[Any] = np.asarray(answer)
    proba = given[:, None] if given.ndim == 1 else given
    if proba.ndim != 2 or len(proba) != X.shape[0]:
        raise ValueError(
            f"{type(clf).__name__}.predict_proba must return an array of shape "
            f"({X.shape[0]}, n_classes), one row for each sample, got {given.shape}."
        )
    classes = _classes_of(clf)
    if proba.shape[1] == 1 and (classes is None or len(classes) != 1):
        if classes is not None and len(classes) != 2:
            raise ValueError(
                f"{type(clf).__name__}.predict_proba returns a single column, but it knows "
                f"{len(classes)} classes; it must have a column for each."
            )
        # A NaN fails it.
        wrong = np.flatnonzero(~((proba >= 0) & (proba <= 1)))
        if len(wrong):
            raise ValueError(
                f"The single column that {type(clf).__name__}.predict_proba returns must be "
                f"P(y = 1), from 0 to 1, got {proba[wrong[0], 0]:.6g} in row {wrong[0]}."
            )
        return np.hstack([1 - proba, proba])
    sums = proba.sum(axis=1, dtype=np.float64)
    # As far off as float16 gets with many classes.
    close = np.abs(sums - 1) < 5e-3
    if not (close.all() and (proba.size == 0 or proba.min() >= 0)):
        wrong = np.flatnonzero(~close | (proba < 0).any(axis=1))
        raise ValueError(
            f"{type(clf).__name__}.predict_proba must return probabilities that are not negative "
            f"and sum to 1, got a sum of {sums[wrong[0]]:.6g} and a smallest value of "
            f"{proba[wrong[0]].min():.6g} in row {wrong[0]}."
        )
    return proba


def _check_flag(flag_name: Any) -> dict[str, Any]:
    if flag_name is None:
        return {}
    if isinstance(flag_name, str):
        return {flag_name: True}
    if isinstance(flag_name, dict):
        return dict(flag_name)
    raise TypeError(
        f"clf_embedding_flag_name must be None, the name of an argument of predict_proba, or a "
        f"dict of arguments, got {shown(flag_name)}."
    )


def _linear(weights: NDArray[Any], bias: NDArray[Any]) -> Callable[[Any], NDArray[Any]]:
    def scores(features: Any) -> NDArray[Any]:
        logits = np.asarray(safe_sparse_dot(features, weights)) + bias
        # A single one speaks for the second class.
        return np.hstack([-logits, logits]) if logits.shape[1] == 1 else logits

    return scores


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
