"""Passes over data: of one network, of several, or of one with dropout at work; and their bar."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Protocol, TypeVar

import torch
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Task as Shown
from rich.text import Text
from torch.nn.modules.dropout import _DropoutNd

from labelnext.networks._batches import Arguments, first_tensor
from labelnext.networks._data import Source, open_source, without_index
from labelnext.networks._head import Caught, Head, catching, locate
from labelnext.networks.results import (
    Plan,
    Result,
    asked_task,
    class_names,
    features_given,
    task_of,
)
from labelnext.networks.untouched import (
    as_dtype,
    check_device,
    floating_dtype_of,
    is_compiled,
    lend_weights,
    precision,
    uncompiled,
    untouched,
    unwrap,
)
from labelnext.pools.source import PARTS
from labelnext.utils.given import Task, shown
from labelnext.utils.text import counted


class Collector(Protocol):
    """Takes the rows of a pass, batch by batch."""

    n_written: int
    n_batches: int

    def add(self, caught: Caught, expected: int | None) -> None:
        """Take the rows of the next batch."""

    def passes_over(self, n_samples: int | None) -> bool:
        """Tell whether the rows of the next batch are there already, and count them."""


C = TypeVar("C", bound=Collector)


def run_into(
    collect: Callable[[Plan], C],
    model: Any,
    data: Any,
    *,
    head: Any = None,
    task: Task | None = None,
    device: Any = None,
    dtype: Any = None,
    amp: Any = None,
    batch_size: int | None = None,
    num_workers: int | None = None,
    progress: Any = False,
    before: Callable[[torch.nn.Module], None] | None = None,
    parts: tuple[str, ...] = PARTS,
    first_row: int = 0,
) -> C:
    """Run a network over data and hand all that is caught to a collector, which is returned.

    `collect` makes it when the head has been found; `before` may change the network until the end;
    `parts` are kept. The other options are those of `labelnext.extract`.
    """
    model = unwrap(model)
    asked = asked_task(model, task)
    place = check_device(model, device)
    dtype = None if dtype is None else as_dtype(dtype, "dtype")
    data = without_index(data)
    source = open_source(data, batch_size, num_workers, pin=place.type == "cuda")
    source.first_row = first_row
    given = features_given(model, data, place, dtype)
    arguments = Arguments(
        model,
        place,
        floating_dtype_of(model) if source.arrays else None,
        # Slices are the caller's memory, in which a network might work in place.
        copy=source.arrays and given is None,
    )
    with contextlib.ExitStack() as stack:
        stack.enter_context(untouched(model, source.generator))
        if device is not None:
            lend_weights(model, place)
        stack.enter_context(precision(place, amp))
        advance = stack.enter_context(showing(progress, source.n_rows))
        result = None
        for batch in source:
            args, kwargs = arguments(batch, first_row + (result.n_written if result else 0))
            if result is None:
                found = locate(model, args, kwargs, head, asked or "multiclass")
                plan = _plan(model, asked, found, source, parts)
                result = collect(replace(plan, dtype=dtype, given=given))
                if is_compiled(model, found.name):
                    stack.enter_context(uncompiled(model))
                catch = stack.enter_context(catching(model, found))
                if before is not None:
                    before(model)
            n_samples = _n_samples(source, result.n_batches, args, kwargs)
            if not result.passes_over(n_samples):
                # Around the network alone: what a data set keeps from batch to batch must not be
                # made in inference mode, or could never be part of training.
                with torch.inference_mode():
                    result.add(catch(*args, **kwargs), n_samples)
            del batch, args, kwargs
            source.check_shares(result.n_written, result.n_batches, ended=False)
            advance(result.n_written)
    if result is None:
        raise ValueError("data holds no samples.")
    source.check_shares(result.n_written, result.n_batches, ended=True)
    return result


def _plan(
    model: torch.nn.Module, asked: Task | None, head: Head, source: Source, parts: tuple[str, ...]
) -> Plan:
    task = task_of(model, asked, head)
    if task == "regression":
        parts = tuple(part for part in parts if part != "proba")
        if not parts:
            raise ValueError("A regression has no probabilities, which a committee is made of.")
    return Plan(
        head,
        task,
        source.n_rows,
        parts,
        classes=class_names(model, task, head.module.out_features),
        first_row=source.first_row,
    )


def _n_samples(
    source: Source, number: int, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> int | None:
    """How many samples a batch holds: as the loader has it, else by its first tensor."""
    known = source.rows_of(number)
    if known is not None:
        return known
    first = first_tensor((*args, *kwargs.values()))
    return len(first) if first is not None and first.ndim else None


@contextlib.contextmanager
def showing(progress: Any, total: int | None) -> Iterator[Callable[[int], None]]:
    """Give a function to tell how many rows are done, of a total that may be known."""
    if callable(progress):
        yield lambda done: progress(done, total)
        return
    console = Console(stderr=True)
    if not progress or not (console.is_terminal or console.is_jupyter):
        yield lambda done: None
        return
    columns = (
        TextColumn("extracting"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    # Removed at the end: what stays on the screen is the caller's.
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=total)
        yield lambda done: bar.update(task, completed=done)


class _Rate(ProgressColumn):
    def render(self, task: Shown) -> Text:
        rate = task.finished_speed or task.speed
        return Text("" if rate is None else f"{rate:,.0f}/s", style="progress.data.speed")


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
        if len(model) < 2:
            raise ValueError(
                f"A committee needs two networks at least, got {len(model)}: of one alone pass the "
                f"network itself, with n_passes for passes with dropout at work."
            )
        if bias or dtype is not None:
            raise TypeError(
                f"{'bias' if bias else 'dtype'} is for features, which the pool of several "
                f"networks does not have; leave it out."
            )
        return
    if isinstance(n_passes, bool) or not isinstance(n_passes, int) or n_passes < 2:
        raise ValueError(f"n_passes must be an integer of at least 2, got {shown(n_passes)}.")
    if not has_dropout(unwrap(model)):
        raise ValueError(
            "n_passes asks for passes with dropout at work, but the model has no dropout layer, "
            "such as torch.nn.Dropout(p) with p above 0; pass a list of networks instead."
        )


def opinions(
    models: Sequence[Any],
    data: Any,
    *,
    n_passes: int | None,
    progress: Any,
    n_rows: int | None,
    **options: Any,
) -> tuple[torch.Tensor, Plan]:
    """Return the probabilities of each network, (members, n, C), and the plan of the passes.

    Or those of passes of one with dropout at work, of which each has its number for a seed.
    """
    passes: list[tuple[Any, Any]] = [(model, None) for model in models]
    if n_passes is not None:
        passes = [(models[0], partial(_turn_on, seed=seed)) for seed in range(n_passes)]
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
    return f"{counted(values.shape[0], 'sample')} × {counted(values.shape[1], 'class', 'classes')}"


def _turn_on(model: torch.nn.Module, seed: int) -> None:
    """Let dropout layers drop, as a function of the seed; for use within `untouched`."""
    for layer in _layers(model):
        layer.training = True
    torch.manual_seed(seed)


def _layers(model: torch.nn.Module) -> list[_DropoutNd]:
    return [layer for layer in model.modules() if isinstance(layer, _DropoutNd) and layer.p > 0]
