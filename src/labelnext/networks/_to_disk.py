"""The pass of a network over a pool, with one shard in memory at a time."""

from __future__ import annotations

from functools import partial
from itertools import groupby
from os import fspath
from typing import TYPE_CHECKING, Any

import torch

from labelnext.engine.task import check_task
from labelnext.networks._cut import can_be_cut, cut
from labelnext.networks._destination import Destination, digest_of_ids, rows_of_a_shard
from labelnext.networks._device import as_dtype, check_device
from labelnext.networks._loop import run_into
from labelnext.networks._progress import showing
from labelnext.networks._shards import Shards
from labelnext.networks._source import open_source
from labelnext.networks._weights import digest_of_weights
from labelnext.networks._wrappers import unwrap
from labelnext.pools.known import as_ids, check_ids_length

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from os import PathLike

    from numpy.typing import NDArray

    from labelnext.engine import Task
    from labelnext.networks._source import Source


def extract_to(
    path: str | PathLike[str],
    model: Any,
    data: Any,
    *,
    bias: bool,
    ids: Any,
    rows_per_shard: int | None,
    resume: bool,
    overwrite: bool,
    **options: Any,
) -> None:
    """Run a network over a pool and write the shards that are missing, and the manifest.

    All parameters are those of `labelnext.extract`.
    """
    source = survey(model, data, **options)
    names = check_ids(ids, source.n_rows)
    destination = Destination(
        fspath(path),
        bias=bool(bias),
        resume=bool(resume),
        overwrite=bool(overwrite),
        settings=settings_of(
            model,
            options,
            n_rows=source.n_rows,
            rows_per_shard=rows_of_a_shard(rows_per_shard, source.batch_size, path, resume=resume),
            ids=names,
        ),
    )
    progress = options.pop("progress")
    if source.n_rows is None or not can_be_cut(data):
        n_shards = _past_the_finished(destination, model, data, names, progress, options)
    else:
        n_shards = _without_the_finished(destination, model, data, names, progress, options)
    destination.reopened().finish(n_shards)


def survey(model: Any, data: Any, **options: Any) -> Source:
    """Check what can be checked before anything runs; return what is known of the data."""
    check_task(options["task"])
    place = check_device(unwrap(model), options["device"])
    return open_source(
        data, options["batch_size"], options["num_workers"], pin=place.type == "cuda"
    )


def check_ids(ids: Any, n_rows: int | None) -> NDArray[Any] | None:
    """Return ids as an array, as many as there are samples, if that is known."""
    names: NDArray[Any] | None = None if ids is None else as_ids(ids)
    if n_rows is not None:
        check_ids_length(names, n_rows)
    return names


def settings_of(
    model: Any,
    options: Mapping[str, Any],
    *,
    n_rows: int | None,
    rows_per_shard: int,
    ids: NDArray[Any] | None,
) -> dict[str, Any]:
    """Return what tells an extraction from others that must not be mixed with it."""
    model = unwrap(model)
    head, dtype, amp = options["head"], options["dtype"], options["amp"]
    if isinstance(head, torch.nn.Module):
        head = next((name for name, module in model.named_modules() if module is head), None)
    return {
        "model": f"{type(model).__module__}.{type(model).__qualname__}",
        "weights": digest_of_weights(model),
        "head": head,
        "n_rows": n_rows,
        "rows_per_shard": rows_per_shard,
        "dtype": None if dtype is None else str(as_dtype(dtype, "dtype")),
        "amp": None if amp is None else str(amp),
        "ids": digest_of_ids(ids),
    }


def write_stretch(
    destination: Destination,
    model: Any,
    data: Any,
    first_row: int,
    ids: NDArray[Any] | None,
    advance: Callable[[int], None],
    options: Mapping[str, Any],
) -> None:
    """Write shards that follow one another, of which none is there.

    Parameters
    ----------
    destination : Destination
        Where they go.
    model : torch.nn.Module
        The network.
    data : object
        Their samples alone.
    first_row : int
        Which sample is the first.
    ids : ndarray or None
        Their ids.
    advance : callable
        Is told how many of the samples are done.
    options : mapping
        What else `run_into` needs.
    """
    collect = partial(_shards, destination, {}, ids, first_row)
    report = _reporting(advance)
    run_into(collect, model, data, progress=report, first_row=first_row, **options).finish()


def stretches(missing: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Put numbers together that follow one another: the first and the last of each run.

    >>> list(stretches([0, 1, 2, 5, 7, 8]))
    [(0, 2), (5, 5), (7, 8)]
    """
    for _, run in groupby(enumerate(sorted(missing)), key=lambda pair: pair[1] - pair[0]):
        numbers = [number for _, number in run]
        yield numbers[0], numbers[-1]


def _without_the_finished(
    destination: Destination,
    model: Any,
    data: Any,
    ids: NDArray[Any] | None,
    progress: Any,
    options: Mapping[str, Any],
) -> int:
    """Read and run the samples of missing shards alone; return how many shards there are."""
    finished = destination.finished()
    n_rows: int = destination.settings["n_rows"]
    size: int = destination.settings["rows_per_shard"]
    n_shards = -(-n_rows // size)
    done = sum(finished.values())
    with showing(progress, n_rows) as advance:
        for first, last in stretches(set(range(n_shards)) - finished.keys()):
            lo, hi = first * size, min((last + 1) * size, n_rows)
            count = partial(_add, advance, done)
            some = None if ids is None else ids[lo:hi]
            # A loader as it is may know more than one that is made anew.
            part = data if hi - lo == n_rows else cut(data, lo, hi)
            write_stretch(destination, model, part, lo, some, count, options)
            destination, done = destination.going_on(), done + hi - lo
    return n_shards


def _past_the_finished(
    destination: Destination,
    model: Any,
    data: Any,
    ids: NDArray[Any] | None,
    progress: Any,
    options: Mapping[str, Any],
) -> int:
    """Read all samples and run those of missing shards; return how many shards there are."""
    finished = destination.finished()
    collect = partial(_shards, destination, finished, ids, 0)
    shards = run_into(collect, model, data, progress=progress, **options)
    n_shards = shards.finish()
    if max(finished, default=-1) >= n_shards:
        raise ValueError(
            f"{destination.path} has shard {max(finished)}, but the data ended after "
            f"{shards.n_written:,} samples, in shard {n_shards - 1}; go on with the same data, "
            f"begin anew with overwrite=True, or choose another folder."
        )
    if ids is not None:
        check_ids_length(ids, shards.n_written)
    return n_shards


def _shards(
    destination: Destination,
    finished: Mapping[int, int],
    ids: NDArray[Any] | None,
    first_row: int,
    n_rows: int | None,
    task: Task,
    dtype: torch.dtype | None,
    given: torch.Tensor | None,
) -> Shards:
    """Make the collector of a pass, when it is known what the probabilities are of."""
    writer, size = destination.open(task), destination.settings["rows_per_shard"]
    return Shards(writer, finished, size, ids, first_row, n_rows, task, dtype, given)


def _reporting(advance: Callable[[int], None]) -> Callable[[int, int | None], None]:
    return lambda done, total: advance(done)


def _add(advance: Callable[[int], None], before: int, done: int) -> None:
    advance(before + done)
