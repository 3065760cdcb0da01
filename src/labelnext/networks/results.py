"""What a network says, by what it was trained for: checked, kept row by row, and handed over."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import nn

from labelnext.utils.given import Task, check_task, shown
from labelnext.utils.libraries import without_tensor
from labelnext.utils.text import counted

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from labelnext.networks._head import Caught, Head


TASKS: tuple[Task, ...] = ("multiclass", "multilabel", "binary", "regression")
# What the configurations of transformers call them.
_PROBLEMS: dict[Any, Task] = {
    "single_label_classification": "multiclass",
    "multi_label_classification": "multilabel",
    "regression": "regression",
}


def asked_task(model: nn.Module, task: Any) -> Task | None:
    """Return the task that the caller or the network's configuration says; they must agree."""
    if task is not None:
        check_task(task, TASKS)
    problem = getattr(getattr(model, "config", None), "problem_type", None)
    said = _PROBLEMS.get(problem) if isinstance(problem, str) else None
    # A single label of several is a binary task too.
    if task is None or said in (None, task) or (said, task) == ("multilabel", "binary"):
        return task or said
    raise ValueError(
        f"task={task!r} contradicts the model's configuration, which says "
        f"problem_type={shown(problem)}, that is task={said!r}. Leave task out, or correct "
        f"model.config.problem_type."
    )


def task_of(model: nn.Module, asked: Task | None, head: Head) -> Task:
    """Return the task of a network whose head has been found, which must fit it.

    A single output is a binary classifier's; but transformers train it as a regression.
    """
    n_outputs, activation = head.module.out_features, head.activation
    config = getattr(model, "config", None)
    if asked is None and n_outputs == 1 and hasattr(config, "problem_type"):
        asked = "regression" if getattr(config, "num_labels", None) == 1 else None
    task = asked or "multiclass"
    if task == "binary" and n_outputs != 1:
        raise ValueError(
            f'task="binary" is for a head with one logit, got {n_outputs}; with two, that is '
            f'task="multiclass".'
        )
    if n_outputs == 1 and task == "multiclass":
        task = "binary"
    if activation is None:
        return task
    if task == "regression":
        raise ValueError(
            f"The model ends with {activation}, as a classifier does, but task is 'regression': "
            f"let it return what its last linear layer gives."
        )
    sigmoids = activation in ("sigmoid", "logsigmoid")
    if sigmoids != (task != "multiclass"):
        fitting = "multilabel" if sigmoids else "multiclass"
        raise ValueError(
            f"The model ends with {activation}, which belongs to task={fitting!r}, but task is "
            f"{task!r}: the probabilities would not be the model's."
        )
    return task


def class_names(model: nn.Module, task: Task, n_outputs: int) -> list[Any] | None:
    """Return the names that a network's configuration has for its classes, if not made up."""
    names = getattr(getattr(model, "config", None), "id2label", None)
    n_classes = 2 if task == "binary" else n_outputs
    if task == "regression" or not isinstance(names, dict) or len(names) != n_classes:
        return None
    ordered = [name for _, name in sorted(names.items(), key=lambda pair: int(pair[0]))]
    made_up = all(re.fullmatch(r"LABEL_\d+", str(name)) for name in ordered)
    return None if made_up or len(set(ordered)) < n_classes else ordered


def probabilities(logits: torch.Tensor, task: Task) -> torch.Tensor:
    """Return probabilities, in float32 at least: they sum to 1, whatever the logits' precision."""
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return logits.softmax(1) if task == "multiclass" else logits.sigmoid()


class Found(NamedTuple):
    """What only a pass finds out, and all who write its rows must agree on."""

    task: Task
    classes: list[Any] | None
    layer: str


