"""What a person at a terminal gets to see beside the result, on standard error."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.table import Table

SHOWN = 5


def terminal() -> Console:
    """Return a console on standard error. Whoever writes to it asks `is_terminal` first."""
    return Console(stderr=True)


@contextmanager
def working(console: Console, text: str) -> Iterator[None]:
    """Show that something is going on, on a terminal only."""
    if not console.is_terminal:
        yield
        return
    start = time.perf_counter()
    with console.status(text):
        yield
    console.print(f"[dim]{text} {time.perf_counter() - start:.1f} s[/]", highlight=False)


def batch_table(columns: Mapping[str, Sequence[Any]], n_left: int) -> Table:
    """Lay out the first picks of a batch, and its last."""
    k = len(columns["rank"])
    table = Table(
        title=f"{k:,} of {n_left:,} candidates chosen",
        title_justify="left",
        title_style="bold",
        caption=_worth(columns["potential"]),
        caption_justify="left",
    )
    headings = {
        "rank": "rank",
        "id": "id",
        "pseudo_label": "pseudo-label",
        "gradient_norm": "‖gradient‖",
        "d2": "D²",
        "potential": "potential left",
    }
    for name, heading in headings.items():
        table.add_column(heading, justify="left" if name == "id" else "right")
    rows = range(k) if k <= SHOWN + 1 else [*range(SHOWN), k - 1]
    for row in rows:
        if row == k - 1 and k > SHOWN + 1:
            table.add_row(*("…" for _ in headings))
        table.add_row(*(_cell(columns[name][row]) for name in headings))
    return table


def _cell(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _worth(potentials: Sequence[float]) -> str:
    """Say how much of the potential is left after 10, 100, ... picks, and after all."""
    first, k = potentials[0], len(potentials)
    if not first > 0:
        return "One pick covers all candidates: they have the same gradient."
    counts = [count for count in (10, 100, 1_000, 10_000) if count < k]
    left = ", ".join(f"{potentials[at - 1] / first:.2%} after {at:,}" for at in (*counts, k))
    return f"Potential left, of that after the first pick: {left}."
