"""From SkorchClassifier's parameters to a net of skorch, which is trained and asked.

Imports torch and skorch, so it is imported late.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from skorch import NeuralNet

from labelnext.estimators._net import (
    HeldOut,
    Net,
    Rows,
    StopEarly,
    own_randomness,
    whole_batch,
    with_weights,
)
from labelnext.networks import proba_and_features
from labelnext.networks.passes import proba_with_dropout
from labelnext.networks.results import as_arrays, with_both_classes
from labelnext.utils.given import shown

# What a warm start takes over from changed parameters; all else was built into the network.
_OF_TRAINING = ("lr", "max_epochs", "batch_size", "verbose")
# What decides here, and must not be decided by skorch a second time.
_OURS = ("classes", "predict_nonlinearity", "warm_start")
_PREFIXES = {"module", "criterion", "optimizer", "callbacks", "compile"}
_PREFIXES |= {"iterator_train", "iterator_valid", "dataset"}


def is_skorch_name(name: str) -> bool:
    """Tell whether skorch's `NeuralNet` would take an argument of that name."""
    prefix, double, _ = name.partition("__")
    if double:
        return prefix in _PREFIXES
    return name in inspect.signature(NeuralNet.__init__).parameters and name not in _OURS


def build_net(clf: Any) -> Net:
    """Make an untrained net with its first weights; torch's generators are advanced."""
    options = _given_once(clf)
    callbacks = options.pop("callbacks")
    if clf.early_stopping:
        if callbacks == "disable" or "train_split" in options:
            raise ValueError(
                "early_stopping holds samples out by itself and is a callback: leave "
                "train_split and callbacks='disable' out, or early_stopping"
            )
        stop = StopEarly(patience=clf.n_iter_no_change)
        callbacks = [*(callbacks or []), ("early_stopping", stop)]
    asked_batch = options["batch_size"]
    defaults: dict[str, Any] = {
        "train_split": None,
        "iterator_valid__batch_size": asked_batch if asked_batch < 1 else max(asked_batch, 256),
    }
    if not options.keys() & {"iterator_train__sampler", "iterator_train__batch_sampler"}:
        defaults["iterator_train__shuffle"] = True
    if "dataset" not in options:
        collate = {f"{of}__collate_fn": whole_batch for of in ("iterator_train", "iterator_valid")}
        defaults |= {"dataset": Rows, **collate}
    if options["criterion"] is None:
        options["criterion"] = torch.nn.CrossEntropyLoss
    if options["optimizer"] is None:
        options["optimizer"] = torch.optim.Adam
    net = Net(
        **(defaults | options),
        classes=list(range(len(clf.classes_))),
        callbacks=callbacks,
        sample_dtype=_torch_dtype(clf.sample_dtype),
    )
    return net.initialize()  # type: ignore[no-any-return]


def change_net(net: Net, clf: Any) -> None:
    """Give a net that has been trained what has changed of the parameters of training."""
    options = _given_once(clf)
    changes = {name: options[name] for name in _OF_TRAINING}
    net.set_params(**{n: value for n, value in changes.items() if getattr(net, n) != value})


def train(
    net: Net,
    X: npt.NDArray[Any],
    codes: npt.NDArray[np.int64],
    weights: npt.NDArray[np.float64] | None,
    held_out: npt.NDArray[np.int64] | None,
) -> None:
    """Train a net further on samples of the classes `codes`; those held out say when to stop."""
    for_now: dict[str, Any] = {}
    n_trained = len(codes)
    if held_out is not None:
        for_now["train_split"] = HeldOut(held_out)
        n_trained -= len(held_out)
    step: Any = getattr(net, "iterator_train__batch_size", net.batch_size)
    batch_norm = torch.nn.modules.batchnorm._BatchNorm
    normalises = any(isinstance(module, batch_norm) for module in net.module_.modules())
    if normalises and 1 < step < n_trained and n_trained % step == 1:
        for_now["iterator_train__drop_last"] = True
    before = {name: getattr(net, name, False) for name in for_now}
    _set(net, for_now)
    try:
        net.partial_fit(X if weights is None else with_weights(X, weights), codes)
    finally:
        _set(net, before)
    if net.interrupted_:
        raise KeyboardInterrupt


