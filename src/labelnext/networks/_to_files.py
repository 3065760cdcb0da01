"""The pass of a network over data, written shard by shard: one is in memory at a time.

A folder, and what all who write to it agree on, is a `Destination`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, groupby
from os import fspath
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from labelnext.networks._data import can_be_cut, cut, open_source
from labelnext.networks.passes import run_into, showing
from labelnext.networks.results import Found, Plan, Result, asked_task
from labelnext.networks.untouched import as_dtype, check_device, unwrap
from labelnext.pools import PoolWriter
from labelnext.pools.files import local_folder
from labelnext.pools.manifest import SETTINGS, read_head, shard_name
from labelnext.utils.given import shown
from labelnext.utils.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from os import PathLike

    from numpy.typing import NDArray

    from labelnext.networks._data import Known, Source
    from labelnext.networks._head import Caught

ROWS_PER_SHARD = 65_536
# Samples that are computed before the rest: what are their probabilities of, and are they those of
# a shard that is there?
FEW = 4
# How far their features may be from those before, in their norm: another card, other threads.
SAME = 0.1
# What the settings are, in words that a message can use.
_WORDS = {
    "model": "the class of the model",
    "weights": "the weights of the model (their digest)",
    "head": "head",
    "n_rows": "the number of samples",
    "rows_per_shard": "the number of rows in a shard, of whole batches,",
    "dtype": "dtype",
    "amp": "amp",
    "ids": "ids (their digest)",
    "groups": "groups (their digest)",
    "labels": "labels (their digest)",
    "task": "task",
}


@dataclass(frozen=True)
class Destination:
    """A folder, and how to begin in it or go on; `settings` tell this extraction from others."""

    path: str
    bias: bool
    resume: bool
    overwrite: bool
    settings: dict[str, Any]
    classes: list[Any] | None = None  # that the user named; None for those of the network

    def open(self, found: Found) -> PoolWriter:
        """Return a writer, when it is known what the probabilities are of."""
        return PoolWriter(
            self.path,
            task=found.task,
            bias=self.bias,
            classes=found.classes if self.classes is None else self.classes,
            settings={**self.settings, "layer": found.layer},
            resume=self.resume,
            overwrite=self.overwrite,
        )

    def going_on(self) -> Destination:
        """Return the same folder, to go on with what has been begun by this extraction."""
        return replace(self, resume=True, overwrite=False)

    def finish(self, n_shards: int) -> str:
        """Write the manifest of a folder that this extraction began; return the layer's name."""
        found = begun_with(self.path)
        assert found is not None
        self.going_on().open(found).finish(n_shards)
        return found.layer

    def finished(self) -> dict[int, int]:
        """Return the shards there to go on with, and their rows; refuse another extraction's."""
        begun = _head_of(self.path) if self.resume else None
        if begun is None:
            return {}
        pairs = {word: (begun["settings"].get(n), self.settings[n]) for n, word in _WORDS.items()}
        if self.classes is not None:
            pairs["classes"] = (begun.get("classes"), self.classes)
        for word, (before, now) in pairs.items():
            if before != now:
                raise ValueError(
                    f"{self.path} was begun with another extraction: {word} was "
                    f"{shown(before)} and is {shown(now)} now; go on with the same, start over "
                    f"with overwrite=True, or choose another folder."
                )
        finished = self.open(_found_in(begun)).finished
        n_rows, full = self.settings["n_rows"], self.settings["rows_per_shard"]
        for number, size in finished.items():
            expected = size if n_rows is None else max(0, min(full, n_rows - number * full))
            if size != expected:
                raise ValueError(
                    f"{self.path} has {counted(size, 'row')} in shard {number}, where this "
                    "extraction has "
                    f"{expected:,}; start over with overwrite=True, or choose another folder."
                )
        return finished

    def to_compare(self, finished: Mapping[int, int]) -> list[tuple[int, int, int]]:
        """Return finished shards, and from and up to which sample to `compare` them."""
        size = self.settings["rows_per_shard"]
        ends = sorted({min(finished), max(finished)} if finished else ())
        return [(n, n * size, n * size + min(FEW, finished[n])) for n in ends]

    def compare_with(self, number: int, features: torch.Tensor | None) -> None:
        """Refuse to go on if a shard begins with other features than what is computed now."""
        assert features is not None
        file = local_folder(self.path) / shard_name(number) / "features.npy"
        before = np.load(file, mmap_mode="r")[: len(features)].astype(np.float64)
        now = features.detach().to("cpu", torch.float64).numpy()
        norms = np.linalg.norm([before, now, before - now], axis=-1)
        [others] = np.nonzero(norms[2] > SAME * norms[:2].max(axis=0))
        if len(others):
            row = number * self.settings["rows_per_shard"] + int(others[0])
            raise ValueError(
                f"{self.path} was begun with other data: the features of sample {row:,} differ "
                f"from those written before; go on with the same samples in the same order, "
                f"without random changes to them, start over with overwrite=True, or choose "
                f"another folder."
            )


