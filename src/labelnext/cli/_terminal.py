"""What a person at a terminal gets to see, and how: nothing in it may steer the terminal."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape

from labelnext.cli._errors import InputError
from labelnext.utils.text import counted, printable

if TYPE_CHECKING:
    from rich.table import Table

SHOWN = 5


def terminal() -> Console:
    """Return a console on standard error. Whoever writes to it asks `is_terminal` first."""
    return Console(stderr=True)


def say(message: object) -> None:
    """Say something in one line on standard error, where there is one."""
    if sys.stderr is not None:
        print(f"labelnext: {printable(message)}", file=sys.stderr)


def say_written(console: Console, what: str) -> None:
    """Say where something is, on a terminal only."""
    if console.is_terminal:
        tell(console, f"Written: {what}")


def tell(console: Console, text: str) -> None:
    """Say something on a console as it is, in one line that is not broken."""
    console.print(printable(text), highlight=False, soft_wrap=True, markup=False)


def to_stdout(content: bytes) -> None:
    """Write what was asked for to standard output, in UTF-8 whatever that is set to."""
    if sys.stdout is None:
        raise InputError("standard output is closed; name a file with --output")
    if sys.stdout.isatty():
        content = "\n".join(map(printable, content.decode().split("\n"))).encode()
    sys.stdout.flush()
    sys.stdout.buffer.write(content)
    sys.stdout.flush()


@contextmanager
def working(console: Console, text: str) -> Iterator[None]:
    """Show that something is going on, on a terminal only."""
    if not console.is_terminal:
        yield
        return
    start = time.perf_counter()
    text = escape(printable(text))
    with console.status(text):
        yield
    console.print(f"[dim]{text} {time.perf_counter() - start:.1f} s[/]", highlight=False)


@contextmanager
def choosing(console: Console, k: int) -> Iterator[Callable[[Mapping[str, int]], None]]:
    """Show how a selection goes on, on a terminal only; yields what is called with its counters."""
    if not console.is_terminal:
        yield lambda stats: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    bar = Progress(
        # As wide as 80 columns, for k up to 9,999.
        TextColumn("Choosing"),
        BarColumn(bar_width=16),
        MofNCompleteColumn(),
        TextColumn("[dim]{task.fields[counts]}[/]"),
        console=console,
    )
    task = bar.add_task("", total=k, counts="")

    def show(stats: Mapping[str, int]) -> None:
        accepted = stats["accepted"] / max(stats["proposals"], 1)
        # The rest of the pairs were ruled out by bounds.
        evaluated = stats["feature_products"] / max(stats["pairs"], 1)
        passes = counted(stats["passes"], "pass", "passes")
        counts = f"{passes} · {accepted:.0%} accepted · {evaluated:.2%} evaluated"
        bar.update(task, completed=stats["picks"], counts=counts)

    with bar:
        yield show


@contextmanager
def counting(console: Console, text: str) -> Iterator[Callable[[int, int], None]]:
    """Show how far something is, on a terminal only; yields what is called with done, total."""
    if not console.is_terminal:
        yield lambda done, total: None
        return
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    bar = Progress(
        TextColumn(text),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )
    task = bar.add_task("", total=None)

    def show(done: int, total: int) -> None:
        bar.update(task, completed=done, total=total)

    with bar:
        yield show


def batch_table(columns: Mapping[str, Sequence[Any]], n_left: int) -> "Table":
    """Lay out the first picks of a batch, and its last."""
    from rich.table import Table

    from labelnext.sampling import COLUMNS

    k = len(columns["rank"])
    potentials = columns.get("potential")
    title = f"{k:,} of {counted(n_left, 'candidate')} chosen"
    table = Table(
        min_width=len(title) + 2,  # else it would be broken into lines
        title=title,
        title_justify="left",
        title_style="bold",
        caption=None if potentials is None else _worth(potentials),
        caption_justify="left",
    )
    titles = {"rank": "rank", **{each.name: each.title for each in COLUMNS if each.name != "row"}}
    names = [name for name in titles if name in columns]
    for name in names:
        table.add_column(titles[name], justify="left" if name in ("id", "group") else "right")
    rows = range(k) if k <= SHOWN + 1 else [*range(SHOWN), k - 1]
    for row in rows:
        if row == k - 1 and k > SHOWN + 1:
            table.add_row(*("…" for _ in names))
        table.add_row(*(cell(columns[name][row]) for name in names))
    return table


def answer(title: str, caption: str, columns: Mapping[str, Iterable[object]]) -> "Table":
    """Lay an answer out by columns, the first of names; the first row is the one to look at."""
    from rich.table import Table

    table = Table(title=title, title_style="bold", caption=caption, caption_justify="left")
    for place, name in enumerate(columns):
        table.add_column(escape(printable(name)), justify="right" if place else "left")
    for place, row in enumerate(zip(*columns.values(), strict=True)):
        table.add_row(*(escape(printable(each)) for each in row), style="" if place else "bold")
    return table


def cell(value: object) -> str:
    """Return a value as text: of several labels their names, of a number four digits."""
    if isinstance(value, list):
        value = " ".join(map(str, value))
    return escape(printable(f"{value:.4g}" if isinstance(value, float) else value))


def _worth(potentials: Sequence[float]) -> str:
    """Say how much of the potential is left after 10, 100, ... picks, and after all."""
    first, k = potentials[0], len(potentials)
    if not first > 0:
        return "One pick covers all candidates: they have the same gradient."
    counts = [count for count in (10, 100, 1_000, 10_000) if count < k]
    left = ", ".join(f"{potentials[at - 1] / first:.2%} after {at:,}" for at in (*counts, k))
    return f"Potential left, of that after the first pick: {left}."
