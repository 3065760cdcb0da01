"""What is inside a classifier: those that it asks, and networks of torch, alone or of skorch.

Nothing here imports torch: where it was not imported, there is no network.
"""

from __future__ import annotations

import copy
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from labelnext.estimators._skorch import SkorchClassifier
from labelnext.networks import proba_and_features
from labelnext.utils.given import shown
from labelnext.utils.libraries import without_tensor
from labelnext.utils.random import seeded

# Named by module and class, so that none of them has to be imported: where the module was not,
# there is no instance either. Each with its attributes of the fitted and the unfitted classifier.
_WRAPPERS = {
    ("labelnext.estimators", "ColdStart"): ("clf", "clf"),
    ("labelnext.classifier", "SklearnClassifier"): ("estimator_", "estimator"),
    ("skactiveml.classifier", "SklearnClassifier"): ("estimator_", "estimator"),
    ("sklearn.frozen", "FrozenEstimator"): ("estimator", "estimator"),
    ("sklearn.model_selection", "FixedThresholdClassifier"): ("estimator_", "estimator"),
    ("sklearn.model_selection", "TunedThresholdClassifierCV"): ("estimator_", "estimator"),
}


def copy_of(clf: Any) -> Any:
    """Return an unfitted copy; a whole one of what scikit-learn can't clone, CatBoost's say."""
    try:
        return clone(clf, safe=False)
    except RuntimeError:  # its constructor changes a parameter
        return copy.deepcopy(clf)


def look_through(clf: Any) -> Any:
    """Return the classifier that `clf` asks for its probabilities, maybe unfitted, or `clf`."""
    # Of GridSearchCV and all that are made like it, in other libraries too.
    if hasattr(clf, "best_estimator_"):
        return look_through(clf.best_estimator_)
    attributes = _wrapper_attributes(clf)
    return clf if attributes is None else look_through(getattr(clf, attributes[0]))


def look_through_unfitted(clf: Any) -> Any:
    """Return the classifier that `clf` would fit, or `clf` itself."""
    attributes = _wrapper_attributes(clf)
    if attributes is not None:
        return look_through_unfitted(getattr(clf, attributes[1]))
    if hasattr(clf, "estimator") and hasattr(clf, "refit"):  # a search over hyperparameters
        return look_through_unfitted(clf.estimator)
    return clf


def reach(clf: Any, X: Any) -> tuple[Any, Any]:
    """Return what `clf` asks in the end, through fitted wrappers and pipelines, and its samples."""
    clf = look_through(clf)
    while isinstance(clf, Pipeline) and is_fitted(clf):
        X = transform(clf, X)
        clf = look_through(clf.steps[-1][1])
    return clf, X


def parts_of(clf: Any) -> list[Any]:
    """Return the unfitted classifiers that an ensemble or wrapper is made of."""
    members = getattr(clf, "estimators", None)
    if isinstance(members, list) and members:  # of a vote or a stack
        return [member for _, member in members if not isinstance(member, str)]
    inner = getattr(clf, "estimator", None)
    return [] if inner is None else [look_through_unfitted(inner)]


def final_step(clf: Any) -> Any:
    """Return the last step of a pipeline, of pipelines in it too, or `clf` itself."""
    return final_step(clf.steps[-1][1]) if isinstance(clf, Pipeline) else clf


def transformers(pipeline: Pipeline) -> list[Any]:
    """Return the steps that make features of samples."""
    # What has no transform acts on the training data alone, as imbalanced-learn's samplers do.
    return [step for _, step in pipeline.steps[:-1] if hasattr(step, "transform")]


def transform(pipeline: Pipeline, X: Any) -> Any:
    """Send samples through all fitted steps of a pipeline but the last."""
    for step in transformers(pipeline):
        X = step.transform(X)
    return X


def is_fitted(clf: Any) -> bool:
    """Tell whether an estimator has been fitted; one that can't be asked counts as fitted."""
    clf = final_step(clf)  # as scikit-learn has it, which would stumble over a network there
    if not isinstance(clf, BaseEstimator):
        return True
    if is_skorch_net(clf):  # scikit-learn takes what skorch 1.2 and older make at once for a fit
        return bool(getattr(clf, "initialized_", False))
    if not hasattr(clf, "__sklearn_is_fitted__") and any(
        name.endswith("_") and not name.startswith("__") for name in vars(clf)
    ):
        return True  # as the next line would say, and in a fifth of the time
    try:
        check_is_fitted(clf)
    except NotFittedError:
        return False
    return True


def _wrapper_attributes(clf: Any) -> tuple[str, str] | None:
    for (module, name), attributes in _WRAPPERS.items():
        cls = getattr(sys.modules.get(module), name, None)
        if cls is not None and isinstance(clf, cls):
            return attributes
    return None