@dataclass(frozen=True)
class Plan:
    """What is known of a pass when the head has been found."""

    head: Head
    task: Task
    n_rows: int | None  # how many rows there will be, if that is known
    parts: tuple[str, ...]  # what is kept: "proba", "features" or both
    dtype: torch.dtype | None = None  # what features are kept as; None for what they come as
    given: torch.Tensor | None = None  # all features, where they need not be computed
    classes: list[Any] | None = None  # what the network calls its classes
    first_row: int = 0  # which sample of the whole data is the first, for messages

    @property
    def found(self) -> Found:
        """What all who write the rows must agree on."""
        return Found(self.task, self.classes, self.head.name)

    def part(self, start: int, n_rows: int) -> Plan:
        """Return the plan of so many rows from `start` on, or fewer at the end if it is known."""
        first_row = self.first_row + start
        if self.n_rows is None:
            return replace(self, first_row=first_row, given=None)
        n_rows = min(n_rows, self.n_rows - start)
        given = None if self.given is None else self.given[start : start + n_rows]
        return replace(self, n_rows=n_rows, first_row=first_row, given=given)

    def check_n_rows(self, n_written: int) -> None:
        """Refuse a pass that ended before all rows were there."""
        if self.n_rows is not None and n_written != self.n_rows:
            raise ValueError(
                f"The loader ended after {n_written} of {counted(self.n_rows, 'sample')}, so rows "
                "would be "
                f"missing."
            )


