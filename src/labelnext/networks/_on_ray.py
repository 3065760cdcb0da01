"""Extraction on a Ray cluster: actors that write shards, and a driver that hands them out."""

from __future__ import annotations

import copy
import os
from functools import partial
from typing import TYPE_CHECKING, Any

from labelnext.cluster.session import joined
from labelnext.networks._destination import Destination, rows_of_a_shard, settings_of
from labelnext.networks._ray_crew import Crew
from labelnext.networks._ray_samples import as_samples
from labelnext.networks._ray_worker import Extractor
from labelnext.networks._run import showing
from labelnext.networks._to_files import check_ids
from labelnext.networks.device import device_of
from labelnext.networks.untouched import unwrap
from labelnext.pools.place import local_folder
from labelnext.utils.tasks import check_task

if TYPE_CHECKING:
    from collections.abc import Callable
    from os import PathLike

    from numpy.typing import NDArray

    from labelnext.engine.ray import RayOptions
    from labelnext.networks._ray_samples import Samples

# Samples on which it is found out what the probabilities are of.
FEW = 4


def extract_on_ray(
    path: str | PathLike[str],
    model: Any,
    data: Any,
    *,
    bias: bool,
    ids: Any,
    rows_per_shard: int | None,
    resume: bool,
    overwrite: bool,
    cluster: RayOptions,
    **options: Any,
) -> None:
    """Have the shards that are missing written by actors, and write the manifest.

    Parameters
    ----------
    path, model, data, bias, ids, rows_per_shard, resume, overwrite
        As those of `labelnext.extract`.
    cluster : RayOptions
        Which cluster, how many actors, and what each may take.
    **options
        What else `labelnext.extract` knows of running a network.
    """
    check_task(options["task"])
    model, progress = unwrap(model), options.pop("progress")
    if options["device"] is None:
        options["device"] = "cuda" if cluster.num_gpus else "cpu"
    with joined(cluster.address) as ray:
        samples = as_samples(data, options["batch_size"], options["num_workers"])
        names = check_ids(ids, samples.n_rows)
        folder = os.path.abspath(local_folder(path))
        size = rows_of_a_shard(rows_per_shard, samples.batch_size, folder, resume=resume)
        settings = settings_of(
            model, options, n_rows=samples.n_rows, rows_per_shard=size, ids=names
        )
        destination = Destination(
            folder,
            bias=bool(bias),
            resume=bool(resume),
            overwrite=bool(overwrite),
            settings=settings,
        )
        finished = destination.finished()
        n_shards = -(-samples.n_rows // size)
        missing = [number for number in range(n_shards) if number not in finished]
        with showing(progress, samples.n_rows) as advance:
            done = sum(finished.values())
            if missing:
                crew = Crew(ray, Extractor, _job(model, samples, options), cluster, len(missing))
                try:
                    _write(crew, destination, samples, names, missing, advance, done)
                finally:
                    crew.close()
        destination.reopened().finish(n_shards)


def _job(model: Any, samples: Samples, options: dict[str, Any]) -> tuple[Any, ...]:
    """Return what each actor is sent once."""
    if device_of(model).type != "cpu":
        model = copy.deepcopy(model).cpu()  # its place here is none there
    return model, samples.read, samples.common, options


def _write(
    crew: Crew,
    destination: Destination,
    samples: Samples,
    ids: NDArray[Any] | None,
    missing: list[int],
    advance: Callable[[int], None],
    done: int,
) -> None:
    size = destination.settings["rows_per_shard"]

    def rows(number: int) -> tuple[int, int]:
        return number * size, min((number + 1) * size, samples.n_rows)

    few = samples.part(0, min(FEW, samples.n_rows))
    [(_, task)] = crew.run("task", {missing[0]: lambda: (few,)})
    destination.open(task)  # so that it is begun; actors go on
    going_on = destination.going_on()

    def arguments(number: int) -> tuple[Any, ...]:
        lo, hi = rows(number)
        return going_on, lo, samples.part(lo, hi), None if ids is None else ids[lo:hi]

    for number, _ in crew.run("write", {number: partial(arguments, number) for number in missing}):
        lo, hi = rows(number)
        done += hi - lo
        advance(done)
