"""What runs in the process of an actor that extracts."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labelnext.engine import Task
    from labelnext.networks._destination import Destination


class Extractor:
    """A network in a process of its own, to run over the shards that it is told."""

    def hello(self) -> tuple[int, str]:
        """Return the process's number and its machine's name."""
        return os.getpid(), os.uname().nodename

    def load(self, job: tuple[Any, ...], n_threads: int) -> None:
        """Take the network, what samples are read from, and how to run on so many threads."""
        import torch

        torch.set_num_threads(n_threads)
        self.model, self.read, self.common, self.options = job

    def task(self, part: Any) -> Task:
        """Return what the network's probabilities are of, found on a few samples."""
        from labelnext.networks._run import run_into
        from labelnext.networks.results import Result

        data = self.read(self.common, part, self.model)
        return run_into(Result, self.model, data, progress=False, **self.options).plan.task

    def write(self, destination: Destination, first_row: int, part: Any, ids: Any) -> None:
        """Write one shard, unless it is there."""
        from labelnext.networks._destination import begun_with
        from labelnext.networks._to_files import write_stretch

        begun = begun_with(destination.path)
        if begun is None:
            raise FileNotFoundError(
                f"{os.uname().nodename} does not see {destination.path}: out must be a folder on a "
                f"file system that all machines of the cluster share."
            )
        number = first_row // destination.settings["rows_per_shard"]
        if number in destination.open(begun["task"]).finished:
            return  # an actor that was given up may have been faster
        data = self.read(self.common, part, self.model)
        write_stretch(
            destination, self.model, data, first_row, ids, lambda done: None, self.options
        )
