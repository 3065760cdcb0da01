"""A bar with the rate and the time left, where someone looks."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextlib.contextmanager
def showing(progress: Any, total: int | None) -> Iterator[Callable[[int], None]]:
    """Give a function to tell how many rows are done.

    Parameters
    ----------
    progress : bool or callable
        Whether to show a bar, on stderr and only if that is a terminal or a notebook; or a
        function to call as ``progress(done, total)``.
    total : int or None
        How many rows there will be, if that is known.
    """
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
    def render(self, task: Task) -> Text:
        rate = task.finished_speed or task.speed
        return Text("" if rate is None else f"{rate:,.0f}/s", style="progress.data.speed")