def is_module(clf: Any) -> bool:
    """Tell whether a classifier is a plain `torch.nn.Module`."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(clf, torch.nn.Module)


def is_skorch_net(clf: Any) -> bool:
    """Tell whether a classifier is a plain net of skorch."""
    skorch = sys.modules.get("skorch")
    return skorch is not None and isinstance(clf, skorch.NeuralNet)


def is_network(clf: Any) -> bool:
    """Tell whether `ask` knows how to ask a classifier."""
    return isinstance(clf, SkorchClassifier) or is_module(clf) or is_skorch_net(clf)


def ask(clf: Any, X: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return probabilities of samples, and inputs of the last linear layer; the network is kept."""
    from labelnext.networks.results import as_arrays

    if isinstance(clf, SkorchClassifier):
        proba, features = clf.predict_proba(X, return_embeddings=True)
        return proba, features
    amp = None if is_module(clf) else False
    return as_arrays(*proba_and_features(_module_of(clf), _data_of(clf, X), amp=amp))


def last_layer(clf: Any, X: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return weights, shape (n_features, n_outputs), and bias, 0 where there is none."""
    import torch

    from labelnext.networks import find_head, results

    module = _module_of(clf)
    example = torch.as_tensor(np.array(input_of(module, X)))
    head = find_head(module, example, head=getattr(clf, "head", None)).module
    weights, bias = results.last_layer(head)
    return weights.T, np.zeros(len(weights)) if bias is None else bias


def _module_of(clf: Any) -> Any:
    if is_module(clf):
        return clf
    return clf.net_.module_ if isinstance(clf, SkorchClassifier) else clf.module_


def _data_of(clf: Any, X: Any) -> Any:
    if is_module(clf):
        return input_of(clf, X)
    return clf.get_iterator(clf.get_dataset(_as_skorch_takes(clf, X)), training=False)


def has_dropout(clf: Any) -> bool:
    """Tell whether a fitted network has dropout layers."""
    from labelnext.networks import passes

    return passes.has_dropout(_module_of(clf))


def ask_with_dropout(clf: Any, X: Any, seed: int) -> NDArray[Any]:
    """Return the probabilities of samples with dropout at work; the network stays as it is."""
    from labelnext.networks.passes import proba_with_dropout
    from labelnext.networks.results import with_both_classes

    if isinstance(clf, SkorchClassifier):
        return clf._proba_with_dropout(X, seed)
    return with_both_classes(proba_with_dropout(_module_of(clf), _data_of(clf, X), seed))


def predict_proba(clf: Any, X: Any, arguments: dict[str, Any]) -> Any:
    """Call `clf.predict_proba`, and leave a network inside as it is."""
    net = look_through(clf)
    if arguments and (is_module(net) or is_skorch_net(clf)):
        raise ValueError(
            f"{type(clf).__name__} takes no {', '.join(arguments)}: the features of a plain "
            f"network are found without; leave clf_embedding_flag_name out."
        )
    if is_module(net):
        return ask(net, X)[0]
    if not (is_skorch_net(net) and is_fitted(net)):
        return clf.predict_proba(X, **arguments)
    from labelnext.networks.untouched import untouched

    with untouched(net.module_):
        return clf.predict_proba(_as_skorch_takes(net, X) if net is clf else X, **arguments)


def features_of_untrained(net: Any, X: Any) -> NDArray[Any]:
    """Return the features that a net of skorch starts from."""
    with seeded():
        return ask(clone(net).initialize(), X)[1]


def fit_net(net: Any, X: Any, labels: NDArray[Any]) -> Any:
    """Fit a net of skorch itself to samples that all have labels, and return it."""
    numbers = class_numbers(net, labels)
    with seeded():
        # Only a module that has been made tells what it takes.
        samples = _as_skorch_takes(clone(net).initialize(), X)
    with seeded():
        return net.fit(samples, numbers)


def class_numbers(net: Any, labels: NDArray[Any]) -> NDArray[Any]:
    """Return labels, whole numbers from 0, as the loss takes them: float32 for a single logit."""
    numbers = labels.dtype.kind in "iubf"
    if not numbers or (labels < 0).any() or (labels != np.floor(labels)).any():
        raise ValueError(
            f"A net of skorch takes for labels the numbers of the module's outputs, from 0, but y "
            f"holds {shown(labels[0])}; labelnext.classifier.SkorchClassifier(module, "
            f"classes=[...]) takes labels of any type."
        )
    binary = isinstance(net, sys.modules["skorch"].NeuralNetBinaryClassifier)
    return labels.astype(np.float32 if binary else np.int64)


def input_of(module: Any, X: Any) -> Any:
    """Return samples as an array of the type that a module takes; what is no array stays."""
    from labelnext.networks.untouched import input_dtype

    X = without_tensor(X)
    if hasattr(X, "iloc") or hasattr(X, "to_numpy"):
        X = np.asarray(X)
    if not isinstance(X, np.ndarray) or X.dtype.kind not in "iubf":
        return X
    wanted = str(input_dtype(module, floating=X.dtype.kind == "f")).removeprefix("torch.")
    # numpy has no bfloat16, and the last step to it is left to who has.
    return X.astype("float32" if wanted == "bfloat16" else wanted, copy=False)


def _as_skorch_takes(net: Any, X: Any) -> Any:
    X = input_of(net.module_, X)
    read_only = isinstance(X, np.ndarray) and not X.flags.writeable
    return X.copy() if read_only else X  # torch warns of those in its collation