def begun_with(path: str | PathLike[str]) -> Found | None:
    """Return what was found out by who began to write a folder; None if nobody has."""
    begun = _head_of(path)
    return None if begun is None else _found_in(begun)


def _head_of(path: str | PathLike[str]) -> dict[str, Any] | None:
    file = local_folder(path) / SETTINGS
    return read_head(file.read_bytes(), str(file)) if file.is_file() else None


def _found_in(begun: Mapping[str, Any]) -> Found:
    return Found(begun["task"], begun.get("classes"), begun["settings"].get("layer", ""))


def _rows_of_a_shard(
    asked: int | None, batch_size: int | None, path: str | PathLike[str], resume: bool
) -> int:
    """Return how many rows fill a shard: whole batches, or as many as before when going on."""
    if asked is None:
        begun = _head_of(path) if resume else None
        asked = (begun or {}).get("settings", {}).get("rows_per_shard") or ROWS_PER_SHARD
    if isinstance(asked, bool) or not isinstance(asked, int) or asked < 1:
        raise ValueError(f"rows_per_shard must be an integer of at least 1, got {shown(asked)}.")
    return asked if batch_size is None else -(-asked // batch_size) * batch_size


def _digest(values: NDArray[Any] | None) -> str | None:
    """Return what tells these values from others."""
    if values is None:
        return None
    digest = hashlib.blake2b(digest_size=16)
    for value in values.tolist():
        digest.update(f"{value!r},".encode())
    return digest.hexdigest()


def destination_of(
    path: str | PathLike[str],
    model: Any,
    known: Known,
    files: Mapping[str, Any],
    options: Mapping[str, Any],
    n_rows: int | None,
    batch_size: int | None,
) -> Destination:
    """Return the folder that samples are extracted to, with what tells this extraction apart."""
    model, resume = unwrap(model), bool(files["resume"])
    head, dtype, amp = options["head"], options["dtype"], options["amp"]
    if isinstance(head, torch.nn.Module):
        head = next((name for name, module in model.named_modules() if module is head), None)
    settings = {
        "model": f"{type(model).__module__}.{type(model).__qualname__}",
        "weights": digest_of_weights(model),
        "head": head,
        "n_rows": n_rows,
        "rows_per_shard": _rows_of_a_shard(files["rows_per_shard"], batch_size, path, resume),
        "dtype": None if dtype is None else str(as_dtype(dtype, "dtype")),
        "amp": None if amp is None else str(amp),
        "task": options["task"],
        **{name: _digest(values) for name, values in vars(known).items()},
    }
    classes = files["classes"]
    return Destination(
        fspath(path),
        bool(files["bias"]),
        resume,
        bool(files["overwrite"]),
        settings,
        None if classes is None else np.asarray(classes, dtype=object).tolist(),
    )


def digest_of_weights(model: torch.nn.Module) -> str:
    """Return a digest of all parameters and buffers, with their names, wherever they are."""
    digest = hashlib.blake2b(digest_size=16)
    for name, tensor in chain(model.named_parameters(), model.named_buffers()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        if tensor.layout == torch.strided and not tensor.is_quantized:
            values = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
            digest.update(values.numpy().data)
    return digest.hexdigest()


def extract_to(
    path: str | PathLike[str],
    model: Any,
    data: Any,
    *,
    known: Mapping[str, Any],
    files: Mapping[str, Any],
    options: dict[str, Any],
) -> str:
    """Write the shards that are missing and the manifest; return the name of the last layer.

    `known` is of the samples, `files` says how to write, `options` how to run.
    """
    source = survey(model, data, **options)
    samples = source.known(**known)
    to = destination_of(path, model, samples, files, options, source.n_rows, source.batch_size)
    finished = to.finished()
    options = dict(options)
    progress = options.pop("progress")
    if source.n_rows is None or not can_be_cut(data):
        # All samples are read, and those of missing shards run.
        shards = run_shards(to, model, data, samples, progress, options, finished=finished)
        n_shards = shards.finish()
        if max(finished, default=-1) >= n_shards:
            raise ValueError(
                f"{to.path} has shard {max(finished)}, but the data ended after "
                f"{counted(shards.n_written, 'sample')}, in shard {n_shards - 1}; go on with the "
                "same data, "
                f"start over with overwrite=True, or choose another folder."
            )
        samples.check(shards.n_written)
        return to.finish(n_shards)
    n_rows, size = source.n_rows, to.settings["rows_per_shard"]
    for number, lo, hi in to.to_compare(finished):
        compare(to, number, model, cut(data, lo, hi), options)
    n_shards, done = -(-n_rows // size), sum(finished.values())
    writing = to
    with showing(progress, n_rows) as advance:
        for first, last in stretches(set(range(n_shards)) - finished.keys()):
            lo, hi = first * size, min((last + 1) * size, n_rows)

            def count(rows: int, total: int | None, before: int = done) -> None:
                advance(before + rows)

            # A loader as it is may know more than one that is made over a part.
            part = data if hi - lo == n_rows else cut(data, lo, hi)
            run_shards(writing, model, part, samples.part(lo, hi), count, options, lo).finish()
            writing, done = to.going_on(), done + hi - lo
    return to.finish(n_shards)


def survey(model: Any, data: Any, **options: Any) -> Source:
    """Check what can be checked before anything runs; return what is known of the data."""
    network = unwrap(model)
    asked_task(network, options["task"])
    place = check_device(network, options["device"])
    return open_source(
        data, options["batch_size"], options["num_workers"], pin=place.type == "cuda"
    )


def run_shards(
    destination: Destination,
    model: Any,
    data: Any,
    known: Known,
    progress: Any,
    options: Mapping[str, Any],
    first_row: int = 0,
    finished: Mapping[int, int] | None = None,
) -> Shards:
    """Run a network over what shards that are not `finished` hold, from `first_row` on."""
    collect = partial(Shards, destination, finished or {}, known)
    return run_into(collect, model, data, progress=progress, first_row=first_row, **options)


def compare(
    destination: Destination, number: int, model: Any, data: Any, options: Mapping[str, Any]
) -> None:
    """Run a network over the first samples of a finished shard, and refuse other data."""
    first_row = number * destination.settings["rows_per_shard"]
    few = run_into(Result, model, data, progress=False, first_row=first_row, **options)
    destination.compare_with(number, few.finish()[1])


def stretches(missing: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Put numbers together that follow one another: the first and the last of each run.

    >>> list(stretches([0, 1, 2, 5, 7, 8]))
    [(0, 2), (5, 5), (7, 8)]
    """
    for _, run in groupby(enumerate(sorted(missing)), key=lambda pair: pair[1] - pair[0]):
        numbers = [number for _, number in run]
        yield numbers[0], numbers[-1]


class Shards:
    """Write what is caught to a pool folder; the `finished` shards are passed over.

    A shard is full at the end of the batch that fills it, so each begins with a batch.
    """

    def __init__(
        self,
        destination: Destination,
        finished: Mapping[int, int],
        known: Known,
        plan: Plan,
    ) -> None:
        self.destination = destination
        self.writer: PoolWriter = destination.open(plan.found)
        self.rows_per_shard: int = destination.settings["rows_per_shard"]
        self.finished, self.known, self.plan = finished, known, plan
        self.n_written = self.n_batches = 0
        self.number: int = plan.first_row // self.rows_per_shard
        # Where the shard begins, in the pass.
        self._start = 0
        self._result: Result | None = None
        self._is_compared = False

    def passes_over(self, n_samples: int | None) -> bool:
        """Count a batch of a shard that is there, but the first; False if its rows are wanted."""
        if self.number not in self.finished:
            return False
        if n_samples is None:
            raise ValueError(
                "To go on, samples of finished shards must be counted, but it cannot be told how "
                "many samples a batch holds; pass a data set with a length, start over with "
                "overwrite=True, or choose another folder."
            )
        if not self._is_compared:
            return False
        self._count(n_samples)
        return True

    def add(self, caught: Caught, expected: int | None) -> None:
        """Take the rows of the next batch; the last of a shard has it written."""
        if self.number in self.finished:
            few = Result(self.plan.part(self.n_written, len(caught.logits)))
            few.add(caught, expected)
            self.destination.compare_with(self.number, few.finish()[1])
            self._is_compared = True
        elif self._result is None:
            self._result = Result(self.plan.part(self._start, self.rows_per_shard))
        if self._result is not None:
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
                f"{self.writer.path} has {counted(self.finished[self.number], 'row')} in shard "
                f"{self.number}, but now the data has {counted(n_rows, 'sample')} for it, from "
                "sample "
                f"{self.plan.first_row + self._start:,} on; go on with the same data in the same "
                f"batches, start over with overwrite=True, or choose another folder."
            )
        self._start = self.n_written
        self.number += 1