def hold_out(
    codes: npt.NDArray[np.int64], fraction: float, rng: np.random.RandomState
) -> npt.NDArray[np.int64] | None:
    """Choose rows for validation, each class in proportion; None if they would be too few."""
    counts = np.bincount(codes)
    share = fraction * counts
    # Shares are rounded down, and what is missing goes to the largest remainders.
    most = np.maximum(counts - 1, 0)
    take = np.minimum(share.astype(np.int64), most)
    for c in np.argsort(take - share, kind="stable"):
        if take.sum() >= round(fraction * len(codes)):
            break
        take[c] = min(take[c] + 1, most[c])
    if take.sum() < 2:
        return None
    rows = [rng.permutation(np.flatnonzero(codes == c))[:k] for c, k in enumerate(take)]
    return np.sort(np.concatenate(rows))


class _Batches(torch.utils.data.IterableDataset[Any]):
    """The samples of a loader's batches, without what stands beside them, as the module wants."""

    def __init__(self, loader: Any, cast: Callable[[Any], Any]) -> None:
        self.loader = loader
        self.cast = cast

    def __iter__(self) -> Iterator[Any]:
        return (self.cast(x) for x, _ in self.loader)


def ask(net: Net, X: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Return the probabilities of samples."""
    with own_randomness(net.device):
        proba: npt.NDArray[np.float32] = net.predict_proba(X)
    rows = np.flatnonzero(~np.isfinite(proba).all(axis=1))
    if len(rows):
        raise ValueError(
            f"the network's outputs for sample {rows[0]} are not finite; if training went "
            f"astray, which net_.history tells, lower lr"
        )
    return proba


def ask_with_features(
    net: Net, X: npt.NDArray[Any], head: str | None
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Return the probabilities of samples and the inputs of the last linear layer."""
    with own_randomness(net.device):
        return as_arrays(*proba_and_features(net.module_, _loader(net, X), head=head, amp=False))


def ask_with_dropout(
    net: Net, X: npt.NDArray[Any], head: str | None, seed: int
) -> npt.NDArray[Any]:
    """Return the probabilities of samples with dropout at work."""
    with own_randomness(net.device):
        return with_both_classes(proba_with_dropout(net.module_, _loader(net, X), seed, head))


def _loader(net: Net, X: npt.NDArray[Any]) -> torch.utils.data.DataLoader[Any]:
    batches = net.get_iterator(net.get_dataset(X), training=False)
    # Cut into batches already, so the loader is not to cut.
    return torch.utils.data.DataLoader(_Batches(batches, net.cast), batch_size=None)


def _set(net: Net, values: dict[str, Any]) -> None:
    for name, value in values.items():
        setattr(net, name, value)


def _given_once(clf: Any) -> dict[str, Any]:
    """Gather the arguments for skorch, each from the one place where it is given."""
    if not callable(clf.module):
        raise TypeError(
            f"module must be a torch.nn.Module or a class of it, not {shown(clf.module)}"
        )
    names = ("module", "criterion", "optimizer", "lr", "max_epochs", "batch_size")
    ours = {name: getattr(clf, name) for name in (*names, "device", "callbacks", "verbose")}
    more = dict(clf.neural_net_param_dict or {})
    signature = inspect.signature(type(clf).__init__).parameters
    twice = [n for n in more if n in ours and ours[n] != signature[n].default]
    net_params = clf._net_params()
    twice += [n for n in more if n in net_params]
    if twice:
        raise ValueError(
            f"neural_net_param_dict holds {', '.join(twice)}, given as arguments too; name each "
            f"in one place"
        )
    options: dict[str, Any] = {**ours, **more, **net_params}
    unknown = [name for name in options if not is_skorch_name(name)]
    if unknown:
        taken = [name for name in unknown if name in _OURS]
        raise TypeError(
            f"{', '.join(unknown)} can't be passed on to skorch: "
            + (
                "SkorchClassifier decides on this itself"
                if taken == unknown
                else "there is no such argument; those of a part have two underscores, as in "
                "module__hidden"
            )
        )
    return options


def _torch_dtype(dtype: Any) -> Any:
    if dtype is None or isinstance(dtype, torch.dtype) or (dtype is not None and dtype == "auto"):
        return dtype
    return torch.from_numpy(np.empty(0, dtype=dtype)).dtype
