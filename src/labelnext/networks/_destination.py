"""The pool folder that a network's pass is written to, and what all who write to it agree on."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from itertools import chain
from os import fspath
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from labelnext.networks.device import as_dtype
from labelnext.networks.results import Found
from labelnext.networks.untouched import unwrap
from labelnext.pools import PoolWriter
from labelnext.pools.files import local_folder
from labelnext.pools.manifest import SETTINGS, read_head
from labelnext.utils.given import shown

if TYPE_CHECKING:
    from collections.abc import Mapping
    from os import PathLike

    from numpy.typing import NDArray

    from labelnext.networks._data import Known

ROWS_PER_SHARD = 65_536
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
        """Return the shards that are there to go on with, and their numbers of rows.

        Those that were begun by another extraction are refused.
        """
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
                    f"{self.path} has {size:,} rows in shard {number}, where this extraction has "
                    f"{expected:,}; start over with overwrite=True, or choose another folder."
                )
        return finished


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
    """Return the folder that samples of a known order are extracted to, with what tells it apart.

    `files` and `options` are arguments of `labelnext.extract`: how to write, and how to run.
    """
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