class Result:
    """Write the rows of each batch to where they stay, and refuse what is no number."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.n_written = self.n_batches = 0
        self._proba: Rows | None = None
        self._features: Rows | None = None
        # Looked at when the next batch is on its way, so that a GPU need not stop for it.
        self._doubts: tuple[int, torch.Tensor, torch.Tensor, torch.Tensor] | None = None

    def add(self, caught: Caught, expected: int | None) -> None:
        """Take the rows of the next batch, which must be as many as it has samples."""
        plan, start, n_rows = self.plan, self.n_written, len(caught.logits)
        if expected is not None and n_rows != expected:
            raise ValueError(
                f"The model's outputs must be n × C, one row of logits for each sample, but it "
                f"gave {n_rows} for the {expected} samples from {plan.first_row + start} on."
            )
        if "proba" in plan.parts:
            proba = probabilities(caught.logits, plan.task)
            if self._proba is None:
                self._proba = Rows(plan.n_rows, proba.shape[1], proba.dtype, proba.device)
            self._proba.write(start, proba)
            bad = proba.isnan().any(dim=1)
        else:
            bad = ~caught.logits.isfinite().all(dim=1)
        features, overflow = caught.features, torch.zeros((), dtype=torch.bool)
        if "features" in plan.parts and plan.given is None:
            if self._features is None:
                # NumPy has no bfloat16.
                on_cpu = features.device.type == "cpu" and features.dtype == torch.bfloat16
                dtype = plan.dtype or (torch.float32 if on_cpu else features.dtype)
                self._features = Rows(plan.n_rows, features.shape[1], dtype, features.device)
            kept = self._features.write(start, features)
            if kept.dtype.itemsize < features.dtype.itemsize:
                overflow = ~kept.isfinite().all(dim=1)
        self.check()
        self._doubts = (plan.first_row + start, bad, overflow, ~caught.agreed)
        self.n_written += n_rows
        self.n_batches += 1

    def passes_over(self, n_samples: int | None) -> bool:
        """Tell whether the rows of the next batch are there already."""
        del n_samples
        return False

    def check(self) -> None:
        """Raise if the batch before had values that cannot be used."""
        if self._doubts is None:
            return
        start, bad, overflow, differs = self._doubts
        if bad.any():
            row = start + int(bad.to(torch.uint8).argmax())
            what = "outputs" if self.plan.task == "regression" else "logits"
            raise ValueError(
                f"The {what} of sample {row} are NaN or infinite, so it has no gradient. Look at "
                f"that sample for missing or very large values, and at the model for diverged "
                f"weights; with mixed precision, try amp=False or amp=torch.bfloat16."
            )
        if overflow.any():
            row = start + int(overflow.to(torch.uint8).argmax())
            raise ValueError(
                f"The features of sample {row} are too large for dtype={self.plan.dtype}; leave "
                f"dtype out, or choose torch.float32."
            )
        if differs.any():
            raise ValueError(
                f"The head must be last: in the batch that begins with sample {start} the model's "
                f"output does not come from the head, or not from a clear position of a sequence, "
                f"as it did on the first samples. Let the model return the logits of its last "
                f"linear layer."
            )

    def finish(self) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        """Return probabilities and features of all rows; None for what is not kept."""
        self.check()
        self.plan.check_n_rows(self.n_written)
        proba = None if self._proba is None else self._proba.finish(self.n_written)
        if self._features is not None:
            return proba, self._features.finish(self.n_written)
        return proba, self.plan.given if "features" in self.plan.parts else None


def last_layer(module: nn.Linear) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """Return copies of the weights, shape (C, d), and the bias of a layer, if it has one."""
    with torch.no_grad():
        bias: Any = module.bias  # which its type says is never None
        return _copy(module.weight), None if bias is None else _copy(bias)


def _copy(values: torch.Tensor) -> NDArray[Any]:
    dtype = torch.promote_types(values.dtype, torch.float32)
    return np.array(values.detach().to("cpu", dtype).numpy())


def features_given(
    model: nn.Module, data: Any, device: torch.device, dtype: torch.dtype | None
) -> torch.Tensor | None:
    """Return data as the features, without a copy, if the model is no more than a head."""
    *before, last = model.children() if type(model) is nn.Sequential else (model,)
    # Dropout hands its input on in evaluation mode.
    if type(last) is not nn.Linear or not all(type(m) in (nn.Dropout, nn.Identity) for m in before):
        return None
    if isinstance(data, np.ndarray) and data.dtype.isnative and data.flags.writeable:
        data = torch.from_numpy(data)
    if not isinstance(data, torch.Tensor) or data.ndim != 2 or data.device != device:
        return None
    # Where the layer would round its input, that is not what it sees.
    exact = torch.promote_types(data.dtype, last.weight.dtype) == last.weight.dtype
    if not (data.is_floating_point() and exact and dtype in (None, data.dtype)):
        return None
    return data.detach()


class Rows:
    """Rows written as they come, to where they stay, or of unknown length to memory that grows."""

    def __init__(
        self, n_rows: int | None, width: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        self.width, self.dtype, self.device = width, dtype, device
        self._bytes_a_row = width * dtype.itemsize
        self._grown = np.empty(0, dtype=np.uint8)
        # A tensor made in inference mode could never be part of training.
        with torch.inference_mode(mode=False):
            self._fixed = (
                None if n_rows is None else torch.empty((n_rows, width), dtype=dtype, device=device)
            )

    def write(self, start: int, values: torch.Tensor) -> torch.Tensor:
        """Write rows from `start` on, and return where they are kept."""
        stop = start + len(values)
        needed = stop * self._bytes_a_row
        if self._fixed is None and needed > len(self._grown):
            # The allocator moves pages, not numbers: an eighth more at a time is cheap. No view
            # of the old memory is alive: each lasts for one batch.
            self._grown.resize(needed + needed // 8, refcheck=False)
        kept = self._view(stop)[start:]
        kept.copy_(values)
        return kept

    def finish(self, n_rows: int) -> torch.Tensor:
        """Return the first rows, on their device."""
        with torch.inference_mode(mode=False):
            if self._fixed is None:
                self._grown.resize(n_rows * self._bytes_a_row, refcheck=False)
            return self._view(n_rows).to(self.device)

    def _view(self, stop: int) -> torch.Tensor:
        if self._fixed is not None:
            return self._fixed[:stop]
        part = torch.from_numpy(self._grown[: stop * self._bytes_a_row])
        return part.view(self.dtype).view(stop, self.width)


def as_arrays(proba: Any, features: torch.Tensor) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return arrays, with a column of probabilities for each of two classes of a single logit."""
    return with_both_classes(proba), without_tensor(features)


def with_both_classes(proba: Any) -> NDArray[Any]:
    """Return probabilities as an array, of a single logit those of both classes."""
    if proba is None:
        raise ValueError(
            "A classifier is needed, but the network's configuration says that it is a regression; "
            "for labelnext.extract say task='binary' if that is wrong."
        )
    columns: NDArray[Any] = without_tensor(proba)
    return np.hstack([1 - columns, columns]) if columns.shape[1] == 1 else columns
