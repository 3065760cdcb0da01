"""Extraction on a Ray cluster: actors that write shards, and a driver that hands them out."""

from __future__ import annotations

import copy
import inspect
import os
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch.utils.data import IterableDataset

from labelnext.cluster.actors import Actor, Actors, Call, Task, room
from labelnext.cluster.dataset import blocks_in_order, is_dataset
from labelnext.cluster.session import in_short, joined
from labelnext.networks._batches import LABELS
from labelnext.networks._data import BATCH_SIZE, Known, arrays_in, can_be_cut, cut, open_source
from labelnext.networks._to_files import (
    FEW,
    Destination,
    begun_with,
    compare,
    destination_of,
    run_shards,
)
from labelnext.networks.passes import run_into, showing
from labelnext.networks.results import Found, Result, asked_task
from labelnext.networks.untouched import device_of, unwrap
from labelnext.pools.files import local_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from os import PathLike

    from torch import nn

    from labelnext.cluster.dataset import Blocks
    from labelnext.cluster.session import Ray

# Seconds in which a shard is to be written.
TIMEOUT = 3600.0
ADVICE = " Finished shards stay, and resume=True goes on with them."


def extract_on_ray(
    path: str | PathLike[str],
    model: Any,
    data: Any,
    *,
    known: Mapping[str, Any],
    files: Mapping[str, Any],
    options: dict[str, Any],
    cluster: Ray,
) -> str:
    """Have the shards that are missing written by actors, as `extract_to` writes them."""
    model, options = unwrap(model), dict(options)
    progress = options.pop("progress")
    asked_task(model, options["task"])
    if options["device"] is None:
        options["device"] = "cuda" if cluster.num_gpus else "cpu"
    with joined(cluster.address) as ray:
        samples = as_samples(data, options["batch_size"], options["num_workers"])
        told = Known.of(samples.n_rows, **known)
        folder = os.path.abspath(local_folder(path))
        n_rows, batch_size = samples.n_rows, samples.batch_size
        to = destination_of(folder, model, told, files, options, n_rows, batch_size)
        finished = to.finished()
        n_shards = -(-n_rows // to.settings["rows_per_shard"])
        missing = [number for number in range(n_shards) if number not in finished]
        with showing(progress, n_rows) as advance:
            advice = ADVICE if files.get("stay", True) else ""
            if device_of(model).type != "cpu":
                model = copy.deepcopy(model).cpu()  # its place here is none there
            job = (model, samples.read, samples.common, options)
            actors = _actors(ray, cluster, len(missing) or 1, job, advice)
            try:
                _compare(actors, to, samples, finished)
                if missing:
                    _write(actors, to, samples, told, missing, advance, sum(finished.values()))
            finally:
                actors.close()
        return to.finish(n_shards)


def _actors(ray: Any, cluster: Ray, n_shards: int, job: tuple[Any, ...], advice: str) -> Actors:
    try:
        reference = ray.put(job)
    except Exception as error:
        raise TypeError(
            f"The model and the data are sent to the cluster, and cannot be: "
            f"{in_short(error)}; they must be made of what pickle can hold."
        ) from error
    return Actors(
        ray,
        Extractor,
        cluster,
        min(cluster.num_shards or room(ray, cluster, n_shards), n_shards),
        timeout=TIMEOUT,
        set_up=lambda _: [Call("load", (reference,))],
        name="shard {}".format,
        advice=advice,
        can_shrink=True,
    )


def _compare(
    actors: Actors, destination: Destination, samples: Samples, finished: Mapping[int, int]
) -> None:
    def call(number: int, lo: int, hi: int) -> Call:
        return Call("compare", (destination, number, samples.part(lo, hi)))

    few = destination.to_compare(finished)
    for _ in actors.run(Task(task[0], partial(call, *task)) for task in few):
        pass


def _write(
    actors: Actors,
    destination: Destination,
    samples: Samples,
    known: Known,
    missing: list[int],
    advance: Callable[[int], None],
    done: int,
) -> None:
    size = destination.settings["rows_per_shard"]
    few = samples.part(0, min(FEW, samples.n_rows))
    [(_, found)] = actors.run([Task(missing[0], lambda: Call("find", (few,)))])
    destination.open(found)  # so that it is begun; actors go on
    going_on = destination.going_on()

    def rows(number: int) -> tuple[int, int]:
        return number * size, min((number + 1) * size, samples.n_rows)

    def call(number: int) -> Call:
        lo, hi = rows(number)
        return Call("write", (going_on, lo, samples.part(lo, hi), known.part(lo, hi)))

    for number, _ in actors.run(Task(number, partial(call, number)) for number in missing):
        lo, hi = rows(number)
        done += hi - lo
        advance(done)


class Extractor(Actor):
    """A network in a process of its own, to run over the shards that it is told."""

    def load(self, job: tuple[Any, ...]) -> None:
        """Take the network, what samples are read from, and how to run."""
        torch.set_num_threads(self.n_threads)
        self.model, self.read, self.common, self.options = job

    def find(self, part: Any) -> Found:
        """Return what is found out on a few samples."""
        data = self.read(self.common, part, self.model)
        return run_into(Result, self.model, data, progress=False, **self.options).plan.found

    def compare(self, destination: Destination, number: int, part: Any) -> None:
        """Refuse to go on if a finished shard is of other data."""
        compare(
            destination, number, self.model, self.read(self.common, part, self.model), self.options
        )

    def write(self, destination: Destination, first_row: int, part: Any, known: Known) -> None:
        """Write one shard, unless it is there."""
        found = begun_with(destination.path)
        if found is None:
            raise FileNotFoundError(
                f"{os.uname().nodename} does not see {destination.path}: out must be a folder on a "
                f"file system that all machines of the cluster share."
            )
        number = first_row // destination.settings["rows_per_shard"]
        if number in destination.open(found).finished:
            return  # an actor that was given up may have been faster
        data = self.read(self.common, part, self.model)
        shards = run_shards(
            destination, self.model, data, known, False, self.options, first_row=first_row
        )
        shards.finish()


class Samples(NamedTuple):
    """What the driver knows of the samples, and how actors come by them."""

    n_rows: int
    batch_size: int
    part: Callable[[int, int], Any]
    """Returns what is sent for samples lo to hi."""

    read: Callable[[Any, Any, nn.Module], Any]
    """Returns, in an actor, samples as `open_source` takes them, of what all have and a part."""

    common: Any = None
    """What all actors have, once: sent with the network."""


def as_samples(data: Any, batch_size: int | None, num_workers: int | None) -> Samples:
    """Take what a network is to be run over, and refuse what cannot be divided.

    Arrays are sent shard by shard, else each actor has a copy; of Ray's it fetches the blocks.
    """
    if is_dataset(data):
        blocks = blocks_in_order(data)
        if blocks.n_rows == 0:
            raise ValueError("data holds no samples.")
        return Samples(blocks.n_rows, batch_size or BATCH_SIZE, blocks.part, _fetched)
    source = open_source(data, batch_size, num_workers, pin=False)
    if source.n_rows is None or source.batch_size is None or not can_be_cut(data):
        what = "IterableDataset" if isinstance(data, IterableDataset) else type(data).__name__
        raise TypeError(
            f"A cluster divides samples among actors, and cannot divide this {what}: pass a "
            f"data set with a length and items, a plain DataLoader of one, arrays, or a Ray Data "
            f"set."
        )
    if arrays_in(data) is not None:
        return Samples(source.n_rows, source.batch_size, partial(cut, data), _as_sent)
    return Samples(source.n_rows, source.batch_size, lambda *part: part, _own, common=data)


def _as_sent(common: Any, part: Any, model: nn.Module) -> Any:
    del common, model
    return part


def _own(common: Any, part: tuple[int, int], model: nn.Module) -> Any:
    del model
    return cut(common, *part)


def _fetched(common: Any, part: Blocks, model: nn.Module) -> Any:
    """Return the columns of some blocks by name, or a single one that forward does not name."""
    del common
    columns = part.columns(lambda name: name not in LABELS)
    names = inspect.signature(model.forward).parameters
    if len(columns) == 1 and not columns.keys() & names.keys():
        return next(iter(columns.values()))
    return columns
