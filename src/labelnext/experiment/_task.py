"""One run, as it is sent to a process, and what comes back."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from labelnext.experiment._rounds import rounds
from labelnext.experiment._split import split

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from labelnext.experiment._rounds import Round


@dataclass(frozen=True)
class Task:
    """A run, or what is left of it.

    Parameters
    ----------
    number : int
        Its place in the list of runs.
    data : str
        The name of its data set.
    strategy, clf : object
        The query strategy and the model.
    seed, start, batch, rounds, test_size
        As in `Experiment`.
    done : tuple of ndarray
        The picks of the rounds that there are already.
    """

    number: int
    data: str
    strategy: Any
    clf: Any
    seed: int
    start: int
    batch: int
    rounds: int
    test_size: float
    done: tuple[NDArray[Any], ...] = ()


@dataclass(frozen=True)
class Ended:
    """A run is over: it went through all its rounds, or `error` says why not."""

    error: str = ""
    details: str = ""


def play(task: Task, X: Any, y: Any) -> Iterator[Round | Ended]:
    """Go through the rounds of a run; the last that comes says how it ended."""
    try:
        parts = split(X, y, seed=task.seed, n_start=task.start, test_size=task.test_size)
        yield from rounds(
            task.strategy,
            task.clf,
            parts,
            batch_size=task.batch,
            n_batches=task.rounds,
            done=task.done,
        )
    except Exception as error:
        # Whatever a strategy or model raises: it is recorded, and the other runs go on.
        yield failed(error)
    else:
        yield Ended()


def failed(error: BaseException) -> Ended:
    """Say in a line what went wrong, and in many how it came to it."""
    text = " ".join(str(error).split())
    return Ended(f"{type(error).__name__}: {text}", "".join(traceback.format_exception(error)))
