"""The skorch net behind SkorchClassifier: its batches, and what a module's outputs stand for.

Imports torch and skorch, so it is imported late.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from skorch import NeuralNetClassifier
from skorch.callbacks import EarlyStopping
from skorch.dataset import Dataset
from skorch.utils import multi_indexing, noop, to_tensor

from labelnext.networks.untouched import cast
from labelnext.utils.random import seeded

# In a batch of weighted samples, beside the samples themselves.
_SAMPLES, _WEIGHTS = "samples", "labelnext_sample_weight"


class Rows(Dataset):  # type: ignore[misc]
    """Samples in arrays, which are taken out a batch at a time: see `whole_batch`."""

    def __getitems__(self, rows: list[int]) -> tuple[Any, Any]:
        y = np.zeros(len(rows)) if self.y is None else self.y[rows]
        return multi_indexing(self.X, rows, self.X_indexing), y


def whole_batch(batch: tuple[Any, Any]) -> Any:
    """Make tensors of a batch that `Rows` took out as one."""
    return to_tensor(batch, device=None)


def with_weights(X: Any, weights: npt.NDArray[np.float64]) -> dict[str, Any]:
    """Put weights beside the samples; they are of mean 1, so that the learning rate keeps."""
    return {_SAMPLES: X, _WEIGHTS: (weights / weights.mean()).astype(np.float32)}


class HeldOut:
    """A split for skorch that is known beforehand."""

    def __init__(self, rows: npt.NDArray[np.int64]) -> None:
        self.rows = rows

    def __call__(self, dataset: Any, y: Any = None) -> tuple[Any, Any]:
        rest = np.setdiff1d(np.arange(len(dataset)), self.rows)
        return (
            torch.utils.data.Subset(dataset, rest.tolist()),
            torch.utils.data.Subset(dataset, self.rows.tolist()),
        )


class StopEarly(EarlyStopping):  # type: ignore[misc]
    """Early stopping that goes back to the best weights, where samples are held out."""

    def __init__(self, patience: int = 10) -> None:
        super().__init__(patience=patience, load_best=True, sink=noop)

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        if net.train_split is not None:
            super().on_epoch_end(net, **kwargs)


class Net(NeuralNetClassifier):  # type: ignore[misc]
    """A skorch net whose `infer` returns logits, a column for each class, in any case."""

    def __init__(self, *args: Any, sample_dtype: Any = "auto", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.sample_dtype = sample_dtype

    def initialized_instance(self, instance_or_cls: Any, kwargs: Any) -> Any:
        made = super().initialized_instance(instance_or_cls, kwargs)
        # skorch would train the caller's own module.
        return copy.deepcopy(made) if made is instance_or_cls else made

    def notify(self, method_name: str, **cb_kwargs: Any) -> None:
        try:
            super().notify(method_name, **cb_kwargs)
        except KeyboardInterrupt:
            self.stopped_ = True  # how a callback ends the training
            raise

    def fit_loop(self, *args: Any, **kwargs: Any) -> Any:
        self.stopped_ = self.interrupted_ = False
        try:
            return super().fit_loop(*args, **kwargs)
        except KeyboardInterrupt:
            # skorch goes on as if training had ended. In the midst of a query or a simulation
            # that would be to ignore who pressed Ctrl-C.
            self.interrupted_ = not self.stopped_
            raise

    def infer(self, x: Any, **fit_params: Any) -> torch.Tensor:
        if isinstance(x, Mapping) and _WEIGHTS in x:
            x = x[_SAMPLES]
        x = self.cast(to_tensor(x, device=self.device))
        # A dataset of the user's own may make several inputs of a row.
        output = self.module_(**x, **fit_params) if isinstance(x, Mapping) else self.module_(x)
        return self._logits(main_output(output))

    def cast(self, x: Any) -> Any:
        """Give samples the type that the module takes, in a mapping too."""
        if isinstance(x, Mapping):
            return {name: self.cast(value) for name, value in x.items()}
        return cast(x, self.module_, self.sample_dtype)

    def get_loss(
        self, y_pred: torch.Tensor, y_true: Any, X: Any = None, training: bool = False
    ) -> torch.Tensor:
        y = to_tensor(y_true, device=self.device)
        if training and not self.history[-1]["batches"][:-1]:
            self._refuse_probabilities(y_pred)
        weights = X.get(_WEIGHTS) if isinstance(X, Mapping) else None
        if isinstance(self.criterion_, torch.nn.BCEWithLogitsLoss):
            scores, target = y_pred[:, 1], y.to(y_pred.dtype)
        else:
            scores, target = y_pred, y
        if weights is None:
            loss: torch.Tensor = self.criterion_(scores, target)
            return loss
        return self._weighted_loss(scores, target, to_tensor(weights, device=self.device))

    def _weighted_loss(
        self, scores: torch.Tensor, target: torch.Tensor, weights: torch.Tensor
    ) -> torch.Tensor:
        reduction = getattr(self.criterion_, "reduction", None)
        if reduction != "mean":
            raise ValueError(
                f"sample_weight needs a criterion with reduction='mean', but "
                f"{type(self.criterion_).__name__} has {reduction!r}; leave sample_weight out"
            )
        self.criterion_.reduction = "none"
        try:
            losses = self.criterion_(scores, target)
        finally:
            self.criterion_.reduction = "mean"
        weighted: torch.Tensor = weights * losses
        if isinstance(self.criterion_, torch.nn.CrossEntropyLoss | torch.nn.NLLLoss):
            of_classes = self.criterion_.weight  # what their mean is taken over
            if of_classes is not None:
                return weighted.sum() / of_classes[target].sum()
        return weighted.mean()

    def _get_predict_nonlinearity(self) -> Any:
        return _softmax

    def _logits(self, output: torch.Tensor) -> torch.Tensor:
        n_classes = len(self.classes_)
        binary = isinstance(self.criterion_, torch.nn.BCEWithLogitsLoss)
        if n_classes == 2 and (output.ndim == 1 or output.shape[1:] == (1,)):
            logit = output.reshape(-1)
            output = torch.stack([torch.zeros_like(logit), logit], dim=1)
        elif output.ndim != 2 or output.shape[1] != n_classes or binary:
            raise ValueError(_of_wrong_shape(tuple(output.shape), n_classes, binary))
        if isinstance(self.criterion_, torch.nn.NLLLoss):
            return _log_probabilities(output)
        return output

    def _refuse_probabilities(self, logits: torch.Tensor) -> None:
        if isinstance(self.criterion_, torch.nn.NLLLoss):
            return
        last = list(self.module_.modules())[-1]
        if _are_probabilities(logits) or isinstance(last, torch.nn.Sigmoid):
            raise ValueError(
                f"{type(self.module_).__name__} returns probabilities, but "
                f"{type(self.criterion_).__name__} takes logits and would train it badly: leave "
                f"the softmax or sigmoid at its end out, or for a softmax pass "
                f"criterion=torch.nn.NLLLoss"
            )


def main_output(output: Any) -> torch.Tensor:
    """Return what a module's output holds of scores: itself, `logits`, or the first of several."""
    if isinstance(output, Mapping) and "logits" in output:
        output = output["logits"]
    elif isinstance(output, tuple | list) and output:
        output = output[0]
    if not isinstance(output, torch.Tensor):
        raise TypeError(
            f"the module must return a tensor, a tuple that starts with one, or a mapping with "
            f"'logits', not {type(output).__name__}"
        )
    return output


