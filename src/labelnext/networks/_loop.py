"""The pass of a network over a pool."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import torch

from labelnext.engine.task import Task, check_task
from labelnext.networks._arguments import Arguments, first_tensor
from labelnext.networks._catch import catching
from labelnext.networks._device import (
    as_dtype,
    check_device,
    floating_dtype_of,
    lend_weights,
    precision,
)
from labelnext.networks._locate import locate
from labelnext.networks._progress import showing
from labelnext.networks._result import Result, features_given
from labelnext.networks._source import Source, open_source
from labelnext.networks._wrappers import is_compiled, uncompiled, unwrap
from labelnext.networks.untouched import untouched

if TYPE_CHECKING:
    from collections.abc import Callable

    from labelnext.networks._catch import Caught


class Collector(Protocol):
    """Takes the rows of a pass, batch by batch."""

    n_written: int
    n_batches: int

    def add(self, caught: Caught, expected: int | None) -> None:
        """Take the rows of the next batch."""

    def passes_over(self, n_samples: int | None) -> bool:
        """Tell whether the rows of the next batch are there already, and count them."""


C = TypeVar("C", bound=Collector)


def run(
    model: Any,
    data: Any,
    *,
    before: Callable[[torch.nn.Module], None] | None = None,
    **options: Any,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Run a network over a pool; see `labelnext.networks.proba_and_features`.

    Before the first of the samples, `before` may change the network; that is undone too.
    """
    return run_into(Result, model, data, before=before, **options).finish()


def run_into(
    collect: Callable[[int | None, Task, torch.dtype | None, torch.Tensor | None], C],
    model: Any,
    data: Any,
    *,
    head: Any,
    task: Task,
    device: Any,
    dtype: Any,
    amp: Any,
    batch_size: int,
    num_workers: int,
    progress: Any,
    before: Callable[[torch.nn.Module], None] | None = None,
    first_row: int = 0,
) -> C:
    """Run a network over a pool and hand all that is caught to a collector, which is returned.

    Parameters
    ----------
    collect : callable
        Makes the collector of the arguments of `Result`, when the head has been found.
    model, data, head, task, device, dtype, amp, batch_size, num_workers, progress
        As those of `labelnext.networks.proba_and_features`.
    before : callable, default=None
        May change the network before the first of the samples; that is undone too.
    first_row : int, default=0
        Which sample of the whole data is the first, for messages.
    """
    model = unwrap(model)
    check_task(task)
    place = check_device(model, device)
    dtype = None if dtype is None else as_dtype(dtype, "dtype")
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
                found, task = locate(model, args, kwargs, head, task)
                result = collect(source.n_rows, task, dtype, given)
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
            advance(result.n_written)
    if result is None:
        raise ValueError("data holds no samples.")
    return result


def _n_samples(
    source: Source, number: int, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> int | None:
    """How many samples a batch holds: as the loader has it, else by its first tensor."""
    known = source.rows_of(number)
    if known is not None:
        return known
    first = first_tensor((*args, *kwargs.values()))
    return len(first) if first is not None and first.ndim else None
