"""Several opinions of each sample: those of several networks, or of one with dropout at work.

Imports torch, so it is imported late.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.modules.dropout import _DropoutNd

from labelnext.networks._run import run_into, showing
from labelnext.networks.results import Result
from labelnext.networks.untouched import unwrap

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from labelnext.networks.results import Plan


def has_dropout(model: torch.nn.Module) -> bool:
    """Tell whether a network has dropout layers; calls of `torch.nn.functional` are not seen."""
    return bool(_layers(model))


def proba_with_dropout(model: Any, data: Any, seed: int, head: Any = None) -> Any:
    """Return the probabilities of one pass with dropout at work; the rest follows from the seed."""
    before = partial(_turn_on, seed=seed)
    options = {"head": head, "amp": False, "parts": ("proba",)}
    return run_into(Result, model, data, before=before, **options).finish()[0]


def check_committee(model: Any, n_passes: Any, *, several: bool, bias: bool, dtype: Any) -> None:
    """Refuse what makes no committee, and what would be ignored."""
    if several:
        if n_passes is not None:
            raise TypeError("n_passes is for one network; leave it out, or pass one of them.")
        if not len(model):
            raise ValueError("model is an empty list; a committee needs networks.")
        if bias or dtype is not None:
            raise TypeError(
                f"{'bias' if bias else 'dtype'} is for features, which the pool of several "
                f"networks does not have; leave it out."
            )
        return
    if isinstance(n_passes, bool) or not isinstance(n_passes, int) or n_passes < 2:
        raise ValueError(f"n_passes must be an integer of at least 2, got {n_passes!r}.")
    if not has_dropout(unwrap(model)):
        raise ValueError(
            "n_passes asks for passes with dropout at work, but the model has no dropout layer, "
            "such as torch.nn.Dropout(p) with p above 0; pass a list of networks instead."
        )


def opinions(
    models: Sequence[Any], data: Any, *, progress: Any, n_rows: int | None, **options: Any
) -> tuple[torch.Tensor, Plan]:
    """Return the probabilities of each network, (members, n, C), and what is known of the passes.

    `options` are those of `run_into`; the bar goes once over all members.
    """
    return _together([(model, None) for model in models], data, progress, n_rows, options)


def opinions_with_dropout(
    model: Any, n_passes: int, data: Any, *, progress: Any, n_rows: int | None, **options: Any
) -> tuple[torch.Tensor, Plan]:
    """Return the same of passes with dropout at work, of which each has its number for a seed."""
    passes = [(model, partial(_turn_on, seed=seed)) for seed in range(n_passes)]
    return _together(passes, data, progress, n_rows, options)


def _together(
    passes: Sequence[tuple[Any, Callable[[torch.nn.Module], None] | None]],
    data: Any,
    progress: Any,
    n_rows: int | None,
    options: dict[str, Any],
) -> tuple[torch.Tensor, Plan]:
    proba: torch.Tensor | None = None
    plan: Plan | None = None
    with showing(progress, None if n_rows is None else n_rows * len(passes)) as advance:
        for number, (model, before) in enumerate(passes):
            start = 0 if proba is None else number * proba.shape[1]

            def report(done: int, total: int | None, start: int = start) -> None:
                advance(start + done)

            result = run_into(
                Result, model, data, before=before, parts=("proba",), progress=report, **options
            )
            values, _ = result.finish()
            assert values is not None  # or there would have been an error
            if proba is None or plan is None:
                proba, plan = values.new_empty((len(passes), *values.shape)), result.plan
            if values.shape != proba.shape[1:] or result.plan.task != plan.task:
                raise ValueError(
                    f"The members of a committee must have the same task, samples and classes: "
                    f"number 0 is {plan.task}, {_shape(proba[0])}, and number {number} is "
                    f"{result.plan.task}, {_shape(values)}."
                )
            proba[number] = values
    assert proba is not None
    assert plan is not None
    return proba, plan


def _shape(values: torch.Tensor) -> str:
    return f"{values.shape[0]:,} samples × {values.shape[1]:,} classes"


def _turn_on(model: torch.nn.Module, seed: int) -> None:
    """Let dropout layers drop, as a function of the seed; for use within `untouched`."""
    for layer in _layers(model):
        layer.training = True
    torch.manual_seed(seed)


def _layers(model: torch.nn.Module) -> list[_DropoutNd]:
    return [layer for layer in model.modules() if isinstance(layer, _DropoutNd) and layer.p > 0]