@contextmanager
def own_randomness(device: Any, seed: int | None = None) -> Iterator[None]:
    """Do as `seeded` does, for a network on a device."""
    if torch.device(device or "cpu").type == "cuda":
        # Else it would start inside, with nothing to go back to.
        torch.cuda.init()  # type: ignore[no-untyped-call]
    with seeded(seed):
        yield


def _softmax(logits: torch.Tensor) -> torch.Tensor:
    return logits.float().softmax(dim=1)


def _are_probabilities(output: torch.Tensor) -> bool:
    values = output.detach().float()
    return bool((values >= 0).all() and ((values.sum(dim=1) - 1).abs() < 1e-4).all())


def _log_probabilities(output: torch.Tensor) -> torch.Tensor:
    """Take probabilities, as skorch has them for NLLLoss, or their logarithms, as torch has."""
    if bool((output.detach() <= 0).all()):
        return output
    if not _are_probabilities(output):
        raise ValueError(
            "with criterion=torch.nn.NLLLoss the module must return probabilities or their "
            "logarithms, but its outputs are neither; for logits pass torch.nn.CrossEntropyLoss"
        )
    return torch.log(output.clamp_min(torch.finfo(output.dtype).tiny))


def _of_wrong_shape(shape: tuple[int, ...], n_classes: int, binary: bool) -> str:
    got = f"but for {shape[0]} samples it returned the shape {shape}"
    if binary:
        return (
            f"with criterion=torch.nn.BCEWithLogitsLoss there must be two classes, and the module "
            f"must return one logit for each sample, {got} and there are {n_classes} classes"
        )
    return (
        f"the module must return a logit for each sample and each of the {n_classes} classes, "
        f"{got}; name all classes with classes=[...], or change its last layer"
    )
