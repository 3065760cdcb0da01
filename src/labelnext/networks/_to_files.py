"""The pass of a network over data, written shard by shard: one is in memory at a time."""

from __future__ import annotations

from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Any

from labelnext.networks._data import can_be_cut, cut, open_source
from labelnext.networks._destination import Destination, destination_of
from labelnext.networks.device import check_device
from labelnext.networks.passes import run_into, showing
from labelnext.networks.results import Plan, Result, asked_task
from labelnext.networks.untouched import unwrap

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from os import PathLike

    from labelnext.networks._data import Known, Source
    from labelnext.networks._head import Caught
    from labelnext.pools import PoolWriter


def extract_to(
    path: str | PathLike[str],
    model: Any,
    data: Any,
    *,
    known: Mapping[str, Any],
    files: Mapping[str, Any],
    options: dict[str, Any],
) -> str:
    """Run a network over data and write the shards that are missing, and the manifest.

    All parameters are those of `labelnext.extract`: `known` is of the samples, `files` says how
    to write, `options` how to run. Returns the name of the last layer.
    """
    source = survey(model, data, **options)
    samples = source.known(**known)
    to = destination_of(path, model, samples, files, options, source.n_rows, source.batch_size)
    options = dict(options)
    progress = options.pop("progress")
    in_parts = source.n_rows is not None and can_be_cut(data)
    write = _without_the_finished if in_parts else _past_the_finished
    return to.finish(write(to, model, data, samples, progress, options))


def survey(model: Any, data: Any, **options: Any) -> Source:
    """Check what can be checked before anything runs; return what is known of the data."""
    network = unwrap(model)
    asked_task(network, options["task"])
    place = check_device(network, options["device"])
    return open_source(
        data, options["batch_size"], options["num_workers"], pin=place.type == "cuda"
    )


def write_stretch(
    destination: Destination,
    model: Any,
    data: Any,
    first_row: int,
    known: Known,
    progress: Any,
    options: Mapping[str, Any],
) -> None:
    """Write shards that follow one another, of which none is there.

    `data` and `known` are of their samples alone, the first of which is sample `first_row`.
    """
    collect = partial(Shards, destination, {}, known)
    run_into(collect, model, data, progress=progress, first_row=first_row, **options).finish()


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
    known: Known,
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

            def count(rows: int, total: int | None, before: int = done) -> None:
                advance(before + rows)

            # A loader as it is may know more than one that is made over a part.
            part = data if hi - lo == n_rows else cut(data, lo, hi)
            write_stretch(destination, model, part, lo, known.part(lo, hi), count, options)
            destination, done = destination.going_on(), done + hi - lo
    return n_shards


def _past_the_finished(
    destination: Destination,
    model: Any,
    data: Any,
    known: Known,
    progress: Any,
    options: Mapping[str, Any],
) -> int:
    """Read all samples and run those of missing shards; return how many shards there are."""
    finished = destination.finished()
    collect = partial(Shards, destination, finished, known)
    shards = run_into(collect, model, data, progress=progress, **options)
    n_shards = shards.finish()
    if max(finished, default=-1) >= n_shards:
        raise ValueError(
            f"{destination.path} has shard {max(finished)}, but the data ended after "
            f"{shards.n_written:,} samples, in shard {n_shards - 1}; go on with the same data, "
            f"start over with overwrite=True, or choose another folder."
        )
    known.check(shards.n_written)
    return n_shards


class Shards:
    """Write what is caught to a pool folder; the `finished` shards are passed over.

    A shard is full at the end of the first batch with which it has `rows_per_shard` rows, so
    that whoever begins at its first row sees the batches that the first run saw. The pass begins
    with the first sample of a shard.
    """

    def __init__(
        self,
        destination: Destination,
        finished: Mapping[int, int],
        known: Known,
        plan: Plan,
    ) -> None:
        self.writer: PoolWriter = destination.open(plan.found)
        self.rows_per_shard: int = destination.settings["rows_per_shard"]
        self.finished, self.known, self.plan = finished, known, plan
        self.n_written = self.n_batches = 0
        self.number: int = plan.first_row // self.rows_per_shard
        # Where the shard begins, in the pass.
        self._start = 0
        self._result: Result | None = None

    def passes_over(self, n_samples: int | None) -> bool:
        """Count a batch of a shard that is there; False if its rows are wanted."""
        if self.number not in self.finished:
            return False
        if n_samples is None:
            raise ValueError(
                "To go on, samples of finished shards must be counted, but it cannot be told how "
                "many samples a batch holds; pass a data set with a length, or start over."
            )
        self._count(n_samples)
        return True

    def add(self, caught: Caught, expected: int | None) -> None:
        """Take the rows of the next batch; the last of a shard has it written."""
        if self._result is None:
            self._result = Result(self.plan.part(self._start, self.rows_per_shard))
        self._result.add(caught, expected)
        self._count(len(caught.logits))

    def finish(self) -> int:
        """Write the last shard, which may be shorter; return how many shards there are up to it."""
        self.plan.check_n_rows(self.n_written)
        if self.n_written > self._start:
            self._close()
        return self.number

    def _count(self, n_rows: int) -> None:
        self.n_written += n_rows
        self.n_batches += 1
        if self.n_written - self._start >= self.rows_per_shard:
            self._close()

    def _close(self) -> None:
        n_rows = self.n_written - self._start
        if self._result is not None:
            proba, features = self._result.finish()
            known = self.known.part(self._start, self.n_written)
            self.writer.write(self.number, proba, features, **vars(known))
            self._result = None
        elif self.finished[self.number] != n_rows:
            raise ValueError(
                f"{self.writer.path} has {self.finished[self.number]:,} rows in shard "
                f"{self.number}, but now the data has {n_rows:,} samples for it, from sample "
                f"{self.plan.first_row + self._start:,} on; go on with the same data in the same "
                f"batches, or start over."
            )
        self._start = self.n_written
        self.number += 1
